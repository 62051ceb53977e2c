"""Whose turn it is: pure answers about a snapshot.

A model's requests are served together, for a switch costs seconds. What keeps the others from waiting for ever is
the time that a request has spent *behind* later ones: while the host worked for a request that came after it.
Once that reaches the bound, nothing that came later may start in its way. Turns are planned from there backwards,
so that with several models waiting each gets an equal part of the bound: were the first to use up all of it, the
rest would have to be served strictly in order of arrival, with a switch for every request.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from coreto.residency.model import ModelId, Rules
from coreto.residency.policy import Candidate, EvictionPolicy, NoRoom, Tenant

#: The bound is never below this many times what the loads of all waiting models take: more than half of the time
#: would go into switching.
_LOADS_IN_BOUND = 2.0
#: What runs is allowed for in advance up to this part of the bound: one endless request must not make all turns short.
_RUNNING_IN_BOUND = 4.0
#: Seconds taken for none: sums of times are inexact, and a timer for less would ring for ever.
_NOTHING = 1e-6


@dataclass(frozen=True, slots=True)
class Present:
    """A model in memory. ``slots``: requests it can take now; ``fresh``: it has served nobody since its load;
    ``leaving``: on its way out; ``expected_since``: a plan will ask for it next, and has been silent since then."""

    tenant: Tenant
    slots: int = 0
    fresh: bool = False
    leaving: bool = False
    expected_since: float | None = None


@dataclass(frozen=True, slots=True)
class Queue:
    """The requests waiting for one model that is not in memory.

    ``head``: the number of the first one, in order of arrival; ``arrived``: when; ``behind``: seconds it has spent
    behind later ones, ``ticking`` when it does so now; ``waited``: seconds that all have waited together.
    """

    model: ModelId
    size: int
    head: int
    arrived: float
    behind: float
    ticking: bool
    count: int
    waited: float
    load_seconds: float


@dataclass(frozen=True, slots=True)
class Wish:
    """A model that is not in memory and that nobody waits for yet, but should be there: a plan's next one since
    ``since``, or the ``home`` model after a guest."""

    model: ModelId
    size: int
    load_seconds: float
    since: float
    home: bool = False


@dataclass(frozen=True, slots=True)
class View:
    """All that a decision depends on. ``running``: seconds that a request
    of those in memory may well take; ``switches``: how many within the brake's window; ``loading``: a load is under way."""

    now: float
    budget: int
    rules: Rules
    present: tuple[Present, ...] = ()
    queues: tuple[Queue, ...] = ()
    wishes: tuple[Wish, ...] = ()
    running: float = 0.0
    switches: int = 0
    loading: bool = False

    @property
    def tenants(self) -> tuple[Tenant, ...]:
        """Those who are in memory to stay."""
        return tuple(p.tenant for p in self.present if not p.leaving)


@dataclass(frozen=True, slots=True)
class Move:
    """Bring ``model`` into memory, after ``victims`` have left."""

    model: ModelId
    victims: tuple[ModelId, ...] = ()


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do before the next event, or before ``until`` (monotonic seconds)."""

    until: float | None = None


def bound(view: View) -> float:
    """Seconds that a request may wait behind later ones: the rule's, or more where loads alone take long."""
    return max(view.rules.max_wait, _LOADS_IN_BOUND * sum(queue.load_seconds for queue in view.queues))


def due(view: View) -> tuple[Queue, ...]:
    """The queues whose turn must begin now, in order of arrival.

    (Not by urgency: were a later request's model loaded first, the earlier one would bar it, have it unloaded unused,
    and the later one would be the most urgent again, for ever.)
    """
    order, allowances = _allowances(view)
    last = max((at for at, left in enumerate(allowances) if left <= _NOTHING), default=-1)
    return tuple(sorted(order[: last + 1], key=lambda queue: queue.head))


def bars(view: View, policy: EvictionPolicy) -> dict[ModelId, int]:
    """The models in memory that stand in a due request's way: from which number on they may start none.

    A model that was loaded serves one request all the same, unless the bound itself is reached: else it would
    have been loaded for nothing.
    """
    limit = bound(view)
    fresh = {p.tenant.id for p in view.present if p.fresh}
    idle = tuple(replace(tenant, busy=False) for tenant in view.tenants)
    out: dict[ModelId, int] = {}
    for queue in due(view):
        in_the_way = policy.victims(Candidate(queue.model, queue.size), idle, view.budget)
        for model in () if isinstance(in_the_way, NoRoom) else in_the_way:
            if model not in fresh or queue.behind >= limit - _NOTHING:
                out[model] = min(out.get(model, queue.head), queue.head)
    return out


def next_move(view: View, policy: EvictionPolicy) -> Move | Wait:
    """What to do once everybody who may start has started.

    1. A load is under way: wait.
    2. A request is due: its model's turn, as soon as those in the way are idle.
    3. Requests wait for models that are not in memory: the one with most waiting for its load, of those that have
       room now; but not yet
       a. while a model that would leave is expected back by a plan within the price of a switch;
       b. while the brake is on and all together have not waited for as long as the switch takes.
    4. Nobody waits: a plan's next model, ahead of its call, where no other plan expects those who would leave.
    5. Nobody waits: the home model, once the guests have been idle for ``return_after``.
    6. Nothing.
    """
    if view.loading:  # 1
        return Wait()
    urgent = due(view)
    if urgent:  # 2
        victims = policy.victims(Candidate(urgent[0].model, urgent[0].size), view.tenants, view.budget)
        return Wait() if isinstance(victims, NoRoom) else Move(urgent[0].model, victims)
    until: float | None = _next_due(view)
    for queue in sorted(view.queues, key=_worth):  # 3
        victims = policy.victims(Candidate(queue.model, queue.size), view.tenants, view.budget)
        if isinstance(victims, NoRoom):
            continue
        ready_at = _held_until(view, queue, victims)
        if ready_at <= view.now + _NOTHING:
            return Move(queue.model, victims)
        until = _earlier(until, ready_at)
    if view.queues:
        return Wait(until)
    return _wish(view, policy)  # 4, 5, 6


def brake_seconds(view: View, price: float, waited: float, count: int) -> float:
    """Seconds that the brake delays a switch which takes ``price`` seconds there and back, for ``count`` requests that
    have waited for ``waited`` seconds together."""
    return max(0.0, (price - waited) / count) if view.switches >= view.rules.brake_after else 0.0


def _worth(queue: Queue) -> tuple[float, int]:
    return (-(queue.waited + queue.count) / max(queue.load_seconds, 1e-3), queue.head)


def _allowances(view: View) -> tuple[tuple[Queue, ...], list[float]]:
    """The waiting queues by urgency, and the seconds left of the present turn for each one's sake."""
    order = tuple(sorted(view.queues, key=lambda queue: (-queue.behind, queue.head)))
    limit = bound(view)
    loads_before = sum(queue.load_seconds for queue in order[:-1])
    turn = max(0.0, (limit - loads_before) / len(order)) if order else 0.0
    left: list[float] = []
    before = min(view.running, limit / _RUNNING_IN_BOUND)  # it cannot be interrupted
    for queue in order:
        left.append(limit - queue.behind - before)
        before += turn + queue.load_seconds
    return order, left


def _next_due(view: View) -> float | None:
    order, allowances = _allowances(view)
    times = [
        view.now + left
        for queue, left in zip(order, allowances, strict=True)
        if queue.ticking and left > _NOTHING
    ]
    return min(times, default=None)


def _held_until(view: View, queue: Queue, victims: Sequence[ModelId]) -> float:
    """When the switch may begin; never later than the bound after the first request came."""
    if not victims:
        return view.now
    leaving = [p for p in view.present if p.tenant.id in victims]
    back = sum(p.tenant.size for p in leaving) * queue.load_seconds / max(queue.size, 1)
    price = queue.load_seconds + back
    until = view.now
    for present in leaving:  # a
        if present.expected_since is not None:
            idle_since = max(present.expected_since, present.tenant.last_used)
            until = max(until, idle_since + min(view.rules.hold, price))
    until = max(until, view.now + brake_seconds(view, price, queue.waited, queue.count))  # b
    return min(until, queue.arrived + view.rules.max_wait)


def _wish(view: View, policy: EvictionPolicy) -> Move | Wait:
    until: float | None = None
    expected = {p.tenant.id for p in view.present if p.expected_since is not None}
    for wish in view.wishes:
        victims = policy.victims(Candidate(wish.model, wish.size), view.tenants, view.budget)
        if isinstance(victims, NoRoom) or not expected.isdisjoint(victims):
            continue
        if not wish.home:  # 4
            return Move(wish.model, victims)
        last_used = max((t.last_used for t in view.tenants if t.id in victims), default=wish.since)
        if last_used + view.rules.return_after <= view.now + _NOTHING:  # 5
            return Move(wish.model, victims)
        until = _earlier(until, last_used + view.rules.return_after)
    return Wait(until)  # 6


def _earlier(one: float | None, other: float) -> float:
    return other if one is None else min(one, other)
