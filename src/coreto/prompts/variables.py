"""The types of variables: what fits, what is kept, what is read from text. Pure.

Numbers are decimals, never binary fractions: 1.5 % stays 1.5 %, and R$ 2.00 stays R$ 2.00.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Literal, TypeGuard, cast

from coreto.labels import Label

Kind = Literal["string", "integer", "number", "boolean", "list"]
KINDS: Final[tuple[Kind, ...]] = ("string", "integer", "number", "boolean", "list")

Value = str | int | Decimal | bool | tuple[str, ...]

NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
RESERVED: Final = frozenset({"loop", "self", "super", "true", "false", "none", "caller"})

LONGEST: Final = 100_000
"""Characters of the longest value that a variable can allow."""

USUAL_LENGTH: Final = 20_000
"""Characters of a value whose variable says nothing of its length."""

MOST_ITEMS: Final = 1_000

_GREATEST: Final = 10**15
_FINEST: Final = -12
_TRUE = frozenset({"true", "yes", "sim", "1", "on"})
_FALSE = frozenset({"false", "no", "não", "nao", "0", "off"})


class MisfitError(ValueError):
    """A value does not fit its variable: what was expected, and never the value."""


@dataclass(frozen=True, slots=True)
class Variable:
    """What may stand for a name. ``default`` is ``None`` when a value is required.

    ``choices``: the only values, none = any; ``least`` and ``most``: bounds of a number; ``longest``: characters of a
    string, or of a list's items together; ``label``: how far a value that somebody gives may travel.
    """

    name: str
    kind: Kind = "string"
    default: Value | None = None
    description: str = ""
    choices: tuple[str, ...] = ()
    least: Decimal | None = None
    most: Decimal | None = None
    longest: int = USUAL_LENGTH
    label: Label = Label.PUBLIC


def fit(variable: Variable, value: object) -> Value:
    """``value`` as the variable's type. Raises :class:`MisfitError`."""
    fitting = _typed(variable.kind, value)
    if isinstance(fitting, Decimal | int) and not isinstance(fitting, bool):
        _check_bounds(variable, Decimal(fitting))
    texts = (fitting,) if isinstance(fitting, str) else fitting if isinstance(fitting, tuple) else ()
    if sum(map(len, texts)) > variable.longest:
        raise MisfitError(f"longer than {variable.longest} characters")
    if variable.choices and any(text not in variable.choices for text in texts):
        raise MisfitError(f"expected one of: {', '.join(variable.choices)}")
    return fitting


def read(variable: Variable, text: str) -> Value:
    """The value that somebody typed; lists with commas, or as JSON. Raises :class:`MisfitError`."""
    if variable.kind == "boolean":
        plain = text.strip().casefold()
        if plain not in _TRUE | _FALSE:
            raise MisfitError("expected true or false")
        return plain in _TRUE
    if variable.kind == "list":
        return fit(variable, _read_list(text))
    return fit(variable, text if variable.kind == "string" else text.strip())


def as_json(value: Value) -> str | int | bool | list[str]:
    """What :func:`fit` reads back from JSON."""
    if isinstance(value, Decimal):
        return format(value, "f")
    return list(value) if isinstance(value, tuple) else value


def as_text(value: object) -> str:
    """A value as it stands in a prompt: decimals without exponent, lists with commas, ``true`` and ``false``."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, tuple | list):
        return ", ".join(as_text(one) for one in cast("Iterable[object]", value))
    return str(value)


def _typed(kind: Kind, value: object) -> Value:
    match kind:
        case "boolean":
            if not isinstance(value, bool):
                raise MisfitError("expected true or false")
            return value
        case "integer":
            return _integer(value)
        case "number":
            return _number(value)
        case "list":
            return _list(value)
        case "string":
            if not isinstance(value, str):
                raise MisfitError("expected a string")
            return _sound(value)


def _integer(value: object) -> int:
    if isinstance(value, str) and re.fullmatch(r"[+-]?\d{1,18}", value, re.ASCII):
        return _integer(int(value))
    if not isinstance(value, int) or isinstance(value, bool):
        raise MisfitError("expected a whole number")
    if abs(value) > _GREATEST:
        raise MisfitError("a number too large")
    return value


def _number(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise MisfitError("expected a number")
    if isinstance(value, int) and abs(value) > _GREATEST:
        raise MisfitError("a number too large")
    try:
        number = value if isinstance(value, Decimal) else Decimal(str(value))
    except InvalidOperation:
        raise MisfitError("expected a number with a decimal point") from None
    if not number.is_finite() or abs(number) > _GREATEST:
        raise MisfitError("a number too large")
    exponent = number.as_tuple().exponent
    if isinstance(exponent, int) and exponent < _FINEST:
        raise MisfitError(f"more than {-_FINEST} decimal places")
    return number or Decimal(0)


def _list(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise MisfitError("expected a list of strings")
    items = cast("list[object] | tuple[object, ...]", value)
    if len(items) > MOST_ITEMS:
        raise MisfitError(f"more than {MOST_ITEMS} items")
    if not _all_strings(items):
        raise MisfitError("expected a list of strings")
    return tuple(_sound(one) for one in items)


def _all_strings(items: Iterable[object]) -> TypeGuard[Iterable[str]]:
    return all(isinstance(one, str) for one in items)


def _sound(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise MisfitError("not Unicode: half of a surrogate pair") from None
    return text


def _check_bounds(variable: Variable, number: Decimal) -> None:
    if variable.least is not None and number < variable.least:
        raise MisfitError(f"expected {as_text(variable.least)} or more")
    if variable.most is not None and number > variable.most:
        raise MisfitError(f"expected {as_text(variable.most)} or less")


def _read_list(text: str) -> Any:
    if not text.lstrip().startswith("["):
        return [one for one in (part.strip() for part in text.split(",")) if one]
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise MisfitError("expected a list: items with commas, or JSON") from None
