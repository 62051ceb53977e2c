"""Embeddings of a model that takes turns: its window, its failures, and nothing left behind."""

import asyncio
import random

import pytest

from coreto import errors
from coreto.events import EventBus
from coreto.gateway.embeddings import embed
from coreto.gateway.settle import Settlement
from coreto.ledger.prices import PriceBook
from coreto.messages import EmbedCall
from coreto.providers.catalog import Deployment
from coreto.residency.hosts import Host, Terms
from coreto.residency.model import Rules
from coreto.residency.sizes import Wanted
from coreto.resilience.fallback import Ward
from coreto.resilience.health import HealthBook
from coreto.resilience.plan import Candidate, Plan
from coreto.testing.clock import VirtualClock
from coreto.testing.engine import FakeEngine

GB = 10**9
SIZES = {"vectors": 9 * GB, "brain": 13 * GB}


class House:
    """An engine with a budget for one of its two models, and embeddings calls."""

    def __init__(self, context=None, rules=None):
        self.clock = VirtualClock()
        self.engine = FakeEngine(SIZES, self.clock)
        terms = Terms(16 * GB, Wanted(SIZES, context or {}), rules or Rules())
        self.host = Host("e", self.engine, terms, clock=self.clock)
        self.book = HealthBook(self.clock, lambda _: None)
        self.ward = Ward(self.book, self.clock, random.Random(0), lambda *_: None)
        self.settlement = Settlement(PriceBook(lambda _: None), EventBus(), self.clock)
        where = Deployment("e/vectors", "e", "vectors", local=True, account="e", endpoint="e")
        self.candidate = Candidate(where, self.engine, embedder=self.engine, host=self.host)

    def call(self):
        """An embeddings call as a task."""
        plan = Plan("e/vectors", None, (self.candidate,), fallback=False)
        asked = EmbedCall("c", {"input": "hi"}, "e/vectors")
        return asyncio.create_task(embed(asked, plan, self.ward, self.settlement))

    @property
    def held(self):
        turns = sum(m.running + m.waiting for m in self.host.status().models)
        return turns + sum(p.taken + p.waiting for p in self.ward._places.values())


def check(scenario, **options):
    """Run ``scenario`` with a house in which nothing may be left."""

    async def run():
        house = House(**options)
        await house.host.start()
        await scenario(house)
        await house.clock.advance(0.0)
        assert house.held == 0
        await house.host.close()
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(run())


def test_embeddings_wait_for_their_models_turn():
    """While a chat has the memory, the vectors wait; then their model is loaded, with its window."""

    async def scenario(house):
        coming = asyncio.create_task(house.host.turn("brain"))
        await house.clock.advance(14.0)
        brain = await coming
        call = house.call()
        await house.clock.advance(30.0)
        assert not call.done()
        brain.end()
        await house.clock.advance(10.0)
        _, trace = await call
        assert [(a.deployment, a.outcome) for a in trace.attempts] == [("e/vectors", "ok")]
        assert house.engine.contexts == [2048]
        assert house.engine.unloaded_answers == []
        assert house.engine.most <= 16 * GB

    check(scenario, context={"vectors": 2048})


def test_embeddings_whose_model_cannot_be_loaded():
    """The error carries a trace with the attempt, and the health book knows."""

    async def scenario(house):
        house.engine.errors["load"].append(errors.OutOfMemoryError("no room"))
        call = house.call()
        await house.clock.advance(1.0)
        with pytest.raises(errors.OutOfMemoryError) as caught:
            await call
        assert [(a.deployment, a.outcome) for a in caught.value.trace.attempts] == [
            ("e/vectors", "out_of_memory")
        ]
        assert house.book.records["e/vectors"].failures == 1

    check(scenario)


def test_embeddings_that_find_the_queue_full():
    """The attempt is in the trace; it is no failure of the model."""

    async def scenario(house):
        with pytest.raises(errors.QueueFullError) as caught:
            await house.call()
        assert [(a.deployment, a.outcome) for a in caught.value.trace.attempts] == [
            ("e/vectors", "queue_full")
        ]
        assert house.book.records == {}

    check(scenario, rules=Rules(max_queue=0))


def test_embeddings_cancelled_anywhere_leave_nothing():
    """After any number of steps of the loop, a cancelled call has no turn and no place."""

    async def scenario(house):
        for steps in range(40):
            call = house.call()
            for step in range(steps):
                await (asyncio.sleep(0) if step % 10 else house.clock.advance(2.0))
            call.cancel()
            await asyncio.wait({call})
            await house.clock.advance(20.0)
            assert house.held == 0, steps

    check(scenario)
