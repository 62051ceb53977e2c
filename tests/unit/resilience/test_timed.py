"""Answers that must come in time. Real loop timers, of milliseconds."""

import asyncio

import pytest

from coreto.clock import SystemClock
from coreto.errors import StalledError, TimedOutError
from coreto.messages import Call, Chunk, Limits, Whole
from coreto.resilience.timeouts import Timed, Watchdog
from coreto.testing.provider import FakeProvider, Say

LONG = 30.0


def call(stream=False, attempt=LONG, stall=LONG, within=None):
    deadline = float("inf") if within is None else SystemClock().monotonic() + within
    limits = Limits(attempt=attempt, stall=stall)
    return Call("c", {"messages": []}, "fake", stream, limits=limits, deadline=deadline)


async def drink(fake, request, each=0.0):
    seen = []
    async with Timed(fake, SystemClock()).open(request) as items:
        async for item in items:
            seen.append(item)
            await asyncio.sleep(each)
    return seen


def test_timed_quick_answers_pass():
    """What comes in time is given on, and the timer leaves no trace."""

    async def work():
        (whole,) = await drink(FakeProvider(), call(attempt=0.5))
        chunks = await drink(FakeProvider(), call(stream=True, attempt=0.5, stall=0.5))
        await asyncio.sleep(0)
        assert asyncio.current_task().cancelling() == 0
        return whole, chunks

    whole, chunks = asyncio.run(work())
    assert isinstance(whole, Whole)
    assert all(isinstance(chunk, Chunk) for chunk in chunks)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("how", [{"attempt": 0.02}, {"within": 0.02}, {"within": -1.0}])
def test_timed_first_item_too_late(stream, how):
    """No first item within the attempt's time or the deadline is a timeout, and the provider is closed."""
    fake = FakeProvider(Say(delay=LONG))

    async def work():
        with pytest.raises(TimedOutError):
            await drink(fake, call(stream=stream, **how))
        assert asyncio.current_task().cancelling() == 0
        await asyncio.sleep(0)

    asyncio.run(work())
    assert fake.leaks == 0


def test_timed_stall():
    """A stream that stops between two items has stalled, not timed out."""
    fake = FakeProvider(Say(pause=LONG))

    async def work():
        with pytest.raises(StalledError):
            await drink(fake, call(stream=True, stall=0.02))

    asyncio.run(work())
    assert fake.leaks == 0


def test_timed_a_slow_consumer_is_not_a_slow_provider():
    """Time that the caller takes between two items does not count."""

    async def work():
        return await drink(FakeProvider(), call(stream=True, attempt=0.05, stall=0.05), each=0.07)

    assert len(asyncio.run(work())) > 2


def test_timed_steady_streams_outlive_the_attempt():
    """The attempt's time holds for the first item; a stream that flows may go on."""
    fake = FakeProvider(Say(pieces=("x",) * 8, pause=0.01))

    async def work():
        return await drink(fake, call(stream=True, attempt=0.04, stall=0.5))

    assert len(asyncio.run(work())) == 10


@pytest.mark.parametrize("script", [Say(delay=LONG), Say(pause=LONG)])
def test_timed_a_cancel_from_outside_is_no_timeout(script):
    """Who cancels the task gets a cancellation."""
    fake = FakeProvider(script)

    async def work():
        task = asyncio.create_task(drink(fake, call(stream=True, attempt=0.5, stall=0.5)))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(work())
    assert fake.leaks == 0


def test_timed_both_at_once_is_a_cancel():
    """When timer and caller cancel together, the caller's will counts."""
    fake = FakeProvider(Say(delay=LONG))

    async def work():
        task = asyncio.create_task(drink(fake, call(attempt=0.02)))
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_later(0.02, task.cancel)
        with pytest.raises((asyncio.CancelledError, TimedOutError)):
            await task
        return task.cancelled() or task.cancelling() == 0

    assert asyncio.run(work())
    assert fake.leaks == 0


def test_timed_inside_a_callers_timeout():
    """A caller's own ``asyncio.timeout`` works around it, in both orders."""

    async def work():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await drink(FakeProvider(Say(delay=LONG)), call(attempt=LONG))
        async with asyncio.timeout(LONG):
            with pytest.raises(TimedOutError):
                await drink(FakeProvider(Say(delay=LONG)), call(attempt=0.02))
            await asyncio.sleep(0)

    asyncio.run(work())


def test_timed_in_a_task_that_was_canceled_before():
    """In a task that has swallowed a cancellation (a clean-up), a timeout is still a timeout."""

    async def clean_up():
        try:
            await asyncio.sleep(LONG)
        except asyncio.CancelledError:
            with pytest.raises(TimedOutError):
                await drink(FakeProvider(Say(delay=LONG)), call(attempt=0.02))
            return "done"

    async def work():
        task = asyncio.create_task(clean_up())
        await asyncio.sleep(0)
        task.cancel()
        return await task

    assert asyncio.run(work()) == "done"


def test_timed_watchdog_rearmed_for_later_and_for_sooner():
    """Arming again replaces the due time, in either direction."""

    async def work():
        watchdog = Watchdog()
        watchdog.arm(0.01)
        watchdog.arm(0.2)
        await asyncio.sleep(0.05)
        assert not watchdog.expired
        watchdog.arm(0.01)
        with pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(1)
        asyncio.current_task().uncancel()
        assert watchdog.expired
        watchdog.close()

    asyncio.run(work())


def test_timed_passes_through():
    """Models, health and close are the inner provider's."""
    fake = FakeProvider()

    async def work():
        timed = Timed(fake, SystemClock())
        assert await timed.models() == await fake.models()
        assert await timed.health() == await fake.health()
        await timed.close()

    asyncio.run(work())
    assert fake.closed == 1
