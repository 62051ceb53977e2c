"""The owner task over an engine: leases, switches confirmed by looking, and nothing left behind."""

import asyncio
import contextlib

import pytest

from coreto.errors import (
    CallError,
    MissingModelError,
    OutOfMemoryError,
    QueueFullError,
    ServerFaultError,
    UnreachableError,
)
from coreto.providers.base import Resident
from coreto.residency.effects import Happening
from coreto.residency.model import Hosted, Lease, Rules, Step
from coreto.residency.runtime import LOAD_WITHIN, LOOK_EVERY, UNLOAD_WITHIN, Residency, SpilledError
from coreto.residency.scheduler import Scheduler
from coreto.residency.state import Phase
from coreto.testing.clock import VirtualClock

GB = 10**9
BUDGET = 16 * GB
SIZES = {"brain": 13 * GB, "executor": 9 * GB, "tiny": 1 * GB}


class FakeEngine:
    """An engine whose loads take a second a gigabyte; memory is free ``lag`` seconds after it says so.

    ``most`` is the largest sum that was ever in memory. ``errors``: raised by the next calls, by method.
    """

    def __init__(self, clock, *, lag=0.5, suffix=""):
        self.clock = clock
        self.lag = lag
        self.suffix = suffix
        self.memory = {}
        self.going = {}
        self.most = 0
        self.log = []
        self.errors = {"load": [], "unload": [], "resident": []}
        self.hang = set()

    async def load(self, model, *, context=None):
        self.log.append(("load", model))
        if "load" in self.hang:
            await asyncio.Event().wait()
        if self.errors["load"]:
            raise self.errors["load"].pop(0)
        self.memory[model] = SIZES[model]
        self.most = max(self.most, sum(self.memory.values()))
        await self.clock.sleep(SIZES[model] / GB)

    async def unload(self, model):
        self.log.append(("unload", model))
        if self.errors["unload"]:
            raise self.errors["unload"].pop(0)
        self.going[model] = self.clock.monotonic() + (1e9 if "unload" in self.hang else self.lag)

    async def resident(self):
        if self.errors["resident"]:
            raise self.errors["resident"].pop(0)
        for model, at in list(self.going.items()):
            if at <= self.clock.monotonic():
                self.memory.pop(model, None)
                del self.going[model]
        return tuple(Resident(f"{model}{self.suffix}", size) for model, size in self.memory.items())


class House:
    """A residency over a fake engine, and callers for it."""

    def __init__(self, *, rules=None, home=None, models=None, **engine):
        self.clock = VirtualClock()
        self.engine = FakeEngine(self.clock, **engine)
        self.notes = []
        hosted = models or [Hosted(name, size) for name, size in SIZES.items()]
        self.residency = Residency(
            self.engine,
            lambda effects: Scheduler(hosted, BUDGET, effects, rules=rules, home=home),
            clock=self.clock,
            on_note=self.notes.append,
        )
        self.served = []

    def call(self, model, seconds=2.0, **options):
        """A caller that holds ``model`` for ``seconds``."""

        async def hold():
            async with self.residency.lease(model, **options) as lease:
                assert lease.model in self.engine.memory
                await self.clock.sleep(seconds)
                self.served.append(lease.model)
                return lease

        return asyncio.create_task(hold())

    @property
    def held(self):
        """Requests that wait or run, as the scheduler sees it."""
        return sum(m.running + m.waiting for m in self.residency.status().models)


def check(scenario, **options):
    """Run ``scenario`` with a house, which must be left clean."""

    async def run():
        house = House(**options)
        async with house.residency:
            await scenario(house)
        assert not house.residency._answers
        assert not [task for task in house.residency._tasks if not task.done()]
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(run())


def test_a_lease_loads_and_later_ones_do_not():
    """The first lease waits for the load, the next one comes at once."""

    async def scenario(house):
        first = house.call("brain")
        await house.clock.advance(13.0)
        assert house.residency.status().is_loaded("brain")
        await house.clock.advance(2.0)
        assert (await first) == Lease("brain")
        second = house.call("brain")
        await house.clock.advance(2.0)
        assert second.done()
        assert house.engine.log == [("load", "brain")]

    check(scenario)


def test_a_switch_waits_until_the_engine_has_let_go():
    """The engine says at once that it unloads, but the next load begins only when it no longer lists the model."""

    async def scenario(house):
        calls = [house.call("brain"), house.call("executor")]
        await house.clock.advance(13.0 + 2.0 + 3.5)
        assert house.engine.log == [("load", "brain"), ("unload", "brain")]
        await house.clock.advance(1.0 + 9.0 + 2.0)
        assert [call.done() for call in calls] == [True, True]
        assert house.engine.most <= BUDGET

    check(scenario, lag=4.0)


def test_many_callers_are_batched():
    """Twenty alternating callers need one switch, and all are served."""

    async def scenario(house):
        calls = [house.call(("brain", "executor")[i % 2]) for i in range(20)]
        await house.clock.advance(120.0)
        await asyncio.gather(*calls)
        assert house.residency.status().switches == 1
        assert house.engine.most <= BUDGET
        assert house.held == 0

    check(scenario)


@pytest.mark.parametrize("after", [0.0, 0.05, 5.0, 12.9, 13.0, 14.0, 15.0, 15.3, 20.0])
def test_canceled_at_any_time_nothing_is_left(after):
    """Whenever callers give up, waiting, loading or running, nothing is held, and the next one is served."""

    async def scenario(house):
        calls = [house.call("brain"), house.call("executor"), house.call("brain")]
        await house.clock.advance(after)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        await house.clock.advance(0.0)
        assert house.held == 0
        late = house.call("executor")
        await house.clock.advance(60.0)
        assert late.done()
        assert not late.cancelled()

    check(scenario)


def test_canceled_at_every_turn_of_the_loop():
    """A caller canceled after any number of turns of the loop, with the grant on its way or not, holds nothing."""

    async def scenario(house):
        warm = house.call("tiny", 0.0)
        await house.clock.advance(2.0)
        await warm
        for turns in range(12):
            call = house.call("tiny")
            for _ in range(turns):
                await asyncio.sleep(0)
            call.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await call
            await house.clock.advance(0.0)
            assert house.held == 0

    check(scenario)


def test_an_error_inside_the_lease_gives_it_back():
    """The caller's own failure passes through, and the model is free for the next."""

    async def scenario(house):
        async def fails():
            async with house.residency.lease("tiny"):
                raise ValueError("mine")

        call = asyncio.create_task(fails())
        await house.clock.advance(1.0)
        with pytest.raises(ValueError, match="mine"):
            await call
        await house.clock.advance(0.0)
        assert house.held == 0

    check(scenario)


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (OutOfMemoryError("no room on the device"), OutOfMemoryError),
        (MissingModelError("not pulled"), MissingModelError),
        (ServerFaultError("crashed"), ServerFaultError),
    ],
)
def test_a_load_that_fails_is_the_callers_error(error, raised):
    """Each kind of failure reaches the caller as itself, in the engine's words; the next call tries again."""

    async def scenario(house):
        house.engine.errors["load"].append(error)
        first = house.call("brain")
        await house.clock.advance(0.0)
        with pytest.raises(raised, match=error.message):
            await first
        second = house.call("brain")
        await house.clock.advance(20.0)
        assert second.done()

    check(scenario)


def test_unknown_models_and_full_queues_are_refused():
    """What cannot be served is refused with the error that the chain understands."""

    async def scenario(house):
        unknown, huge = house.call("brian"), house.call("huge")
        await house.clock.advance(0.0)
        with pytest.raises(MissingModelError):
            await unknown
        with pytest.raises(OutOfMemoryError):
            await huge
        waiting, one_more = house.call("brain"), house.call("brain")
        await house.clock.advance(0.0)
        with pytest.raises(QueueFullError):
            await one_more
        await house.clock.advance(20.0)
        await waiting

    models = [Hosted("brain", 13 * GB), Hosted("huge", 99 * GB)]
    check(scenario, models=models, rules=Rules(max_queue=1))


def test_who_cannot_wait_for_the_load_is_told_the_figure():
    """A caller that would rather go elsewhere hears how long it would have taken."""

    async def scenario(house):
        call = house.call("brain", spill_after=5.0)
        await house.clock.advance(0.0)
        with pytest.raises(SpilledError) as caught:
            await call
        assert caught.value.retry_after == pytest.approx(13.0)
        assert house.residency.predicted_wait("brain") == pytest.approx(13.0)
        assert house.engine.log == []

    check(scenario)


def test_a_load_that_hangs_is_given_up():
    """An engine that never answers does not hold the queue for ever."""

    async def scenario(house):
        house.engine.hang.add("load")
        call = house.call("brain")
        await house.clock.advance(LOAD_WITHIN + 1.0)
        with pytest.raises(ServerFaultError, match="300 s"):
            await call

    check(scenario)


def test_an_unload_that_hangs_is_told_to_who_waits():
    """An engine that never frees the memory keeps its model in use; who waits for the room hears it at last."""

    async def scenario(house):
        warm = house.call("brain")
        await house.clock.advance(20.0)
        await warm
        house.engine.hang.add("unload")
        stuck = house.call("executor")
        await house.clock.advance(3 * (UNLOAD_WITHIN + 6.0))
        with pytest.raises(ServerFaultError):
            await stuck
        again = house.call("brain")
        await house.clock.advance(3.0)
        assert again.done()
        assert house.engine.most <= BUDGET

    check(scenario)


def test_an_unload_that_is_refused_is_tried_again():
    """One failed unload costs a pause, not the request."""

    async def scenario(house):
        warm = house.call("brain")
        await house.clock.advance(20.0)
        await warm
        house.engine.errors["unload"].append(ServerFaultError("busy"))
        call = house.call("executor")
        await house.clock.advance(20.0)
        assert call.done()
        assert house.engine.most <= BUDGET

    check(scenario)


def test_a_restarted_engine_is_noticed():
    """An engine that lost its models is loaded anew, without anybody's call failing for it."""

    async def scenario(house):
        warm = house.call("brain")
        await house.clock.advance(16.0)
        await warm
        house.engine.memory.clear()
        await house.clock.advance(LOOK_EVERY + 0.1)
        assert not house.residency.status().is_loaded("brain")
        call = house.call("brain")
        await house.clock.advance(15.0)
        assert call.done()
        assert any(note.happening is Happening.RESYNCHRONISED for note in house.notes)

    check(scenario)


def test_looking_does_not_disturb_loads_and_unloads():
    """Models on their way in or out are not taken for lost or found, however often one looks."""

    async def scenario(house):
        calls = [house.call(("brain", "executor")[i % 2], 11.0) for i in range(6)]
        await house.clock.advance(200.0)
        await asyncio.gather(*calls)
        assert all(note.happening is not Happening.RESYNCHRONISED for note in house.notes)

    check(scenario, lag=7.0)


def test_an_engine_that_cannot_be_asked_is_asked_again():
    """A failed look changes nothing, nor does a failed look at the size after a load."""

    async def scenario(house):
        house.engine.errors["resident"] += [UnreachableError("down")] * 3
        call = house.call("tiny")
        await house.clock.advance(20.0)
        assert call.done()
        assert house.residency.status().is_loaded("tiny")

    check(scenario)


def test_names_with_a_default_tag_are_the_same_model():
    """An engine that lists ``brain:latest`` means the model that was asked for as ``brain``."""

    async def scenario(house):
        calls = [house.call("brain"), house.call("executor")]
        await house.clock.advance(60.0)
        await asyncio.gather(*calls)
        assert [m.id for m in house.residency.status().models] == list(SIZES)

    check(scenario, suffix=":latest")


def test_home_returns_by_the_clock():
    """After the guest's last call and ``return_after`` seconds, the home model is loaded by itself."""

    async def scenario(house):
        calls = [house.call("brain"), house.call("executor")]
        await house.clock.advance(30.0)
        await asyncio.gather(*calls)
        assert house.residency.status().current == "executor"
        await house.clock.advance(60.0)
        assert house.residency.status().current == "brain"

    check(scenario, home="brain", rules=Rules(return_after=20.0))


def test_an_announced_model_is_there_before_its_call():
    """After the last planning call the executor's load has begun when its first call comes."""

    async def scenario(house):
        house.residency.announce("plan", [Step("brain", 1), Step("executor", 2)])
        call = house.call("brain", plan="plan")
        await house.clock.advance(15.0)
        await call
        await house.clock.advance(10.0)
        assert house.residency.status().is_loaded("executor")

    check(scenario)


def test_close_sends_away_who_waits_and_ends():
    """Closing ends waiting callers, stops the tasks, and refuses later ones; twice is harmless."""

    async def scenario(house):
        call = house.call("brain")
        await house.clock.advance(3.0)
        await house.residency.close()
        with pytest.raises(UnreachableError):
            await call
        await house.residency.close()
        with pytest.raises(UnreachableError):
            async with house.residency.lease("brain"):
                pass

    check(scenario)


def test_a_fault_of_the_owner_does_not_hang_its_callers():
    """Should the owner itself fail, who waits is told, and closing shows the fault."""

    async def run():
        house = House()

        def broken(*_):
            raise RuntimeError("a bug")

        await house.residency.__aenter__()
        call = house.call("brain")
        await house.clock.advance(1.0)
        house.residency._post(broken)
        with pytest.raises(UnreachableError):
            await call
        with pytest.raises(RuntimeError, match="a bug"):
            await house.residency.close()

    asyncio.run(run())


def test_status_shows_who_uses_what():
    """Bytes, phases, users and the model in use, as the status page needs them."""

    async def scenario(house):
        call, other = house.call("brain", 5.0), house.call("executor")
        await house.clock.advance(14.0)
        status = house.residency.status()
        by_name = {model.id: model for model in status.models}
        assert (status.used, status.budget, status.current) == (13 * GB, BUDGET, "brain")
        assert (by_name["brain"].phase, by_name["brain"].running) == (Phase.READY, 1)
        assert (by_name["executor"].phase, by_name["executor"].waiting) == (Phase.ABSENT, 1)
        await house.clock.advance(60.0)
        await asyncio.gather(call, other)

    check(scenario)


def test_every_reason_is_an_error_with_a_scope():
    """Whatever a rejection says, the chain gets a CallError."""
    from coreto.residency.model import Reason, Rejection
    from coreto.residency.runtime import _error_of

    assert all(isinstance(_error_of(Rejection(reason, "why")), CallError) for reason in Reason)
