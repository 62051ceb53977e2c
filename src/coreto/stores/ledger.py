"""Calls, attempts and sums over them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, tzinfo
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Connection, Row, Select, Table, case, func, select
from sqlalchemy.dialects import postgresql

from coreto.stores.database import Database
from coreto.stores.records import (
    SAMPLE,
    AttemptRecord,
    By,
    CallRecord,
    LastError,
    Latency,
    Totals,
    day_of,
    latencies,
    merged,
)
from coreto.stores.schema import attempts, calls

_KEYS = {"role": "role", "deployment": "deployment", "user": "user_id", "run": "run_id", "outcome": "outcome"}
#: Rows in one of SQLite's statements: it gives the interpreter's lock away and takes it back at every step, so a
#: step a row makes the thread that answers requests wait for its turn each time.
_AT_ONCE = 50
_QUARTER_MS = 15 * 60 * 1000
"""Every zone's offset is a whole number of quarters of an hour, so days are whole numbers of them too."""


class LedgerStore(Protocol):
    """Keeps what calls came to. Synchronous: used from the writer's thread and the command line.

    Spans are half open, ``since_ms <= at_ms < until_ms``, in epoch milliseconds; ``None`` leaves an end
    open. Methods raise :class:`~coreto.stores.errors.StoreError`.
    """

    def append(self, batch: Sequence[CallRecord]) -> None:
        """Add all of ``batch`` or, on an error, nothing. A call id that is known already stays as it is, so
        that a batch may be sent again."""
        ...

    def totals(
        self, by: By, since_ms: int | None = None, until_ms: int | None = None, tz: tzinfo = UTC
    ) -> list[Totals]:
        """Sums per group, in the order of the keys; days are those of ``tz``."""
        ...

    def recent(
        self, limit: int, *, role: str | None = None, user: str | None = None, run: str | None = None
    ) -> list[CallRecord]:
        """The newest calls that match, the newest first."""
        ...

    def last_errors(self, since_ms: int | None = None) -> list[LastError]:
        """Each deployment's newest failed attempt, by deployment."""
        ...

    def latency(self, since_ms: int | None = None) -> list[Latency]:
        """Percentiles per deployment over its newest successful attempts (``SAMPLE`` at most)."""
        ...


class SqlLedgerStore:
    """The ledger in SQLite or PostgreSQL. The schema must be there (``ensure_schema``)."""

    __slots__ = ("_add", "_database")

    def __init__(self, database: Database) -> None:
        self._database = database
        self._add = _add_to_sqlite if database.kind == "sqlite" else _add_to_postgres

    def append(self, batch: Sequence[CallRecord]) -> None:
        if not batch:
            return
        tried = [row for call in batch for row in _attempt_rows(call)]
        with self._database.write() as connection:
            self._add(connection, calls, [_call_row(call) for call in batch])
            if tried:
                self._add(connection, attempts, tried)

    def totals(
        self, by: By, since_ms: int | None = None, until_ms: int | None = None, tz: tzinfo = UTC
    ) -> list[Totals]:
        with self._database.read() as connection:
            rows = [
                row
                for table, sums in ((calls, _CALL_SUMS), (attempts, _ATTEMPT_SUMS))
                for row in connection.execute(
                    _sums(table, by, sums).where(*_within(table, since_ms, until_ms))
                )
            ]
        return merged(_totals(row, by, tz) for row in rows)

    def recent(
        self, limit: int, *, role: str | None = None, user: str | None = None, run: str | None = None
    ) -> list[CallRecord]:
        wanted = select(calls).order_by(calls.c.at_ms.desc(), calls.c.call_id.desc()).limit(limit)
        for column, value in ((calls.c.role, role), (calls.c.user_id, user), (calls.c.run_id, run)):
            if value is not None:
                wanted = wanted.where(column == value)
        with self._database.read() as connection:
            found = connection.execute(wanted).mappings().all()
            ids = [row["call_id"] for row in found]
            tries = select(attempts).where(attempts.c.call_id.in_(ids)).order_by(attempts.c.seq)
            parts = connection.execute(tries).mappings().all()
        return [_call(row, [part for part in parts if part["call_id"] == row["call_id"]]) for row in found]

    def last_errors(self, since_ms: int | None = None) -> list[LastError]:
        a = attempts.c
        ranked = (
            select(a.deployment, a.outcome, a.detail, a.at_ms, _newest_first())
            .where(a.outcome.not_in(("ok", "skipped")), *_within(attempts, since_ms))
            .subquery()
        )
        newest = select(ranked).where(ranked.c.place == 1)
        with self._database.read() as connection:
            rows = connection.execute(newest).all()
        found = (LastError(row.deployment, row.outcome, row.detail, row.at_ms) for row in rows)
        return sorted(found, key=lambda error: error.deployment)

    def latency(self, since_ms: int | None = None) -> list[Latency]:
        a = attempts.c
        ranked = (
            select(a.deployment, a.ms, a.ttft_ms, _newest_first())
            .where(a.outcome == "ok", a.ms.is_not(None), *_within(attempts, since_ms))
            .subquery()
        )
        sample = select(ranked.c.deployment, ranked.c.ms, ranked.c.ttft_ms).where(ranked.c.place <= SAMPLE)
        with self._database.read() as connection:
            return latencies((row.deployment, row.ms, row.ttft_ms) for row in connection.execute(sample))


def _add_to_postgres(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    connection.execute(postgresql.insert(table).on_conflict_do_nothing(), rows)


def _add_to_sqlite(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    names = ", ".join(rows[0])
    places = f"({', '.join('?' * len(rows[0]))})"
    for start in range(0, len(rows), _AT_ONCE):
        part = rows[start : start + _AT_ONCE]
        values = ", ".join([places] * len(part))
        insert = f"INSERT INTO {table.name} ({names}) VALUES {values} ON CONFLICT DO NOTHING"  # noqa: S608 names of ours
        connection.exec_driver_sql(insert, tuple(value for row in part for value in row.values()))


def _newest_first() -> ColumnElement[int]:
    a = attempts.c
    order = (a.at_ms.desc(), a.call_id.desc(), a.seq.desc())
    return func.row_number().over(partition_by=a.deployment, order_by=order).label("place")


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.sum(case((condition, 1), else_=0))


def _sum(column: ColumnElement[Any], where: ColumnElement[bool] | None = None) -> ColumnElement[int]:
    value = column if where is None else case((where, column), else_=0)
    return func.coalesce(func.sum(value), 0)


_comparable = calls.c.baseline_nusd.is_not(None) & calls.c.cost_nusd.is_not(None)
_CALL_SUMS: Mapping[str, ColumnElement[int]] = {
    "calls": func.count(),
    "cached_calls": _count(calls.c.cached.is_(True)),
    "failed_calls": _count(calls.c.outcome != "ok"),
    "compared": _count(_comparable),
    "compared_nusd": _sum(calls.c.cost_nusd, _comparable),
    "baseline_nusd": _sum(calls.c.baseline_nusd, _comparable),
}
_tried = attempts.c.outcome != "skipped"
_ATTEMPT_SUMS: Mapping[str, ColumnElement[int]] = {
    "attempts": _count(_tried),
    "failed_attempts": _count(_tried & (attempts.c.outcome != "ok")),
    "skipped": _count(~_tried),
    "unpriced": _count(_tried & attempts.c.cost_nusd.is_(None)),
    "prompt_tokens": _sum(attempts.c.prompt_tokens),
    "completion_tokens": _sum(attempts.c.completion_tokens),
    "cached_tokens": _sum(attempts.c.cached_tokens),
    "cost_nusd": _sum(attempts.c.cost_nusd),
}


def _sums(table: Table, by: By, sums: Mapping[str, ColumnElement[int]]) -> Select[Any]:
    key = table.c.at_ms // _QUARTER_MS if by == "day" else table.c[_KEYS[by]]
    return select(key.label("key"), *(value.label(name) for name, value in sums.items())).group_by(key)


def _within(table: Table, since_ms: int | None, until_ms: int | None = None) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if since_ms is not None:
        conditions.append(table.c.at_ms >= since_ms)
    if until_ms is not None:
        conditions.append(table.c.at_ms < until_ms)
    return conditions


def _totals(row: Row[Any], by: By, tz: tzinfo) -> Totals:
    """PostgreSQL sums big integers to ``Decimal``."""
    sums: dict[str, Any] = dict(row._mapping)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - its public name
    key = sums.pop("key")
    if by == "day":
        key = day_of(int(key) * _QUARTER_MS, tz)
    return Totals(key=key, **{name: int(value) for name, value in sums.items()})


def _call_row(call: CallRecord) -> dict[str, Any]:
    return {
        "call_id": call.call_id,
        "at_ms": call.at_ms,
        "role": call.role,
        "task": call.task,
        "deployment": call.deployment,
        "outcome": call.outcome,
        "ms": call.ms,
        "stream": call.stream,
        "cached": call.cached,
        "label": call.label,
        "user_id": call.user,
        "run_id": call.run,
        "cost_nusd": call.cost_nusd,
        "baseline_deployment": call.baseline,
        "baseline_nusd": call.baseline_nusd,
    }


def _attempt_rows(call: CallRecord) -> Iterator[dict[str, Any]]:
    for seq, attempt in enumerate(call.attempts, start=1):
        yield {
            "call_id": call.call_id,
            "seq": seq,
            "at_ms": call.at_ms,
            "role": call.role,
            "task": call.task,
            "deployment": attempt.deployment,
            "local": attempt.local,
            "label": call.label,
            "user_id": call.user,
            "run_id": call.run,
            "stream": call.stream,
            "outcome": attempt.outcome,
            "ms": attempt.ms,
            "ttft_ms": attempt.ttft_ms,
            "prompt_tokens": attempt.prompt_tokens,
            "completion_tokens": attempt.completion_tokens,
            "cached_tokens": attempt.cached_tokens,
            "tokens_estimated": attempt.tokens_estimated,
            "cost_nusd": attempt.cost_nusd,
            "detail": attempt.detail,
        }


def _call(row: Mapping[Any, Any], parts: Iterable[Mapping[Any, Any]]) -> CallRecord:
    return CallRecord(
        call_id=row["call_id"],
        at_ms=row["at_ms"],
        outcome=row["outcome"],
        role=row["role"],
        task=row["task"],
        deployment=row["deployment"],
        ms=row["ms"],
        stream=row["stream"],
        cached=row["cached"],
        label=row["label"],
        user=row["user_id"],
        run=row["run_id"],
        cost_nusd=row["cost_nusd"],
        baseline=row["baseline_deployment"],
        baseline_nusd=row["baseline_nusd"],
        attempts=tuple(_attempt(part) for part in parts),
    )


def _attempt(row: Mapping[Any, Any]) -> AttemptRecord:
    return AttemptRecord(
        deployment=row["deployment"],
        outcome=row["outcome"],
        local=row["local"],
        ms=row["ms"],
        ttft_ms=row["ttft_ms"],
        prompt_tokens=row["prompt_tokens"],
        completion_tokens=row["completion_tokens"],
        cached_tokens=row["cached_tokens"],
        tokens_estimated=row["tokens_estimated"],
        cost_nusd=row["cost_nusd"],
        detail=row["detail"],
    )
