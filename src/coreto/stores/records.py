"""The ledger's values: what is written, and what its questions answer."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Literal, NamedTuple

By = Literal["role", "deployment", "day", "user", "run", "outcome"]
"""What totals are grouped by. Calls are grouped by their own outcome and by the deployment that answered,
attempts by theirs."""

SAMPLE = 1000
"""Percentiles are taken over so many of a deployment's newest successful attempts."""


class AttemptRecord(NamedTuple):
    """One try at one deployment. ``None`` = unknown, or not tracked; a price of 0 is known to be 0."""

    deployment: str
    outcome: str
    local: bool = True
    ms: float | None = None
    ttft_ms: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    tokens_estimated: bool = False
    cost_nusd: int | None = None
    detail: str | None = None

    @property
    def tried(self) -> bool:
        """Whether the deployment was asked at all."""
        return self.outcome != "skipped"

    @property
    def failed(self) -> bool:
        """Whether it was asked and did not do it."""
        return self.outcome not in {"ok", "skipped"}


class CallRecord(NamedTuple):
    """One call with its attempts in order. ``at_ms``: UTC epoch milliseconds at its end; ``cost_nusd``:
    of all attempts, ``None`` when one of them has no known price."""

    call_id: str
    at_ms: int
    outcome: str
    role: str | None = None
    task: str | None = None
    deployment: str | None = None
    ms: float | None = None
    stream: bool = False
    cached: bool = False
    label: str = "internal"
    user: str | None = None
    run: str | None = None
    cost_nusd: int | None = None
    baseline: str | None = None
    baseline_nusd: int | None = None
    attempts: tuple[AttemptRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over a group of calls and over a group of attempts; ``key`` is ``None`` for those without.

    ``cost_nusd`` is the sum of the known prices, ``unpriced`` how many attempts have none. The saving is
    told over the ``compared`` calls: those with a baseline whose own cost is known in full.
    """

    key: str | None
    calls: int = 0
    cached_calls: int = 0
    failed_calls: int = 0
    compared: int = 0
    compared_nusd: int = 0
    baseline_nusd: int = 0
    attempts: int = 0
    failed_attempts: int = 0
    skipped: int = 0
    unpriced: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    cost_nusd: int = 0


_SUMMED = tuple(field.name for field in fields(Totals) if field.name != "key")


@dataclass(frozen=True, slots=True)
class LastError:
    """A deployment's newest failed attempt."""

    deployment: str
    outcome: str
    detail: str | None
    at_ms: int


@dataclass(frozen=True, slots=True)
class Latency:
    """How long a deployment's successful attempts take, in milliseconds; ``count`` of them were seen."""

    deployment: str
    count: int
    p50_ms: float
    p95_ms: float
    ttft_p50_ms: float | None
    ttft_p95_ms: float | None


def plus(left: Totals, right: Totals) -> Totals:
    """The sums of both; the key of ``left``."""
    return replace(left, **{name: getattr(left, name) + getattr(right, name) for name in _SUMMED})


def merged(rows: Iterable[Totals]) -> list[Totals]:
    """One row per key, in the order of the keys; the row without a key is the last."""
    found: dict[str | None, Totals] = {}
    for row in rows:
        known = found.get(row.key)
        found[row.key] = row if known is None else plus(known, row)
    return sorted(found.values(), key=lambda row: (row.key is None, row.key or ""))


def day_of(at_ms: int, tz: tzinfo) -> str:
    """The date (``2026-01-31``) of an instant in ``tz``."""
    instant = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms)
    return instant.astimezone(tz).date().isoformat()


def percentile(ordered: list[float], share: float) -> float:
    """The smallest of the ascending ``ordered`` that at least ``share`` (0 to 1) of them do not exceed."""
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]


def latencies(samples: Iterable[tuple[str, float, float | None]]) -> list[Latency]:
    """Percentiles from (deployment, ms, ttft ms), by deployment."""
    times: dict[str, tuple[list[float], list[float]]] = {}
    for deployment, ms, ttft_ms in samples:
        whole, first = times.setdefault(deployment, ([], []))
        whole.append(ms)
        if ttft_ms is not None:
            first.append(ttft_ms)
    return [_latency(name, sorted(whole), sorted(first)) for name, (whole, first) in sorted(times.items())]


def _latency(deployment: str, whole: list[float], first: list[float]) -> Latency:
    return Latency(
        deployment=deployment,
        count=len(whole),
        p50_ms=percentile(whole, 0.5),
        p95_ms=percentile(whole, 0.95),
        ttft_p50_ms=percentile(first, 0.5) if first else None,
        ttft_p95_ms=percentile(first, 0.95) if first else None,
    )
