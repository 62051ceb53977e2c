"""The USE method: utilisation, saturation and errors of each resource against the thresholds. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from coreto.crews.insights.metrics.baseline import Baseline
from coreto.crews.insights.metrics.catalogue import CATALOGUE, Axis, Resource
from coreto.crews.insights.metrics.readings import Reading, SystemMetrics, instance_of, metric_id
from coreto.crews.insights.thresholds import THRESHOLDS, Kind, Threshold
from coreto.messages import Json

Level = Literal["ok", "warn", "crit", "unknown"]
FLAGGED: Final[frozenset[Level]] = frozenset({"warn", "crit"})
RANK: Final[Mapping[Level, int]] = {"unknown": -1, "ok": 0, "warn": 1, "crit": 2}


@dataclass(frozen=True, slots=True)
class UseCheck:
    """One metric against its threshold. ``value``: what was compared, ``None`` where it is missing, and the level
    unknown; ``sustained``: it was measured over long enough to count."""

    metric: str
    threshold: Threshold
    value: float | None
    level: Level
    sustained: bool = True

    @property
    def resource(self) -> Resource:
        return self.threshold.resource

    @property
    def axis(self) -> Axis:
        return self.threshold.axis

    @property
    def kind(self) -> Kind:
        return self.threshold.kind

    @property
    def flagged(self) -> bool:
        return self.level in FLAGGED

    @property
    def strong(self) -> bool:
        """Whether it is enough for a finding."""
        return self.flagged and self.threshold.alone and self.sustained

    @property
    def margin(self) -> float:
        """How far it is over the threshold: 0 at ``warn``, 1 at ``crit``, at most 2; negative below."""
        if self.value is None:
            return -1.0
        held = self.threshold
        if held.crit == held.warn:
            return 1.0 if self.flagged else -1.0
        return max(-1.0, min(2.0, (self.value - held.warn) / (held.crit - held.warn)))

    @property
    def passed(self) -> str:
        """The id of the threshold that was reached, or else of the first."""
        return f"threshold:{self.threshold.metric}.{'crit' if self._is_critical else 'warn'}"

    @property
    def _is_critical(self) -> bool:
        return self.value is not None and self.value >= self.threshold.crit

    def as_json(self) -> Json:
        return {
            "metric": self.metric,
            "resource": self.resource,
            "axis": self.axis,
            "kind": self.kind,
            "value": self.value,
            "unit": CATALOGUE[self.threshold.metric].unit,
            "warn": self.threshold.warn,
            "crit": self.threshold.crit,
            "level": self.level,
            "counts": self.strong,
        }


def use_checks(metrics: SystemMetrics, baseline: Baseline | None = None) -> tuple[UseCheck, ...]:
    """Every threshold against ``metrics``, one check an instance, in the table's order. ``baseline``: of earlier
    snapshots, for counters since boot."""
    return tuple(check for held in THRESHOLDS.values() for check in _checks(held, metrics, baseline))


def _checks(held: Threshold, metrics: SystemMetrics, baseline: Baseline | None) -> Iterator[UseCheck]:
    readings = list(metrics.named(held.metric))
    if not readings:
        yield UseCheck(held.metric, held, None, "unknown")
    for reading in readings:
        value = _counted(reading, metrics, baseline) if held.counter else reading.value
        level = _level(value, held)
        if level in FLAGGED and _is_relieved(held, reading, metrics):
            level = "warn" if level == "crit" else "ok"
        sustained = CATALOGUE[held.metric].state or reading.window_s >= held.needs_s
        yield UseCheck(reading.metric, held, value, level, sustained)


def _level(value: float | None, held: Threshold) -> Level:
    if value is None:
        return "unknown"
    return "crit" if value >= held.crit else "warn" if value >= held.warn else "ok"


def _counted(reading: Reading, metrics: SystemMetrics, baseline: Baseline | None) -> float | None:
    """What a counter since boot has counted since the last snapshot; unknown without one of the same run."""
    if baseline is None or not metrics.boot or (baseline.host, baseline.boot) != (metrics.host, metrics.boot):
        return None
    last = baseline.last(reading.metric)
    if reading.value is None or last is None or reading.value < last:
        return None
    return reading.value - last


def _is_relieved(held: Threshold, reading: Reading, metrics: SystemMetrics) -> bool:
    if held.relief is None:
        return False
    name, least = held.relief
    value = metrics.value(metric_id(name, instance_of(reading.metric)))
    return value is not None and value >= least
