"""Costs and savings, told from the ledger's totals."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from coreto.messages import NANO, Json
from coreto.stores.records import By, Totals, merged, plus

_SHORTEST_SECONDS = 3600.0
"""A month is projected as if at least so much of it had passed: its first calls say nothing yet."""


@dataclass(frozen=True, slots=True)
class CostLine:
    """One group. Money in nano-dollars; ``None`` = not known."""

    totals: Totals

    @property
    def key(self) -> str | None:
        return self.totals.key

    @property
    def cost_nusd(self) -> int | None:
        """The sum of the known prices; ``None`` where attempts were made and none has a known price."""
        totals = self.totals
        return None if totals.unpriced and totals.unpriced >= totals.attempts else totals.cost_nusd

    @property
    def unknown_calls(self) -> int:
        """Attempts whose price is unknown: the cost does not contain them."""
        return self.totals.unpriced

    @property
    def saving_nusd(self) -> int | None:
        """Baseline minus cost over the calls that can be compared; negative = dearer than the baseline."""
        totals = self.totals
        return totals.baseline_nusd - totals.compared_nusd if totals.compared else None

    @property
    def saving_share(self) -> float | None:
        """The saving as a share of the baseline; ``None`` without one."""
        saving = self.saving_nusd
        return None if saving is None or not self.totals.baseline_nusd else saving / self.totals.baseline_nusd

    def as_json(self) -> Json:
        """The line with dollars as numbers; unknown figures are null, never 0."""
        totals, saving, share = self.totals, self.saving_nusd, self.saving_share
        return {
            "key": totals.key,
            "calls": totals.calls,
            "failed_calls": totals.failed_calls,
            "cached_calls": totals.cached_calls,
            "attempts": totals.attempts,
            "failed_attempts": totals.failed_attempts,
            "skipped": totals.skipped,
            "unknown_calls": totals.unpriced,
            "tokens": {
                "prompt": totals.prompt_tokens,
                "completion": totals.completion_tokens,
                "cached": totals.cached_tokens,
            },
            "cost_usd": dollars(self.cost_nusd),
            "baseline_usd": dollars(totals.baseline_nusd) if totals.compared else None,
            "compared_calls": totals.compared,
            "saving_usd": dollars(saving),
            "saving_share": None if share is None else round(share, 4),
        }


@dataclass(frozen=True, slots=True)
class CostReport:
    """A line per group and their sum. ``since_ms`` and ``until_ms``: the span asked for, half open;
    ``prices``: where prices are from and as of when."""

    by: By
    lines: tuple[CostLine, ...]
    total: CostLine
    since_ms: int | None = None
    until_ms: int | None = None
    prices: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        by: By,
        rows: Iterable[Totals],
        *,
        since_ms: int | None = None,
        until_ms: int | None = None,
        prices: Iterable[str] = (),
    ) -> "CostReport":
        """Make a report of a store's totals; ``prices`` are the sources of the prices in use."""
        total = Totals(key=None)
        groups = merged(rows)
        for row in groups:
            total = plus(total, row)
        return cls(
            by=by,
            lines=tuple(CostLine(row) for row in groups),
            total=CostLine(total),
            since_ms=since_ms,
            until_ms=until_ms,
            prices=tuple(sorted(set(prices))),
        )

    def as_json(self) -> Json:
        """The report as ``coreto costs --json`` and the API show it."""
        total = self.total.as_json()
        del total["key"]
        return {
            "by": self.by,
            "since": _iso(self.since_ms),
            "until": _iso(self.until_ms),
            "prices": list(self.prices),
            "groups": [line.as_json() for line in self.lines],
            "total": total,
        }


def dollars(nusd: int | None) -> float | None:
    """Nano-dollars as dollars, for showing only."""
    return None if nusd is None else nusd / NANO


def month_start(now: float, tz: tzinfo) -> float:
    """When the calendar month of ``now`` began in ``tz``; both in epoch seconds."""
    local = datetime.fromtimestamp(now, tz)
    return datetime(local.year, local.month, 1, tzinfo=tz).timestamp()


def month_end(now: float, tz: tzinfo) -> float:
    """When the calendar month of ``now`` ends in ``tz``; both in epoch seconds."""
    local = datetime.fromtimestamp(now, tz)
    year, month = divmod(local.year * 12 + local.month, 12)
    return datetime(year, month + 1, 1, tzinfo=tz).timestamp()


def project_month(cost_so_far: int, now: float, tz: tzinfo) -> int:
    """The month's cost if it goes on as since its start, in the unit of ``cost_so_far``. ``now``: epoch
    seconds; the calendar month is that of ``tz``."""
    start, end = month_start(now, tz), month_end(now, tz)
    elapsed = min(max(now - start, _SHORTEST_SECONDS), end - start)
    return round(cost_so_far * ((end - start) / elapsed))


def _iso(at_ms: int | None) -> str | None:
    return None if at_ms is None else datetime.fromtimestamp(at_ms / 1000, UTC).isoformat()
