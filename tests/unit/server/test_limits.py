"""Buckets and places: what they promise, over all histories."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coreto.server.limits import Bucket, BusyError, Gate
from coreto.testing.clock import VirtualClock

GAPS = st.lists(st.floats(0, 40, allow_nan=False), max_size=120)


class TestBucket:
    """Requests a minute."""

    @given(st.integers(1, 100), GAPS)
    def test_never_more(self, per_minute, gaps) -> None:
        """Within any span at most a minute's worth and what came back meanwhile is granted."""
        bucket, now, granted = Bucket(per_minute), 0.0, []
        for gap in gaps:
            now += gap
            if not bucket.take(now):
                granted.append(now)
        for first in range(len(granted)):
            for last in range(first, len(granted)):
                most = per_minute * (1 + (granted[last] - granted[first]) / 60)
                assert last - first + 1 <= most + 1e-6

    @given(st.integers(1, 600), GAPS)
    def test_who_waits_as_told_gets_it(self, per_minute, gaps) -> None:
        """The seconds named by a refusal are enough, and half of them are not."""
        bucket, now = Bucket(per_minute), 0.0
        for gap in gaps:
            now += gap / 10
            wait = bucket.take(now)
            if wait:
                assert 0 < wait <= 60 / per_minute + 1e-9
                assert bucket.take(now + wait / 2) > 0
                now += wait + 1e-6
                assert bucket.take(now) == 0

    def test_time_that_goes_back(self) -> None:
        """A clock that goes back grants nothing."""
        bucket = Bucket(1)
        assert bucket.take(100.0) == 0
        assert bucket.take(0.0) > 0
        assert bucket.take(100.0) > 0
        assert bucket.full_in == pytest.approx(60)


class TestGate:
    """Places and the queue before them."""

    @given(st.lists(st.sampled_from(["enter", "leave", "cancel"]), max_size=60), st.integers(1, 4))
    @settings(deadline=None)
    def test_any_history(self, history, most) -> None:
        """However calls come, leave and give up: never more than the places run, nobody waits while one is
        free, who came first goes first, and at the end nothing is held."""

        async def main() -> None:
            gate = Gate(VirtualClock(), most, 5)
            order, running, tasks = [], [], {}

            async def call(number: int) -> None:
                try:
                    await gate.enter(1000)
                except BusyError:
                    tasks.pop(number)
                    return
                order.append(number)
                running.append(number)

            for number, what in enumerate(history):
                if what == "enter":
                    tasks[number] = asyncio.create_task(call(number))
                elif what == "leave" and running:
                    tasks.pop(running.pop(0))
                    gate.leave(1.0)
                elif what == "cancel":
                    waiting = [n for n, t in tasks.items() if n not in running]
                    if waiting:
                        tasks.pop(waiting[0]).cancel()
                for _ in range(4):
                    await asyncio.sleep(0)
                assert len(running) == gate.running <= most
                assert not gate.queued or gate.running == most
            assert order == sorted(order)
            while running or gate.queued:
                running.pop(0)
                gate.leave(1.0)
                for _ in range(4):
                    await asyncio.sleep(0)
            assert (gate.running, gate.queued) == (0, 0)

        asyncio.run(main())

    def test_full(self) -> None:
        """With every place taken and the queue full a call is refused at once, and told when to come back."""

        async def main() -> None:
            gate = Gate(VirtualClock(), 1, 1)
            assert await gate.enter(1000) is False
            second = asyncio.create_task(gate.enter(1000))
            await asyncio.sleep(0)
            with pytest.raises(BusyError, match="1 places are taken and 1 requests wait") as caught:
                await gate.enter(1000)
            assert (caught.value.http_status, caught.value.retry_after) == (429, 2)
            gate.leave(1.0)
            assert await second is True

        asyncio.run(main())

    def test_waiting_is_bounded(self) -> None:
        """Who does not get a place in time is refused, and his turn is nobody's loss."""

        async def main() -> None:
            gate = Gate(VirtualClock(), 1, 5)
            await gate.enter(1000)
            with pytest.raises(BusyError, match="within"):
                await gate.enter(0.01)
            assert (gate.running, gate.queued) == (1, 0)
            gate.leave(1.0)
            assert gate.running == 0

        asyncio.run(main())

    def test_a_place_given_to_one_who_leaves(self) -> None:
        """A place that changes hands in the moment its taker is cancelled goes to the next."""

        async def main() -> None:
            gate = Gate(VirtualClock(), 1, 5)
            await gate.enter(1000)
            first = asyncio.create_task(gate.enter(1000))
            second = asyncio.create_task(gate.enter(1000))
            await asyncio.sleep(0)
            gate.leave(1.0)
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            assert await second is True
            assert (gate.running, gate.queued) == (1, 0)

        asyncio.run(main())

    def test_when_to_come_back(self) -> None:
        """The longer places are held and the more wait, the later; never under a second nor over a minute."""

        async def main() -> list[float]:
            hints = []
            for held in (0.001, 20.0, 5000.0):
                gate = Gate(VirtualClock(), 1, 0)
                for _ in range(60):
                    await gate.enter(1)
                    gate.leave(held)
                await gate.enter(1)
                with pytest.raises(BusyError) as caught:
                    await gate.enter(1)
                hints.append(caught.value.retry_after)
            return hints

        assert asyncio.run(main()) == [1, pytest.approx(20, abs=1), 60]
