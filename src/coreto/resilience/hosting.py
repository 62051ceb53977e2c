"""What attempts have to do with memory: where a model's turn comes soonest, how long it is worth waiting for."""

import asyncio
import math
from collections import deque
from collections.abc import Iterable

from coreto.errors import TimedOutError
from coreto.messages import Call
from coreto.residency.hosts import Host
from coreto.residency.runtime import Turn
from coreto.resilience.health import HealthBook
from coreto.resilience.plan import Candidate, Plan


def look_up_models(plans: Iterable[Plan]) -> None:
    """Begin to learn of every model of ``plans`` that takes turns: the first calls would else be put in order by how
    long it took to learn of theirs, and not by who came first."""
    for candidate in (candidate for plan in plans for candidate in plan.candidates):
        if candidate.host is not None:
            candidate.host.look_up(candidate.deployment.model)


def where_soonest(candidate: Candidate, waiting: deque[Candidate], health: HealthBook) -> Candidate:
    """``candidate``, or the one of ``waiting`` that has the same model on a host where its turn comes sooner: they
    change places. Of equals the first, so that a model is not loaded in two places without need."""
    model = candidate.deployment.model
    twins = [candidate]
    for other in waiting:
        if other.host is None or other.deployment.model != model or health.block(other.deployment):
            continue
        other.host.look_up(model)
        twins.append(other)
    if len(twins) == 1:
        return candidate
    best = min(twins, key=_wait)
    if best is not candidate:
        waiting.remove(best)
        waiting.appendleft(candidate)
    return best


def _wait(candidate: Candidate) -> float:
    return math.inf if candidate.host is None else candidate.host.predicted_wait(candidate.deployment.model)


def worth_waiting(allowed: float, health: HealthBook, other: Candidate | None) -> float | None:
    """Seconds that a turn is worth waiting for: those ``allowed``, and never less than ``other`` usually takes to
    answer. ``None``: however long, since there is no other."""
    if other is None:
        return None
    record = health.records.get(other.deployment.id)
    usual_ms = record.usual_ms if record else None
    return max(allowed, (usual_ms or 0.0) / 1000)


async def turn(host: Host, call: Call, worth: float | None, now: float) -> Turn:
    """A turn of the call's model, before the call's deadline. Raises :class:`~coreto.errors.CallError`."""
    left = call.deadline - now
    try:
        async with asyncio.timeout(None if left == math.inf else max(left, 0.0)):
            return await host.turn(call.model, spill_after=worth, plan=call.run)
    except TimeoutError:
        raise TimedOutError(f"{call.model!r} did not come into memory before the call's deadline") from None
