"""A gateway's answers, kept: the cache as a wrapper around a call.

Every call ends in exactly one of:

1. passed by: no time to live, or a body without a key: asked as if there were no cache;
2. a hit: answered from the store, as a stream or not, as it wishes;
3. coalesced: an identical call is under way; its items are shared as they come;
4. a miss: asked upstream, and kept if it may be.

Never kept: errors, streams that did not finish, what :func:`~coreto.cache.answers.is_storable` refuses
(cut, filtered, refused, empty, acting answers), an answer labelled more strictly than its call, an answer
that was invalidated or asked for anew while it was under way.

An answer from a candidate further down, ``rules`` included, is kept like any other, but for
:data:`~coreto.cache.shelf.STOPGAP_TTL` at most when a candidate before it failed in passing: the better one
may be back.

A call that is served without an upstream call of its own has a trace with ``cached`` set, no attempts, no
cost. A stream caller whose twin asked for a whole answer waits for the whole of it.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import asdict, dataclass
from typing import NamedTuple

from coreto.cache.answers import Answer, replay
from coreto.cache.keys import request_key
from coreto.cache.question import Inner, Question
from coreto.cache.shelf import Counts, Matcher, Shelf, Terms
from coreto.cache.single_flight import MAX_BUFFER, Flight, SingleFlight
from coreto.cache.store import CacheStore, StoreStats, matcher
from coreto.cache.view import View
from coreto.clock import Clock
from coreto.errors import CallError, CoretoError
from coreto.messages import Call, Chunk, Item, Json, Trace, Whole
from coreto.providers.base import Items

_ITEM_BYTES = 512


class Served(NamedTuple):
    """A call that ended without an upstream call of its own, a hit or coalesced. ``outcome``: ``ok``, an
    error's code, ``canceled``. What the upstream call cost is told by ``inner``, once."""

    call: Call
    trace: Trace
    ms: float
    outcome: str


@dataclass(frozen=True, slots=True)
class CacheStats:
    """``calls`` since the start (``unstorable``: answers that may not be kept), and the store's state."""

    calls: Counts
    store: StoreStats

    def as_json(self) -> Json:
        """All figures; ``hit_ratio``: of the calls that asked the cache, those that cost nothing."""
        calls = self.calls
        free = calls.hits + calls.coalesced
        asked = free + calls.misses
        return {**asdict(calls), "hit_ratio": round(free / asked, 4) if asked else 0.0, **asdict(self.store)}


class Cached:
    """Answers calls from ``store``, and from ``inner`` what is not there. Owns the store.

    ``inner`` yields items as a provider does, with a :class:`~coreto.messages.Trace` as the last; of a
    stream always with the usage: it is left out here for callers that did not ask for it. It runs in a task
    of its own, in the context of the caller that came first. ``on_served`` is told of every call that
    ``inner`` does not see.
    """

    def __init__(
        self,
        store: CacheStore,
        clock: Clock,
        *,
        on_served: Callable[[Served], None] | None = None,
        max_buffer: int = MAX_BUFFER,
    ) -> None:
        self._shelf = Shelf(store, clock)
        self._clock = clock
        self._on_served = on_served
        self._flights: SingleFlight[Item] = SingleFlight(_weight, max_buffer=max_buffer)

    def open(
        self, call: Call, terms: Terms, inner: Inner
    ) -> AbstractAsyncContextManager[AsyncIterator[Item]]:
        """Answer ``call`` on ``terms``; iterate its items inside the context, as with a provider."""
        return aclosing(self._answer(call, terms, inner))

    async def whole(self, call: Call, terms: Terms, inner: Inner) -> tuple[Whole, Trace]:
        """A non-stream call's answer and its trace, as :meth:`open` gives them."""
        whole: Whole | None = None
        async with self.open(call, terms, inner) as items:
            async for item in items:
                if isinstance(item, Whole):
                    whole = item
                elif isinstance(item, Trace) and whole is not None:
                    return whole, item
        raise CallError("the call ended without an answer")

    async def invalidate_tag(self, tag: str) -> int:
        """Forget the answers that carry ``tag``, those under way included; how many were kept."""
        self._revoke(tag.__eq__)
        return await self._shelf.store.delete_tag(tag)

    async def invalidate_pattern(self, pattern: str) -> int:
        """Forget the answers whose key, or one of whose tags, matches a glob, as :meth:`invalidate_tag`."""
        self._revoke(matcher(pattern))
        return await self._shelf.store.delete_pattern(pattern)

    async def stats(self) -> CacheStats:
        """Counts of calls, and the store's state."""
        return CacheStats(Counts(**asdict(self._shelf.counts)), await self._shelf.store.stats())

    async def close(self) -> None:
        """End what is under way, write what is complete, close the store. Idempotent."""
        await self._flights.close()
        await self._shelf.store.close()

    async def _answer(self, call: Call, terms: Terms, inner: Inner) -> Items:
        key = request_key(call, terms.scope) if terms.ttl > 0 else None
        if key is None:  # 1
            self._shelf.counts.bypassed += 1
            view = View(call)
            async with inner(call) as items:
                async for item in items:
                    if view.wants(item):
                        yield item
            return
        started = self._clock.monotonic()
        answer = None if terms.refresh else await self._shelf.known(key)
        if answer is not None:  # 2
            view = View(call)
            for item in replay(answer, stream=call.stream):
                if view.wants(item):
                    yield item
            trace = answer.trace_for(call)
            self._tell(call, trace, started, "ok")
            yield trace
            return
        # who wants another way out of a broken stream cannot share it
        seat = f"{key} {call.failover} {call.restartable}"
        flight = self._flights.get(seat)
        if flight is None or not _joins(flight.work, terms):
            flight = self._flights.start(seat, Question(key, seat, call, terms, inner, self._shelf))
        async with aclosing(self._share(flight, call, started)) as shared:  # 3, 4
            async for item in shared:
                yield item

    async def _share(self, flight: Flight[Item], call: Call, started: float) -> Items:
        """What ``flight`` brings, as ``call`` wants it."""
        listener = flight.listen()
        self._shelf.counts.coalesced += not listener.leads
        view = View(call)
        trace: Trace | None = None
        outcome = "canceled"
        try:
            async with aclosing(listener.items(None if listener.leads else self._until(call))) as items:
                async for item in items:
                    for shown in view.of(item):
                        if isinstance(shown, Trace) and (shown.cached or not listener.leads):
                            trace = Answer({}, None, shown).trace_for(call)
                            outcome = "ok"
                        yield trace or shown
            outcome = "ok"
            for shown in view.rest():
                yield shown
        except CoretoError as error:
            outcome = error.code
            raise
        finally:
            await listener.leave()
            if trace is not None or not listener.leads:
                self._tell(call, trace or _untold(call), started, outcome)

    def _revoke(self, matches: Matcher) -> None:
        for flight in self._flights.all():
            question = flight.work
            if isinstance(question, Question) and question.revoke(matches):
                self._flights.forget(question.seat)

    def _until(self, call: Call) -> float | None:
        """The call's deadline on the event loop's clock."""
        if call.deadline == math.inf:
            return None
        return asyncio.get_running_loop().time() + call.deadline - self._clock.monotonic()

    def _tell(self, call: Call, trace: Trace, started: float, outcome: str) -> None:
        if self._on_served is not None:
            self._on_served(Served(call, trace, (self._clock.monotonic() - started) * 1000, outcome))


def _joins(work: object, terms: Terms) -> bool:
    """Whether a call may join ``work``. One that asks anew joins only another that does; what was asked
    before is then older than what it wants, and is not kept."""
    assert isinstance(work, Question), "only this module starts flights"
    if work.terms.refresh or not terms.refresh:
        work.tag(terms.tags)
        return True
    work.revoke(lambda _: True)
    return False


def _untold(call: Call) -> Trace:
    """The trace of a call that got no answer of the one it shared."""
    return Trace(call.id, None, call.role, call.label, cached=True)


def _weight(item: Item) -> int:
    if isinstance(item, Chunk | Whole):
        return _ITEM_BYTES + (len(item.raw) if item.raw is not None else _text_size(item.body))
    return _ITEM_BYTES


def _text_size(body: Json) -> int:
    """About the bytes of an answer or a chunk by its text; measuring all of it would cost too much."""
    size = 0
    for choice in body.get("choices") or ():
        said: Json = choice.get("delta") or choice.get("message") or {}
        content = said.get("content")
        size += len(content) if isinstance(content, str) else 0
    return size
