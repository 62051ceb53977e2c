"""The SQLite file behind :class:`~coreto.cache.sqlite.SqliteStore`. Synchronous; used from its one thread."""

import logging
import os
import sqlite3
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from coreto.cache.store import Entry
from coreto.labels import Label
from coreto.stores.wal import use_wal

log = logging.getLogger(__name__)
T = TypeVar("T")

_VERSION = 1
_BUSY_SECONDS = 2.0
#: Uses remembered before they are written: a hit costs no write.
_USES_HELD = 200

_SCHEMA = (
    """CREATE TABLE entries (key TEXT PRIMARY KEY, payload BLOB NOT NULL, tags TEXT NOT NULL,
    label INTEGER NOT NULL, created_at REAL NOT NULL, expires_at REAL NOT NULL,
    size INTEGER NOT NULL, used INTEGER NOT NULL)""",
    "CREATE INDEX entries_used ON entries (used, size)",
    "CREATE INDEX entries_expires ON entries (expires_at)",
    """CREATE TABLE tags (tag TEXT NOT NULL, key TEXT NOT NULL REFERENCES entries (key) ON DELETE CASCADE,
    PRIMARY KEY (tag, key)) WITHOUT ROWID""",
    "CREATE INDEX tags_key ON tags (key)",
    # kept by triggers, so that it is right whichever process writes
    "CREATE TABLE total (bytes INTEGER NOT NULL)",
    "INSERT INTO total VALUES (0)",
    "CREATE TRIGGER entries_in AFTER INSERT ON entries BEGIN UPDATE total SET bytes = bytes + NEW.size; END",
    "CREATE TRIGGER entries_out AFTER DELETE ON entries BEGIN UPDATE total SET bytes = bytes - OLD.size; END",
    f"PRAGMA user_version = {_VERSION}",
)


class CacheFile:
    """The entries in ``path``. Every method but :meth:`close` is called through :meth:`run`."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._connection: sqlite3.Connection | None = None
        self._used: dict[str, None] = {}
        self.evicted = 0

    def run(self, work: Callable[[], T]) -> T:
        """``work``, with the file open; done again on a new file when this one turns out damaged."""
        try:
            self._open()
            return work()
        except sqlite3.DatabaseError as error:
            if not _damaged(error):
                raise
            log.warning("the cache file %s is damaged (%s); it is begun anew", self._path, error)
            self._remove()
            self._open()
            return work()

    def get(self, key: str, now: float) -> Entry | None:
        row = self._db.execute(
            "SELECT payload, tags, label, created_at, expires_at FROM entries WHERE key = ? AND expires_at > ?",
            (key, now),
        ).fetchone()
        if row is None:
            return None
        self._used.pop(key, None)
        self._used[key] = None
        if len(self._used) >= _USES_HELD:
            with self._transaction():
                self._write_uses()
        payload, tags, label, created_at, expires_at = row
        return Entry(key, payload, _split(tags), Label(label), created_at, expires_at)

    def put(self, entry: Entry, now: float) -> bool:
        with self._transaction():
            self._write_uses()
            self._db.execute("DELETE FROM entries WHERE key = ?", (entry.key,))
            self._db.execute(
                "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?,"
                " (SELECT COALESCE(MAX(used), 0) + 1 FROM entries))",
                (
                    entry.key,
                    entry.payload,
                    "\n".join(entry.tags),
                    int(entry.label),
                    entry.created_at,
                    entry.expires_at,
                    entry.size,
                ),
            )
            self._db.executemany(
                "INSERT OR IGNORE INTO tags VALUES (?, ?)", [(tag, entry.key) for tag in entry.tags]
            )
            self._make_room(now)
        return True

    def delete(self, where: str, value: str, now: float) -> int:
        """Delete the rows ``where`` (a constant of ours) holds for ``value``; how many were live."""
        with self._transaction():
            live = self._db.execute(
                f"SELECT COUNT(*) FROM entries WHERE {where} AND expires_at > ?",  # noqa: S608 - a constant
                (value, now),
            ).fetchone()[0]
            self._db.execute(f"DELETE FROM entries WHERE {where}", (value,))  # noqa: S608 - a constant
        return live

    def delete_matching(self, matches: Callable[[str], bool], now: float) -> int:
        with self._transaction():
            keys = {key for (key,) in self._db.execute("SELECT key FROM entries") if matches(key)}
            tags = [tag for (tag,) in self._db.execute("SELECT DISTINCT tag FROM tags") if matches(tag)]
            for tag in tags:
                keys.update(key for (key,) in self._db.execute("SELECT key FROM tags WHERE tag = ?", (tag,)))
            return self._delete_keys(sorted(keys), now)

    def totals(self, now: float) -> tuple[int, int]:
        """Live entries, and the bytes that they count for."""
        with self._transaction():
            self._db.execute("DELETE FROM entries WHERE expires_at <= ?", (now,))
            count = self._db.execute("SELECT COUNT(*) FROM entries").fetchone()[0]
            return count, self._bytes()

    def close(self) -> None:
        if self._connection is None:
            return
        try:
            if self._used:
                with self._transaction():
                    self._write_uses()
        finally:
            self._disconnect()

    @property
    def _db(self) -> sqlite3.Connection:
        assert self._connection is not None, "used outside run()"
        return self._connection

    def _bytes(self) -> int:
        return self._db.execute("SELECT bytes FROM total").fetchone()[0]

    def _delete_keys(self, keys: Sequence[str], now: float) -> int:
        live = 0
        for key in keys:
            row = self._db.execute(
                "DELETE FROM entries WHERE key = ? RETURNING expires_at > ?", (key, now)
            ).fetchone()
            live += row[0] if row else 0
        return live

    def _make_room(self, now: float) -> None:
        if self._bytes() <= self._max_bytes:
            return
        self._db.execute("DELETE FROM entries WHERE expires_at <= ?", (now,))
        excess = self._bytes() - self._max_bytes
        doomed: list[str] = []
        for key, size in self._db.execute("SELECT key, size FROM entries ORDER BY used"):
            if excess <= 0:
                break
            doomed.append(key)
            excess -= size
        self._delete_keys(doomed, now)
        self.evicted += len(doomed)

    def _write_uses(self) -> None:
        used, self._used = self._used, {}
        self._db.executemany(
            "UPDATE entries SET used = (SELECT MAX(used) + 1 FROM entries) WHERE key = ?",
            [(key,) for key in used],
        )

    @contextmanager
    def _transaction(self) -> Generator[None, None, None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def _open(self) -> None:
        if self._connection is not None:
            return
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # -wal and -shm inherit the mode of the file they belong to
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        self._path.chmod(0o600)
        self._connection = sqlite3.connect(
            self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            self._prepare()
        except BaseException:
            self._disconnect()
            raise

    def _prepare(self) -> None:
        use_wal(self._db, _BUSY_SECONDS)
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute("PRAGMA foreign_keys = ON")
        if self._version() == _VERSION:
            return
        with self._transaction():
            if self._version() == _VERSION:
                return
            for kind, name in self._db.execute(
                "SELECT type, name FROM sqlite_master WHERE type = 'table'"
            ).fetchall():
                self._db.execute(f'DROP {kind} "{name}"')
            for statement in _SCHEMA:
                self._db.execute(statement)

    def _version(self) -> int:
        return self._db.execute("PRAGMA user_version").fetchone()[0]

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _remove(self) -> None:
        self._disconnect()
        self._used.clear()
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)


def _damaged(error: sqlite3.DatabaseError) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    # SQLITE_ERROR: "no such table" and the like, a file that is somebody else's or has lost its pages
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)


def _split(tags: str) -> tuple[str, ...]:
    return tuple(tags.split("\n")) if tags else ()
