"""An execution of a run over an engine in memory that replays by order, as the real one does."""

import asyncio
from functools import partial

import pytest

from coreto.events import CrewEvent
from coreto.runs.durable import Family, RunDurable
from coreto.runs.errors import RunError, StepOrderError
from coreto.runs.log import RunLog
from coreto.stores.database import open_database
from coreto.stores.migrate import ensure_schema
from coreto.stores.runs import RunRecord, SqlRunStore
from coreto.testing.clock import VirtualClock


class OrderedEngine:
    """Keeps outcomes by their place; ``die_at``: the place whose work is done but not recorded."""

    def __init__(self, kept=None, die_at=None):
        self.kept = dict(kept or {})
        self.place = 0
        self.die_at = die_at

    async def step(self, name, work):
        self.place += 1
        place = self.place
        if place in self.kept:
            known, outcome = self.kept[place]
            if known != name:
                raise StepOrderError(f"{known} is not {name}")
            return outcome
        outcome = await work()
        if place == self.die_at:
            raise asyncio.CancelledError
        self.kept[place] = (name, outcome)
        return outcome

    async def receive(self, name, within):
        return await self.step(f"signal {name}", partial(_give, {"signal": name}))


async def _give(value):
    return value


async def _say(run, text):
    await run.emit(CrewEvent("content", text).as_json())
    return text


@pytest.fixture
def store(tmp_path):
    database = open_database("sqlite", tmp_path)
    ensure_schema(database)
    store = SqlRunStore(database)
    store.add(RunRecord("r", "work", "w"))
    yield store
    database.close()


def execution(store, engine, clock=None):
    """The next execution of the run."""
    record = store.begin("r", "w", 0)
    log = RunLog(store, clock or VirtualClock(skipping=True))
    return RunDurable(record, engine, log, Family(_give, _give), store.spoken("r"))


def test_steps_at_once_that_swap_are_found_out(store) -> None:
    """A workflow that waits before its steps may come to them in another order: that is an error, never another step's
    result."""

    async def work(run, order):
        await asyncio.gather(*(run.step(name, partial(_give, name)) for name in order))

    engine = OrderedEngine()
    asyncio.run(work(execution(store, engine), "ab"))
    with pytest.raises(StepOrderError):
        asyncio.run(work(execution(store, OrderedEngine(engine.kept)), "ba"))


def test_a_name_is_at_work_once(store) -> None:
    """Two steps of one name at the same time are a mistake, and told."""

    async def work(run):
        async def wait():
            await asyncio.sleep(0)

        await asyncio.gather(run.step("a", wait), run.step("a", wait))

    with pytest.raises(RunError, match="'a' is at work already"):
        asyncio.run(work(execution(store, OrderedEngine())))


def test_what_is_said_between_steps_is_said_once(store) -> None:
    """A continued run says it again and is not heard, whatever the order; the same words twice are two events."""

    async def work(run, words):
        for word in words:
            await run.emit(CrewEvent("status", word).as_json())

    asyncio.run(work(execution(store, OrderedEngine()), "aba"))
    asyncio.run(work(execution(store, OrderedEngine()), "baac"))
    assert [event.content for event in store.events("r")] == ["a", "b", "a", "c"]


def test_a_step_that_is_done_again_starts_over(store) -> None:
    """The first step that is really done in a continued run says so, and every step that had spoken; no other one."""

    async def work(run):
        return [await run.step(name, partial(_say, run, name)) for name in ("one", "two", "three")]

    engine = OrderedEngine(die_at=2)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(work(execution(store, engine)))
    assert asyncio.run(work(execution(store, OrderedEngine(engine.kept)))) == ["one", "two", "three"]
    said = [(e.type, e.content, e.params, e.step) for e in store.events("r")]
    assert said == [
        ("content", "one", {}, "one"),
        ("content", "two", {}, "two"),
        ("status", "", {"restart": True, "step": "two", "attempt": 2}, "two"),
        ("content", "two", {}, "two"),
        ("content", "three", {}, "three"),
    ]
    assert [e.seq for e in store.events("r")] == [1, 2, 3, 4, 5]


def test_only_pieces_within_steps_are_deltas(store) -> None:
    """What a crew tells is heard as deltas if it is a piece of an answer; the rest comes by its events."""

    async def main():
        run = execution(store, OrderedEngine())
        heard = []

        async def work():
            await run.tell(CrewEvent("content", "a"))
            await run.tell(CrewEvent("tool_call", tool="pen"))
            await run.tell(CrewEvent("status", "again", params={"restart": True}))
            await run.emit(CrewEvent("content", "ab").as_json())

        with run._log.listening("r") as inbox:
            await run.tell(CrewEvent("content", "outside"))
            await run.step("s", work)
            while (event := inbox.pop(0)) is not None:
                heard.append((event.seq, event.event.content, event.step))
        return heard

    assert asyncio.run(main()) == [(None, "a", "s"), (None, "again", "s"), (1, "ab", "s")]


def test_what_a_run_waits_for_is_noted(store) -> None:
    """While it waits the run says for what; then no more."""

    async def main():
        engine = OrderedEngine()
        run = execution(store, engine)
        gate, waits = asyncio.Event(), asyncio.Event()

        async def receive(name, within):
            waits.set()
            await gate.wait()
            return {"signal": name}

        engine.receive = receive
        waiting = asyncio.ensure_future(run.wait_signal("approval"))
        await waits.wait()
        while store.get("r").waiting_for is None:
            await asyncio.sleep(0)
        assert store.get("r").waiting_for == "approval"
        gate.set()
        assert await waiting == {"signal": "approval"}
        assert store.get("r").waiting_for is None

    asyncio.run(main())
