"""Entries in the file ``cache.db``: they survive a restart and are shared by the processes of one user."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from sqlite3 import DatabaseError
from typing import TypeVar

from coreto.cache.sqlite_file import CacheFile
from coreto.cache.store import MAX_ENTRY, Entry, Faults, StoreStats, matcher
from coreto.clock import Clock
from coreto.labels import Label

log = logging.getLogger(__name__)
T = TypeVar("T")

FILE_NAME = "cache.db"
MAX_BYTES = 1024**3


class SqliteStore:
    """A :class:`~coreto.cache.store.CacheStore` in ``path``, the least recently used pushed out first.

    One thread does all the work, in order. The file is opened at the first use; a damaged one is logged,
    removed and begun anew.
    """

    def __init__(
        self, path: Path, clock: Clock, *, max_bytes: int = MAX_BYTES, max_entry: int = MAX_ENTRY
    ) -> None:
        self._file = CacheFile(path, max_bytes)
        self._clock = clock
        self._max_entry = min(max_entry, max_bytes)
        self._thread: ThreadPoolExecutor | None = ThreadPoolExecutor(1, "coreto-cache")
        self._faults = Faults(str(path), clock, log)
        self._refused = 0

    def peek(self, key: str) -> Entry | None:
        del key
        return None

    async def get(self, key: str, label: Label) -> Entry | None:
        del label  # the file is this user's own, on this machine
        now = self._clock.time()
        return await self._do(lambda: self._file.get(key, now), None)

    async def put(self, entry: Entry) -> bool:
        if entry.size > self._max_entry:
            self._refused += 1
            await self.delete(entry.key)
            return False
        now = self._clock.time()
        return await self._do(lambda: self._file.put(entry, now), False)

    async def delete(self, key: str) -> bool:
        now = self._clock.time()
        return await self._do(lambda: self._file.delete("key = ?", key, now), 0) > 0

    async def delete_tag(self, tag: str) -> int:
        now = self._clock.time()
        where = "key IN (SELECT key FROM tags WHERE tag = ?)"
        return await self._do(lambda: self._file.delete(where, tag, now), 0)

    async def delete_pattern(self, pattern: str) -> int:
        now, matches = self._clock.time(), matcher(pattern)
        return await self._do(lambda: self._file.delete_matching(matches, now), 0)

    async def stats(self) -> StoreStats:
        now = self._clock.time()
        entries, size = await self._do(lambda: self._file.totals(now), (0, 0))
        return StoreStats(entries, size, self._file.evicted, self._refused, self._faults.count)

    async def close(self) -> None:
        thread, self._thread = self._thread, None
        if thread is None:
            return
        try:
            await asyncio.wrap_future(thread.submit(self._file.close))
        except (DatabaseError, OSError) as error:
            self._faults.note(error)
        thread.shutdown(wait=False)

    async def _do(self, work: Callable[[], T], otherwise: T) -> T:
        """``work`` in the thread; ``otherwise`` when the database cannot do it."""
        if self._thread is None:
            return otherwise
        try:
            return await asyncio.wrap_future(self._thread.submit(self._file.run, work))
        except (DatabaseError, OSError) as error:
            self._faults.note(error)
            return otherwise
