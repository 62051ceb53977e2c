"""How much better the cloud would do than the local model on a prompt: a rule that gives way to experience.

The gain is the chance that the local answer will not do. It starts as :func:`rule_gain` says by a prompt's form; what
happened to local answers is fitted to what the rule left over. That part is weighed by :attr:`GainModel.trust`: how
well it told the last outcomes *before* it had learned them, at the lower end of what they bear out. Where it tells
nothing it weighs nothing, and the rule stands.

One model a role; it holds no text, only hashed features of the last few hundred prompts.
"""

import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from coreto.routing.escalation.features import SIZE, features, pack, unpack
from coreto.routing.escalation.ridge import WINDOW, Observation, SlidingRidge
from coreto.routing.escalation.rule import rule_gain

__all__ = ["Gain", "GainModel", "escalates", "rule_gain"]

_VERSION = 1
_OUTCOMES = 200
"""Outcomes by which the learned part is judged."""

_FEWEST = 20
_STANDARD_ERRORS = 1.0
_MARGIN = 0.002
"""Brier score by which the learned part must better the rule to be used at all."""


@dataclass(frozen=True, slots=True)
class Gain:
    """The gain, and what it is made of: ``rule`` + ``trust`` x ``learned``, kept within 0 and 1."""

    value: float
    rule: float
    learned: float
    trust: float

    @property
    def reason(self) -> str:
        """In a few words, for explanations."""
        if self.trust == 0.0:
            return f"gain {self.value:.2f} by length and structure"
        return f"gain {self.value:.2f}: {self.rule:.2f} by length and structure, {self.value - self.rule:+.2f} by experience"


def escalates(gain: float, threshold: float) -> bool:
    """Whether a ``gain`` is worth the cloud. The best ``threshold`` is the price of a cloud call in units of what a
    failed local answer costs."""
    return gain >= threshold


class GainModel:
    """The gain model of one role. ``gain`` takes well under a millisecond, ``learn`` about one."""

    def __init__(self, rule: Callable[[str], float] = rule_gain) -> None:
        self._rule = rule
        self._ridge = SlidingRidge()
        #: what the rule left over of each outcome, and what the learned part said of it before
        self._told: deque[tuple[float, float]] = deque(maxlen=_OUTCOMES)
        self._trust = 0.0

    @property
    def trust(self) -> float:
        """The weight of the learned part, 0 to 1."""
        return self._trust

    @property
    def observations(self) -> int:
        """How many outcomes are remembered."""
        return len(self._ridge.window)

    def gain(self, text: str) -> float:
        """The expected gain of the cloud for ``text``, 0 to 1."""
        return self.judge(text).value

    def judge(self, text: str) -> Gain:
        """The gain for ``text`` with what it is made of."""
        rule = self._rule(text)
        if self._trust == 0.0:
            return Gain(rule, rule, 0.0, 0.0)
        learned = _bounded(self._ridge.tell(features(text)), -1.0)
        return Gain(_bounded(rule + self._trust * learned), rule, learned, self._trust)

    def learn(self, text: str, failed: bool) -> None:
        """Take in how the local answer to ``text`` went. ``failed``: it was repaired, escalated, broke its schema,
        or its user asked again."""
        vector = features(text)
        left_over = float(failed) - self._rule(text)
        self._told.append((left_over, _bounded(self._ridge.tell(vector), -1.0)))
        self._ridge.add(vector, left_over)
        self._trust = trust(self._told)

    def as_json(self) -> dict[str, Any]:
        """The model's state as plain JSON, at most 160 kB, without any text."""
        ridge = self._ridge
        return {
            "version": _VERSION,
            "window": [[pack(one.vector), one.target, one.weight] for one in ridge.window],
            "solution": list(ridge.solution),
            "turn": ridge.turn,
            "told": [list(pair) for pair in self._told],
        }

    @classmethod
    def from_json(cls, state: Mapping[str, Any], rule: Callable[[str], float] = rule_gain) -> "GainModel":
        """The model that :meth:`as_json` wrote; it goes on as if it had never been away.

        Raises ``ValueError`` for what is no such state, or one of another version: begin anew then.
        """
        model = cls(rule)
        try:
            if state["version"] != _VERSION:
                raise ValueError(f"a gain model of version {state['version']!r}")
            model._restore(state)
        except (KeyError, TypeError, AttributeError, OverflowError) as error:
            raise ValueError(f"not a gain model's state: {error!r}") from error
        return model

    def _restore(self, state: Mapping[str, Any]) -> None:
        window = [
            Observation(unpack(packed), _number(target), _number(weight))
            for packed, target, weight in cast("list[tuple[str, Any, Any]]", state["window"])
        ]
        solution = [_number(value) for value in state["solution"]]
        told = [(_number(left), _number(said)) for left, said in state["told"]]
        turn = int(state["turn"])
        if len(window) > WINDOW or len(solution) != SIZE or len(told) > _OUTCOMES or not 0 <= turn <= WINDOW:
            raise ValueError("a gain model's state of another size")
        self._ridge.window.extend(window)
        self._ridge.solution = solution
        self._ridge.turn = turn
        self._told.extend(told)
        self._trust = trust(self._told)


def trust(told: deque[tuple[float, float]]) -> float:
    """How much of what the learned part said (second) the left-overs (first) bear out, 0 to 1.

    The slope of left-overs on what was said of them, less a standard error; nothing when that would not
    have bettered the rule's Brier score by the margin.
    """
    if len(told) < _FEWEST:
        return 0.0
    both = sum(left * said for left, said in told)
    square = sum(said * said for _, said in told)
    if both <= 0.0 or square == 0.0:
        return 0.0
    error = math.sqrt(sum((left * said) ** 2 for left, said in told))
    slope = min(1.0, (both - _STANDARD_ERRORS * error) / square)
    bettered = (2 * slope * both - slope * slope * square) / len(told)
    return slope if slope > 0.0 and bettered > _MARGIN else 0.0


def _bounded(value: float, low: float = 0.0) -> float:
    return min(1.0, max(low, value))


def _number(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("a gain model's state with a number that is none")
    return number
