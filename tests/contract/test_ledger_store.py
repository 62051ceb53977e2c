"""One suite over every ledger store: memory, SQLite, PostgreSQL."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import get_args
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coreto.stores.database import Database, open_database
from coreto.stores.errors import RefusedError, StoreDownError
from coreto.stores.ledger import LedgerStore, SqlLedgerStore
from coreto.stores.migrate import ensure_schema
from coreto.stores.records import SAMPLE, AttemptRecord, By, CallRecord, LastError
from coreto.stores.schema import attempts, calls
from coreto.testing.ledger_store import MemoryLedgerStore

NewStore = Callable[[], LedgerStore]
LIMIT = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def new_store(request, tmp_path):
    """Makes empty stores, one at a time."""
    if request.param == "memory":
        yield MemoryLedgerStore
        return
    url = "sqlite" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    database = open_database(url, tmp_path)
    ensure_schema(database)
    yield lambda: _emptied(database)
    database.close()


def _emptied(database: Database) -> SqlLedgerStore:
    with database.write() as connection:
        connection.execute(attempts.delete())
        connection.execute(calls.delete())
    return SqlLedgerStore(database)


def call(call_id: str, at_ms: int = 0, *tries: AttemptRecord, **changes) -> CallRecord:
    return CallRecord(call_id=call_id, at_ms=at_ms, outcome="ok", attempts=tries, **changes)


def ok(deployment: str, **changes) -> AttemptRecord:
    return AttemptRecord(deployment=deployment, outcome="ok", **changes)


FULL = CallRecord(
    call_id="c1",
    at_ms=1_700_000_000_123,
    outcome="ok",
    role="brain",
    task="planning",
    deployment="openrouter/b",
    ms=812.5,
    stream=True,
    cached=False,
    label="internal",
    user="ana",
    run="r1",
    cost_nusd=15_000,
    baseline="openrouter/b",
    baseline_nusd=15_000,
    attempts=(
        AttemptRecord("ollama/a", "timeout", ms=500.0, cost_nusd=0, detail="no answer in 0.5 s"),
        AttemptRecord("openrouter/a", "skipped", local=False, cost_nusd=0),
        AttemptRecord(
            deployment="openrouter/b",
            outcome="ok",
            local=False,
            ms=312.25,
            ttft_ms=80.5,
            prompt_tokens=120,
            completion_tokens=30,
            cached_tokens=20,
            tokens_estimated=True,
            cost_nusd=15_000,
        ),
    ),
)


def test_round_trip(new_store: NewStore):
    """What was written comes back equal, field by field, attempts in order."""
    store = new_store()
    store.append([FULL, call("empty", 5)])
    assert store.recent(10) == [FULL, call("empty", 5)]


def test_nothing_yet(new_store: NewStore):
    """An empty store answers every question with nothing."""
    store = new_store()
    store.append([])
    assert store.recent(10) == []
    assert store.totals("role") == []
    assert store.last_errors() == []
    assert store.latency() == []


def test_same_batch_twice(new_store: NewStore):
    """A batch that is sent again after an unclear commit is counted once."""
    store = new_store()
    store.append([FULL])
    store.append([FULL, call("c2", 7)])
    assert [one.call_id for one in store.recent(10)] == ["c1", "c2"]
    assert sum(row.attempts for row in store.totals("deployment")) == 2


def test_totals_tell_known_from_unknown_prices(new_store: NewStore):
    """An attempt without a price is counted as such and adds nothing to the cost; a skipped one was no
    attempt."""
    store = new_store()
    unknown = ok("cloud/x", prompt_tokens=9)
    skipped = AttemptRecord("cloud/y", "skipped")
    store.append([FULL, call("c2", 1, unknown, skipped, role="brain")])
    (row,) = store.totals("role")
    assert (row.key, row.calls, row.attempts, row.skipped) == ("brain", 2, 3, 2)
    assert (row.cost_nusd, row.unpriced, row.failed_attempts) == (15_000, 1, 1)
    assert (row.prompt_tokens, row.completion_tokens, row.cached_tokens) == (129, 30, 20)


def test_saving_compares_like_with_like(new_store: NewStore):
    """Only calls with a baseline and a cost that is known in full are compared with it."""
    store = new_store()
    store.append(
        [
            call("both", 1, cost_nusd=10, baseline="cloud/x", baseline_nusd=70),
            call("no baseline", 1, cost_nusd=1000),
            call("no cost", 1, baseline="cloud/x", baseline_nusd=5000),
        ]
    )
    (row,) = store.totals("user")
    assert (row.key, row.compared, row.compared_nusd, row.baseline_nusd) == (None, 1, 10, 70)


def test_groups_of_calls_and_of_attempts(new_store: NewStore):
    """A call counts for the deployment that answered, its attempts for the deployments that were tried."""
    store = new_store()
    store.append([FULL, FULL._replace(call_id="c2", outcome="all_failed", deployment=None)])
    rows = {row.key: (row.calls, row.attempts, row.skipped) for row in store.totals("deployment")}
    assert rows == {
        "ollama/a": (0, 2, 0),
        "openrouter/a": (0, 0, 2),
        "openrouter/b": (1, 2, 0),
        None: (1, 0, 0),
    }
    assert [row.key for row in store.totals("deployment")][-1] is None
    outcomes = {row.key: (row.calls, row.failed_calls, row.attempts) for row in store.totals("outcome")}
    assert outcomes == {"ok": (1, 0, 2), "all_failed": (1, 1, 0), "timeout": (0, 0, 2), "skipped": (0, 0, 0)}


@pytest.mark.parametrize(
    ("zone", "days"),
    [
        ("UTC", ["2026-03-01", "2026-03-02"]),
        ("America/Sao_Paulo", ["2026-03-01"]),
        ("Asia/Kathmandu", ["2026-03-02"]),  # +05:45
    ],
)
def test_days_are_those_of_the_zone(new_store: NewStore, zone: str, days: list[str]):
    """23:50 and 00:10 UTC are two days in London and one in São Paulo or Kathmandu."""
    store = new_store()
    for name, moment in (
        ("a", datetime(2026, 3, 1, 23, 50, tzinfo=UTC)),
        ("b", datetime(2026, 3, 2, 0, 10, tzinfo=UTC)),
    ):
        store.append([call(name, int(moment.timestamp() * 1000), ok("x"))])
    assert [row.key for row in store.totals("day", tz=ZoneInfo(zone))] == days


def test_spans_are_half_open(new_store: NewStore):
    """``since`` is inside the span, ``until`` is not."""
    store = new_store()
    store.append([call(f"c{at}", at, ok("x")) for at in (9, 10, 19, 20)])
    (row,) = store.totals("deployment", 10, 20)[:1]
    assert row.attempts == 2
    assert sum(row.calls for row in store.totals("user", since_ms=10)) == 3
    assert sum(row.calls for row in store.totals("user", until_ms=10)) == 1


def test_recent_filters_and_limits(new_store: NewStore):
    """The newest calls come first; a filter is applied before the limit."""
    store = new_store()
    store.append(
        [call(f"c{n}", n, ok("x"), role="even" if n % 2 == 0 else "odd", run=f"r{n}") for n in range(6)]
    )
    assert [one.call_id for one in store.recent(2)] == ["c5", "c4"]
    assert [one.call_id for one in store.recent(2, role="even")] == ["c4", "c2"]
    assert [one.call_id for one in store.recent(9, run="r3")] == ["c3"]
    assert store.recent(9, user="nobody") == []


def test_last_errors(new_store: NewStore):
    """Each deployment's newest failure, whatever succeeded since; a skip is no failure."""
    store = new_store()
    failed = AttemptRecord("x", "quota", detail="weekly limit")
    store.append(
        [
            call("c1", 1, AttemptRecord("x", "timeout"), AttemptRecord("y", "cut")),
            call("c2", 2, failed),
            call("c3", 3, ok("x"), AttemptRecord("z", "skipped")),
        ]
    )
    assert store.last_errors() == [LastError("x", "quota", "weekly limit", 2), LastError("y", "cut", None, 1)]
    assert [error.deployment for error in store.last_errors(since_ms=2)] == ["x"]


def test_latency_over_successes(new_store: NewStore):
    """Percentiles are those of the successful attempts whose time is known."""
    store = new_store()
    store.append(
        [call(f"c{n}", n, ok("x", ms=float(n), ttft_ms=n / 2 if n > 10 else None)) for n in range(1, 21)]
    )
    store.append([call("f", 1, AttemptRecord("x", "timeout", ms=9e9), ok("y"))])
    (row,) = store.latency()
    assert (row.deployment, row.count, row.p50_ms, row.p95_ms) == ("x", 20, 10.0, 19.0)
    assert (row.ttft_p50_ms, row.ttft_p95_ms) == (7.5, 10.0)
    assert store.latency(since_ms=20)[0].count == 1


def test_latency_looks_at_the_newest(new_store: NewStore):
    """A deployment that became slow is seen as slow, however many fast answers lie behind it."""
    store = new_store()
    store.append([call(f"old{n}", 1, ok("x", ms=1.0)) for n in range(50)])
    store.append([call(f"new{n}", 2, ok("x", ms=900.0)) for n in range(SAMPLE)])
    assert [(row.count, row.p50_ms) for row in store.latency()] == [(SAMPLE, 900.0)]


def test_large_sums_are_exact(new_store: NewStore):
    """Sums of nano-dollars beyond a double's 53 bits lose nothing."""
    store = new_store()
    store.append([call(f"c{n}", n, ok("x", cost_nusd=2**55 + 1), cost_nusd=2**55 + 1) for n in range(3)])
    assert store.totals("deployment")[0].cost_nusd == 3 * (2**55 + 1)


def test_refused_values_leave_no_trace(new_store: NewStore, request):
    """A batch with a value that the database cannot hold is refused whole."""
    store = new_store()
    if isinstance(store, MemoryLedgerStore):
        store.refusal, store.refused = RefusedError("too large"), {"bad"}
    with pytest.raises(RefusedError):
        store.append([FULL, call("bad", 1, ok("x", prompt_tokens=2**70))])
    assert store.recent(10) == []


def test_two_writers(new_store: NewStore):
    """Writers in two threads both get through."""
    store = new_store()
    batches = [[call(f"{who}{n}", n, ok("x")) for n in range(20)] for who in "ab"]
    threads = [threading.Thread(target=lambda b=b: [store.append([c]) for c in b]) for b in batches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.totals("deployment")[0].attempts == 40


def test_memory_store_can_fail():
    """The fake fails on demand, as a database that is gone does."""
    store = MemoryLedgerStore()
    store.fault = StoreDownError("disk full")
    with pytest.raises(StoreDownError):
        store.append([FULL])


names = st.sampled_from(["a", "b/c", "ção", "Z"])
small = st.integers(0, 10**12)
tries = st.builds(
    AttemptRecord,
    deployment=names,
    outcome=st.sampled_from(["ok", "timeout", "skipped", "quota"]),
    local=st.booleans(),
    ms=st.none() | st.floats(0, 1e6),
    ttft_ms=st.none() | st.floats(0, 1e6),
    tokens_estimated=st.booleans(),
    detail=st.none() | names,
    prompt_tokens=st.none() | small,
    completion_tokens=st.none() | small,
    cached_tokens=st.none() | small,
    cost_nusd=st.none() | small,
)
records = st.builds(
    CallRecord,
    call_id=st.uuids().map(str),
    at_ms=st.integers(1_700_000_000_000, 1_700_000_000_000 + 5 * 86_400_000),
    outcome=st.sampled_from(["ok", "all_failed"]),
    role=st.none() | names,
    task=st.none() | names,
    ms=st.none() | st.floats(0, 1e6),
    stream=st.booleans(),
    label=st.sampled_from(["public", "internal", "private"]),
    baseline=st.none() | names,
    deployment=st.none() | names,
    cached=st.booleans(),
    user=st.none() | names,
    run=st.none() | names,
    cost_nusd=st.none() | small,
    baseline_nusd=st.none() | small,
    attempts=st.lists(tries, max_size=3).map(tuple),
)


@LIMIT
@given(
    batches=st.lists(st.lists(records, max_size=6), max_size=3),
    span=st.tuples(st.none() | records, st.none() | records),
)
def test_sums_equal_the_sum_of_the_parts(new_store: NewStore, batches, span):
    """In every grouping the groups add up to what was written, and equal those of the store in memory."""
    store, model = new_store(), MemoryLedgerStore()
    for batch in batches:
        store.append(batch)
        model.append(batch)
    written = [one for batch in batches for one in batch]
    tried = [a for one in written for a in one.attempts if a.outcome != "skipped"]
    since, until = (None if end is None else end.at_ms for end in span)
    zone = ZoneInfo("America/Sao_Paulo")
    for by in get_args(By):
        rows = store.totals(by, tz=zone)
        assert sum(row.calls for row in rows) == len(written)
        assert sum(row.attempts for row in rows) == len(tried)
        assert sum(row.cost_nusd for row in rows) == sum(
            a.cost_nusd or 0 for one in written for a in one.attempts
        )
        assert sum(row.unpriced for row in rows) == sum(a.cost_nusd is None for a in tried)
        assert rows == model.totals(by, tz=zone)
        assert store.totals(by, since, until, zone) == model.totals(by, since, until, zone)
    assert store.recent(100) == model.recent(100)
    assert store.last_errors() == model.last_errors()
    assert store.latency() == model.latency()
