"""Counters, gauges and histograms, and their text in Prometheus' exposition format (0.0.4)."""

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate

MOST_SERIES = 1000
"""Label values beyond so many combinations of one metric are counted as ``other``."""

OTHER = "other"

Labels = tuple[str, ...]


class Counter:
    """A sum for each combination of label values."""

    kind = "counter"

    def __init__(self, name: str, meaning: str, labels: Sequence[str] = ()) -> None:
        self.name = name
        self.meaning = meaning
        self._labels = tuple(labels)
        self._values: dict[Labels, float] = {} if labels else {(): 0}

    def add(self, labels: Labels, amount: float = 1) -> None:
        """Add ``amount`` to the series of ``labels``."""
        values = self._values
        known = values.get(labels)
        if known is None:
            labels = _bounded(values, labels)
            known = values.get(labels, 0)
        values[labels] = known + amount

    def lines(self) -> Iterator[str]:
        """The samples, a line each."""
        for labels, value in self._values.items():
            yield f"{self.name}{_shown(self._labels, labels)} {_figure(value)}"


class Gauge:
    """Values that are asked for when somebody looks."""

    kind = "gauge"

    def __init__(
        self,
        name: str,
        meaning: str,
        labels: Sequence[str],
        read: Callable[[], Iterable[tuple[Labels, float]]],
    ) -> None:
        self.name = name
        self.meaning = meaning
        self._labels = tuple(labels)
        self._read = read

    def lines(self) -> Iterator[str]:
        """The samples, a line each."""
        for labels, value in self._read():
            yield f"{self.name}{_shown(self._labels, labels)} {_figure(value)}"


class CounterOf(Gauge):
    """A counter that somebody else keeps."""

    kind = "counter"


class Histogram:
    """How often values fell below each of ``bounds`` (ascending), for each combination of label values."""

    kind = "histogram"

    def __init__(self, name: str, meaning: str, labels: Sequence[str], bounds: Sequence[float]) -> None:
        self.name = name
        self.meaning = meaning
        self._labels = tuple(labels)
        self._bounds = tuple(bounds)
        self._counts: dict[Labels, list[int]] = {}
        self._sums: dict[Labels, float] = {}

    def observe(self, labels: Labels, value: float) -> None:
        """Count ``value`` in the series of ``labels``."""
        counts = self._counts.get(labels)
        if counts is None:
            labels = _bounded(self._counts, labels)
            counts = self._counts.setdefault(labels, [0] * (len(self._bounds) + 1))
            self._sums.setdefault(labels, 0.0)
        counts[bisect_left(self._bounds, value)] += 1
        self._sums[labels] += value

    def lines(self) -> Iterator[str]:
        """The samples, a line each."""
        names = (*self._labels, "le")
        for labels, counts in self._counts.items():
            running = list(accumulate(counts))
            for bound, count in zip((*self._bounds, None), running, strict=True):
                le = "+Inf" if bound is None else _figure(bound)
                yield f"{self.name}_bucket{_shown(names, (*labels, le))} {count}"
            shown = _shown(self._labels, labels)
            yield f"{self.name}_sum{shown} {_figure(self._sums[labels])}"
            yield f"{self.name}_count{shown} {running[-1]}"


Metric = Counter | Gauge | Histogram


def exposition(metrics: Iterable[Metric]) -> str:
    """The text of ``metrics``; those without samples are announced all the same."""
    lines: list[str] = []
    for metric in metrics:
        lines += (f"# HELP {metric.name} {metric.meaning}", f"# TYPE {metric.name} {metric.kind}")
        lines += metric.lines()
    return "\n".join(lines) + "\n"


def _bounded(series: dict[Labels, float] | dict[Labels, list[int]], labels: Labels) -> Labels:
    return labels if len(series) < MOST_SERIES else (OTHER,) * len(labels)


def _shown(names: Labels, values: Labels) -> str:
    if not names:
        return ""
    pairs = (f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True))
    return "{" + ",".join(pairs) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _figure(value: float) -> str:
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))
