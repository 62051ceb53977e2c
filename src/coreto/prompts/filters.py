"""The filters and tests of templates. Each knows how long its result will be before it makes it. Pure."""

import json
import re
from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final, cast

from jinja2 import pass_context
from jinja2.runtime import Context
from jinja2.tests import test_even, test_odd

from coreto.prompts.variables import LONGEST, as_text

LANGUAGE: Final = "_language"
"""Under which name, impossible for a variable, a template's context holds the language."""

_MOST_PLACES: Final = 9
_WIDEST: Final = 40
_SYMBOLS: Final[Mapping[str, str]] = {"BRL": "R$ ", "USD": "US$ ", "EUR": "€ "}
_FENCE: Final = re.compile(r"`{3,}")


def upper(value: object) -> str:
    return _short(as_text(value)).upper()


def lower(value: object) -> str:
    return _short(as_text(value)).lower()


def capitalize(value: object) -> str:
    return _short(as_text(value)).capitalize()


def title(value: object) -> str:
    return _short(as_text(value)).title()


def trim(value: object) -> str:
    return _short(as_text(value)).strip()


def default(value: Any, instead: Any = "") -> Any:
    """``instead`` of what is empty; 0 and false are not."""
    return instead if value in ("", (), []) else value


def length(value: Any) -> int:
    return len(value)


def first(value: Any) -> Any:
    return value[0] if value else ""


def last(value: Any) -> Any:
    return value[-1] if value else ""


def join(value: object, between: str = ", ") -> str:
    """The items with ``between`` between them."""
    items = [as_text(one) for one in _items(value)]
    _check(sum(map(len, items)) + len(between) * len(items))
    return between.join(items)


def replace(value: object, old: str, new: str) -> str:
    text = as_text(value)
    if not old:
        raise ValueError("replace: nothing to replace")
    _check(len(text) + text.count(old) * max(0, len(new) - len(old)))
    return text.replace(old, new)


def indent(value: object, width: int = 4) -> str:
    """Every line but the first and the empty moved to the right."""
    text = as_text(value)
    if not 0 <= width <= _WIDEST:
        raise ValueError(f"indent: expected 0 to {_WIDEST}")
    _check(len(text) + (text.count("\n") + 1) * width)
    return re.sub(r"\n(?=[^\n])", "\n" + " " * width, text)


def truncate(value: object, longest: int = 200, end: str = "…") -> str:
    """At most ``longest`` characters, cut at a space where there is one, with ``end``."""
    text = _short(as_text(value))
    if len(text) <= longest:
        return text
    cut = text[: max(0, longest - len(end))]
    return (cut.rsplit(" ", 1)[0] or cut) + end


def tojson(value: object) -> str:
    """JSON, letters as they are; numbers keep their decimals."""
    return _short(json.dumps(_plain(value), ensure_ascii=False))


def fenced(value: object) -> str:
    """A text between fences that it cannot close itself: for words that are data, and no instructions."""
    text = _short(as_text(value))
    longest = max((len(run) for run in _FENCE.findall(text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}\n{text}\n{fence}"


@pass_context
def number(context: Context, value: object, places: int | None = None) -> str:
    """A number as the prompt's language writes it, without thousands separators; rounded half up to ``places``."""
    return _local(context, _decimal(value), places)


@pass_context
def percent(context: Context, value: object, places: int | None = None) -> str:
    """A number that is a percentage already: 1.5 → ``1.5%``, ``1,5%``."""
    return _local(context, _decimal(value), places) + "%"


@pass_context
def money(context: Context, value: object, currency: str, places: int = 2) -> str:
    """An amount of ``currency`` (an ISO code): ``R$ 2,00``."""
    amount = _decimal(value)
    sign = "-" if amount < 0 else ""
    symbol = _SYMBOLS.get(currency, f"{currency} ")
    return f"{sign}{symbol}{_local(context, abs(amount), places)}"


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "upper": upper,
    "lower": lower,
    "capitalize": capitalize,
    "title": title,
    "trim": trim,
    "default": default,
    "length": length,
    "first": first,
    "last": last,
    "join": join,
    "replace": replace,
    "indent": indent,
    "truncate": truncate,
    "tojson": tojson,
    "fenced": fenced,
    "number": number,
    "percent": percent,
    "money": money,
}

TESTS: Final[Mapping[str, Callable[..., bool]]] = {"odd": test_odd, "even": test_even}


def _local(context: Context, value: Decimal, places: int | None) -> str:
    if places is not None:
        if not 0 <= places <= _MOST_PLACES:
            raise ValueError(f"expected 0 to {_MOST_PLACES} decimal places")
        value = value.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)
    text = format(value, "f")
    return text.replace(".", ",") if context.resolve(LANGUAGE) == "pt-BR" else text


def _decimal(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise TypeError("expected a number")
    return value if isinstance(value, Decimal) else Decimal(str(value))


def _items(value: object) -> tuple[object, ...]:
    if not isinstance(value, tuple | list):
        raise TypeError("expected a list")
    return tuple(cast("list[object]", value))


def _plain(value: object) -> Any:
    if isinstance(value, tuple | list):
        items = _items(cast("object", value))
        _check(sum(len(as_text(one)) for one in items))
        return [_plain(one) for one in items]
    if isinstance(value, Decimal):
        whole = value == value.to_integral_value()
        return int(value) if whole else float(value)
    return _short(value) if isinstance(value, str) else value


def _short(text: str) -> str:
    _check(len(text))
    return text


def _check(characters: int) -> None:
    if characters > 2 * LONGEST:
        raise ValueError(f"a text of more than {2 * LONGEST} characters")
