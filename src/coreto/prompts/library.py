"""All prompts of a folder: which version, in which language. Pure."""

from collections.abc import Iterable, Mapping

from coreto.languages import Language
from coreto.prompts.errors import PromptError, UnknownPromptError
from coreto.prompts.experiments import Experiment, check_against
from coreto.prompts.names import LATEST, PRODUCTION
from coreto.prompts.prompt import OTHER, Prompt


class Library:
    """Prompts by name, version and language, and the experiments on them."""

    __slots__ = ("_prompts", "experiments")

    def __init__(self, prompts: Iterable[Prompt] = (), experiments: Iterable[Experiment] = ()) -> None:
        """Raises :class:`PromptError` for a version that is there twice, or an experiment that cannot be."""
        self._prompts: dict[str, dict[tuple[int, str], Prompt]] = {}
        for one in prompts:
            known = self._prompts.setdefault(one.name, {})
            first = known.setdefault((one.version, one.language), one)
            if first is not one:
                raise PromptError(f"{one.title} is in {first.file} already", file=one.file, line=1)
        self.experiments = tuple(experiments)
        check_against(self.experiments, {name: self.versions(name) for name in self._prompts})

    def names(self) -> list[str]:
        """The names of all prompts, in order."""
        return sorted(self._prompts)

    def versions(self, name: str) -> list[int]:
        """The versions of a prompt in any language, the least first."""
        return sorted({version for version, _ in self._prompts.get(name, {})})

    def prompts(self, name: str) -> list[Prompt]:
        """Everything of that name, by version and language."""
        return [one for _, one in sorted(self._prompts.get(name, {}).items())]

    def find(self, name: str, version: int, language: Language) -> Prompt:
        """A version in ``language``, else in the other one. Raises :class:`UnknownPromptError`."""
        known = self._known(name)
        found = known.get((version, language)) or known.get((version, OTHER[language]))
        if found is None:
            raise UnknownPromptError(
                f"no version {version} of prompt {name!r}", [str(one) for one in self.versions(name)]
            )
        return found

    def version_of(
        self, name: str, wanted: int | str | None, labels: Mapping[str, int], language: Language
    ) -> int:
        """The version that is meant by a number, a label, or nothing: ``production`` where it stands, else the latest.

        The latest is the greatest version that exists in ``language``: a translation that is behind is no reason to
        speak the other one. Raises :class:`UnknownPromptError`.
        """
        known = self._known(name)
        if isinstance(wanted, int):
            return wanted
        if wanted is None:
            wanted = PRODUCTION if PRODUCTION in labels else LATEST
        if wanted == LATEST:
            spoken = [version for version, its in known if its == language]
            return max(spoken or self.versions(name))
        if wanted not in labels:
            raise UnknownPromptError(f"no label {wanted!r} of prompt {name!r}", [*sorted(labels), LATEST])
        return labels[wanted]

    def experiment(self, name: str) -> Experiment:
        """The experiment of that name, or on that prompt. Raises :class:`UnknownPromptError`."""
        for one in self.experiments:
            if name == one.name:
                return one
        found = self.experiment_on(name)
        if found is None:
            raise UnknownPromptError(f"no experiment {name!r}", sorted(one.name for one in self.experiments))
        return found

    def experiment_on(self, prompt: str) -> Experiment | None:
        """The experiment on a prompt."""
        return next((one for one in self.experiments if one.prompt == prompt), None)

    def _known(self, name: str) -> dict[tuple[int, str], Prompt]:
        if name not in self._prompts:
            raise UnknownPromptError(f"no prompt {name!r}", self.names())
        return self._prompts[name]
