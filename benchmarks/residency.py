"""Two big models in one small memory: what each way of taking turns costs, on the same traces.

A machine of 16 GB with a *brain* of 13 GB and an *executor* of 9 GB, which do not fit together; loads run at 1 GB/s,
giving memory back takes 0.2 s, and each model serves one request at a time. The clock is simulated and everything is
seeded. Traces, each of 200 requests:

- ``alternating``: brain and executor in turn, all at once or every so many seconds;
- ``bursts``: twenty at once, of either model, every two minutes;
- ``sessions``: crews that plan with three calls of the brain and then execute with five of the executor, each call
  after the one before it; the look-ahead policy is told the plan;
- ``many``: three to six models of 3 to 10 GB, some asked for more often than others;
- ``small``: two or three sessions of at most twelve requests in all, for which the shortest drain is found by search.

Policies: ``fifo`` (strictly in order), ``ollama`` (its scheduler, as our simulator has it), ``collation`` (whoever's model
is loaded goes first, without a bound: llama-swap's way), ``coreto``, and ``coreto+plans``.

``behind``: the longest that a request spent waiting while the machine worked for another model's later requests.
Run: ``python benchmarks/residency.py [--seeds N] [--json] [--plots FOLDER]`` (plots need matplotlib).
"""

import argparse
import heapq
import json
import random
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Protocol

from coreto.residency.effects import Note
from coreto.residency.model import Hosted, Lease, ModelId, Rejection, Request, Rules, Step
from coreto.residency.scheduler import Scheduler
from coreto.simulators.ollama import scheduler as ollama

GB = 10**9
BUDGET = 16 * GB
BANDWIDTH = 1e9
UNLOAD = 0.2
PAIR = {"brain": 13 * GB, "executor": 9 * GB}


# --- traces


@dataclass(frozen=True)
class Call:
    """One request. ``think``: seconds between the end of the session's last call and this one."""

    model: str
    service: float
    think: float = 0.0


@dataclass(frozen=True)
class Session:
    """Calls one after the other, the first ``calls[0].think`` after ``start``."""

    start: float
    calls: tuple[Call, ...]


@dataclass(frozen=True)
class Trace:
    """What comes when; ``models``: bytes by name."""

    name: str
    models: dict[str, int]
    sessions: tuple[Session, ...]

    @property
    def requests(self) -> int:
        return sum(len(session.calls) for session in self.sessions)


def _service(rng: random.Random, model: str) -> float:
    return rng.uniform(2.0, 4.0) if model == "brain" else rng.uniform(1.0, 3.0)


def alternating(every: float, seed: int, count: int = 200) -> Trace:
    """Brain and executor in turn, one every ``every`` seconds."""
    rng = random.Random(f"alternating {every} {seed}")
    names = ("brain", "executor")
    sessions = (
        Session(at * every, (Call(names[at % 2], _service(rng, names[at % 2])),)) for at in range(count)
    )
    return Trace(f"alternating, {f'every {every:g} s' if every else 'all at once'}", PAIR, tuple(sessions))


def bursts(seed: int, count: int = 200) -> Trace:
    """Twenty at once every two minutes."""
    rng = random.Random(f"bursts {seed}")
    chosen = [rng.choice(("brain", "executor")) for _ in range(count)]
    sessions = (
        Session(120.0 * (at // 20) + rng.random(), (Call(m, _service(rng, m)),))
        for at, m in enumerate(chosen)
    )
    return Trace("bursts of 20", PAIR, tuple(sorted(sessions, key=lambda session: session.start)))


def crew(rng: random.Random, start: float, *steps: int) -> Session:
    """A session of so many calls of the brain, then of the executor, and so on."""
    names = [name for at, calls in enumerate(steps) for name in [("brain", "executor")[at % 2]] * calls]
    return Session(start, tuple(Call(name, _service(rng, name), rng.uniform(0.2, 2.0)) for name in names))


def crews(gap: float, seed: int, count: int = 25) -> Trace:
    """Sessions that begin ``gap`` seconds apart on average."""
    rng = random.Random(f"sessions {gap} {seed}")
    start, out = 0.0, []
    for _ in range(count):
        out.append(crew(rng, start, 3, 5))
        start += rng.expovariate(1 / gap)
    return Trace(f"sessions, every {gap:g} s", PAIR, tuple(out))


def many(kinds: int, seed: int, count: int = 200) -> Trace:
    """``kinds`` models, the first asked for most often."""
    rng = random.Random(f"many {kinds} {seed}")
    models = {f"m{i}": rng.randint(3, 10) * GB for i in range(kinds)}
    weights = [1 / (i + 1) for i in range(kinds)]
    start, out = 0.0, []
    for _ in range(count):
        name = rng.choices(sorted(models), weights)[0]
        out.append(Session(start, (Call(name, rng.uniform(1.0, 4.0)),)))
        start += rng.expovariate(1 / 4.0)
    return Trace(f"{kinds} models", models, tuple(out))


def small(seed: int) -> Trace:
    """Two or three short sessions, at most twelve requests in all; some review what was executed."""
    rng = random.Random(f"small {seed}")
    number = rng.choice((2, 3))
    kinds = (
        ((2, 3), (1, 3), (2, 2), (1, 2, 1)) if number == 3 else ((3, 3), (2, 4), (1, 4), (2, 2, 2), (1, 3, 1))
    )
    spread = rng.choice((5.0, 20.0, 60.0))
    sessions = [crew(rng, rng.uniform(0, spread), *rng.choice(kinds)) for _ in range(number)]
    while sum(len(session.calls) for session in sessions) > 12:
        sessions.pop()
    return Trace("small", PAIR, tuple(sorted(sessions, key=lambda session: session.start)))


# --- the world


class Policy(Protocol):
    """What decides, as the world drives it."""

    def request(self, request: str, model: str, plan: str | None, now: float) -> None: ...
    def released(self, request: str, now: float) -> None: ...
    def loaded(self, model: str, now: float) -> None: ...
    def unloaded(self, model: str, now: float) -> None: ...
    def timer(self, now: float) -> None: ...
    def announce(self, plan: str, steps: Sequence[Step], now: float) -> None: ...


@dataclass
class Served:
    """What became of one request, in seconds."""

    model: str
    number: int
    arrived: float
    started: float = -1.0
    ended: float = -1.0
    behind: float = 0.0


@dataclass(order=True)
class _Event:
    at: float
    order: int
    act: Callable[[], None] = field(compare=False)


class World:
    """Memory, engines and callers on a simulated clock; it checks what a policy does."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.now = 0.0
        self.requests: dict[str, Served] = {}
        self.swaps = 0
        self.loads = 0
        self.violations = 0
        self.history: list[tuple[float, str, str]] = []
        self._policy: Policy | None = None
        self._events: list[_Event] = []
        self._order = 0
        self._memory: dict[str, int] = {}
        self._ready: set[str] = set()
        self._running: dict[str, str] = {}
        self._calls: dict[str, Callable[[], None]] = {}
        self._timer = 0
        self._unloaded_before_load = False
        self._aged = 0.0

    def run(self, policy: Policy, *, limit: float = 1e6) -> None:
        """Let the trace happen; stops when nothing is left to do, or after ``limit`` seconds."""
        self._policy = policy
        for index, session in enumerate(self.trace.sessions):
            self._at(session.start, lambda i=index, s=session: self._begin(i, s))
        while self._events and self.now < limit and not self.done:
            event = heapq.heappop(self._events)
            self._age(event.at)
            self.now = event.at
            event.act()

    @property
    def done(self) -> bool:
        return len(self.requests) == self.trace.requests and all(r.ended >= 0 for r in self.requests.values())

    @property
    def drain(self) -> float:
        """When the last request ended."""
        return max(r.ended for r in self.requests.values())

    def _at(self, when: float, act: Callable[[], None]) -> None:
        self._order += 1
        heapq.heappush(self._events, _Event(when, self._order, act))

    def _begin(self, index: int, session: Session) -> None:
        steps: list[Step] = []
        for call in session.calls:
            if steps and steps[-1].model == call.model:
                steps[-1] = Step(call.model, steps[-1].calls + 1)
            else:
                steps.append(Step(call.model, 1))
        assert self._policy is not None
        if len(session.calls) > 1:
            self._policy.announce(f"s{index}", steps, self.now)
        self._next_call(index, session, 0)

    def _next_call(self, index: int, session: Session, at: int) -> None:
        if at < len(session.calls):
            self._at(self.now + session.calls[at].think, lambda: self._ask(index, session, at))

    def _ask(self, index: int, session: Session, at: int) -> None:
        call, name = session.calls[at], f"{index}.{at}"
        self.requests[name] = Served(call.model, len(self.requests) + 1, self.now)

        def run() -> None:
            self.requests[name].started = self.now
            self._running[name] = call.model
            self._at(self.now + call.service, end)

        def end() -> None:
            self.requests[name].ended = self.now
            del self._running[name]
            assert self._policy is not None
            self._policy.released(name, self.now)
            self._next_call(index, session, at + 1)

        self._calls[name] = run
        assert self._policy is not None
        self._policy.request(name, call.model, f"s{index}" if len(session.calls) > 1 else None, self.now)

    def _age(self, until: float) -> None:
        passed, self._aged = until - self._aged, until
        waiting = [r for r in self.requests.values() if r.started < 0]
        loading = [m for m in self._memory if m not in self._ready]
        for request in waiting:
            works_for = [self.requests[n].number for n, m in self._running.items() if m != request.model]
            for model in loading:
                if model != request.model:
                    first = min((r.number for r in waiting if r.model == model), default=10**9)
                    works_for.append(first)
            if max(works_for, default=0) > request.number:
                request.behind += passed

    # --- what a policy may do (an Effects)

    def start_load(self, model: str, _context: int | None = None) -> None:
        self._memory[model] = self.trace.models[model]
        self.violations += sum(self._memory.values()) > BUDGET
        self.loads += 1
        self.swaps += self._unloaded_before_load
        self._unloaded_before_load = False
        self.history.append((self.now, "load", model))

        def done() -> None:
            self._ready.add(model)
            self.history.append((self.now, "ready", model))
            assert self._policy is not None
            self._policy.loaded(model, self.now)

        self._at(self.now + self.trace.models[model] / BANDWIDTH, done)

    def start_unload(self, model: str) -> None:
        self.violations += model in self._running.values()
        self._ready.discard(model)
        self._unloaded_before_load = True
        self.history.append((self.now, "unload", model))

        def done() -> None:
            del self._memory[model]
            assert self._policy is not None
            self._policy.unloaded(model, self.now)

        self._at(self.now + UNLOAD, done)

    def grant(self, request: str, lease: Lease) -> bool:
        self.violations += lease.model not in self._ready
        self.violations += lease.model in self._running.values()
        self._calls.pop(request)()
        return True

    def reject(self, request: str, rejection: Rejection) -> None:
        raise AssertionError(f"{request}: {rejection}")

    def set_timer(self, at: float | None) -> None:
        self._timer += 1
        mine = self._timer
        if at is not None:
            self._at(max(at, self.now), lambda: self._ring(mine))

    def _ring(self, timer: int) -> None:
        if timer == self._timer:
            assert self._policy is not None
            self._policy.timer(self.now)

    def note(self, note: Note) -> None:
        pass


# --- policies


class Coreto:
    """Ours. ``plans``: whether it is told them."""

    def __init__(self, world: World, *, plans: bool, rules: Rules | None = None) -> None:
        models = [Hosted(ModelId(name), size) for name, size in world.trace.models.items()]
        self.scheduler = Scheduler(models, BUDGET, world, rules=rules or Rules(max_queue=10**6))
        self._plans = plans

    def request(self, request: str, model: str, plan: str | None, now: float) -> None:
        self.scheduler.on_request(Request(request, model, plan=plan if self._plans else None), now)

    def released(self, request: str, now: float) -> None:
        self.scheduler.on_released(request, now)

    def loaded(self, model: str, now: float) -> None:
        self.scheduler.on_loaded(model, None, now)

    def unloaded(self, model: str, now: float) -> None:
        self.scheduler.on_unloaded(model, now)

    def timer(self, now: float) -> None:
        self.scheduler.on_timer(now)

    def announce(self, plan: str, steps: Sequence[Step], now: float) -> None:
        if self._plans:
            self.scheduler.on_announce(plan, steps, now)


class InOrder:
    """The head of the queue is served; who needs room evicts the longest unused. ``collate``: whoever's model is
    loaded is served at once, ahead of the queue."""

    def __init__(self, world: World, *, collate: bool) -> None:
        self._world = world
        self._collate = collate
        self._queue: list[tuple[str, str]] = []
        self._resident: dict[str, float] = {}
        self._busy: dict[str, str] = {}
        self._moving: set[str] = set()
        self._held: set[str] = set()

    def request(self, request: str, model: str, _plan: str | None, now: float) -> None:
        self._queue.append((request, model))
        self._go(now)

    def released(self, request: str, now: float) -> None:
        self._resident[self._busy.pop(request)] = now
        self._go(now)

    def loaded(self, model: str, now: float) -> None:
        self._moving.discard(model)
        self._resident[model] = now
        self._go(now)

    def unloaded(self, model: str, now: float) -> None:
        self._moving.discard(model)
        self._held.discard(model)
        self._go(now)

    def timer(self, now: float) -> None: ...

    def announce(self, plan: str, steps: Sequence[Step], now: float) -> None: ...

    def _go(self, now: float) -> None:
        while self._serve_one(now):
            pass
        if self._queue and not self._moving and self._queue[0][1] not in self._resident:
            self._make_room(self._queue[0][1])

    def _serve_one(self, now: float) -> bool:
        for request, model in self._queue if self._collate else self._queue[:1]:
            if model in self._resident and model not in self._busy.values():
                self._queue.remove((request, model))
                self._busy[request] = model
                self._resident[model] = now
                self._world.grant(request, Lease(model))
                return True
        return False

    def _make_room(self, model: str) -> None:
        sizes = self._world.trace.models
        if sum(sizes[m] for m in (*self._resident, model)) <= BUDGET:
            self._moving.add(model)
            self._world.start_load(model)
            return
        idle = [m for m in self._resident if m not in self._busy.values()]
        if idle:
            victim = min(idle, key=lambda m: self._resident[m])
            del self._resident[victim]
            self._moving.add(victim)
            self._world.start_unload(victim)


class Ollama:
    """Ollama's scheduler, as the project's simulator has it."""

    def __init__(self, world: World) -> None:
        self._world = world
        limits = ollama.Limits(BUDGET, max_loaded=len(world.trace.models), max_queue=10**6, keep_alive=1e9)
        self._machine = ollama.Scheduler(limits)
        self._names: list[str] = []
        self._models: dict[str, str] = {}

    def request(self, request: str, model: str, _plan: str | None, now: float) -> None:
        self._names.append(request)
        self._models[request] = model
        size = self._world.trace.models[model]
        options = ollama.RunnerOptions(4096)
        self._do(self._machine.submit(ollama.Need(len(self._names) - 1, model, model, size, options), now))

    def released(self, request: str, now: float) -> None:
        self._do(self._machine.finished(self._names.index(request), now))

    def loaded(self, model: str, now: float) -> None:
        self._do(self._machine.loaded(model, now))

    def unloaded(self, model: str, now: float) -> None:
        self._do(self._machine.gone(model, now))

    def timer(self, now: float) -> None: ...

    def announce(self, plan: str, steps: Sequence[Step], now: float) -> None: ...

    def _do(self, actions: list[ollama.Action]) -> None:
        for action in actions:
            match action:
                case ollama.Grant(id=number):
                    name = self._names[number]
                    self._world.grant(name, Lease(self._models[name]))
                case ollama.StartLoad(weights=model):
                    self._world.start_load(model)
                case ollama.StartUnload(weights=model):
                    self._world.start_unload(model)
                case _:
                    raise AssertionError(action)


POLICIES: dict[str, Callable[[World], Policy]] = {
    "fifo": lambda world: InOrder(world, collate=False),
    "ollama": Ollama,
    "collation": lambda world: InOrder(world, collate=True),
    "coreto": lambda world: Coreto(world, plans=False),
    "coreto+plans": lambda world: Coreto(world, plans=True),
}


def shortest_drain(trace: Trace) -> tuple[float, int]:
    """The earliest end of a small trace, and the switches of a schedule that reaches it.

    By search over all orders, for models of which no two fit together. It knows all that will come, so that it
    switches as soon as the last request of a turn has ended; but it loads nothing before the first session is there.
    """
    sizes, sessions = trace.models, trace.sessions
    assert all(a == b or sizes[a] + sizes[b] > BUDGET for a in sizes for b in sizes)
    best = (float("inf"), 0)
    seen: dict[tuple[tuple[int, ...], str | None], list[tuple[float, ...]]] = {}

    def visit(
        at: tuple[int, ...], ready: tuple[float, ...], free: float, loaded: str | None, swaps: int
    ) -> None:
        nonlocal best
        left = [c for s, i in zip(sessions, at, strict=True) for c in s.calls[i:]]
        loads = sum(sizes[m] / BANDWIDTH for m in {c.model for c in left} - {loaded})
        if (free + loads + sum(c.service for c in left), swaps) >= best:
            return
        if not left:
            best = (free, swaps)
        state = (free, *ready, swaps)
        known = seen.setdefault((at, loaded), [])
        if any(all(a <= b for a, b in zip(other, state, strict=True)) for other in known):
            return
        known.append(state)
        open_ = [i for i, session in enumerate(sessions) if at[i] < len(session.calls)]
        for i in sorted(open_, key=lambda i: (sessions[i].calls[at[i]].model != loaded, ready[i])):
            session = sessions[i]
            call = session.calls[at[i]]
            load = (
                0.0 if call.model == loaded else sizes[call.model] / BANDWIDTH + (UNLOAD if loaded else 0.0)
            )
            end = max(ready[i], free + load) + call.service
            after = session.calls[at[i] + 1].think if at[i] + 1 < len(session.calls) else 0.0
            visit(
                (*at[:i], at[i] + 1, *at[i + 1 :]),
                (*ready[:i], end + after, *ready[i + 1 :]),
                end,
                call.model,
                swaps + (loaded is not None and call.model != loaded),
            )

    first = tuple(session.start + session.calls[0].think for session in sessions)
    visit((0,) * len(sessions), first, sessions[0].start, None, 0)
    return best


# --- what comes out


@dataclass(frozen=True)
class Row:
    """Means over the seeds, except ``wait_max`` and ``behind_max``, the largest. Seconds. ``of_best``: the drain as
    a multiple of the shortest possible, on the small traces."""

    trace: str
    policy: str
    swaps: float
    drain: float
    wait_p95: float
    wait_max: float
    behind_max: float
    violations: int
    unserved: int = 0
    of_best: float | None = None


def run(trace: Trace, policy: str) -> World:
    """The trace under the policy."""
    world = World(trace)
    world.run(POLICIES[policy](world))
    return world


def row(name: str, policy: str, worlds: Sequence[World]) -> Row:
    """What the worlds have in common."""
    p95, longest, behind, drains = [], 0.0, 0.0, []
    for world in worlds:
        waits = sorted(r.started - r.arrived for r in world.requests.values())
        p95.append(waits[int(0.95 * (len(waits) - 1))])
        longest = max(longest, waits[-1])
        behind = max(behind, *(r.behind for r in world.requests.values()))
        drains.append(world.drain)
    return Row(
        name, policy,
        swaps=statistics.fmean(world.swaps for world in worlds),
        drain=statistics.fmean(drains),
        wait_p95=statistics.fmean(p95),
        wait_max=longest,
        behind_max=behind,
        violations=sum(world.violations for world in worlds),
        unserved=sum(not world.done for world in worlds),
    )  # fmt: skip


def families(seeds: int, count: int = 200) -> Iterator[list[Trace]]:
    """Every kind of trace, each with ``seeds`` seeds."""
    for every in (0.0, 2.0, 5.0, 10.0, 20.0):
        yield [alternating(every, seed, count) for seed in range(seeds)]
    yield [bursts(seed, count) for seed in range(seeds)]
    for gap in (10.0, 30.0, 60.0):
        yield [crews(gap, seed, count // 8) for seed in range(seeds)]
    for kinds in (3, 4, 5, 6):
        yield [many(kinds, seed, count) for seed in range(seeds)]
    yield [small(seed) for seed in range(8 * seeds)]


def measure(seeds: int, count: int = 200) -> list[Row]:
    """All policies on all traces; the small ones beside the optimum."""
    rows: list[Row] = []
    for traces in families(seeds, count):
        best = [shortest_drain(trace) for trace in traces] if traces[0].name == "small" else []
        for policy in POLICIES:
            worlds = [run(trace, policy) for trace in traces]
            found = row(traces[0].name, policy, worlds)
            if best:
                ratios = (world.drain / drain for world, (drain, _) in zip(worlds, best, strict=True))
                found = replace(found, of_best=statistics.fmean(ratios))
            rows.append(found)
        if best:
            drain, swaps = (statistics.fmean(values) for values in zip(*best, strict=True))
            rows.append(Row("small", "optimum", swaps, drain, 0.0, 0.0, 0.0, 0, of_best=1.0))
    return rows


def table(rows: Sequence[Row]) -> str:
    """The rows as markdown."""
    lines = [
        "| trace | policy | swaps | drain s | of the best | p95 wait s | max wait s | max behind s | violations |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {r.trace} | {r.policy} | {r.swaps:.1f} | {r.drain:.0f} "
        f"| {f'{r.of_best:.3f}' if r.of_best else ''} | {r.wait_p95:.1f} | {r.wait_max:.1f} "
        f"| {r.behind_max:.1f} | {r.violations}{f' ({r.unserved} unserved)' if r.unserved else ''} |"
        for r in rows
    ]
    return "\n".join(lines)


def plot(rows: Sequence[Row], folder: Path) -> None:
    """Swaps, drain and 95th percentile as bars, one picture each."""
    try:
        from matplotlib import pyplot as plt  # noqa: PLC0415 - only here, and not a dependency
    except ImportError:
        sys.exit("plots need matplotlib: pip install matplotlib")
    folder.mkdir(parents=True, exist_ok=True)
    traces = list(dict.fromkeys(r.trace for r in rows))
    policies = list(dict.fromkeys(r.policy for r in rows))
    for key, title in (
        ("swaps", "switches"),
        ("drain", "seconds to drain"),
        ("wait_p95", "p95 wait, seconds"),
    ):
        figure, axes = plt.subplots(figsize=(14, 5))
        for at, policy in enumerate(policies):
            mine = {r.trace: getattr(r, key) for r in rows if r.policy == policy}
            axes.bar(
                [i + at * 0.8 / len(policies) for i in range(len(traces))],
                [mine.get(trace, 0.0) for trace in traces],
                0.8 / len(policies),
                label=policy,
            )
        axes.set_xticks([i + 0.4 for i in range(len(traces))], traces, rotation=25, ha="right")
        axes.set_title(title)
        axes.legend()
        figure.tight_layout()
        figure.savefig(folder / f"residency_{key}.png", dpi=120)
        plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description="What each way of taking turns costs.")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--plots", type=Path, metavar="FOLDER")
    given = parser.parse_args()
    rows = measure(given.seeds)
    print(json.dumps([asdict(r) for r in rows], indent=1) if given.json else table(rows))
    if given.plots:
        plot(rows, given.plots)


if __name__ == "__main__":
    main()
