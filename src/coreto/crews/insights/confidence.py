"""How sure one may be, computed from the figures; no model is ever asked for it. Pure.

The weights are set by hand, not fitted: until machines with known faults have been measured, the number only orders
findings, and its band is what to show.
"""

import math
from dataclasses import dataclass
from typing import Final, Literal

from coreto.crews.insights.findings import Finding
from coreto.crews.insights.metrics.readings import SystemMetrics
from coreto.crews.insights.use import UseCheck
from coreto.messages import Json
from coreto.panel.policy import CAPS, Quality

Band = Literal["high", "medium", "low"]

_LEAST = 5
_HIGH, _MEDIUM = 75, 50
_UNUSUAL = 6.0
"""Robust standard deviations that count as wholly unusual."""

_OLD_S = 300.0
"""Seconds after which a snapshot says nothing any more."""

_BIAS: Final = -1.9
_WEIGHTS: Final = {
    "margin": 1.5,
    "unusual": 0.7,
    "agreement": 1.1,
    "corroboration": 0.8,
    "coverage": 0.9,
    "sustained": 0.7,
}


@dataclass(frozen=True, slots=True)
class Confidence:
    """``percent``: from 5 to the cap of the quality; ``band``: what it is worth showing; ``parts``: what it was made
    of, each from 0 to 1."""

    percent: int
    band: Band
    parts: tuple[tuple[str, float], ...] = ()

    def as_json(self) -> Json:
        return {
            "percent": self.percent,
            "band": self.band,
            "calibrated": False,
            "parts": {name: round(value, 3) for name, value in self.parts},
        }


def confidence_of(finding: Finding, metrics: SystemMetrics, quality: Quality, now: float) -> Confidence:
    """How sure ``finding`` is at ``now``, seconds since 1970.

    Of how far over the threshold and how unusual the worst value is, whether other axes of the same kind agree, what
    else speaks for it, how much of it was measurable, whether it lasted, and how fresh it is.
    """
    worst = finding.checks[0]
    parts = {
        "margin": min(1.0, max(0.0, worst.margin)),
        "unusual": _unusual(worst, metrics),
        "agreement": _agreement(finding),
        "corroboration": min(1.0, (len(finding.checks) - 1) / 3),
        "coverage": len(finding.of_kind) / (len(finding.of_kind) + finding.unknown),
        "sustained": 0.0 if finding.weak or finding.fading else 1.0,
    }
    odds = _BIAS + sum(_WEIGHTS[name] * value for name, value in parts.items())
    freshness = _freshness(metrics, now)
    return _confidence(freshness / (1 + math.exp(-odds)), quality, {**parts, "freshness": freshness})


def confidence_of_none(
    checks: tuple[UseCheck, ...], metrics: SystemMetrics, quality: Quality, now: float
) -> Confidence:
    """How sure it is that nothing is wrong: of how much could be measured, how near the nearest value is to its
    threshold, and how fresh it all is."""
    known = [check for check in checks if check.level != "unknown"]
    coverage = len(known) / len(checks) if checks else 0.0
    judges = [check for check in known if check.threshold.alone]
    nearest = max((min(1.0, (check.value or 0.0) / check.threshold.warn) for check in judges), default=1.0)
    freshness = _freshness(metrics, now)
    parts = {"coverage": coverage, "distance": 1 - nearest, "freshness": freshness}
    return _confidence(freshness * coverage * (1 - 0.5 * nearest**4), quality, parts)


def _confidence(share: float, quality: Quality, parts: dict[str, float]) -> Confidence:
    percent = max(_LEAST, min(CAPS[quality], round(100 * share)))
    band: Band = "high" if percent >= _HIGH else "medium" if percent >= _MEDIUM else "low"
    return Confidence(percent, band, tuple(parts.items()))


def _unusual(worst: UseCheck, metrics: SystemMetrics) -> float:
    """Without a history, half: it may or may not be unusual."""
    usual = (metrics.baseline or {}).get(worst.metric)
    if usual is None or worst.value is None:
        return 0.5
    return min(1.0, max(0.0, usual.z(worst.value)) / _UNUSUAL)


def _agreement(finding: Finding) -> float:
    """1 where every axis that is known agrees; a kind that has one axis only agrees with itself."""
    known = {check.axis for check in finding.of_kind}
    return len({check.axis for check in finding.checks}) / max(1, len(known))


def _freshness(metrics: SystemMetrics, now: float) -> float:
    return min(1.0, max(0.0, 1 - max(0.0, now - metrics.taken_at) / _OLD_S))
