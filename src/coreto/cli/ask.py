"""``coreto ask``: one prompt, one answer."""

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from coreto.app import App
from coreto.cli import figures
from coreto.cli.command_run import as_json, command, summary, wants_commander
from coreto.cli.explain import decided, explain
from coreto.cli.flags import Flags
from coreto.cli.prompt import messages, read_prompt, response_format
from coreto.cli.pull import EMBEDDED, pull_weights, require_extra
from coreto.cli.terminal import console, print_json, say
from coreto.cli.texts import Texts
from coreto.client import Answer, Coreto
from coreto.crews.commander.state import CommanderResult
from coreto.errors import CallError, CoretoError, InvalidOutputError
from coreto.messages import Json, Preference, Trace
from coreto.providers.weights import KNOWN, find, models_dir
from coreto.redaction import brief

SMALLEST = "smollm2"


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line says. ``options``: fields of the request as they are."""

    prompt: str
    role: str | None = None
    model: str | None = None
    json: bool = False
    explain: bool = False
    files: tuple[Path, ...] = ()
    schema: Path | None = None
    private: bool = False
    prefer: Preference | None = None
    plain: bool = False
    system: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def name(self) -> str:
        return self.role or self.model or "auto"

    @property
    def is_open(self) -> bool:
        """Whether nothing is said of who shall answer, or how."""
        return not (
            self.plain or self.role or self.model or self.schema or self.system or self.prefer or self.options
        )


async def ask(flags: Flags, asked: Asked) -> int:
    """Print the answer. Raises :class:`CoretoError`; with ``json`` it is printed as an object too."""
    options = dict(asked.options)
    if asked.schema is not None:
        options["response_format"] = response_format(asked.schema)
    text = read_prompt(asked.prompt)
    prompt = messages(text, asked.files, asked.system)
    coreto = Coreto(config=flags.config, settings=flags.overrides)
    texts = Texts(coreto.loaded.settings.language)
    question = _Question(coreto, asked, prompt, options, texts)
    commanding = asked.is_open and wants_commander(text, texts.language)
    started = time.monotonic()
    try:
        async with coreto:
            if asked.explain:
                decided(await question.decision(), texts, console(stderr=True))
            if commanding:
                result = await question.commanded()
                return _told(result, asked, texts)
            answer = await question.answered()
    except CallError as error:
        if asked.explain and error.trace is not None:
            explain(error.trace, asked.name, texts, console(stderr=True))
        if asked.json:
            print_json(_failure(error, error.trace))
        raise
    except CoretoError as error:
        if asked.json:
            print_json(_failure(error, None))
        raise
    if asked.json:
        print_json(_as_json(answer, asked))
    elif not question.heard:
        sys.stdout.write(_shown(answer, asked) + "\n")
        sys.stdout.flush()
    _tell(answer, asked, texts, (time.monotonic() - started) * 1000)
    return 0


@dataclass(slots=True)
class _Question:
    """One prompt on its way. ``heard``: a part of the answer is on the screen."""

    coreto: Coreto
    asked: Asked
    prompt: list[Json]
    options: Json
    texts: Texts
    heard: bool = False

    async def answered(self) -> Answer:
        """The answer, printed while it came. The embedded model is fetched when nobody else is left."""
        try:
            return await self._once()
        except CallError as error:
            if self.heard or not await self._fetched(error):
                raise
        return await self._once()

    async def commanded(self) -> CommanderResult:
        """What a commander made of it, told while it ran. The embedded model is fetched as by :meth:`answered`."""
        text = str(self.prompt[-1]["content"])
        run = partial(command, self.coreto, text, private=self.asked.private, quiet=self.asked.json)
        try:
            return await run()
        except CallError as error:
            if not await self._fetched(error):
                raise
        return await run()

    async def _once(self) -> Answer:
        asked = self.asked
        if asked.json or self._must_validate():
            return await self.coreto.chat(self.prompt, **self._how())
        try:
            return await self._streamed()
        finally:
            if self.heard:
                sys.stdout.write("\n")
                sys.stdout.flush()

    def _how(self) -> dict[str, Any]:
        asked = self.asked
        return {
            "role": asked.role,
            "model": asked.model,
            "private": asked.private,
            "prefer": asked.prefer,
            **self.options,
        }

    async def decision(self) -> Json:
        """Where the question goes, and why."""
        return await self.coreto.route(self.prompt, **self._how())

    def _must_validate(self) -> bool:
        """Whether the answer must be looked at as a whole before anybody sees it."""
        role = self.coreto.loaded.settings.roles.get(self.asked.name)
        wanted = role is not None and (role.json_answer or role.labels or role.response_schema)
        return bool(wanted) or "response_format" in self.options

    async def _streamed(self) -> Answer:
        async with self.coreto.stream(self.prompt, **self._how()) as stream:
            async for piece in stream:
                self.heard = True
                sys.stdout.write(piece)
                sys.stdout.flush()
            if stream.answer is None:
                raise CallError("the gateway ended without a trace")
            return stream.answer

    async def _fetched(self, error: CallError) -> bool:
        """Whether the embedded model was what is missing, and has been fetched now."""
        settings = self.coreto.loaded.settings
        engine = settings.providers.get(EMBEDDED)
        if settings.offline or engine is None or not engine.enabled or not wants_weights(error.trace):
            return False
        folder = models_dir(settings.models_dir)
        if find(SMALLEST, folder) is not None:
            return False
        require_extra()
        size = figures.size(KNOWN[SMALLEST].download_size)
        say(self.texts("ask.pulling", name=f"{EMBEDDED}/{SMALLEST}", size=size), stderr=True)
        await pull_weights(SMALLEST, folder, self.texts)
        backend = self.coreto.backend
        if not isinstance(backend, App):
            say(self.texts("pull.restart", name=f"{EMBEDDED}/{SMALLEST}"), stderr=True)
            return False
        await backend.refresh()
        return True


def _told(result: CommanderResult, asked: Asked, texts: Texts) -> int:
    """Print what is left to say of a run: 0 when all of it was done, else 1."""
    if asked.json:
        print_json(as_json(result))
    else:
        summary(result, texts)
    return 0 if result.ok else 1


def wants_weights(trace: Trace | None) -> bool:
    """Whether a failed call had the embedded model among its candidates."""
    if trace is None:
        return False
    names = {name for name, _ in trace.dropped} | {attempt.deployment for attempt in trace.attempts}
    return f"{EMBEDDED}/{SMALLEST}" in names


def _shown(answer: Answer, asked: Asked) -> str:
    if asked.schema is None:
        return answer.text
    return orjson.dumps(_value(answer), option=orjson.OPT_INDENT_2).decode()


def _value(answer: Answer) -> object:
    try:
        return orjson.loads(answer.text)
    except orjson.JSONDecodeError as error:  # a refusal passes for an answer
        raise InvalidOutputError(
            f"{answer.deployment} answered without JSON: {brief(answer.text)}"
        ) from error


def _tell(answer: Answer, asked: Asked, texts: Texts, ms: float) -> None:
    """Say on standard error what it took: all of it when asked to explain, a line on a terminal."""
    errors = console(stderr=True)
    if asked.explain:
        explain(answer.trace, asked.name, texts, errors)
    elif errors.is_terminal and not asked.json:
        summary = texts(
            "ask.summary",
            deployment=answer.deployment or "-",
            tokens=answer.usage.completion,
            time=figures.duration(ms, texts.decimal),
            cost=figures.money(answer.trace.cost_nusd, texts("ask.no_price")),
        )
        say(summary, style="dim", stderr=True)


def _as_json(answer: Answer, asked: Asked) -> Json:
    shown: Json = {
        "text": answer.text,
        "deployment": answer.deployment,
        "role": answer.trace.role,
        "usage": {
            "prompt_tokens": answer.usage.prompt,
            "completion_tokens": answer.usage.completion,
            "total_tokens": answer.usage.prompt + answer.usage.completion,
        },
        "cost_usd": answer.cost_usd,
        "coreto": answer.trace.as_json(),
    }
    if asked.schema is not None:
        shown["value"] = _value(answer)
    return shown


def _failure(error: CoretoError, trace: Trace | None) -> Json:
    shown = {"code": error.code, "message": error.message}
    return {"error": shown, "coreto": trace.as_json() if trace else None}
