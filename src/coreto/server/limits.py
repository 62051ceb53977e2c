"""How much at once and how much a minute: a token bucket a key, and places for calls with a queue before them."""

import math
from dataclasses import dataclass, field

from coreto.clock import Clock
from coreto.errors import CoretoError
from coreto.places import Places

_LONGEST_WAIT = 60


class BusyError(CoretoError):
    """More is asked of this server than it does at once."""

    code = "server_busy"
    http_status = 429
    retry_after: float = 1.0

    def __init__(self, message: str, retry_after: float) -> None:
        """``retry_after``: seconds after which asking again may help."""
        super().__init__(message)
        self.retry_after = retry_after


@dataclass(slots=True)
class Bucket:
    """``per_minute`` tokens that come back evenly; a minute's worth may be taken at once. So within any
    ``t`` seconds at most ``per_minute × (1 + t/60)`` are. Seconds are a clock's monotonic ones."""

    per_minute: int
    level: float = field(init=False)
    at: float = 0.0

    def __post_init__(self) -> None:
        self.level = self.per_minute

    def take(self, now: float) -> float:
        """Take one token: 0, or the seconds until there is one."""
        back = max(now - self.at, 0.0) * self.per_minute / 60
        self.level, self.at = min(self.level + back, self.per_minute), max(now, self.at)
        if self.level >= 1:
            self.level -= 1
            return 0.0
        return (1 - self.level) * 60 / self.per_minute

    @property
    def full_in(self) -> float:
        """Seconds from the last :meth:`take` until the bucket is full again."""
        return (self.per_minute - self.level) * 60 / self.per_minute


class Gate:
    """``most`` places, with a queue of ``most_queued`` before them."""

    def __init__(self, clock: Clock, most: int = 256, most_queued: int = 1024) -> None:
        self.clock = clock
        self._places = Places(most)
        self._most_queued = most_queued
        self._typical = 1.0  # seconds that a place is held

    @property
    def running(self) -> int:
        return self._places.taken

    @property
    def queued(self) -> int:
        return self._places.waiting

    async def enter(self, within: float) -> bool:
        """Take a place; whether one had to be waited for. Every entry needs a :meth:`leave`.

        Raises :class:`BusyError` when the queue is full, or no place is free ``within`` so many seconds.
        """
        if self._places.waiting >= self._most_queued and self._places.taken >= self._places.most:
            raise BusyError(
                f"all {self._places.most} places are taken and {self.queued} requests wait already",
                self._hint(),
            )
        try:
            return await self._places.enter(within)
        except TimeoutError:
            raise BusyError(f"no place became free within {within:g} s", self._hint()) from None

    def leave(self, held: float) -> None:
        """Give back a place that was ``held`` for so many seconds."""
        self._typical += (held - self._typical) / 10
        self._places.leave()

    def _hint(self) -> float:
        """Seconds until what waits now will have had its turn."""
        rounds = (self.queued + 1) / self._places.most
        return min(max(math.ceil(self._typical * rounds), 1), _LONGEST_WAIT)
