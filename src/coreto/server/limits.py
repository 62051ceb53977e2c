"""How much at once and how much a minute: a token bucket a key, and places for calls with a queue before them."""

import asyncio
import math
from collections import deque
from dataclasses import dataclass, field

from coreto.clock import Clock
from coreto.errors import CoretoError

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
    """``most`` places; who finds them taken waits, first come, first served, in a queue of ``most_queued``."""

    def __init__(self, clock: Clock, most: int = 256, most_queued: int = 1024) -> None:
        self.clock = clock
        self.running = 0
        self._most = most
        self._most_queued = most_queued
        self._queue: deque[asyncio.Future[None]] = deque()
        self._typical = 1.0  # seconds that a place is held

    @property
    def queued(self) -> int:
        return len(self._queue)

    async def enter(self, within: float) -> bool:
        """Take a place; whether one had to be waited for. Every entry needs a :meth:`leave`.

        Raises :class:`BusyError` when the queue is full, or no place is free ``within`` so many seconds.
        """
        if self.running < self._most and not self._queue:
            self.running += 1
            return False
        if len(self._queue) >= self._most_queued:
            raise BusyError(
                f"all {self._most} places are taken and {len(self._queue)} requests wait already",
                self._hint(),
            )
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(place)
        try:
            async with asyncio.timeout(within):
                await place
        except BaseException as error:
            self._give_up(place)
            if isinstance(error, TimeoutError):
                raise BusyError(f"no place became free within {within:g} s", self._hint()) from None
            raise
        return True

    def leave(self, held: float) -> None:
        """Give back a place that was ``held`` for so many seconds."""
        self._typical += (held - self._typical) / 10
        self._pass_on()

    def _pass_on(self) -> None:
        while self._queue:
            place = self._queue.popleft()
            if not place.done():
                place.set_result(None)  # the place changes hands: `running` stays
                return
        self.running -= 1

    def _give_up(self, place: "asyncio.Future[None]") -> None:
        if place.done() and not place.cancelled():
            self._pass_on()  # it came in the moment of leaving
        elif place in self._queue:
            self._queue.remove(place)

    def _hint(self) -> float:
        """Seconds until what waits now will have had its turn."""
        rounds = (len(self._queue) + 1) / self._most
        return min(max(math.ceil(self._typical * rounds), 1), _LONGEST_WAIT)
