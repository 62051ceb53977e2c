"""The five kinds of work, and what is computed from their scores."""

import math
from collections.abc import Sequence
from typing import Final, Literal, get_args

Task = Literal["planning", "execution", "code", "ui", "conversation"]
"""``planning`` includes reasoning, analysis, strategy, self-reflection and the choice of tools;
``execution`` is to do, run, fetch or send something; ``code`` to write, mend or explain it; ``ui`` is what
people see and touch; ``conversation`` is talk, facts and opinions."""

TASKS: Final[tuple[Task, ...]] = get_args(Task)

Scores = Sequence[float]
"""One number a task, in the order of :data:`TASKS`; the greatest wins."""


def task(name: str) -> Task:
    """``name`` as a task. Raises ``ValueError`` naming the valid ones."""
    if name not in TASKS:
        raise ValueError(f"unknown task {name!r}; one of: {', '.join(TASKS)}")
    return name


def best(scores: Scores) -> Task:
    """The task with the greatest score; the earlier one of equals."""
    return TASKS[max(range(len(TASKS)), key=scores.__getitem__)]


def margin(scores: Scores) -> float:
    """How far the greatest score is above the second."""
    first, second = sorted(scores, reverse=True)[:2]
    return first - second


def probabilities(scores: Scores, sharpness: float) -> tuple[float, ...]:
    """``scores`` as probabilities (softmax); ``sharpness`` is fitted so that they mean what they say."""
    top = max(scores)
    powers = [math.exp(sharpness * (score - top)) for score in scores]
    total = sum(powers)
    return tuple(power / total for power in powers)
