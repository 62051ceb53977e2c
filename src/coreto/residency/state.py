"""What a scheduler knows: who is in memory, who waits, and for how long."""

import math
from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum

from coreto.residency.book import MemoryBook
from coreto.residency.lookahead import Plans
from coreto.residency.model import Hosted, ModelId, Request, RequestId, Rules
from coreto.residency.policy import Tenant
from coreto.residency.rates import Rates
from coreto.residency.turns import Present, Queue, View, Wish


class Phase(StrEnum):
    """Where a model stands. ``lost``: the engine dropped it under a running request, which may bring it back, so
    its room is kept."""

    ABSENT = "absent"
    LOADING = "loading"
    READY = "ready"
    LEAVING = "leaving"
    LOST = "lost"


@dataclass(slots=True)
class Waiting:
    """A request in its queue. ``number``: in order of arrival; ``behind``: seconds spent behind later ones."""

    request: Request
    number: int
    arrived: float
    behind: float = 0.0


@dataclass(slots=True)
class Holder:
    """A granted request: its number, when it began, its plan."""

    request: Request
    number: int
    since: float


@dataclass(slots=True)
class Entry:
    """All about one model. ``size``: bytes it holds now; ``small``: with its smaller context; ``stuck_until``: it
    could not be unloaded, and is not tried again before; ``cleared``: everything was evicted for it already."""

    hosted: Hosted
    phase: Phase = Phase.ABSENT
    size: int = 0
    small: bool = False
    queue: dict[RequestId, Waiting] = field(default_factory=dict[RequestId, Waiting])
    arrived_sum: float = 0.0
    holders: dict[RequestId, Holder] = field(default_factory=dict[RequestId, Holder])
    fresh: bool = False
    last_used: float = 0.0
    moving_since: float = 0.0
    stuck_until: float = -math.inf
    stuck_times: int = 0
    cleared: bool = False
    failed: bool = False

    @property
    def context(self) -> int | None:
        return self.hosted.small_context if self.small else self.hosted.context

    @property
    def head(self) -> Waiting | None:
        """Who has waited here for longest."""
        return next(iter(self.queue.values()), None)

    @property
    def can_serve(self) -> bool:
        """It is there and has a free slot."""
        return self.phase is Phase.READY and len(self.holders) < self.hosted.slots

    def push(self, waiting: Waiting) -> None:
        self.queue[waiting.request.id] = waiting
        self.arrived_sum += waiting.arrived

    def pop(self, request: RequestId) -> Waiting | None:
        waiting = self.queue.pop(request, None)
        if waiting is not None:
            self.arrived_sum = self.arrived_sum - waiting.arrived if self.queue else 0.0
        return waiting


class House:
    """The state of one host. Changed by its scheduler only."""

    def __init__(self, models: tuple[Hosted, ...], budget: int, rules: Rules, home: ModelId | None) -> None:
        self.entries = {model.id: Entry(model) for model in models}
        self.book = MemoryBook.of(models)
        self.budget = budget
        self.rules = rules
        self.home = home
        self.home_away_since: float | None = None
        self.plans = Plans(rules.plan_ttl)
        self.rates = Rates(rules.bandwidth)
        self.switches: deque[float] = deque()
        self.target: ModelId | None = None
        self._aged_at = 0.0

    @property
    def used(self) -> int:
        """Bytes held, by models on their way in or out too."""
        return sum(entry.size for entry in self.entries.values())

    @property
    def waiting(self) -> int:
        """Requests that wait."""
        return sum(len(entry.queue) for entry in self.entries.values())

    @property
    def doubts(self) -> bool:
        """Whether only a look at the engine tells if a model's room is still taken."""
        return any(entry.phase is Phase.LOST and not entry.holders for entry in self.entries.values())

    def offer(self, hosted: Hosted) -> None:
        """Take up a model, or what is newly known of one."""
        entry = self.entries.get(hosted.id)
        if entry is None:
            self.entries[hosted.id] = Entry(hosted)
        else:
            entry.hosted, entry.failed = hosted, False
        self.book.add(hosted)

    def wants_something(self) -> bool:
        """Whether a model should come into memory that is not there."""
        return (
            bool(self.plans)
            or self.home_away_since is not None
            or any(e.queue and e.phase not in (Phase.READY, Phase.LOADING) for e in self.entries.values())
        )

    def need(self, entry: Entry) -> int:
        """Bytes to set aside for a load: the whole budget where nobody knows."""
        need = self.book.need(entry.hosted.id, small=entry.small)
        return self.budget if need is None else need

    def load_seconds(self, entry: Entry) -> float:
        return self.rates.load_seconds(entry.hosted.id, self.need(entry))

    def is_loading(self) -> bool:
        return any(entry.phase is Phase.LOADING for entry in self.entries.values())

    def age(self, now: float) -> None:
        """Charge the time since the last event to those who spent it behind later requests. (Whose model is in
        memory waits for its own kind.)"""
        passed, self._aged_at = now - self._aged_at, now
        if passed <= 0:
            return
        for entry in self.entries.values():
            if entry.queue and entry.phase is not Phase.READY:
                served = self.served_beside(entry)
                for waiting in entry.queue.values():
                    if waiting.number >= served:
                        break
                    waiting.behind += passed

    def served_beside(self, entry: Entry) -> float:
        """The number of the latest request that the host works for on other models; infinite for work that
        nobody has asked for yet, 0 for none."""
        latest = 0.0
        for other in self.entries.values():
            if other is entry:
                continue
            for holder in other.holders.values():
                latest = max(latest, holder.number)
            if other.phase is Phase.LOADING or self.target == other.hosted.id:
                latest = max(latest, other.head.number if other.head else math.inf)
        return latest

    def view(self, now: float) -> View:
        """The state as decisions see it."""
        needs, expected = self.plans.needs(), self.plans.expected()
        horizon = now - self.rules.brake_window
        while self.switches and self.switches[0] <= horizon:
            self.switches.popleft()
        present: list[Present] = []
        queues: list[Queue] = []
        running = 0.0
        for model, entry in self.entries.items():
            if entry.phase is Phase.READY:
                running = max(running, self.rates.longest_seconds(model))
            if entry.phase is not Phase.ABSENT:
                tenant = self._tenant(entry, needs[model], now)
                free = entry.hosted.slots - len(entry.holders) if entry.phase is Phase.READY else 0
                leaving = entry.phase is Phase.LEAVING
                present.append(Present(tenant, max(free, 0), entry.fresh, leaving, expected.get(model)))
            if entry.queue and entry.phase not in (Phase.READY, Phase.LOADING):
                queues.append(self._queue(entry, now))
        return View(
            now,
            self.budget,
            self.rules,
            tuple(present),
            tuple(queues),
            tuple(self._wishes(expected)),
            running,
            len(self.switches),
            self.is_loading(),
        )

    def _tenant(self, entry: Entry, announced: int, now: float) -> Tenant:
        return Tenant(
            entry.hosted.id,
            entry.size,
            busy=bool(entry.holders) or entry.phase is not Phase.READY or entry.stuck_until > now,
            needs=announced + len(entry.queue),
            last_used=entry.last_used,
            home=entry.hosted.id == self.home,
        )

    def _queue(self, entry: Entry, now: float) -> Queue:
        head = entry.head
        assert head is not None
        return Queue(
            entry.hosted.id,
            self.need(entry),
            head.number,
            head.arrived,
            head.behind,
            head.number < self.served_beside(entry),
            len(entry.queue),
            now * len(entry.queue) - entry.arrived_sum,
            self.load_seconds(entry),
        )

    def _wishes(self, expected: dict[ModelId, float]) -> list[Wish]:
        out: list[Wish] = []
        for model, since in expected.items():
            entry = self.entries.get(model)
            if entry is not None and entry.phase is Phase.ABSENT and not entry.failed:
                out.append(Wish(model, self.need(entry), self.load_seconds(entry), since))
        home = self.entries.get(self.home) if self.home is not None else None
        if (
            home is not None
            and self.home_away_since is not None
            and home.phase is Phase.ABSENT
            and not home.failed
        ):
            out.append(
                Wish(
                    home.hosted.id, self.need(home), self.load_seconds(home), self.home_away_since, home=True
                )
            )
        return out
