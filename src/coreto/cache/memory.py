"""Entries in this process's memory, the least recently used pushed out first."""

from collections import OrderedDict

from coreto.cache.store import MAX_ENTRY, Entry, StoreStats, matcher
from coreto.clock import Clock
from coreto.labels import Label

MAX_BYTES = 32 * 1024 * 1024


class MemoryStore:
    """A :class:`~coreto.cache.store.CacheStore`, and the first level before the others.

    ``max_bytes``: all entries together; ``max_entry``: one. Belongs to one event loop.
    """

    def __init__(self, clock: Clock, *, max_bytes: int = MAX_BYTES, max_entry: int = MAX_ENTRY) -> None:
        self._clock = clock
        self._max_bytes = max_bytes
        self._max_entry = min(max_entry, max_bytes)
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._tagged: dict[str, set[str]] = {}
        self._bytes = 0
        self._evicted = 0
        self._refused = 0

    def peek(self, key: str) -> Entry | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.expires_at <= self._clock.time():
            self.drop(key)
            return None
        self._entries.move_to_end(key)
        return entry

    def keep(self, entry: Entry) -> bool:
        """:meth:`put`, at once."""
        self.drop(entry.key)  # what is refused must not leave an older answer behind
        size = entry.size
        if size > self._max_entry:
            self._refused += 1
            return False
        self._entries[entry.key] = entry
        self._bytes += size
        for tag in entry.tags:
            self._tagged.setdefault(tag, set()).add(entry.key)
        while self._bytes > self._max_bytes:
            self.drop(next(iter(self._entries)))
            self._evicted += 1
        return True

    def drop(self, key: str) -> bool:
        """:meth:`delete`, at once; whether the entry was live."""
        entry = self._entries.pop(key, None)
        if entry is None:
            return False
        self._bytes -= entry.size
        for tag in set(entry.tags):
            keys = self._tagged[tag]
            keys.discard(key)
            if not keys:
                del self._tagged[tag]
        return entry.expires_at > self._clock.time()

    def drop_tag(self, tag: str) -> int:
        """:meth:`delete_tag`, at once."""
        return self._drop_all(set(self._tagged.get(tag, ())))

    def drop_pattern(self, pattern: str) -> int:
        """:meth:`delete_pattern`, at once."""
        matches = matcher(pattern)
        keys = {key for key in self._entries if matches(key)}
        keys.update(*(tagged for tag, tagged in self._tagged.items() if matches(tag)))
        return self._drop_all(keys)

    async def get(self, key: str, label: Label) -> Entry | None:
        del label  # nothing leaves the process
        return self.peek(key)

    async def put(self, entry: Entry) -> bool:
        return self.keep(entry)

    async def delete(self, key: str) -> bool:
        return self.drop(key)

    async def delete_tag(self, tag: str) -> int:
        return self.drop_tag(tag)

    async def delete_pattern(self, pattern: str) -> int:
        return self.drop_pattern(pattern)

    async def stats(self) -> StoreStats:
        self._drop_expired()
        return StoreStats(len(self._entries), self._bytes, self._evicted, self._refused)

    async def close(self) -> None:
        self._entries.clear()
        self._tagged.clear()
        self._bytes = 0

    def _drop_expired(self) -> None:
        now = self._clock.time()
        for key in [key for key, entry in self._entries.items() if entry.expires_at <= now]:
            self.drop(key)

    def _drop_all(self, keys: set[str]) -> int:
        return sum([self.drop(key) for key in keys])
