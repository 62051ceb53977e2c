"""Identical calls that are under way at the same time share one piece of work, such as an upstream call.

A :class:`Flight` runs in a task of its own, so that whoever began it may leave without ending it for the
others; when the last listener leaves, it is canceled, and its end awaited. Listeners get every item as it
comes; those that join late get what they missed first. An error goes to everybody who listens.

What a flight remembers is bounded: past ``max_buffer`` nobody can join any more, the task waits until one
listener has caught up, and a listener that is further behind than the bound is sent away with
:class:`~coreto.errors.CutError`.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Generic, Protocol, TypeVar

from coreto.errors import CoretoError, CutError, TimedOutError

log = logging.getLogger(__name__)
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

MAX_BUFFER = 16 * 1024 * 1024


class Work(Protocol[T_co]):
    """What a flight does."""

    def run(self) -> AsyncGenerator[T_co, None]:
        """The items that every listener gets."""
        ...

    def finish(self) -> bool:
        """Called once everything was said, before the listeners know: whether others may still join."""
        ...

    async def after(self) -> None:
        """What is left to do then; no listener waits for it."""
        ...


class Flight(Generic[T]):
    """One piece of work and its listeners. Made by :meth:`SingleFlight.start`.

    ``complete``: everything was said; the task may still be at what comes after.
    """

    def __init__(
        self, work: Work[T], weigh: Callable[[T], int], max_buffer: int, detach: Callable[["Flight[T]"], None]
    ) -> None:
        self.work = work
        self.complete = False
        self._weigh = weigh
        self._max_buffer = max_buffer
        self._detach = detach
        self._listeners: set[Listener[T]] = set()
        self._begun = False
        self._buffer: deque[tuple[T, int]] = deque()
        self._weight = 0
        self._first = 0  # the position of the first item still held
        self._waiting: list[asyncio.Future[None]] = []
        self._caught_up: asyncio.Future[None] | None = None
        self.task = asyncio.get_running_loop().create_task(self._run())
        self.task.add_done_callback(self._ended)

    def listen(self) -> "Listener[T]":
        """Take part. :meth:`Listener.leave` must follow, whatever happens."""
        listener = Listener(self, leads=not self._begun)
        self._begun = True
        self._listeners.add(listener)
        return listener

    def leave(self, listener: "Listener[T]") -> bool:
        """Take no part any more; whether the task is to be waited for, because nobody listens now."""
        self._listeners.discard(listener)
        if self._listeners or self.complete or self.task.done():
            return False
        self._detach(self)  # nobody may join a dying flight
        self.task.cancel()
        return True

    @property
    def end(self) -> int:
        """The position after the last item."""
        return self._first + len(self._buffer)

    def at(self, position: int) -> T:
        """The item at ``position``. Raises :class:`~coreto.errors.CutError` when it is gone."""
        if position < self._first:
            raise CutError("this caller read too slowly to share the answer")
        return self._buffer[position - self._first][0]

    async def more(self) -> None:
        """Called by a listener that has caught up: return when there is an item more, or the end."""
        if self._caught_up is not None and not self._caught_up.done():
            self._caught_up.set_result(None)
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        await future

    def failure(self) -> BaseException:
        """Why the task ended before everything was said."""
        error = None if self.task.cancelled() else self.task.exception()
        return CutError("the shared call was given up") if error is None else error

    async def _run(self) -> None:
        try:
            async with aclosing(self.work.run()) as items:
                async for item in items:
                    await self._push(item)
            if not self.work.finish():
                self._detach(self)
            self.complete = True
            self._wake()
            await self.work.after()
        finally:
            self._detach(self)  # here and not when the task has ended: its listeners may run before that

    async def _push(self, item: T) -> None:
        weight = self._weigh(item)
        self._buffer.append((item, weight))
        self._weight += weight
        self._wake()
        if self._weight <= self._max_buffer:
            return
        self._detach(self)  # who joins now could not get everything
        self._caught_up = asyncio.get_running_loop().create_future()
        await self._caught_up
        while self._weight > self._max_buffer and len(self._buffer) > 1:
            self._weight -= self._buffer.popleft()[1]
            self._first += 1

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._detach(self)
        self._wake()
        error = None if task.cancelled() else task.exception()
        if error is not None and self.complete:
            log.error("what follows a shared call failed", exc_info=error)


class Listener(Generic[T]):
    """One caller's part in a flight. ``leads``: it began it."""

    __slots__ = ("_flight", "_position", "leads")

    def __init__(self, flight: Flight[T], *, leads: bool) -> None:
        self.leads = leads
        self._flight = flight
        self._position = 0

    async def items(self, until: float | None = None) -> AsyncGenerator[T, None]:
        """Every item from the first. Raises what the work raised, and
        :class:`~coreto.errors.TimedOutError` when an item is not there at ``until`` (the event loop's time)."""
        flight = self._flight
        while True:
            while self._position < flight.end:
                item = flight.at(self._position)
                self._position += 1
                yield item
            if flight.complete:
                return
            if flight.task.done():
                raise _copied(flight.failure(), leads=self.leads)
            try:
                async with asyncio.timeout_at(until):
                    await flight.more()
            except TimeoutError:
                raise TimedOutError("the call's deadline has passed") from None

    async def leave(self) -> None:
        """Listen no more. The last to leave ends unfinished work, and returns when it has ended."""
        if self._flight.leave(self):
            await asyncio.wait([self._flight.task])


class SingleFlight(Generic[T]):
    """The flights under way, by key. Belongs to one event loop.

    ``weigh`` says how many bytes an item takes.
    """

    def __init__(self, weigh: Callable[[T], int], *, max_buffer: int = MAX_BUFFER) -> None:
        self._weigh = weigh
        self._max_buffer = max_buffer
        self._by_key: dict[str, Flight[T]] = {}
        self._all: set[Flight[T]] = set()

    def get(self, key: str) -> Flight[T] | None:
        """The flight that a call with ``key`` can join."""
        return self._by_key.get(key)

    def start(self, key: str, work: Work[T]) -> Flight[T]:
        """Begin ``work``; later calls with ``key`` join it, no longer one that was there before."""
        flight = Flight(work, self._weigh, self._max_buffer, lambda flight: self._detach(key, flight))
        self._by_key[key] = flight
        self._all.add(flight)
        flight.task.add_done_callback(lambda _: self._all.discard(flight))
        return flight

    def forget(self, key: str) -> None:
        """Let nobody join what is under way for ``key``."""
        self._by_key.pop(key, None)

    def all(self) -> tuple[Flight[T], ...]:
        """Every flight under way, those that nobody can join included."""
        return tuple(self._all)

    async def close(self) -> None:
        """End what is unfinished, wait for what is complete."""
        self._by_key.clear()
        flights = list(self._all)
        for flight in flights:
            if not flight.complete:
                flight.task.cancel()
        if flights:
            await asyncio.wait([flight.task for flight in flights])

    def _detach(self, key: str, flight: Flight[T]) -> None:
        if self._by_key.get(key) is flight:
            del self._by_key[key]


def _copied(error: BaseException, *, leads: bool) -> BaseException:
    """``error`` for one listener: an exception object collects tracebacks and notes of whoever raises it."""
    if leads or not isinstance(error, CoretoError):
        return error
    kind = type(error)
    twin = kind.__new__(kind, *error.args)  # without __init__: it takes what the message was made of
    twin.__dict__.update(error.__dict__)
    twin.__cause__ = error.__cause__
    return twin
