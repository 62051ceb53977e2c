"""The call path: a name asked for becomes a plan, its candidates are tried, what it cost is settled."""

import random
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Self, TypedDict, Unpack

from coreto.cache.cached import Cached
from coreto.cache.shelf import Terms
from coreto.clock import Clock
from coreto.errors import CallError, CoretoError
from coreto.events import EventBus
from coreto.gateway.caching import terms_of
from coreto.gateway.embeddings import embed
from coreto.gateway.prepare import prepared, warn_of_small
from coreto.gateway.settle import Settlement
from coreto.ledger.budgets import Budgets
from coreto.ledger.prices import PriceBook
from coreto.messages import Call, Chunk, EmbedCall, Item, Json, Trace, Whole, as_object
from coreto.providers.base import Health, Items, ModelInfo
from coreto.resilience.fallback import Fallback, Ward
from coreto.resilience.health import HealthBook
from coreto.resilience.output import Expectation, expectation
from coreto.resilience.plan import Candidate, Journal
from coreto.routing.directory import Directory
from coreto.routing.router import Route, Router, Sources
from coreto.settings.model import Settings


class Options(TypedDict, total=False):
    """``request_timeout``: seconds a whole call may take, all attempts together (300). ``budgets``: where
    spending is limited. ``spill_after``: seconds of waiting for memory from which a model off this machine is asked
    instead (30). ``cached``: where answers may be kept. ``router``: who decides where calls go; without
    one, a router with default settings."""

    request_timeout: float
    budgets: Budgets | None
    spill_after: float
    cached: Cached
    router: Router


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
        **options: Unpack[Options],
    ) -> None:
        self.directory = directory
        self.router = options.get("router") or Router(Settings(), Sources(health, prices))
        self._cached = options.get("cached")
        self._clock = clock
        self._request_timeout = options.get("request_timeout", 300.0)
        self._settlement = Settlement(prices, bus, clock)
        rng = random.Random()  # noqa: S311 jitter, not secrets
        self._ward = Ward(
            health, clock, rng, self._successor, options.get("budgets"), options.get("spill_after", 30.0)
        )

    def _successor(self, candidate: Candidate, error: CallError) -> Candidate | None:
        return self.directory.successor(candidate, error)

    def open(self, call: Call) -> AbstractAsyncContextManager[AsyncIterator[Item]]:
        """Raises :class:`~coreto.errors.UnknownModelError` and :class:`~coreto.errors.InvalidRequestError`."""
        route = self.router.at_once(call, self.directory)
        return aclosing(self._routed_slowly(call)) if route is None else self._open(call, route)

    async def whole(self, call: Call) -> tuple[Whole, Trace]:
        """A non-stream call's answer and its trace, without the detour over a stream of two."""
        route = self.router.at_once(call, self.directory) or await self._route_slowly(call)
        call = _labelled(call, route)
        terms = self._terms(call, route)
        if terms is not None and self._cached is not None:
            return await self._cached.whole(call, terms, partial(self._in_full, route=route))
        with self._case(call, route) as case:
            answer = await case.fallback.whole(case.asked)
        return answer, case.trace

    async def explain(self, call: Call) -> Json:
        """Where ``call`` would go, and why; nobody is asked. Raises :class:`~coreto.errors.UnknownModelError`."""
        expectation(call.body, Expectation())  # what could not be asked for has no route either
        return await self.router.explain(call, self.directory)

    async def _routed_slowly(self, call: Call) -> Items:
        async with self._open(call, await self._route_slowly(call)) as items:
            async for item in items:
                yield item

    async def _route_slowly(self, call: Call | EmbedCall) -> Route:
        await self.router.prepare(call)
        return self.router.route(call, self.directory)

    def _open(self, call: Call, route: Route) -> AbstractAsyncContextManager[AsyncIterator[Item]]:
        call = _labelled(call, route)
        terms = self._terms(call, route)
        if terms is not None and self._cached is not None:
            return self._cached.open(call, terms, partial(self._in_full, route=route))
        return aclosing(self._answer(call, route))

    def _terms(self, call: Call, route: Route) -> Terms | None:
        """How ``call`` uses the cache; ``None``: it does not."""
        terms = terms_of(call, route.plan)
        return terms if terms.ttl > 0 else None

    def _in_full(self, call: Call, route: Route) -> AbstractAsyncContextManager[AsyncIterator[Item]]:
        """The answer with its usage, whether asked for or not: who shares it may ask for it."""
        return aclosing(self._answer(call, route, usage=True))

    async def _answer(self, call: Call, route: Route, *, usage: bool = False) -> Items:
        usage_wanted = (
            usage or not call.stream or as_object(call.body.get("stream_options")).get("include_usage")
        )
        with self._case(call, route) as case:
            async with case.fallback.open(case.asked) as items:
                async for item in items:
                    if usage_wanted or not isinstance(item, Chunk) or item.body.get("choices"):
                        yield item
        yield case.trace

    def _case(self, call: Call, route: Route) -> "_Case":
        started = self._clock.monotonic()
        plan = route.plan
        expected = expectation(call.body, plan.expected)
        if expected is not plan.expected:
            plan = replace(plan, expected=expected)
        asked = prepared(call, plan, started + self._request_timeout)
        fallback = Fallback(plan, Journal(), self._ward)
        return _Case(call, asked, route, fallback, self._settlement, self.router)

    async def embed(self, call: EmbedCall) -> tuple[Json, Trace]:
        """Embeddings by the first candidate of ``call.model`` that has them.

        Vectors of different models cannot be compared, so no other model takes over when it fails.
        """
        route = self.router.at_once(call, self.directory) or await self._route_slowly(call)
        call = replace(call, label=route.label)
        return await embed(call, route.plan, self._ward, self._settlement)

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


def _labelled(call: Call, route: Route) -> Call:
    return call if call.label is route.label else call._replace(label=route.label)


class _Case:
    """One call from its plan to its settlement, whatever comes of it. ``trace``: of how it ended."""

    __slots__ = ("_call", "_route", "_router", "_settlement", "_started", "asked", "fallback", "trace")

    trace: Trace

    def __init__(
        self,
        call: Call,
        asked: Call,
        route: Route,
        fallback: Fallback,
        settlement: Settlement,
        router: Router,
    ) -> None:
        self._call = call
        self._route = route
        self._settlement = settlement
        self._router = router
        self._started = settlement.clock.monotonic()
        self.asked = asked
        self.fallback = fallback

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        plan, journal, route = self.fallback.plan, self.fallback.journal, self._route
        if error is None and journal.answered_by is not None:
            warn_of_small(self._call, plan, journal)
        if plan.escalate:
            self._router.learn(self._call, plan, journal)
        self.trace = self._settlement.trace(self._call, plan, journal, route.task, route.why)
        outcome = "ok" if error is None else error.code if isinstance(error, CoretoError) else "canceled"
        if isinstance(error, CallError):
            error.trace = self.trace
        self._settlement.settle(self._call, plan, self.trace, outcome, self._started)
