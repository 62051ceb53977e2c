"""Embeddings: one deployment, no fallback, because vectors of two models cannot be compared."""

import asyncio
from dataclasses import replace

from coreto.errors import CallError, ExhaustedError, QueueFullError, TimedOutError, UnsupportedError
from coreto.gateway.settle import Settlement
from coreto.messages import Attempt, EmbedCall, Json, Trace, Usage, usage_of
from coreto.places import Places
from coreto.providers.base import Embedder
from coreto.residency.hosts import Host
from coreto.residency.runtime import Turn
from coreto.resilience.fallback import Ward
from coreto.resilience.plan import Candidate, Journal, Plan


async def embed(call: EmbedCall, plan: Plan, ward: Ward, settlement: Settlement) -> tuple[Json, Trace]:
    """The embeddings and their trace. Raises :class:`CallError`, which carries the trace too."""
    chosen = next((c for c in plan.candidates if c.embedder is not None), None)
    if chosen is None or chosen.embedder is None:
        why = "; ".join(f"{name}: {reason}" for name, reason in plan.dropped)
        raise UnsupportedError(f"no deployment of {call.model!r} has embeddings. {why}".rstrip(". "))
    block = ward.health.block(chosen.deployment)
    if block is not None and not block.soft:
        error = ExhaustedError(f"{chosen.deployment.id} is out of service: {block.reason}")
        error.retry_after = max(block.until - ward.clock.time(), 0.0)
        raise error
    journal = Journal()
    started = ward.clock.monotonic()
    outcome, trace = "canceled", None
    try:
        body = await _attempt(call, chosen, chosen.embedder, ward, journal)
        outcome = "ok"
    except CallError as error:
        outcome = error.code
        trace = error.trace = settlement.trace(call, plan, journal, task="embeddings")
        raise
    finally:
        trace = trace or settlement.trace(call, plan, journal, task="embeddings")
        settlement.settle(call, plan, trace, outcome, started)
    return body, trace


async def _attempt(
    call: EmbedCall, chosen: Candidate, embedder: Embedder, ward: Ward, journal: Journal
) -> Json:
    deployment = chosen.deployment
    asked = replace(call, model=deployment.model, limits=chosen.limits, context=chosen.window)
    places = ward.places(chosen)
    reservation = await ward.budgets.admit(call, deployment) if ward.budgets else None
    try:
        turn = await _turn(chosen.host, asked, chosen, ward, journal) if chosen.host is not None else None
        await _enter(places, turn)
    except BaseException:
        if reservation is not None:
            reservation.release()
        raise
    if turn is not None and turn.lease.context is not None:  # another window would reload the model
        asked = replace(asked, context=turn.lease.context)
    started = ward.clock.monotonic()
    ward.health.starting(deployment)
    usage = Usage()
    failure: CallError | None = None
    try:
        async with asyncio.timeout(chosen.limits.attempt):
            body = await embedder.embed(asked)
        usage = usage_of(body) or usage
        journal.answered_by = deployment.id
        return body
    except TimeoutError:
        failure = TimedOutError(f"no answer within {chosen.limits.attempt:g} s")
        raise failure from None
    except CallError as error:
        failure = error
        raise
    finally:
        if turn is not None:
            turn.end()
        places.leave()
        seconds = ward.clock.monotonic() - started
        outcome = "canceled"
        if failure is not None:
            outcome = failure.code
            ward.health.failed(deployment, failure, seconds, call.label)
        elif journal.answered_by:
            outcome = "ok"
            ward.health.succeeded(deployment, seconds * 1000)
        else:
            ward.health.abandoned(deployment, seconds)
        if reservation is not None and ward.budgets is not None:
            ward.budgets.settle(reservation, deployment, usage, outcome)
        detail = failure.message if failure else None
        journal.attempts.append(
            Attempt(
                deployment.id, outcome, seconds * 1000, usage=usage, local=deployment.local, detail=detail
            )
        )


async def _enter(places: Places, turn: Turn | None) -> None:
    try:
        await places.enter(None)
    except BaseException:
        if turn is not None:
            turn.end()
        raise


async def _turn(host: Host, asked: EmbedCall, chosen: Candidate, ward: Ward, journal: Journal) -> Turn:
    """A turn of the call's model; a failure is noted as an attempt's."""
    started = ward.clock.monotonic()
    try:
        return await host.turn(asked.model, plan=asked.run)
    except CallError as error:
        seconds = ward.clock.monotonic() - started
        if not isinstance(error, QueueFullError):
            ward.health.starting(chosen.deployment)
            ward.health.failed(chosen.deployment, error, seconds, asked.label)
        journal.attempts.append(
            Attempt(
                chosen.deployment.id,
                error.code,
                seconds * 1000,
                local=chosen.deployment.local,
                detail=error.message,
            )
        )
        raise
