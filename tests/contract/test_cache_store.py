"""One suite over every cache store: memory, SQLite, Redis, and memory before SQLite."""

import asyncio
import fnmatch
import importlib.util
import itertools
import logging
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coreto.cache.levels import TwoLevelStore
from coreto.cache.memory import MemoryStore
from coreto.cache.redis import RedisStore, is_loopback
from coreto.cache.sqlite import SqliteStore
from coreto.cache.store import Entry
from coreto.errors import ConfigError
from coreto.labels import Label
from coreto.testing.clock import VirtualClock

KINDS = ["memory", "sqlite", "redis", "memory+sqlite"]
BOUNDED = ["memory", "sqlite", "memory+sqlite"]  # Redis bounds itself by its own policy


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory):
    """The Redis on its usual port, or one of this session's own."""
    if importlib.util.find_spec("redis") is None:
        pytest.fail('the cache\'s Redis tests need the extra: pip install "coreto[redis]"', pytrace=False)
    if _accepts(6379):
        yield "redis://127.0.0.1:6379/0"
        return
    program = shutil.which("redis-server")
    if program is None:
        pytest.fail("the cache's Redis tests need a Redis: install redis-server", pytrace=False)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("redis")
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 10
        while not _accepts(port):
            assert process.poll() is None, "redis-server ended at its start"
            assert time.monotonic() < deadline, "redis-server did not start in 10 s"
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(10)


class Lab:
    """Makes stores of one kind; ``run`` gives a test a store and cleans up behind it."""

    def __init__(self, kind, folder, redis_url):
        self.kind = kind
        self.folder = folder
        self.redis_url = redis_url
        self.clock = VirtualClock()
        self._numbers = itertools.count()

    def make(self, name="cache", **limits):
        path = self.folder / f"{name}.db"
        if self.kind == "memory":
            return MemoryStore(self.clock, **limits)
        if self.kind == "sqlite":
            return SqliteStore(path, self.clock, **limits)
        if self.kind == "redis":
            prefix = f"coreto-test-{uuid.uuid4().hex}[*]:"
            return RedisStore(self.redis_url, self.clock, prefix=prefix, **limits)
        return TwoLevelStore(
            MemoryStore(self.clock, **limits), SqliteStore(path, self.clock, **limits), self.clock
        )

    def run(self, test, **limits):
        async def whole():
            store = self.make(f"cache{next(self._numbers)}", **limits)
            try:
                await test(store)
            finally:
                await store.delete_pattern("*")
                if isinstance(store, RedisStore):
                    assert await store._scan("") == [], "a test's keys stay in Redis"
                await store.close()

        asyncio.run(whole())

    def entry(self, key="k", text="hello", tags=(), ttl=100.0, label=Label.INTERNAL):
        now = self.clock.time()
        return Entry(key, text.encode(), tuple(tags), label, now, now + ttl)


@pytest.fixture(params=KINDS)
def lab(request, tmp_path):
    url = request.getfixturevalue("redis_url") if request.param == "redis" else None
    return Lab(request.param, tmp_path, url)


@pytest.fixture(params=BOUNDED)
def bounded(request, tmp_path):
    return Lab(request.param, tmp_path, None)


async def get(store, key, label=Label.INTERNAL):
    entry = await store.get(key, label)
    return None if entry is None else entry.payload.decode()


def test_what_was_put_is_got_back(lab):
    """An entry comes back equal, with every field, and in place of the one before."""

    async def check(store):
        assert await store.get("k", Label.INTERNAL) is None
        assert await store.put(lab.entry(text="old", tags=["a"]))
        new = lab.entry(text="new", tags=["b:1", "ç"], label=Label.PUBLIC, ttl=20.0)
        assert await store.put(new)
        assert await store.get("k", Label.PUBLIC) == new
        assert await store.delete_tag("a") == 0, "the old entry's tag still leads to the new one"
        assert await get(store, "k") == "new"

    lab.run(check)


def test_entries_expire_at_their_time(lab):
    """An entry lives until its last instant, and is neither got, peeked nor counted from then on."""

    async def check(store):
        await store.put(lab.entry("short", ttl=10.0))
        await store.put(lab.entry("long", ttl=500.0))
        lab.clock.move(9.999)
        assert await get(store, "short") == "hello"
        lab.clock.move(0.001)
        assert not await store.delete("short"), "what has expired is not there"
        await store.put(lab.entry("short", ttl=1.0))
        lab.clock.move(1.0)
        assert await get(store, "short") is None
        assert store.peek("short") is None
        assert await get(store, "long") == "hello"

    lab.run(check)


def test_tags_delete_their_entries_only(lab):
    """A tag takes every live entry that carries it, says how many, and nothing else."""

    async def check(store):
        await store.put(lab.entry("1", tags=["role:a", "user:x"]))
        await store.put(lab.entry("2", tags=["role:a"]))
        await store.put(lab.entry("3", tags=["role:ab"]))
        await store.put(lab.entry("4", tags=["role:a"], ttl=1.0))
        lab.clock.move(1.0)
        assert await store.delete_tag("role:a") == 2
        assert [await get(store, key) for key in "1234"] == [None, None, "hello", None]
        assert await store.delete_tag("role:a") == 0
        assert await store.delete_tag("nobody") == 0

    lab.run(check)


def test_patterns_match_keys_and_tags(lab):
    """A glob takes entries by key or by any tag, each counted once, with case and classes."""

    async def check(store):
        await store.put(lab.entry("alpha", tags=["user:ana", "user:anabel"]))
        await store.put(lab.entry("beta", tags=["user:bob"]))
        await store.put(lab.entry("Beta2", tags=["x_y"]))
        assert await store.delete_pattern("user:ana*") == 1
        assert await store.delete_pattern("b?ta") == 1
        assert await store.delete_pattern("b*") == 0
        assert await store.delete_pattern("x%y") == 0
        assert await store.delete_pattern("[!a-z]eta[0-9]") == 1
        assert [await get(store, key) for key in ("alpha", "beta", "Beta2")] == [None] * 3

    lab.run(check)


def test_huge_entries_are_refused(lab):
    """An entry over the limit is not kept, leaves no older answer behind, and is counted."""

    async def check(store):
        assert await store.put(lab.entry(text="fits"))
        assert not await store.put(lab.entry(text="x" * 2000))
        assert await get(store, "k") is None
        assert (await store.stats()).refused == 1

    lab.run(check, max_entry=1000)


def test_the_least_recently_used_goes_first(bounded):
    """At the limit the entries not asked for longest go, and the total stays under it."""

    async def check(store):
        size = bounded.entry("1", "x" * 500).size
        for key in "123":
            await store.put(bounded.entry(key, "x" * 500))
        back = store._back if bounded.kind == "memory+sqlite" else store
        assert await get(back, "1")
        await store.put(bounded.entry("4", "x" * 500))
        assert [await get(back, key) is not None for key in "1234"] == [True, False, True, True]
        stats = await store.stats()
        assert (stats.entries, stats.bytes, stats.evicted) == (3, 3 * size, 1)

    bounded.run(check, max_bytes=3 * Lab("memory", None, None).entry("1", "x" * 500).size)


def test_bytes_count_what_is_there(bounded):
    """The byte count follows replacements, deletions and expiry, back to zero."""

    async def check(store):
        first, second = bounded.entry("1", "x" * 300, ["t"]), bounded.entry("2", "y", ttl=5.0)
        await store.put(first)
        await store.put(replace(first, payload=b"z"))
        await store.put(second)
        stats = await store.stats()
        assert stats.bytes == replace(first, payload=b"z").size + second.size
        bounded.clock.move(5.0)
        assert (await store.stats()).entries == 1
        await store.delete_tag("t")
        stats = await store.stats()
        assert (stats.entries, stats.bytes) == (0, 0)

    bounded.run(check)


def test_concurrent_writers_leave_whole_entries(lab):
    """Puts, gets and deletions at the same time end with entries that somebody wrote."""

    async def writer(store, name):
        for turn in range(8):
            await store.put(lab.entry(f"k{turn % 4}", name * 50, [name, f"t{turn % 4}"]))
            found = await get(store, f"k{turn % 4}")
            assert found is None or found in {one * 50 for one in "abcdef"}
            if turn % 5 == 4:
                await store.delete_tag(name)

    async def check(store):
        await asyncio.gather(*(writer(store, name) for name in "abcdef"))
        assert (await store.stats()).errors == 0
        assert await store.delete_pattern("t[0-3]") <= 4
        assert [await get(store, f"k{i}") for i in range(4)] == [None] * 4

    lab.run(check)


NAMES = st.sampled_from(["a", "b", "c", "ab", "é*"])
TAGS = st.lists(st.sampled_from(["r:a", "r:b", "u:a", "[x]"]), max_size=3, unique=True)
OPS = st.one_of(
    st.tuples(st.just("put"), NAMES, TAGS, st.sampled_from([1.0, 5.0, 100.0])),
    st.tuples(st.just("get"), NAMES),
    st.tuples(st.just("delete"), NAMES),
    st.tuples(st.just("tag"), st.sampled_from(["r:a", "r:b", "u:a", "[x]"])),
    st.tuples(st.just("pattern"), st.sampled_from(["*", "r:*", "a", "a*", "?", "[[]x]", "*:a", "é[*]", "["])),
    st.tuples(st.just("move"), st.sampled_from([0.5, 1.0, 40.0])),
)


class Model:
    """What a store must do, as a dict."""

    def __init__(self, clock):
        self.clock = clock
        self.entries = {}

    def live(self):
        now = self.clock.time()
        return {key: entry for key, entry in self.entries.items() if entry.expires_at > now}

    def drop(self, keys):
        self.entries = {key: entry for key, entry in self.live().items() if key not in keys}
        return len(keys)

    def tagged(self, tag):
        return {key for key, entry in self.live().items() if tag in entry.tags}

    def matching(self, pattern):
        return {
            key
            for key, entry in self.live().items()
            if any(fnmatch.fnmatchcase(name, pattern) for name in (key, *entry.tags))
        }


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(ops=st.lists(OPS, max_size=25))
def test_any_history_agrees_with_a_dict(lab, ops):
    """Whatever is put, deleted and waited for, a store answers as a dict with expiry would."""

    async def check(store):
        model = Model(lab.clock)
        for number, (op, *rest) in enumerate(ops):
            match op:
                case "put":
                    entry = lab.entry(rest[0], f"{number}", rest[1], rest[2])
                    assert await store.put(entry)
                    model.entries[entry.key] = entry
                case "get":
                    assert await get(store, rest[0]) == _text(model.live().get(rest[0]))
                case "delete":
                    there = rest[0] in model.live()
                    assert await store.delete(rest[0]) == there
                    model.drop({rest[0]} & set(model.live()))
                case "tag":
                    assert await store.delete_tag(rest[0]) == model.drop(model.tagged(rest[0]))
                case "pattern":
                    assert await store.delete_pattern(rest[0]) == model.drop(model.matching(rest[0]))
                case "move":
                    lab.clock.move(rest[0])
        for key in ("a", "b", "c", "ab", "é*"):
            assert await get(store, key) == _text(model.live().get(key))
            peeked = store.peek(key)
            assert peeked is None or _text(peeked) == _text(model.live().get(key))

    lab.run(check)


def _text(entry):
    return None if entry is None else entry.payload.decode()


def test_closing_twice_is_harmless(lab):
    """A closed store can be closed again."""

    async def check(store):
        await store.put(lab.entry())
        await store.delete("k")
        await store.close()
        await store.close()

    lab.run(check)


# --- SQLite -----------------------------------------------------------------------------------------


@pytest.fixture
def sqlite(tmp_path):
    return Lab("sqlite", tmp_path, None)


def test_sqlite_survives_a_restart_with_its_order(sqlite):
    """Entries and their order of use are there again after a restart; the file is its user's only."""
    size = sqlite.entry("1", "x" * 500).size

    async def first():
        store = sqlite.make(max_bytes=2 * size)
        await store.put(sqlite.entry("1", "x" * 500))
        await store.put(sqlite.entry("2", "x" * 500))
        assert await get(store, "1")
        await store.close()

    async def second():
        store = sqlite.make(max_bytes=2 * size)
        await store.put(sqlite.entry("3", "x" * 500))
        assert [await get(store, key) is not None for key in "123"] == [True, False, True]
        await store.close()

    asyncio.run(first())
    asyncio.run(second())
    assert (sqlite.folder / "cache.db").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("damage", ["not a database", "cut", "pages"])
def test_a_damaged_file_is_begun_anew(sqlite, damage, caplog):
    """A file that SQLite cannot use is logged, replaced, and the cache works on."""
    path = sqlite.folder / "cache.db"

    async def fill():
        store = sqlite.make()
        for number in range(50):
            await store.put(sqlite.entry(f"{number}", "x" * 2000, ["t"]))
        await store.close()

    async def use():
        store = sqlite.make()
        for number in range(50):
            await get(store, f"{number}")
        await store.delete_tag("t")
        assert await store.put(sqlite.entry("new"))
        assert await get(store, "new") == "hello"
        assert (await store.stats()).errors == 0
        await store.close()

    asyncio.run(fill())
    content = path.read_bytes()
    match damage:
        case "not a database":
            path.write_bytes(b"<html>oops</html>" * 1000)
        case "cut":
            path.write_bytes(content[: len(content) // 2])
        case "pages":
            path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    with caplog.at_level(logging.WARNING, logger="coreto.cache"):
        asyncio.run(use())
    assert "is damaged" in caplog.text


def test_a_damaged_file_is_noticed_while_in_use(sqlite, caplog):
    """A file whose tables vanish under a running cache is begun anew at the next use."""

    async def check(store):
        await store.put(sqlite.entry())
        with sqlite3.connect(sqlite.folder / "cache0.db") as other:
            other.execute("DROP TABLE tags")
        other.close()
        assert await store.put(sqlite.entry("k2", tags=["t"]))
        assert await get(store, "k2") == "hello"

    sqlite.run(check)
    assert "begun anew" in caplog.text


def test_an_unusable_place_is_a_miss_and_said_once_a_minute(sqlite, caplog):
    """A file that cannot be opened fails no call; the fault is counted, and logged once a minute."""

    async def check(store):
        (sqlite.folder / "cache0.db").mkdir()
        for _ in range(3):
            assert await get(store, "k") is None
            assert not await store.put(sqlite.entry())
        sqlite.clock.move(61.0)
        assert await get(store, "k") is None
        assert (await store.stats()).errors >= 7

    sqlite.run(check)
    assert sum("does not work" in record.message for record in caplog.records) == 2


WRITER = """
import asyncio, sys
from pathlib import Path
from coreto.cache.sqlite import SqliteStore
from coreto.cache.store import Entry
from coreto.clock import SystemClock
from coreto.errors import ConfigError
from coreto.labels import Label

async def main(path, name):
    clock = SystemClock()
    store = SqliteStore(Path(path), clock, max_bytes=40_000)
    for turn in range(60):
        now = clock.time()
        key = f"k{turn % 30}"
        await store.put(Entry(key, (name * 800).encode(), (name,), Label.PUBLIC, now, now + 60))
        found = await store.get(key, Label.PUBLIC)
        assert found is None or len(set(found.payload)) == 1, "half an entry"
    assert (await store.stats()).errors == 0, "faults"
    await store.close()

asyncio.run(main(*sys.argv[1:]))
"""


def test_several_processes_share_one_file(sqlite):
    """Processes that start and write at once keep the file whole and within its limit."""
    path = sqlite.folder / "cache.db"
    started = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), name], stderr=subprocess.PIPE)
        for name in "abc"
    ]
    for process in started:
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said.decode()

    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        counted, real = connection.execute(
            "SELECT (SELECT bytes FROM total), (SELECT SUM(size) FROM entries)"
        ).fetchone()
    connection.close()
    assert counted == real <= 40_000


def test_sqlite_uses_one_thread(sqlite):
    """All work on the file happens in one thread, which ends with the store."""

    async def check():
        store = sqlite.make()
        await asyncio.gather(*(store.put(sqlite.entry(f"{i}")) for i in range(20)))
        assert sum(t.name.startswith("coreto-cache") for t in threading.enumerate()) == 1
        await store.close()

    before = {t for t in threading.enumerate() if t.name.startswith("coreto-cache")}
    assert not before
    asyncio.run(check())


# --- two levels -------------------------------------------------------------------------------------


def test_memory_answers_for_a_while_alone_then_looks_again(tmp_path):
    """Another process's deletion is seen once the first level's time is over, not later."""
    lab = Lab("memory+sqlite", tmp_path, None)

    async def check(store):
        await store.put(lab.entry("k", ttl=1000.0))
        await store._back.delete("k")
        assert store.peek("k") is not None
        lab.clock.move(30.0)
        assert store.peek("k") is None
        assert await get(store, "k") is None

    lab.run(check)


def test_what_is_deleted_while_it_is_fetched_does_not_come_back(tmp_path):
    """A deletion during a slow look into the second level leaves nothing in the first."""
    lab = Lab("memory+sqlite", tmp_path, None)

    async def check(store):
        await store.put(lab.entry("k", tags=["t"]))
        store._front.drop("k")
        looking = asyncio.create_task(store.get("k", Label.INTERNAL))
        await asyncio.sleep(0)
        await store.delete_tag("t")
        await looking
        assert store.peek("k") is None
        assert await get(store, "k") is None

    lab.run(check)


# --- Redis ------------------------------------------------------------------------------------------


@pytest.fixture
def redis(redis_url, tmp_path):
    return Lab("redis", tmp_path, redis_url)


def test_private_entries_do_not_go_to_a_redis_elsewhere(redis):
    """A Redis off this machine is neither given nor asked for private answers; one here is."""

    async def check():
        prefix = f"coreto-test-{uuid.uuid4().hex}:"
        away = RedisStore(redis.redis_url, redis.clock, prefix=prefix, is_local=False)
        here = RedisStore(redis.redis_url, redis.clock, prefix=prefix)
        secret = redis.entry(label=Label.PRIVATE)
        assert not await away.put(secret)
        assert (await away.stats()).refused == 1
        assert (await here.stats()).entries == 0
        assert await here.put(secret)
        assert await away.get("k", Label.PRIVATE) is None
        assert await here.get("k", Label.PRIVATE) == secret
        levels = TwoLevelStore(MemoryStore(redis.clock), away, redis.clock)
        assert await levels.put(replace(secret, key="k2"))
        assert await get(levels, "k2", Label.PRIVATE) == "hello", "memory is on this machine"
        redis.clock.move(31.0)
        assert await get(levels, "k2", Label.PRIVATE) == "hello", "memory alone keeps it to its end"
        await here.delete("k")
        await here.close()
        await levels.close()

    asyncio.run(check())


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("10.0.0.1", False),
        ("localhost.example.com", False),
        ("127.0.0.1.example.com", False),
        ("", False),
    ],
)
def test_what_counts_as_this_machine(host, local):
    """Only loopback addresses and localhost are this machine."""
    assert is_loopback(host) is local


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("redis:///0?host=redis.example.com", False),
        ("redis://127.0.0.1/0", True),
        ("redis://:pw@redis.example.com:1/0", False),
        ("unix:///tmp/redis.sock", True),
    ],
)
def test_where_a_redis_is_comes_from_what_the_library_connects_to(redis_url, url, local):
    """A host that hides in an address's query is seen."""
    assert RedisStore(url, VirtualClock())._is_local is local


def test_a_redis_that_is_down_is_a_miss(redis, caplog):
    """Without a Redis calls miss at once, try it again after a pause, and say so once a minute."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # bound, not listening: refused
        url = f"redis://user:hunter2@127.0.0.1:{reserved.getsockname()[1]}/0"

        async def check():
            store = RedisStore(url, redis.clock)
            assert await get(store, "k") is None
            assert not await store.put(redis.entry())
            assert await store.delete_tag("t") == 0
            assert (await store.stats()).errors == 1, "asked again within the pause"
            for _ in range(3):
                redis.clock.move(6.0)
                assert await get(store, "k") is None
            assert (await store.stats()).errors == 4
            redis.clock.move(60.0)
            assert await store.delete_pattern("*") == 0
            await store.close()

        asyncio.run(check())
    assert sum("does not work" in record.message for record in caplog.records) == 2
    assert "hunter2" not in caplog.text


def test_a_redis_that_hangs_costs_its_timeout_once(redis):
    """A server that takes connections and says nothing is given up after the timeout, then left alone."""

    async def silent(reader, writer):
        await reader.read()
        writer.close()

    async def check():
        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        store = RedisStore(f"redis://127.0.0.1:{port}", redis.clock, timeout=0.1)
        started = time.monotonic()
        for _ in range(20):
            assert await get(store, "k") is None
        assert time.monotonic() - started < 1.5
        await store.close()
        server.close()

    asyncio.run(check())


def test_redis_forgets_by_itself(redis):
    """Entries and tag lists carry a time to live in Redis, so that nothing stays for ever."""

    async def check(store):
        await store.put(redis.entry(tags=["t"], ttl=50.0))
        names = [store._prefix + name for name in ("e:k", "t:t")]
        lives = [await store._command("TTL", name) for name in names]
        assert 0 < lives[0] <= 50 < lives[1]
        redis.clock.move(51.0)
        await store.put(redis.entry("k2", tags=["t"]))
        assert await store._command("ZRANGE", names[1], 0, -1) == [b"k2"]

    redis.run(check)


def test_foreign_values_in_redis_are_misses(redis):
    """A value of another shape under our key is a miss, and can be written over."""

    async def check(store):
        await store._command("HSET", store._entry("k"), "p", "x", "t", "", "l", "9", "c", "?", "x", "?")
        assert await get(store, "k") is None
        assert await store.put(redis.entry())
        assert await get(store, "k") == "hello"

    redis.run(check)


@pytest.mark.parametrize("url", ["redis://127.0.0.1:hunter2/0", "redis://127.0.0.1:99999/0"])
def test_a_redis_address_that_is_none_is_a_mistake_in_the_settings(redis_url, url):
    """A broken address is told by its key, without quoting it: it may hold a password."""
    with pytest.raises(ConfigError) as caught:
        RedisStore(url, VirtualClock())
    assert "cache.backend" in caught.value.message
    assert "hunter2" not in caught.value.message
