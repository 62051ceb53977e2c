"""One piece of work for many who ask at the same time."""

import asyncio
import logging

import pytest

from coreto.cache.single_flight import SingleFlight
from coreto.errors import CutError, ExhaustedError, RateError, TimedOutError, UnknownModelError


class Script:
    """Work that a test drives: it yields what is put into ``items``; ``None`` ends it, an error fails it."""

    def __init__(self):
        self.items = asyncio.Queue()
        self.runs = 0
        self.closed = 0
        self.finished = 0
        self.hold = asyncio.Event()
        self.hold.set()
        self.after_error = None
        self.lasts = True

    async def run(self):
        self.runs += 1
        try:
            while (item := await self.items.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            await asyncio.sleep(0)  # closing takes a turn, as a socket's does
            self.closed += 1

    def finish(self):
        return self.lasts

    async def after(self):
        await self.hold.wait()
        if self.after_error:
            raise self.after_error
        self.finished += 1


async def listen(flight, heard=None, *, until=None):
    heard = [] if heard is None else heard
    listener = flight.listen()
    try:
        async for item in listener.items(until):
            heard.append(item)
    finally:
        await listener.leave()
    return heard


async def turns(count=10):
    for _ in range(count):
        await asyncio.sleep(0)


def flights(**options):
    return SingleFlight(len, **options)


def test_a_hundred_listeners_hear_one_flight():
    """A hundred who ask at once hear every item, in order, of one run."""

    async def check():
        group, script = flights(), Script()
        group.start("k", script)
        listening = [asyncio.create_task(listen(group.get("k"))) for _ in range(100)]
        for item in ("a", "b", None):
            script.items.put_nowait(item)
        assert await asyncio.gather(*listening) == [["a", "b"]] * 100
        await turns()
        assert (script.runs, script.closed, script.finished) == (1, 1, 1)
        assert group.get("k") is None

    asyncio.run(check())


def test_items_come_live_and_late_listeners_miss_nothing():
    """An item is heard before the next one exists; who joins late hears the earlier ones first."""

    async def check():
        group, script = flights(), Script()
        flight = group.start("k", script)
        early, late = [], []
        first = asyncio.create_task(listen(flight, early))
        script.items.put_nowait("a")
        await turns()
        assert early == ["a"]
        second = asyncio.create_task(listen(group.get("k"), late))
        await turns()
        assert late == ["a"]
        script.items.put_nowait("b")
        script.items.put_nowait(None)
        await asyncio.gather(first, second)
        assert early == late == ["a", "b"]

    asyncio.run(check())


def test_a_canceled_leader_does_not_end_it_for_the_others():
    """The first caller's cancellation leaves the work running for who still listens."""

    async def check():
        group, script = flights(), Script()
        flight = group.start("k", script)
        leader = asyncio.create_task(listen(flight))
        await turns()
        follower = asyncio.create_task(listen(flight))
        script.items.put_nowait("a")
        await turns()
        leader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leader
        assert script.closed == 0
        script.items.put_nowait("b")
        script.items.put_nowait(None)
        assert await follower == ["a", "b"]
        await turns()
        assert script.finished == 1

    asyncio.run(check())


def test_the_last_to_leave_ends_the_work_and_waits_for_it():
    """When all have left the work is canceled and closed before the last one is through; nobody may join."""

    async def check():
        group, script = flights(), Script()
        flight = group.start("k", script)
        listening = [asyncio.create_task(listen(flight)) for _ in range(5)]
        script.items.put_nowait("a")
        await turns()
        for task in listening:
            task.cancel()
        await asyncio.wait(listening)
        assert all(task.cancelled() for task in listening)
        assert (script.closed, script.finished) == (1, 0)
        assert group.get("k") is None
        assert group.all() == ()

    asyncio.run(check())


def test_a_dying_flight_is_not_joined():
    """From the moment the last one leaves, a new call begins its own work."""

    async def check():
        group, script = flights(), Script()
        listener = group.start("k", script).listen()
        await turns()
        leaving = asyncio.create_task(listener.leave())
        await asyncio.sleep(0)
        assert script.closed == 0
        assert group.get("k") is None
        other = Script()
        group.start("k", other)
        await leaving
        assert group.get("k") is not None, "the dying flight took its successor's place with it"
        other.items.put_nowait(None)
        await listen(group.get("k"))

    asyncio.run(check())


@pytest.mark.parametrize(
    "error",
    [
        RateError("slow down", status=429, retry_after=3.0),
        ExhaustedError("all failed", causes=[RateError("x")]),
        UnknownModelError("brian", ["brain"]),
    ],
)
def test_an_error_is_everybodys(error):
    """All hear what came before the error, then the error: same type, words and facts, own object."""

    async def check():
        group, script = flights(), Script()
        flight = group.start("k", script)
        heard = [[], [], []]
        listening = [asyncio.create_task(listen(flight, one)) for one in heard]
        script.items.put_nowait("a")
        script.items.put_nowait(error)
        caught = await asyncio.gather(*listening, return_exceptions=True)
        assert heard == [["a"]] * 3
        assert len({id(one) for one in caught}) == 3
        for one in caught:
            assert type(one) is type(error)
            assert (str(one), one.http_status) == (str(error), error.http_status)
            assert one.__dict__ == error.__dict__
        assert script.finished == 0
        assert group.get("k") is None

    asyncio.run(check())


def test_leaving_does_not_wait_for_what_comes_after():
    """Listeners end with the last item; what follows goes on, can be joined, and is awaited by close."""

    async def check():
        group, script = flights(), Script()
        script.hold.clear()
        flight = group.start("k", script)
        script.items.put_nowait("a")
        script.items.put_nowait(None)
        assert await listen(flight) == ["a"]
        assert script.finished == 0
        assert await listen(group.get("k")) == ["a"]
        closing = asyncio.create_task(group.close())
        await turns()
        assert not closing.done()
        script.hold.set()
        await closing
        assert script.finished == 1

    asyncio.run(check())


def test_what_does_not_last_cannot_be_joined_once_it_was_said():
    """Work that says so cannot be joined from the moment that its listeners can know of its end."""

    async def check():
        group, script = flights(), Script()
        script.lasts = False
        script.hold.clear()
        flight = group.start("k", script)
        script.items.put_nowait("a")
        script.items.put_nowait(None)
        assert await listen(flight) == ["a"]
        assert group.get("k") is None
        script.hold.set()
        await group.close()
        assert script.finished == 1

    asyncio.run(check())


def test_a_failure_afterwards_is_logged_not_raised(caplog):
    """Listeners got all they asked for; what fails later is for the log."""

    async def check():
        group, script = flights(), Script()
        script.after_error = RuntimeError("disk")
        script.items.put_nowait("a")
        script.items.put_nowait(None)
        assert await listen(group.start("k", script)) == ["a"]
        await turns()

    with caplog.at_level(logging.ERROR):
        asyncio.run(check())
    assert "what follows a shared call failed" in caplog.text


def test_close_ends_what_is_unfinished():
    """Closing cancels running work, which its listeners hear as a cut."""

    async def check():
        group, script = flights(), Script()
        listening = asyncio.create_task(listen(group.start("k", script)))
        await turns()
        await group.close()
        assert script.closed == 1
        with pytest.raises(CutError):
            await listening
        await group.close()

    asyncio.run(check())


def test_a_listener_has_its_own_deadline():
    """Who cannot wait longer leaves with a timeout; the others are not concerned."""

    async def check():
        group, script = flights(), Script()
        flight = group.start("k", script)
        patient = asyncio.create_task(listen(flight))
        with pytest.raises(TimedOutError):
            await listen(flight, until=asyncio.get_running_loop().time() - 1.0)
        script.items.put_nowait("a")
        script.items.put_nowait(None)
        assert await patient == ["a"]

    asyncio.run(check())


def test_a_slow_listener_alone_slows_the_work():
    """Past the bound the work waits for its one listener, who hears everything."""

    async def check():
        group, script = flights(max_buffer=30), Script()
        for number in range(50):
            script.items.put_nowait(f"{number:010d}")
        script.items.put_nowait(None)
        flight = group.start("k", script)
        listener = flight.listen()
        heard, most = [], 0
        async for item in listener.items():
            await turns(5)
            most = max(most, len(flight._buffer))
            heard.append(item)
        await listener.leave()
        assert heard == [f"{number:010d}" for number in range(50)]
        assert most <= 4

    asyncio.run(check())


def test_who_falls_too_far_behind_is_sent_away():
    """A stuck listener is cut once the bound is passed; the quick one hears everything, nobody joins."""

    async def check():
        group, script = flights(max_buffer=30), Script()
        flight = group.start("k", script)
        stuck = flight.listen()
        items = stuck.items()
        quick = asyncio.create_task(listen(flight))
        script.items.put_nowait("first")
        assert await anext(items) == "first"
        for number in range(20):
            script.items.put_nowait(f"{number:010d}")
            await turns()
        assert group.get("k") is None
        script.items.put_nowait(None)
        assert len(await quick) == 21
        with pytest.raises(CutError, match="too slowly"):
            await anext(items)
        await items.aclose()
        await stuck.leave()

    asyncio.run(check())


def test_keys_do_not_mix():
    """Different keys are different work."""

    async def check():
        group, one, two = flights(), Script(), Script()
        for script, item in ((one, "1"), (two, "2")):
            script.items.put_nowait(item)
            script.items.put_nowait(None)
        heard = await asyncio.gather(listen(group.start("1", one)), listen(group.start("2", two)))
        assert heard == [["1"], ["2"]]

    asyncio.run(check())
