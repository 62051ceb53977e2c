"""What is wrong with a machine, most important first. Pure.

For each kind of thing that can be wrong:

1. A check that holds alone, over long enough, is flagged: a **finding**, as bad as the worst of these.
2. None of those is known at all (no pressure files, no figure): two flagged checks on different axes make a
   **warning**.
3. Flagged checks that are not enough are **held**: shown, but no finding.
4. Else nothing is wrong, as far as is known.

A finding of averages whose own figures of this moment are fine **fades**: it was so in the last seconds and is over. It is a
warning at most.

Ranking: critical before warning; what fades last; what explains another finding before it; then by how far over the threshold
it is, and how much else speaks for it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from coreto.crews.insights.causes import explains
from coreto.crews.insights.claims import Claim
from coreto.crews.insights.metrics.baseline import Baseline
from coreto.crews.insights.metrics.catalogue import CATALOGUE, Resource
from coreto.crews.insights.metrics.readings import SystemMetrics, instance_of, name_of
from coreto.crews.insights.thresholds import KINDS, Kind
from coreto.crews.insights.units import stated
from coreto.crews.insights.use import RANK, UseCheck, use_checks
from coreto.messages import Json

_MOST_CHECKS = 4
"""Flagged checks whose numbers are told."""

_WEIGHT = {"utilisation": 1.0, "saturation": 1.0, "errors": 1.5}
_BESIDE_WEIGHT = 0.5
"""What a flagged check of an axis counts in the ranking, and one that is no trouble by itself."""

_AT_ONCE = 1.0
"""Seconds over which a metric is measured that its kernel also averages."""

_OVER = 0.25
"""Share of a threshold below which a figure of this moment says that the trouble is over."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong. ``checks``: the flagged ones, worst first; ``claims``: the evidence, each of them
    true; ``of_kind``: all checks of the kind that are known, and ``unknown``: how many are not; ``explained_by``:
    findings that may be its cause; ``score``: for the ranking; ``weak``: by rule 2; ``fading``: it is over already."""

    kind: Kind
    level: Literal["warn", "crit"]
    checks: tuple[UseCheck, ...]
    claims: tuple[Claim, ...]
    of_kind: tuple[UseCheck, ...]
    unknown: int
    score: float
    weak: bool = False
    fading: bool = False
    explained_by: tuple[Kind, ...] = ()

    @property
    def resource(self) -> Resource:
        return self.checks[0].resource

    @property
    def where(self) -> str:
        """Which disk, file system or interface; empty where there is one only."""
        return instance_of(self.checks[0].metric)

    def as_json(self) -> Json:
        return {
            "kind": self.kind,
            "level": self.level,
            "resource": self.resource,
            "where": self.where,
            "claims": [claim.as_json() for claim in self.claims],
            "fading": self.fading,
            "explained_by": list(self.explained_by),
        }


def findings(metrics: SystemMetrics, baseline: Baseline | None = None) -> tuple[Finding, ...]:
    """What is wrong, most important first; nothing where nothing is over its threshold. ``baseline``: of earlier
    snapshots, for what has been counted since."""
    return findings_of(use_checks(metrics, baseline), metrics)


def findings_of(checks: Sequence[UseCheck], metrics: SystemMetrics) -> tuple[Finding, ...]:
    """The same, of the checks that were made on ``metrics``."""
    of_kinds = [_finding(kind, [c for c in checks if c.kind == kind], metrics) for kind in KINDS]
    found = [finding for finding in of_kinds if finding is not None]
    return tuple(_ranked([_explained(finding, found) for finding in found]))


def held_back(checks: Iterable[UseCheck], found: Iterable[Finding]) -> tuple[UseCheck, ...]:
    """The flagged checks that no finding tells of: busy but nobody waits, or only for a moment."""
    told = {check.metric for finding in found for check in finding.checks}
    return tuple(check for check in checks if check.flagged and check.metric not in told)


def _finding(kind: Kind, checks: Sequence[UseCheck], metrics: SystemMetrics) -> Finding | None:
    known = [check for check in checks if check.level != "unknown"]
    flagged = sorted((check for check in known if check.flagged), key=_severity, reverse=True)
    strong = [check for check in flagged if check.strong]
    judges = [check for check in known if check.threshold.alone and check.sustained]
    if strong:
        critical, weak = any(check.level == "crit" for check in strong), False  # 1
        flagged = [*strong, *(check for check in flagged if not check.strong)]
    elif not judges and len({check.axis for check in flagged}) > 1:
        critical, weak = False, True  # 2
    else:
        return None  # 3, 4
    fading = _is_over(strong, known)
    score = sum(_weight(check) * (1 + max(0.0, check.margin)) for check in flagged[:_MOST_CHECKS])
    return Finding(
        kind=kind,
        level="crit" if critical and not fading else "warn",
        checks=tuple(flagged),
        claims=_evidence(kind, flagged, metrics),
        of_kind=tuple(known),
        unknown=len(checks) - len(known),
        score=score,
        weak=weak,
        fading=fading,
    )


def _is_over(strong: Sequence[UseCheck], known: Sequence[UseCheck]) -> bool:
    """Whether what is wrong is so by averages of the last seconds only, and their figures of this moment are fine."""
    now = [check for check in known if check.threshold.needs_s > _AT_ONCE and check.threshold.alone]
    averages = all(CATALOGUE[check.threshold.metric].span_s > 0 for check in strong)
    return (
        bool(strong and now)
        and averages
        and all(c.value is not None and c.value < _OVER * c.threshold.warn for c in now)
    )


def _weight(check: UseCheck) -> float:
    return _WEIGHT[check.axis] if check.threshold.alone else _BESIDE_WEIGHT


def _severity(check: UseCheck) -> tuple[bool, int, float, float]:
    return check.strong, RANK[check.level], check.margin, check.value or 0.0


def _evidence(kind: Kind, flagged: Sequence[UseCheck], metrics: SystemMetrics) -> tuple[Claim, ...]:
    """Claims of what was over its threshold, and of what goes with it."""
    claims = [_exceeds(check, metrics) for check in flagged[:_MOST_CHECKS]]
    told = {claim.metric for claim in claims if claim is not None}
    beside = [metric for metric in _beside(kind, flagged[0], metrics) if metric not in told]
    return tuple(
        claim for claim in (*claims, *(_is(metric, metrics) for metric in beside)) if claim is not None
    )


def _exceeds(check: UseCheck, metrics: SystemMetrics) -> Claim | None:
    claim = _is(check.metric, metrics)
    if claim is None or check.threshold.counter:
        return claim
    return Claim(claim.metric, claim.value, claim.unit, "exceeds", check.passed)


def _is(metric: str, metrics: SystemMetrics) -> Claim | None:
    value = metrics.value(metric)
    if value is None:
        return None
    number, unit = stated(value, CATALOGUE[name_of(metric)].unit)
    return Claim(metric, number, unit)


_BESIDE: dict[str, tuple[str, ...]] = {
    "cpu": ("cpu.busy", "process.cpu"),
    "memory": ("memory.available", "process.memory"),
    "storage.slow": ("disk.write", "disk.read", "disk.latency"),
    "storage.full": ("fs.free",),
    "storage.inodes": ("fs.free",),
    "network": ("net.receive", "net.send"),
}
"""What is told beside the flagged metrics, by kind or resource."""


def _beside(kind: Kind, worst: UseCheck, metrics: SystemMetrics) -> list[str]:
    wanted = _BESIDE.get(kind) or _BESIDE.get(worst.resource, ())
    beside: list[str] = []
    for name in wanted:
        readings = [r for r in metrics.named(name) if r.value or (r.value == 0 and name.startswith("fs."))]
        same = [r for r in readings if instance_of(r.metric) == instance_of(worst.metric)]
        readings = sorted(same or readings, key=lambda r: r.value or 0.0, reverse=True)
        if name.startswith("fs.") and not same:
            continue
        beside += [reading.metric for reading in readings[:1]]
    return beside


def _explained(finding: Finding, found: Sequence[Finding]) -> Finding:
    causes = tuple(other.kind for other in found if explains(other.kind, finding.kind))
    return replace(finding, explained_by=causes)


def _ranked(found: Sequence[Finding]) -> list[Finding]:
    """By level and score; but a cause of the same level comes before what it explains."""
    left = sorted(found, key=_importance, reverse=True)
    ranked: list[Finding] = []
    while left:
        waiting = {finding.kind for finding in left if _importance(finding)[:2] == _importance(left[0])[:2]}
        first = next((finding for finding in left if not waiting.intersection(finding.explained_by)), left[0])
        left.remove(first)
        ranked.append(first)
    return ranked


def _importance(finding: Finding) -> tuple[int, bool, float]:
    return RANK[finding.level], not finding.fading, finding.score
