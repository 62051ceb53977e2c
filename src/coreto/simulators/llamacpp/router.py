"""The router's processes on the running loop: they load, sleep and stop in time, and wait for one another's places.

As in the router itself: at most ``models_max`` run; a request for one more waits until one that is idle has left,
least recently used first; a load asked for outright is refused when none is idle. Nobody looks at the memory: a
process that finds none left ends with exit code 1. One that is told to go while it loads is killed; one that still
has requests answers no further, and is killed after ten seconds.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum

from coreto.simulators.llamacpp.models import RouterModel

_STOP_SECONDS = 0.1
_STOP_TIMEOUT = 10.0
_KILLED = 1


class State(StrEnum):
    """What the router's list calls it."""

    UNLOADED = "unloaded"
    LOADING = "loading"
    LOADED = "loaded"
    SLEEPING = "sleeping"


class LimitError(Exception):
    """As many models run as may, and none of them is idle."""


class LoadError(Exception):
    """The model's process ended while it was loading; ``woken``: once more, for a request that it had taken."""

    def __init__(self, *, woken: bool) -> None:
        super().__init__()
        self.woken = woken


@dataclass(frozen=True, slots=True)
class Limits:
    """``models_max``: processes at a time, 0 for no limit; ``memory``: bytes, 0 for enough."""

    models_max: int = 4
    memory: int = 0


@dataclass(frozen=True, slots=True)
class Pace:
    """Simulated speed of loading, and how much real time a simulated second takes."""

    bytes_per_second: float = 2.0e9
    time_scale: float = 1.0


@dataclass(eq=False, slots=True)
class Process:
    """What the router knows of one model. ``requests`` run in it; ``waiting`` for it to be loaded."""

    model: RouterModel
    state: State = State.UNLOADED
    exit_code: int = 0
    port: int = 0
    last_used: int = 0
    requests: int = 0
    waiting: int = 0
    stopping: bool = False
    #: loaded before, in this life: the list then tells its figures
    told: bool = False
    timer: asyncio.TimerHandle | None = None
    told_to_go: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def running(self) -> bool:
        """Whether there is a process."""
        return self.state is not State.UNLOADED

    @property
    def failed(self) -> bool:
        """Whether the list says so."""
        return not self.running and self.exit_code != 0


class Router:
    """All processes of one router. Call `close` at the end."""

    def __init__(self, models: tuple[RouterModel, ...], limits: Limits, pace: Pace) -> None:
        self.limits = limits
        self._pace = pace
        self._initial = models
        self.processes: dict[str, Process] = {model.name: Process(model) for model in models}
        self.loads = self.evictions = self.failures = self.peak = 0
        #: model → (times left, exit code) of loads that are to fail; ``None``: always
        self._to_fail: dict[str, tuple[int | None, int]] = {}
        self._queue: list[Process] = []
        self._ports = 40000
        self._uses = 0
        self._change = asyncio.Event()

    # --- what may be asked at any time

    def find(self, name: str) -> Process | None:
        """The model of that name or alias."""
        found = self.processes.get(name)
        aliased = (process for process in self.processes.values() if name in process.model.aliases)
        return found or next(aliased, None)

    @property
    def used(self) -> int:
        """Bytes in memory; whoever sleeps has none."""
        holding = (p for p in self.processes.values() if p.state in (State.LOADING, State.LOADED))
        return sum(process.model.memory for process in holding)

    def fail_loads(self, name: str, times: int | None, exit_code: int) -> None:
        """Let the next ``times`` loads of a model fail; ``None``: all of them."""
        self._to_fail[name] = (times, exit_code)

    def sleep(self, process: Process) -> bool:
        """As after some idle time; whether it was idle."""
        if process.state is not State.LOADED or process.requests or process.stopping:
            return False
        self._set(process, State.SLEEPING)
        return True

    # --- loading and unloading

    async def load(self, process: Process) -> None:
        """Start it if need be; returns before it is loaded. Raises `LimitError`."""
        if self._full():
            victim = self._victim()
            if victim is not None:
                self._evict(victim)
                while victim.running:
                    await self._next_change()
        if process.running:
            return
        if self._full():
            raise LimitError
        self._start(process)

    def unload(self, process: Process) -> None:
        """Let it go, whatever runs in it; returns before it has gone."""
        if not process.running or process.stopping:
            return
        process.stopping = True
        process.told_to_go.set()
        if process.timer is not None:
            process.timer.cancel()
        seconds, exit_code = _STOP_SECONDS, 0
        if process.state is State.LOADING:
            seconds, exit_code = 0.0, _KILLED
        elif process.requests:
            seconds, exit_code = _STOP_TIMEOUT, _KILLED
        self._later(process, seconds, lambda: self._end(process, exit_code))
        self._changed()

    @asynccontextmanager
    async def lease(self, process: Process) -> AsyncGenerator[None, None]:
        """Hold the model, loaded, while inside.

        Raises `LoadError`. Giving up while waiting leaves nothing behind.
        """
        await self._ready(process)
        process.requests += 1
        self._use(process)
        try:
            yield
        finally:
            process.requests -= 1
            self._changed()

    async def _ready(self, process: Process) -> None:
        started = woken = False
        process.waiting += 1
        try:
            while True:
                self._serve_queue()
                if process.stopping:
                    pass
                elif process.state is State.LOADED:
                    return
                elif process.state is State.SLEEPING:
                    started = woken = True
                    if process.timer is None:
                        self._later(process, self._load_seconds(process), lambda: self._loaded(process))
                elif process.state is State.LOADING:
                    started = True
                elif process.state is State.UNLOADED and started and process.failed:
                    raise LoadError(woken=woken)
                elif process.state is State.UNLOADED and process not in self._queue:
                    self._queue.append(process)
                    continue
                await self._next_change()
        finally:
            process.waiting -= 1
            if not process.waiting and process in self._queue:
                self._queue.remove(process)

    def _serve_queue(self) -> None:
        """Start whoever is at the head while there are places; make places for the others of who is idle."""
        while self._queue and not self._full():
            self._start(self._queue.pop(0))
        leaving = sum(process.stopping for process in self.processes.values())
        while leaving < len(self._queue) and (victim := self._victim()) is not None:
            self._evict(victim)
            leaving += 1

    def _full(self) -> bool:
        running = sum(process.running for process in self.processes.values())
        return 0 < self.limits.models_max <= running

    def _victim(self) -> Process | None:
        """The least recently used of those that are idle, and that nobody waits for."""
        idle = (
            process
            for process in self.processes.values()
            if process.state in (State.LOADED, State.SLEEPING)
            and not (process.requests or process.waiting or process.stopping)
        )
        return min(idle, key=lambda process: process.last_used, default=None)

    def _evict(self, victim: Process) -> None:
        self.evictions += 1
        self.unload(victim)

    # --- the life of a process

    def _start(self, process: Process) -> None:
        self.loads += 1
        self._ports += 1
        process.port = self._ports
        process.told_to_go, process.ended = asyncio.Event(), asyncio.Event()
        process.told = False
        self._use(process)
        self._set(process, State.LOADING)
        self._later(process, self._load_seconds(process), lambda: self._loaded(process))

    def _loaded(self, process: Process) -> None:
        exit_code = self._fate(process)
        if exit_code:
            self.failures += 1
            self._end(process, exit_code)
            return
        process.timer = None
        process.exit_code = 0
        process.told = True
        self._set(process, State.LOADED)

    def _fate(self, process: Process) -> int:
        """The exit code of a load that fails, else 0."""
        name = process.model.name
        left, exit_code = self._to_fail.get(name, (0, 0))
        if left != 0:
            self._to_fail[name] = (left if left is None else left - 1, exit_code)
            return exit_code
        waking = process.model.memory if process.state is State.SLEEPING else 0
        return _KILLED if 0 < self.limits.memory < self.used + waking else 0

    def _end(self, process: Process, exit_code: int) -> None:
        process.timer = None
        process.stopping = False
        process.told_to_go.set()
        process.ended.set()
        process.exit_code = exit_code
        process.port = 0
        self._set(process, State.UNLOADED)

    def _load_seconds(self, process: Process) -> float:
        return process.model.size / self._pace.bytes_per_second

    def _use(self, process: Process) -> None:
        self._uses += 1
        process.last_used = self._uses

    def _set(self, process: Process, state: State) -> None:
        process.state = state
        self.peak = max(self.peak, self.used)
        self._changed()

    def _later(self, process: Process, seconds: float, step: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        process.timer = loop.call_later(seconds * self._pace.time_scale, step)

    def _changed(self) -> None:
        self._change.set()
        self._change = asyncio.Event()

    async def _next_change(self) -> None:
        await self._change.wait()

    # --- for the tests' control

    def add(self, model: RouterModel) -> None:
        """Add or replace."""
        self.remove(model.name)
        self.processes[model.name] = Process(model)

    def remove(self, name: str) -> None:
        """Forget a model, its process included."""
        process = self.processes.pop(name, None)
        if process is not None:
            self._stop_now(process)

    def restart(self) -> None:
        """Every process is gone at once, as after a restart of the router."""
        for process in self.processes.values():
            self._stop_now(process)
            process.exit_code = 0

    def reset(self) -> None:
        """As at the start."""
        self.restart()
        self.processes = {model.name: Process(model) for model in self._initial}
        self.loads = self.evictions = self.failures = self.peak = 0
        self._to_fail.clear()
        self._changed()

    def close(self) -> None:
        """Stop every timer."""
        self.restart()

    def _stop_now(self, process: Process) -> None:
        if process.timer is not None:
            process.timer.cancel()
        if process.running:
            self._end(process, 0)
