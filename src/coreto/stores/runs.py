"""Runs: what became of each, what it said, and which workers are alive."""

import contextlib
from collections.abc import Collection, Generator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

import orjson
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Integer,
    RowMapping,
    Select,
    delete,
    func,
    insert,
    literal_column,
    select,
    text,
    update,
)

from coreto.messages import Json
from coreto.stores.database import Database
from coreto.stores.errors import RefusedError
from coreto.stores.schema import run_events, run_workers, runs

RunStatus = Literal["pending", "running", "done", "failed", "cancelled"]
"""``pending``: accepted, and not begun or to be continued; ``running``; ``done``, ``failed``, ``cancelled``: it has ended."""

UNFINISHED: Final[tuple[RunStatus, ...]] = ("pending", "running")

_DEAD_MS = 86_400_000
_SWEEP = 0x636F7265746F7277  # "coretorw": any number that all our processes share
_UNSTORABLE = {0: "\N{REPLACEMENT CHARACTER}"}


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run. Times are epoch milliseconds; ``request_digest``: of what was asked; ``worker``: who executes it, or did
    last; ``attempts``: how often it was begun or continued; ``last_seq``: the number of its last event;
    ``waiting_for``: the signal that it waits for; ``parent``: the run that it is a branch of."""

    run_id: str
    workflow: str
    worker: str
    request_digest: str = ""
    label: str = "internal"
    user: str | None = None
    parent: str | None = None
    status: RunStatus = "pending"
    waiting_for: str | None = None
    attempts: int = 0
    last_seq: int = 0
    created_ms: int = 0
    updated_ms: int = 0
    ended_ms: int | None = None
    result: Json | None = None
    error_code: str | None = None
    error: str | None = None

    @property
    def ended(self) -> bool:
        return self.status not in UNFINISHED


@dataclass(frozen=True, slots=True)
class RunEventRecord:
    """Something that a run said (SPEC C8). ``step``: the step that said it; ``once``: a key under which it is said once
    only. ``seq`` and ``at_ms`` are given to it by the store and its caller."""

    type: str
    content: str = ""
    agent: str | None = None
    tool: str | None = None
    params: Json = field(default_factory=dict[str, Any])
    step: str | None = None
    once: str | None = None
    seq: int = 0
    at_ms: int = 0


@dataclass(frozen=True, slots=True)
class RunEnd:
    """How a run ended. ``event``: its last word, unless it has said one of the ``last_words`` already."""

    status: RunStatus
    result: Json | None = None
    error_code: str | None = None
    error: str | None = None
    event: RunEventRecord | None = None
    last_words: tuple[str, ...] = ("complete", "error")


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs to list, the newest first. ``before_ms``: begun earlier; ``branches``: those of other runs too."""

    status: tuple[RunStatus, ...] = ()
    workflow: str | None = None
    user: str | None = None
    waiting_for: str | None = None
    before_ms: int | None = None
    branches: bool = False
    limit: int = 50


class RunStore(Protocol):
    """Keeps runs. Synchronous: used from threads and the command line.

    Methods raise :class:`~coreto.stores.errors.StoreError`.
    """

    def add(self, record: RunRecord) -> bool:
        """Keep a new run; ``False`` when its id is taken."""
        ...

    def get(self, run_id: str) -> RunRecord | None: ...

    def find(self, which: RunFilter) -> list[RunRecord]: ...

    def begin(self, run_id: str, worker: str, now_ms: int) -> RunRecord | None:
        """Note that ``worker`` executes it now; ``None`` when it has ended or is gone."""
        ...

    def wait(self, run_id: str, name: str | None, now_ms: int) -> None:
        """Note what it waits for; ``None``: for nothing any more."""
        ...

    def end(self, run_id: str, end: RunEnd, now_ms: int) -> RunEventRecord | None:
        """Note its end and its last word, which is returned; nothing when it had ended before."""
        ...

    def reopen(self, run_id: str, was: Collection[RunStatus], now_ms: int) -> bool:
        """Make a run that ended as one of ``was`` pending again."""
        ...

    def append(self, run_id: str, event: RunEventRecord, attempt: int | None = None) -> RunEventRecord | None:
        """Add to its log; the event with its number. ``None`` when it was said before, the run has ended or is gone, or
        another execution than the ``attempt`` that says it has begun."""
        ...

    def events(self, run_id: str, after: int = 0, limit: int = 500) -> list[RunEventRecord]:
        """Those with a number above ``after``, in order."""
        ...

    def spoken(self, run_id: str) -> frozenset[str]:
        """The steps that have said something."""
        ...

    def family(self, run_ids: Iterable[str]) -> list[RunRecord]:
        """The runs, their branches, and the branches of those: who comes first is never a branch of who comes later."""
        ...

    def delete(self, run_ids: Collection[str]) -> None:
        """Forget runs and their events."""
        ...

    def of_user(self, user: str) -> list[str]:
        """The runs of a user that are no branches."""
        ...

    def ended_before(self, ms: int, limit: int = 200) -> list[str]:
        """Runs, no branches, that ended earlier."""
        ...

    def unfinished(self) -> list[RunRecord]:
        """Pending and running ones, the oldest first."""
        ...

    def beat(self, worker: str) -> None:
        """Note that ``worker`` is alive."""
        ...

    def leave(self, worker: str) -> None:
        """Note that ``worker`` is no more."""
        ...

    def alive(self, silent_ms: int) -> frozenset[str]:
        """The workers that gave a sign of life in the last ``silent_ms``."""
        ...

    def sweeping(self) -> contextlib.AbstractContextManager[bool]:
        """A lock that one process holds at a time; ``False`` when another one does."""
        ...


class SqlRunStore:
    """Runs in SQLite or PostgreSQL. The schema must be there (``ensure_schema``)."""

    __slots__ = ("_database",)

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, record: RunRecord) -> bool:
        try:
            with self._database.write() as connection:
                connection.execute(insert(runs).values(_row(record)))
        except RefusedError:
            if self.get(record.run_id) is None:
                raise
            return False
        return True

    def get(self, run_id: str) -> RunRecord | None:
        found = self._runs(select(runs).where(runs.c.run_id == run_id))
        return found[0] if found else None

    def find(self, which: RunFilter) -> list[RunRecord]:
        query = select(runs).order_by(runs.c.created_ms.desc(), runs.c.run_id.desc()).limit(which.limit)
        if which.status:
            query = query.where(runs.c.status.in_(which.status))
        if which.workflow is not None:
            query = query.where(runs.c.workflow == which.workflow)
        if which.user is not None:
            query = query.where(runs.c.user_id == which.user)
        if which.waiting_for is not None:
            query = query.where(runs.c.waiting_for == which.waiting_for)
        if which.before_ms is not None:
            query = query.where(runs.c.created_ms < which.before_ms)
        if not which.branches:
            query = query.where(runs.c.parent_id.is_(None))
        return self._runs(query)

    def begin(self, run_id: str, worker: str, now_ms: int) -> RunRecord | None:
        change = (
            update(runs)
            .where(runs.c.run_id == run_id, runs.c.status.in_(UNFINISHED))
            .values(status="running", worker=worker, updated_ms=now_ms, attempts=runs.c.attempts + 1)
            .returning(runs)
        )
        with self._database.write() as connection:
            row = connection.execute(change).mappings().one_or_none()
        return None if row is None else _record(row)

    def wait(self, run_id: str, name: str | None, now_ms: int) -> None:
        change = update(runs).where(runs.c.run_id == run_id).values(waiting_for=name, updated_ms=now_ms)
        with self._database.write() as connection:
            connection.execute(change)

    def end(self, run_id: str, end: RunEnd, now_ms: int) -> RunEventRecord | None:
        change = (
            update(runs)
            .where(runs.c.run_id == run_id, runs.c.status.in_(UNFINISHED))
            .values(
                status=end.status,
                waiting_for=None,
                result=None if end.result is None else _dump(end.result),
                error_code=end.error_code,
                error=None if end.error is None else storable(end.error),
                updated_ms=now_ms,
                ended_ms=now_ms,
            )
            .returning(runs.c.last_seq)
        )
        with self._database.write() as connection:
            last = connection.execute(change).scalar_one_or_none()
            if last is None or end.event is None:
                return None
            e = run_events.c
            said = connection.execute(select(e.type).where(e.run_id == run_id, e.seq == last)).scalar()
            if said in end.last_words:
                return None
            return _append(connection, run_id, end.event)

    def reopen(self, run_id: str, was: Collection[RunStatus], now_ms: int) -> bool:
        change = (
            update(runs)
            .where(runs.c.run_id == run_id, runs.c.status.in_(was))
            .values(
                status="pending", updated_ms=now_ms, ended_ms=None, result=None, error_code=None, error=None
            )
            .returning(runs.c.run_id)
        )
        with self._database.write() as connection:
            return connection.execute(change).scalar_one_or_none() is not None

    def append(self, run_id: str, event: RunEventRecord, attempt: int | None = None) -> RunEventRecord | None:
        valid: list[ColumnElement[bool]] = [runs.c.status.in_(UNFINISHED)]
        if attempt is not None:
            valid.append(runs.c.attempts == attempt)
        with self._database.write() as connection:
            return _append(connection, run_id, event, valid)

    def events(self, run_id: str, after: int = 0, limit: int = 500) -> list[RunEventRecord]:
        e = run_events.c
        query = (
            select(run_events)
            .where(e.run_id == run_id, e.seq > after)
            .order_by(e.seq)
            .limit(limit)
        )  # fmt: skip
        with self._database.read() as connection:
            return [_event(row) for row in connection.execute(query).mappings()]

    def spoken(self, run_id: str) -> frozenset[str]:
        e = run_events.c
        query = select(e.step).where(e.run_id == run_id, e.step.is_not(None)).distinct()
        with self._database.read() as connection:
            return frozenset(str(step) for step in connection.execute(query).scalars())

    def family(self, run_ids: Iterable[str]) -> list[RunRecord]:
        found = self._runs(select(runs).where(runs.c.run_id.in_(tuple(run_ids))))
        level = found
        while level:
            ids = tuple(one.run_id for one in level)
            level = self._runs(select(runs).where(runs.c.parent_id.in_(ids)).order_by(runs.c.run_id))
            found = [*found, *level]
        return found

    def delete(self, run_ids: Collection[str]) -> None:
        with self._database.write() as connection:
            # not left to the cascade: a database that was opened by others may not enforce it
            connection.execute(delete(run_events).where(run_events.c.run_id.in_(run_ids)))
            connection.execute(delete(runs).where(runs.c.run_id.in_(run_ids)))

    def of_user(self, user: str) -> list[str]:
        return self._ids(select(runs.c.run_id).where(runs.c.user_id == user, runs.c.parent_id.is_(None)))

    def ended_before(self, ms: int, limit: int = 200) -> list[str]:
        query = select(runs.c.run_id).where(runs.c.ended_ms < ms, runs.c.parent_id.is_(None))
        return self._ids(query.order_by(runs.c.ended_ms).limit(limit))

    def unfinished(self) -> list[RunRecord]:
        return self._runs(select(runs).where(runs.c.status.in_(UNFINISHED)).order_by(runs.c.created_ms))

    def beat(self, worker: str) -> None:
        with self._database.write() as connection:
            now = self._now()
            change = update(run_workers).where(run_workers.c.worker == worker).values(beat_ms=now)
            if not connection.execute(change).rowcount:
                connection.execute(insert(run_workers).values(worker=worker, beat_ms=now))
            connection.execute(delete(run_workers).where(run_workers.c.beat_ms < now - _DEAD_MS))

    def leave(self, worker: str) -> None:
        with self._database.write() as connection:
            connection.execute(delete(run_workers).where(run_workers.c.worker == worker))

    def alive(self, silent_ms: int) -> frozenset[str]:
        w = run_workers.c
        return frozenset(self._ids(select(w.worker).where(w.beat_ms > self._now() - silent_ms)))

    @contextlib.contextmanager
    def sweeping(self) -> Generator[bool, None, None]:
        if self._database.kind == "sqlite":  # the data directory's owner is alone
            yield True
            return
        with self._database.write() as connection:
            query = text("SELECT pg_try_advisory_xact_lock(:key)")
            yield bool(connection.execute(query, {"key": _SWEEP}).scalar())

    def _now(self) -> ColumnElement[int]:
        """Epoch milliseconds by the database's clock: those of the workers need not agree."""
        if self._database.kind == "sqlite":
            return literal_column("CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)", Integer)
        return literal_column("CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)", BigInteger)

    def _runs(self, query: Select[Any]) -> list[RunRecord]:
        with self._database.read() as connection:
            return [_record(row) for row in connection.execute(query).mappings()]

    def _ids(self, query: Select[Any]) -> list[str]:
        with self._database.read() as connection:
            return [str(one) for one in connection.execute(query).scalars()]


def storable(text_: str) -> str:
    """``text_`` as databases take it: neither NUL (PostgreSQL) nor half a surrogate pair (UTF-8)."""
    if text_.isascii():
        return text_.translate(_UNSTORABLE) if "\0" in text_ else text_
    return text_.encode("utf-8", "replace").decode("utf-8").translate(_UNSTORABLE)


def _append(
    connection: Connection, run_id: str, event: RunEventRecord, valid: Sequence[ColumnElement[bool]] = ()
) -> RunEventRecord | None:
    """The row of the run is locked by its number: whoever reads one number has those before it, too."""
    e = run_events.c
    if event.once is not None:
        known = select(func.count()).where(e.run_id == run_id, e.once == event.once)
        if connection.execute(known).scalar():
            return None
    change = (
        update(runs)
        .where(runs.c.run_id == run_id, *valid)
        .values(last_seq=runs.c.last_seq + 1, updated_ms=event.at_ms)
        .returning(runs.c.last_seq)
    )
    seq = connection.execute(change).scalar_one_or_none()
    if seq is None:
        return None
    row = {
        "run_id": run_id,
        "seq": seq,
        "at_ms": event.at_ms,
        "type": event.type,
        "content": storable(event.content),
        "agent": event.agent,
        "tool": event.tool,
        "params": _dump(event.params),
        "step": event.step,
        "once": event.once,
    }
    connection.execute(insert(run_events).values(row))
    return _event(row)


def _dump(value: Json) -> str:
    return orjson.dumps(value).decode()


def _row(record: RunRecord) -> dict[str, Any]:
    row = {name: getattr(record, name) for name in record.__slots__}
    row["parent_id"], row["user_id"] = row.pop("parent"), row.pop("user")
    row["result"] = None if record.result is None else _dump(record.result)
    return row


def _record(row: RowMapping) -> RunRecord:
    fields: dict[str, Any] = dict(row)
    fields["parent"], fields["user"] = fields.pop("parent_id"), fields.pop("user_id")
    fields["result"] = None if fields["result"] is None else orjson.loads(fields["result"])
    return RunRecord(**fields)


def _event(row: RowMapping | dict[str, Any]) -> RunEventRecord:
    fields: dict[str, Any] = {key: value for key, value in row.items() if key != "run_id"}
    fields["params"] = orjson.loads(fields["params"])
    return RunEventRecord(**fields)
