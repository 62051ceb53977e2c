"""The scheduler's hands: loads and unloads that take time, keep-alives that run out, leases for requests."""

import asyncio
import itertools
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from coreto.simulators.ollama.models import Model
from coreto.simulators.ollama.scheduler import (
    Action,
    Grant,
    Limits,
    Need,
    Phase,
    Refusal,
    Refuse,
    RunnerOptions,
    Scheduler,
    StartLoad,
    StartUnload,
)

_UNLOAD_SECONDS = 0.5


class RefusedError(Exception):
    """The scheduler did not serve the request."""

    def __init__(self, reason: Refusal) -> None:
        super().__init__(reason.value)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Lease:
    """A model held in memory: its context in tokens and the simulated seconds that its load took (0: was there)."""

    num_ctx: int
    load_seconds: float


@dataclass(frozen=True, slots=True)
class Pace:
    """Simulated speed of loading, and how much real time a simulated second of loading takes."""

    bytes_per_second: float = 2.0e9
    time_scale: float = 1.0


class Engine:
    """Runs a `Scheduler` on the running loop. Call `close` at the end."""

    def __init__(self, limits: Limits, pace: Pace) -> None:
        self.scheduler = Scheduler(limits)
        self._pace = pace
        self._ids = itertools.count(1)
        self._waiters: dict[int, asyncio.Future[int]] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._expiry: asyncio.TimerHandle | None = None

    @property
    def now(self) -> float:
        """The loop's clock in seconds."""
        return asyncio.get_running_loop().time()

    @asynccontextmanager
    async def lease(
        self, model: Model, options: RunnerOptions, keep_alive: float | None
    ) -> AsyncGenerator[Lease, None]:
        """Hold the model while inside. Raises `RefusedError`; giving up while waiting leaves nothing behind."""
        request = next(self._ids)
        runner = self.scheduler.runners.get(model.path)
        held = runner is not None and runner.phase is Phase.READY and runner.options.same_runner(options)
        need = Need(
            id=request,
            weights=model.path,
            name=model.name,
            size=model.size,
            options=options,
            bytes_per_token=model.bytes_per_token,
            keep_alive=keep_alive,
            surprise=model.surprise,
        )
        waiter: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiters[request] = waiter
        try:
            self._perform(self.scheduler.submit(need, self.now))
            num_ctx = await waiter
            yield Lease(num_ctx, 0.0 if held else model.size / self._pace.bytes_per_second)
        finally:
            self._waiters.pop(request, None)
            self._perform(self.scheduler.finished(request, self.now))

    def unload(self, model: Model) -> None:
        """Let the model go as soon as nobody holds it."""
        self._perform(self.scheduler.unload(model.path, self.now))

    def expire_all(self) -> None:
        """Out of memory while running: everything goes."""
        self._perform(self.scheduler.expire_all(self.now))

    def restart(self) -> None:
        """Forget what is resident; whoever waited is refused."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._perform(self.scheduler.restart())

    def reset(self) -> None:
        """A restart that forgets the counts too."""
        self.restart()
        self.scheduler.loads = self.scheduler.evictions = 0

    def close(self) -> None:
        """Stop every timer."""
        self.restart()
        if self._expiry is not None:
            self._expiry.cancel()

    def _perform(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Grant():
                    self._wake(action.id, action.num_ctx, None)
                case Refuse():
                    self._wake(action.id, 0, RefusedError(action.reason))
                case StartLoad():
                    seconds = action.size / self._pace.bytes_per_second
                    self._later(action.weights, seconds, self._loaded)
                case StartUnload():
                    self._later(action.weights, _UNLOAD_SECONDS, self._gone)
        self._watch_expiry()

    def _wake(self, request: int, num_ctx: int, error: RefusedError | None) -> None:
        waiter = self._waiters.get(request)
        if waiter is None or waiter.done():
            return
        if error is not None:
            waiter.set_exception(error)
        else:
            waiter.set_result(num_ctx)

    def _later(self, weights: str, seconds: float, step: Callable[[str], None]) -> None:
        loop = asyncio.get_running_loop()
        self._timers[weights] = loop.call_later(seconds * self._pace.time_scale, step, weights)

    def _loaded(self, weights: str) -> None:
        self._perform(self.scheduler.loaded(weights, self.now))

    def _gone(self, weights: str) -> None:
        self._perform(self.scheduler.gone(weights, self.now))

    def _watch_expiry(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        due = self.scheduler.next_expiry()
        if due is not None:
            self._expiry = asyncio.get_running_loop().call_at(due, self._expired)

    def _expired(self) -> None:
        self._expiry = None
        # The timer may fire a hair before the time it was set for.
        self._perform(self.scheduler.expire(self.now + 0.001))
