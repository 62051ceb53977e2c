"""``coreto insights``: what is wrong with a machine, by its own figures."""

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path

from rich.live import Live

from coreto.app import data_dir
from coreto.cli.flags import Flags
from coreto.cli.terminal import console, print_json
from coreto.clock import SystemClock
from coreto.crews.insights.metrics.baseline import load_baseline, save_baseline
from coreto.crews.insights.metrics.local import LocalMetrics, MetricsSource
from coreto.crews.insights.metrics.prometheus import PrometheusMetrics
from coreto.crews.insights.rendering import markdown, terminal
from coreto.crews.insights.report import Report, report_on
from coreto.languages import Language
from coreto.providers.http import Endpoint, Http
from coreto.settings.addresses import is_loopback_url

#: What is usual for this machine, in the data directory: figures of earlier looks, no names.
BASELINE = "insights-baseline.json"
#: Seconds over which rates are taken: of one look, and of each of many.
WINDOW = 0.15
WATCHED = 1.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """``prometheus``: a server's address instead of this machine; ``machine``: which of those it knows."""

    json: bool = False
    markdown: bool = False
    watch: bool = False
    prometheus: str | None = None
    machine: str = ""


async def insights(flags: Flags, wanted: Wanted) -> int:
    """Print the report; 1 when something critical was found. Raises :class:`~coreto.errors.CoretoError`."""
    loaded = flags.load()
    language = loaded.settings.language
    file = data_dir(loaded.settings) / BASELINE
    http = _prometheus(wanted.prometheus, offline=loaded.settings.offline) if wanted.prometheus else None
    source: MetricsSource
    if http is not None:
        source = PrometheusMetrics(http, wanted.machine, clock=SystemClock())
    else:
        source = LocalMetrics(WATCHED if wanted.watch else WINDOW, keep=60.0 if wanted.watch else 0.0)
    try:
        if wanted.watch:
            await _watch(source, language)
            return 0
        baseline_file = None if http is not None else file
        report = await _looked(source, language, baseline_file)
    finally:
        if http is not None:
            await http.close()
    if wanted.json:
        print_json(report.as_json())
    elif wanted.markdown:
        sys.stdout.write(markdown(report) + "\n")
    else:
        console().print(terminal(report))
    return int(any(insight.finding.level == "crit" for insight in report.insights))


async def _looked(source: MetricsSource, language: Language, file: Path | None) -> Report:
    """One report; what was seen becomes a part of what is usual here, kept in ``file``."""
    metrics = await source.snapshot()
    now = SystemClock().time()
    if file is None:
        return report_on(metrics, now=now, language=language)
    baseline = await asyncio.to_thread(load_baseline, file)
    report = report_on(metrics, baseline, now=now, language=language)
    await asyncio.to_thread(save_baseline, baseline.with_snapshot(metrics), file)
    return report


async def _watch(source: MetricsSource, language: Language) -> None:
    with Live(console=console(), auto_refresh=False) as live:
        while True:
            live.update(terminal(await _looked(source, language, None)), refresh=True)
            await asyncio.sleep(WATCHED)


def _prometheus(url: str, *, offline: bool) -> Http:
    return Http(Endpoint("prometheus", url.rstrip("/"), local=is_loopback_url(url), offline=offline))
