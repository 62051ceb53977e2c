"""Bounds the time an attempt may wait: for the first item that says something, and between two items."""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from functools import partial

from coreto.clock import Clock
from coreto.errors import CallError, StalledError, TimedOutError
from coreto.messages import Call, Chunk, Item, Whole
from coreto.providers.base import Health, Items, ModelInfo, Provider
from coreto.resilience.attempt import says_something


class Watchdog:
    """Cancels the current task when an awaited item does not come. While not ``armed``, time does not count.

    One timer serves the whole attempt: arming only notes the new due time, and a timer that fires early
    goes back to sleep. (A timer a chunk costs 4 µs; this costs 0.2.)
    """

    __slots__ = ("_canceled_before", "_due", "_handle", "_loop", "_task", "armed", "expired")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._canceled_before = task.cancelling()
        self._due = 0.0
        self.armed = False
        self._handle: asyncio.TimerHandle | None = None
        self.expired = False

    def arm(self, seconds: float) -> None:
        """Cancel the task unless it is disarmed within ``seconds``."""
        self._due = self._loop.time() + seconds
        self.armed = True
        if self._handle is None or self._handle.when() > self._due:
            self._schedule()

    def take_back(self) -> bool:
        """After an expiry: undo its cancellation; ``False`` when somebody else has canceled the task too."""
        return self._task.uncancel() <= self._canceled_before

    def close(self) -> None:
        """Stop watching."""
        self.armed = False
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _schedule(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._handle = self._loop.call_at(self._due, self._ring)

    def _ring(self) -> None:
        self._handle = None
        if not self.armed:
            return
        if self._loop.time() < self._due:
            self._schedule()
            return
        self.armed = False
        self.expired = True
        self._task.cancel()


class Timed:
    """A provider whose answers must come in time: ``call.limits``, and never beyond ``call.deadline``."""

    def __init__(
        self, inner: Provider, clock: Clock, *, whole: Callable[[Call], Awaitable[Whole]] | None = None
    ) -> None:
        """``whole``: the inner provider's shorter way to a non-stream answer, where it has one."""
        self._inner = inner
        self._clock = clock
        #: the same within the limits
        self.whole = None if whole is None else partial(self._whole, whole)

    def open(self, call: Call) -> AbstractAsyncContextManager[AsyncIterator[Item]]:
        return aclosing(self._watched(call))

    async def _whole(self, inner: Callable[[Call], Awaitable[Whole]], call: Call) -> Whole:
        limit = min(call.limits.attempt, call.deadline - self._clock.monotonic())
        watchdog = Watchdog()
        watchdog.arm(limit)
        try:
            return await inner(call)
        except asyncio.CancelledError:
            if watchdog.expired and watchdog.take_back():
                raise _late(limit, begun=False) from None
            raise
        finally:
            watchdog.close()

    async def _watched(self, call: Call) -> Items:
        clock, stall = self._clock, call.limits.stall
        waiting = clock.monotonic()
        limit = first = left = min(call.limits.attempt, call.deadline - waiting)
        begun = stalled = False
        watchdog = Watchdog()
        watchdog.arm(limit)
        try:
            async with self._inner.open(call) as items:
                async for item in items:
                    watchdog.armed = False
                    if not begun:
                        begun = not isinstance(item, Chunk) or says_something(item.body)
                        left = math.inf if begun else left - (clock.monotonic() - waiting)
                    yield item
                    if isinstance(item, Chunk) and item.more:
                        continue  # the next one is here already
                    waiting = clock.monotonic()
                    limit = stall if waiting + stall < call.deadline else call.deadline - waiting
                    stalled = limit < left
                    if not stalled:
                        limit = left
                    watchdog.arm(limit)
        except asyncio.CancelledError:
            if watchdog.expired and watchdog.take_back():
                raise _late(limit if stalled else first, begun=stalled) from None
            raise
        finally:
            watchdog.close()

    async def models(self) -> tuple[ModelInfo, ...]:
        return await self._inner.models()

    async def health(self) -> Health:
        return await self._inner.health()

    async def close(self) -> None:
        await self._inner.close()


def _late(limit: float, *, begun: bool) -> CallError:
    seconds = max(limit, 0.0)
    return (
        StalledError(f"nothing came for {seconds:g} s")
        if begun
        else TimedOutError(f"no answer within {seconds:g} s")
    )
