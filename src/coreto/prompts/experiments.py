"""Experiments: which variant somebody meets. Pure.

Assignment is weighted rendezvous hashing: a subject's variant depends on nothing but its digest, the experiment's name
and the weights, so that every process says the same without asking anybody. A weight that changes moves only those
whom it must; who has met a variant already keeps it (``service``).
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from coreto.prompts.errors import PromptError
from coreto.prompts.names import check_name
from coreto.prompts.parsing import MOST_VERSION
from coreto.prompts.tables import Table, read_table

SUCCESS: Final = "success"
"""The outcome of an experiment that does not name one."""

MOST_WEIGHT: Final = 1_000_000

Unmeasured = Literal["failure", "unknown"]
"""What an exposure without an outcome counts as: a failure (clicks, purchases), or not at all (votes, samples)."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A version under test. ``weight``: its share of new subjects; 0 = nobody new."""

    name: str
    version: int
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Experiment:
    """Versions of one prompt that are compared by an outcome."""

    name: str
    prompt: str
    variants: tuple[Variant, ...]
    outcome: str = SUCCESS
    unmeasured: Unmeasured = "failure"
    file: str = ""
    line: int | None = None

    def variant(self, name: str) -> Variant | None:
        return next((one for one in self.variants if one.name == name), None)


@dataclass(frozen=True, slots=True)
class Audience:
    """Who is shown a prompt: a user, else a session. Of nobody known, nothing is measured."""

    user: str | None = None
    session: str | None = None

    @property
    def subject(self) -> str | None:
        """A digest, so that experiments keep nobody's name."""
        if self.user is not None:
            return _digest("user", self.user)
        return None if self.session is None else _digest("session", self.session)


def assign(experiment: Experiment, subject: str) -> Variant | None:
    """The variant of a subject; ``None`` when no variant takes new ones."""
    open_ones = [one for one in experiment.variants if one.weight > 0]
    return min(open_ones, key=lambda one: _distance(experiment.name, one, subject), default=None)


def parse_experiments(text: str, *, file: str) -> tuple[Experiment, ...]:
    """The experiments of ``experiments.toml``: a table each. Raises :class:`PromptError`."""
    head = read_table(text.removeprefix("\ufeff").replace("\r\n", "\n"), file=file)
    found: list[Experiment] = []
    for name, told in head.content.items():
        if not isinstance(told, dict):
            raise head.fail(f"{name[:80]!r}: expected a table", name)
        found.append(_experiment(name, head.inner(cast("dict[str, Any]", told), name)))
    return tuple(found)


def _experiment(name: str, table: Table) -> Experiment:
    table.expect(("prompt", "outcome", "unmeasured", "variants"))
    prompt = table.text("prompt")
    if prompt is None:
        raise table.fail("prompt is missing: the name of the prompt under test")
    unmeasured = table.text("unmeasured") or "failure"
    if unmeasured not in ("failure", "unknown"):
        raise table.fail('unmeasured: expected "failure" or "unknown"', "unmeasured")
    variants = tuple(_variant(table, one, told) for one, told in table.tables("variants"))
    if len(variants) < 2:
        raise table.fail("an experiment needs two variants or more", "variants")
    try:
        names = [check_name(one) for one in (name, prompt, table.text("outcome") or SUCCESS)]
    except ValueError as error:
        raise table.fail(str(error)) from None
    line = table.fail("").line
    return Experiment(names[0], names[1], variants, names[2], unmeasured, table.file, line)


def _variant(table: Table, name: str, told: object) -> Variant:
    at = ("variants", name)
    content = cast("dict[str, Any]", told) if isinstance(told, dict) else {"version": told}
    inner = table.inner(content, *at)
    inner.expect(("version", "weight"))
    version = inner.whole("version", 1, MOST_VERSION)
    if version is None:
        raise inner.fail("version is missing")
    weight = inner.whole("weight", 0, MOST_WEIGHT)
    try:
        return Variant(check_name(name), version, 1 if weight is None else weight)
    except ValueError as error:
        raise inner.fail(str(error)) from None


def check_against(experiments: Sequence[Experiment], versions: dict[str, list[int]]) -> None:
    """Raise :class:`PromptError` unless each experiment is about versions that are there, one a prompt."""
    tested: dict[str, str] = {}
    for one in experiments:
        there = versions.get(one.prompt, [])
        for variant in one.variants:
            if variant.version not in there:
                known = ", ".join(map(str, there)) or "none"
                raise PromptError(
                    f"experiment {one.name!r}: no version {variant.version} of prompt {one.prompt!r}; there is: {known}",
                    file=one.file,
                    line=one.line,
                )
        if one.prompt in tested:
            raise PromptError(
                f"prompt {one.prompt!r} is in two experiments: {tested[one.prompt]!r} and {one.name!r}",
                file=one.file,
                line=one.line,
            )
        tested[one.prompt] = one.name


def _distance(experiment: str, variant: Variant, subject: str) -> float:
    """Exponentially distributed with the variant's weight as rate: the least of them is each variant's with a
    probability of its share."""
    drawn = hashlib.sha256(f"{experiment}\0{variant.name}\0{subject}".encode()).digest()
    # 53 bits, and a half, lie strictly between 0 and 1 as a float
    fraction = ((int.from_bytes(drawn[:8], "big") >> 12) + 0.5) / 2**52
    return -math.log(fraction) / variant.weight


def _digest(kind: str, name: str) -> str:
    return hashlib.sha256(f"coreto {kind}\0{name}".encode(errors="surrogatepass")).hexdigest()
