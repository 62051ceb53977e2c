"""Memory before a slower store, so that a hit costs no thread hop and no round trip."""

from dataclasses import replace

from coreto.cache.memory import MemoryStore
from coreto.cache.store import CacheStore, Entry, StoreStats
from coreto.clock import Clock
from coreto.labels import Label

FRONT_SECONDS = 30.0
"""How long memory answers alone; so long may an answer outlive its invalidation by *another* process."""


class TwoLevelStore:
    """``front`` answers what it knows; ``back`` keeps everything, for other processes and after a restart.

    Owns both. Private answers stay in ``front``: no file and no Redis, not even this machine's own, which others
    may read, back up or copy elsewhere, has ever held one.
    """

    def __init__(
        self, front: MemoryStore, back: CacheStore, clock: Clock, *, front_seconds: float = FRONT_SECONDS
    ) -> None:
        self._front = front
        self._back = back
        self._clock = clock
        self._front_seconds = front_seconds
        self._deletions = 0

    def peek(self, key: str) -> Entry | None:
        return self._front.peek(key)

    async def get(self, key: str, label: Label) -> Entry | None:
        entry = self._front.peek(key)
        if entry is not None or label is Label.PRIVATE:
            return entry
        deletions = self._deletions
        entry = await self._back.get(key, label)
        # what was deleted while it was fetched must not come back
        if entry is not None and deletions == self._deletions:
            self._front.keep(self._shortened(entry))
        return entry

    async def put(self, entry: Entry) -> bool:
        self._deletions += 1  # a get under way may hold the older entry
        deletions = self._deletions
        kept = self._front.keep(self._shortened(entry))
        if entry.label < Label.PRIVATE and await self._back.put(entry):
            return True
        if kept and deletions == self._deletions:
            self._front.keep(entry)
        return kept

    async def delete(self, key: str) -> bool:
        self._deletions += 1
        here = self._front.drop(key)
        return await self._back.delete(key) or here

    async def delete_tag(self, tag: str) -> int:
        self._deletions += 1
        here = self._front.drop_tag(tag)
        return max(await self._back.delete_tag(tag), here)

    async def delete_pattern(self, pattern: str) -> int:
        self._deletions += 1
        here = self._front.drop_pattern(pattern)
        return max(await self._back.delete_pattern(pattern), here)

    async def stats(self) -> StoreStats:
        """The back's; a refusal counts only where neither level kept it."""
        return await self._back.stats()

    async def close(self) -> None:
        await self._front.close()
        await self._back.close()

    def _shortened(self, entry: Entry) -> Entry:
        until = self._clock.time() + self._front_seconds
        return entry if entry.expires_at <= until else replace(entry, expires_at=until)
