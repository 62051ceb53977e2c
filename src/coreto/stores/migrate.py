"""Brings a database up to the schema that this code knows.

A start costs one query. An empty database gets the tables as they are; Alembic is imported only by the start
that finds an older schema. Several processes may do either at once: the lock lets one of them work and the
others find it done.
"""

from pathlib import Path

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError

from coreto.stores.database import Database
from coreto.stores.errors import StoreError
from coreto.stores.schema import METADATA

HEAD = "0005"
"""The newest script in ``migrations/versions`` (a test compares)."""

_SCRIPTS = Path(__file__).parent / "migrations"
_VERSION_TABLE = "alembic_version"
_LOCK = 0x636F7265746F  # "coreto": any number that all our processes share


def ensure_schema(database: Database) -> None:
    """Create or upgrade our tables.

    Raises :class:`~coreto.stores.errors.StoreError` when the database was written by a newer Coreto or
    cannot be changed.
    """
    if _behind(_version(database), database.where):
        _bring_up(database)


def _version(database: Database) -> str | None:
    """The schema's version by one query; ``None`` where our tables do not exist yet."""
    with database.read() as connection:
        try:
            return _read_version(connection, database.schema)
        except DBAPIError as error:
            if "no such table" in str(error.orig) or getattr(error.orig, "sqlstate", "") == "42P01":
                return None
            raise


def _read_version(connection: Connection, schema: str | None) -> str | None:
    table = f"{schema}.{_VERSION_TABLE}" if schema else _VERSION_TABLE
    return connection.execute(text(f"SELECT version_num FROM {table}")).scalar()  # noqa: S608 - two constants


def _behind(version: str | None, where: str) -> bool:
    if version is not None and version > HEAD:
        raise StoreError(
            f"{where} was written by a newer Coreto (schema {version}; this one knows {HEAD}): "
            "upgrade Coreto, or use another data directory or database"
        )
    return version != HEAD


def _bring_up(database: Database) -> None:
    with database.write() as connection:
        if database.schema is not None:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            if not inspect(connection).has_schema(database.schema):
                connection.execute(text(f"CREATE SCHEMA {database.schema}"))
        known = inspect(connection).has_table(_VERSION_TABLE, schema=database.schema)
        version = _read_version(connection, database.schema) if known else None
        if not known:
            _create(connection, database.schema)
        elif _behind(version, database.where):  # else another process was faster
            upgrade(connection, database.schema)


def _create(connection: Connection, schema: str | None) -> None:
    """All tables of an empty database, as the newest script leaves them, without Alembic: it would stay in a
    server's memory (5 MB) for good."""
    METADATA.create_all(connection)
    table = f"{schema}.{_VERSION_TABLE}" if schema else _VERSION_TABLE
    column = "version_num VARCHAR(32) NOT NULL"  # as Alembic makes it
    connection.execute(
        text(f"CREATE TABLE {table} ({column}, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))")
    )
    connection.execute(text(f"INSERT INTO {table} VALUES (:head)"), {"head": HEAD})  # noqa: S608 - two constants


def upgrade(connection: Connection, schema: str | None, to: str = "head") -> None:
    """Run the scripts up to ``to`` in the connection's transaction. ``schema``: PostgreSQL's."""
    from alembic import command  # noqa: PLC0415 - 60 ms of imports that only an upgrade needs
    from alembic.config import Config  # noqa: PLC0415 - as above

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    config.attributes["schema"] = schema
    command.upgrade(config, to)
