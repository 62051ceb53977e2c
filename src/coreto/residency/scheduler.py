"""Who may run, who is loaded, who leaves: one host's state machine.

Events come in, effects go out; nothing here waits, reads a clock or is called from two places at once. Every event
takes the time (monotonic seconds). A request ends in exactly one of *granted*, *spilled* or *rejected*, unless it is
cancelled; until then it is *queued*. A granted one holds its model until it is released.
"""

from collections.abc import Callable, Iterable

from coreto.residency import turns
from coreto.residency.effects import Effects, Happening, Note
from coreto.residency.forecast import predicted_wait
from coreto.residency.model import (
    Hosted,
    Lease,
    LoadFailure,
    ModelId,
    Observed,
    Outcome,
    PlanId,
    Reason,
    Rejection,
    Request,
    RequestId,
    Rules,
    Step,
)
from coreto.residency.policy import Candidate, EvictionPolicy, LeastRegret, NoRoom, gigabytes
from coreto.residency.state import Entry, Holder, House, Phase, Waiting

#: Seconds before a model that could not be unloaded is told to go again, and how often before who waits for its
#: room is sent away.
UNLOAD_PAUSE = 5.0
UNLOAD_TRIES = 3

_FAILURES = {
    LoadFailure.OUT_OF_MEMORY: Reason.OUT_OF_MEMORY,
    LoadFailure.MISSING: Reason.MISSING,
    LoadFailure.CORRUPT: Reason.CORRUPT,
    LoadFailure.UNREACHABLE: Reason.UNREACHABLE,
    LoadFailure.OTHER: Reason.ENGINE,
}


class Scheduler:
    """One host: its models, its budget in bytes, and the requests for them. ``home``: the model that comes back
    when the others are idle. ``loads`` and ``switches`` count since the start (a switch is a load that others had
    to leave for)."""

    def __init__(
        self,
        models: Iterable[Hosted],
        budget: int,
        effects: Effects,
        *,
        rules: Rules | None = None,
        policy: EvictionPolicy | None = None,
        home: ModelId | None = None,
    ) -> None:
        self.house = House(tuple(models), budget, rules or Rules(), home)
        self.loads = 0
        self.switches = 0
        self._effects = effects
        self._policy: EvictionPolicy = policy or LeastRegret()
        self._models: dict[RequestId, ModelId] = {}
        self._number = 0
        #: somebody has wanted something: who only looks changes nothing
        self._asked = False
        self._clearing: Entry | None = None
        self._timer: float | None = None
        self._stopped = False

    # --- what can be asked

    def predicted_wait(self, model: ModelId, now: float, coming: int = 0) -> float:
        """Seconds that a request for ``model`` would wait if it came now: for its turn, the load and the queue.
        ``coming``: others for it that have not come here yet, less those that have ended."""
        self.house.age(now)
        return predicted_wait(self.house, model, self.house.view(now), coming)

    # --- requests

    def on_request(self, request: Request, now: float) -> Outcome:
        """A request arrives. It is

        1. rejected: the host is shutting down;
        2. rejected: the host does not have the model;
        3. rejected: the model is larger than the whole budget, with its smaller context too;
        4. granted: the model is in memory, has a free slot, and nobody who came earlier is kept from his turn;
        5. rejected: the queue is full;
        6. spilled: it would wait for longer than it is willing to;
        7. queued. A switch may begin for it.
        """
        self.house.age(now)
        entry = self.house.entries.get(request.model)
        if self._stopped:  # 1
            return self._refuse(request, Reason.STOPPED, "the host is shutting down")
        if entry is None:  # 2
            return self._refuse(request, Reason.UNKNOWN, f"the host has no model {request.model!r}")
        too_large = self._too_large(entry)
        if too_large is not None:  # 3
            return self._refuse(request, Reason.TOO_LARGE, str(too_large))
        self._number += 1
        self._asked = True
        waiting = Waiting(request, self._number, now)
        if not entry.queue and entry.can_serve and self._number < self._bar(entry, now):  # 4
            self.house.plans.begin(request.plan, request.model)
            self._models[request.id] = request.model
            self._grant(entry, waiting, now)
            self._pump(now)
            return Outcome.GRANTED
        if self.house.waiting >= self.house.rules.max_queue:  # 5
            return self._refuse(request, Reason.QUEUE_FULL, f"{self.house.waiting} requests wait already")
        if request.spill_after is not None:  # 6
            wait = self.predicted_wait(request.model, now)
            if wait > request.spill_after:
                detail = f"{request.model!r} would take {wait:.1f} s to be free, of {request.spill_after:g} s allowed"
                return self._refuse(request, Reason.SPILLED, detail, wait)
        self.house.plans.begin(request.plan, request.model)  # 7
        self._models[request.id] = request.model
        entry.push(waiting)
        self._pump(now)
        if request.id in entry.queue:
            return Outcome.QUEUED
        return Outcome.GRANTED if request.id in entry.holders else Outcome.REJECTED

    def on_cancel(self, request: RequestId, now: float) -> None:
        """Whoever asked has gone, whatever had become of the request."""
        self.on_released(request, now)

    def on_released(self, request: RequestId, now: float) -> None:
        """A granted request has ended; a waiting one is taken out. No error for one that is not known any more."""
        self.house.age(now)
        model = self._models.pop(request, None)
        if model is None:
            return
        entry = self.house.entries[model]
        waiting, holder = entry.pop(request), entry.holders.pop(request, None)
        if holder is not None:
            self.house.rates.served(model, now - holder.since)
            entry.last_used = now
        ended = holder.request if holder is not None else waiting.request if waiting is not None else None
        if ended is not None:
            self.house.plans.end(ended.plan, now)
        self._pump(now)

    def on_offered(self, models: Iterable[Hosted], home: ModelId | None, now: float) -> None:
        """The host has these models, or more is known of them than before. What is in memory stays as it is.
        ``home``: the one that comes back (``None``: as before)."""
        self.house.age(now)
        self.house.home = home or self.house.home
        for hosted in models:
            self.house.offer(hosted)
        self._pump(now)

    def on_announce(self, plan: PlanId, steps: Iterable[Step], now: float) -> None:
        """A plan says what it will ask for; no steps: it is over."""
        self.house.age(now)
        ahead = tuple(steps)
        self._asked = self._asked or bool(ahead)
        self.house.plans.announce(plan, ahead, now)
        self._pump(now)

    # --- the engine

    def on_loaded(self, model: ModelId, size: int | None, now: float) -> None:
        """A load is done. ``size``: bytes that the engine says it takes, where it does."""
        self.house.age(now)
        entry = self.house.entries.get(model)
        if entry is None or entry.phase is not Phase.LOADING:
            return
        self.house.rates.loaded(model, entry.size, now - entry.moving_since)
        if size:
            self.house.book.measured(model, entry.context, size)
            entry.size = self.house.need(entry)
        self._set_ready(entry, now)
        entry.cleared = entry.failed = False
        if self._clearing is entry:
            self._clearing = None
        self._effects.note(Note(Happening.LOADED, model, f"{gigabytes(entry.size)} in memory"))
        self._pump(now)

    def on_load_failed(self, model: ModelId, failure: LoadFailure, now: float, detail: str = "") -> None:
        """A load has failed.

        1. Out of memory, and there is a smaller context not tried yet: again with that.
        2. Out of memory, others are in memory, and not cleared yet: again when all of them have left.
        3. Anything else: whoever waits for the model is sent away, to the next candidate.
        """
        self.house.age(now)
        entry = self.house.entries.get(model)
        if entry is None or entry.phase is not Phase.LOADING:
            return
        self._vanish(entry)
        others = [
            other
            for other in self.house.entries.values()
            if other is not entry and other.phase is not Phase.ABSENT
        ]
        exhausted = failure is LoadFailure.OUT_OF_MEMORY
        if exhausted and not entry.small and entry.hosted.small_context is not None:  # 1
            entry.small = True
            words = f"out of memory: again with {entry.hosted.small_context} tokens"
            self._effects.note(Note(Happening.SHRUNK, model, words))
        elif exhausted and others and not entry.cleared and entry.queue:  # 2
            entry.cleared = True
            self._clearing = entry
            self._effects.note(
                Note(Happening.CLEARED, model, "out of memory: again when all others have left")
            )
        else:  # 3
            entry.cleared, entry.failed = False, True
            if self._clearing is entry:
                self._clearing = None
            words = detail or f"{model!r} could not be loaded: {failure.value.replace('_', ' ')}"
            self._effects.note(Note(Happening.FAILED, model, words))
            self._send_away(entry, _FAILURES[failure], words, now)
        self._pump(now)

    def on_unloaded(self, model: ModelId, now: float) -> None:
        """The engine no longer lists the model: its memory is free."""
        self.house.age(now)
        entry = self.house.entries.get(model)
        if entry is None or entry.phase is not Phase.LEAVING:
            return
        self._set_absent(entry)
        entry.stuck_times = 0
        self._effects.note(Note(Happening.UNLOADED, model))
        self._pump(now)

    def on_unload_failed(self, model: ModelId, now: float, detail: str = "") -> None:
        """The engine does not let go of the model. It stays in use; after some tries those who wait for its room
        are sent away."""
        self.house.age(now)
        entry = self.house.entries.get(model)
        if entry is None or entry.phase is not Phase.LEAVING:
            return
        entry.phase = Phase.READY
        entry.stuck_until = now + UNLOAD_PAUSE
        entry.stuck_times += 1
        words = detail or f"{model!r} could not be unloaded"
        self._effects.note(Note(Happening.FAILED, model, words))
        target = self.house.entries.get(self.house.target or "")
        if entry.stuck_times >= UNLOAD_TRIES and target is not None:
            entry.stuck_times = 0
            self._send_away(target, Reason.ENGINE, words, now)
        self._pump(now)

    def on_observed(self, listed: Iterable[Observed], now: float) -> None:
        """The engine says what is in memory: it may have been restarted, or used by others, behind our back."""
        self.house.age(now)
        there = {seen.id: seen for seen in listed}
        changed: list[ModelId] = []
        for model, entry in list(self.house.entries.items()):
            seen = there.pop(model, None)
            lost = entry.phase is Phase.LOST and not entry.holders  # its last holder may have brought it back
            if seen is None and (lost or entry.phase in (Phase.READY, Phase.LEAVING)):
                self._vanish(entry)
                changed.append(model)
            elif seen is not None and entry.phase in (Phase.ABSENT, Phase.LOST):
                # it may be on its way in, and still grow; 0: the engine does not tell
                entry.size = max(seen.size, entry.size) or self.house.need(entry)
                self._set_ready(entry, now)
                changed.append(model)
            elif seen is not None and entry.phase is Phase.READY and seen.size > entry.size:
                self.house.book.measured(model, entry.context, seen.size)
                entry.size = seen.size
                changed.append(model)
        for model, seen in there.items():
            entry = self.house.entries[model] = Entry(Hosted(model, seen.size or None, seen.context))
            self.house.book.add(entry.hosted)
            entry.size = seen.size or self.house.need(entry)
            self._set_ready(entry, now)
            changed.append(model)
        if changed:
            self._effects.note(Note(Happening.RESYNCHRONISED, changed[0], ", ".join(changed)))
            self._pump(now)

    def on_timer(self, now: float) -> None:
        """The time asked for has come."""
        self.house.age(now)
        self._timer = None
        self._pump(now)

    def on_shutdown(self, now: float) -> None:
        """Nothing more is granted or loaded; what runs may end."""
        self.house.age(now)
        self._stopped = True
        for entry in self.house.entries.values():
            self._send_away(entry, Reason.STOPPED, "the host is shutting down", now)
        self._set_timer(None)

    # --- what follows from an event

    def _pump(self, now: float) -> None:
        """Do all that can be done now, then wait for the next event."""
        if self._stopped:
            return
        if self.house.plans:
            self.house.plans.forget_silent(now)
        if self.house.used > self.house.budget and self._asked:
            self._trim(now)
        self._send_too_large_away(now)
        until: float | None = None
        if self._clearing is not None and self._clear(self._clearing, now):
            return
        self._grant_all(now)
        wanted = self.house.wants_something()
        if wanted:
            move = turns.next_move(self.house.view(now), self._policy)
            if isinstance(move, turns.Move):
                self._make(move, now)
            else:
                until = move.until
        else:
            self.house.target = None
        if wanted or self.house.used > self.house.budget:
            until = self._until_unstuck(until, now)
        self._set_timer(until)

    def _until_unstuck(self, until: float | None, now: float) -> float | None:
        times = [e.stuck_until for e in self.house.entries.values() if e.stuck_until > now]
        return min([*times, until] if until is not None else times, default=None)

    def _make(self, move: turns.Move, now: float) -> None:
        """Begin ``move``: the victims first, and the load when they have left."""
        entry = self.house.entries[move.model]
        self.house.target = move.model
        for victim in move.victims:
            self._unload(self.house.entries[victim], move.model, now)
        if move.victims:
            self.house.switches.append(now)
            self.switches += 1
            return
        kept = entry.size if entry.phase is Phase.LOST else 0
        if (
            entry.phase is Phase.LEAVING
            or self.house.used - kept + self.house.need(entry) > self.house.budget
        ):
            return  # those who leave have not left yet
        self._load(entry, now)

    def _grant_all(self, now: float) -> None:
        """Start whoever may start, in order of arrival."""
        while True:
            able = [e for e in self.house.entries.values() if e.queue and e.can_serve]
            if not able:
                return
            bars = self._bars(now)
            heads = [(e.head.number, e) for e in able if e.head is not None]
            free = [(number, e) for number, e in heads if number < bars(e)]
            if not free:
                return
            number, entry = min(free, key=lambda pair: pair[0])
            del number
            waiting = entry.head
            assert waiting is not None
            entry.pop(waiting.request.id)
            self._grant(entry, waiting, now)

    def _grant(self, entry: Entry, waiting: Waiting, now: float) -> None:
        request = waiting.request
        entry.holders[request.id] = Holder(request, waiting.number, now)
        if self._effects.grant(request.id, Lease(entry.hosted.id, entry.context)):
            entry.fresh = False
            entry.last_used = now
        else:  # gone meanwhile: its cancellation will find nothing
            del entry.holders[request.id]
            self._models.pop(request.id, None)
            self.house.plans.end(request.plan, now)

    def _bar(self, entry: Entry, now: float) -> float:
        return self._bars(now)(entry)

    def _bars(self, now: float) -> Callable[[Entry], float]:
        """From which number on each model may start nobody."""
        over = self.house.used > self.house.budget
        if (
            self._clearing is None
            and not over
            and not any(e.queue and e.phase is not Phase.READY for e in self.house.entries.values())
        ):
            return lambda _: float("inf")  # nobody waits for another model
        view = self.house.view(now)
        found = turns.bars(view, self._policy)
        clearing = self._clearing

        def bar(entry: Entry) -> float:
            if clearing is not None or (over and len(entry.holders)):
                return 0.0
            return found.get(entry.hosted.id, float("inf"))

        return bar

    def _clear(self, entry: Entry, now: float) -> bool:
        """Empty the memory for ``entry``; whether that still goes on."""
        if not entry.queue or entry.phase is Phase.READY:  # all were cancelled, or it came by another way
            self._clearing = None
            return False
        self.house.target = entry.hosted.id
        others = [o for o in self.house.entries.values() if o is not entry and o.phase is not Phase.ABSENT]
        if others:
            for other in others:
                if other.phase is Phase.READY and not other.holders and other.stuck_until <= now:
                    self._unload(other, entry.hosted.id, now)
            stuck = [o.stuck_until for o in others if o.stuck_until > now]
            self._set_timer(min(stuck, default=None))
        elif entry.phase in (Phase.ABSENT, Phase.LOST):
            self._load(entry, now)
        return True

    def _trim(self, now: float) -> None:
        """More is in memory than may be: a measurement was larger than expected, or somebody else loads too."""
        tenants = self.house.view(now).tenants
        victims = self._policy.victims(Candidate("", 0), tenants, self.house.budget)
        if isinstance(victims, NoRoom):
            idle = sorted((t for t in tenants if not t.busy), key=lambda t: -t.size)
            victims = tuple(t.id for t in idle)
        for victim in victims:
            words = f"{gigabytes(self.house.used)} in memory, of {gigabytes(self.house.budget)}"
            self._effects.note(Note(Happening.OVER_BUDGET, victim, words))
            self._unload(self.house.entries[victim], None, now)

    def _load(self, entry: Entry, now: float) -> None:
        entry.phase = Phase.LOADING
        entry.size = self.house.need(entry)
        entry.moving_since = now
        self.loads += 1
        self._effects.start_load(entry.hosted.id, entry.context)

    def _unload(self, entry: Entry, target: ModelId | None, now: float) -> None:
        entry.phase = Phase.LEAVING
        entry.moving_since = now
        if entry.hosted.id == self.house.home:
            self.house.home_away_since = now
        if target is not None:
            self._effects.note(Note(Happening.SWITCH, entry.hosted.id, self._cause(target)))
        self._effects.start_unload(entry.hosted.id)

    def _cause(self, target: ModelId) -> str:
        """Why somebody leaves for ``target``, in words."""
        waiting = len(self.house.entries[target].queue)
        if waiting:
            return f"for {target!r}, which {waiting} wait for"
        return (
            f"for {target!r}, {'the home model' if target == self.house.home else 'which a plan calls next'}"
        )

    # --- small changes of state

    def _set_ready(self, entry: Entry, now: float) -> None:
        entry.phase = Phase.READY
        entry.fresh = True
        entry.last_used = now
        if self.house.target == entry.hosted.id:
            self.house.target = None
        if self.house.home == entry.hosted.id:
            self.house.home_away_since = None

    def _set_absent(self, entry: Entry) -> None:
        entry.phase = Phase.ABSENT
        entry.size = 0
        entry.fresh = False

    def _vanish(self, entry: Entry) -> None:
        if entry.holders:
            entry.phase = Phase.LOST
        else:
            self._set_absent(entry)

    def _too_large(self, entry: Entry) -> NoRoom | None:
        """Why the model can never be loaded; a smaller context is taken up where only that fits."""
        if self.house.need(entry) <= self.house.budget or entry.phase in (Phase.READY, Phase.LOADING):
            return None
        if not entry.small and entry.hosted.small_memory is not None:
            entry.small = True
            if self.house.need(entry) <= self.house.budget:
                return None
        return NoRoom(entry.hosted.id, self.house.need(entry), self.house.budget, 0)

    def _send_too_large_away(self, now: float) -> None:
        for entry in self.house.entries.values():
            if entry.queue:
                too_large = self._too_large(entry)
                if too_large is not None:
                    self._send_away(entry, Reason.TOO_LARGE, str(too_large), now)

    def _send_away(self, entry: Entry, reason: Reason, detail: str, now: float) -> None:
        for waiting in list(entry.queue.values()):
            entry.pop(waiting.request.id)
            self._models.pop(waiting.request.id, None)
            self.house.plans.end(waiting.request.plan, now)
            self._effects.reject(waiting.request.id, Rejection(reason, detail))

    def _refuse(self, request: Request, reason: Reason, detail: str, wait: float | None = None) -> Outcome:
        if reason is Reason.SPILLED:
            self.house.plans.skip(request.plan, request.model)
        self._effects.reject(request.id, Rejection(reason, detail, wait))
        return Outcome.SPILLED if reason is Reason.SPILLED else Outcome.REJECTED

    def _set_timer(self, at: float | None) -> None:
        if at != self._timer:
            self._timer = at
            self._effects.set_timer(at)
