"""``coreto ask --explain``: what was tried, what it cost, who answered and why."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from coreto.cli import figures
from coreto.cli.texts import Texts
from coreto.messages import Attempt, Json, Trace, as_objects


def explain(trace: Trace, asked: str, texts: Texts, console: Console) -> None:
    """Print ``trace``, the answer to a call for ``asked``."""
    if trace.attempts:
        console.print(_attempts(trace, texts))
    for number, attempt in enumerate(trace.attempts, start=1):
        if attempt.outcome != "ok" and attempt.detail:
            console.print(f"  {number}. {attempt.deployment}: {attempt.detail}", style="dim", soft_wrap=True)
    for warning in trace.warnings:
        console.print(texts("ask.warning", text=warning), style="yellow", soft_wrap=True)
    if trace.unmapped:
        console.print(texts("ask.unmapped", fields=", ".join(trace.unmapped)), soft_wrap=True)
    console.print(reason(trace, asked, texts), style="bold", soft_wrap=True)
    spent = figures.duration(sum(attempt.ms for attempt in trace.attempts), texts.decimal)
    cost = figures.money(trace.cost_nusd, texts("ask.no_price"))
    console.print(texts("ask.total", time=spent, cost=cost), soft_wrap=True)


def decided(decision: Json, texts: Texts, console: Console) -> None:
    """Print where a question goes, and why: the object of ``POST /api/route``."""
    table = Table(title=texts("route.title"), title_justify="left", header_style="bold")
    table.add_column("#", justify="right")
    table.add_column(texts("ask.deployment"), overflow="fold")
    table.add_column(texts("ask.reason"), overflow="fold")
    place = 0
    for choice in as_objects(decision.get("candidates")):
        place += bool(choice["kept"])
        style = None if choice["kept"] else "dim"
        number = str(place) if choice["kept"] else "-"
        table.add_row(number, choice["deployment"], choice["reason"], style=style)
    console.print(table)
    for line in decision.get("why") or ():
        console.print(f"  {line}", style="dim", soft_wrap=True)


def reason(trace: Trace, asked: str, texts: Texts) -> str:
    """Who answered and why, in one sentence."""
    if trace.deployment is None:
        return texts("ask.nobody")
    if trace.role is None:
        return texts("ask.named", deployment=trace.deployment)
    role = asked if asked == trace.role else f"{asked} ({trace.role})"
    before = [f"{a.deployment} ({a.outcome})" for a in trace.attempts if a.outcome != "ok"]
    if before:
        return texts("ask.after", deployment=trace.deployment, role=role, others=", ".join(before))
    key = "ask.remaining" if trace.dropped else "ask.first"
    return texts(key, deployment=trace.deployment, role=role)


def _attempts(trace: Trace, texts: Texts) -> Table:
    table = Table(title=texts("ask.attempts"), title_justify="left", header_style="bold")
    table.add_column("#", justify="right")
    table.add_column(texts("ask.deployment"), overflow="fold")
    table.add_column(texts("ask.outcome"))
    for key in ("ask.time", "ask.first_token", "ask.tokens", "ask.cost"):
        table.add_column(texts(key), justify="right")
    for number, attempt in enumerate(trace.attempts, start=1):
        table.add_row(str(number), *_row(attempt, texts))
    return table


def _row(attempt: Attempt, texts: Texts) -> tuple[str | Text, ...]:
    style = "green" if attempt.outcome == "ok" else "yellow" if attempt.outcome == "skipped" else "red"
    usage = attempt.usage
    tried = attempt.outcome != "skipped"
    return (
        attempt.deployment,
        Text(attempt.outcome, style),
        figures.duration(attempt.ms, texts.decimal) if tried else "-",
        figures.duration(attempt.ttft_ms, texts.decimal),
        f"{usage.prompt}/{usage.completion}" if usage.prompt or usage.completion else "-",
        figures.money(attempt.cost_nusd, texts("ask.no_price")) if tried else "-",
    )
