"""How the cache is used by a call: as its role says, or as the call itself does."""

from collections.abc import Callable

from coreto.cache.cached import Served
from coreto.cache.directive import parse_directive, parse_tags
from coreto.cache.keys import Scope
from coreto.cache.shelf import Terms
from coreto.events import CallFinished, EventBus
from coreto.messages import Call
from coreto.resilience.plan import Plan

NOT_CACHED = Terms(0.0)


def terms_of(call: Call, plan: Plan) -> Terms:
    """The terms of ``call``. Raises :class:`~coreto.errors.InvalidRequestError` for a directive that is none."""
    if call.cache is None and plan.cache_ttl <= 0:
        return NOT_CACHED
    directive = parse_directive(call.cache)
    return Terms(
        directive.ttl_for(plan.cache_ttl),
        parse_tags(call.cache_tags),
        refresh=directive.refresh,
        scope=Scope(call.tenant, plan.variant),
    )


def teller(bus: EventBus, now: Callable[[], float]) -> Callable[[Served], None]:
    """Tells ``bus`` of calls that ended without an upstream call of their own."""

    def tell(served: Served) -> None:
        call = served.call
        bus.emit(
            CallFinished(
                call_id=call.id,
                ended_at=now(),
                ms=served.ms,
                outcome=served.outcome,
                stream=call.stream,
                trace=served.trace,
                user=call.user,
                run=call.run,
                traceparent=call.traceparent,
            )
        )

    return tell
