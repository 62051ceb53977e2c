"""Prompts: the content of versions in use, where labels stand, users' values, exposures and outcomes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson
from sqlalchemy import ColumnElement, Integer, RowMapping, cast, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from coreto.messages import Json
from coreto.stores.database import Database
from coreto.stores.schema import (
    prompt_exposures,
    prompt_labels,
    prompt_outcomes,
    prompt_values,
    prompt_versions,
)


@dataclass(frozen=True, slots=True)
class VersionRecord:
    """What a version of a prompt says for good. ``fragments``: the files that it includes, by name."""

    name: str
    version: int
    language: str
    digest: str
    source: str = field(repr=False)
    fragments: Mapping[str, str] = field(repr=False, default_factory=dict[str, str])
    pinned_ms: int = 0


@dataclass(frozen=True, slots=True)
class LabelRecord:
    """Where a movable label of a prompt stands."""

    name: str
    label: str
    version: int
    moved_ms: int = 0


@dataclass(frozen=True, slots=True)
class ExposureRecord:
    """Who met which variant first. ``subject``: a digest of the user or session; ``digest``: of the prompt."""

    experiment: str
    subject: str
    variant: str
    digest: str
    first_ms: int = 0


@dataclass(frozen=True, slots=True)
class OutcomeRecord:
    """What became of an exposure. An experiment may have several outcomes, told apart by name."""

    experiment: str
    subject: str
    outcome: str
    success: bool
    at_ms: int = 0


@dataclass(frozen=True, slots=True)
class VariantCount:
    """How many met a variant, of how many the outcome is known, and how many times it was a success."""

    variant: str
    exposures: int
    outcomes: int = 0
    successes: int = 0


class PromptStore(Protocol):
    """Keeps what prompts' files cannot. Synchronous: used from threads and the command line.

    Times are epoch milliseconds. Methods raise :class:`~coreto.stores.errors.StoreError`.
    """

    def pin(self, record: VersionRecord) -> VersionRecord:
        """Keep the content of a version that has none yet; the one that it has now, which stays for good."""
        ...

    def versions(self, name: str | None = None) -> list[VersionRecord]:
        """Versions in use, by name, version and language."""
        ...

    def move(self, record: LabelRecord) -> None:
        """Put a label on a version, off any other of that prompt."""
        ...

    def labels(self, name: str | None = None) -> list[LabelRecord]:
        """Where labels stand, by name and label."""
        ...

    def set_values(self, user: str, name: str, values: Mapping[str, Any], now_ms: int) -> None:
        """Keep a user's values (JSON) for variables of a prompt; ``None`` forgets one. All or, on an error, none."""
        ...

    def values(self, user: str, name: str) -> Json:
        """A user's values for a prompt, by variable."""
        ...

    def expose(self, record: ExposureRecord) -> ExposureRecord:
        """Note an exposure unless the subject has one; the one that it has now: the first."""
        ...

    def exposure(self, experiment: str, subject: str) -> ExposureRecord | None: ...

    def measure(self, record: OutcomeRecord) -> bool:
        """Note an outcome; the last word counts. ``False``, and nothing noted, without an exposure."""
        ...

    def counts(self, experiment: str, outcome: str) -> list[VariantCount]:
        """Sums per variant, by its name."""
        ...

    def forget(self, user: str, subject: str) -> int:
        """Remove a user's values, and exposures and outcomes of a subject; how many values and exposures."""
        ...


class SqlPromptStore:
    """Prompts' records in SQLite or PostgreSQL. The schema must be there (``ensure_schema``)."""

    __slots__ = ("_database", "_insert")

    def __init__(self, database: Database) -> None:
        self._database = database
        self._insert = sqlite.insert if database.kind == "sqlite" else postgresql.insert

    def pin(self, record: VersionRecord) -> VersionRecord:
        row = {name: getattr(record, name) for name in record.__slots__}
        row["fragments"] = orjson.dumps(dict(record.fragments)).decode()
        v = prompt_versions.c
        with self._database.write() as connection:
            connection.execute(self._insert(prompt_versions).values(row).on_conflict_do_nothing())
            mine = (v.name == record.name) & (v.version == record.version) & (v.language == record.language)
            return _version(connection.execute(select(prompt_versions).where(mine)).mappings().one())

    def versions(self, name: str | None = None) -> list[VersionRecord]:
        v = prompt_versions.c
        query = select(prompt_versions).order_by(v.name, v.version, v.language)
        with self._database.read() as connection:
            rows = connection.execute(query if name is None else query.where(v.name == name))
            return [_version(row) for row in rows.mappings()]

    def move(self, record: LabelRecord) -> None:
        put = self._insert(prompt_labels).values({name: getattr(record, name) for name in record.__slots__})
        told = {name: put.excluded[name] for name in ("version", "moved_ms")}
        with self._database.write() as connection:
            connection.execute(put.on_conflict_do_update(index_elements=["name", "label"], set_=told))

    def labels(self, name: str | None = None) -> list[LabelRecord]:
        c = prompt_labels.c
        query = select(prompt_labels).order_by(c.name, c.label)
        with self._database.read() as connection:
            rows = connection.execute(query if name is None else query.where(c.name == name))
            return [LabelRecord(**row) for row in rows.mappings()]

    def set_values(self, user: str, name: str, values: Mapping[str, Any], now_ms: int) -> None:
        put = self._insert(prompt_values)
        told = {column: put.excluded[column] for column in ("value", "set_ms")}
        key = ["user_id", "name", "variable"]
        kept = [
            {
                "user_id": user,
                "name": name,
                "variable": variable,
                "value": orjson.dumps(value).decode(),
                "set_ms": now_ms,
            }
            for variable, value in values.items()
            if value is not None
        ]
        gone = [variable for variable, value in values.items() if value is None]
        with self._database.write() as connection:
            if kept:
                connection.execute(put.on_conflict_do_update(index_elements=key, set_=told), kept)
            if gone:
                c = prompt_values.c
                mine = (c.user_id == user) & (c.name == name) & c.variable.in_(gone)
                connection.execute(delete(prompt_values).where(mine))

    def values(self, user: str, name: str) -> Json:
        c = prompt_values.c
        mine = (c.user_id == user) & (c.name == name)
        query = select(c.variable, c.value).where(mine).order_by(c.variable)
        with self._database.read() as connection:
            return {variable: orjson.loads(value) for variable, value in connection.execute(query)}

    def expose(self, record: ExposureRecord) -> ExposureRecord:
        row = {name: getattr(record, name) for name in record.__slots__}
        mine = _met(record.experiment, record.subject)
        with self._database.write() as connection:
            connection.execute(self._insert(prompt_exposures).values(row).on_conflict_do_nothing())
            return ExposureRecord(**connection.execute(select(prompt_exposures).where(mine)).mappings().one())

    def exposure(self, experiment: str, subject: str) -> ExposureRecord | None:
        with self._database.read() as connection:
            query = select(prompt_exposures).where(_met(experiment, subject))
            row = connection.execute(query).mappings().one_or_none()
        return None if row is None else ExposureRecord(**row)

    def measure(self, record: OutcomeRecord) -> bool:
        put = self._insert(prompt_outcomes).values({name: getattr(record, name) for name in record.__slots__})
        told = {name: put.excluded[name] for name in ("success", "at_ms")}
        exposed = select(prompt_exposures.c.variant).where(_met(record.experiment, record.subject))
        with self._database.write() as connection:
            if connection.execute(exposed).first() is None:
                return False
            key = ["experiment", "subject", "outcome"]
            connection.execute(put.on_conflict_do_update(index_elements=key, set_=told))
        return True

    def counts(self, experiment: str, outcome: str) -> list[VariantCount]:
        e, o = prompt_exposures.c, prompt_outcomes.c
        same = (o.experiment == e.experiment) & (o.subject == e.subject) & (o.outcome == outcome)
        query = (
            select(
                e.variant,
                func.count(),
                func.count(o.success),
                func.coalesce(func.sum(cast(o.success, Integer)), 0),
            )
            .select_from(prompt_exposures.outerjoin(prompt_outcomes, same))
            .where(e.experiment == experiment)
            .group_by(e.variant)
            .order_by(e.variant)
        )
        with self._database.read() as connection:
            return [VariantCount(*row) for row in connection.execute(query)]

    def forget(self, user: str, subject: str) -> int:
        with self._database.write() as connection:
            values = connection.execute(delete(prompt_values).where(prompt_values.c.user_id == user))
            met = connection.execute(delete(prompt_exposures).where(prompt_exposures.c.subject == subject))
            return values.rowcount + met.rowcount


def _met(experiment: str, subject: str) -> ColumnElement[bool]:
    e = prompt_exposures.c
    return (e.experiment == experiment) & (e.subject == subject)


def _version(row: RowMapping) -> VersionRecord:
    fields = dict(row)
    fields["fragments"] = orjson.loads(fields["fragments"])
    return VersionRecord(**fields)
