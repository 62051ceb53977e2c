"""Listeners hear every numbered event once and in order, from whichever process it comes."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coreto.errors import CoretoError
from coreto.events import CrewEvent
from coreto.runs.errors import UnknownRunError
from coreto.runs.log import BEHIND, Inbox, RunEvent, RunLog, patiently
from coreto.stores.database import open_database
from coreto.stores.errors import StoreDownError
from coreto.stores.migrate import ensure_schema
from coreto.stores.runs import RunEnd, RunEventRecord, RunRecord, SqlRunStore
from coreto.testing.clock import VirtualClock


@pytest.fixture
def store(tmp_path):
    database = open_database("sqlite", tmp_path)
    ensure_schema(database)
    store = SqlRunStore(database)
    store.add(RunRecord("r", "work", "w"))
    yield store
    database.close()


def log_of(store, **options) -> RunLog:
    return RunLog(store, VirtualClock(skipping=True), **options)


def event(text: str) -> dict:
    return CrewEvent("status", text).as_json()


async def followed(log: RunLog, after: int = 0) -> list:
    return [(e.seq, e.event.content) async for e in log.follow("r", after)]


def test_events_of_another_process_are_heard(store) -> None:
    """Two logs over one database: what one writes, the other one's listeners get, mixed with their own."""

    async def main():
        here, there = log_of(store, poll=0.01), log_of(store)
        listening = asyncio.ensure_future(followed(here))
        for n in range(20):
            log = (here, there)[n % 3 == 0]
            await log.append("r", event(str(n)), step=None)
        await there.end("r", RunEnd("done", event=RunEventRecord("complete")))
        return await listening

    heard = asyncio.run(main())
    assert heard == [*((n + 1, str(n)) for n in range(20)), (21, "")]


def test_a_slow_listener_loses_no_number(store) -> None:
    """Who is far behind gets the rest from the database; deltas it would have got are gone."""

    async def main():
        log = log_of(store)
        heard = []
        events = log.follow("r")
        await log.append("r", event("0"), step=None)
        heard.append(await anext(events))
        for n in range(1, 4):
            await log.append("r", event(str(n)), step=None)
            for _ in range(BEHIND):
                log.delta("r", CrewEvent("content", "x"), "s")
        await log.end("r", RunEnd("done"))
        heard += [e async for e in events]
        return [e.seq for e in heard if not e.delta]

    assert asyncio.run(main()) == [1, 2, 3, 4]


def test_long_logs_come_in_pages(store) -> None:
    """More events than are read at once."""
    for n in range(1203):
        store.append("r", RunEventRecord("status", str(n)))
    store.end("r", RunEnd("done"), 0)
    heard = asyncio.run(followed(log_of(store), 3))
    assert [seq for seq, _ in heard] == list(range(4, 1204))


def test_an_erased_run_ends_its_listeners(store) -> None:
    """They are told that there is no such run."""

    async def main():
        log = log_of(store)
        listening = asyncio.ensure_future(followed(log))
        await log.append("r", event("a"), step=None)
        store.delete(["r"])
        log.wake("r")
        await listening

    with pytest.raises(UnknownRunError):
        asyncio.run(main())


def test_a_run_has_one_last_word(store) -> None:
    """The end adds one unless the run has said its own; and a run ends once."""
    complete = RunEventRecord("complete", params={"own": False})
    store.append("r", RunEventRecord("complete", params={"own": True}))
    assert store.end("r", RunEnd("done", {"a": 1}, event=complete), 5) is None
    assert store.end("r", RunEnd("failed", event=complete), 6) is None
    assert [e.params for e in store.events("r")] == [{"own": True}]
    assert (store.get("r").status, store.get("r").result, store.get("r").ended_ms) == ("done", {"a": 1}, 5)


def test_who_has_been_replaced_is_not_heard(store) -> None:
    """An execution that another one has taken over says nothing any more, and nobody does after the end."""
    store.begin("r", "w", 0)
    assert store.append("r", RunEventRecord("status"), 1).seq == 1
    store.begin("r", "v", 0)
    assert store.append("r", RunEventRecord("status"), 1) is None
    assert store.append("r", RunEventRecord("status"), 2).seq == 2
    store.end("r", RunEnd("done", event=RunEventRecord("complete")), 0)
    assert store.append("r", RunEventRecord("status"), 2) is None
    assert [event.type for event in store.events("r")] == ["status", "status", "complete"]


def test_nothing_is_said_of_a_run_that_is_gone(store) -> None:
    """What a run that was erased still says is dropped."""
    assert store.append("nobody", RunEventRecord("status")) is None
    assert store.begin("nobody", "w", 0) is None


@given(st.lists(st.none() | st.integers(1, 6), max_size=12), st.integers(0, 6))
def test_an_inbox_gives_nothing_stale(seqs, after) -> None:
    """After a number, neither it nor what came before it is given: deltas before it are in the event itself."""
    inbox = Inbox()
    numbered = sorted({seq for seq in seqs if seq is not None})
    order = iter(numbered)
    sent = []
    for seq in seqs:
        number = next(order, None) if seq is not None else None
        one = RunEvent(CrewEvent("content", str(len(sent))), number)
        sent.append(one)
        inbox.put(one)
    got = []
    while (one := inbox.pop(after)) is not None:
        got.append(one)
    known = [i for i, one in enumerate(sent) if one.seq is not None and one.seq <= after]
    assert got == sent[known[-1] + 1 if known else 0 :]


def test_odd_characters_are_stored(store) -> None:
    """Half a surrogate pair and NUL do not stop a run from speaking."""

    async def main():
        await log_of(store).append(
            "r", {"type": "content", "content": "a\x00b\udc80", "params": {"x": "\udc80\x00"}}, step=None
        )

    asyncio.run(main())
    [kept] = store.events("r")
    assert kept.content == "a\N{REPLACEMENT CHARACTER}b?"
    assert kept.params == {"x": "?\x00"}


def test_a_database_that_is_down_is_waited_for() -> None:
    """A run does not fail by it; any other error is its caller's."""
    clock = VirtualClock(skipping=True)
    answers = [StoreDownError("locked"), StoreDownError("locked"), 7]

    def work():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert asyncio.run(patiently(clock, work)) == 7
    assert clock.slept == [0.2, 0.4]
    answers[:] = [CoretoError("no")]
    with pytest.raises(CoretoError, match="no"):
        asyncio.run(patiently(clock, work))


def test_filters_and_families(store) -> None:
    """Runs with their branches, the root first; a record comes back as it went in."""
    child = RunRecord(
        "r::a", "leaf", "w", "d", "private", "ana", "r", attempts=2, created_ms=7, result={"x": [1]}
    )
    assert store.add(child)
    assert not store.add(replace(child, workflow="other"))
    store.add(RunRecord("r::a::b", "leaf", "w", parent="r::a"))
    assert store.get("r::a") == child
    assert [one.run_id for one in store.family(["r"])] == ["r", "r::a", "r::a::b"]
    store.beat("w")
    store.beat("w")
    assert store.alive(60_000) == {"w"}
    store.leave("w")
    assert store.alive(60_000) == frozenset()
