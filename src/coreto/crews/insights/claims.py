"""What somebody says about a machine, as a typed claim, and whether it is true of the snapshot. Pure; never raises."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal, get_args

from coreto.crews.insights.metrics.baseline import ENOUGH
from coreto.crews.insights.metrics.catalogue import metric_of
from coreto.crews.insights.metrics.readings import SystemMetrics, name_of
from coreto.crews.insights.thresholds import THRESHOLDS
from coreto.crews.insights.units import CONVERSIONS
from coreto.messages import Json

Relation = Literal["is", "exceeds", "rose", "fell"]
RELATIONS: Final[tuple[Relation, ...]] = get_args(Relation)

Fault = Literal["", "unknown_metric", "missing", "unit", "value", "reference", "relation"]
"""Why a claim is not accepted: there is no such metric; nobody knows its value; the unit is not its own; the value is
not what was measured; what it is compared with is not there; the comparison does not hold."""

_MOST_OFF = 0.05
"""Share by which a rounded value may differ: "1" is not what one says of 1.4."""

_LARGEST_EXPONENT = 30
_PLAIN = re.compile(r"-?[0-9]{1,30}(?:\.[0-9]{1,30})?")
_UNUSUAL = 3.0
"""Robust standard deviations from which a value rose or fell."""


@dataclass(frozen=True, slots=True)
class Claim:
    """``metric`` has ``value`` in ``unit``, and stands in ``relation`` to ``reference``: nothing for "is"; another
    metric's id, ``threshold:<name>.warn``, ``threshold:<name>.crit`` or ``baseline:<id>`` for "exceeds"; the metric's
    own baseline for "rose" and "fell"."""

    metric: str
    value: Decimal
    unit: str
    relation: Relation = "is"
    reference: str | None = None

    def as_json(self) -> Json:
        return {
            "metric": self.metric,
            "value": str(self.value),
            "unit": self.unit,
            "relation": self.relation,
            "reference": self.reference,
        }


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a claim is true of the snapshot. ``fault``: why it is not."""

    accepted: bool
    fault: Fault = ""


_TRUE: Final = Verdict(accepted=True)


def read_claim(shown: Mapping[str, object]) -> Claim | None:
    """The claim in a model's JSON; ``None`` where it is none. Nothing in it is believed by this."""
    metric, value, unit = shown.get("metric"), shown.get("value"), shown.get("unit")
    relation, reference = shown.get("relation", "is"), shown.get("reference")
    if not isinstance(metric, str) or not isinstance(unit, str) or relation not in RELATIONS:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if reference is not None and not isinstance(reference, str):
        return None
    number = _decimal(str(value))
    return None if number is None else Claim(metric, number, unit, relation, reference or None)


def check(claim: Claim, metrics: SystemMetrics) -> Verdict:
    """Whether ``claim`` is true of ``metrics``:

    1. there is no such metric: ``unknown_metric``; 2. its value is not known: ``missing``;
    3. the unit is of another kind: ``unit``;
    4. the value is not the measured one at the stated precision, or that precision is too coarse: ``value``;
    5. the relation needs a reference that is not there, or has one that it does not take: ``reference``;
    6. the relation does not hold: ``relation``.
    """
    measured = metric_of(claim.metric)
    reading = metrics.readings.get(claim.metric)
    if measured is None or reading is None:
        return Verdict(accepted=False, fault="unknown_metric")  # 1
    if reading.value is None:
        return Verdict(accepted=False, fault="missing")  # 2
    unit, factor = CONVERSIONS.get(claim.unit, (None, Decimal(1)))
    if unit != reading.unit:
        return Verdict(accepted=False, fault="unit")  # 3
    if not _is_stated(claim.value, factor, reading.value):
        return Verdict(accepted=False, fault="value")  # 4
    if claim.relation == "is":
        return _TRUE if claim.reference is None else Verdict(accepted=False, fault="reference")  # 5
    if claim.relation == "exceeds":
        bound = _bound(claim, metrics)
        if bound is None:
            return Verdict(accepted=False, fault="reference")  # 5
        limit, inclusive = bound
        holds = reading.value > limit or (inclusive and reading.value == limit)
        return _TRUE if holds else Verdict(accepted=False, fault="relation")  # 6
    return _moved(claim, metrics, reading.value)


def _moved(claim: Claim, metrics: SystemMetrics, value: float) -> Verdict:
    usual = (metrics.baseline or {}).get(claim.metric)
    if usual is None or usual.n < ENOUGH or claim.reference != f"baseline:{claim.metric}":
        return Verdict(accepted=False, fault="reference")  # 5
    z = usual.z(value)
    holds = z >= _UNUSUAL if claim.relation == "rose" else z <= -_UNUSUAL
    return _TRUE if holds else Verdict(accepted=False, fault="relation")  # 6


def _bound(claim: Claim, metrics: SystemMetrics) -> tuple[float, bool] | None:
    """What "exceeds" compares with, and whether to reach it is enough; ``None`` where it is not there, or is nothing
    that one compares with: thresholds and baselines are of the same metric, other metrics of the same resource."""
    kind, _, rest = (claim.reference or "").partition(":")
    if kind == "threshold":
        name, _, level = rest.rpartition(".")
        held = THRESHOLDS.get(name)
        if held is None or held.counter or name != name_of(claim.metric) or level not in {"warn", "crit"}:
            return None
        return (held.warn if level == "warn" else held.crit), True
    if kind == "baseline":
        usual = (metrics.baseline or {}).get(rest)
        return None if usual is None or usual.n < ENOUGH or rest != claim.metric else (usual.median, False)
    other, own = metric_of(claim.reference or ""), metric_of(claim.metric)
    value = metrics.value(claim.reference or "")
    if (
        other is None
        or own is None
        or value is None
        or (other.unit, other.resource) != (own.unit, own.resource)
    ):
        return None
    return value, False


def _is_stated(value: Decimal, factor: Decimal, measured: float) -> bool:
    """Whether ``measured`` rounds to ``value`` units of ``factor``, without losing what it says."""
    exponent = value.as_tuple().exponent
    if (
        not isinstance(exponent, int)
        or abs(exponent) > _LARGEST_EXPONENT
        or value.adjusted() > _LARGEST_EXPONENT
    ):
        return False
    said, scale = float(value * factor), float(factor)
    if (said == 0) != (measured == 0):
        return False
    off = abs(said - measured)
    rounding = 0.5 * 10.0**exponent * scale
    slack = 1e-9 * max(1.0, abs(measured))
    return off <= rounding + slack and off <= _MOST_OFF * abs(measured) + slack


def _decimal(text: str) -> Decimal | None:
    text = text.strip().removesuffix("%").strip()
    return Decimal(text) if _PLAIN.fullmatch(text) else None
