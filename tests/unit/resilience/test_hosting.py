"""Calls and turns in memory: where a request goes, when it spills, and that nothing is left behind."""

import asyncio
import math
import random

import pytest

from coreto import errors
from coreto.errors import ExhaustedError
from coreto.messages import Call, Limits, text_of
from coreto.providers.catalog import Deployment
from coreto.residency.hosts import Host, Terms
from coreto.residency.model import Rules
from coreto.residency.sizes import Wanted
from coreto.resilience.fallback import Fallback, Ward
from coreto.resilience.health import HealthBook
from coreto.resilience.hosting import look_up_models, worth_waiting
from coreto.resilience.plan import Candidate, Journal, Plan
from coreto.testing.clock import VirtualClock
from coreto.testing.engine import FakeEngine
from coreto.testing.provider import FakeProvider, Say

GB = 10**9
SIZES = {"brain": 13 * GB, "executor": 9 * GB, "tiny": 1 * GB}
BUDGET = 16 * GB


class Purse:
    """Budgets that are spent: nothing that costs money is admitted."""

    def __init__(self, *, refuses):
        self.refuses = refuses

    async def admit(self, call, deployment):
        raise errors.BudgetError("the day's budget is spent")


class House:
    """Local engines ``a`` and ``b`` whose models take turns, a cloud, and the calls' common ward."""

    def __init__(self, *, at_once=100, budgets=None, context=None, cloud=None, engine=FakeEngine):
        self.clock = VirtualClock()
        self.engines = {name: engine(SIZES, self.clock) for name in "ab"}
        self.hosts = {
            name: Host(name, each, Terms(BUDGET, Wanted(SIZES, context or {}), Rules()), clock=self.clock)
            for name, each in self.engines.items()
        }
        self.cloud = cloud or FakeProvider(Say("from the cloud", delay=1.0), local=False)
        self.cloud._clock = self.clock
        self.book = HealthBook(self.clock, lambda _: None)
        self.ward = Ward(self.book, self.clock, random.Random(0), lambda *_: None, budgets, spill_after=30.0)
        self.at_once = at_once

    def candidate(self, name):
        site, _, model = name.partition("/")
        local = site in self.engines
        where = Deployment(name, site, model, local=local, account=site, endpoint=site)
        if not local:
            return Candidate(where, self.cloud, Limits(attempt=60.0))
        return Candidate(
            where, self.engines[site], Limits(attempt=60.0), at_once=self.at_once, host=self.hosts[site]
        )

    def call(self, *chain, stream=False, within=math.inf, prefer=None, role_prefers=None, **plan):
        """A call over ``chain`` as a task: its text and the outcomes of its attempts."""
        candidates = tuple(map(self.candidate, chain))
        journal = Journal()
        asked = Call(
            "c",
            {"messages": [{"role": "user", "content": "hi"}]},
            "chat",
            stream,
            deadline=self.clock.monotonic() + within,
            prefer=prefer,
        )
        fallback = Fallback(Plan("chat", "chat", candidates, prefer=role_prefers, **plan), journal, self.ward)

        async def work():
            async with fallback.open(asked) as items:
                got = [item async for item in items]
            if stream:
                return "".join(i.body["choices"][0]["delta"].get("content") or "" for i in got)
            return text_of(got[0].body)

        task = asyncio.create_task(work())
        task.journal = journal
        return task

    async def bring(self, model, site="a"):
        """Have ``model`` in the engine's memory, known and idle."""
        call = self.call(f"{site}/{model}")
        await self.clock.advance(60.0)
        await call

    async def learn_the_switch(self):
        """Both large models have been there, the executor is."""
        await self.bring("brain")
        await self.bring("executor")

    def state(self):
        """What is held anywhere: turns and queues, places, contexts."""
        turns = sum(m.running + m.waiting for host in self.hosts.values() for m in host.status().models)
        places = sum(p.taken + p.waiting for p in self.ward._places.values())
        return turns, places, sum(e.leaks for e in self.engines.values()) + self.cloud.leaks


def outcomes(task):
    return [(a.deployment, a.outcome) for a in task.journal.attempts]


def details(task):
    return [a.detail for a in task.journal.attempts]


def check(scenario, **options):
    """Run ``scenario`` with a house; at its end nothing is held, and no answer came from a model that was away."""

    async def run():
        house = House(**options)
        for host in house.hosts.values():
            await host.start()
        await scenario(house)
        await house.clock.advance(0.0)
        assert house.state() == (0, 0, 0)
        assert all(not engine.unloaded_answers for engine in house.engines.values())
        assert all(engine.most <= BUDGET for engine in house.engines.values())
        for host in house.hosts.values():
            await host.close()
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(run())


# --- spilling


def busy_with(house, model="brain", calls=20):
    """Calls that keep ``model`` in memory for a good while."""
    return [house.call(f"a/{model}") for _ in range(calls)]


async def drained(house, tasks):
    await house.clock.advance(400.0)
    return [await task for task in tasks]


@pytest.mark.parametrize("stream", [False, True])
def test_spill_to_the_cloud(stream):
    """With a wait longer than allowed, the cloud answers at once; the trace says that the local one was skipped, and why."""

    async def scenario(house):
        await house.learn_the_switch()
        busy = busy_with(house)
        await house.clock.advance(1.0)
        call = house.call("a/executor", "cloud/x", stream=stream)
        await house.clock.advance(1.0)
        assert await call == "from the cloud"
        assert outcomes(call) == [("a/executor", "skipped"), ("cloud/x", "ok")]
        assert details(call)[0].startswith("spilled: 'executor' would take ")
        assert house.book.records["a/executor"].failures == 0
        await drained(house, busy)

    check(scenario)


def test_spill_not_when_the_wait_is_short():
    """A switch that takes less than allowed is waited for."""

    async def scenario(house):
        await house.learn_the_switch()
        call = house.call("a/brain", "cloud/x")
        await house.clock.advance(20.0)
        assert await call == "hello from a fake"
        assert outcomes(call) == [("a/brain", "ok")]

    check(scenario)


def test_spill_not_to_a_slower_cloud():
    """Where the other usually takes longer than the wait, the local model is waited for."""

    async def scenario(house):
        await house.learn_the_switch()
        for _ in range(5):
            house.book.succeeded(house.candidate("cloud/x").deployment, 200_000.0)
        busy = busy_with(house)
        await house.clock.advance(1.0)
        call = house.call("a/executor", "cloud/x")
        await drained(house, [*busy, call])
        assert outcomes(call) == [("a/executor", "ok")]

    check(scenario)


@pytest.mark.parametrize(
    "why", ["no cloud", "prefer of the call", "prefer of the role", "blocked", "no fallback"]
)
def test_spill_only_where_it_may(why):
    """Without a cloud that may be asked now, the local model is waited for, however long."""
    chain = ["a/executor"] if why == "no cloud" else ["a/executor", "cloud/x"]
    more = {
        "prefer of the call": {"prefer": "local"},
        "prefer of the role": {"role_prefers": "local"},
        "no fallback": {"fallback": False},
    }.get(why, {})

    async def scenario(house):
        await house.learn_the_switch()
        if why == "blocked":
            far = house.candidate("cloud/x").deployment
            house.book.failed(far, errors.QuotaError("no allowance", until=house.clock.time() + 1e6), 0.1)
        busy = busy_with(house)
        await house.clock.advance(1.0)
        call = house.call(*chain, **more)
        await drained(house, [*busy, call])
        assert outcomes(call) == [("a/executor", "ok")]
        assert house.cloud.calls == []

    check(scenario)


@pytest.mark.parametrize("refuses", [False, True])
def test_spill_not_on_a_spent_budget(refuses):
    """A cloud that nobody pays for is no detour: the local model is waited for, also where a spent budget refuses."""

    async def scenario(house):
        await house.learn_the_switch()
        busy = busy_with(house)
        await house.clock.advance(1.0)
        call = house.call("a/executor", "cloud/x", "a/tiny")
        await drained(house, [*busy, call])
        assert outcomes(call) == [("a/executor", "skipped"), ("cloud/x", "skipped"), ("a/executor", "ok")]
        assert house.cloud.calls == []

    check(scenario, budgets=Purse(refuses=refuses))


def test_a_spent_budget_still_refuses_where_nothing_spilled():
    """A cloud that the role asks first is not got round by this machine."""

    async def scenario(house):
        call = house.call("cloud/x", "a/tiny")
        await house.clock.advance(10.0)
        with pytest.raises(errors.BudgetError):
            await call

    check(scenario, budgets=Purse(refuses=True))


@pytest.mark.parametrize("stream", [False, True])
def test_spill_to_a_cloud_that_fails(stream):
    """The local model is waited for after all, before any that come later in the chain."""

    async def scenario(house):
        await house.learn_the_switch()
        busy = busy_with(house)
        await house.clock.advance(1.0)
        call = house.call("a/executor", "a/tiny", "cloud/x", stream=stream)
        await drained(house, [*busy, call])
        assert await call == "hello from a fake"
        assert outcomes(call) == [
            ("a/executor", "skipped"),
            ("cloud/x", "server_error"),
            ("a/executor", "ok"),
        ]

    check(scenario, cloud=FakeProvider(errors.ServerFaultError("x"), local=False))


def test_spill_to_the_next_cloud():
    """Of two clouds the second is asked where the first fails, while the wait is still too long."""

    async def scenario(house):
        await house.learn_the_switch()
        busy = busy_with(house)
        await house.clock.advance(1.0)
        call = house.call("a/executor", "cloud/x", "cloud/y")
        await house.clock.advance(3.0)
        assert await call == "at last"
        assert [outcome for _, outcome in outcomes(call)] == ["skipped", "server_error", "skipped", "ok"]
        await drained(house, busy)

    check(scenario, cloud=FakeProvider(errors.ServerFaultError("x"), Say("at last"), local=False))


def test_worth_waiting():
    """As long as allowed, or as the other usually takes; without another, however long."""
    book = HealthBook(VirtualClock(), lambda _: None)
    far = Candidate(Deployment("c/x", "c", "x", local=False, account="c", endpoint="c"), FakeProvider())
    assert worth_waiting(30.0, book, None) is None
    assert worth_waiting(30.0, book, far) == 30.0
    for ms in (40_000.0, 1_000.0, 50_000.0):
        book.succeeded(far.deployment, ms)
    assert worth_waiting(30.0, book, far) == 40.0
    assert worth_waiting(60.0, book, far) == 60.0


# --- failures


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (errors.OutOfMemoryError("no room"), "out_of_memory"),
        (errors.MissingModelError("gone"), "model_missing"),
        (errors.UnreachableError("engine down"), "unreachable"),
        (errors.ServerFaultError("crashed"), "server_error"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_load_that_fails_goes_to_the_next(error, outcome, stream):
    """The next candidate answers; the attempt is in the trace and the health book knows."""

    async def scenario(house):
        house.engines["a"].errors["load"] = [error]
        call = house.call("a/brain", "b/tiny", stream=stream)
        await house.clock.advance(20.0)
        assert await call == "hello from a fake"
        assert outcomes(call) == [("a/brain", outcome), ("b/tiny", "ok")]
        record = house.book.records["a/brain"]
        assert (record.failures, record.last_code) == (1, outcome)

    check(scenario)


def test_an_engine_that_is_down_goes_to_the_next():
    """An engine that does not even describe its models is a failure as any other."""

    async def scenario(house):
        house.engines["a"].errors["describe"] = [errors.UnreachableError("refused")] * 9
        for _ in range(3):
            call = house.call("a/brain", "cloud/x")
            await house.clock.advance(2.0)
            assert await call == "from the cloud"
        assert outcomes(call) == [("a/brain", "unreachable"), ("cloud/x", "ok")]
        call = house.call("a/brain", "cloud/x")
        await house.clock.advance(2.0)
        assert outcomes(call)[0] == ("a/brain", "skipped")

    check(scenario)


def test_a_missing_model_is_out_of_service_for_a_while():
    """One call learns that it is missing, the next passes it by."""

    async def scenario(house):
        for expected in ("model_missing", "skipped"):
            call = house.call("a/absent", "cloud/x")
            await house.clock.advance(2.0)
            await call
            assert outcomes(call) == [("a/absent", expected), ("cloud/x", "ok")]

    check(scenario)


def test_a_deadline_in_the_queue_blames_nobody():
    """The call ends in time, without a failure of the model, and the queue is as before."""

    async def scenario(house):
        await house.learn_the_switch()
        call = house.call("a/brain", within=0.05)  # the deadline of a wait is one of real time
        with pytest.raises(
            ExhaustedError, match="did not come into memory before the call's deadline"
        ) as caught:
            await call
        assert any(isinstance(cause, errors.TimedOutError) for cause in caught.value.causes)
        assert house.book.records["a/brain"].failures == 0
        assert house.book.breaker_state(house.candidate("a/brain").deployment) == "closed"
        await house.clock.advance(30.0)

    check(scenario)


def test_a_full_queue_goes_to_the_next():
    """Who finds the queue full is answered elsewhere; it is no failure of the model."""

    async def scenario(house):
        house.hosts["a"]._residency._scheduler.house.rules = Rules(max_queue=1)
        first, second, third = (house.call("a/brain", "b/tiny") for _ in range(3))
        await house.clock.advance(40.0)
        await asyncio.gather(first, second, third)
        assert outcomes(third) == [("a/brain", "skipped"), ("b/tiny", "ok")]
        assert details(third)[0].startswith("queue_full")
        assert house.book.records["a/brain"].failures == 0

    check(scenario)


# --- nothing is left behind


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("chain", [("a/brain",), ("a/brain", "b/brain", "cloud/x")])
def test_nothing_is_left_wherever_a_call_is_cancelled(chain, stream):
    """Cancelled after any number of steps of the loop, a call leaves no turn, no place and no open context."""

    async def scenario(house):
        await house.bring("tiny")
        for steps in range(0, 90, 3):
            call = house.call(*chain, stream=stream)
            for step in range(steps):
                await (asyncio.sleep(0) if step % 15 else house.clock.advance(3.0))
            call.cancel()
            await asyncio.wait({call})
            await house.clock.advance(30.0)
            assert house.state() == (0, 0, 0), steps
        assert house.book.records.get("a/brain", None) is None or house.book.records["a/brain"].failures == 0

    check(scenario)


def test_nothing_is_left_when_a_client_hangs_up_in_a_stream():
    """A stream that is closed after its first piece gives its turn back: the other model's comes."""

    async def scenario(house):
        for engine in house.engines.values():
            engine.script = [Say("one two three", pause=5.0)]
        fallback = Fallback(Plan("chat", "chat", (house.candidate("a/brain"),)), Journal(), house.ward)
        body = {"messages": [{"role": "user", "content": "hi"}]}

        async def hang_up():
            async with fallback.open(Call("c", body, "chat", stream=True)) as items:
                async for _ in items:
                    return

        gone = asyncio.create_task(hang_up())
        await house.clock.advance(25.0)
        await gone
        assert house.state() == (0, 0, 0)
        call = house.call("a/executor")
        await house.clock.advance(15.0)
        assert await call

    check(scenario)


# --- order


def test_who_waits_for_a_model_keeps_no_connection():
    """However many wait for one model, another that is in memory answers at once."""

    async def scenario(house):
        await house.bring("brain")
        busy = house.call("a/brain")
        waiting = [house.call("a/executor") for _ in range(5)]
        await house.clock.advance(2.0)
        await busy
        assert not any(call.done() for call in waiting)
        call = house.call("b/tiny")
        await house.clock.advance(3.0)
        assert call.done()
        tiny = house.call("a/tiny")  # it fits beside either of them
        await house.clock.advance(12.0)
        assert tiny.done()
        await drained(house, [*waiting, call, tiny])

    check(scenario, at_once=1)


def test_every_call_carries_the_window_of_the_load():
    """The window of the load goes with every call, whatever the role's is."""

    async def scenario(house):
        calls = [house.call("a/brain") for _ in range(3)]
        await drained(house, calls)
        assert house.engines["a"].windows["brain"] == 8192
        assert house.engines["a"].contexts == [8192] * 3

    check(scenario, context={"brain": 8192})


def test_models_of_the_plans_are_known_before_they_are_asked_for():
    """Those that take turns are looked up once each; the others are nobody's."""

    async def scenario(house):
        plan = Plan("chat", "chat", tuple(map(house.candidate, ("a/brain", "cloud/x", "b/tiny", "a/brain"))))
        look_up_models([plan, plan])
        await house.clock.advance(0.0)
        assert (house.engines["a"].descriptions, house.engines["b"].descriptions) == (1, 1)
        assert house.hosts["a"].predicted_wait("brain") == pytest.approx(13.0)

    check(scenario)


# --- several hosts


def test_pool_one_loaded_model_serves_until_it_would_wait():
    """Calls one after the other stay at the host that has the model; it is not loaded twice without need."""

    async def scenario(house):
        for _ in range(6):
            call = house.call("a/brain", "b/brain")
            await house.clock.advance(30.0)
            await call
        assert house.engines["a"].log == [("load", "brain")]
        assert house.engines["b"].log == []

    check(scenario)


def test_pool_a_burst_spreads():
    """Of calls at once, as many go to the second host as start sooner there, its load counted."""

    async def scenario(house):
        await house.bring("tiny", "a")
        await house.clock.advance(5.0)
        call = house.call("a/tiny", "b/tiny")  # now both are known
        await house.clock.advance(5.0)
        await call
        calls = [house.call("a/tiny", "b/tiny") for _ in range(12)]
        await house.clock.advance(25.0)
        served = [task.journal.answered_by for task in calls]
        assert all(task.done() for task in calls)
        assert 3 <= served.count("b/tiny") <= 6, (
            served
        )  # where no answer was seen yet, one is taken to last 5 s

    check(scenario)


def test_pool_passes_by_a_host_that_is_out_of_service():
    """A host whose breaker is open is not where a turn comes soonest."""

    async def scenario(house):
        await house.bring("brain", "b")
        far = house.candidate("b/brain").deployment
        house.book.failed(far, errors.OutOfMemoryError("no room"), 0.1)
        call = house.call("a/brain", "b/brain")
        await house.clock.advance(20.0)
        await call
        assert outcomes(call) == [("a/brain", "ok")]

    check(scenario)


def test_pool_a_failing_host_hands_over_to_the_other():
    """When the sooner one fails, the other that has the same model answers."""

    async def scenario(house):
        await house.bring("tiny", "b")
        await house.bring("tiny", "a")
        house.engines["a"].script = [Say(error=errors.ServerFaultError("x"))]
        call = house.call("a/tiny", "b/tiny")
        await house.clock.advance(5.0)
        await call
        assert outcomes(call) == [("a/tiny", "server_error"), ("b/tiny", "ok")]

    check(scenario)
