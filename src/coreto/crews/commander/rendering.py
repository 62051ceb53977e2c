"""The answer as Markdown, in pieces as they are made. Pure; what the sandbox gave is marked as such."""

from collections.abc import Sequence

from coreto.crews.commander.agents import fence
from coreto.crews.commander.state import ModelUse, Plan, PlanStep, StepResult
from coreto.crews.commander.texts import say
from coreto.languages import Language


def plan_text(plan: Plan, language: Language, *, kinds: bool) -> str:
    """The plan as a numbered list; ``kinds``: with the kind of each step."""
    lines = [say(language, "plan.heading", title=plan.title).rstrip(": "), ""]
    if plan.source == "template":
        lines += [say(language, "plan.template", reason=plan.reason), ""]
    for number, step in enumerate(plan.steps, 1):
        kind = f"**[{say(language, f'kind.{step.kind}')}]** " if kinds else ""
        lines.append(f"{number}. {kind}{step.text}")
        if step.details:
            lines.append(f"   {step.details}")
    return "\n".join(lines) + "\n\n"


def step_heading(number: int, step: PlanStep, language: Language) -> str:
    """The line that a step begins with."""
    return say(language, "step.heading", step=number, text=step.text) + "\n\n"


def step_body(result: StepResult, language: Language) -> str:
    """What came of a step, without the words that were told while they came."""
    parts: list[str] = []
    if result.code is not None:
        parts.append(fence(result.code, "python"))
    if result.output.strip():
        parts.append(say(language, "step.output", exit_code=result.exit_code))
        parts.append(fence(result.output, "text"))
    elif result.exit_code is not None and result.status == "done":
        parts.append(say(language, "step.silent", exit_code=result.exit_code))
    if result.rounds > 1:
        parts.append(say(language, "step.rounds", rounds=result.rounds))
    if result.files:
        names = ", ".join(f"`{file.path or file.name}`" for file in result.files)
        parts.append(say(language, "step.files", names=names))
    if result.status != "done":
        parts.append(say(language, f"step.{result.status}", error=result.error or ""))
    before = "\n\n" if result.answer else ""
    return before + "\n\n".join(parts) + ("\n\n" if parts else "")


def end_text(models: Sequence[ModelUse], cost_usd: float | None, language: Language) -> str:
    """Who did it and what it cost."""
    said: list[str] = []
    if models:
        named = ", ".join(f"{use.role} = {use.deployment}" for use in models)
        said.append(say(language, "end.models", models=named))
    if cost_usd is None:
        said.append(say(language, "end.no_price"))
    else:
        digits = f"{cost_usd:.6f}".rstrip("0")
        digits = f"{cost_usd:.2f}" if len(digits) < len("0.00") else digits
        said.append(say(language, "end.cost", cost=digits.replace(".", "," if language == "pt-BR" else ".")))
    return f"---\n{' · '.join(said)}\n"


def warnings_text(warnings: tuple[str, ...]) -> str:
    """What the reader should know, at the end; nothing for none."""
    return "".join(f"\n\n> {warning}" for warning in warnings)
