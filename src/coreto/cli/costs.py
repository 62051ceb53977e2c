"""``coreto costs``: the ledger's sums, read from the database directly."""

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import get_args

from rich.console import Console
from rich.table import Table
from sqlalchemy import select

from coreto.app import data_dir
from coreto.cli import figures
from coreto.cli.flags import Flags
from coreto.cli.terminal import console, print_json
from coreto.cli.texts import Texts
from coreto.errors import ConfigError
from coreto.ledger.pricing import price_of
from coreto.ledger.report import CostLine, CostReport, dollars, month_start, project_month
from coreto.messages import Json
from coreto.providers.catalog import split_id
from coreto.settings.model import Settings
from coreto.stores.database import Database, open_database
from coreto.stores.ledger import SqlLedgerStore
from coreto.stores.migrate import ensure_schema
from coreto.stores.records import By
from coreto.stores.schema import calls

SHOWN: tuple[By, ...] = ("role", "deployment", "day")
_CHOICES: tuple[By, ...] = ("role", "deployment", "day", "user", "run")
_UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_SPAN = re.compile(r"(\d{1,6})([mhdw])")


@dataclass(frozen=True, slots=True)
class _Month:
    """The current month, in nano-dollars; ``None`` when none of its prices is known."""

    so_far: int | None
    projection: int | None


def costs(flags: Flags, *, by: str | None, since: str | None, as_json: bool) -> int:
    """Print the report. Raises :class:`ConfigError` for options that make no sense."""
    if by is not None and by not in _CHOICES:
        raise ConfigError(f"--by {by}: expected one of {', '.join(_CHOICES)}")
    assert set(_CHOICES) <= set(get_args(By))
    settings = flags.load().settings
    now = time.time()
    zone = datetime.fromtimestamp(now).astimezone().tzinfo
    assert zone is not None
    start = None if since is None else int(parse_since(since, now, zone) * 1000)
    groups: tuple[By, ...] = (by,) if by is not None else SHOWN
    database = open_database(settings.database.url, data_dir(settings))
    try:
        ensure_schema(database)
        ledger = SqlLedgerStore(database)
        prices = _price_sources(ledger, settings, start)
        reports = [
            CostReport.of(key, ledger.totals(key, start, tz=zone), since_ms=start, prices=prices)
            for key in (groups if not as_json else groups[:1])
        ]
        month = _month(ledger, now, zone)
        baselines = _baselines(database, start)
    finally:
        database.close()
    if as_json:
        print_json(_as_json(reports[0], month, baselines))
    else:
        _print(reports, month, baselines, Texts(settings.language), console())
    return 0


def parse_since(text: str, now: float, zone: tzinfo) -> float:
    """Epoch seconds of ``7d`` (that long before ``now``) or of a date or time in ``zone``.

    Raises :class:`ConfigError`.
    """
    span = _SPAN.fullmatch(text.strip())
    if span:
        return now - int(span[1]) * _UNITS[span[2]]
    try:
        moment = datetime.fromisoformat(text.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp()
    except (ValueError, OverflowError, OSError) as error:
        raise ConfigError(
            f"--since {text}: expected a span such as 7d, 24h or 2w, or a date such as 2026-11-01"
        ) from error


def _price_sources(ledger: SqlLedgerStore, settings: Settings, start: int | None) -> set[str]:
    """Where the prices of the deployments in the report are from."""
    names = (totals.key for totals in ledger.totals("deployment", start) if totals.key and totals.cost_nusd)
    return {source for name in names if (source := _price_source(name, settings))}


def _price_source(deployment: str, settings: Settings) -> str | None:
    provider, model = split_id(deployment)
    section, known = settings.providers.get(provider), settings.models.get(deployment)
    kind = section.kind if section and section.kind and section.kind != "openai" else provider
    price = price_of(kind, model, known.input_price if known else None, known.output_price if known else None)
    return price.source if price else None


def _month(ledger: SqlLedgerStore, now: float, zone: tzinfo) -> _Month:
    begin = int(month_start(now, zone) * 1000)
    so_far = CostReport.of("role", ledger.totals("role", begin)).total.cost_nusd
    return _Month(so_far, None if so_far is None else project_month(so_far, now, zone))


def _baselines(database: Database, start: int | None) -> list[str]:
    """The deployments that the saving is measured against."""
    chosen = select(calls.c.baseline_deployment).distinct().where(calls.c.baseline_nusd.is_not(None))
    if start is not None:
        chosen = chosen.where(calls.c.at_ms >= start)
    with database.read() as connection:
        return sorted(str(name) for name in connection.execute(chosen).scalars() if name)


def _as_json(report: CostReport, month: _Month, baselines: list[str]) -> Json:
    return {
        **report.as_json(),
        "baseline": baselines,
        "month_usd": dollars(month.so_far),
        "month_projection_usd": dollars(month.projection),
    }


def _print(
    reports: list[CostReport], month: _Month, baselines: list[str], texts: Texts, output: Console
) -> None:
    first = reports[0]
    if not first.total.totals.calls and not first.total.totals.attempts:
        since = first.since_ms
        moment = figures.moment(since / 1000) if since is not None else ""
        output.print(texts("costs.none_since", since=moment) if moment else texts("costs.none"))
        return
    for line in _summary(first, month, baselines, texts):
        output.print(line, soft_wrap=True)
    for report in reports:
        output.print()
        output.print(_table(report, texts))


def _summary(report: CostReport, month: _Month, baselines: list[str], texts: Texts) -> Iterable[str]:
    total = report.total
    totals, unknown = total.totals, texts("costs.no_price")
    if report.since_ms is not None:
        yield texts("costs.since", since=figures.moment(report.since_ms / 1000))
    yield texts(
        "costs.total",
        cost=figures.money(total.cost_nusd, unknown),
        calls=totals.calls,
        failed=totals.failed_calls,
        prompt=totals.prompt_tokens,
        completion=totals.completion_tokens,
    )
    if total.unknown_calls:
        yield texts("costs.unknown", count=total.unknown_calls)
    if total.saving_nusd is None:
        yield texts("costs.no_saving")
    else:
        yield texts(
            "costs.saving",
            saving=figures.money(total.saving_nusd, unknown),
            share="-" if total.saving_share is None else f"{total.saving_share * 100:.0f}",
            baseline=", ".join(baselines),
            calls=totals.compared,
            expected=figures.money(totals.baseline_nusd, unknown),
        )
    yield texts(
        "costs.projection",
        cost=figures.money(month.so_far, unknown),
        projection=figures.money(month.projection, unknown),
    )
    if report.prices:
        yield texts("costs.prices", sources=", ".join(report.prices))


def _table(report: CostReport, texts: Texts) -> Table:
    table = Table(title=texts(f"costs.by.{report.by}"), title_justify="left", header_style="bold")
    table.add_column(texts(f"costs.key.{report.by}"), overflow="fold")
    for key in ("calls", "failed", "attempts", "tokens", "cost", "unpriced", "saved"):
        table.add_column(texts(f"costs.{key}"), justify="right", no_wrap=True)
    for line in report.lines:
        table.add_row(*_cells(line, texts))
    return table


def _cells(line: CostLine, texts: Texts) -> tuple[str, ...]:
    totals, unknown = line.totals, texts("costs.no_price")
    return (
        line.key or texts("costs.no_key"),
        str(totals.calls),
        str(totals.failed_calls),
        str(totals.attempts),
        f"{totals.prompt_tokens}/{totals.completion_tokens}",
        figures.money(line.cost_nusd, unknown),
        str(line.unknown_calls) if line.unknown_calls else "-",
        "-" if line.saving_nusd is None else figures.money(line.saving_nusd, unknown),
    )
