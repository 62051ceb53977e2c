"""Panels in runs that are killed: steps keep their order, and nothing that was finished is asked again."""

import asyncio
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from panel_house import NAMES, Act, House, passing

from coreto.errors import CallError
from coreto.panel.model import PanelResult
from coreto.panel.policy import Rules

#: The place of the first consolidation: after the members, whoever of them has been kept.
CONSOLIDATION = len(NAMES) + 1


@dataclass
class Ordered:
    """A run that keeps outcomes by place, as a durable engine does. It is killed when ``die_at`` steps have been kept in
    this life; kept ones come back after a while of their own."""

    kept: dict[int, tuple[str, object]]
    die_at: int | None = None
    seed: int = 0
    place: int = 0
    done: int = 0
    killed: asyncio.Event = field(default_factory=asyncio.Event)

    async def step(self, name, work):
        self.place += 1
        place = self.place
        if place in self.kept:
            known, outcome = self.kept[place]
            assert known == name, f"at place {place} there was {known}, not {name}"
            for _ in range(random.Random(f"{self.seed} {place}").randrange(40)):
                await asyncio.sleep(0)
            return outcome
        outcome = await work()
        if self.killed.is_set():
            await asyncio.Event().wait()
        self.kept[place] = (name, outcome)
        self.done += 1
        if self.done == self.die_at:
            self.killed.set()
        return outcome

    async def wait_signal(self, name, *, within=None):
        raise AssertionError(name)

    async def emit(self, event) -> None:
        raise AssertionError(event)


async def live(house: House, rules: Rules, run: Ordered, **options) -> PanelResult | None:
    """One life of a run: its result, or ``None`` if it was killed."""
    asking = asyncio.ensure_future(house.panel(rules, **options).ask(run, {"q": 1}))
    dying = asyncio.ensure_future(run.killed.wait())

    async def either() -> None:
        await asyncio.wait({asking, dying}, return_when=asyncio.FIRST_COMPLETED)

    await passing(house.clock, either(), tick=1.0)
    dying.cancel()
    if asking.done():
        return asking.result()
    asking.cancel()
    await asyncio.wait({asking})
    return None


def kept_names(kept: Mapping[int, tuple[str, object]]) -> list[str]:
    return [kept[place][0].partition("/")[2] for place in sorted(kept)]


acts = st.lists(
    st.one_of(st.sampled_from((1.0, 2.0, 5.0, 40.0)).map(Act), st.just(Act(1.0, CallError("no")))),
    min_size=5,
    max_size=5,
)


@settings(max_examples=150, deadline=None)
@given(
    acts=acts,
    mode=st.sampled_from(("all", "first", "update", "overlap")),
    limit=st.sampled_from((None, 2)),
    deaths=st.lists(st.integers(1, 4), max_size=4),
    seed=st.integers(0, 100),
)
def test_killed_at_every_step(acts, mode, limit, deaths, seed) -> None:
    """Whatever is kept is not asked again, the steps' order holds, and what was consolidated stays."""

    async def main() -> None:
        kept: dict[int, tuple[str, object]] = {}
        asks: Counter[str] = Counter()
        consolidated = None
        for life, die_at in enumerate([*deaths, None]):
            house = House(acts=dict(zip(NAMES, acts, strict=True)), consolidating=1.0)
            known = set(kept_names(kept))
            run = Ordered(kept, die_at, seed=seed + life)
            result = await live(
                house, Rules(mode=mode, deadline=12.0, reserve=2.0), run, required=("cpu",), limit=limit
            )
            assert house.open == 0
            assert not known & set(house.asked)
            asks.update(house.asked)
            update = "update" in kept_names(kept)
            if CONSOLIDATION in kept:
                assert consolidated in {None, str(kept[CONSOLIDATION])}
                consolidated = str(kept[CONSOLIDATION])
            if result is not None:
                break
        assert result is not None
        assert result.final
        assert kept_names(kept)[:5] == list(NAMES)
        assert len(result.consolidations) == (0 if not result.answered else 1 + update)
        if mode != "first" and result.answered:
            assert result.included == result.answered

    asyncio.run(main())


@pytest.mark.parametrize("mode", ["all", "first", "update", "overlap"])
def test_a_run_that_was_over_is_the_same_again(mode) -> None:
    """All steps are kept, those of members that were stopped too: a second look asks nobody and has the same result."""

    async def main() -> None:
        kept: dict[int, tuple[str, object]] = {}
        first = House(acts={"cpu": Act(1e9), "memory": Act(3.0)}, consolidating=1.0)
        again = House(acts=first.acts)
        rules = Rules(mode=mode, linger=0.0)
        was = await live(first, rules, Ordered(kept), timeout=20.0)
        now = await live(again, rules, Ordered(kept, seed=7), timeout=20.0)
        assert again.asked == []
        assert again.drafts == []
        assert again.observed == []
        assert was is not None
        assert now is not None
        assert (was.content, was.parts, was.included) == (now.content, now.parts, now.included)

    asyncio.run(main())


def test_a_breaker_that_is_open_now_was_not_then() -> None:
    """What breakers say is kept with the step: a continued run does not take its members for skipped ones."""

    async def main() -> None:
        kept: dict[int, tuple[str, object]] = {}
        house = House()
        panel = house.panel(Rules(mode="all"))
        await passing(house.clock, panel.ask(Ordered(kept), {}))
        for _ in range(3):
            ticket = panel.breakers.enter("cpu")
            assert ticket is not None
            panel.breakers.leave(ticket, "failed")
        result = await passing(house.clock, panel.ask(Ordered(kept), {}))
        assert result.answered == NAMES

    asyncio.run(main())
