"""Where a failed run goes on: pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from coreto.runs.errors import RunError


@dataclass(frozen=True, slots=True)
class StepRecord:
    """A step that was recorded. ``number``: its place in the run; times are epoch milliseconds; ``failed``: it failed,
    or some of its branches did; ``signal``: it is one that was waited for; ``own``: the workflow's own, not one of the engine's."""

    number: int
    name: str
    started_ms: int | None = None
    ended_ms: int | None = None
    failed: bool = False
    signal: bool = False
    own: bool = True


def restart_at(steps: Sequence[StepRecord], step: str | None = None) -> int:
    """The number of the first step that is done again: ``step``, or the first of those after the last one that did not
    fail. Raises :class:`RunError` when there is no such step."""
    if step is not None:
        for one in steps:
            if one.name == step:
                return one.number
        raise RunError(f"the run has no step {step!r}")
    number = steps[-1].number + 1 if steps else 1
    for one in reversed(steps):
        if not one.failed:
            break
        number = one.number
    return number
