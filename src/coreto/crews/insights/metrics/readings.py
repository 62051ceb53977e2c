"""The snapshot: one reading a metric. What is missing has no value; it is never 0."""

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal, cast

import orjson

from coreto.messages import Json, as_object, as_objects

Unit = Literal["percent", "bytes", "bytes/s", "per second", "count", "ms", "per cpu"]
Source = Literal["proc", "psutil", "prometheus"]
Missing = Literal["absent", "nan", "stale"]
"""``absent``: the system does not tell. ``nan``: there is no such figure just now, as the latency of a disk that did
nothing. ``stale``: it is too old to be true."""

_NAMED: Mapping[str, str] = MappingProxyType({})


_LONGEST_INSTANCE = 120


def metric_id(name: str, instance: str = "") -> str:
    """The id of a metric: ``memory.used``, or ``fs.used[/var]`` where there are several. What a name of a mount point
    may hold and an id may not is left out of it."""
    clean = "".join(c for c in instance if c.isprintable() and c not in "[]`")[:_LONGEST_INSTANCE]
    return f"{name}[{clean}]" if clean else name


def name_of(metric: str) -> str:
    """The name in an id, without its instance."""
    return metric.partition("[")[0]


def instance_of(metric: str) -> str:
    """Which of several an id means; empty where there is one only."""
    _, bracket, rest = metric.partition("[")
    return rest.removesuffix("]") if bracket else ""


@dataclass(frozen=True, slots=True)
class Robust:
    """What is usual: the median of ``n`` earlier values, and ``mad``, the median distance from it."""

    median: float
    mad: float
    n: int

    def z(self, value: float) -> float:
        """How unusual ``value`` is, in robust standard deviations. A flat history counts as 1 % of its median."""
        spread = max(self.mad * 1.4826, abs(self.median) * 0.01, 1e-9)
        return (value - self.median) / spread


@dataclass(frozen=True, slots=True)
class Reading:
    """One metric. ``at``: when, in seconds since 1970; ``window_s``: over how many seconds, 0 where it is a state.
    ``missing`` says why there is no ``value``, and ``reason`` in words."""

    metric: str
    value: float | None
    unit: Unit
    at: float
    window_s: float
    source: Source
    labels: Mapping[str, str] = field(default_factory=lambda: _NAMED)
    missing: Missing | None = None
    reason: str = ""

    def __post_init__(self) -> None:
        """Raises :class:`ValueError` for a reading with neither or both of value and reason to be missing."""
        if (self.value is None) == (self.missing is None):
            raise ValueError(f"{self.metric}: either a value or why it is missing")
        if self.value is not None and not math.isfinite(self.value):
            raise ValueError(f"{self.metric}: {self.value} is no value")

    def as_json(self) -> Json:
        return {
            "metric": self.metric,
            "value": self.value,
            "unit": self.unit,
            "at": self.at,
            "window_s": self.window_s,
            "source": self.source,
            "labels": dict(self.labels),
            "missing": self.missing,
            "reason": self.reason,
        }

    @classmethod
    def from_json(cls, shown: Json) -> "Reading":
        """The reading that :meth:`as_json` showed."""
        return cls(
            metric=str(shown["metric"]),
            value=None if shown["value"] is None else float(shown["value"]),
            unit=cast("Unit", shown["unit"]),
            at=float(shown["at"]),
            window_s=float(shown["window_s"]),
            source=cast("Source", shown["source"]),
            labels={str(key): str(value) for key, value in as_object(shown["labels"]).items()},
            missing=cast("Missing | None", shown["missing"]),
            reason=str(shown["reason"]),
        )


@dataclass(frozen=True, slots=True)
class SystemMetrics:
    """A machine at one moment. ``taken_at``: seconds since 1970; ``window_s``: what rates are measured over;
    ``n_cpu`` and ``mem_total`` (bytes) are ``None`` where unknown; ``boot``: names the run of the machine, so that
    counters since its start can be compared; ``baseline``: what is usual."""

    host: str
    taken_at: float
    window_s: float
    n_cpu: int | None
    mem_total: int | None
    readings: Mapping[str, Reading]
    boot: str = ""
    baseline: Mapping[str, Robust] | None = None

    def value(self, metric: str) -> float | None:
        """The value of ``metric``; ``None`` where it is missing, for whatever reason."""
        reading = self.readings.get(metric)
        return None if reading is None else reading.value

    def named(self, name: str) -> Iterator[Reading]:
        """The readings of ``name``, one an instance, missing ones too."""
        return (reading for metric, reading in self.readings.items() if name_of(metric) == name)

    @property
    def fingerprint(self) -> str:
        """A digest of all that was measured: two snapshots that share it are the same."""
        shown = orjson.dumps(self.as_json() | {"baseline": None}, option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(shown).hexdigest()[:16]

    def with_baseline(self, baseline: Mapping[str, Robust] | None) -> "SystemMetrics":
        """The same, knowing what is usual."""
        return replace(self, baseline=baseline)

    def aged(self, now: float, most_s: float) -> "SystemMetrics":
        """The same at ``now`` (seconds since 1970): readings older than ``most_s`` have become stale."""
        fresh = {metric: _aged(reading, now, most_s) for metric, reading in self.readings.items()}
        return replace(self, readings=fresh)

    def as_json(self) -> Json:
        usual = self.baseline
        return {
            "host": self.host,
            "taken_at": self.taken_at,
            "window_s": self.window_s,
            "n_cpu": self.n_cpu,
            "mem_total": self.mem_total,
            "boot": self.boot,
            "readings": [reading.as_json() for reading in self.readings.values()],
            "baseline": None
            if usual is None
            else {metric: [robust.median, robust.mad, robust.n] for metric, robust in usual.items()},
        }

    @classmethod
    def from_json(cls, shown: Json) -> "SystemMetrics":
        """The snapshot that :meth:`as_json` showed."""
        readings = map(Reading.from_json, as_objects(shown["readings"]))
        usual = shown.get("baseline")
        return cls(
            host=str(shown["host"]),
            taken_at=float(shown["taken_at"]),
            window_s=float(shown["window_s"]),
            n_cpu=shown["n_cpu"],
            mem_total=shown["mem_total"],
            boot=str(shown["boot"]),
            readings={reading.metric: reading for reading in readings},
            baseline=None
            if usual is None
            else {
                metric: Robust(float(kept[0]), float(kept[1]), int(kept[2]))
                for metric, kept in as_object(usual).items()
            },
        )


def _aged(reading: Reading, now: float, most_s: float) -> Reading:
    age = now - reading.at
    if reading.missing is not None or age <= most_s:
        return reading
    return replace(reading, value=None, missing="stale", reason=f"{age:.0f} s old")
