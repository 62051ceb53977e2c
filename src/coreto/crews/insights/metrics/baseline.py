"""What is usual for a machine: the median of earlier snapshots and the distance from it, kept in a small file."""

import contextlib
import math
import os
import statistics
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final, cast

import orjson

from coreto.crews.insights.metrics.catalogue import CATALOGUE
from coreto.crews.insights.metrics.readings import Robust, SystemMetrics, name_of
from coreto.messages import Json, as_object

KEPT: Final = 64
"""Values of a metric that are kept: the last ones."""

ENOUGH: Final = 8
"""Values from which one may speak of what is usual."""

_FORM = 1
_MOST_METRICS = 400
_LEFT_OUT = frozenset({"process.cpu", "process.memory"})
"""They are of processes that come and go."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """Earlier values of one machine's metrics. ``host``: whose; ``boot``: of which run of it the last were, with
    ``last_at`` in seconds since 1970."""

    host: str = ""
    boot: str = ""
    last_at: float = 0.0
    values: Mapping[str, tuple[float, ...]] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def usual(self) -> Mapping[str, Robust]:
        """What is usual, for the metrics of which enough is known."""
        return {m: robust(kept) for m, kept in self.values.items() if len(kept) >= ENOUGH}

    def last(self, metric: str) -> float | None:
        """The last value of ``metric``; ``None`` where there is none."""
        kept = self.values.get(metric)
        return kept[-1] if kept else None

    def with_snapshot(self, metrics: SystemMetrics) -> "Baseline":
        """The same with one snapshot more. Of another machine: anew. What is missing adds nothing."""
        known = self if self.host in {"", metrics.host} else Baseline()
        values = dict(known.values)
        for metric, reading in metrics.readings.items():
            if reading.value is None or name_of(metric) in _LEFT_OUT:
                continue
            if metric in values or len(values) < _MOST_METRICS:
                values[metric] = (*values.get(metric, ()), round(reading.value, 4))[-KEPT:]
        return replace(known, host=metrics.host, boot=metrics.boot, last_at=metrics.taken_at, values=values)


def robust(values: tuple[float, ...]) -> Robust:
    """The median of ``values``, at least one, and the median distance from it."""
    median = statistics.median(values)
    return Robust(median, statistics.median([abs(value - median) for value in values]), len(values))


def load_baseline(path: Path) -> Baseline:
    """The baseline in ``path``; an empty one where there is none that can be read."""
    try:
        shown = as_object(orjson.loads(path.read_bytes()))
    except (OSError, orjson.JSONDecodeError):
        return Baseline()
    return _read(shown) if shown.get("form") == _FORM else Baseline()


def save_baseline(baseline: Baseline, path: Path) -> None:
    """Write ``baseline`` to ``path``, whole or not at all. Raises :class:`OSError`."""
    shown: Json = {
        "form": _FORM,
        "host": baseline.host,
        "boot": baseline.boot,
        "last_at": baseline.last_at,
        "values": dict(baseline.values),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(orjson.dumps(shown))
        Path(name).replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise


def _read(shown: Json) -> Baseline:
    values: dict[str, tuple[float, ...]] = {}
    for metric, kept in as_object(shown.get("values")).items():
        if name_of(metric) in CATALOGUE and isinstance(kept, list):
            known = [float(value) for value in cast("list[object]", kept) if isinstance(value, int | float)]
            if known and all(map(math.isfinite, known)):
                values[metric] = tuple(known[-KEPT:])
    last = shown.get("last_at")
    return Baseline(
        host=str(shown.get("host", "")),
        boot=str(shown.get("boot", "")),
        last_at=float(last) if isinstance(last, int | float) else 0.0,
        values=values,
    )
