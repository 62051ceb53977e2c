"""What variants came to: rates with Wilson's interval. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from coreto.prompts.experiments import Experiment
from coreto.stores.prompts import VariantCount

Z95: Final = 1.959963984540054
"""The standard normal distribution's quantile for an interval of 95 %."""


@dataclass(frozen=True, slots=True)
class VariantStats:
    """How a variant did. ``trials``: what the rate is of: all exposures, or those whose outcome is known, as the
    experiment says; ``rate`` is ``None`` without any; ``low`` and ``high``: the interval of 95 %."""

    variant: str
    version: int | None
    weight: int
    exposures: int
    outcomes: int
    successes: int
    trials: int
    rate: float | None
    low: float
    high: float


def wilson(successes: int, trials: int, z: float = Z95) -> tuple[float, float]:
    """Wilson's score interval of a share; (0, 1) without trials."""
    if trials <= 0:
        return 0.0, 1.0
    share = successes / trials
    spread = z * z / trials
    centre = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(share * (1 - share) / trials + spread / (4 * trials))
    # at both ends the bound is exact, which rounding would miss
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == trials else min(1.0, centre + half)
    return low, high


def stats_of(experiment: Experiment, counts: Sequence[VariantCount]) -> tuple[VariantStats, ...]:
    """A line for each variant in the experiment's order, then those that it has no more, by name."""
    known = {one.variant: one for one in counts}
    current = [one.name for one in experiment.variants]
    return tuple(
        _line(experiment, known.get(name, VariantCount(name, 0)))
        for name in (*current, *sorted(set(known) - set(current)))
    )


def _line(experiment: Experiment, count: VariantCount) -> VariantStats:
    variant = experiment.variant(count.variant)
    trials = count.exposures if experiment.unmeasured == "failure" else count.outcomes
    low, high = wilson(count.successes, trials)
    return VariantStats(
        variant=count.variant,
        version=None if variant is None else variant.version,
        weight=0 if variant is None else variant.weight,
        exposures=count.exposures,
        outcomes=count.outcomes,
        successes=count.successes,
        trials=trials,
        rate=count.successes / trials if trials else None,
        low=low,
        high=high,
    )
