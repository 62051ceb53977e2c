"""Two real models that do not fit together take turns in one memory: processes, bytes and answers are real.

The second model is a copy of the first with 16-bit weights. The figure held against the budget is the sum of
``VmRSS`` of all engine processes (what is allocated, and the weights that are mapped), as the kernel gives it. The
budget is the estimate of the larger file with the error that ``residency/memory.py`` documents, three in a hundred.
"""

import asyncio
import contextlib
import importlib.util
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from coreto.errors import CutError, MissingModelError, OutOfMemoryError
from coreto.messages import Accumulator, Call, Chunk, Whole, text_of
from coreto.providers.embedded import EmbeddedEngine
from coreto.providers.gguf import read
from coreto.providers.weights import GgufModel
from coreto.residency import runtime
from coreto.residency.effects import Happening, Note
from coreto.residency.memory import estimate, shape_of
from coreto.residency.model import Hosted, Rules
from coreto.residency.policy import gigabytes
from coreto.residency.runtime import Residency
from coreto.residency.scheduler import Scheduler
from coreto.testing.clock import VirtualClock

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory where Linux tells it"),
]

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
    path = Path(__file__).parents[1] / "support" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"coreto_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


copies = _support("gguf_copies")


# --- models


@pytest.fixture(scope="module")
def large(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The same model with 16-bit weights: three times the size."""
    path = copies.copy_as(weights, tmp_path_factory.mktemp("copies") / "large.gguf", copies.TensorType.F16)
    yield path
    path.unlink()


@pytest.fixture(scope="module")
def files(weights: Path, large: Path) -> Mapping[str, Path]:
    return {SMALL: weights, LARGE: large}


@pytest.fixture(scope="module")
def alone(files: Mapping[str, Path]) -> Mapping[str, Fingerprint]:
    """What each model answers when it has the machine to itself."""

    async def main() -> dict[str, Fingerprint]:
        async with engine_of(files) as engine:
            return {name: await fingerprint(engine, name) for name in files}

    return asyncio.run(main())


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
    for path in (Path(f"/proc/{pid}/status"), *Path(f"/proc/{pid}/task").glob("*/status")):
        figures = {"VmRSS": 0, "VmHWM": 0}
        with contextlib.suppress(OSError):
            for line in path.read_text(encoding="ascii", errors="replace").splitlines():
                name, _, value = line.partition(":")
                if name in figures:
                    figures[name] = int(value.split()[0]) * 1024
        if figures["VmRSS"]:
            return figures["VmRSS"], figures["VmHWM"]
    return 0, 0


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


# --- turns


def test_the_copy_answers_like_its_source(alone: Mapping[str, Fingerprint]) -> None:
    """Other types of the same weights: the same answer to begin with, nearly as sure of each token, and never quite."""
    small, large = alone[SMALL], alone[LARGE]
    assert (small[0], large[0]) == (SMALL, LARGE)
    assert small[1].split()[:3] == large[1].split()[:3]
    assert all(abs(a - b) < 0.3 for a, b in zip(small[2][:4], large[2][:4], strict=True))
    assert small[2] != large[2]


async def alternate(home: House, alone: Mapping[str, Fingerprint], count: int) -> None:
    """Ask the two in turns until there were ``count`` switches."""
    for turn in range(count + 1):
        model = (SMALL, LARGE)[turn % 2]
        assert await home.ask(model) == alone[model], f"another answer in turn {turn}"
    status = home.residency.status()
    assert (status.switches, status.loads) == (count, count + 1)
    within_budget(home)


def test_swaps_sample(files: Mapping[str, Path], alone: Mapping[str, Fingerprint]) -> None:
    """Two models alternate in the room of one: each answer is the one that the model gives alone."""

    async def scenario() -> None:
        async with house(files, budget_for(files)) as home:
            await alternate(home, alone, 6)

    asyncio.run(scenario())


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_swaps_soak(
    files: Mapping[str, Path], alone: Mapping[str, Fingerprint], capsys: pytest.CaptureFixture[str]
) -> None:
    """Fifty alternations stay within the budget, with right answers, and the last takes no more than the first."""

    async def scenario() -> House:
        async with house(files, budget_for(files)) as home:
            await alternate(home, alone, 50)
            return home

    home = asyncio.run(scenario())
    seen, swaps = home.sampler, sorted(home.swaps)
    with capsys.disabled():
        sys.stdout.write(
            f"\nswaps: {len(swaps)} loads, {swaps[len(swaps) // 2]:.2f} s in the middle, {swaps[-1]:.2f} s at most; "
            f"peak {seen.peak / MIB:.1f} MiB (as told {seen.told / MIB:.1f}) of {home.budget / MIB:.1f}; "
            f"{seen.samples} looks\n"
        )
    assert len(seen.highest) == 51
    figures = list(seen.highest.values())
    assert max(figures[-10:]) <= max(figures[:10]) + 2 * MIB, "processes grow from swap to swap"


@pytest.mark.parametrize(("model", "other"), [(SMALL, LARGE), (LARGE, SMALL)])
def test_an_answer_is_finished_before_the_switch(
    files: Mapping[str, Path], alone: Mapping[str, Fingerprint], model: str, other: str
) -> None:
    """A long answer goes on to its last token while the other model is asked for; only then does it switch."""
    tokens = 100

    async def scenario() -> None:
        async with house(files, budget_for(files)) as home:
            async with (
                home.lease(model) as pid,
                home.engine.open(call(model, tokens=tokens, stream=True)) as items,
            ):
                seen = Accumulator()
                await anext(items)
                asked = asyncio.create_task(home.ask(other))
                await until(lambda: home.waits(other))
                async for item in items:
                    assert isinstance(item, Chunk)
                    assert home.heard(Happening.SWITCH) == []
                    seen.add(item.body)
                assert seen.finish == "length"
                assert seen.usage is not None
                assert seen.usage.completion == tokens
                assert children() == [pid]
                assert home.waits(other)
            assert await asked == alone[other]
            assert [note.model for note in home.heard(Happening.SWITCH)] == [model]
            within_budget(home)

    asyncio.run(scenario())


def test_a_crowd_is_served_with_one_switch(
    files: Mapping[str, Path], alone: Mapping[str, Fingerprint]
) -> None:
    """Calls for both models that come mixed up are gathered by model, under the rules as they are shipped."""
    wanted = [SMALL, LARGE] * 5
    random.Random(7).shuffle(wanted)

    async def scenario() -> None:
        async with house(files, budget_for(files), rules=Rules()) as home:
            answers = await asyncio.gather(*(home.ask(model) for model in wanted))
            assert answers == [alone[model] for model in wanted]
            assert home.residency.status().switches == 1
            within_budget(home)

    asyncio.run(scenario())


# --- memory as it is


@pytest.mark.parametrize("name", [SMALL, LARGE])
def test_the_estimate_is_near_what_it_takes(files: Mapping[str, Path], name: str) -> None:
    """A process has what was estimated when it is loaded; a first long prompt adds what llama.cpp only then
    touches, some 12 MiB beyond the estimate, and no more after that."""

    async def scenario() -> None:
        need = need_of(files[name])
        async with engine_of(files) as engine:
            await engine.load(name)
            (pid,) = children()
            figures = [memory_of(pid)[0]]
            for content in (None, "word " * 700, "word " * 700):
                async with engine.open(call(name, tokens=2, stream=True, content=content)) as items:
                    async for _ in items:
                        pass
                figures.append(memory_of(pid)[0])
            loaded, short, long, again = figures
            assert need * (1 - 2 * ERROR) < loaded <= short <= need * (1 + ERROR)
            assert long <= need + 16 * MIB
            assert again <= long + MIB

    asyncio.run(scenario())


def test_what_grows_beyond_the_budget_goes(files: Mapping[str, Path]) -> None:
    """A model that takes more than the whole budget once it works finishes its answer, is unloaded, and is refused
    from then on with what was measured."""
    budget = int(need_of(files[SMALL]) * 1.01)

    async def scenario() -> None:
        async with house(files, budget, clock=VirtualClock()) as home:
            async with (
                home.lease(SMALL),
                home.engine.open(call(SMALL, tokens=8, stream=True, content="word " * 700)) as items,
            ):
                await anext(items)
                await home.look()
                assert home.residency.status().used > budget
                assert len([item async for item in items]) >= 7
                assert home.heard(Happening.OVER_BUDGET) == []
            await until(lambda: children() == [])
            assert [note.model for note in home.heard(Happening.OVER_BUDGET)] == [SMALL]
            with pytest.raises(OutOfMemoryError, match=rf"'small' needs [\d.]+ .B of {gigabytes(budget)}"):
                await home.ask(SMALL)

    asyncio.run(scenario())


def test_a_budget_too_small_for_any_is_told_with_figures(files: Mapping[str, Path]) -> None:
    """What can never fit is refused at once, with the figures, and nothing is started; what fits is served."""
    needs = {name: need_of(path) for name, path in files.items()}

    async def scenario(budget: int, *refused: str) -> None:
        async with house(files, budget) as home:
            for model in refused:
                with pytest.raises(OutOfMemoryError) as caught:
                    await home.ask(model)
                words = f"{model!r} needs {gigabytes(needs[model])} of {gigabytes(budget)}"
                assert words in caught.value.message
            assert home.sampler.processes == 0
            assert home.residency.status().loads == 0
            for model in files.keys() - set(refused):
                assert (await home.ask(model))[0] == model

    asyncio.run(scenario(needs[SMALL] - 1, SMALL, LARGE))
    asyncio.run(scenario(int(needs[SMALL] * (1 + ERROR)), LARGE))


# --- processes that are killed


async def kill(home: House, pid: int) -> None:
    """Kill an idle process; returns when the engine has taken note."""
    os.kill(pid, signal.SIGKILL)
    async with asyncio.timeout(20.0):
        while psutil.pid_exists(pid) or await home.engine.resident():
            await asyncio.sleep(0.005)


def test_killed_between_calls_and_not_noticed(
    files: Mapping[str, Path], alone: Mapping[str, Fingerprint]
) -> None:
    """A model whose process was killed while idle is started anew by its next call, or makes room for the other's."""

    async def scenario() -> None:
        async with house(files, budget_for(files)) as home:
            for first, second in ((SMALL, SMALL), (SMALL, LARGE), (LARGE, LARGE), (LARGE, SMALL)):
                async with home.lease(first) as pid:
                    pass
                await kill(home, pid)
                async with home.residency.lease(second):
                    assert await fingerprint(home.engine, second) == alone[second]
                    assert len(children()) == 1
            within_budget(home)

    asyncio.run(scenario())


def test_killed_between_calls_and_noticed(
    files: Mapping[str, Path], alone: Mapping[str, Fingerprint]
) -> None:
    """Looking at the engine shows that a model is gone: its room is free, and whoever asks has it loaded."""

    async def scenario() -> None:
        async with house(files, budget_for(files), clock=VirtualClock()) as home:
            for killed, asked in ((SMALL, LARGE), (LARGE, LARGE)):
                async with home.lease(killed) as pid:
                    pass
                await kill(home, pid)
                await home.look()
                assert home.heard(Happening.RESYNCHRONISED)[-1].model == killed
                assert home.residency.status().used == 0
                assert await home.ask(asked) == alone[asked]
                assert home.heard(Happening.SWITCH) == []
            within_budget(home)

    asyncio.run(scenario())


def test_killed_while_it_answers(files: Mapping[str, Path], alone: Mapping[str, Fingerprint]) -> None:
    """The call is cut; its room is kept for it while it holds its lease, so that it may try again; then the one who
    waits for the other model has its turn."""

    async def scenario() -> None:
        async with house(files, budget_for(files), clock=VirtualClock()) as home:
            async with home.residency.lease(SMALL):
                asked = await cut(home)
                await home.look()
                assert home.heard(Happening.RESYNCHRONISED) != []
                assert await fingerprint(home.engine, SMALL) == alone[SMALL]
                await home.look()
                assert home.waits(LARGE)
            assert await asked == alone[LARGE]
            assert await home.ask(SMALL) == alone[SMALL]
            within_budget(home)

    asyncio.run(scenario())


async def cut(home: House) -> "asyncio.Task[Fingerprint]":
    """Kill the small model in mid-answer; the call for the large one that waits meanwhile."""
    async with home.engine.open(call(SMALL, tokens=1_000, stream=True)) as items:
        await anext(items)
        asked = asyncio.create_task(home.ask(LARGE))
        await until(lambda: home.waits(LARGE))
        os.kill(children()[0], signal.SIGKILL)
        with pytest.raises(CutError, match="killed by signal 9"):
            async for _ in items:
                pass
    return asked


def test_killed_while_it_loads(files: Mapping[str, Path], alone: Mapping[str, Fingerprint]) -> None:
    """A process that is killed in the midst of loading fails who waits for it, and nobody else."""

    async def scenario() -> None:
        async with house(files, budget_for(files)) as home:
            asked = asyncio.create_task(home.ask(LARGE))
            await until(lambda: len(children()) > 0)
            os.kill(children()[0], signal.SIGKILL)
            with pytest.raises(OutOfMemoryError, match="its process was killed"):
                await asked
            assert home.residency.status().used == 0
            for model in (LARGE, SMALL):
                assert await home.ask(model) == alone[model]
            within_budget(home)

    asyncio.run(scenario())


# --- what the residency does not see yet

unseen = pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="EmbeddedEngine.resident() lists neither a process that starts nor one that has not ended yet, and a look "
    "at it just then frees room that is still taken",
)


@unseen
def test_a_look_while_a_process_ends(files: Mapping[str, Path], alone: Mapping[str, Fingerprint]) -> None:
    """A process that is slow to end keeps its room until it is gone, whenever the residency looks."""

    async def scenario() -> None:
        async with house(files, budget_for(files), clock=VirtualClock()) as home:
            async with home.lease(SMALL) as pid:
                os.kill(pid, signal.SIGSTOP)
            asked = asyncio.create_task(home.ask(LARGE))
            await until(lambda: home.heard(Happening.SWITCH) != [])
            await home.look()
            with contextlib.suppress(ValueError):  # two processes where one is expected
                assert await asked == alone[LARGE]
            within_budget(home)

    asyncio.run(scenario())


@unseen
def test_a_look_while_a_process_is_started_anew(
    files: Mapping[str, Path], alone: Mapping[str, Fingerprint]
) -> None:
    """A call that starts a killed process anew keeps its room, be it looked at in the middle of the start."""

    async def scenario() -> None:
        async with house(files, budget_for(files), clock=VirtualClock()) as home:
            async with home.lease(SMALL) as pid:
                pass
            await kill(home, pid)
            async with home.residency.lease(SMALL):
                again = asyncio.create_task(fingerprint(home.engine, SMALL))
                await until(lambda: children() != [])
                await home.look()
                assert await again == alone[SMALL]
            with contextlib.suppress(ValueError):
                assert await home.ask(LARGE) == alone[LARGE]
            within_budget(home)

    asyncio.run(scenario())


@unseen
def test_a_look_while_a_start_goes_on_that_nobody_awaits(
    files: Mapping[str, Path], alone: Mapping[str, Fingerprint]
) -> None:
    """A process that its caller started and gave up on counts, though nobody holds a lease."""

    async def scenario() -> None:
        async with house(files, budget_for(files), clock=VirtualClock()) as home:
            async with home.lease(SMALL) as pid:
                pass
            await kill(home, pid)
            async with home.residency.lease(SMALL):
                again = asyncio.create_task(fingerprint(home.engine, SMALL))
                await until(lambda: children() != [])
                again.cancel()
                await asyncio.wait({again})
            await home.look()
            with contextlib.suppress(ValueError):
                assert await home.ask(LARGE) == alone[LARGE]
            within_budget(home)

    asyncio.run(scenario())


@unseen
def test_started_anew_within_a_lease_and_not_looked_at(
    files: Mapping[str, Path], alone: Mapping[str, Fingerprint]
) -> None:
    """A model that was seen to be gone and brought back by its lease's own call keeps its room after that."""

    async def scenario() -> None:
        async with house(files, budget_for(files), clock=VirtualClock()) as home:
            async with home.residency.lease(SMALL):
                asked = await cut(home)
                await home.look()
                assert await fingerprint(home.engine, SMALL) == alone[SMALL]
            with contextlib.suppress(ValueError):
                assert await asked == alone[LARGE]
            within_budget(home)

    asyncio.run(scenario())


# --- files that are no good


def damage(kind: str, source: Path, target: Path) -> Path:
    """A file of its kind made from ``source``."""
    match kind:
        case "missing":
            return target
        case "half":
            return copies.cut_short(source, target, share=0.5)
        case "header only":
            return copies.cut_short(source, target, share=0.0)
        case _:
            byte = {"magic": 0, "version": 4, "tensors": 8, "keys": 16, "length": 27}[kind]
            return copies.flip(source, target, byte=byte, bit=6)


@pytest.mark.parametrize(
    "kind", ["missing", "half", "header only", "magic", "version", "tensors", "keys", "length"]
)
def test_a_file_that_is_no_good(
    files: Mapping[str, Path], alone: Mapping[str, Fingerprint], tmp_path: Path, kind: str
) -> None:
    """A missing or damaged file fails its own calls in one line that names it; the other model works before and
    after."""
    bad = damage(kind, files[SMALL], tmp_path / "bad.gguf")
    there = {"bad": bad, SMALL: files[SMALL]}
    needs = dict.fromkeys(there, need_of(files[SMALL]))

    async def scenario() -> None:
        async with house(there, int(needs[SMALL] * (1 + ERROR)), needs=needs) as home:
            for _ in range(2):
                assert await home.ask(SMALL) == alone[SMALL]
                with pytest.raises(MissingModelError) as caught:
                    await home.ask("bad")
                assert str(bad) in caught.value.message
                assert "\n" not in caught.value.message
            assert await home.ask(SMALL) == alone[SMALL]
            within_budget(home)

    asyncio.run(scenario())
    bad.unlink(missing_ok=True)
