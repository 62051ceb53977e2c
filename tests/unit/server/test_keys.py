"""The key ring: who a key is, until when, and what it opens."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coreto.server.keys import (
    ANYBODY,
    REFRESH,
    Caller,
    ForbiddenModelError,
    KeyRing,
    digest_of,
    new_key,
)
from coreto.stores.errors import StoreDownError
from coreto.stores.keys import KeyRecord
from coreto.testing.clock import VirtualClock
from coreto.testing.key_store import MemoryKeyStore

KEY = "ck-one"


def record(key: str = KEY, name: str = "ana", **more) -> KeyRecord:
    return KeyRecord(name + "-id", name, digest_of(key.encode()).hex(), **more)


def test_a_new_key_is_long_and_unlike_any_other() -> None:
    """32 random bytes, as URLs and headers take them."""
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(key.startswith("ck-") and len(key) == 46 and key.isascii() for key in keys)


def test_no_key_is_kept() -> None:
    """What the ring holds of a key is its digest."""
    ring = KeyRing(["configured-secret"], owner="owner-secret")
    ring.take([record()])
    shown = repr(vars(ring))
    assert not any(secret in shown for secret in ("configured-secret", "owner-secret", KEY))


def test_the_owners_key_alone_closes_nothing() -> None:
    """It opens, but a server with no other key stays open on this machine."""
    ring = KeyRing(owner="mine")
    assert not ring.needs_key
    assert ring.find(b"mine") is not None
    assert KeyRing(["k"], owner="mine").needs_key


def test_stored_keys() -> None:
    """A stored key opens until it is revoked, or expires."""
    clock = VirtualClock()
    ring = KeyRing(clock=clock)
    ring.take([record(expires_ms=int((clock.time() + 10) * 1000))])
    assert ring.find(KEY.encode()).name == "ana"
    clock.move(11)
    assert ring.find(KEY.encode()) is None
    ring.take([record()])
    assert ring.find(KEY.encode()) is not None
    ring.take([record(revoked_ms=1)])
    assert ring.find(KEY.encode()) is None


def test_a_revocation_does_not_open_the_server() -> None:
    """Without its last key the server answers nobody; one that never had any answers all."""
    ring = KeyRing()
    ring.take([record(revoked_ms=1)])
    assert not ring.needs_key
    ring.take([record()])
    ring.take([record(revoked_ms=1)])
    assert ring.needs_key


def test_a_refresh_does_not_refill() -> None:
    """The requests a key has left survive another look into the store, and not a change of its rate."""
    ring = KeyRing()
    ring.take([record(rpm=2)])
    bucket = ring.find(KEY.encode()).bucket
    bucket.take(0.0)
    ring.take([record(rpm=2), record("ck-two", "bob")])
    assert ring.find(KEY.encode()).bucket is bucket
    ring.take([record(rpm=5)])
    assert ring.find(KEY.encode()).bucket.per_minute == 5


def test_revoked_within_five_seconds() -> None:
    """The ring reads the store every few seconds; while it does not work the last known keys hold."""

    async def main() -> None:
        clock, store = VirtualClock(), MemoryKeyStore()
        store.add(record())
        store.add(record("ck-two", "bob"))
        ring = KeyRing(clock=clock)
        await ring.refresh(store)
        keeper = asyncio.create_task(ring.keep_fresh(store))
        store.fault = StoreDownError("gone")
        await look(clock)
        assert ring.find(KEY.encode()) is not None
        store.fault = None
        store.revoke("ana", 1)
        await look(clock)
        assert ring.find(KEY.encode()) is None
        assert ring.find(b"ck-two") is not None
        keeper.cancel()

    async def look(clock: VirtualClock) -> None:
        """Let the ring look into the store once, which it does in a thread."""
        async with asyncio.timeout(5):
            await clock.advance(REFRESH)
            while not clock.sleepers:
                await asyncio.sleep(0)

    assert REFRESH < 5
    asyncio.run(main())


@pytest.mark.parametrize(
    ("models", "name", "opens"),
    [
        ((), "anything", True),
        (("chat",), "chat", True),
        (("chat",), "chat2", False),
        (("chat",), "Chat", False),
        (("chat",), "auto", False),
        (("chat",), "lab/chat", False),
        (("lab/*",), "lab/x", True),
        (("lab/*",), "lab", False),
        (("lab/*", "chat"), "chat", True),
        (("lab/*",), "labs/x", False),
    ],
)
def test_scopes(models, name, opens) -> None:
    """A key opens the names it lists, whole, and prefixes that end in a star."""
    caller = Caller("ana", models=models)
    assert caller.may_ask(name) is opens
    if not opens:
        with pytest.raises(ForbiddenModelError, match=r"'ana'.*" + models[0].replace("*", r"\*")):
            caller.check(name)


@given(st.none() | st.text())
def test_users(named) -> None:
    """A key's calls are its own unless it speaks for others; the configured ones' are whose they say."""
    ring = KeyRing(["configured"])
    ring.take([record(), record("ck-two", "proxy", speaks_for_others=True)])
    assert ring.find(KEY.encode()).user_of(named) == "ana"
    assert ring.find(b"ck-two").user_of(named) == (named or "proxy")
    assert ring.find(b"configured").user_of(named) == (named or None)
    assert ANYBODY.user_of(named) == (named or None)


def test_limits_of_spending() -> None:
    """What a key may spend is told by its name."""
    ring = KeyRing()
    ring.take([replace(record(), daily_nusd=5, monthly_nusd=None)])
    assert ring.limits_of("ana") == (5, None)
    assert ring.limits_of("bob") == (None, None)
