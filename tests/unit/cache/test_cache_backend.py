"""The setting that names the store."""

import asyncio
import sys

import pytest

from coreto.cache.backend import open_store
from coreto.cache.levels import TwoLevelStore
from coreto.cache.memory import MemoryStore
from coreto.cache.store import Entry
from coreto.errors import ConfigError, MissingExtraError
from coreto.labels import Label
from coreto.testing.clock import VirtualClock


def test_memory_is_memory(tmp_path):
    """`memory` keeps nothing on disk."""
    assert isinstance(open_store(" memory ", tmp_path, VirtualClock()), MemoryStore)
    assert list(tmp_path.iterdir()) == []


def test_sqlite_is_cache_db_behind_memory(tmp_path):
    """`sqlite` puts cache.db into the data directory at its first use, with memory before it."""

    async def check():
        clock = VirtualClock()
        store = open_store("sqlite", tmp_path, clock)
        assert isinstance(store, TwoLevelStore)
        assert list(tmp_path.iterdir()) == []
        await store.put(Entry("k", b"x", (), Label.PUBLIC, clock.time(), clock.time() + 5))
        assert store.peek("k") is not None
        await store.close()

    asyncio.run(check())
    assert [path.name for path in tmp_path.iterdir()] == ["cache.db"]


def test_redis_without_its_library_names_the_extra(tmp_path, monkeypatch):
    """A Redis address without the library says what to install."""
    monkeypatch.setitem(sys.modules, "redis", None)
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    with pytest.raises(MissingExtraError, match=r"coreto\[redis\]"):
        open_store("redis://127.0.0.1", tmp_path, VirtualClock())


@pytest.mark.parametrize("backend", ["", "disk", "http://x", "memory2"])
def test_another_backend_is_a_mistake_in_the_settings(tmp_path, backend):
    """Anything else names the key and the choices."""
    with pytest.raises(ConfigError, match=r"cache\.backend must be"):
        open_store(backend, tmp_path, VirtualClock())
