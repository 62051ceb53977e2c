"""The embedded engine with real weights and real processes. Structure is asserted, never text."""

import asyncio
import contextlib
import dataclasses
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from coreto.errors import (
    AuthError,
    ContextError,
    CutError,
    MissingModelError,
    OutOfMemoryError,
    TimedOutError,
    UnreachableError,
)
from coreto.messages import Accumulator, Call, Chunk, Json, Whole, finish_of, text_of, usage_of
from coreto.providers import embedded_process
from coreto.providers.embedded import EmbeddedEngine, default_threads
from coreto.providers.openai_compatible import OpenAICompatible
from coreto.providers.weights import GgufModel

MARKER = "embedded_child.py"
NAME = "smollm2"


class ManualClock:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        wake = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.now + seconds, wake))
        await wake

    async def advance(self, seconds: float) -> None:
        self.now += seconds
        due = [sleeper for sleeper in self._sleepers if sleeper[0] <= self.now]
        self._sleepers = [sleeper for sleeper in self._sleepers if sleeper[0] > self.now]
        for _, wake in due:
            if not wake.done():
                wake.set_result(None)
        for _ in range(5):
            await asyncio.sleep(0)


@asynccontextmanager
async def running(path: Path, **options: object) -> AsyncIterator[EmbeddedEngine]:
    context = options.pop("context", 2048)
    engine = EmbeddedEngine({NAME: GgufModel(NAME, path, context)}, **options)
    try:
        yield engine
    finally:
        await engine.close()
        assert children() == []


def call(*, stream: bool = False, tokens: int = 8, **body: object) -> Call:
    messages = [{"role": "user", "content": "Say hello."}]
    body = {"messages": messages, "max_tokens": tokens, **body}
    return Call(id="c1", body=body, model=NAME, stream=stream)


#: A generation of many seconds that must be cut short from outside.
ENDLESS = {"tokens": 1900, "ignore_eos": True}


async def answer(engine: EmbeddedEngine, request: Call) -> Json:
    async with engine.open(request) as items:
        (whole,) = [item async for item in items]
    assert isinstance(whole, Whole)
    return whole.body


#: Zombies that other tests of this process have left before.
STRANGERS: set[int] = set()


@pytest.fixture(autouse=True)
def _strangers() -> None:
    STRANGERS.clear()
    STRANGERS.update(children())


def children(pid: int | None = None) -> list[int]:
    """The engine processes below ``pid`` (default: this process), zombies included."""
    found: list[int] = []
    for child in psutil.Process(pid).children(recursive=True):
        if child.pid in STRANGERS:
            continue
        with contextlib.suppress(psutil.NoSuchProcess):
            if child.status() == psutil.STATUS_ZOMBIE or any(MARKER in part for part in child.cmdline()):
                found.append(child.pid)
    return found


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def until(condition: Callable[[], bool], within: float = 10.0) -> None:
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.01)


def test_answers_and_counts_tokens(weights: Path) -> None:
    """A call without a server or a key is answered by a real model, with its usage."""

    async def scenario() -> None:
        async with running(weights) as engine:
            body = await answer(engine, call())
            assert text_of(body)
            assert finish_of(body) in ("stop", "length")
            usage = usage_of(body)
            assert usage is not None
            assert usage.prompt > 0
            assert 0 < usage.completion <= 8
            assert body["model"] == NAME
            (resident,) = await engine.resident()
            assert resident.name == NAME
            assert 50e6 < resident.size < 600e6
            assert (await engine.models())[0].size == weights.stat().st_size
            health = await engine.health()
            assert health.ok
            assert health.version

    asyncio.run(scenario())


def test_streams_chunks_a_finish_and_usage(weights: Path) -> None:
    """A stream comes in several chunks and ends with a finish reason and the usage."""

    async def scenario() -> None:
        async with running(weights) as engine:
            seen = Accumulator()
            chunks = 0
            async with engine.open(call(stream=True)) as items:
                async for item in items:
                    assert isinstance(item, Chunk)
                    chunks += 1
                    seen.add(item.body)
            assert chunks >= 3
            assert seen.text
            assert seen.finish in ("stop", "length")
            assert seen.usage is not None
            assert seen.usage.completion > 0

    asyncio.run(scenario())


def test_a_schema_constrains_the_answer(weights: Path) -> None:
    """``response_format`` reaches llama.cpp's grammar: even a tiny model gives one of the labels."""
    schema = {"type": "string", "enum": ["script", "visual", "end"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "label", "schema": schema}}

    async def scenario() -> None:
        async with running(weights) as engine:
            body = await answer(engine, call(response_format=wanted, tokens=16))
            assert text_of(body).strip() in ('"script"', '"visual"', '"end"')

    asyncio.run(scenario())


def test_child_killed_mid_answer_cuts_the_call_and_the_next_one_works(weights: Path) -> None:
    """A killed engine ends the running call with a CutError that says so; the next call has a new engine."""

    async def scenario() -> None:
        async with running(weights) as engine:
            (before,) = [pid for pid in [await _interrupted(engine)] if pid]
            assert text_of(await answer(engine, call()))
            (after,) = children()
            assert after != before

    async def _interrupted(engine: EmbeddedEngine) -> int:
        async with engine.open(call(stream=True, **ENDLESS)) as items:
            await anext(items)
            (pid,) = children()
            os.kill(pid, signal.SIGKILL)
            with pytest.raises(CutError, match="killed by signal 9"):
                async for _ in items:
                    pass
            return pid

    asyncio.run(scenario())


@pytest.mark.slow
def test_child_killed_while_idle_is_not_noticed_by_the_next_call(weights: Path) -> None:
    """An engine that died between two calls is replaced without a failed call."""

    async def scenario() -> None:
        async with running(weights) as engine:
            await engine.load(NAME)
            (pid,) = children()
            os.kill(pid, signal.SIGKILL)
            assert text_of(await answer(engine, call()))

    asyncio.run(scenario())


@pytest.mark.slow
def test_a_request_without_the_key_is_refused(weights: Path) -> None:
    """Another process of this machine cannot use the engine's port, and cannot read the key off it."""

    async def scenario() -> None:
        async with running(weights) as engine:
            await engine.load(NAME)
            endpoint = engine._slots[NAME].process.api._http.endpoint
            for key in (None, "wrong"):
                intruder = OpenAICompatible(dataclasses.replace(endpoint, api_key=key))
                with pytest.raises(AuthError):
                    async with intruder.open(call()) as items:
                        await anext(items)
                await intruder.close()
            (pid,) = children()
            process = psutil.Process(pid)
            assert endpoint.api_key
            assert not any(endpoint.api_key in part for part in process.cmdline())
            assert endpoint.api_key not in process.environ().values()
            assert {c.laddr.ip for c in process.net_connections() if c.status == "LISTEN"} == {"127.0.0.1"}

    asyncio.run(scenario())


@pytest.mark.slow
@pytest.mark.parametrize("stream", [True, False])
def test_cancelling_stops_the_generation(weights: Path, stream: bool) -> None:
    """The engine's only slot is free again soon after a call is given up, long before it would have ended."""

    async def consume(engine: EmbeddedEngine, started: asyncio.Event) -> None:
        async with engine.open(call(stream=stream, **ENDLESS)) as items:
            async for _ in items:
                started.set()

    async def scenario() -> None:
        async with running(weights) as engine:
            await answer(engine, call(tokens=1))
            (pid,) = children()
            started = asyncio.Event()
            task = asyncio.create_task(consume(engine, started))
            if stream:
                await started.wait()
            else:
                idle = sum(psutil.Process(pid).cpu_times()[:2])
                await until(lambda: sum(psutil.Process(pid).cpu_times()[:2]) > idle + 0.2)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            begun = time.monotonic()
            await answer(engine, call(tokens=1))
            assert time.monotonic() - begun < 6.0

    asyncio.run(scenario())


@pytest.mark.slow
def test_stops_when_idle_but_never_during_a_call(weights: Path) -> None:
    """The idle time runs from the end of the last call; a running call keeps its engine."""

    async def scenario() -> None:
        clock = ManualClock()
        async with running(weights, idle_timeout=60.0, clock=clock) as engine:
            async with engine.open(call(stream=True, tokens=200, ignore_eos=True)) as items:
                await anext(items)
                await clock.advance(600.0)
                assert len(children()) == 1
                async for _ in items:
                    pass
            await clock.advance(59.0)
            assert len(await engine.resident()) == 1
            await clock.advance(1.0)
            await clock.advance(60.0)
            await until(lambda: children() == [])
            async with asyncio.timeout(5.0):
                while await engine.resident():  # dead, and not yet known to be
                    await asyncio.sleep(0)
            assert text_of(await answer(engine, call()))

    asyncio.run(scenario())


@pytest.mark.slow
def test_first_calls_share_one_start(weights: Path) -> None:
    """Concurrent first calls start one process, and one that gives up does not take the others along."""

    async def scenario() -> None:
        async with running(weights) as engine:
            calls = [asyncio.create_task(answer(engine, call())) for _ in range(4)]
            await until(lambda: len(children()) > 0)
            calls[0].cancel()
            seen: set[int] = set()
            while not all(task.done() for task in calls):
                seen.update(children())
                await asyncio.sleep(0.01)
            assert calls[0].cancelled()
            assert all(text_of(task.result()) for task in calls[1:])
            assert len(seen) == 1

    asyncio.run(scenario())


PARENT = """
import asyncio, sys
from pathlib import Path
from coreto.providers.embedded import EmbeddedEngine
from coreto.providers.weights import GgufModel

async def main():
    engine = EmbeddedEngine({"smollm2": GgufModel("smollm2", Path(sys.argv[1]))})
    if sys.argv[2] == "loaded":
        await engine.load("smollm2")
        print("ready", flush=True)
        await asyncio.sleep(60)
    task = asyncio.create_task(engine.load("smollm2"))
    while engine._slots["smollm2"].starting is None:
        await asyncio.sleep(0)
    print("ready", flush=True)
    await task
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.parametrize("state", ["loaded", "loading"])
def test_a_killed_parent_leaves_no_engine(weights: Path, state: str) -> None:
    """SIGKILL of our process, loaded or in the midst of loading, ends the engine too."""
    argv = [sys.executable, "-c", PARENT, str(weights), state]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready\n"
        asyncio.run(until(lambda: len(children(parent.pid)) == 1))
        (pid,) = children(parent.pid)
        parent.kill()
    asyncio.run(until(lambda: is_gone(pid)))


@pytest.mark.slow
def test_a_hanging_engine_is_killed(weights: Path) -> None:
    """An engine that neither sees its input end nor SIGTERM is gone when ``unload`` returns."""

    async def scenario() -> None:
        async with running(weights) as engine:
            await engine.load(NAME)
            (pid,) = children()
            os.kill(pid, signal.SIGSTOP)
            await engine.unload(NAME)
            assert is_gone(pid)
            assert children() == []

    asyncio.run(scenario())


def test_unusable_files_are_refused_in_one_line(tmp_path: Path) -> None:
    """Missing, foreign and damaged files are a MissingModelError that names the file and the mend."""
    cases = {"foreign": b"<html>not a model</html>", "damaged": b"GGUF" + bytes(64), "missing": None}

    async def scenario(path: Path) -> None:
        async with running(path) as engine:
            with pytest.raises(MissingModelError) as caught:
                await answer(engine, call())
            assert str(path) in caught.value.message
            assert "coreto models pull smollm2" in caught.value.message
            assert "\n" not in caught.value.message

    for name, content in cases.items():
        path = tmp_path / f"{name}.gguf"
        if content is not None:
            path.write_bytes(content)
        asyncio.run(scenario(path))


def test_without_the_extra_the_mend_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where xllamacpp is not installed, health and calls name the extra."""
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    path = tmp_path / "any.gguf"
    path.write_bytes(b"GGUF")

    async def scenario() -> None:
        async with running(path) as engine:
            health = await engine.health()
            assert not health.ok
            assert "coreto[local]" in health.detail
            with pytest.raises(MissingModelError, match=r"coreto\[local\]"):
                await answer(engine, call())

    asyncio.run(scenario())


@pytest.mark.slow
def test_a_broken_extra_is_reported(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An xllamacpp that cannot be imported in the child is reported as the missing extra."""
    (tmp_path / "xllamacpp.py").write_text("raise ImportError('no such library')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    async def scenario() -> None:
        async with running(weights) as engine:
            with pytest.raises(MissingModelError, match=r"coreto\[local\]"):
                await answer(engine, call())

    asyncio.run(scenario())


@pytest.mark.slow
def test_a_context_that_does_not_fit_is_out_of_memory(weights: Path) -> None:
    """A model whose context cannot be allocated is an OutOfMemoryError that names the setting."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)

    async def scenario() -> None:
        async with running(weights, context=60_000_000) as engine:
            with pytest.raises(OutOfMemoryError, match="context"):
                await engine.load(NAME)

    resource.setrlimit(resource.RLIMIT_AS, (16 * 2**30, hard))  # where memory is overcommitted, too
    try:
        asyncio.run(scenario())
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@pytest.mark.slow
def test_a_prompt_beyond_the_context_is_refused(weights: Path) -> None:
    """A prompt that does not fit is a ContextError, never silently cut."""

    async def scenario() -> None:
        async with running(weights, context=256) as engine:
            with pytest.raises(ContextError):
                await answer(engine, call(messages=[{"role": "user", "content": "word " * 2000}]))

    asyncio.run(scenario())


@pytest.mark.slow
def test_a_start_that_takes_too_long_is_given_up(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A start beyond its time is a TimedOutError and leaves no process."""
    monkeypatch.setattr(embedded_process, "START_TIMEOUT", 0.001)

    async def scenario() -> None:
        async with running(weights) as engine:
            with pytest.raises(TimedOutError, match="did not load"):
                await engine.load(NAME)
            assert children() == []

    asyncio.run(scenario())


@pytest.mark.slow
def test_the_deadline_covers_the_start(weights: Path) -> None:
    """A call whose deadline passes while the model loads is a TimedOutError; the load goes on for others."""

    async def scenario() -> None:
        async with running(weights) as engine:
            late = call()._replace(deadline=time.monotonic() + 0.01)
            with pytest.raises(TimedOutError, match="deadline"):
                await answer(engine, late)
            assert text_of(await answer(engine, call()))
            assert len(children()) == 1

    asyncio.run(scenario())


@pytest.mark.slow
def test_close_during_a_start_fails_the_waiters(weights: Path) -> None:
    """Closing while a model loads ends the waiting calls with an UnreachableError, and the process."""

    async def scenario() -> None:
        async with running(weights) as engine:
            task = asyncio.create_task(answer(engine, call()))
            await until(lambda: len(children()) == 1)
            await engine.close()
            assert children() == []
            with pytest.raises(UnreachableError):
                await task
            with pytest.raises(UnreachableError):
                await answer(engine, call())

    asyncio.run(scenario())


@pytest.mark.slow
def test_ten_swaps_leave_memory_flat(weights: Path) -> None:
    """Loading and unloading ten times leaves no process, no file descriptor and no memory behind."""

    async def scenario() -> None:
        me = psutil.Process()
        async with running(weights) as engine:
            for _ in range(2):
                await engine.load(NAME)
                await engine.unload(NAME)
            memory, files = me.memory_info().rss, me.num_fds()
            for _ in range(10):
                await engine.load(NAME)
                assert len(children()) == 1
                await engine.unload(NAME)
                assert children() == []
            assert me.memory_info().rss - memory < 8 * 2**20
            assert me.num_fds() <= files

    asyncio.run(scenario())


def test_the_child_imports_next_to_nothing() -> None:
    """The child's module loads neither the HTTP client nor pydantic: it would hold them once per model."""
    code = "import sys, coreto.providers.embedded_child; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    names = set(loaded.stdout.split())
    assert "coreto.providers.embedded_child" in names
    assert not names & {"aiohttp", "pydantic", "orjson", "asyncio", "xllamacpp"}


@pytest.mark.parametrize(("cores", "threads"), [(None, 1), (1, 1), (2, 1), (4, 2), (16, 8)])
def test_default_threads(cores: int | None, threads: int) -> None:
    """Half the cores, and one on machines with two or fewer."""
    assert default_threads(cores) == threads
