"""Opens the database: a SQLite file of our own, or PostgreSQL by URL."""

import contextlib
import os
import sqlite3
from collections.abc import Generator
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from coreto.errors import ConfigError, MissingExtraError
from coreto.stores.errors import translated
from coreto.stores.wal import use_wal

FILE_NAME = "coreto.db"
SCHEMA = "coreto"
"""The PostgreSQL schema that holds our tables."""

BUSY_MS = 5000
CONNECT_SECONDS = 5

# a server that vanished is noticed in seconds, not after the two hours of a system's defaults
_POSTGRES_OPTIONS: dict[str, Any] = {
    "application_name": "coreto",
    "connect_timeout": CONNECT_SECONDS,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}

_FORMS = 'write "sqlite", or postgresql://USER:PASSWORD@HOST:PORT/DATABASE'


class Database:
    """An engine and what differs between the two kinds. Owns the engine: :meth:`close` it.

    Methods are synchronous; they are called from a writer's thread or from the command line.
    """

    __slots__ = ("_secret", "engine", "kind", "schema", "where")

    def __init__(
        self, engine: Engine, *, kind: Literal["sqlite", "postgresql"], where: str, secret: str | None = None
    ) -> None:
        """``where`` names the database in messages and must not contain ``secret``, its password."""
        self.engine = engine
        self.kind = kind
        self.schema = SCHEMA if kind == "postgresql" else None
        self.where = where
        self._secret = secret

    @contextlib.contextmanager
    def read(self) -> Generator[Connection, None, None]:
        """One consistent snapshot. Raises :class:`~coreto.stores.errors.StoreError`."""
        with translated(self.where, self._secret), self.engine.connect() as connection:
            if self.kind == "postgresql":
                connection = connection.execution_options(isolation_level="REPEATABLE READ")  # noqa: PLW2901 - the same connection
            yield connection

    @contextlib.contextmanager
    def write(self) -> Generator[Connection, None, None]:
        """One transaction that commits at the end of the block, or leaves no trace.

        SQLite takes its one write lock at the start. Raises :class:`~coreto.stores.errors.StoreError`.
        """
        with (
            translated(self.where, self._secret),
            self.engine.connect() as connection,
            connection.execution_options(sqlite_begin="IMMEDIATE").begin(),
        ):
            yield connection

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def open_database(url: str, data_dir: Path) -> Database:
    """Open ``"sqlite"`` (the file ``coreto.db`` in ``data_dir``) or a ``postgresql://`` URL.

    Raises :class:`~coreto.errors.ConfigError` for any other URL,
    :class:`~coreto.errors.MissingExtraError` without a PostgreSQL driver, and
    :class:`~coreto.stores.errors.StoreError` when the database cannot be used.
    """
    if url.strip() == "sqlite":
        return _open_sqlite(data_dir)
    try:
        parsed = make_url(url.strip())
    except (ArgumentError, ValueError):
        raise ConfigError(f"database.url is not a database address: {_FORMS}") from None
    if parsed.drivername != "postgresql":
        raise ConfigError(f"database.url: {parsed.drivername!r} is not supported: {_FORMS}")
    return _open_postgres(parsed)


def _open_sqlite(data_dir: Path) -> Database:
    path = data_dir / FILE_NAME
    with translated(str(path)):
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        # -wal and -shm inherit the mode of the file they belong to
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        path.chmod(0o600)
    engine = create_engine(URL.create("sqlite", database=str(path)))
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return _checked(Database(engine, kind="sqlite", where=str(path)))


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    """WAL lets readers go on during a write and survives kill -9; NORMAL spares one fsync a commit."""
    connection.isolation_level = None  # the driver's implicit BEGIN leaves DDL out; see _begin_sqlite
    connection.execute(f"PRAGMA busy_timeout={BUSY_MS}")
    use_wal(connection, BUSY_MS / 1000)
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA foreign_keys=ON")


def _begin_sqlite(connection: Connection) -> None:
    mode = connection.get_execution_options().get("sqlite_begin", "DEFERRED")
    connection.exec_driver_sql(f"BEGIN {mode}")


def _open_postgres(url: URL) -> Database:
    options = {key: value for key, value in _POSTGRES_OPTIONS.items() if key not in url.query}
    where = f"PostgreSQL {url.host or 'localhost'}:{url.port or 5432}/{url.database or ''}"
    secret = str(url.password) if url.password else None
    try:
        engine = create_engine(
            url.set(drivername="postgresql+psycopg"),
            connect_args=options,
            pool_size=2,
            max_overflow=3,
            pool_timeout=CONNECT_SECONDS,
            pool_pre_ping=True,
            hide_parameters=True,
        ).execution_options(schema_translate_map={None: SCHEMA})
    except ImportError:
        raise MissingExtraError("postgres", "a PostgreSQL database") from None
    return _checked(Database(engine, kind="postgresql", where=where, secret=secret))


def _checked(database: Database) -> Database:
    """``database``, once it answered; closed when it did not."""
    try:
        with database.read() as connection:
            # on SQLite a bare SELECT 1 would not open the file
            connection.execute(text("PRAGMA schema_version" if database.kind == "sqlite" else "SELECT 1"))
    except BaseException:
        database.close()
        raise
    return database
