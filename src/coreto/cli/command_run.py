"""``coreto ask`` for what must be planned or carried out: a commander's run on the terminal."""

import sys

from coreto.cli import figures
from coreto.cli.terminal import console, say
from coreto.cli.texts import Texts
from coreto.client import Coreto
from coreto.crews.commander.decision import Mode, decide
from coreto.crews.commander.state import CommanderResult
from coreto.events import CrewEvent
from coreto.languages import Language
from coreto.messages import Json
from coreto.routing.tasks import detect_task
from coreto.tools.sandbox.printable import printable

#: What a commander does better than one model's answer. (Code that is only to be written comes as it is.)
CARRIED_OUT: frozenset[Mode] = frozenset({"plan", "execution", "plan_execute"})


def wants_commander(text: str, language: Language) -> bool:
    """Whether ``text`` asks for a plan, or for something to be carried out."""
    return decide(text, detect_task(text), language).mode in CARRIED_OUT


async def command(coreto: Coreto, text: str, *, private: bool, quiet: bool) -> CommanderResult:
    """Run the commander; what it does is told on standard error, its answer on standard output. ``quiet``: neither.

    Raises :class:`~coreto.errors.CoretoError` when nothing could be done.
    """
    errors = console(stderr=True)

    async def tell(event: CrewEvent) -> None:
        if quiet or event.type in {"complete", "error"}:
            return
        if event.type == "content":
            sys.stdout.write(printable(event.content))
            sys.stdout.flush()
        elif event.content and errors.is_terminal:
            who = event.tool or event.agent or ""
            line = f"{who}: {event.content}" if who else event.content
            errors.print(f"· {printable(line)}", style="dim", soft_wrap=True)

    return await coreto.commander().result(text, private=private, tell=tell)


def summary(result: CommanderResult, texts: Texts) -> None:
    """One line about the run, and where its files are, on standard error."""
    errors = console(stderr=True)
    for step in result.plan:
        for file in step.files:
            if file.path:
                say(texts("ask.file", name=file.name, path=file.path), stderr=True)
    for warning in result.warnings:
        say(texts("ask.warning", text=warning), style="yellow", stderr=True)
    if errors.is_terminal:
        models = ", ".join(dict.fromkeys(use.deployment for use in result.models)) or "-"
        cost = None if result.cost_usd is None else round(result.cost_usd * 1e9)
        line = texts(
            "ask.run_summary",
            models=models,
            time=figures.duration(result.seconds * 1000, texts.decimal),
            cost=figures.money(cost, texts("ask.no_price")),
        )
        say(line, style="dim", stderr=True)


def as_json(result: CommanderResult) -> Json:
    """The object that ``--json`` prints: the keys of any answer, and the run."""
    last = result.models[-1] if result.models else None
    return {
        "text": result.text,
        "deployment": last.deployment if last else None,
        "role": last.role if last else None,
        "cost_usd": result.cost_usd,
        "commander": result.as_json(),
    }
