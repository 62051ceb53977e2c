"""A clock that a test moves by hand."""

import asyncio
import heapq
from dataclasses import dataclass, field

#: Turns of the event loop after which everything that a woken sleeper does without waiting is done.
_TURNS = 10


@dataclass(order=True, slots=True)
class _Sleeper:
    due: float
    order: int
    wake: "asyncio.Future[None]" = field(compare=False)


class VirtualClock:
    """A :class:`~coreto.clock.Clock` that stands still until :meth:`advance` moves it.

    ``epoch``: what :meth:`time` says at the start, in seconds since 1970. ``skipping``: a sleep does not wait
    but moves the clock itself, so that code under test runs through. ``slept`` lists every sleep asked for.
    """

    def __init__(self, epoch: float = 1_800_000_000.0, *, skipping: bool = False) -> None:
        self._epoch = epoch
        self._now = 0.0
        self._skipping = skipping
        self._sleepers: list[_Sleeper] = []
        self._order = 0
        self.slept: list[float] = []

    @property
    def sleepers(self) -> int:
        """How many sleep now."""
        return sum(not sleeper.wake.done() for sleeper in self._sleepers)

    def monotonic(self) -> float:
        return self._now

    def time(self) -> float:
        return self._epoch + self._now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if seconds <= 0 or self._skipping:
            self._now += max(seconds, 0.0)
            await asyncio.sleep(0)
            return
        self._order += 1
        sleeper = _Sleeper(self._now + seconds, self._order, asyncio.get_running_loop().create_future())
        heapq.heappush(self._sleepers, sleeper)
        await sleeper.wake

    def move(self, seconds: float) -> None:
        """Let ``seconds`` pass in which nobody wakes: for code that only reads the clock."""
        assert seconds >= 0, "time does not go back"
        self._now += seconds

    async def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass. Sleepers wake in the order in which they are due, each at its own time, and
        what they start to wait for meanwhile counts too."""
        assert seconds >= 0, "time does not go back"
        await self._settle()
        end = self._now + seconds
        while self._sleepers and self._sleepers[0].due <= end:
            sleeper = heapq.heappop(self._sleepers)
            if sleeper.wake.done():  # canceled
                continue
            self._now = max(self._now, sleeper.due)
            sleeper.wake.set_result(None)
            await self._settle()
        self._now = end
        await self._settle()

    async def _settle(self) -> None:
        for _ in range(_TURNS):
            await asyncio.sleep(0)
