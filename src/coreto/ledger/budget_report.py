"""How the limits stand, for people and dashboards."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from coreto.ledger.limits import EACH, Limit, Limits, moment, period
from coreto.ledger.report import dollars, project_month
from coreto.messages import NANO, Json
from coreto.stores.budget_records import Total, Who
from coreto.stores.budgets import BudgetStore

MOST_NAMES = 20
"""Users, roles and runs under a limit for each are listed up to so many: the dearest."""


@dataclass(frozen=True, slots=True)
class BudgetLine:
    """One limit in its present window, in nano-dollars. ``reserved``: for calls in flight."""

    limit: Limit
    total: Total
    projection: int | None = None

    @property
    def remaining(self) -> int:
        """What may still be spent; never below 0."""
        return max(self.limit.nusd - self.total.spent - self.total.reserved, 0)

    @property
    def exceeded(self) -> bool:
        """Whether nothing is left."""
        return self.total.spent >= self.limit.nusd

    def as_json(self, ends: str | None) -> Json:
        """The line with dollars as numbers."""
        limit, total = self.limit, self.total
        return {
            "who": limit.who,
            "name": limit.name or None,
            "window": limit.window,
            "period": total.account.period,
            "limit_usd": dollars(limit.nusd),
            "used_usd": dollars(total.spent),
            "reserved_usd": dollars(total.reserved),
            "remaining_usd": dollars(self.remaining),
            "used_share": round(total.spent / limit.nusd, 4) if limit.nusd else None,
            "exceeded": self.exceeded,
            "projection_usd": dollars(self.projection),
            "ends": ends,
        }


@dataclass(frozen=True, slots=True)
class BudgetReport:
    """All limits. ``problem``: why there are no figures."""

    limits: Limits
    lines: tuple[BudgetLine, ...]
    problem: str | None = None

    @classmethod
    def of(
        cls, limits: Limits, found: Iterable[tuple[Limit, Total]], now: float, problem: str | None = None
    ) -> "BudgetReport":
        """Make a report of what a store says at ``now`` (epoch seconds). Months are projected as if they
        went on as since their start."""
        lines = (
            BudgetLine(
                limit,
                total,
                project_month(total.spent, now, limits.zone) if limit.window == "month" else None,
            )
            for limit, total in found
        )
        return cls(limits, tuple(lines), problem)

    def as_json(self) -> Json:
        """The report as ``/api/status`` and ``coreto costs --json`` show it."""
        zone = self.limits.zone
        shown: dict[str, Any] = {
            "when_exceeded": "refuse" if self.limits.refuses else "local",
            "timezone": self.limits.zone_name,
            "limits": [line.as_json(moment(line.total.account.until_ms, zone)) for line in self.lines],
        }
        if self.problem is not None:
            shown["problem"] = self.problem
        return shown


def budget_report(limits: Limits, store: BudgetStore, now: float) -> BudgetReport:
    """How all limits stand at ``now`` (epoch seconds). Synchronous; what a process has spent and not told
    its store yet is missing (a second's worth). Raises :class:`~coreto.stores.errors.StoreError`."""
    wanted = list(limits.named())
    for who, windows in _EACH.items():
        for window in windows:
            name = "run" if window == "run" else period(window, now, limits.zone).name
            if not limits.unnamed(who, [EACH]):
                continue
            names = [account.name for account in store.active(who, name)][:MOST_NAMES]
            wanted += [limit for limit in limits.unnamed(who, names) if limit.window == window]
    totals = store.totals([limits.account(limit, now) for limit in wanted])
    return BudgetReport.of(limits, zip(wanted, totals, strict=True), now)


_EACH: "dict[Who, tuple[Any, ...]]" = {"user": ("day", "month"), "role": ("day", "month"), "run": ("run",)}


def usd(nusd: int) -> str:
    """Nano-dollars for a message: ``$1.20``, ``$0.000123``."""
    text = (
        f"{nusd / NANO:.2f}" if nusd % 10_000_000 == 0 or nusd >= NANO else f"{nusd / NANO:.6f}".rstrip("0")
    )
    return f"${text}"
