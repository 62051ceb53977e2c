"""A report for a terminal, and as Markdown. Pure."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from coreto.crews.insights.claims import Claim
from coreto.crews.insights.metrics.catalogue import CATALOGUE, RESOURCES, Resource, metric_of
from coreto.crews.insights.metrics.readings import instance_of, name_of
from coreto.crews.insights.report import Insight, Report, bound_of
from coreto.crews.insights.texts import say
from coreto.crews.insights.thresholds import threshold_of
from coreto.crews.insights.units import shown, stated
from coreto.crews.insights.use import UseCheck
from coreto.languages import Language

_BAR = 16
_COLOURS = {"crit": "red", "warn": "yellow", "ok": "green", "unknown": "dim"}
_SIGNS = {"crit": "●", "warn": "●", "ok": "●", "unknown": "○"}

_OVERVIEW: dict[Resource, tuple[str, ...]] = {
    "cpu": ("cpu.busy", "cpu.pressure_10s", "cpu.pressure"),
    "memory": ("memory.used", "memory.cgroup_used", "memory.pressure_10s", "memory.pressure"),
    "storage": ("fs.used", "disk.busy", "io.pressure_10s", "io.pressure"),
    "network": ("net.receive_used", "net.send_used", "net.retransmitted", "net.conntrack"),
    "workload": ("limits.files", "limits.threads", "limits.cgroup_pids"),
}
"""What is drawn of each resource; of several instances the fullest."""

_MOST_DRAWN = 2


def terminal(report: Report) -> RenderableType:
    """The report with a bar for each resource's main figures, then what was found."""
    language = report.language
    parts: list[RenderableType] = [
        Text(say(language, "title", host=report.metrics.host), "bold"),
        _overview(report),
        Text(),
    ]
    if not report.insights:
        parts.append(Text(f"✓ {report.headline}  {_sure(report)}", "green"))
    for number, insight in enumerate(report.insights, 1):
        parts += [*_insight_lines(number, insight, language), Text()]
    parts += [Text(line, "dim") for line in _closing(report)]
    return Group(*parts)


def markdown(report: Report) -> str:
    """The report as Markdown."""
    language = report.language
    lines = [f"# {say(language, 'title', host=_plain(report.metrics.host))}", ""]
    if not report.insights:
        lines += [f"**{report.headline}** ({_sure(report)})", ""]
    for number, insight in enumerate(report.insights, 1):
        level = say(language, f"level.{insight.finding.level}")
        band = say(language, f"band.{insight.confidence.band}")
        sure = f"{band}, {insight.confidence.percent}%"
        lines += [f"## {number}. {_plain(insight.text)}", "", f"**{level}** · {sure}", ""]
        lines += [f"> {_plain(said)}\n" for said in insight.said]
        lines += _causes(insight, language)
        lines += [f"**{say(language, 'evidence')}**", ""]
        lines += [
            f"- {_plain(_evidence(claim, language))} (`{claim.metric}`)" for claim in insight.finding.claims
        ]
        lines += ["", f"**{say(language, 'recommendations')}**", ""]
        for place, advice in enumerate(insight.advice, 1):
            look = f" ({say(language, 'look')}: `{advice.look}`)" if advice.look else ""
            lines.append(f"{place}. {advice.said(language)}{look}")
        lines.append("")
    lines += [f"| {' | '.join(row)} |" for row in _table(report)]
    lines += ["", *(f"_{_plain(line)}_  " for line in _closing(report))]
    return "\n".join(lines) + "\n"


def bar(share: float, width: int = _BAR) -> str:
    """A bar of ``width`` characters that is filled by ``share``, from 0 to 1, to an eighth of a character."""
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    full, rest = divmod(eighths, 8)
    partial = " ▏▎▍▌▋▊▉"[rest] if rest else ""
    return ("█" * full + partial).ljust(width, "·")


def _overview(report: Report) -> Table:
    table = Table.grid(padding=(0, 2))
    for resource in RESOURCES:
        level = report.level(resource)
        colour = _COLOURS[level]
        first = True
        for metric, value, text in _drawn(report, resource):
            name = (
                Text(f"{_SIGNS[level]} {say(report.language, f'resource.{resource}')}", colour)
                if first
                else Text()
            )
            own = _COLOURS[_level_of(metric, value, report)]
            called = _called(metric, report.language)
            table.add_row(name, Text(called), Text(bar(value / 100), own), Text(text, justify="right"))
            first = False
        if first:
            unknown = say(report.language, "level.unknown")
            table.add_row(
                Text(f"{_SIGNS['unknown']} {say(report.language, f'resource.{resource}')}", "dim"),
                Text(unknown, "dim"),
            )
    return table


def _drawn(report: Report, resource: Resource) -> list[tuple[str, float, str]]:
    """The metrics to draw: id, percentage and text; the main one and what is next, those over a threshold first."""
    found: list[tuple[str, float, str]] = []
    for name in _OVERVIEW[resource]:
        readings = [(r.value, r.metric) for r in report.metrics.named(name) if r.value is not None]
        if readings:
            value, metric = max(readings)
            found.append((metric, value, shown(*stated(value, "percent"), report.language)))
    drawn = {metric for metric, _, _ in found}
    kept = [one for one in found if f"{one[0]}_10s" not in drawn]  # the window's pressure says the same
    rest = sorted(kept[1:], key=lambda one: _level_of(one[0], one[1], report) == "ok")
    return [*kept[:1], *rest][:_MOST_DRAWN]


def _level_of(metric: str, value: float, report: Report) -> str:
    """The colour of a bar: that of its own check."""
    for check in report.checks:
        if check.metric == metric and check.value == value:
            return "ok" if check in report.held else check.level
    return "ok"


def _called(metric: str, language: Language) -> str:
    measured, where = metric_of(metric), instance_of(metric).replace("#", " ")
    called = metric if measured is None else measured.called(language)
    return f"{called} ({where})" if where else called


def _evidence(claim: Claim, language: Language) -> str:
    bound = bound_of(claim, language)
    said = f"{_called(claim.metric, language)}: {shown(claim.value, claim.unit, language)}"
    return f"{said} ({bound})" if bound else said


def _insight_lines(number: int, insight: Insight, language: Language) -> Iterator[RenderableType]:
    colour = _COLOURS[insight.finding.level]
    head = Text(f"{number}. {insight.text}", f"bold {colour}")
    sure = f"{say(language, f'band.{insight.confidence.band}')}, {insight.confidence.percent}%"
    yield head
    yield Text(f"   {say(language, f'level.{insight.finding.level}')} · {sure}", "dim")
    for said in insight.said:
        yield Text(f"   {said}", "italic")
    for line in _causes(insight, language):
        yield Text(f"   {line}")
    table = Table.grid(padding=(0, 2))
    for claim in insight.finding.claims:
        share = _share(claim)
        drawn = Text("" if share is None else bar(share), colour)
        number_text = Text(shown(claim.value, claim.unit, language), justify="right")
        table.add_row(
            "  ",
            Text(_called(claim.metric, language)),
            drawn,
            number_text,
            Text(bound_of(claim, language), "dim"),
        )
    yield table
    for advice in insight.advice:
        yield Text(f"   → {advice.said(language)}")
        if advice.look:
            yield Text(f"     $ {advice.look}", "dim")


def _share(claim: Claim) -> float | None:
    """How full a bar for a claim is: percentages as they are; others against their critical threshold."""
    if claim.unit in {"percent", "%"}:
        return float(claim.value) / 100
    held = threshold_of(claim.metric)
    if held is None or claim.unit != CATALOGUE[name_of(claim.metric)].unit:
        return None
    return float(claim.value) / held.crit


def _causes(insight: Insight, language: Language) -> list[str]:
    lines = [say(language, "fading"), ""] if insight.finding.fading else []
    if not insight.finding.explained_by:
        return lines
    names = "; ".join(
        say(language, f"finding.{kind}", where="").replace("  ", " ").rstrip(".")
        for kind in insight.finding.explained_by
    )
    return [*lines, say(language, "explained", causes=names), ""]


def _table(report: Report) -> Iterator[list[str]]:
    language = report.language
    yield ["", "", ""]
    yield ["---", "---", "---:"]
    for resource in RESOURCES:
        level = say(language, f"level.{report.level(resource)}")
        figures = "; ".join(f"{_called(m, language)} {text}" for m, _, text in _drawn(report, resource))
        yield [say(language, f"resource.{resource}"), level, _plain(figures)]


def _closing(report: Report) -> Iterator[str]:
    language = report.language
    known = sum(check.level != "unknown" for check in report.checks)
    window = shown(*stated(round(report.metrics.window_s, 2), "count"), language) + " s"
    quality = say(language, "quality", quality=say(language, f"quality.{report.quality}"))
    yield say(language, "footer", quality=quality, window=window, known=known, total=len(report.checks))
    if report.agents:
        yield say(language, "agents", names=_names(report.agents, language))
    if report.missing:
        yield say(language, "missing", names=_names(report.missing, language))
    if report.rejected:
        yield say(language, "rejected", count=sum(report.rejected.values()))
    if report.held:
        yield say(language, "held", names=", ".join(_held(check, language) for check in report.held))
    if report.age_s >= 60:
        yield say(language, "stale", age=f"{report.age_s:.0f} s")


def _held(check: UseCheck, language: Language) -> str:
    value = shown(*stated(check.value or 0.0, CATALOGUE[name_of(check.metric)].unit), language)
    return f"{_called(check.metric, language)} {value}"


def _names(resources: tuple[Resource, ...], language: Language) -> str:
    return ", ".join(say(language, f"resource.{resource}") for resource in resources)


def _sure(report: Report) -> str:
    return f"{say(report.language, f'band.{report.confidence.band}')}, {report.confidence.percent}%"


def _plain(text: str) -> str:
    """``text`` without what Markdown would read as markup: names of machines and mounts are anybody's."""
    return "".join(f"\\{c}" if c in "\\`*_[]<>|#" else c for c in text)
