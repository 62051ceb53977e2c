"""What a panel does next, and what its answers are worth. Pure.

1. Somebody is still asked, but the time for answers is over: they are told to stop.
2. A consolidation is at work: wait.
3. Nobody is asked any more, nothing is consolidated: consolidate what there is; without any answer, **over**.
4. Enough have answered (see :data:`Mode`) for a little while: consolidate them; ``first`` tells the others to stop.
5. Not enough yet, or only just: wait.
6. Consolidated, and somebody is still asked: wait.
7. Consolidated, and somebody has answered since (``update`` and ``overlap``): consolidate once more, with everybody's.
8. Else **over**.

So there is at most one first consolidation and one update, whoever answers when.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from coreto.errors import ConfigError

Mode = Literal["all", "first", "update", "overlap"]
"""When the answers are consolidated. ``all``: once, when everybody has ended. ``first``: once, at the quorum; the others
are stopped. ``update``: at the quorum; who comes late is folded in by a second consolidation. ``overlap``: the first ones
while the last one runs, which is folded in likewise. A quorum includes everybody who is required, unless they have failed."""

Standing = Literal["asked", "answered", "lost"]
"""How it stands with a member: still asked, an answer is there, or none will come."""

Stage = Literal["asking", "consolidating", "consolidated", "updating", "updated"]

Quality = Literal["excellent", "good", "basic", "fallback"]

CAPS: Final[dict[Quality, int]] = {"excellent": 95, "good": 88, "basic": 80, "fallback": 80}
"""The most confidence, in percent, that a result of that quality may claim (SPEC K4)."""

_TICK: Final = 1e-6
"""Seconds: what is due by then is due now. Sums of times are not exact."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How a panel is held.

    ``quorum``: answers that are enough to begin with, at most as many as there are members. ``deadline``: seconds for
    all of it; ``reserve``: how many of them are kept for consolidating, so that answers are waited for until
    ``deadline - reserve``. ``linger``: seconds that more answers are waited for when there are enough: specialists that are
    equally quick answer within a moment of each other, and should not cost an update. ``grace``: seconds that late answers
    are waited for after the first consolidation has begun.
    """

    mode: Mode = "update"
    quorum: int = 3
    deadline: float = 60.0
    reserve: float = 15.0
    linger: float = 0.25
    grace: float = math.inf

    def __post_init__(self) -> None:
        """Raises :class:`~coreto.errors.ConfigError`."""
        if self.quorum < 1:
            raise ConfigError(f"a panel's quorum is at least 1, not {self.quorum}")
        if not 0 <= self.reserve < self.deadline:
            raise ConfigError(
                f"a panel's reserve ({self.reserve:g} s) must be shorter than its deadline ({self.deadline:g} s)"
            )
        if not (self.grace >= 0 and self.linger >= 0):
            raise ConfigError(
                f"a panel's grace ({self.grace:g} s) and linger ({self.linger:g} s) are not negative"
            )


@dataclass(frozen=True, slots=True)
class Member:
    """One of the panel. ``included``: its answer has gone into a consolidation; ``at``: when it ended, in seconds after
    the start."""

    name: str
    standing: Standing
    required: bool = False
    included: bool = False
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A panel as it stands at ``elapsed`` seconds after its start. ``consolidated_at``: when the first consolidation
    began, likewise."""

    members: tuple[Member, ...]
    stage: Stage = "asking"
    elapsed: float = 0.0
    consolidated_at: float | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """``rule``: the number of the rule that decided. ``stop``: who is told to stop, and ``out_of_time``: not because others
    are enough; ``consolidate``: whose answers are to be consolidated now; ``wake_at``: when to look again although nothing
    has happened, in seconds after the start."""

    rule: int
    stop: tuple[str, ...] = ()
    out_of_time: bool = False
    consolidate: tuple[str, ...] = ()
    over: bool = False
    wake_at: float = math.inf


def decide(rules: Rules, seen: Snapshot) -> Decision:
    """What to do now. The numbers are those of the module's text."""
    asked = _names(seen.members, "asked")
    answered = _names(seen.members, "answered")
    until = answers_until(rules, seen.consolidated_at)
    now = seen.elapsed + _TICK
    if asked and now >= until:
        return Decision(1, stop=asked, out_of_time=now >= answers_until(rules, None))
    wake_at = until if asked else math.inf
    if seen.stage in {"consolidating", "updating"}:
        return Decision(2, wake_at=wake_at)
    if seen.stage == "asking":
        if not asked:
            return Decision(3, consolidate=answered, over=not answered)
        ready = _enough_since(rules, seen.members) + rules.linger
        if now >= ready:
            stop = asked if rules.mode == "first" else ()
            return Decision(4, stop=stop, consolidate=answered, wake_at=wake_at)
        return Decision(5, wake_at=min(ready, wake_at))
    if asked:
        return Decision(6, wake_at=wake_at)
    late = any(member.standing == "answered" and not member.included for member in seen.members)
    if late and seen.stage == "consolidated" and rules.mode in {"update", "overlap"}:
        return Decision(7, consolidate=answered)
    return Decision(8, over=True)


def answers_until(rules: Rules, consolidated_at: float | None) -> float:
    """How long answers are waited for, in seconds after the start."""
    until = rules.deadline - rules.reserve
    return until if consolidated_at is None else min(until, consolidated_at + rules.grace)


def quality_of(answers: int, *, complete: bool) -> Quality:
    """The quality by how many have answered: five, three, two. Somebody who is required and missing (not ``complete``)
    takes it down by one."""
    ladder: tuple[Quality, ...] = ("fallback", "basic", "good", "excellent")
    step = 3 if answers >= 5 else 2 if answers >= 3 else 1 if answers == 2 else 0
    return ladder[step if complete else max(0, step - 1)]


def _enough_since(rules: Rules, members: Sequence[Member]) -> float:
    """Since when a consolidation may begin while somebody is still asked; infinite: not yet."""
    asked = [member for member in members if member.standing == "asked"]
    ended = [member for member in members if member.standing != "asked"]
    answers = sorted(member.at for member in ended if member.standing == "answered")
    if rules.mode == "overlap":  # who is required is waited for anyway, before the panel is over
        enough = len(asked) == 1 and len(answers) >= max(1, min(rules.quorum, len(members) - 1))
        return max(member.at for member in ended) if enough else math.inf
    quorum = min(rules.quorum, len(members))
    if rules.mode == "all" or any(member.required for member in asked) or len(answers) < quorum:
        return math.inf
    return max(answers[quorum - 1], *(member.at for member in ended if member.required), 0.0)


def _names(members: Sequence[Member], standing: Standing) -> tuple[str, ...]:
    return tuple(member.name for member in members if member.standing == standing)
