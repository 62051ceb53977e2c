"""What is learned about roles that escalate: how often the local model was not enough, for which prompts.

One gain model a role. A local answer counts as failed when it looked wrong, had to be repaired, or when the
same caller asked the same again shortly after. States hold features, never texts.
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from coreto.clock import Clock
from coreto.errors import DoubtfulError, InvalidOutputError
from coreto.messages import Call, Json
from coreto.resilience.plan import Journal, Plan
from coreto.routing.gain import Gain, GainModel

#: Gain from which the cloud is asked at once. A cloud call costs a fraction of what a wrong answer does; half is
#: careful with the small quota that our users have.
THRESHOLD = 0.5
#: Seconds within which the same question again means that the answer was no good.
AGAIN = 120.0
_MOST_CALLERS = 1024
_FAILED = (DoubtfulError.code, InvalidOutputError.code)


class Experience:
    """The gain models of all roles."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        #: outcomes learned from since the start
        self.learned = 0
        self._models: dict[str, GainModel] = {}
        self._asked: OrderedDict[tuple[str, str | None], tuple[int, float]] = OrderedDict()

    def judge(self, role: str, text: str) -> Gain:
        """How much better the cloud is likely to be for ``text``."""
        return self._of(role).judge(text)

    def learn(self, call: Call, plan: Plan, journal: Journal, text: str) -> None:
        """Take note of how a finished call, which asked ``text``, went on this machine, if it was asked there."""
        local = {c.deployment.id for c in plan.candidates if c.deployment.local}
        first = next((a for a in journal.attempts if a.outcome != "skipped"), None)
        if plan.role is None or first is None or first.deployment not in local:
            return
        if first.outcome != "ok" and first.outcome not in _FAILED:
            return  # down, too slow, out of memory: says nothing of the prompt
        again = self._asks_again((plan.role, call.user or call.tenant), hash(text))
        self.learned += 1
        self._of(plan.role).learn(text, failed=again or first.outcome in _FAILED)

    def _asks_again(self, caller: tuple[str, str | None], question: int) -> bool:
        now = self._clock.monotonic()
        before = self._asked.pop(caller, None)
        self._asked[caller] = (question, now)
        if len(self._asked) > _MOST_CALLERS:
            self._asked.popitem(last=False)
        return before is not None and before[0] == question and now - before[1] <= AGAIN

    def _of(self, role: str) -> GainModel:
        model = self._models.get(role)
        if model is None:
            model = self._models[role] = GainModel()
        return model

    def as_json(self) -> Json:
        """The state of all models, for :meth:`restore`."""
        return {role: model.as_json() for role, model in self._models.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from ``state``. Raises ``ValueError`` for one that is none."""
        self._models = {role: GainModel.from_json(shown) for role, shown in state.items()}
