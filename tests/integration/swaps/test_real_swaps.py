"""Two real models that do not fit together take turns in one memory: processes, bytes and answers are real.

The second model is a copy of the first with 16-bit weights.
"""

import asyncio
import random
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from swap_house import (
    ERROR,
    LARGE,
    MIB,
    REAL,
    SMALL,
    Fingerprint,
    House,
    budget_for,
    call,
    children,
    engine_of,
    house,
    memory_of,
    need_of,
    until,
    within_budget,
)

from coreto.errors import OutOfMemoryError
from coreto.messages import Accumulator, Chunk
from coreto.residency.effects import Happening
from coreto.residency.model import Rules
from coreto.residency.policy import gigabytes
from coreto.testing.clock import VirtualClock

pytestmark = REAL


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
    """A process has what was estimated once it has read a long prompt, some 12 MiB more than when it was loaded, and
    no more after that."""

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
            assert (need - 12 * MIB) * (1 - 2 * ERROR) < loaded <= short <= long
            assert need * (1 - ERROR) < long <= need * (1 + ERROR)
            assert again <= long + MIB

    asyncio.run(scenario())


def test_what_grows_beyond_the_budget_goes(files: Mapping[str, Path]) -> None:
    """A model that takes more than the whole budget once it works finishes its answer, is unloaded, and is refused
    from then on with what was measured."""
    budget = need_of(files[SMALL]) - 8 * MIB
    needs = dict.fromkeys(files, budget - 4 * MIB)  # somebody has estimated too little

    async def scenario() -> None:
        async with house(files, budget, needs=needs, clock=VirtualClock()) as home:
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
