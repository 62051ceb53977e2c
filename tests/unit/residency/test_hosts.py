"""A host over an engine: figures learned once, turns, plans, what is told of it."""

import asyncio

import pytest

from coreto.errors import MissingModelError, OutOfMemoryError, ServerFaultError, UnreachableError
from coreto.providers.ollama import full_name
from coreto.residency import hosts
from coreto.residency.effects import Happening
from coreto.residency.hosts import LOOK_AGAIN, REMEMBERED, Host, Terms
from coreto.residency.model import Rules
from coreto.residency.runtime import LOOK_EVERY, SpilledError
from coreto.residency.sizes import Wanted
from coreto.residency.state import Phase
from coreto.testing.clock import VirtualClock
from coreto.testing.engine import FakeEngine

GB = 10**9
SIZES = {"brain:latest": 13 * GB, "executor:14b": 9 * GB, "tiny:1b": 1 * GB}


class House:
    """A started host over a fake engine whose models are listed with their tags."""

    def __init__(self, *, rules=None, declared=None, context=None, home=None, engine=FakeEngine, **options):
        self.clock = VirtualClock()
        self.engine = engine(SIZES, self.clock, **options)
        self.notes = []
        wanted = Wanted(SIZES if declared is None else declared, context or {})
        self.host = Host(
            "gpu",
            self.engine,
            Terms(16 * GB, wanted, rules or Rules(), home, full_name),
            clock=self.clock,
            on_note=lambda name, note: self.notes.append((name, note.happening)),
        )

    def call(self, model, seconds=2.0, **options):
        """A caller that has ``model`` for ``seconds``."""

        async def hold():
            turn = await self.host.turn(model, **options)
            try:
                assert turn.lease.model in self.engine.memory
                await self.clock.sleep(seconds)
                return turn.lease
            finally:
                turn.end()

        return asyncio.create_task(hold())

    def phase(self, model):
        return next(m.phase for m in self.host.status().models if m.id == model)

    @property
    def held(self):
        return sum(m.running + m.waiting for m in self.host.status().models)


def check(scenario, **options):
    """Run ``scenario`` with a house; nothing may be left of it."""

    async def run():
        house = House(**options)
        await house.host.start()
        try:
            await scenario(house)
        finally:
            await house.host.close()
        assert house.held == 0
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(run())


def test_a_model_is_learned_once_for_all_who_ask():
    """Many who ask at once, by the short name or the full one, have the engine describe the model once."""

    async def scenario(house):
        calls = [house.call(name) for name in ("brain", "brain:latest") * 5]
        await house.clock.advance(13.0 + 20.0)
        assert {(await call).model for call in calls} == {"brain:latest"}
        assert house.engine.descriptions == 1
        assert house.engine.log == [("load", "brain:latest")]

    check(scenario)


def test_the_first_who_asks_may_go():
    """Whoever began to learn of a model may be cancelled: the others get its figures."""

    async def scenario(house):
        first, second = house.call("brain"), house.call("brain")
        await asyncio.sleep(0)
        first.cancel()
        await house.clock.advance(15.0)
        assert (await second).model == "brain:latest"
        assert first.cancelled()

    check(scenario)


def test_a_model_that_the_engine_lacks_changes_nothing():
    """It is an error for who asks, every time anew: it may have been pulled meanwhile."""

    async def scenario(house):
        with pytest.raises(MissingModelError):
            await house.host.turn("absent")
        assert house.host.predicted_wait("absent") == float("inf")
        house.engine.sizes["absent:latest"] = GB
        call = house.call("absent")
        await house.clock.advance(20.0)  # nobody has declared it: a rough guess, then measured
        assert (await call).model == "absent:latest"

    check(scenario)


def test_an_engine_that_does_not_describe_is_unreachable(monkeypatch):
    """A description that hangs ends in an error, and the next caller may be luckier."""
    monkeypatch.setattr(hosts, "DESCRIBED_WITHIN", 0.01)

    class Hanging(FakeEngine):
        hangs = True

        async def describe(self, model):
            if self.hangs:
                await asyncio.Event().wait()
            return await super().describe(model)

    async def scenario(house):
        with pytest.raises(UnreachableError, match="did not describe"):
            await house.host.turn("tiny:1b")
        house.engine.hangs = False
        call = house.call("tiny:1b")
        await house.clock.advance(5.0)
        assert (await call).model == "tiny:1b"

    check(scenario, engine=Hanging)


def test_closing_while_a_model_is_learned():
    """Who waits for a description is told that the host is closed, and is not cancelled."""

    class Silent(FakeEngine):
        async def describe(self, model):
            await asyncio.Event().wait()

    async def run():
        clock = VirtualClock()
        host = Host("gpu", Silent(SIZES, clock), Terms(16 * GB, Wanted({}, {})), clock=clock)
        await host.start()
        waiting = asyncio.create_task(host.turn("brain"))
        await asyncio.sleep(0.01)
        await host.close()
        with pytest.raises(UnreachableError, match="closed"):
            await waiting
        with pytest.raises(UnreachableError):
            await host.turn("brain")
        await host.close()

    asyncio.run(run())


def test_looking_up_does_not_wait_nor_insist():
    """A look-up makes the prediction known soon; where the engine fails it is left alone for a while."""

    async def scenario(house):
        house.host.look_up("brain")
        assert house.host.predicted_wait("brain") == float("inf")
        await house.clock.advance(0.0)
        assert house.host.predicted_wait("brain") == pytest.approx(13.0)
        for _ in range(3):
            house.host.look_up("brain")
            house.host.look_up("absent")
            await house.clock.advance(1.0)
        assert house.engine.descriptions == 2
        await house.clock.advance(LOOK_AGAIN)
        house.host.look_up("absent")
        await house.clock.advance(0.0)
        assert house.engine.descriptions == 3

    check(scenario)


def test_who_asked_in_the_same_moment_counts():
    """A prediction sees those whose requests the owner has not taken up yet."""

    async def scenario(house):
        first = house.call("tiny:1b", 1.0)
        await house.clock.advance(10.0)
        await first
        assert house.host.predicted_wait("tiny:1b") == 0.0
        calls = [house.call("tiny:1b", 1.0) for _ in range(3)]
        await asyncio.sleep(0)  # they have asked, nobody has looked
        assert house.host.predicted_wait("tiny:1b") == pytest.approx(3.0)
        await house.clock.advance(3.0)
        assert all(call.done() for call in calls)
        assert house.host.predicted_wait("tiny:1b") == 0.0

    check(scenario)


def test_spilled_when_it_would_take_too_long():
    """A turn that would come too late is refused with the figures, and nothing waits for it."""

    async def scenario(house):
        with pytest.raises(SpilledError, match=r"13\.0 s to be free, of 5 s allowed") as caught:
            await house.host.turn("brain", spill_after=5.0)
        assert caught.value.retry_after == pytest.approx(13.0)
        assert house.held == 0
        assert house.engine.log == []

    check(scenario)


def test_larger_than_the_budget_is_refused_with_the_figures():
    """A model declared too large fails with needed and allowed sizes; the others work."""

    async def scenario(house):
        with pytest.raises(OutOfMemoryError, match=r"'brain:latest' needs 37\.3 GB of 14\.9 GB"):
            await house.host.turn("brain")
        call = house.call("executor:14b")
        await house.clock.advance(11.0)
        assert (await call).model == "executor:14b"
        assert ("load", "brain:latest") not in house.engine.log

    check(scenario, declared={**SIZES, "brain:latest": 40 * GB})


def test_a_failed_load_sends_its_callers_on():
    """Out of memory, missing, broken: everybody who waits for it hears why, and the next call tries again."""

    async def scenario(house):
        for error in (MissingModelError("gone"), ServerFaultError("crashed"), OutOfMemoryError("no room")):
            house.engine.errors["load"].append(error)
            calls = [house.call("tiny:1b"), house.call("tiny:1b")]
            await house.clock.advance(1.0)
            for call in calls:
                with pytest.raises(type(error), match=error.message):
                    await call
            assert house.held == 0
        call = house.call("tiny:1b")
        await house.clock.advance(3.0)
        assert (await call).model == "tiny:1b"
        assert [h for _, h in house.notes].count(Happening.FAILED) == 3

    check(scenario)


def test_what_happens_is_told_and_remembered():
    """Notes go out with the host's name, and the last ones stay for the status, with their time."""

    async def scenario(house):
        for index in range(3 * REMEMBERED):
            call = house.call(("brain", "executor:14b")[index % 2], 0.1)
            await house.clock.advance(400.0)
            await call
        assert len(house.host.happened) == REMEMBERED
        assert {name for name, _ in house.notes} == {"gpu"}
        assert house.host.happened[-1].note.happening is Happening.LOADED
        assert house.host.happened[-1].at > house.host.happened[0].at > 1_800_000_000
        assert house.host.status().switches == 3 * REMEMBERED - 1
        assert house.engine.most <= 16 * GB

    check(scenario)


def test_the_declared_window_is_the_lease_s():
    """The window that a model is loaded with is the one that its calls are told."""

    async def scenario(house):
        call = house.call("brain")
        await house.clock.advance(15.0)
        assert (await call).context == 8192
        assert house.engine.windows == {"brain:latest": 8192}

    check(scenario, context={"brain:latest": 8192})


def test_a_restart_behind_our_back_is_noticed():
    """Within the look interval nothing is said to be in memory that is not; the next call loads it anew."""

    async def scenario(house):
        call = house.call("brain")
        await house.clock.advance(15.0)
        await call
        house.engine.restart()
        await house.clock.advance(LOOK_EVERY)
        assert house.phase("brain:latest") is Phase.ABSENT
        assert house.host.status().used == 0
        again = house.call("brain")
        await house.clock.advance(15.0)
        await again
        assert house.engine.log.count(("load", "brain:latest")) == 2

    check(scenario)


def test_a_plan_keeps_its_model_for_its_next_call():
    """Between two calls of a plan its model stays although another is waited for; a plan that is over holds nothing."""

    async def scenario(house):
        await house.host.announce("p", [("brain", 2), ("unknown", 7), ("executor:14b", 3)])
        first = house.call("brain", plan="p")
        await house.clock.advance(15.0)
        await first
        other = house.call("executor:14b")
        await house.clock.advance(5.0)  # less than the switch costs
        second = house.call("brain", plan="p")
        await house.clock.advance(1.0)
        assert house.phase("brain:latest") is Phase.READY
        await house.clock.advance(30.0)
        assert second.done()
        assert other.done()
        assert house.engine.log.count(("load", "brain:latest")) == 1

    check(scenario)


def test_a_plan_that_is_over_holds_nothing():
    """After an empty announcement the other's switch begins at once."""

    async def scenario(house):
        await house.host.announce("p", [("brain", 2), ("executor:14b", 3)])
        first = house.call("brain", plan="p")
        await house.clock.advance(15.0)
        await first
        await house.host.announce("p", [])
        other = house.call("executor:14b", 0.5)
        await house.clock.advance(1.0)
        assert house.engine.log[-1] == ("load", "executor:14b")
        await house.clock.advance(10.0)
        assert other.done()

    check(scenario)


def test_nothing_is_left_wherever_a_caller_is_cancelled():
    """Cancelled after any number of steps of the loop, a caller leaves no turn, no place in the queue."""

    async def scenario(house):
        for steps in range(40):
            call = house.call("tiny:1b", 0.0)
            for _ in range(steps):
                await asyncio.sleep(0)
            call.cancel()
            await house.clock.advance(3.0)
            await asyncio.wait({call})
            assert house.held == 0, steps

    check(scenario)
