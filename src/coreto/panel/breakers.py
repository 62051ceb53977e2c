"""Which members are not worth asking just now: a circuit breaker for each.

After :data:`THRESHOLD` failures in a row a member is passed by for a while; then one panel may try it again.
"""

from dataclasses import dataclass
from typing import Final, Literal

from coreto.clock import Clock

THRESHOLD: Final = 3
OPEN_FIRST: Final = 10.0
OPEN_MOST: Final = 120.0

State = Literal["closed", "open", "half-open"]
Verdict = Literal["well", "failed", "unknown"]
"""What an answer, or its absence, says about the member."""


@dataclass(slots=True)
class _Breaker:
    """``opened_for``: seconds; 0: closed. Times are monotonic."""

    failures: int = 0
    opened_for: float = 0.0
    opened_at: float = 0.0
    probing: bool = False


@dataclass(frozen=True, slots=True)
class Ticket:
    """The right to ask a member; to be given back. ``probe``: it decides whether the member is back."""

    name: str
    at: float
    probe: bool


class Breakers:
    """The breakers of a panel's members, for all who hold it. Belongs to one event loop."""

    def __init__(
        self,
        clock: Clock,
        *,
        threshold: int = THRESHOLD,
        open_first: float = OPEN_FIRST,
        open_most: float = OPEN_MOST,
    ) -> None:
        """``open_first``: seconds that a member is passed by at first; twice as long each time that it fails again, up to
        ``open_most``."""
        self._clock = clock
        self._threshold = threshold
        self._open_first = open_first
        self._open_most = open_most
        self._breakers: dict[str, _Breaker] = {}

    def enter(self, name: str) -> Ticket | None:
        """Ask ``name`` now? ``None``: no. Every ticket must come back by :meth:`leave`."""
        now = self._clock.monotonic()
        breaker = self._breakers.get(name)
        if breaker is None or not breaker.opened_for:
            return Ticket(name, now, probe=False)
        if breaker.probing or now < breaker.opened_at + breaker.opened_for:
            return None
        breaker.probing = True
        return Ticket(name, now, probe=True)

    def leave(self, ticket: Ticket, verdict: Verdict) -> None:
        """Say what came of it."""
        if verdict == "well":
            self._breakers.pop(ticket.name, None)
            return
        breaker = self._breakers.setdefault(ticket.name, _Breaker())
        if ticket.probe:
            breaker.probing = False
        if verdict == "failed" and (ticket.probe or not breaker.opened_for):  # else begun before it opened
            self._failed(breaker)

    def state(self, name: str) -> State:
        """Whether ``name`` is asked; half-open: one panel is trying."""
        breaker = self._breakers.get(name)
        if breaker is None or not breaker.opened_for:
            return "closed"
        return "half-open" if breaker.probing else "open"

    def _failed(self, breaker: _Breaker) -> None:
        breaker.failures += 1
        if breaker.failures >= self._threshold:
            longer = min(breaker.opened_for * 2, self._open_most)
            breaker.opened_for = longer if breaker.opened_for else self._open_first
            breaker.opened_at = self._clock.monotonic()
