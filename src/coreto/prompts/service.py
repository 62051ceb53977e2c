"""Prompts over their store: which version somebody gets, with whose values, and what came of it.

Synchronous, like the store: called from a thread or the command line. Which version it is::

    1  the caller names a version or a label             that one; nothing is counted
    2  an experiment is on, the audience is known, and
       2a  it has met a variant that is still there      that variant
       2b  it has not                                    the variant that its digest draws
    3  the label `production` stands somewhere           there
    4  none of these                                     the latest version in the language that was asked for
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from coreto.clock import Clock, SystemClock
from coreto.labels import permit
from coreto.languages import Language
from coreto.messages import Json
from coreto.prompts.errors import PromptError, PromptValueError, UnknownPromptError
from coreto.prompts.experiments import Audience, Experiment, Variant, assign
from coreto.prompts.library import Library
from coreto.prompts.names import LATEST, check_label
from coreto.prompts.prompt import Prompt, digest_of
from coreto.prompts.rendered import Rendered
from coreto.prompts.rendering import Renderer, fill
from coreto.prompts.statistics import VariantStats, stats_of
from coreto.prompts.variables import as_json, fit
from coreto.stores.errors import StoreError
from coreto.stores.prompts import (
    ExposureRecord,
    LabelRecord,
    OutcomeRecord,
    PromptStore,
    VersionRecord,
)

_log = logging.getLogger(__name__)

NOBODY = Audience()


@dataclass(frozen=True, slots=True)
class Wish:
    """Which prompt is wanted. ``wanted``: a version or a label, ``None`` = the usual one; ``language``: ``None`` =
    the service's; ``audience``: whose values and whose variant."""

    name: str
    wanted: int | str | None = None
    language: Language | None = None
    audience: Audience = NOBODY


class Prompts:
    """Finds, fills and counts prompts. Methods raise :class:`PromptError` and
    :class:`~coreto.stores.errors.StoreError`."""

    __slots__ = ("_clock", "_language", "_local", "_pinned", "_renderer", "_store", "library")

    def __init__(
        self,
        library: Library,
        store: PromptStore,
        *,
        language: Language = "pt-BR",
        clock: Clock | None = None,
        store_is_local: bool = True,
    ) -> None:
        """``store_is_local``: whether what is kept stays on this machine; private values are kept nowhere else."""
        self.library = library
        self._store = store
        self._language: Language = language
        self._clock = clock or SystemClock()
        self._local = store_is_local
        self._renderer = Renderer()
        self._pinned: set[tuple[str, str]] = set()

    def render(self, wish: Wish, values: Mapping[str, object] | None = None) -> Rendered:
        """The prompt, counted: its content is fixed for good, and its audience has met its variant."""
        rendered, prompt = self._rendered(wish, values or {})
        self._pin(prompt, rendered.digest)
        subject = wish.audience.subject
        if rendered.experiment is not None and rendered.variant is not None and subject is not None:
            self._expose(rendered.experiment, subject, rendered.variant, rendered.digest)
        return rendered

    def preview(self, wish: Wish, values: Mapping[str, object] | None = None) -> Rendered:
        """The prompt as :meth:`render` would give it, and nothing noted."""
        return self._rendered(wish, values or {})[0]

    def prompt(self, wish: Wish) -> Prompt:
        """The version and language that would be rendered."""
        return self._chosen(wish)[0]

    def measure(
        self, experiment: str, audience: Audience, *, success: bool, outcome: str | None = None
    ) -> bool:
        """Note what came of it; ``False`` when the audience has not met the experiment. ``outcome``: another one than
        the experiment's own."""
        found, subject = self.library.experiment(experiment), audience.subject
        if subject is None:
            return False
        return self._store.measure(
            OutcomeRecord(found.name, subject, outcome or found.outcome, success, self._now())
        )

    def stats(self, experiment: str, outcome: str | None = None) -> tuple[VariantStats, ...]:
        """How each variant did."""
        found = self.library.experiment(experiment)
        return stats_of(found, self._store.counts(found.name, outcome or found.outcome))

    def labels(self, name: str) -> dict[str, int]:
        """The labels of a prompt, and the version that each stands on."""
        return {one.label: one.version for one in self._store.labels(name)}

    def move(self, name: str, label: str, version: int) -> None:
        """Put ``label`` on a version that is there."""
        try:
            check_label(label)
        except ValueError as error:
            raise PromptError(str(error)) from None
        if label == LATEST:
            raise PromptError(f"{LATEST!r} is always the greatest version: nobody moves it")
        if version not in self.library.versions(name):
            known = [str(one) for one in self.library.versions(name)]
            raise UnknownPromptError(f"no version {version} of prompt {name!r}", known)
        self._store.move(LabelRecord(name, label, version, self._now()))

    def set_values(self, user: str, name: str, values: Mapping[str, object]) -> None:
        """Keep a user's values; ``None`` forgets one. They must fit the version that the user would get."""
        prompt = self.prompt(Wish(name, audience=Audience(user=user)))
        kept: Json = {}
        for key, value in values.items():
            variable = prompt.variable(key)
            if value is None:
                kept[key] = None
            elif variable is None:
                raise PromptValueError(name, key[:80], "there is no such variable")
            elif not permit(variable.label, sink_is_local=self._local):
                raise PromptValueError(
                    name, key, "private values are not kept in a database on another machine"
                )
            else:
                try:
                    kept[key] = as_json(fit(variable, value))
                except ValueError as error:
                    raise PromptValueError(name, key, str(error)) from None
        self._store.set_values(user, name, kept, self._now())

    def values(self, user: str, name: str) -> Json:
        """A user's values, as JSON."""
        return self._store.values(user, name)

    def forget(self, user: str) -> int:
        """Remove a user's values, exposures and outcomes; how many values and exposures they were."""
        subject = Audience(user=user).subject
        assert subject is not None
        return self._store.forget(user, subject)

    def _rendered(self, wish: Wish, values: Mapping[str, object]) -> tuple[Rendered, Prompt]:
        prompt, experiment, variant = self._chosen(wish)
        user = wish.audience.user
        stored = {} if user is None or not prompt.variables else self._store.values(user, wish.name)
        filled = fill(prompt, values, stored)
        rendered = Rendered(
            name=prompt.name,
            version=prompt.version,
            language=prompt.language,
            digest=digest_of(prompt),
            messages=self._renderer.render(prompt, filled.values),
            label=filled.label,
            asked=wish.language or self._language,
            role=prompt.role,
            experiment=None if experiment is None else experiment.name,
            variant=None if variant is None else variant.name,
            ignored=filled.ignored,
        )
        return rendered, prompt

    def _chosen(self, wish: Wish) -> tuple[Prompt, Experiment | None, Variant | None]:
        language = wish.language or self._language
        experiment = self.library.experiment_on(wish.name) if wish.wanted is None else None
        variant = None if experiment is None else self._variant(experiment, wish.audience)
        if variant is not None:
            return self.library.find(wish.name, variant.version, language), experiment, variant
        usual = isinstance(wish.wanted, int) or wish.wanted == LATEST
        labels = {} if usual else self.labels(wish.name)
        version = self.library.version_of(wish.name, wish.wanted, labels, language)
        return self.library.find(wish.name, version, language), None, None

    def _variant(self, experiment: Experiment, audience: Audience) -> Variant | None:
        subject = audience.subject
        if subject is None:
            return None
        met = self._store.exposure(experiment.name, subject)
        kept = None if met is None else experiment.variant(met.variant)
        return kept or assign(experiment, subject)

    def _pin(self, prompt: Prompt, digest: str) -> None:
        """Fix the content of a version at its first use. Raises :class:`PromptError` when it had another one."""
        if (prompt.title, digest) in self._pinned:
            return
        record = VersionRecord(
            prompt.name,
            prompt.version,
            prompt.language,
            digest,
            prompt.source,
            dict(prompt.fragments),
            self._now(),
        )
        pinned = self._store.pin(record)
        if pinned.digest != digest:
            raise PromptError(
                f"{prompt.title} was used with another content: a change needs a new version "
                f"(`coreto prompts diff {prompt.name}` shows it)",
                file=prompt.file,
                line=1,
            )
        self._pinned.add((prompt.title, digest))

    def _expose(self, experiment: str, subject: str, variant: str, digest: str) -> None:
        """A count that cannot be kept is no reason to refuse the prompt."""
        try:
            self._store.expose(ExposureRecord(experiment, subject, variant, digest, self._now()))
        except StoreError as error:
            _log.warning("an exposure to %s was not counted: %s", experiment, error.message)

    def _now(self) -> int:
        return int(self._clock.time() * 1000)
