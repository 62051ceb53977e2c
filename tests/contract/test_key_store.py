"""One suite over every keys' store: memory, SQLite, PostgreSQL."""

from dataclasses import replace

import pytest

from coreto.stores.database import open_database
from coreto.stores.errors import RefusedError
from coreto.stores.keys import KeyRecord, KeyStore, NameTakenError, SqlKeyStore
from coreto.stores.migrate import ensure_schema
from coreto.stores.schema import api_keys
from coreto.testing.key_store import MemoryKeyStore

ANA = KeyRecord(
    "k1",
    "ana",
    "aa" * 32,
    models=("chat", "lab/*"),
    rpm=60,
    daily_nusd=10**12,
    monthly_nusd=0,
    speaks_for_others=True,
    created_ms=1_700_000_000_000,
    expires_ms=1_700_000_100_000,
)
BOB = KeyRecord("k2", "bob", "bb" * 32, created_ms=1_700_000_000_001)


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def store(request, tmp_path) -> KeyStore:
    """An empty store."""
    if request.param == "memory":
        yield MemoryKeyStore()
        return
    url = "sqlite" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    database = open_database(url, tmp_path)
    ensure_schema(database)
    with database.write() as connection:
        connection.execute(api_keys.delete())
    yield SqlKeyStore(database)
    database.close()


def test_what_goes_in_comes_out(store) -> None:
    """Every field survives, and the oldest comes first."""
    store.add(BOB)
    store.add(ANA)
    assert store.all() == [ANA, BOB]


@pytest.mark.parametrize("called", ["ana", "k1"])
def test_revoked_by_name_or_id(store, called) -> None:
    """A revoked key stays in the list with the instant; nobody else's is touched."""
    store.add(ANA)
    store.add(BOB)
    gone = store.revoke(called, 1_700_000_000_500)
    assert gone == replace(ANA, revoked_ms=1_700_000_000_500)
    assert store.all() == [gone, BOB]


def test_revoked_once(store) -> None:
    """What is not there, or not any more, cannot be revoked."""
    store.add(ANA)
    assert store.revoke("nobody", 1) is None
    assert store.revoke("ana", 1_700_000_000_500) is not None
    assert store.revoke("ana", 1_700_000_000_600) is None
    assert store.all()[0].revoked_ms == 1_700_000_000_500


def test_a_name_is_in_force_once(store) -> None:
    """A second key of the name is refused until the first is revoked."""
    store.add(ANA)
    with pytest.raises(NameTakenError, match="'ana'"):
        store.add(replace(BOB, name="ana"))
    store.revoke("ana", 1_700_000_000_500)
    store.add(replace(BOB, name="ana"))
    assert [one.name for one in store.all()] == ["ana", "ana"]


def test_a_key_is_there_once(store) -> None:
    """The same key twice under two names is refused."""
    store.add(ANA)
    with pytest.raises(RefusedError):
        store.add(replace(BOB, digest=ANA.digest))
    assert store.all() == [ANA]
