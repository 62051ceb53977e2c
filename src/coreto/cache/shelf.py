"""Takes answers from a store and decides which ones go there, counting as it does."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from coreto.cache.answers import Answer, is_storable, packed, unpacked
from coreto.cache.keys import Scope
from coreto.cache.store import CacheStore, Entry
from coreto.clock import Clock
from coreto.labels import Label
from coreto.messages import Call, Trace

log = logging.getLogger(__name__)

STOPGAP_TTL = 60.0
"""Seconds."""

#: Failures of a candidate that will not pass by themselves within minutes.
_LASTING = frozenset(
    {"auth", "billing", "context", "entitlement", "model_missing", "out_of_memory", "retired", "unsupported"}
)


class Terms(NamedTuple):
    """How one call uses the cache. ``ttl``: seconds, 0: not at all; ``tags``: beside those of role,
    deployment and user; ``refresh``: ask anew; ``tool_calls``: answers that call tools may be kept."""

    ttl: float
    tags: tuple[str, ...] = ()
    refresh: bool = False
    tool_calls: bool = False
    scope: Scope = Scope()


@dataclass(slots=True)
class Counts:
    """Since the start."""

    hits: int = 0
    misses: int = 0
    coalesced: int = 0
    bypassed: int = 0
    stored: int = 0
    unstorable: int = 0


Matcher = Callable[[str], bool]


class Shelf:
    """A store seen as a shelf of answers."""

    def __init__(self, store: CacheStore, clock: Clock) -> None:
        self.store = store
        self.counts = Counts()
        self._clock = clock

    async def known(self, key: str) -> Answer | None:
        """What this process's memory holds."""
        entry = self.store.peek(key)
        return None if entry is None else await self._counted(entry)

    async def look_up(self, key: str, label: Label) -> Answer | None:
        """What the store holds."""
        entry = await self.store.get(key, label)
        return None if entry is None else await self._counted(entry)

    def entry(
        self, answer: Answer, call: Call, terms: Terms, *, key: str, tags: tuple[str, ...]
    ) -> Entry | None:
        """``answer`` to ``call`` as it would be kept; ``None`` when it may not be."""
        if answer.trace.label > call.label or not is_storable(answer.body, tool_calls=terms.tool_calls):
            return None
        payload = packed(answer)
        if payload is None:
            return None
        now = self._clock.time()
        ttl = min(terms.ttl, STOPGAP_TTL) if is_stopgap(answer.trace) else terms.ttl
        return Entry(key, payload, tags, call.label, now, now + ttl)

    async def put(self, entry: Entry) -> None:
        """Keep ``entry``, if the store has room for it."""
        if await self.store.put(entry):
            self.counts.stored += 1

    async def _counted(self, entry: Entry) -> Answer | None:
        try:
            answer = unpacked(entry.payload)
        except ValueError as error:
            log.warning("a damaged answer was dropped from the cache: %s", error)
            await self.store.delete(entry.key)
            return None
        self.counts.hits += 1
        return answer


def is_stopgap(trace: Trace) -> bool:
    """Whether a candidate before the one that answered failed, or was passed by, for a passing reason."""
    for attempt in trace.attempts:
        if attempt.deployment == trace.deployment or attempt.outcome == "ok":
            continue
        # a skipped one tells as "code: reason" why it is out of service
        code = attempt.outcome if attempt.outcome != "skipped" else (attempt.detail or "").partition(":")[0]
        if code not in _LASTING:
            return True
    return False
