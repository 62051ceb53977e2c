"""Reads a prompt's file: front matter in TOML between lines ``+++``, then the template. Pure.

A line ``---`` in the body divides the system message from the user's; without one, all of it is the user's.
"""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final, cast

from coreto.labels import Label
from coreto.languages import Language
from coreto.prompts.errors import PromptError
from coreto.prompts.grammar import Grammar
from coreto.prompts.names import check_name
from coreto.prompts.prompt import LANGUAGES, Part, Prompt
from coreto.prompts.sandbox import sandbox
from coreto.prompts.tables import Table, read_table
from coreto.prompts.variables import KINDS, LONGEST, NAME, RESERVED, USUAL_LENGTH, Kind, Variable, fit

FENCE: Final = "+++"
DIVIDER: Final = "---"
LARGEST: Final = 64 * 1024
"""Characters of a prompt's file."""

MOST_VERSION: Final = 1_000_000
MOST_VARIABLES: Final = 100

_KEYS = ("name", "version", "language", "description", "role", "label", "variables")
_VARIABLE_KEYS = (
    "type",
    "default",
    "description",
    "choices",
    "min",
    "max",
    "max_length",
    "label",
)


def parse(text: str, *, file: str, fragments: Mapping[str, str] | None = None) -> Prompt:
    """The prompt in ``text``. ``fragments``: what it may include, by name.

    Raises :class:`PromptError` and nothing else, whatever the text; it names ``file`` and the line.
    """
    source = text.removeprefix("\ufeff").replace("\r\n", "\n")
    if len(source) > LARGEST:
        raise PromptError(f"longer than {LARGEST} characters", file=file, line=1)
    _check_unicode(source, file)
    lines = source.split("\n")
    if lines[0].rstrip() != FENCE:
        raise PromptError(
            f"a prompt begins with a line {FENCE}, its settings, and {FENCE} again", file=file, line=1
        )
    end = next((number for number, line in enumerate(lines[1:], 1) if line.rstrip() == FENCE), None)
    if end is None:
        raise PromptError(f"the settings have no closing line {FENCE}", file=file, line=len(lines))
    head = read_table("\n".join(lines[1:end]), file=file, start=1)
    head.expect(_KEYS)
    variables = _variables(head)
    parts = _parts(lines, end + 1, file)
    used = _checked(parts, variables, file, fragments or {})
    return Prompt(
        name=_name(head),
        version=_version(head),
        language=_language(head),
        parts=parts,
        variables=variables,
        description=head.text("description") or "",
        role=_role(head),
        label=_label(head, Label.PUBLIC),
        fragments=used,
        file=file,
        source=source,
    )


def _check_unicode(source: str, file: str) -> None:
    try:
        source.encode()
    except UnicodeEncodeError as error:
        line = source.count("\n", 0, error.start) + 1
        raise PromptError("not Unicode: half of a surrogate pair", file=file, line=line) from None


def _parts(lines: list[str], start: int, file: str) -> tuple[Part, ...]:
    """The templates in the lines from ``start`` (from 0), without the empty ones."""
    dividers = [number for number in range(start, len(lines)) if lines[number].rstrip() == DIVIDER]
    if len(dividers) > 1:
        raise PromptError(f"a second line {DIVIDER}", file=file, line=dividers[1] + 1)
    ends = [*dividers, len(lines)]
    begins = [start, *(number + 1 for number in dividers)]
    speakers = ("system", "user") if dividers else ("user",)
    parts: list[Part] = []
    for speaker, begin, end in zip(speakers, begins, ends, strict=True):
        while begin < end and not lines[begin].strip():
            begin += 1  # noqa: PLW2901 - past the empty lines
        if body := "\n".join(lines[begin:end]).rstrip():
            parts.append(Part(speaker, body, begin + 1))
    if not parts:
        raise PromptError("no text below the settings", file=file, line=start)
    return tuple(parts)


def _checked(
    parts: tuple[Part, ...], variables: tuple[Variable, ...], file: str, fragments: Mapping[str, str]
) -> dict[str, str]:
    """The fragments that are used."""
    grammar = Grammar(sandbox(), fragments)
    names = frozenset(one.name for one in variables)
    for part in parts:
        grammar.check(part.body, names, file=file, line=part.line)
    return grammar.used


def _name(head: Table) -> str:
    name = head.text("name")
    if name is None:
        raise head.fail("name is missing")
    try:
        return check_name(name)
    except ValueError as error:
        raise head.fail(f"name: {error}", "name") from None


def _version(head: Table) -> int:
    version = head.whole("version", 1, MOST_VERSION)
    if version is None:
        raise head.fail("version is missing: a whole number, greater with every change")
    return version


def _language(head: Table) -> Language:
    language = head.text("language")
    if language not in LANGUAGES:
        raise head.fail(f"language: expected one of {', '.join(LANGUAGES)}", "language")
    return language


def _role(head: Table) -> str | None:
    role = head.text("role")
    if role is not None and not role.strip():
        raise head.fail("role: expected the name of a role", "role")
    return role


def _label(table: Table, usual: Label) -> Label:
    text = table.text("label")
    try:
        return usual if text is None else Label.parse(text)
    except ValueError as error:
        raise table.fail(f"label: {error}", "label") from None


def _variables(head: Table) -> tuple[Variable, ...]:
    told = head.tables("variables")
    if len(told) > MOST_VARIABLES:
        raise head.fail(f"more than {MOST_VARIABLES} variables", "variables")
    return tuple(_variable(head, name, value) for name, value in told)


def _variable(head: Table, name: str, told: Any) -> Variable:
    """A variable from its table, or from its default alone."""
    at = ("variables", name)
    if not NAME.fullmatch(name) or name in RESERVED:
        raise head.fail(f"a variable cannot be called {name!r}: small letters, digits and _", *at)
    content = cast("dict[str, Any]", told) if isinstance(told, dict) else {"default": told}
    table = head.inner(content, *at)
    table.expect(_VARIABLE_KEYS)
    if not content:
        raise table.fail("a variable needs a type or a default")
    variable = Variable(
        name,
        _kind(table),
        description=table.text("description") or "",
        choices=_choices(table),
        least=_bound(table, "min"),
        most=_bound(table, "max"),
        longest=table.whole("max_length", 1, LONGEST) or USUAL_LENGTH,
        label=_label(table, Label.PUBLIC),
    )
    return _with_default(variable, table)


def _with_default(variable: Variable, table: Table) -> Variable:
    default: object = table.content.get("default")
    if default is None:
        return variable
    try:
        fitting = fit(variable, default)
    except ValueError as error:
        raise table.fail(f"default: {error}", "default") from None
    return replace(variable, default=fitting)


def _kind(table: Table) -> Kind:
    kind = table.text("type")
    if kind is None:
        return _kind_of(table)
    if kind not in KINDS:
        raise table.fail(f"type: expected one of {', '.join(KINDS)}", "type")
    return kind


def _kind_of(table: Table) -> Kind:
    """The type that a default is of."""
    match table.content.get("default"):
        case bool():
            return "boolean"
        case int():
            return "integer"
        case Decimal():
            return "number"
        case list():
            return "list"
        case None | str():
            return "string"
        case _:
            raise table.fail(f"default: expected a value of one of the types {', '.join(KINDS)}", "default")


def _choices(table: Table) -> tuple[str, ...]:
    choices = cast("list[object]", table.get("choices", list, "a list of strings") or [])
    if not all(isinstance(one, str) for one in choices):
        raise table.fail("choices: expected a list of strings", "choices")
    if choices and _kind(table) not in ("string", "list"):
        raise table.fail("choices: only strings and lists have them", "choices")
    return tuple(cast("list[str]", choices))


def _bound(table: Table, name: str) -> Decimal | None:
    value = table.content.get(name)
    if value is None:
        return None
    if _kind(table) not in ("integer", "number"):
        raise table.fail(f"{name}: only numbers have it", name)
    try:
        fitting = fit(Variable(name, "number"), value)
    except ValueError as error:
        raise table.fail(f"{name}: {error}", name) from None
    return cast("Decimal", fitting)
