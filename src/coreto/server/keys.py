"""The keys that open the server, in memory: no request waits for the database.

A key is 32 random bytes, so a plain SHA-256 keeps it: there is no dictionary to try, and a slow hash made
for passwords would cost every request milliseconds. A key is found by its digest; how long that takes tells
something about the digest of what was sent, which is no step towards a digest that is known here.
"""

import asyncio
import hashlib
import logging
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from coreto.clock import Clock, SystemClock
from coreto.errors import CoretoError
from coreto.server.limits import Bucket
from coreto.stores.errors import StoreError
from coreto.stores.keys import KeyRecord, KeyStore

log = logging.getLogger(__name__)

PREFIX = "ck-"

REFRESH = 2.0
"""Seconds between two looks into the store: a revoked key is out within them."""

OWNER = "owner"
CONFIGURED = "configured"


class ForbiddenModelError(CoretoError):
    """The key does not open this model."""

    code = "model_not_allowed"
    http_status = 403


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a request is from. Without ``name``, anybody on this machine. ``user``: whose its calls are;
    ``expires``: epoch seconds; see :class:`~coreto.stores.keys.KeyRecord` for the rest."""

    name: str | None = None
    user: str | None = None
    models: tuple[str, ...] = ()
    bucket: Bucket | None = None
    speaks_for_others: bool = True
    expires: float | None = None

    def check(self, model: str) -> None:
        """Raises :class:`ForbiddenModelError` when this caller may not ask for ``model``."""
        if not self.may_ask(model):
            allowed = ", ".join(self.models)
            raise ForbiddenModelError(f"the key {self.name!r} does not open {model!r}, only: {allowed}")

    def may_ask(self, model: str) -> bool:
        """Whether this caller may ask for ``model``, by the name it is asked for."""
        return not self.models or any(
            model.startswith(one[:-1]) if one.endswith("*") else model == one for one in self.models
        )

    def user_of(self, named: str | None) -> str | None:
        """Whose call it is when the request says ``named``."""
        return (named or self.user) if self.speaks_for_others else self.user


ANYBODY = Caller()


class KeyRing:
    """Finds who a key is. Keys of the configuration and the owner's are for everything; those of the store
    for what they say. The owner's alone does not close a server on this machine to others."""

    def __init__(
        self, keys: Iterable[str] = (), owner: str | None = None, clock: Clock | None = None
    ) -> None:
        self._clock = clock or SystemClock()
        self._fixed = {digest_of(key.encode()): Caller(CONFIGURED) for key in keys}
        self.needs_key = bool(self._fixed)
        if owner is not None:
            self._fixed[digest_of(owner.encode())] = Caller(OWNER)
        self._callers = dict(self._fixed)
        self._known: dict[str, tuple[KeyRecord, Caller]] = {}
        #: called when the stored keys have changed
        self.on_change: Callable[[], None] = lambda: None

    def find(self, key: bytes) -> Caller | None:
        """The caller whose key it is; ``None``: nobody's, or not any more."""
        given = digest_of(key)
        caller = self._callers.get(given)
        if caller is None or (caller.expires is not None and caller.expires <= self._clock.time()):
            return None
        return caller

    def limits_of(self, name: str) -> tuple[int | None, int | None]:
        """What the key ``name`` may spend a day and a month, in nano-dollars."""
        for record, _ in self._known.values():
            if record.name == name:
                return record.daily_nusd, record.monthly_nusd
        return None, None

    def take(self, records: Sequence[KeyRecord]) -> None:
        """Replace the stored keys. Once there was one, the server stays closed to who has none, even when
        the last one is revoked: a revocation must not open it."""
        known: dict[str, tuple[KeyRecord, Caller]] = {}
        for record in records:
            if record.revoked_ms is None:
                before = self._known.get(record.key_id)
                keeps = before is not None and before[0] == record  # and its bucket
                known[record.key_id] = before if before and keeps else (record, _caller(record))
        changed = known != self._known
        self._known = known
        self._callers = {bytes.fromhex(r.digest): c for r, c in known.values()} | self._fixed
        self.needs_key = self.needs_key or bool(known)
        if changed:
            self.on_change()

    async def refresh(self, store: KeyStore) -> None:
        """Read the stored keys. Raises :class:`~coreto.stores.errors.StoreError`."""
        self.take(await asyncio.to_thread(store.all))

    async def keep_fresh(self, store: KeyStore) -> None:
        """Read the stored keys every :data:`REFRESH` seconds, for ever. While the store does not work the
        keys known last are in force."""
        works = True
        while True:
            await self._clock.sleep(REFRESH)
            try:
                await self.refresh(store)
                works = True
            except StoreError as error:
                if works:
                    log.error("keys cannot be read, the last known are in force: %s", error.message)  # noqa: TRY400
                works = False


def new_key() -> str:
    """A key that nobody has."""
    return PREFIX + secrets.token_urlsafe(32)


def digest_of(key: bytes) -> bytes:
    """What is kept of a key."""
    return hashlib.sha256(key).digest()


def _caller(record: KeyRecord) -> Caller:
    return Caller(
        name=record.name,
        user=record.name,
        models=record.models,
        bucket=None if record.rpm is None else Bucket(record.rpm),
        speaks_for_others=record.speaks_for_others,
        expires=None if record.expires_ms is None else record.expires_ms / 1000,
    )
