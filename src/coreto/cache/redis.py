"""Entries in Redis, shared by several servers. Needs the extra ``redis``.

A Redis that is down, slow or full never fails a call, and is left alone for some seconds before it is
tried again. Redis pushes out what is least used itself, by its ``maxmemory-policy``. Keys: ``PREFIXe:KEY``
is a hash of an entry, ``PREFIXt:TAG`` a sorted set of the keys that carry the tag, by expiry.
"""

import importlib
import ipaddress
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from coreto.cache.store import MAX_ENTRY, MAX_TTL, Entry, Faults, StoreStats, matcher
from coreto.clock import Clock
from coreto.errors import ConfigError, MissingExtraError
from coreto.labels import Label, permit

log = logging.getLogger(__name__)
T = TypeVar("T")

PREFIX = "coreto:cache:1:"
PAUSE = 5.0
"""Seconds for which a Redis that failed is not asked again."""

TIMEOUT = 0.5
"""Seconds for a connection, and for an answer."""

_BATCH = 500


class _Pipeline(Protocol):
    def execute_command(self, *args: object) -> object: ...
    async def execute(self) -> list[Any]: ...


class _Pool(Protocol):
    connection_kwargs: dict[str, Any]


class _Client(Protocol):
    connection_pool: _Pool

    async def execute_command(self, *args: object) -> Any: ...
    def pipeline(self, transaction: bool = True) -> _Pipeline: ...
    async def aclose(self) -> None: ...


class RedisStore:
    """A :class:`~coreto.cache.store.CacheStore` at ``url`` (``redis://``, ``rediss://``, ``unix://``).

    ``is_local``: whether private entries may go there; by default when the address is this machine's own.
    Raises :class:`~coreto.errors.MissingExtraError` and :class:`~coreto.errors.ConfigError`.
    """

    def __init__(
        self,
        url: str,
        clock: Clock,
        *,
        prefix: str = PREFIX,
        max_entry: int = MAX_ENTRY,
        timeout: float = TIMEOUT,
        is_local: bool | None = None,
    ) -> None:
        try:
            library = importlib.import_module("redis.asyncio")
        except ImportError:
            raise MissingExtraError("redis", "a cache in Redis") from None
        try:
            self._client: _Client = library.from_url(
                url, socket_timeout=timeout, socket_connect_timeout=timeout
            )
        except ValueError:
            raise ConfigError(
                "cache.backend is not a Redis address: write redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]"
            ) from None
        # what the library made of the URL, which may name the host in its query too
        found = self._client.connection_pool.connection_kwargs
        path, host = found.get("path"), str(found.get("host", "localhost"))
        self._failures: tuple[type[BaseException], ...] = (library.RedisError, OSError, TimeoutError)
        self._clock = clock
        self._prefix = prefix
        self._max_entry = max_entry
        self._is_local = (bool(path) or is_loopback(host)) if is_local is None else is_local
        self._faults = Faults(f"Redis {path or host}:{found.get('port', 6379)}", clock, log)
        self._back_at = float("-inf")
        self._refused = 0

    def peek(self, key: str) -> Entry | None:
        del key
        return None

    async def get(self, key: str, label: Label) -> Entry | None:
        if not permit(label, sink_is_local=self._is_local):
            return None
        fields = await self._do(lambda: self._command("HMGET", self._entry(key), *"ptlcx"), None)
        entry = None if fields is None else _entry_of(key, fields)
        return entry if entry is not None and entry.expires_at > self._clock.time() else None

    async def put(self, entry: Entry) -> bool:
        left = entry.expires_at - self._clock.time()
        if not permit(entry.label, sink_is_local=self._is_local):
            self._refused += 1
            return False
        if entry.size > self._max_entry or left <= 0:
            self._refused += left > 0
            await self.delete(entry.key)
            return False
        return await self._do(lambda: self._put(entry, left), False)

    async def delete(self, key: str) -> bool:
        return await self._do(lambda: self._delete([key]), 0) > 0

    async def delete_tag(self, tag: str) -> int:
        return await self._do(lambda: self._delete_tag(tag), 0)

    async def delete_pattern(self, pattern: str) -> int:
        return await self._do(lambda: self._delete_pattern(pattern), 0)

    async def stats(self) -> StoreStats:
        keys = await self._do(lambda: self._scan("e:"), [])
        return StoreStats(len(keys), None, 0, self._refused, self._faults.count)

    async def close(self) -> None:
        try:
            await self._client.aclose()
        except self._failures as error:
            self._faults.note(error)

    async def _do(self, work: Callable[[], Awaitable[T]], otherwise: T) -> T:
        """``work``; ``otherwise`` when Redis cannot do it, or could not a moment ago."""
        if self._clock.monotonic() < self._back_at:
            return otherwise
        try:
            return await work()
        except self._failures as error:
            self._back_at = self._clock.monotonic() + PAUSE
            self._faults.note(error)
            return otherwise

    async def _command(self, *args: object) -> Any:
        return await self._client.execute_command(*args)

    async def _put(self, entry: Entry, left: float) -> bool:
        now = self._clock.time()
        name = self._entry(entry.key)
        batch = self._client.pipeline(transaction=True)
        batch.execute_command("DEL", name)
        batch.execute_command(
            "HSET", name, "p", entry.payload, "t", "\n".join(entry.tags), "l", int(entry.label),
            "c", repr(entry.created_at), "x", repr(entry.expires_at),
        )  # fmt: skip
        batch.execute_command("PEXPIRE", name, max(int(min(left, MAX_TTL) * 1000), 1))
        for tag in set(entry.tags):
            tagged = f"{self._prefix}t:{tag}"
            batch.execute_command("ZADD", tagged, repr(entry.expires_at), entry.key)
            batch.execute_command("ZREMRANGEBYSCORE", tagged, "-inf", repr(now))
            batch.execute_command("EXPIRE", tagged, int(MAX_TTL))
        await batch.execute()
        return True

    async def _delete_tag(self, tag: str) -> int:
        keys = [key.decode() for key in await self._command("ZRANGE", f"{self._prefix}t:{tag}", 0, -1)]
        deleted = 0
        for start in range(0, len(keys), _BATCH):
            some = keys[start : start + _BATCH]
            carriers = await self._carriers(tag, some)
            deleted += await self._delete(carriers)
            await self._command("ZREM", f"{self._prefix}t:{tag}", *some)
        return deleted

    async def _carriers(self, tag: str, keys: list[str]) -> list[str]:
        """Those of ``keys`` whose present entry carries ``tag``: an older one may have put them there."""
        batch = self._client.pipeline(transaction=False)
        for key in keys:
            batch.execute_command("HGET", self._entry(key), "t")
        rows = await batch.execute()
        return [
            key for key, tags in zip(keys, rows, strict=True) if tags and tag in tags.decode().split("\n")
        ]

    async def _delete_pattern(self, pattern: str) -> int:
        matches = matcher(pattern)
        deleted = await self._delete([key for key in await self._scan("e:") if matches(key)])
        for tag in await self._scan("t:"):
            if matches(tag):
                deleted += await self._delete_tag(tag)
        return deleted

    async def _delete(self, keys: list[str]) -> int:
        """Delete entries; how many were live by our clock."""
        deleted = 0
        for start in range(0, len(keys), _BATCH):
            names = [self._entry(key) for key in keys[start : start + _BATCH]]
            batch = self._client.pipeline(transaction=True)
            for name in names:
                batch.execute_command("HGET", name, "x")
            batch.execute_command("UNLINK", *names)
            *expiries, _ = await batch.execute()
            now = self._clock.time()
            deleted += sum(float(expiry) > now for expiry in expiries if expiry is not None)
        return deleted

    async def _scan(self, kind: str) -> list[str]:
        """The names of ``kind`` (``e:`` entries, ``t:`` tags), without the prefix."""
        start = self._prefix + kind
        glob = "".join(f"\\{c}" if c in "*?[]\\" else c for c in start) + "*"
        found: set[str] = set()
        cursor: Any = 0
        while True:
            cursor, names = await self._command("SCAN", cursor, "MATCH", glob, "COUNT", 1000)
            found.update(name.decode().removeprefix(start) for name in names)
            if int(cursor) == 0:
                return sorted(found)

    def _entry(self, key: str) -> str:
        return f"{self._prefix}e:{key}"


def is_loopback(host: str) -> bool:
    """Whether ``host`` is this machine: ``localhost`` or a loopback address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _entry_of(key: str, fields: list[bytes | None]) -> Entry | None:
    payload, tags, label, created_at, expires_at = fields
    if payload is None or tags is None or label is None or created_at is None or expires_at is None:
        return None
    try:
        names = tuple(tags.decode().split("\n")) if tags else ()
        return Entry(key, payload, names, Label(int(label)), float(created_at), float(expires_at))
    except ValueError:
        return None  # not written by us
