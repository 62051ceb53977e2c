"""What a cache store is, and what all of them share.

A store keeps :class:`Entry` s by key until they expire or are pushed out. Its methods never raise for a
backend that is down: that is a miss, or nothing done, and counted in ``errors``.
"""

import fnmatch
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from coreto.clock import Clock
from coreto.labels import Label

MAX_ENTRY = 4 * 1024 * 1024
"""Bytes; a larger answer is not kept."""

MAX_TTL = 30 * 86_400.0
"""Seconds; no answer is kept longer."""

_OVERHEAD = 256
_SAY_EVERY = 60.0


@dataclass(frozen=True, slots=True)
class Entry:
    """One kept answer. ``payload``: see :mod:`coreto.cache.answers`; ``tags``: one line each; times in epoch
    seconds."""

    key: str
    payload: bytes
    tags: tuple[str, ...]
    label: Label
    created_at: float
    expires_at: float

    @property
    def size(self) -> int:
        """Bytes this entry counts for against a store's limit, an allowance for bookkeeping included."""
        return len(self.payload) + len(self.key) + sum(map(len, self.tags)) + _OVERHEAD


@dataclass(frozen=True, slots=True)
class StoreStats:
    """A store's state. ``bytes`` as :attr:`Entry.size` counts them, ``None`` where the store cannot say.
    ``evicted``, ``refused`` (too large, or private and off the machine) and ``errors`` count since its
    start."""

    entries: int = 0
    bytes: int | None = 0
    evicted: int = 0
    refused: int = 0
    errors: int = 0


class CacheStore(Protocol):
    """Keeps entries."""

    def peek(self, key: str) -> Entry | None:
        """The live entry, if that can be said at once, from this process's memory."""
        ...

    async def get(self, key: str, label: Label) -> Entry | None:
        """The live entry of ``key``, asked for by a call with ``label``: a store off this machine is not
        even asked about a private one."""
        ...

    async def put(self, entry: Entry) -> bool:
        """Keep ``entry`` in place of any older one of its key; ``False`` when it was not kept."""
        ...

    async def delete(self, key: str) -> bool:
        """Forget ``key``; whether it was there."""
        ...

    async def delete_tag(self, tag: str) -> int:
        """Forget every entry that carries ``tag``; how many."""
        ...

    async def delete_pattern(self, pattern: str) -> int:
        """Forget every entry whose key, or one of whose tags, matches the glob ``pattern`` (``*``, ``?``,
        ``[…]``, case counts); how many."""
        ...

    async def stats(self) -> StoreStats:
        """The store's state."""
        ...

    async def close(self) -> None:
        """Free connections and threads, with everything written. Idempotent."""
        ...


def matcher(pattern: str) -> Callable[[str], bool]:
    """Whether a name matches the glob ``pattern`` as a whole; the same on every system."""
    compiled = re.compile(fnmatch.translate(pattern))
    return lambda name: compiled.match(name) is not None


class Faults:
    """Counts what a backend could not do, and says so once a minute at most."""

    __slots__ = ("_clock", "_log", "_next", "_where", "count")

    def __init__(self, where: str, clock: Clock, log: logging.Logger) -> None:
        """``where`` names the backend in the log and must hold no secret."""
        self.count = 0
        self._where = where
        self._clock = clock
        self._log = log
        self._next = float("-inf")

    def note(self, error: BaseException) -> None:
        """One more fault."""
        self.count += 1
        now = self._clock.monotonic()
        if now >= self._next:
            self._next = now + _SAY_EVERY
            self._log.warning(
                "the cache in %s does not work (%s: %s); answers are asked for anew meanwhile, %d faults so far",
                self._where,
                type(error).__name__,
                " ".join(str(error).split())[:200],
                self.count,
            )
