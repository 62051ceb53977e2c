"""The call path: a name asked for becomes a plan, its candidates are tried, what it cost is settled."""

import random
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import replace
from types import TracebackType
from typing import Self

from coreto.cache.cached import Cached
from coreto.cache.shelf import Terms
from coreto.clock import Clock
from coreto.errors import CallError, CoretoError
from coreto.events import EventBus
from coreto.gateway.caching import terms_of
from coreto.gateway.embeddings import embed
from coreto.gateway.prepare import permitted, prepared
from coreto.gateway.settle import Settlement
from coreto.ledger.budgets import Budgets
from coreto.ledger.prices import PriceBook
from coreto.messages import Call, Chunk, EmbedCall, Item, Json, Trace, Whole, as_object
from coreto.providers.base import Health, Items, ModelInfo
from coreto.resilience.fallback import Fallback, Ward
from coreto.resilience.health import HealthBook
from coreto.resilience.output import expectation
from coreto.resilience.plan import Candidate, Journal
from coreto.routing.directory import Directory


class Gateway:
    """Answers calls for roles, deployments and ``auto``.

    The items of a call are those of a provider, and a :class:`~coreto.messages.Trace` as the last one.
    Errors that leave it carry the trace.
    """

    def __init__(
        self,
        directory: Directory,
        health: HealthBook,
        prices: PriceBook,
        bus: EventBus,
        clock: Clock,
        *,
        request_timeout: float = 300.0,
        budgets: Budgets | None = None,
        cached: Cached | None = None,
    ) -> None:
        """``request_timeout``: seconds a whole call may take, all attempts together. ``budgets``: where
        spending is limited. ``cached``: where answers may be kept."""
        self.directory = directory
        self._cached = cached
        self._clock = clock
        self._request_timeout = request_timeout
        self._settlement = Settlement(prices, bus, clock)
        self._ward = Ward(health, clock, random.Random(), self._successor, budgets)  # noqa: S311 jitter, not secrets

    def _successor(self, candidate: Candidate, error: CallError) -> Candidate | None:
        return self.directory.successor(candidate, error)

    def open(self, call: Call) -> AbstractAsyncContextManager[AsyncIterator[Item]]:
        """Raises :class:`~coreto.errors.UnknownModelError` and :class:`~coreto.errors.InvalidRequestError`."""
        terms = self._terms(call)
        if terms is not None and self._cached is not None:
            return self._cached.open(call, terms, self._in_full)
        return aclosing(self._answer(call))

    async def whole(self, call: Call) -> tuple[Whole, Trace]:
        """A non-stream call's answer and its trace, without the detour over a stream of two."""
        terms = self._terms(call)
        if terms is not None and self._cached is not None:
            return await self._cached.whole(call, terms, self._in_full)
        with self._case(call) as case:
            answer = await case.fallback.whole(case.asked)
        return answer, case.trace

    def _terms(self, call: Call) -> Terms | None:
        """How ``call`` uses the cache; ``None``: it does not."""
        terms = terms_of(call, self.directory.plan(call.model))
        return terms if terms.ttl > 0 else None

    def _in_full(self, call: Call) -> AbstractAsyncContextManager[AsyncIterator[Item]]:
        """The answer with its usage, whether asked for or not: who shares it may ask for it."""
        return aclosing(self._answer(call, usage=True))

    async def _answer(self, call: Call, *, usage: bool = False) -> Items:
        usage_wanted = (
            usage or not call.stream or as_object(call.body.get("stream_options")).get("include_usage")
        )
        with self._case(call) as case:
            async with case.fallback.open(case.asked) as items:
                async for item in items:
                    if usage_wanted or not isinstance(item, Chunk) or item.body.get("choices"):
                        yield item
        yield case.trace

    def _case(self, call: Call) -> "_Case":
        started = self._clock.monotonic()
        plan = permitted(self.directory.plan(call.model), call.label)
        expected = expectation(call.body, plan.expected)
        if expected is not plan.expected:
            plan = replace(plan, expected=expected)
        asked = prepared(call, plan, started + self._request_timeout)
        return _Case(call, asked, Fallback(plan, Journal(), self._ward), self._settlement, started)

    async def embed(self, call: EmbedCall) -> tuple[Json, Trace]:
        """Embeddings by the first candidate of ``call.model`` that has them.

        Vectors of different models cannot be compared, so no other model takes over when it fails.
        """
        plan = permitted(self.directory.plan(call.model), call.label)
        return await embed(call, plan, self._ward, self._settlement)

    async def models(self) -> tuple[ModelInfo, ...]:
        """Every deployment that can be asked for by name."""
        return tuple(
            ModelInfo(d.id, context=d.context, local=d.local) for d in self.directory.deployments.values()
        )

    async def health(self) -> Health:
        return Health(
            ok=bool(self.directory.deployments), detail=f"{len(self.directory.deployments)} deployments"
        )

    async def close(self) -> None:
        return None


class _Case:
    """One call from its plan to its settlement, whatever comes of it. ``trace``: of how it ended."""

    __slots__ = ("_call", "_settlement", "_started", "asked", "fallback", "trace")

    trace: Trace

    def __init__(
        self, call: Call, asked: Call, fallback: Fallback, settlement: Settlement, started: float
    ) -> None:
        self._call = call
        self._settlement = settlement
        self._started = started
        self.asked = asked
        self.fallback = fallback

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        plan = self.fallback.plan
        self.trace = self._settlement.trace(self._call, plan, self.fallback.journal)
        outcome = "ok" if error is None else error.code if isinstance(error, CoretoError) else "canceled"
        if isinstance(error, CallError):
            error.trace = self.trace
        self._settlement.settle(self._call, plan, self.trace, outcome, self._started)
