"""One owner a data directory: who holds the ledger's writer and the engines, and how to reach it.

The lock is an SQLite write lock that is held for the owner's life: the system frees it when the process
ends, however it ends, on every platform. What the owner tells about itself lies beside it, readable by
this user only.
"""

import contextlib
import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import orjson

from coreto.messages import as_object


@dataclass(frozen=True, slots=True)
class OwnerCard:
    """How to reach the owner. ``url``: of its server, ``None`` while it has none; ``key``: the bearer key
    for other processes of this user; ``digest``: of its settings."""

    pid: int
    digest: str
    url: str | None = None
    key: str | None = None


class OwnerLock:
    """Try :meth:`acquire`; who gets it owns the directory until :meth:`release` or its end."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / "locks"
        self._connection: sqlite3.Connection | None = None

    @property
    def held(self) -> bool:
        return self._connection is not None

    def acquire(self, card: OwnerCard) -> bool:
        """Become the owner; ``False`` when another process is."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        # A moment's patience: another process may be holding it just to see whether it is held.
        connection = sqlite3.connect(self._folder / "owner.lock", timeout=0.1, isolation_level=None)
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            connection.close()
            return False
        self._connection = connection
        self.announce(card)
        return True

    def announce(self, card: OwnerCard) -> None:
        """Replace what is told about this owner."""
        assert self._connection is not None, "only the owner announces"
        fields = {"pid": card.pid, "digest": card.digest, "url": card.url, "key": card.key}
        temporary = self._folder / f"owner.{os.getpid()}.tmp"
        temporary.touch(mode=0o600)
        temporary.write_bytes(orjson.dumps(fields))
        temporary.replace(self._folder / "owner.json")

    def release(self) -> None:
        """Stop being the owner. Idempotent."""
        if self._connection is not None:
            with contextlib.suppress(FileNotFoundError):
                (self._folder / "owner.json").unlink()
            self._connection.close()
            self._connection = None


def find_owner(data_dir: Path) -> OwnerCard | None:
    """The living owner of ``data_dir``; ``None`` when there is none, or it has not told yet."""
    folder = data_dir / "locks"
    if not (folder / "owner.lock").exists():
        return None
    probe = sqlite3.connect(folder / "owner.lock", timeout=0, isolation_level=None)
    try:
        probe.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError:
        return _read_card(folder / "owner.json")
    finally:
        probe.close()
    return None


def _read_card(path: Path) -> OwnerCard | None:
    try:
        fields = as_object(orjson.loads(path.read_bytes()))
    except (OSError, orjson.JSONDecodeError):
        return None
    return OwnerCard(
        pid=int(fields.get("pid") or 0),
        digest=str(fields.get("digest")),
        url=fields.get("url"),
        key=fields.get("key"),
    )
