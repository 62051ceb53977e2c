"""Ridge regression over a sliding window, solved a little with every observation.

The solution is a weighted sum of the window's vectors. Adding an observation sets its own weight and goes over some
of the others (dual coordinate ascent), so that each update costs the same, about 0.4 ms, and nothing is ever solved
in one go; forgetting an observation takes its share out again.
"""

from collections import deque
from dataclasses import dataclass

from coreto.routing.escalation.features import SIZE, UNIT, Vector

WINDOW = 500
"""Observations that are remembered, and after how many a drift is over: 250 cost 19 % more regret where topics
matter, 600 cost 7 % more after these changed."""

PENALTY = 1.0
"""Against the squared length of a vector, 1.3 to 2."""

_SWEEP = 48
"""Older observations gone over with each new one; each is met some fifty times before it is forgotten."""


@dataclass(slots=True)
class Observation:
    """A vector, what was to be told of it, and its weight in the solution."""

    vector: Vector
    target: float
    weight: float = 0.0


class SlidingRidge:
    """``tell`` gives the value for a vector, ``add`` an observed one."""

    def __init__(self) -> None:
        self.window: deque[Observation] = deque()
        self.solution = [0.0] * SIZE
        self.turn = 0

    def tell(self, vector: Vector) -> float:
        """The fitted value for ``vector``; 0 before anything was added."""
        solution = self.solution
        return sum(solution[place] * value for place, value in vector) / UNIT

    def add(self, vector: Vector, target: float) -> None:
        """Take ``target`` as what was observed for ``vector``, forgetting the oldest beyond the window."""
        if len(self.window) >= WINDOW:
            oldest = self.window.popleft()
            self._shift(oldest.vector, -oldest.weight)
        newest = Observation(vector, target)
        self.window.append(newest)
        self._ascend(newest)
        for _ in range(min(_SWEEP, len(self.window) - 1)):
            self.turn = (self.turn + 1) % len(self.window)
            self._ascend(self.window[self.turn])

    def _ascend(self, one: Observation) -> None:
        """Set the weight of ``one`` to what is best while the others keep theirs."""
        square = sum(value * value for _, value in one.vector) / (UNIT * UNIT)
        change = (one.target - self.tell(one.vector) - PENALTY * one.weight) / (PENALTY + square)
        one.weight += change
        self._shift(one.vector, change)

    def _shift(self, vector: Vector, change: float) -> None:
        solution, step = self.solution, change / UNIT
        for place, value in vector:
            solution[place] += step * value
