"""Raw figures of one moment, by name and instance. What a system does not tell is not in a sample."""

from collections.abc import Mapping
from dataclasses import dataclass

from coreto.crews.insights.metrics.readings import Source

Key = tuple[str, str]
"""A raw figure's name and instance (a core, a disk, a mount point …), which is empty where there is one only."""

Figures = dict[Key, float]


@dataclass(frozen=True, slots=True)
class Sample:
    """``at``: seconds since 1970; ``monotonic``: seconds that only go forward, for rates. Counters count from the
    machine's start, in seconds, bytes or events."""

    at: float
    monotonic: float
    source: Source
    host: str
    boot: str
    n_cpu: int | None
    figures: Mapping[Key, float]
