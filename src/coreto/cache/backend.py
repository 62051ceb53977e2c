"""The store that the setting ``cache.backend`` names."""

from pathlib import Path

from coreto.cache.levels import TwoLevelStore
from coreto.cache.memory import MemoryStore
from coreto.cache.redis import RedisStore
from coreto.cache.sqlite import FILE_NAME, SqliteStore
from coreto.cache.store import CacheStore
from coreto.clock import Clock
from coreto.errors import ConfigError


def open_store(backend: str, data_dir: Path, clock: Clock) -> CacheStore:
    """``memory``, ``sqlite`` (the file ``cache.db`` in ``data_dir``) or a Redis address; the latter two
    behind memory. Nothing is opened or connected before its first use.

    Raises :class:`~coreto.errors.ConfigError` and :class:`~coreto.errors.MissingExtraError`.
    """
    backend = backend.strip()
    if backend == "memory":
        return MemoryStore(clock)
    if backend == "sqlite":
        return TwoLevelStore(MemoryStore(clock), SqliteStore(data_dir / FILE_NAME, clock), clock)
    if backend.startswith(("redis://", "rediss://", "unix://")):
        return TwoLevelStore(MemoryStore(clock), RedisStore(backend, clock), clock)
    raise ConfigError('cache.backend must be "memory", "sqlite" or a redis:// address')
