"""Processes that are killed, looks at the wrong moment, and files that are no good, among real models that take turns."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest
from swap_house import (
    ERROR,
    LARGE,
    REAL,
    SMALL,
    Fingerprint,
    House,
    budget_for,
    call,
    children,
    copies,
    fingerprint,
    house,
    need_of,
    until,
    within_budget,
)

from coreto.errors import CutError, MissingModelError, OutOfMemoryError
from coreto.residency.effects import Happening
from coreto.testing.clock import VirtualClock

pytestmark = REAL

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


# --- looks at the wrong moment


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
