"""Runs a scheduler over an engine: the owner task, and the leases that callers hold.

One task owns the state. Requests, ends of loads and timers reach it through a queue, in order; slow work (loading,
unloading, looking) runs beside it and comes back as one more event.
"""

import asyncio
import contextlib
import itertools
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from functools import partial
from typing import Self

from coreto.clock import Clock, SystemClock
from coreto.errors import (
    CallError,
    MissingModelError,
    OutOfMemoryError,
    QueueFullError,
    Scope,
    ServerFaultError,
    TimedOutError,
    UnreachableError,
)
from coreto.providers.base import LocalEngine, Resident
from coreto.residency.effects import Note
from coreto.residency.model import (
    Hosted,
    Lease,
    LoadFailure,
    ModelId,
    Observed,
    PlanId,
    Reason,
    Rejection,
    Request,
    RequestId,
    Step,
)
from coreto.residency.scheduler import Scheduler
from coreto.residency.status import HostStatus, status_of

log = logging.getLogger(__name__)

#: Seconds: a load is given up after, an unload is taken to have failed after, between looks whether it is done, and
#: between looks at what the engine holds otherwise.
LOAD_WITHIN = 300.0
UNLOAD_WITHIN = 30.0
POLL = 0.1
LOOK_EVERY = 5.0

Event = Callable[[float], object]
"""What the owner does next, given the time."""


class SpilledError(QueueFullError):
    """The model would not be in memory in time."""

    code = "spilled"


class Turn:
    """A granted request: ``model`` stays in memory until :meth:`end`. ``context``: the window in tokens that it is
    loaded with."""

    __slots__ = ("_release", "lease")

    def __init__(self, lease: Lease, release: Callable[[], None]) -> None:
        self.lease = lease
        self._release = release

    def end(self) -> None:
        """Give it back; once."""
        self._release()


class Residency:
    """One engine whose memory is shared in turns. Use as ``async with``; leases are asked for inside.

    ``scheduler`` makes the :class:`Scheduler` for the effects it is given. ``measure``: which of the engine's figures counts against the
    budget, in bytes. ``on_note`` hears what happens.
    """

    def __init__(
        self,
        engine: LocalEngine,
        scheduler: "Callable[[Residency], Scheduler]",
        *,
        clock: Clock | None = None,
        measure: Callable[[Resident], int] = lambda resident: resident.size,
        on_note: Callable[[Note], None] = lambda _: None,
    ) -> None:
        self._engine = engine
        self._clock = clock or SystemClock()
        self._measure = measure
        self._on_note = on_note
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._answers: dict[RequestId, asyncio.Future[Lease | Rejection]] = {}
        #: requests that came, less those that ended, which the scheduler has not heard of yet
        self._unheard: Counter[ModelId] = Counter()
        self._names = map(str, itertools.count(1))
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.Task[None] | None = None
        self._owner: asyncio.Task[None] | None = None
        self._moves = 0
        self._stopped = False
        self._scheduler = scheduler(self)

    # --- for callers

    async def __aenter__(self) -> Self:
        self._owner = asyncio.create_task(self._own())
        self._owner.add_done_callback(_log_death)
        self._spawn(self._look())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @asynccontextmanager
    async def lease(
        self, model: ModelId, *, spill_after: float | None = None, plan: PlanId | None = None
    ) -> AsyncGenerator[Lease, None]:
        """As :meth:`turn`, for the length of a block."""
        turn = await self.turn(model, spill_after=spill_after, plan=plan)
        try:
            yield turn.lease
        finally:
            turn.end()

    async def turn(
        self, model: ModelId, *, spill_after: float | None = None, plan: PlanId | None = None
    ) -> Turn:
        """Wait until ``model`` is in memory and it is this call's turn; it stays there until the turn is ended.

        Raises :class:`SpilledError` when that would take more than ``spill_after`` seconds,
        :class:`QueueFullError`, :class:`OutOfMemoryError`, :class:`MissingModelError`, :class:`ServerFaultError`
        for an engine that fails, and :class:`UnreachableError` when it is closed. Cancelling it, at any point,
        leaves nothing held and nothing queued.
        """
        if self._owner is None or self._owner.done():
            raise UnreachableError("the residency of this engine is closed")
        name = next(self._names)
        answer: asyncio.Future[Lease | Rejection] = asyncio.get_running_loop().create_future()
        self._answers[name] = answer
        self._unheard[model] += 1
        self._post(partial(self._arrive, Request(name, model, spill_after, plan)))
        try:
            found = await answer
        except asyncio.CancelledError:  # it may have been granted in this moment
            self._end_turn(name, model)
            raise
        if isinstance(found, Rejection):
            del self._answers[name]
            raise _error_of(found)
        return Turn(found, partial(self._end_turn, name, model))

    def _arrive(self, request: Request, now: float) -> None:
        self._unheard[request.model] -= 1
        self._scheduler.on_request(request, now)

    def _end_turn(self, name: RequestId, model: ModelId) -> None:
        if self._answers.pop(name, None) is not None:  # once
            self._unheard[model] -= 1
            self._post(partial(self._leave, name, model))

    def _leave(self, name: RequestId, model: ModelId, now: float) -> None:
        self._unheard[model] += 1
        self._scheduler.on_released(name, now)
        if self._scheduler.house.doubts:
            self._spawn(self._look_once())

    def offer(self, models: Iterable[Hosted], home: ModelId | None = None) -> None:
        """Take up models, or what is newly known of them. ``home``: the one that comes back after guests."""
        self._post(partial(self._scheduler.on_offered, tuple(models), home))

    def announce(self, plan: PlanId, steps: Iterable[Step]) -> None:
        """Say what ``plan`` will ask for, so that its models are kept, or loaded ahead; no steps: it is over."""
        self._post(partial(self._scheduler.on_announce, plan, tuple(steps)))

    def predicted_wait(self, model: ModelId, now: float | None = None) -> float:
        """Seconds that a lease of ``model`` would wait if it were asked for now. Who has asked or
        left in this same moment counts, so that not all of a burst see the same empty queue."""
        now = self._clock.monotonic() if now is None else now
        return self._scheduler.predicted_wait(model, now, self._unheard[model])

    def status(self) -> HostStatus:
        """What is in memory, who uses it and who waits."""
        scheduler = self._scheduler
        return status_of(scheduler.house, loads=scheduler.loads, switches=scheduler.switches)

    async def close(self) -> None:
        """Send away who waits, and stop; what the engine has loaded stays. Idempotent."""
        if self._owner is None:
            return
        self._post(self._stop)
        await asyncio.wait({self._owner})
        tasks = [task for task in self._tasks if not task.done()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        owner, self._owner = self._owner, None
        if not owner.cancelled():  # as it is when the loop itself ends
            owner.result()

    # --- the owner

    async def _own(self) -> None:
        try:
            while not self._stopped:
                event = await self._events.get()
                event(self._clock.monotonic())
        finally:
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_result(Rejection(Reason.STOPPED, "the residency of this engine has stopped"))

    def _stop(self, now: float) -> None:
        self._scheduler.on_shutdown(now)
        self._stopped = True

    def _post(self, event: Event) -> None:
        self._events.put_nowait(event)

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # --- what the scheduler may do (its ``Effects``)

    def start_load(self, model: ModelId, context: int | None) -> None:
        self._moves += 1
        self._spawn(self._bring(model, context))

    def start_unload(self, model: ModelId) -> None:
        self._moves += 1
        self._spawn(self._send_off(model))

    def grant(self, request: RequestId, lease: Lease) -> bool:
        return self._answer(request, lease)

    def reject(self, request: RequestId, rejection: Rejection) -> None:
        self._answer(request, rejection)

    def set_timer(self, at: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if at is None else self._spawn(self._ring(at))

    def note(self, note: Note) -> None:
        self._on_note(note)

    def _answer(self, request: RequestId, answer: Lease | Rejection) -> bool:
        waiting = self._answers.get(request)
        if waiting is None or waiting.done():
            return False
        waiting.set_result(answer)
        return True

    # --- slow work beside the owner

    async def _bring(self, model: ModelId, context: int | None) -> None:
        try:
            await self._within(LOAD_WITHIN, self._engine.load(model, context=context))
        except CallError as error:
            failure, words = _failure_of(error), error.message
            self._end_move(lambda now: self._scheduler.on_load_failed(model, failure, now, words))
            return
        size: int | None = None
        with contextlib.suppress(CallError):  # loaded all the same: the estimate stands
            size = next((seen.size for seen in await self._seen() if seen.id == model), None)
        self._end_move(partial(self._scheduler.on_loaded, model, size))

    async def _send_off(self, model: ModelId) -> None:
        try:
            await self._within(UNLOAD_WITHIN, self._unload(model))
        except UnreachableError:  # nothing listens any more: an engine that is gone holds nothing
            self._end_move(partial(self._scheduler.on_unloaded, model))
        except CallError as error:
            words = error.message
            self._end_move(lambda now: self._scheduler.on_unload_failed(model, now, words))
        else:
            self._end_move(partial(self._scheduler.on_unloaded, model))

    async def _unload(self, model: ModelId) -> None:
        """Engines answer before the memory is free: it is when they no longer list the model."""
        await self._engine.unload(model)
        while any(seen.id == model for seen in await self._seen()):
            await self._clock.sleep(POLL)

    def _end_move(self, event: Event) -> None:
        self._moves += 1
        self._post(event)

    async def _within(self, seconds: float, work: Awaitable[None]) -> None:
        """``work``, canceled after ``seconds`` of the clock with a :class:`TimedOutError`."""
        task = asyncio.ensure_future(work)
        limit = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait({task, limit}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise TimedOutError(f"the engine was not done after {seconds:g} s")
            task.result()
        finally:
            for left in (task, limit):
                left.cancel()
            await asyncio.wait({task, limit})

    async def _ring(self, at: float) -> None:
        await self._clock.sleep(at - self._clock.monotonic())
        self._post(self._scheduler.on_timer)

    async def _look(self) -> None:
        """Look regularly whether the engine still holds what it should: it may have been restarted."""
        while True:
            await self._look_once()
            await self._clock.sleep(LOOK_EVERY)

    async def _look_once(self) -> None:
        moves = self._moves
        try:
            seen = await self._seen()
        except UnreachableError:  # as in `_send_off`
            seen = ()
        except CallError:
            return  # it does not answer: calls will say so
        # what began or ended meanwhile may be missing from the list, or still on it
        self._post(partial(self._observe, seen, moves))

    def _observe(self, seen: tuple[Observed, ...], moves: int, now: float) -> None:
        if moves == self._moves:
            self._scheduler.on_observed(seen, now)

    async def _seen(self) -> tuple[Observed, ...]:
        return tuple(
            Observed(self._own_name(r.name), self._measure(r), r.context)
            for r in await self._engine.resident()
        )

    def _own_name(self, listed: str) -> ModelId:
        """Ollama lists ``phi3`` as ``phi3:latest``."""
        known = self._scheduler.house.entries
        short = listed.removesuffix(":latest")
        return short if listed not in known and short in known else listed


def _log_death(owner: "asyncio.Task[None]") -> None:
    """Whoever asks from now on is told that the residency is closed; why, is told here."""
    if not owner.cancelled() and owner.exception() is not None:
        log.error("the owner of an engine's memory has died", exc_info=owner.exception())


def _failure_of(error: CallError) -> LoadFailure:
    if isinstance(error, OutOfMemoryError):
        return LoadFailure.OUT_OF_MEMORY
    if isinstance(error, UnreachableError):
        return LoadFailure.UNREACHABLE
    return LoadFailure.MISSING if isinstance(error, MissingModelError) else LoadFailure.OTHER


def _error_of(rejection: Rejection) -> CallError:
    match rejection.reason:
        case Reason.OUT_OF_MEMORY | Reason.TOO_LARGE:
            return OutOfMemoryError(rejection.detail)
        case Reason.MISSING | Reason.UNKNOWN | Reason.CORRUPT:
            return MissingModelError(rejection.detail)
        case Reason.QUEUE_FULL:
            return QueueFullError(rejection.detail)
        case Reason.SPILLED:
            return SpilledError(rejection.detail, retry_after=rejection.wait)
        case Reason.ENGINE:
            return ServerFaultError(rejection.detail, scope=Scope.MODEL)
        case Reason.STOPPED | Reason.UNREACHABLE:
            return UnreachableError(rejection.detail)
