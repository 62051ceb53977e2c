"""Announced plans: which models will be asked for next, and how often."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from coreto.residency.model import ModelId, PlanId, Step


@dataclass(slots=True)
class _Plan:
    """``steps``: what is left, with calls left. ``active``: its calls that wait or run. ``silent_since``: when the
    last one ended, or the plan was announced."""

    steps: list[Step]
    silent_since: float
    active: int = 0


@dataclass(slots=True)
class Plans:
    """The plans that are going on. ``ttl``: seconds of silence after which one is forgotten: a crew may die."""

    ttl: float
    _plans: dict[PlanId, _Plan] = field(default_factory=dict[PlanId, _Plan])

    def __bool__(self) -> bool:
        return bool(self._plans)

    def announce(self, plan: PlanId, steps: Iterable[Step], now: float) -> None:
        """``steps`` are what is left of ``plan``, in place of what it said before; none: it is over."""
        left = [step for step in steps if step.calls > 0]
        known = self._plans.get(plan)
        if not left and (known is None or not known.active):
            self._plans.pop(plan, None)
        elif known is None:
            self._plans[plan] = _Plan(left, now)
        else:
            known.steps, known.silent_since = left, now

    def begin(self, plan: PlanId | None, model: ModelId) -> None:
        """A call of ``plan`` came. Parts before the one that it belongs to are over."""
        known = self._plans.get(plan) if plan is not None else None
        if known is None:
            return
        known.active += 1
        at = next((i for i, step in enumerate(known.steps) if step.model == model), None)
        if at is None:
            return
        step = known.steps[at]
        known.steps = [Step(model, step.calls - 1), *known.steps[at + 1 :]]
        if step.calls <= 1:
            known.steps = known.steps[1:]

    def end(self, plan: PlanId | None, now: float) -> None:
        """A call of ``plan`` ended, or was given up."""
        known = self._plans.get(plan) if plan is not None else None
        if known is None or plan is None:
            return
        known.active -= 1
        known.silent_since = now
        if not known.steps and not known.active:
            del self._plans[plan]

    def skip(self, plan: PlanId | None, model: ModelId) -> None:
        """A call of ``plan`` is made elsewhere."""
        known = self._plans.get(plan) if plan is not None else None
        if known is not None:
            silent_since = known.silent_since
            self.begin(plan, model)
            self.end(plan, silent_since)

    def forget_silent(self, now: float) -> None:
        """Drop the plans that have said nothing for the ``ttl``."""
        gone = [
            p for p, known in self._plans.items() if not known.active and known.silent_since + self.ttl <= now
        ]
        for plan in gone:
            del self._plans[plan]

    def needs(self) -> Counter[ModelId]:
        """Calls announced and not yet begun, by model."""
        counts: Counter[ModelId] = Counter()
        for known in self._plans.values():
            for step in known.steps:
                counts[step.model] += step.calls
        return counts

    def expected(self) -> dict[ModelId, float]:
        """The models that a plan will ask for next, whose calls are all over: each with the time since which the
        latest of them has been silent. In the order in which the plans fell silent."""
        out: dict[ModelId, float] = {}
        for known in sorted(self._plans.values(), key=lambda known: known.silent_since):
            if known.steps and not known.active:
                model = known.steps[0].model
                out[model] = max(out.get(model, known.silent_since), known.silent_since)
        return out
