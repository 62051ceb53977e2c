"""Real models under one residency, and a sampler of what their processes take.

The figure held against the budget is the sum of ``VmRSS`` of all engine processes (what is allocated, and the weights
that are mapped), as the kernel gives it. The budget is the estimate of the larger file with the error that
``residency/memory.py`` documents, three in a hundred.
"""

import asyncio
import contextlib
import importlib.util
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from coreto.messages import Call, Whole, text_of
from coreto.providers.embedded import EmbeddedEngine
from coreto.providers.gguf import read
from coreto.providers.weights import GgufModel
from coreto.residency import runtime
from coreto.residency.effects import Happening, Note
from coreto.residency.memory import estimate, shape_of
from coreto.residency.model import Hosted, Rules
from coreto.residency.runtime import Residency
from coreto.residency.scheduler import Scheduler
from coreto.testing.clock import VirtualClock

MARKER = "embedded_child.py"
SMALL, LARGE = "small", "large"
CONTEXT = 2048
#: Of an estimate, as its module says.
ERROR = 0.03
MIB = 2**20
#: Seconds between two looks at the memory; a load takes some forty times as long.
SAMPLE = 0.01
#: No switch is delayed: what the brake does is the scheduler's own tests' matter.
NO_BRAKE = Rules(brake_after=1_000)

Fingerprint = tuple[str, str, tuple[float, ...]]
"""A model's name, its answer, and how sure it was of each token: no other weights give the same."""


def _support(name: str) -> Any:
    path = Path(__file__).parents[2] / "support" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"coreto_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


copies = _support("gguf_copies")

#: For every module here: real models are slow, and only Linux tells of their memory like this.
REAL = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory where Linux tells it"),
]


def need_of(path: Path) -> int:
    """Bytes by the file's header."""
    return estimate(shape_of(read(path)), CONTEXT).total


def budget_for(files: Mapping[str, Path]) -> int:
    """Room for the larger one, and not for both."""
    needs = [need_of(path) for path in files.values()]
    budget = int(max(needs) * (1 + ERROR))
    assert sum(needs) > budget * 1.2
    return budget


# --- calls


def call(model: str, *, tokens: int = 12, stream: bool = False, content: str | None = None) -> Call:
    """``tokens`` and no fewer are generated when it is streamed."""
    messages = [{"role": "user", "content": content or "Why is the sky blue? One sentence."}]
    body: dict[str, Any] = {"messages": messages, "max_tokens": tokens, "temperature": 0, "seed": 1}
    body |= {"ignore_eos": True} if stream else {"logprobs": True, "cache_prompt": False}
    return Call(id="c1", body=body, model=model, stream=stream)


async def fingerprint(engine: EmbeddedEngine, model: str) -> Fingerprint:
    async with engine.open(call(model)) as items:
        (whole,) = [item async for item in items]
    assert isinstance(whole, Whole)
    body: Any = whole.body
    sure = tuple(round(token["logprob"], 3) for token in body["choices"][0]["logprobs"]["content"])
    return body["model"], text_of(body), sure


@asynccontextmanager
async def engine_of(files: Mapping[str, Path]) -> AsyncIterator[EmbeddedEngine]:
    engine = EmbeddedEngine({name: GgufModel(name, path, CONTEXT) for name, path in files.items()}, threads=1)
    try:
        yield engine
    finally:
        await engine.close()
        assert children() == [], "an engine process is left"


# --- processes and their memory


def children() -> list[int]:
    """This process's engine processes, zombies included."""
    found: list[int] = []
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if child.status() == psutil.STATUS_ZOMBIE or any(MARKER in part for part in child.cmdline()):
                found.append(child.pid)
    return found


def memory_of(pid: int) -> tuple[int, int]:
    """Bytes resident now, and at most so far; none of a process that is gone.

    A dying process's first thread tells of no memory any more, but while its other threads live it is still there.
    """
    for path in (Path(f"/proc/{pid}"), *_threads_of(pid)):
        figures = {"VmRSS": 0, "VmHWM": 0}
        with contextlib.suppress(OSError):
            for line in (path / "status").read_text(encoding="ascii", errors="replace").splitlines():
                name, _, value = line.partition(":")
                if name in figures:
                    figures[name] = int(value.split()[0]) * 1024
        if figures["VmRSS"]:
            return figures["VmRSS"], figures["VmHWM"]
    return 0, 0


def _threads_of(pid: int) -> list[Path]:
    try:
        return list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return []


async def until(condition: Callable[[], bool], within: float = 20.0) -> None:
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.005)


@dataclass
class Sampler:
    """Looks at the memory all the time. In bytes: ``peak`` of the sum over processes, ``told`` of the engine's own
    figures, ``highest`` of each process by the kernel's count, which misses nothing between two looks.
    ``processes``: how many had memory at the same time."""

    samples: int = 0
    peak: int = 0
    told: int = 0
    processes: int = 0
    highest: dict[int, int] = field(default_factory=dict[int, int])

    async def watch(self, engine: EmbeddedEngine) -> None:
        while True:
            figures = {pid: memory_of(pid) for pid in children()}
            self.samples += 1
            self.processes = max(self.processes, sum(now > 0 for now, _ in figures.values()))
            self.peak = max(self.peak, sum(now for now, _ in figures.values()))
            self.told = max(self.told, sum(resident.size for resident in await engine.resident()))
            self.highest |= {pid: max(most, self.highest.get(pid, 0)) for pid, (_, most) in figures.items()}
            await asyncio.sleep(SAMPLE)


# --- a host


@dataclass
class House:
    """Real models under one residency. ``held``: leases that run, by model; ``evicted_busy``: models that were
    told to go while somebody held them (none should be); ``swaps``: seconds from request to lease, where a load
    was needed. ``clock``: the residency's, where a test moves it; the engine's is the system's."""

    engine: EmbeddedEngine
    budget: int
    clock: VirtualClock | None = None
    notes: list[Note] = field(default_factory=list[Note])
    held: Counter[str] = field(default_factory=Counter[str])
    evicted_busy: list[str] = field(default_factory=list[str])
    swaps: list[float] = field(default_factory=list[float])
    sampler: Sampler = field(default_factory=Sampler)
    residency: Residency = field(init=False)

    def on_note(self, note: Note) -> None:
        self.notes.append(note)
        if note.happening in (Happening.SWITCH, Happening.OVER_BUDGET) and self.held[note.model]:
            self.evicted_busy.append(note.model)

    def heard(self, happening: Happening) -> list[Note]:
        return [note for note in self.notes if note.happening is happening]

    @asynccontextmanager
    async def lease(self, model: str) -> AsyncIterator[int]:
        """A lease; the process that holds the model, which must be the same when the lease is given back."""
        asked, loads = time.monotonic(), self.residency.status().loads
        async with self.residency.lease(model):
            if self.residency.status().loads > loads:
                self.swaps.append(time.monotonic() - asked)
            self.held[model] += 1
            try:
                (pid,) = children()
                yield pid
            finally:
                self.held[model] -= 1

    async def ask(self, model: str) -> Fingerprint:
        async with self.lease(model) as pid:
            answer = await fingerprint(self.engine, model)
            assert children() == [pid], "it was exchanged while it answered"
            return answer

    async def look(self) -> None:
        """Let the residency look at what the engine holds, which it does every few seconds of its clock."""
        assert self.clock is not None
        await self.clock.advance(runtime.LOOK_EVERY)

    def waits(self, model: str) -> bool:
        return any(known.waiting for known in self.residency.status().models if known.id == model)


@asynccontextmanager
async def house(
    files: Mapping[str, Path],
    budget: int,
    *,
    needs: Mapping[str, int] | None = None,
    rules: Rules = NO_BRAKE,
    clock: VirtualClock | None = None,
) -> AsyncIterator[House]:
    """A host with ``files``, taking ``needs`` bytes each (default: as their headers say). However it is used, nobody
    is evicted while it answers, and no process is left."""
    needs = needs or {name: need_of(path) for name, path in files.items()}
    models = [Hosted(name, needs[name], CONTEXT) for name in files]
    async with engine_of(files) as engine:
        home = House(engine, budget, clock)
        home.residency = Residency(
            engine,
            lambda effects: Scheduler(models, budget, effects, rules=rules),
            clock=clock,
            on_note=home.on_note,
        )
        async with home.residency:
            watching = asyncio.create_task(home.sampler.watch(engine))
            try:
                yield home
            finally:
                watching.cancel()
                await asyncio.wait({watching})
        assert watching.cancelled(), watching.exception()
        assert home.evicted_busy == []
        assert home.held.total() == 0


def within_budget(home: House) -> None:
    """The sum was within the budget whenever it was looked at, and no process ever exceeded it in between."""
    seen = home.sampler
    assert seen.samples > 10
    assert seen.processes == 1, "two models were in memory together"
    assert seen.peak <= home.budget, f"{seen.peak / MIB:.1f} MiB in memory of {home.budget / MIB:.1f}"
    assert seen.told <= home.budget, f"the engine tells of {seen.told / MIB:.1f} MiB"
    assert max(seen.highest.values()) <= home.budget
