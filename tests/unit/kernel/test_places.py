"""Places: so much at once, in order, without losing any."""

import asyncio
import random

import pytest

from coreto.messages import Call, Limits
from coreto.places import Places
from coreto.providers.catalog import Deployment
from coreto.resilience.fallback import Fallback, Ward
from coreto.resilience.health import HealthBook
from coreto.resilience.plan import Candidate, Journal, Plan
from coreto.testing.clock import VirtualClock
from coreto.testing.provider import FakeProvider, Say


def test_those_who_wait_get_their_turn_in_order() -> None:
    """Who came first is first; a place that changes hands stays taken."""
    order: list[int] = []

    async def one(places: Places, number: int) -> None:
        assert await places.enter(None) is True
        order.append(number)
        places.leave()

    async def run() -> None:
        places = Places(1)
        assert await places.enter(None) is False
        waiting = [asyncio.create_task(one(places, n)) for n in range(5)]
        await asyncio.sleep(0)
        assert (places.taken, places.waiting) == (1, 5)
        places.leave()
        await asyncio.gather(*waiting)
        assert (order, places.taken, places.waiting) == ([0, 1, 2, 3, 4], 0, 0)

    asyncio.run(run())


def test_who_gives_up_loses_nobody_a_place() -> None:
    """Canceled in the queue, in the moment of the turn, or out of time: all places come back."""

    async def run() -> None:
        places = Places(1)
        await places.enter(None)
        with pytest.raises(TimeoutError):
            await places.enter(0.0)
        queued, lucky = (asyncio.create_task(places.enter(None)) for _ in range(2))
        await asyncio.sleep(0)
        queued.cancel()
        await asyncio.sleep(0)
        places.leave()  # `lucky` has it now, and is canceled before it runs
        lucky.cancel()
        await asyncio.gather(queued, lucky, return_exceptions=True)
        assert (places.taken, places.waiting) == (0, 0)

    asyncio.run(run())


def test_waiting_for_a_connection_is_not_the_attempts_time() -> None:
    """Three calls to a server that is given one at a time: each attempt is as long as its own answer, and
    nobody is counted out for having waited."""

    async def run() -> None:
        clock = VirtualClock()
        fake = FakeProvider(Say(delay=8.0), clock=clock)
        where = Deployment("p/a", "p", "a", local=True, account="p", endpoint="p")
        plan = Plan("chat", "chat", (Candidate(where, fake, Limits(attempt=10.0), at_once=1),))
        ward = Ward(HealthBook(clock, lambda _: None), clock, random.Random(0), lambda *_: None)
        journals = [Journal() for _ in range(3)]
        call = Call("c", {"messages": [{"role": "user", "content": "hi"}]}, "chat")
        asking = [asyncio.create_task(Fallback(plan, journal, ward).whole(call)) for journal in journals]
        await clock.advance(24.0)
        await asyncio.gather(*asking)
        assert fake.most_at_once == 1
        assert [attempt.ms for journal in journals for attempt in journal.attempts] == [8000.0] * 3

    asyncio.run(run())
