"""Which models are in memory: Ollama's scheduler as a pure machine of events.

Every event takes the time and returns the actions to perform, in order; nothing here waits or reads a clock.
The head of the queue is placed by this decision list (numbers as in `Scheduler._place`):

1. its weights are loaded with equal options: attach to that runner;
2. its weights are leaving memory: wait;
3. its weights are loaded with other options: let that runner go when it is idle, wait (a reload);
4. a load is under way, or a runner was already told to go: wait (head-of-line);
5. as many models loaded as allowed: send one away, wait;
6. others are loaded and the prediction is above 80 % of the free memory: send one away, wait;
7. others are loaded and the true need does not fit after all: send all away, wait;
8. alone: lower an automatic context until it fits, else put a part into host memory, else refuse (out of memory);
9. load.

Who is sent away: the first idle one in the order (shortest keep-alive, name of the weights), else the first.
It is not the least recently used one. A request that fits case 1 on arrival does not queue at all.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum

FOREVER = float("inf")
_LOWER_CONTEXTS = (32768, 4096)
_SAFE_SHARE = 0.8


@dataclass(frozen=True, slots=True)
class RunnerOptions:
    """What a runner is started with; a difference means a reload. -1 GPU layers means automatic."""

    num_ctx: int
    automatic_ctx: bool = True
    num_gpu: int = -1

    def same_runner(self, other: "RunnerOptions") -> bool:
        """Equal, where two automatic contexts are always equal."""
        automatic = self.automatic_ctx and other.automatic_ctx
        return self.num_gpu == other.num_gpu and (automatic or self.num_ctx == other.num_ctx)


@dataclass(frozen=True, slots=True)
class Need:
    """One request for a model in memory. Sizes in bytes, `keep_alive` in seconds (None: the default).

    `surprise` is what the true use exceeds the prediction by.
    """

    id: int
    weights: str
    name: str
    size: int
    options: RunnerOptions
    bytes_per_token: int = 0
    keep_alive: float | None = None
    surprise: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """The machine and the server's settings; bytes and seconds."""

    memory: int
    host_memory: int = 0
    max_loaded: int = 3
    max_queue: int = 512
    num_parallel: int = 1
    keep_alive: float = 300.0


class Refusal(StrEnum):
    """Why a request is not served."""

    QUEUE_FULL = "queue_full"
    TOO_LARGE = "too_large"
    OUT_OF_MEMORY = "out_of_memory"
    RESTARTED = "restarted"


@dataclass(frozen=True, slots=True)
class Grant:
    """The request may run now, in a runner with this context."""

    id: int
    num_ctx: int


@dataclass(frozen=True, slots=True)
class Refuse:
    """The request ends here."""

    id: int
    reason: Refusal


@dataclass(frozen=True, slots=True)
class StartLoad:
    """Begin to load; report `Scheduler.loaded` when done."""

    weights: str
    size: int


@dataclass(frozen=True, slots=True)
class StartUnload:
    """Begin to free the memory; report `Scheduler.gone` when it is back."""

    weights: str


Action = Grant | Refuse | StartLoad | StartUnload


class Phase(StrEnum):
    """Where a runner stands."""

    LOADING = "loading"
    READY = "ready"
    LEAVING = "leaving"


@dataclass(slots=True)
class Runner:
    """A model in memory. `size` is all of it, `vram` the part on the GPU."""

    weights: str
    name: str
    size: int
    vram: int
    options: RunnerOptions
    keep_alive: float
    expires_at: float
    phase: Phase = Phase.LOADING
    doomed: bool = False
    active: set[int] = field(default_factory=set[int])
    waiting: deque[int] = field(default_factory=deque[int])

    @property
    def idle(self) -> bool:
        """Ready and held by nobody."""
        return self.phase is Phase.READY and not self.active and not self.waiting


class Scheduler:
    """The state of one server. See the module for its rules."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.runners: dict[str, Runner] = {}
        self.queue: deque[Need] = deque()
        self.loads = 0
        self.evictions = 0

    # --- what can be asked

    @property
    def used(self) -> int:
        """Bytes of GPU memory held, by runners that are leaving too."""
        return sum(runner.vram for runner in self.runners.values())

    @property
    def free(self) -> int:
        """Bytes of GPU memory left."""
        return self.limits.memory - self.used

    def resident(self) -> list[Runner]:
        """What ``/api/ps`` lists: loading or ready, longest expiry first."""
        staying = [runner for runner in self.runners.values() if runner.phase is not Phase.LEAVING]
        return sorted(staying, key=lambda runner: (-runner.expires_at, runner.name))

    def next_expiry(self) -> float | None:
        """When `expire` has something to do next."""
        times = [runner.expires_at for runner in self.runners.values() if runner.idle]
        return min((time for time in times if time != FOREVER), default=None)

    # --- events

    def submit(self, need: Need, now: float) -> list[Action]:
        """A request arrives. It attaches (case 1), queues, or is refused when the queue is full."""
        runner = self.runners.get(need.weights)
        if runner is not None and _fits(runner, need):
            return self._attach(runner, need, now)
        if len(self.queue) >= self.limits.max_queue:
            return [Refuse(need.id, Refusal.QUEUE_FULL)]
        self.queue.append(need)
        return self._pump(now)

    def loaded(self, weights: str, now: float) -> list[Action]:
        """A load that `StartLoad` asked for is done."""
        runner = self.runners.get(weights)
        if runner is None or runner.phase is not Phase.LOADING:
            return []
        runner.phase = Phase.READY
        return [*self._admit(runner), *self._settle(runner, now), *self._pump(now)]

    def finished(self, request: int, now: float) -> list[Action]:
        """A granted request ended, or a waiting one was given up."""
        for runner in self.runners.values():
            if request in runner.active:
                runner.active.discard(request)
            elif request in runner.waiting:
                runner.waiting.remove(request)
            else:
                continue
            if runner.phase is Phase.LOADING:
                return []
            return [*self._admit(runner), *self._settle(runner, now), *self._pump(now)]
        self.queue = deque(need for need in self.queue if need.id != request)
        return self._pump(now)

    def gone(self, weights: str, now: float) -> list[Action]:
        """Memory that `StartUnload` asked for is back."""
        runner = self.runners.get(weights)
        if runner is not None and runner.phase is Phase.LEAVING:
            del self.runners[weights]
        return self._pump(now)

    def expire(self, now: float) -> list[Action]:
        """Let go what was idle for its keep-alive."""
        over = [r for r in self.runners.values() if r.idle and r.expires_at <= now]
        return [*_each(self._leave, over), *self._pump(now)]

    def unload(self, weights: str, now: float) -> list[Action]:
        """``keep_alive: 0`` without a prompt: go as soon as nobody holds it."""
        runner = self.runners.get(weights)
        if runner is None or runner.phase is Phase.LEAVING:
            return []
        runner.keep_alive = 0.0
        runner.expires_at = now
        return [*self._settle(runner, now), *self._pump(now)]

    def expire_all(self, now: float) -> list[Action]:
        """Out of memory while running: every model goes as soon as it is idle."""
        return [*self._doom(list(self.runners.values())), *self._pump(now)]

    def restart(self) -> list[Action]:
        """The engine starts anew: nothing is resident, whoever waited is refused."""
        lost = [request for runner in self.runners.values() for request in runner.waiting]
        lost += [need.id for need in self.queue]
        self.runners.clear()
        self.queue.clear()
        return [Refuse(request, Refusal.RESTARTED) for request in lost]

    # --- the decision list

    def _pump(self, now: float) -> list[Action]:
        actions: list[Action] = []
        while self.queue:
            placed = self._place(self.queue[0], now)
            actions += placed or []
            if placed is None or any(isinstance(action, StartUnload) for action in placed):
                break
        return actions

    def _place(self, need: Need, now: float) -> list[Action] | None:
        """Serve the head of the queue (then it is off the queue), or None: it waits."""
        runner = self.runners.get(need.weights)
        if runner is not None and _fits(runner, need):  # 1
            self.queue.popleft()
            return self._attach(runner, need, now)
        if runner is not None and runner.phase is Phase.LEAVING:  # 2
            return None
        if runner is not None:  # 3
            return self._doom([runner]) or None
        others = list(self.runners.values())
        if any(r.doomed or r.phase is not Phase.READY for r in others):  # 4
            return None
        predicted = need.size + need.bytes_per_token * need.options.num_ctx
        if len(others) >= self.limits.max_loaded:  # 5
            return self._doom([_victim(others)]) or None
        if others and predicted > _SAFE_SHARE * self.free:  # 6
            return self._doom([_victim(others)]) or None
        if others and predicted + need.surprise > self.free:  # 7
            return self._doom(others) or None
        self.queue.popleft()
        return self._load(need, now)

    def _load(self, need: Need, now: float) -> list[Action]:
        options = need.options
        size = _true_size(need, options)
        if size > self.free and options.automatic_ctx:  # 8
            for lower in _LOWER_CONTEXTS:
                if size > self.free and lower < options.num_ctx:
                    options = replace(options, num_ctx=lower)
                    size = _true_size(need, options)
        if size > self.free + self.limits.host_memory:
            return [Refuse(need.id, Refusal.OUT_OF_MEMORY if need.surprise else Refusal.TOO_LARGE)]
        runner = Runner(  # 9
            weights=need.weights,
            name=need.name,
            size=size,
            vram=min(size, self.free),
            options=options,
            keep_alive=self.limits.keep_alive,
            expires_at=now,
        )
        self.runners[need.weights] = runner
        self.loads += 1
        return [StartLoad(need.weights, size), *self._attach(runner, need, now)]

    # --- runners

    def _attach(self, runner: Runner, need: Need, now: float) -> list[Action]:
        if need.keep_alive is not None:
            runner.keep_alive = need.keep_alive
        runner.expires_at = now + runner.keep_alive
        runner.waiting.append(need.id)
        return self._admit(runner)

    def _admit(self, runner: Runner) -> list[Action]:
        granted: list[Action] = []
        while (
            runner.phase is Phase.READY and runner.waiting and len(runner.active) < self.limits.num_parallel
        ):
            request = runner.waiting.popleft()
            runner.active.add(request)
            granted.append(Grant(request, runner.options.num_ctx))
        return granted

    def _settle(self, runner: Runner, now: float) -> list[Action]:
        """After a change: an idle runner either leaves or starts its keep-alive."""
        if not runner.idle:
            return []
        if runner.doomed or runner.keep_alive <= 0:
            return self._leave(runner)
        runner.expires_at = now + runner.keep_alive
        return []

    def _doom(self, runners: list[Runner]) -> list[Action]:
        for runner in runners:
            runner.doomed = True
        return _each(self._leave, [runner for runner in runners if runner.idle])

    def _leave(self, runner: Runner) -> list[Action]:
        runner.phase = Phase.LEAVING
        self.evictions += runner.doomed
        return [StartUnload(runner.weights)]


def _fits(runner: Runner, need: Need) -> bool:
    return runner.phase is not Phase.LEAVING and runner.options.same_runner(need.options)


def _victim(runners: list[Runner]) -> Runner:
    order = sorted(runners, key=lambda runner: (runner.keep_alive, runner.weights))
    return next((runner for runner in order if runner.idle), order[0])


def _true_size(need: Need, options: RunnerOptions) -> int:
    return need.size + need.bytes_per_token * options.num_ctx + need.surprise


def _each(step: Callable[[Runner], list[Action]], runners: list[Runner]) -> list[Action]:
    return [action for runner in runners for action in step(runner)]
