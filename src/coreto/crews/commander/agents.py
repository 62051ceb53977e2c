"""The agents: what each is asked, and what its answer means. Pure.

=========  ========================  ======================================
agent      role                      does
=========  ========================  ======================================
planner    ``brain``                 splits a request, or plans it
coder      ``executor``              writes and mends Python
designer   ``ui``                    designs what people see
assistant  ``brain`` or as decided   answers and explains
=========  ========================  ======================================
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from string import Template
from typing import Any, Literal, cast

import orjson

from coreto.crews.commander.decision import Decision
from coreto.crews.commander.settings import CommanderSettings
from coreto.crews.commander.state import KINDS, Plan, PlanStep, StepResult
from coreto.crews.commander.texts import say
from coreto.crews.commander.tools import Outcome, cut
from coreto.languages import Language
from coreto.messages import Json, as_object, as_objects

Agent = Literal["planner", "coder", "designer", "assistant"]

TEXT_MOST = 200
"""Characters of a plan's title, of a step and of its details."""


_LOOP_LEAST = 100
_LOOP_PACKED = 0.5
"""Bytes from which a text is long enough to loop, and what is left of one that does; of others 0.6 and more."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One question to a role. ``form``: the JSON schema of the answer; ``tokens``: its most."""

    agent: Agent
    role: str
    messages: tuple[tuple[str, str], ...]
    form: Json | None = None
    tokens: int | None = None
    temperature: float | None = None
    stream: bool = False

    def body(self) -> Json:
        """The OpenAI request."""
        messages = [{"role": role, "content": content} for role, content in self.messages]
        body: Json = {"model": self.role, "messages": messages}
        if self.form is not None:
            form = {"name": "plan", "schema": self.form}
            body["response_format"] = {"type": "json_schema", "json_schema": form}
        if self.tokens is not None:
            body["max_tokens"] = self.tokens
        if self.temperature is not None:
            body["temperature"] = self.temperature
        if self.stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return body


def ask_answer(request: str, decision: Decision) -> Ask:
    """A plain question, in its own words."""
    agent: Agent = "designer" if decision.role == "ui" else "assistant"
    if decision.outside:
        messages = _messages("outside", decision.language, task=request)
    else:
        messages = (("user", request),)
    return Ask(agent, decision.role, messages, stream=True)


def ask_plan(request: str, decision: Decision, settings: CommanderSettings) -> Ask:
    """The steps of a request: to be carried out, or only to be read."""
    only = decision.mode == "plan"
    messages = _messages(
        "outline" if only else "plan", decision.language, request=request, most_steps=str(settings.most_steps)
    )
    form = plan_form(settings.most_steps, only)
    return Ask("planner", "brain", messages, form, settings.plan_tokens, settings.temperature)


def plan_form(most_steps: int, outline: bool) -> Json:
    """The JSON schema of a plan; ``outline``: of one that is only to be read."""
    text: Json = {"type": "string", "minLength": 1, "maxLength": TEXT_MOST}
    step: Json = {"text": text, "details": text} if outline else {"kind": {"enum": list(KINDS)}, "text": text}
    items: Json = {
        "type": "object",
        "properties": step,
        "required": list(step),
        "additionalProperties": False,
    }
    plan: Json = {
        "title": text,
        "steps": {"type": "array", "items": items, "minItems": 1, "maxItems": most_steps},
    }
    return {"type": "object", "properties": plan, "required": list(plan), "additionalProperties": False}


def read_plan(answer: str, decision: Decision, most_steps: int) -> Plan | str:
    """The plan in ``answer``, or the key of the text that says why it cannot be used.

    Steps that are blank or come twice are left out. A plan to be carried out must have something of that kind.
    """
    try:
        shown = as_object(orjson.loads(answer))
    except orjson.JSONDecodeError:
        return "reason.form"
    named = [step for item in as_objects(shown.get("steps")) if (step := _step(item, decision)) is not None]
    steps = _different(named)
    if not steps:
        return "reason.blank"
    if len(steps) > most_steps:
        return "reason.long"
    if len(named) > 2 and len({(step.kind, _bare(step.text)) for step in steps}) == 1:
        return "reason.repeated"
    if decision.mode == "plan_execute" and all(step.kind == "conversation" for step in steps):
        return "reason.talk"
    title = _line(shown.get("title"))
    return Plan("" if _loops(title) else title, steps)


def template_plan(request: str, decision: Decision, reason: str, most_steps: int) -> Plan:
    """The plan that is made without a model: of the steps that the request itself names."""
    title = cut_line(request)
    if decision.mode == "plan":
        keys = ("template.goal", "template.needs", "template.parts", "template.review")
        steps = tuple(PlanStep("conversation", say(decision.language, key)) for key in keys)
        return Plan(title, steps[:most_steps], "template", reason)
    work = decision.work or (PlanStep("execution", request.strip()),)
    if all(step.kind == "conversation" for step in work):
        work = (*work, PlanStep("execution", request.strip()))
    return Plan(title, work[:most_steps], "template", reason)


def ask_code(task: str, earlier: str, settings: CommanderSettings, language: Language) -> Ask:
    """A program for ``task``; ``earlier``: what was done before, as :func:`told` says it."""
    return _coder(_messages("code", language, task=task, earlier=earlier), settings)


def ask_again(task: str, settings: CommanderSettings, language: Language) -> Ask:
    """The same once more, of a model that gave no code."""
    return _coder(_messages("again", language, task=task), settings)


def ask_mended(task: str, code: str, problem: str, settings: CommanderSettings, language: Language) -> Ask:
    """A program that does not fail as ``code`` did."""
    messages = _messages("mend", language, task=task, code=fence(code, "python"), problem=problem)
    return _coder(messages, settings)


def ask_words(step: PlanStep, earlier: str, language: Language) -> Ask:
    """A step in words, or a design."""
    if step.kind == "ui":
        return Ask("designer", "ui", _messages("ui", language, task=step.text, earlier=earlier), stream=True)
    messages = _messages("conversation", language, task=step.text, earlier=earlier)
    return Ask("assistant", "brain", messages, stream=True)


def task_of(step: PlanStep, request: str) -> str:
    """What the coder is told to do: the step and, where it is not the same, the request that it is part of."""
    whole = request.strip()
    return step.text if step.text == whole else f"{step.text}\n({cut(whole, 4 * TEXT_MOST)})"


def problem_of(outcome: Outcome, language: Language) -> str:
    """What the coder is told of a run that failed."""
    said = failure_of(outcome, language)
    return f"{said}\n{fence(outcome.trace)}" if outcome.trace.strip() else said


def failure_of(outcome: Outcome, language: Language) -> str:
    """Why a run failed, in one line."""
    problem = outcome.problem or "raised"
    if problem in {"raised", "refused"}:
        return outcome.error
    return say(language, problem, error=outcome.error, exit_code=outcome.exit_code)


def told(results: Sequence[StepResult], files: Sequence[str], most: int) -> str:
    """What the steps so far came to, for the next one's prompt, in ``most`` characters; the latest matter most."""
    parts: list[str] = []
    for number, result in enumerate(results, 1):
        part = [f"[{number}] {result.text}"]
        if result.code:
            part.append(fence(result.code, "python"))
        if result.output:
            part.append(fence(result.output))
        if result.answer:
            part.append(result.answer)
        if result.error:
            part.append(f"! {result.error}")
        parts.append("\n".join(part))
    if files:
        parts.append(f"[{', '.join(files)}]")
    text = "\n\n".join(parts)
    return f"{cut(text, most)}\n\n" if text else ""


def fence(text: str, info: str = "") -> str:
    """``text`` as a fenced block, with a fence that it does not hold itself."""
    mark = "```"
    while mark in text:
        mark += "`"
    return f"{mark}{info}\n{text.rstrip()}\n{mark}"


def cut_line(text: str) -> str:
    """``text`` on one line, of at most :data:`TEXT_MOST` characters."""
    line = " ".join(text.split())
    return line if len(line) <= TEXT_MOST else f"{line[: TEXT_MOST - 1]}…"


def _coder(messages: tuple[tuple[str, str], ...], settings: CommanderSettings) -> Ask:
    return Ask("coder", "executor", messages, tokens=settings.code_tokens, temperature=settings.temperature)


def _step(item: Json, decision: Decision) -> PlanStep | None:
    kind = "conversation" if decision.mode == "plan" else item.get("kind")
    text = _line(item.get("text"))
    if kind not in KINDS or not any(character.isalnum() for character in text) or _loops(text):
        return None
    return PlanStep(cast("Any", kind), text, _line(item.get("details")))


def _different(steps: Sequence[PlanStep]) -> tuple[PlanStep, ...]:
    """``steps`` without those that come twice. To write something and to run the same is one step."""
    found: dict[tuple[bool, str], PlanStep] = {}
    for step in steps:
        key = (step.kind in {"code", "execution"}, step.text.casefold())
        known = found.get(key)
        if known is None:
            found[key] = step
        elif known.kind == "code" and step.kind == "execution":
            found[key] = replace(known, kind="execution")
    return tuple(found.values())


def _loops(text: str) -> bool:
    """Whether ``text`` says the same over and over, as very small models do: it is packed far too well."""
    raw = text.encode()
    return len(raw) >= _LOOP_LEAST and len(zlib.compress(raw)) < _LOOP_PACKED * len(raw)


def _bare(text: str) -> frozenset[str]:
    """The words of ``text`` without its numbers: "part 1", "part 2" … of nothing say the same."""
    letters = (character if character.isalpha() else " " for character in text.casefold())
    return frozenset("".join(letters).split())


def _line(value: object) -> str:
    return cut_line(value) if isinstance(value, str) else ""


def _messages(name: str, language: Language, **values: str) -> tuple[tuple[str, str], ...]:
    system, user = _prompt(name, language)
    return ("system", system), ("user", user.substitute(values))


@cache
def _prompt(name: str, language: Language) -> tuple[str, Template]:
    file = resources.files("coreto.crews.commander") / "prompts" / f"{name}.{language}.txt"
    system, _, user = file.read_text(encoding="utf-8").partition("\n---\n")
    return system.strip(), Template(user.strip())
