"""What goes into a panel and what comes out."""

import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar, cast

from coreto.durable import Durable
from coreto.labels import Label, combine
from coreto.messages import NANO, Json
from coreto.panel.policy import CAPS, Quality, quality_of
from coreto.runs.errors import RunError

T = TypeVar("T")

Content = str | Json
"""An answer: a text or a JSON object."""

Outcome = Literal["ok", "timeout", "error", "skipped", "cancelled"]
"""What became of asking a member: an answer; none in its time or the panel's; a failure; not asked, because it has failed
too often; no longer needed."""

#: The names under which consolidations are accounted for.
CONSOLIDATE: Final = "consolidate"
UPDATE: Final = "update"


@dataclass(frozen=True, slots=True)
class Seat:
    """What a member works with: the run, from inside the member's own step. Nothing in it is a step by itself.

    ``deadline``: when the panel stops waiting, in the clock's monotonic seconds; ``label``: how far the request may go.
    """

    run: Durable
    name: str
    label: Label = Label.INTERNAL
    deadline: float = math.inf

    async def step(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        """Do ``work``: its result is kept with the member's whole answer."""
        del name
        return await work()

    async def wait_signal(self, name: str, *, within: float | None = None) -> Json | None:
        """Raises :class:`~coreto.runs.errors.RunError`: steps cannot wait for signals."""
        del within
        raise RunError(f"{self.name!r} cannot wait for the signal {name!r}: it is at work within a step")

    async def emit(self, event: Json) -> None:
        await self.run.emit(event)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a member says, and what it took. ``cost_nusd``: nano-dollars, ``None`` where no price is known."""

    content: Content
    tokens: int = 0
    cost_nusd: int | None = 0
    label: Label = Label.PUBLIC
    deployment: str | None = None


Ask = Callable[[Seat, Json], Awaitable[Content | Answer]]
"""Answers a request, or raises. Must end when it is cancelled."""


@dataclass(frozen=True, slots=True)
class Specialist:
    """A member of a panel. ``timeout``: seconds that it may take once it has got its turn. ``required``: the panel is
    degraded without its answer, and does not begin to consolidate before it."""

    name: str
    ask: Ask
    timeout: float = 30.0
    required: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """What one member, or one consolidation, came to.

    ``seconds``: what asking took; ``waited``: before that, for its turn. ``bytes``: size of the answer. ``error``: a code;
    ``message``: in words.
    """

    name: str
    outcome: Outcome
    content: Content | None = None
    seconds: float = 0.0
    waited: float = 0.0
    bytes: int = 0
    tokens: int = 0
    cost_nusd: int | None = 0
    label: Label = Label.PUBLIC
    deployment: str | None = None
    error: str | None = None
    message: str = ""

    @property
    def ok(self) -> bool:
        return self.outcome == "ok"

    def metrics(self) -> Json:
        """The figures (SPEC C2), nothing of what was said."""
        return {
            "name": self.name,
            "seconds": round(self.seconds, 3),
            "waited": round(self.waited, 3),
            "bytes": self.bytes,
            "tokens": self.tokens,
            "cost_usd": None if self.cost_nusd is None else self.cost_nusd / NANO,
            "success": self.ok,
            "outcome": self.outcome,
            "error": self.error,
        }

    def as_json(self) -> Json:
        """All of it, for :meth:`from_json`."""
        return {
            "name": self.name,
            "outcome": self.outcome,
            "content": self.content,
            "seconds": self.seconds,
            "waited": self.waited,
            "bytes": self.bytes,
            "tokens": self.tokens,
            "cost_nusd": self.cost_nusd,
            "label": str(self.label),
            "deployment": self.deployment,
            "error": self.error,
            "message": self.message,
        }

    @classmethod
    def from_json(cls, shown: Mapping[str, Any]) -> "Part":
        """The part that :meth:`as_json` showed."""
        fields: dict[str, Any] = {**shown, "label": Label.parse(str(shown["label"]))}
        return cls(**fields)


@dataclass(frozen=True, slots=True)
class Draft:
    """What is to be consolidated. ``answers``: in the order of the members; ``before``: what they were consolidated to
    when ``late`` had not answered yet; ``missing``: who has not answered, so far or at all."""

    request: Json
    answers: tuple[Part, ...]
    before: Content | None = None
    late: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


Consolidate = Callable[[Seat, Draft], Awaitable[Content | Answer]]
"""Makes one answer of many, or raises."""


@dataclass(frozen=True, slots=True)
class PanelResult:
    """What a panel came to, so far or at last (``final``).

    ``content``: the consolidated answer, ``None`` where there is none: nobody has answered, or ``error`` says why.
    ``parts``: of all members, in their order; who is still asked is left out. ``consolidations``: one or two;
    ``included``: whose answers are in it. ``missing_required``: who is required and has not answered in time, so far or at all.
    """

    parts: tuple[Part, ...]
    consolidations: tuple[Part, ...]
    content: Content | None
    included: tuple[str, ...]
    asked: tuple[str, ...]
    missing_required: tuple[str, ...]
    final: bool
    seconds: float
    label: Label = Label.INTERNAL

    @property
    def answered(self) -> tuple[str, ...]:
        """Who has answered, in order."""
        return tuple(part.name for part in self.parts if part.ok)

    def part_of(self, name: str) -> Part | None:
        """What asking ``name`` came to; ``None`` when it is still asked, or was not."""
        return next((part for part in self.parts if part.name == name), None)

    @property
    def quality(self) -> Quality:
        """By whose answers went into the content."""
        return quality_of(len(self.included), complete=not self.missing_required)

    @property
    def cap(self) -> int:
        """The most confidence that it may claim, in percent."""
        return CAPS[self.quality]

    @property
    def degraded(self) -> bool:
        """Whether something is missing that should be there: a required answer, or the consolidation."""
        return bool(self.missing_required) or self.content is None

    @property
    def error(self) -> str | None:
        """Why there is no consolidated answer, or not one of all answers: a code."""
        last = self.consolidations[-1] if self.consolidations else None
        return last.error if last else "no_answers"

    @property
    def cost_nusd(self) -> int | None:
        """Nano-dollars, all together; ``None`` when a price is not known."""
        costs = [part.cost_nusd for part in (*self.parts, *self.consolidations)]
        return None if None in costs else sum(cast("list[int]", costs))

    def as_json(self) -> Json:
        """All of it, and what follows from it."""
        cost = self.cost_nusd
        return {
            "content": self.content,
            "quality": self.quality,
            "cap": self.cap,
            "degraded": self.degraded,
            "missing_required": list(self.missing_required),
            "participated": list(self.included),
            "asked": list(self.asked),
            "final": self.final,
            "seconds": round(self.seconds, 3),
            "cost_usd": None if cost is None else cost / NANO,
            "label": str(self.label),
            "error": self.error,
            "agents": [part.metrics() for part in self.parts],
            "consolidations": [part.metrics() for part in self.consolidations],
        }


def label_of(given: Label, *parts: Part) -> Label:
    """The label of what was made of ``parts`` for a request labelled ``given``."""
    return combine(given, *(part.label for part in parts))
