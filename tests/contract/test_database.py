"""Opening and migrating: SQLite and PostgreSQL behave alike, and fail in one clear line."""

import socket
import sqlite3
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import event, inspect, text

from coreto.errors import ConfigError, CoretoError, MissingExtraError
from coreto.stores import migrate
from coreto.stores.database import FILE_NAME, Database, open_database
from coreto.stores.errors import StoreDownError, StoreError
from coreto.stores.ledger import SqlLedgerStore
from coreto.stores.migrate import HEAD, ensure_schema
from coreto.stores.records import CallRecord
from coreto.stores.schema import METADATA


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request):
    """A database without our tables."""
    if request.param == "sqlite":
        return "sqlite"
    return request.getfixturevalue("postgres_url")


@pytest.fixture
def database(url, tmp_path):
    database = open_database(url, tmp_path)
    _remove_tables(database)
    yield database
    database.close()


def _remove_tables(database: Database) -> None:
    if database.schema is not None:
        with database.write() as connection:
            connection.execute(text("DROP SCHEMA IF EXISTS coreto CASCADE"))


def statements(database: Database) -> list[str]:
    """What is sent to the database from now on."""
    sent: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda *args: sent.append(args[2]))
    return sent


def test_head_is_the_newest_script():
    """The constant that a start compares with is the newest migration."""
    config = Config()
    config.set_main_option("script_location", str(migrate._SCRIPTS))
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


@pytest.mark.parametrize("way", ["scripts", "at once"])
def test_scripts_and_tables_agree(database: Database, way: str):
    """The migrations make exactly the tables, columns, keys and indexes that the code uses, and a new database,
    which gets them at once, is of the newest version."""
    if way == "scripts":
        migrated(database)
    ensure_schema(database)
    assert migrate._version(database) == HEAD
    options = {"compare_type": True}
    if database.schema is not None:
        names = {None, database.schema}
        options |= {
            "include_schemas": True,
            "include_name": lambda name, kind, _: kind != "schema" or name in names,
        }
    with database.read() as connection:
        if database.schema is not None:
            connection.execute(text("SET search_path TO coreto"))
            connection.dialect.default_schema_name = "coreto"
        found = compare_metadata(MigrationContext.configure(connection, opts=options), METADATA)
    assert [one for one in found if not _is_version_table(one)] == []


def migrated(database: Database, to: str = "head") -> None:
    """Bring an empty database up to a version by the scripts, as a release of that time did."""
    with database.write() as connection:
        if database.schema is not None:
            connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {database.schema}"))
        migrate.upgrade(connection, database.schema, to)


def _is_version_table(difference) -> bool:
    return difference[0] == "remove_table" and difference[1].name == "alembic_version"


def test_a_start_costs_one_query(database: Database):
    """Once the schema is there, a start asks one question."""
    ensure_schema(database)
    sent = statements(database)
    ensure_schema(database)
    asked = [one for one in sent if not one.startswith("BEGIN")]
    assert len(asked) == 1
    assert asked[0].startswith("SELECT version_num")


def test_a_newer_database_is_refused(database: Database):
    """A database of a newer release is named as such and not touched."""
    ensure_schema(database)
    table = "coreto.alembic_version" if database.schema else "alembic_version"
    with database.write() as connection:
        connection.execute(text(f"UPDATE {table} SET version_num = '9999'"))
    with pytest.raises(StoreError, match=r"newer Coreto \(schema 9999"):
        ensure_schema(database)


@pytest.mark.parametrize("older", [False, True])
def test_a_failed_start_leaves_nothing(database: Database, older: bool):
    """A first start, or a migration, that breaks off leaves nothing half made; the next one does it all."""
    if older:
        migrated(database, "0001")
    before = names(database)

    def sabotage(conn, cursor, statement, parameters, context, executemany):
        if "CREATE TABLE" in statement and "api_keys" in statement:
            raise RuntimeError("power cut")

    event.listen(database.engine, "before_cursor_execute", sabotage)
    with pytest.raises(RuntimeError):
        ensure_schema(database)
    event.remove(database.engine, "before_cursor_execute", sabotage)
    assert names(database) == before
    ensure_schema(database)
    SqlLedgerStore(database).append([CallRecord("c", 1, "ok")])


def names(database: Database) -> list[str]:
    with database.read() as connection:
        return sorted(inspect(connection).get_table_names(schema=database.schema))


STARTER = """
import sys
from pathlib import Path
import alembic.command
from coreto.stores.database import open_database
from coreto.stores.ledger import SqlLedgerStore
from coreto.stores.migrate import ensure_schema
from coreto.stores.records import CallRecord
url, folder, name = sys.argv[1:]
database = open_database(url, Path(folder))
print("ready", flush=True)
sys.stdin.readline()
ensure_schema(database)
SqlLedgerStore(database).append([CallRecord(name, 1, "ok")])
"""


def test_two_processes_migrate_at_once(database: Database, url: str, tmp_path):
    """Processes that find the schema missing at the same time all start."""
    children = [
        subprocess.Popen(
            [sys.executable, "-c", STARTER, url, str(tmp_path), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in "ab"
    ]
    for child in children:
        assert child.stdout.readline() == "ready\n"
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    for child in children:
        _, complaint = child.communicate(timeout=30)
        assert child.returncode == 0, complaint
    assert len(SqlLedgerStore(database).recent(10)) == 2


def test_sqlite_file(tmp_path):
    """The file is private to its owner, in WAL mode, with foreign keys and a busy timeout on."""
    database = open_database("sqlite", tmp_path / "new" / "folder")
    ensure_schema(database)
    SqlLedgerStore(database).append([CallRecord("c", 1, "ok")])
    with database.read() as connection:
        asked = ("journal_mode", "foreign_keys", "busy_timeout", "synchronous")
        found = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in asked]
    assert found == ["wal", 1, 5000, 1]
    for file in (tmp_path / "new" / "folder").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    assert stat.S_IMODE((tmp_path / "new" / "folder").stat().st_mode) == 0o700
    database.close()


def test_sqlite_opened_by_many_at_once(tmp_path):
    """First starts at the same moment all find a database; none is told that it is locked."""
    barrier = threading.Barrier(6)

    def start(folder: Path) -> None:
        barrier.wait(30)
        open_database("sqlite", folder).close()

    with ThreadPoolExecutor(6) as pool:
        for attempt in range(10):
            for started in [pool.submit(start, tmp_path / str(attempt)) for _ in range(6)]:
                started.result(30)


def test_sqlite_reads_during_a_write(tmp_path):
    """A report does not wait for a writer, nor see half of what it writes."""
    database = open_database("sqlite", tmp_path)
    ensure_schema(database)
    store = SqlLedgerStore(database)
    with database.write() as connection:
        connection.exec_driver_sql(
            "INSERT INTO calls (call_id, at_ms, outcome, stream, cached, label) VALUES ('a', 1, 'ok', 0, 0, 'public')"
        )
        assert store.recent(1) == []
    assert len(store.recent(1)) == 1
    database.close()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "mysql://root:hunter2@db/x",
        "postgres://me:hunter2@db/x",
        "sqlite:///elsewhere.db",
        "postgresql://me:hunter2@db:port/x",
        "hunter2",
    ],
)
def test_other_addresses_are_refused(url: str, tmp_path):
    """Any other address gets one line with the two forms that work, and never shows the password."""
    with pytest.raises(ConfigError) as caught:
        open_database(url, tmp_path)
    assert "postgresql://USER" in caught.value.message
    assert "\n" not in caught.value.message
    assert "hunter2" not in caught.value.message


def _is_one_clean_line(error: CoretoError, *expected: str) -> bool:
    line = error.message
    return "\n" not in line and "hunter2" not in line and all(one in line for one in expected)


def test_unreachable_server(tmp_path):
    """A server that is not there is named by host and port, without the password."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(StoreDownError) as caught:
        open_database(f"postgresql://me:hunter2@127.0.0.1:{port}/x", tmp_path)
    assert _is_one_clean_line(caught.value, f"127.0.0.1:{port}", "refused")


def test_wrong_database(postgres_url: str, tmp_path):
    """A database that does not exist is said so."""
    missing = postgres_url.rsplit("/", 1)[0].replace("postgres@", "postgres:hunter2@") + "/no_such_database"
    with pytest.raises(StoreDownError) as caught:
        open_database(missing, tmp_path)
    assert _is_one_clean_line(caught.value, "no_such_database", "does not exist")


def test_bad_connection_option(tmp_path):
    """An unknown option of the address is one line too."""
    with pytest.raises(StoreDownError) as caught:
        open_database("postgresql://me:hunter2@127.0.0.1:1/x?colour=blue", tmp_path)
    assert _is_one_clean_line(caught.value, "colour")


def test_not_a_database(tmp_path):
    """A file that is something else is named and left alone."""
    (tmp_path / FILE_NAME).write_bytes(b"a letter to my aunt " * 100)
    with pytest.raises(StoreDownError) as caught:
        open_database("sqlite", tmp_path)
    assert _is_one_clean_line(caught.value, FILE_NAME, "not a database")
    assert (tmp_path / FILE_NAME).read_bytes().startswith(b"a letter")


def test_data_dir_is_a_file(tmp_path):
    """A data directory that cannot be one is named."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreDownError) as caught:
        open_database("sqlite", tmp_path / "file")
    assert _is_one_clean_line(caught.value, "file")


def test_missing_driver(tmp_path, monkeypatch):
    """Without psycopg, PostgreSQL names the extra to install."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtraError, match=r"coreto\[postgres\]"):
        open_database("postgresql://me@127.0.0.1/x", tmp_path)


def test_damaged_rows_are_for_later(tmp_path):
    """A table that is gone is the database's fault, not the rows': they are not to be thrown away."""
    database = open_database("sqlite", tmp_path)
    ensure_schema(database)
    with sqlite3.connect(tmp_path / FILE_NAME) as other:
        other.execute("DROP TABLE attempts")
        other.execute("DROP TABLE calls")
    with pytest.raises(StoreDownError):
        SqlLedgerStore(database).append([CallRecord("c", 1, "ok")])
    database.close()


def test_full_disk(tmp_path):
    """A full disk refuses the whole batch for now; once there is room the same batch is taken."""
    database = open_database("sqlite", tmp_path)
    ensure_schema(database)
    store = SqlLedgerStore(database)
    batch = [CallRecord(f"c{number}", number, "ok", task="x" * 200) for number in range(2000)]
    with database.read() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages + 5}")
    with pytest.raises(StoreDownError, match="full"):
        store.append(batch)
    assert store.recent(1) == []
    with database.read() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count=1000000")
    store.append(batch)
    assert len(store.recent(5000)) == 2000
    database.close()


def test_server_that_restarts(postgres_url: str, tmp_path):
    """A connection that the server ended is replaced without an error."""
    database = open_database(postgres_url, tmp_path)
    ensure_schema(database)
    store = SqlLedgerStore(database)
    store.recent(1)
    end_others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with psycopg.connect(postgres_url, autocommit=True) as other:
        other.execute(end_others)
    store.append([CallRecord("after", 1, "ok")])
    assert "after" in {call.call_id for call in store.recent(100)}
    database.close()
