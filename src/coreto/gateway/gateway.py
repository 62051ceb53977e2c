"""The call path: a name asked for becomes a plan, its candidates are tried, what it cost is settled."""

import random
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import replace

from coreto.cache.cached import Cached
from coreto.clock import Clock
from coreto.errors import CallError, CoretoError
from coreto.events import EventBus
from coreto.gateway.caching import terms_of
from coreto.gateway.embeddings import embed
from coreto.gateway.prepare import permitted, prepared
from coreto.gateway.settle import Settlement
from coreto.ledger.budgets import Budgets
from coreto.ledger.prices import PriceBook
from coreto.messages import Call, Chunk, EmbedCall, Item, Json, Trace, as_object
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
        if self._cached is not None:
            terms = terms_of(call, self.directory.plan(call.model))
            if terms.ttl > 0:
                return self._cached.open(call, terms, self._in_full)
        return aclosing(self._answer(call))

    def _in_full(self, call: Call) -> AbstractAsyncContextManager[AsyncIterator[Item]]:
        """The answer with its usage, whether asked for or not: who shares it may ask for it."""
        return aclosing(self._answer(call, usage=True))

    async def _answer(self, call: Call, *, usage: bool = False) -> Items:
        started = self._clock.monotonic()
        plan = permitted(self.directory.plan(call.model), call.label)
        expected = expectation(call.body, plan.expected)
        if expected is not plan.expected:
            plan = replace(plan, expected=expected)
        asked = prepared(call, plan, started + self._request_timeout)
        usage_wanted = (
            usage or not call.stream or as_object(call.body.get("stream_options")).get("include_usage")
        )
        journal = Journal()
        outcome = "canceled"
        trace: Trace | None = None
        try:
            async with Fallback(plan, journal, self._ward).open(asked) as items:
                async for item in items:
                    if usage_wanted or not isinstance(item, Chunk) or item.body.get("choices"):
                        yield item
            outcome = "ok"
        except CoretoError as error:
            outcome = error.code
            if isinstance(error, CallError):
                trace = error.trace = self._settlement.trace(call, plan, journal)
            raise
        finally:
            if trace is None:
                trace = self._settlement.trace(call, plan, journal)
            self._settlement.settle(call, plan, trace, outcome, started)
        yield trace

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
