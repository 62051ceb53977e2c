"""Fills a prompt with values: data, never templates. Bounded in output and in work, whatever the template. Pure."""

import threading
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from jinja2 import Template, TemplateError

from coreto.labels import Label, combine
from coreto.prompts.errors import PromptError, PromptValueError
from coreto.prompts.filters import LANGUAGE
from coreto.prompts.prompt import Prompt
from coreto.prompts.sandbox import METER, Meter, sandbox
from coreto.prompts.variables import Value, fit

MOST_CHARACTERS: Final = 400_000
"""Of a rendered prompt."""

MOST_VALUES: Final = 200_000
"""Characters of all values together."""

WORK: Final = 200_000
"""Elements that a rendering's loops may go through; each counts more where values are long."""

_CHARACTERS_A_PRICE: Final = 10_000
_KEPT: Final = 256


@dataclass(frozen=True, slots=True)
class Filled:
    """Every variable's value. ``label``: how far they may travel together; ``ignored``: stored values that fit no
    more, by variable."""

    values: Mapping[str, Value]
    label: Label
    ignored: tuple[str, ...] = ()


def fill(
    prompt: Prompt, given: Mapping[str, object], stored: Mapping[str, object] = MappingProxyType({})
) -> Filled:
    """The values of a rendering: the caller's, else the user's stored ones, else the defaults.

    Raises :class:`PromptValueError` for a value that is missing, of no variable, or of another type. Stored values may
    be older than the prompt: those that do not fit are ignored.
    """
    for name in given:
        if prompt.variable(name) is None:
            known = ", ".join(one.name for one in prompt.variables) or "none"
            raise PromptValueError(prompt.name, name[:80], f"there is no such variable; there is: {known}")
    values: dict[str, Value] = {}
    label = prompt.label
    ignored: list[str] = []
    for variable in prompt.variables:
        value = variable.default
        if variable.name in given:
            try:
                value = fit(variable, given[variable.name])
            except ValueError as error:
                raise PromptValueError(prompt.name, variable.name, str(error)) from None
            label = combine(label, variable.label)
        elif variable.name in stored:
            try:
                value = fit(variable, stored[variable.name])
                label = combine(label, variable.label)
            except ValueError:
                ignored.append(variable.name)
        if value is None:
            raise PromptValueError(prompt.name, variable.name, "a value is needed")
        values[variable.name] = value
    return Filled(values, label, tuple(ignored))


class Renderer:
    """Renders prompts, and keeps the compiled templates of the latest. Threads may share it."""

    __slots__ = ("_compiled", "_lock")

    def __init__(self) -> None:
        self._compiled: dict[tuple[str, str, tuple[str, ...]], tuple[Template, ...]] = {}
        self._lock = threading.Lock()

    def render(self, prompt: Prompt, values: Mapping[str, Value]) -> tuple[tuple[str, str], ...]:
        """Who speaks and what, a pair for each message that is not empty.

        Raises :class:`PromptError` for templates that fail, go on for too long, or say too much.
        """
        size = sum(_size(value) for value in values.values())
        if size > MOST_VALUES:
            raise PromptError(
                f"prompt {prompt.name!r}: values of more than {MOST_VALUES} characters together"
            )
        context = {
            **values,
            LANGUAGE: prompt.language,
            METER: Meter(WORK, 1 + size // _CHARACTERS_A_PRICE),
        }
        room = MOST_CHARACTERS
        said: list[tuple[str, str]] = []
        for part, template in zip(prompt.parts, self._templates(prompt), strict=True):
            text = _rendered(prompt, template, part.line - 1, context, room)
            room -= len(text)
            if text := text.strip():
                said.append((part.speaker, text))
        if not said:
            raise PromptError(
                "with these values, it says nothing", file=prompt.file, line=prompt.parts[0].line
            )
        return tuple(said)

    def _templates(self, prompt: Prompt) -> tuple[Template, ...]:
        key = (prompt.file, prompt.title, (*(part.body for part in prompt.parts), *prompt.fragments.values()))
        with self._lock:
            found = self._compiled.pop(key, None) or _compiled(prompt)
            while len(self._compiled) >= _KEPT:
                del self._compiled[next(iter(self._compiled))]
            self._compiled[key] = found
        return found


def _compiled(prompt: Prompt) -> tuple[Template, ...]:
    environment = sandbox(prompt.fragments)
    try:
        return tuple(
            Template.from_code(environment, environment.compile(part.body, filename=prompt.file or None), {})
            for part in prompt.parts
        )
    except (TemplateError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise PromptError(f"cannot be compiled: {_told(error)}", file=prompt.file) from None


def _rendered(prompt: Prompt, template: Template, start: int, context: Mapping[str, Any], room: int) -> str:
    pieces: list[str] = []
    try:
        for piece in template.generate(context):
            room -= len(piece)
            if room < 0:
                raise PromptError(
                    f"prompt {prompt.name!r}: more than {MOST_CHARACTERS} characters", file=prompt.file
                )
            pieces.append(piece)
    except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, RecursionError) as error:
        file, line = _where(error, prompt, start)
        raise PromptError(_told(error), file=file, line=line) from None
    return "".join(pieces)


def _where(error: BaseException, prompt: Prompt, start: int) -> tuple[str, int | None]:
    """The file and line of the template that failed: Jinja puts them in the traceback."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename in prompt.fragments:
            return frame.filename, frame.lineno
        if frame.filename == prompt.file and frame.lineno is not None:
            return prompt.file, frame.lineno + start
    return prompt.file, None


def _told(error: BaseException) -> str:
    """What went wrong; our own words where they are ours, never a value."""
    if isinstance(error, TemplateError):
        return error.message or type(error).__name__
    return str(error) if isinstance(error, ValueError | TypeError) else type(error).__name__


def _size(value: Value) -> int:
    if isinstance(value, tuple):
        return sum(map(len, value))
    return len(value) if isinstance(value, str) else 1
