"""The ledger of a process that is killed."""

import asyncio
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from coreto.clock import SystemClock
from coreto.events import CallFinished, EventBus
from coreto.labels import Label
from coreto.ledger.recorder import Recorder
from coreto.messages import Attempt, Trace, Usage
from coreto.stores.database import FILE_NAME, open_database
from coreto.stores.ledger import SqlLedgerStore
from coreto.stores.migrate import ensure_schema

BATCH = 20

CHILD = """
import asyncio, sys
from pathlib import Path
from coreto.clock import SystemClock
from coreto.events import CallFinished, EventBus
from coreto.labels import Label
from coreto.ledger.recorder import Recorder
from coreto.messages import Attempt, Trace
from coreto.stores.database import open_database
from coreto.stores.ledger import SqlLedgerStore
from coreto.stores.migrate import ensure_schema

async def main(folder):
    database = open_database("sqlite", folder)
    ensure_schema(database)
    recorder, bus = Recorder(SqlLedgerStore(database), SystemClock(), interval=3600), EventBus()
    recorder.attach(bus)
    batch = 0
    while True:
        for number in range(20):
            name = f"{batch:06}-{number:02}"
            trace = Trace(name, "x", "chat", Label.INTERNAL, (Attempt("x", "ok", cost_nusd=3),))
            bus.emit(CallFinished(name, batch, 1.0, "ok", False, trace))
        print("emitted", batch, flush=True)
        assert await recorder.flush()
        print("flushed", batch, flush=True)
        batch += 1

asyncio.run(main(Path(sys.argv[1])))
"""


@pytest.mark.parametrize("kill_at", ["emitted 0", "flushed 0", "emitted 7", "flushed 12"])
def test_a_kill_loses_at_most_the_last_batch(tmp_path: Path, kill_at: str):
    """After kill -9 the file is sound, holds every flushed batch, and no batch by halves."""
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    for line in child.stdout:
        if line.strip() == kill_at:
            break
    child.kill()
    rest, _ = child.communicate(timeout=30)
    said = [kill_at, *rest.splitlines()]  # what it still did before the signal arrived
    # (the last line may have been cut in the middle)
    *_, (verb, last) = (words for line in said if len(words := line.split()) == 2 and line[-1:].isdigit())
    flushed = int(last) + 1 if verb == "flushed" else int(last)

    with sqlite3.connect(tmp_path / FILE_NAME) as raw:
        assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert raw.execute("PRAGMA foreign_key_check").fetchall() == []
    database = open_database("sqlite", tmp_path)
    ensure_schema(database)
    store = SqlLedgerStore(database)
    kept = {call.call_id for call in store.recent(1_000_000)}
    attempts = sum(row.attempts for row in store.totals("deployment"))
    database.close()
    batches = {name.split("-")[0] for name in kept}
    assert len(kept) == attempts == BATCH * len(batches)
    assert {f"{number:06}" for number in range(flushed)} <= batches
    assert len(batches) <= flushed + 1


def test_the_next_start_sees_the_calls(tmp_path: Path):
    """Calls that went through bus, recorder and SQLite are there, with their sums, for another process."""

    async def serve() -> None:
        database = open_database("sqlite", tmp_path)
        ensure_schema(database)
        recorder, bus = Recorder(SqlLedgerStore(database), SystemClock(), interval=0.01), EventBus()
        recorder.attach(bus)
        for number in range(30):
            usage = Usage(prompt=100, completion=10)
            failed = Attempt("lab/a", "timeout", ms=3.0, cost_nusd=None, detail="no answer in 2 s")
            answered = Attempt("lab/b", "ok", ms=4.0, usage=usage, cost_nusd=1500)
            trace = Trace(str(number), "lab/b", "chat", Label.INTERNAL, (failed, answered))
            bus.emit(CallFinished(str(number), 1000.0 + number, 7.0, "ok", False, trace))
        await recorder.close()
        database.close()

    asyncio.run(serve())
    database = open_database("sqlite", tmp_path)
    (row,) = SqlLedgerStore(database).totals("role")
    (error,) = SqlLedgerStore(database).last_errors()
    database.close()
    assert (row.calls, row.attempts, row.unpriced, row.cost_nusd) == (30, 60, 30, 45_000)
    assert (row.prompt_tokens, row.completion_tokens) == (3000, 300)
    assert (error.deployment, error.outcome, error.detail) == ("lab/a", "timeout", "no answer in 2 s")
