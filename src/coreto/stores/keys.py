"""The server's keys, hashed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import orjson
from sqlalchemy import RowMapping, insert, select, update

from coreto.errors import ConfigError
from coreto.stores.database import Database
from coreto.stores.errors import RefusedError
from coreto.stores.schema import api_keys


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A key without the key itself: ``digest`` is the hexadecimal SHA-256 of it.

    ``models``: the roles and deployments it may ask for, none = all; one that ends in ``*`` stands for all
    names that begin so. ``rpm``: requests a minute; limits of spending in nano-dollars; ``None`` = without.
    ``speaks_for_others``: its calls may name their user; else they are its own. Times are epoch milliseconds.
    """

    key_id: str
    name: str
    digest: str = field(repr=False)
    models: tuple[str, ...] = ()
    rpm: int | None = None
    daily_nusd: int | None = None
    monthly_nusd: int | None = None
    speaks_for_others: bool = False
    created_ms: int = 0
    expires_ms: int | None = None
    revoked_ms: int | None = None


class NameTakenError(ConfigError):
    """A key of that name is in force."""

    code = "name_taken"

    def __init__(self, name: str) -> None:
        super().__init__(f"a key named {name!r} is there already: revoke it first, or choose another name")


class KeyStore(Protocol):
    """Keeps keys. Synchronous: used from a thread and the command line.

    Methods raise :class:`~coreto.stores.errors.StoreError`.
    """

    def add(self, record: KeyRecord) -> None:
        """Raises :class:`NameTakenError` when an unrevoked key, even an expired one, has its name."""
        ...

    def all(self) -> list[KeyRecord]:
        """Every key, revoked ones included, the oldest first."""
        ...

    def revoke(self, name_or_id: str, now_ms: int) -> KeyRecord | None:
        """Revoke the unrevoked key of that name or id; ``None`` when there is none."""
        ...


class SqlKeyStore:
    """Keys in SQLite or PostgreSQL. The schema must be there (``ensure_schema``)."""

    __slots__ = ("_database",)

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, record: KeyRecord) -> None:
        row = {name: getattr(record, name) for name in record.__slots__}
        row["models"] = orjson.dumps(record.models).decode()
        try:
            with self._database.write() as connection:
                connection.execute(insert(api_keys).values(row))
        except RefusedError:
            if any(one.name == record.name and one.revoked_ms is None for one in self.all()):
                raise NameTakenError(record.name) from None
            raise

    def all(self) -> list[KeyRecord]:
        with self._database.read() as connection:
            rows = connection.execute(select(api_keys).order_by(api_keys.c.created_ms, api_keys.c.key_id))
            return [_record(row) for row in rows.mappings()]

    def revoke(self, name_or_id: str, now_ms: int) -> KeyRecord | None:
        k = api_keys.c
        mine = ((k.name == name_or_id) | (k.key_id == name_or_id)) & k.revoked_ms.is_(None)
        with self._database.write() as connection:
            rows: Sequence[RowMapping] = (
                connection.execute(update(api_keys).where(mine).values(revoked_ms=now_ms).returning(api_keys))
                .mappings()
                .all()
            )
        return _record(rows[0]) if rows else None


def _record(row: RowMapping) -> KeyRecord:
    fields = dict(row)
    fields["models"] = tuple(orjson.loads(fields["models"]))
    return KeyRecord(**fields)
