"""Validation errors in one line each: what was expected, and the nearest valid name."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, get_args, get_origin

from pydantic import BaseModel

from coreto.settings.draft import Draft, Key, dotted, nearest, shown
from coreto.settings.model import Settings

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

_EXPECTED = {
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "text in quotes",
    "path_type": "a path in quotes",
    "tuple_type": "a list in brackets",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "too_short": "at least one entry",
}
_BOUNDS = {
    "greater_than": ("above", "gt"),
    "greater_than_equal": ("of at least", "ge"),
    "less_than_equal": ("of at most", "le"),
    "less_than": ("below", "lt"),
}
_SECRET = frozenset({"api_key", "api_keys", "headers", "pexels_api_key", "pixabay_api_key", "url", "backend"})
_QUOTED = re.compile(r"'([^']*)'")


def is_secret(key: Key) -> bool:
    """Whether the value of the key must not be shown."""
    return any(part in _SECRET for part in key if part not in {"providers", "roles", "models"})


def note_errors(draft: Draft, error: "ValidationError") -> None:
    """Note every error of the schema in the draft, one per key."""
    seen: set[Key] = set()
    details = [(_schema_key(detail["loc"]), detail) for detail in error.errors(include_url=False)]
    for key, detail in details:
        # A list of which an entry is wrong counts as too short as well.
        echo = detail["type"] == "too_short" and any(k[: len(key)] == key != k for k, _ in details)
        if key in seen or echo:
            continue
        seen.add(key)
        if detail["type"] == "extra_forbidden":
            parent = key[:-1]
            names = field_names(parent)
            inside = f" in [{dotted(parent)}]" if parent else ""
            draft.fault(f"unknown key {key[-1]!r}{inside}{nearest(str(key[-1]), names)}", draft.blame(key))
        elif detail["type"] == "missing":
            draft.problem(key, "is missing")
        else:
            draft.problem(
                key, f"expected {_expected(key, detail)}{_but_not(key, detail['input'])}{_choice(detail)}"
            )


def field_names(key: Key) -> tuple[str, ...]:
    """The keys that the table at ``key`` may have; none where names are free."""
    kind = _type_at(key)
    return tuple(kind.model_fields) if isinstance(kind, type) and issubclass(kind, BaseModel) else ()


def _expected(key: Key, detail: "ErrorDetails") -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if key[-1] == "keep_alive":
        return 'a number of seconds or text such as "5m"'
    if kind == "literal_error":
        return str(context["expected"])
    if kind in _BOUNDS:
        word, name = _BOUNDS[kind]
        return f"a number {word} {context[name]:g}"
    if kind == "value_error":
        return str(context["error"])
    return _EXPECTED.get(kind, detail["msg"])


def _choice(detail: "ErrorDetails") -> str:
    """The nearest of the words that are allowed."""
    if detail["type"] != "literal_error":
        return ""
    hint = nearest(str(detail["input"]), _QUOTED.findall(str(detail.get("ctx", {})["expected"])))
    return hint if "did you mean" in hint else ""


def _but_not(key: Key, value: object) -> str:
    if is_secret(key) or not isinstance(value, str | int | float):
        return ""
    return f", not {shown(value)}"


def _schema_key(location: tuple[int | str, ...]) -> Key:
    """The error's place without the parts that pydantic adds for the members of a union."""
    for end in range(1, len(location)):
        if _type_at(location[:end]) is None:
            return location[:end]
    return location


def _type_at(key: Key) -> Any:
    """The schema's type at a key: a section, a mapping, a list; ``None`` for a plain value or no such key."""
    kind: Any = Settings
    for part in key:
        arguments = get_args(kind)
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            field = kind.model_fields.get(str(part))
            kind = field.annotation if field else None
        elif get_origin(kind) in {dict, Mapping}:
            kind = arguments[1]
        elif get_origin(kind) is tuple and isinstance(part, int):
            kind = arguments[0]
        else:
            return None
        if not (
            get_origin(kind) in {dict, Mapping, tuple}
            or (isinstance(kind, type) and issubclass(kind, BaseModel))
        ):
            kind = None
    return kind
