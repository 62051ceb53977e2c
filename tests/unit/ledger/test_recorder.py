"""The recorder: nothing lost, nothing raised, bounded."""

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coreto.events import CallFinished, EventBus
from coreto.labels import Label
from coreto.ledger.recorder import BATCH, Recorder
from coreto.messages import Attempt, Trace
from coreto.stores.errors import RefusedError, StoreDownError
from coreto.testing.ledger_store import MemoryLedgerStore


class SteppedClock:
    """Time stands still until a test moves it; a sleep ends when its time has come."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._sleepers: list[tuple[float, asyncio.Event]] = []

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.Event()
        self._sleepers.append((self.now + seconds, woken))
        await woken.wait()

    async def pass_(self, seconds: float) -> None:
        """Let everything ready run, move on, wake who is due."""
        for _ in range(3):
            await asyncio.sleep(0)
        self.now += seconds
        for due, woken in self._sleepers:
            if due <= self.now:
                woken.set()
        for _ in range(3):
            await asyncio.sleep(0)


def finished(name: str) -> CallFinished:
    trace = Trace(
        call_id=name,
        deployment="x",
        role="chat",
        label=Label.INTERNAL,
        attempts=(Attempt("x", "ok", cost_nusd=7),),
    )
    return CallFinished(call_id=name, ended_at=1.0, ms=5.0, outcome="ok", stream=False, trace=trace)


def ids(store: MemoryLedgerStore) -> set[str]:
    return {call.call_id for call in store.recent(100_000)}


def play(
    scene: Callable[[MemoryLedgerStore, Recorder, EventBus, SteppedClock], Coroutine[Any, Any, None]],
    **options,
):
    """Run ``scene`` with an attached recorder, close it, and return store and recorder."""
    store, clock = MemoryLedgerStore(), SteppedClock()

    async def run() -> Recorder:
        recorder, bus = Recorder(store, clock, **options), EventBus()
        recorder.attach(bus)
        await scene(store, recorder, bus, clock)
        await recorder.close()
        return recorder

    return store, asyncio.run(run())


def test_close_writes_what_waits():
    """Calls of the last tenth of a second are written by ``close``; later ones are not listened to."""
    buses = []

    async def scene(store, recorder, bus, clock):
        buses.append(bus)
        bus.emit(finished("a"))
        assert recorder.waiting == 1

    store, recorder = play(scene)
    buses[0].emit(finished("late"))
    assert ids(store) == {"a"}
    assert recorder.waiting == 0
    assert recorder.dropped == 0


def test_the_task_flushes_after_the_interval():
    """Without anybody's flush, calls are written once the interval has passed, many in one batch."""

    async def scene(store, recorder, bus, clock):
        for name in "abc":
            bus.emit(finished(name))
        await clock.pass_(0.05)
        assert store.batches == 0
        await clock.pass_(0.06)
        await recorder.flush()  # queues behind the task's own flush in the one writer thread
        assert store.batches == 1

    store, _ = play(scene, interval=0.1)
    assert ids(store) == {"a", "b", "c"}


def test_sql_runs_in_one_thread_of_its_own():
    """Every append runs in the same thread, which is not the loop's and ends with the recorder."""
    seen = set()

    class Watched(MemoryLedgerStore):
        def append(self, batch):
            seen.add(threading.current_thread())
            super().append(batch)

    async def run():
        recorder, bus = Recorder(Watched(), SteppedClock()), EventBus()
        recorder.attach(bus)
        for name in "abc":
            bus.emit(finished(name))
            assert await recorder.flush()
        await recorder.close()

    asyncio.run(run())
    (thread,) = seen
    assert thread is not threading.main_thread()
    thread.join(5)
    assert not thread.is_alive()


def test_a_failing_store_keeps_rows_waiting(caplog):
    """Rows wait while the store fails and are written when it works again; the log says it once a minute."""

    async def scene(store, recorder, bus, clock):
        store.fault = StoreDownError("disk full")
        with caplog.at_level(logging.ERROR):
            for name in "abc":
                bus.emit(finished(name))
                assert not await recorder.flush()
            assert len(caplog.records) == 1
            assert "disk full" in caplog.text
            clock.now += 61
            assert not await recorder.flush()
            assert len(caplog.records) == 2
        store.fault = None
        assert await recorder.flush()

    store, recorder = play(scene)
    assert ids(store) == {"a", "b", "c"}
    assert recorder.dropped == 0


def test_the_task_survives_a_failing_store():
    """The task tries again by itself, ever more slowly, without a new call to wake it."""

    async def scene(store, recorder, bus, clock):
        store.fault = StoreDownError("gone")
        bus.emit(finished("a"))
        for _ in range(4):
            await clock.pass_(10)
            await recorder.flush()
        store.fault = None
        for _ in range(3):
            await clock.pass_(10)
            await asyncio.wrap_future(
                recorder._writer.submit(int)
            )  # the thread has done what was asked before
        assert store.batches == 1

    store, _ = play(scene)
    assert ids(store) == {"a"}


def test_the_oldest_go_first():
    """Beyond the bound the oldest rows are dropped and counted."""

    async def scene(store, recorder, bus, clock):
        store.fault = StoreDownError("gone")
        for number in range(25):
            bus.emit(finished(f"{number:02}"))
            if number % 7 == 0:
                await recorder.flush()
        assert recorder.waiting == 10
        store.fault = None

    store, recorder = play(scene, capacity=10)
    assert ids(store) == {f"{number:02}" for number in range(15, 25)}
    assert recorder.dropped == 15


def test_rows_lost_at_the_end_are_counted():
    """Closing while the store fails does not raise and counts what is lost."""

    async def scene(store, recorder, bus, clock):
        store.fault = StoreDownError("gone")
        bus.emit(finished("a"))

    _, recorder = play(scene)
    assert recorder.dropped == 1


def test_one_bad_row_costs_one_row():
    """A row that the store refuses does not take its batch with it, nor come back for ever."""

    async def scene(store, recorder, bus, clock):
        store.refusal, store.refused = RefusedError("too large"), {"bad"}
        for name in ("a", "bad", "b"):
            bus.emit(finished(name))
        assert await recorder.flush()

    store, recorder = play(scene)
    assert ids(store) == {"a", "b"}
    assert recorder.dropped == 1


def test_a_fault_of_our_own_does_not_end_the_recording(caplog):
    """A batch that cannot even be converted is lost, counted and logged; the next one is written."""

    async def scene(store, recorder, bus, clock):
        bus.emit(CallFinished("bad", ended_at="soon", ms=1, outcome="ok", stream=False, trace=None))
        assert await recorder.flush()
        bus.emit(finished("a"))

    store, recorder = play(scene)
    assert ids(store) == {"a"}
    assert recorder.dropped == 1
    assert "lost 1 calls" in caplog.text


@pytest.mark.parametrize("number", [1, BATCH - 1, BATCH, BATCH + 1, 3 * BATCH])
def test_batches_lose_nothing_at_their_edges(number: int):
    """Any number of calls is written whole, in batches of at most ``BATCH``."""

    async def scene(store, recorder, bus, clock):
        for index in range(number):
            bus.emit(finished(str(index)))

    store, _ = play(scene)
    assert len(ids(store)) == number
    assert store.batches == -(-number // BATCH)


steps = st.lists(
    st.one_of(st.integers(1, 8), st.sampled_from(["flush", "fail", "mend", "time"])), min_size=1, max_size=20
)


@settings(max_examples=40, deadline=None)
@given(steps=steps)
def test_nothing_is_lost_over_flushes(steps):
    """Whatever the order of calls, flushes and failures: written plus dropped is what was emitted, and what
    was dropped is older than what was kept waiting."""
    emitted: list[str] = []

    async def scene(store, recorder, bus, clock):
        for step in steps:
            if step == "flush":
                await recorder.flush()
            elif step == "time":
                await clock.pass_(1)
            elif step in {"fail", "mend"}:
                store.fault = StoreDownError("gone") if step == "fail" else None
            else:
                for _ in range(step):
                    emitted.append(f"{len(emitted):03}")
                    bus.emit(finished(emitted[-1]))
        store.fault = None

    store, recorder = play(scene, capacity=12)
    kept = ids(store)
    assert len(kept) + recorder.dropped == len(emitted)
    assert kept >= set(emitted[-12:])
    assert sum(row.cost_nusd for row in store.totals("role")) == 7 * len(kept)
