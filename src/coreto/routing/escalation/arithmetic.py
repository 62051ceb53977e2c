"""A calculator for what answers claim: numbers in either notation, ``+ - * / % **`` and brackets, with caps.

Nothing is ever evaluated as code. Values are exact fractions, so that a difference is one.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

Notation = Literal["en", "pt"]
"""``en``: 1,234.56; ``pt``: 1.234,56."""

MOST_TOKENS = 60
_DEEPEST = 12
_MOST_DIGITS = 18
_MOST_EXPONENT = 64

_SHAPES: dict[Notation, re.Pattern[str]] = {
    "en": re.compile(r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?\Z"),
    "pt": re.compile(r"(?:\d{1,3}(?:\.\d{3})+|\d+)(?:,\d+)?\Z"),
}


Exact = int | Fraction
"""Whole numbers stay ``int``: a fraction's sum costs twenty times as much."""


class UnclearError(ValueError):
    """An expression that is none, that may mean two things, or that is larger than we care to compute."""


@dataclass(frozen=True, slots=True)
class Number:
    """A literal: its value and how many digits stand after its decimal sign."""

    value: Exact
    decimals: int


@dataclass(frozen=True, slots=True)
class Result:
    """What an expression comes to. ``exact``: whole numbers and no division; ``doubt``: how far off it may be,
    as a share, because its operands look rounded (3.14); ``percent``: a percent sign took part."""

    value: Exact
    exact: bool
    doubt: Exact
    percent: bool


def read_number(text: str, notation: Notation) -> Number:
    """The number that ``text`` spells in ``notation``. Raises :class:`UnclearError`."""
    if not _SHAPES[notation].match(text) or len(text) > _MOST_DIGITS:
        raise UnclearError(text)
    if text.isdecimal():
        return Number(int(text), 0)
    thousands, mark = (",", ".") if notation == "en" else (".", ",")
    plain = text.replace(thousands, "").replace(mark, ".")
    return Number(Fraction(plain), len(plain.partition(".")[2]))


def evaluate(tokens: list[str], notation: Notation) -> Result:
    """Compute ``tokens`` (numbers, ``+ - * / ^ % ( )``). Raises :class:`UnclearError`."""
    if not tokens or len(tokens) > MOST_TOKENS:
        raise UnclearError
    parser = _Parser(tokens, notation)
    value = parser.sum(0)
    if parser.at != len(tokens):
        raise UnclearError
    return Result(value, parser.exact, parser.doubt, parser.percent)


class _Parser:
    """Recursive descent; every method reads from ``at`` on and gives a value."""

    def __init__(self, tokens: list[str], notation: Notation) -> None:
        self._tokens = tokens
        self._notation: Notation = notation
        self.at = 0
        self.exact = True
        self.doubt: Exact = 0
        self.percent = False

    def _peek(self) -> str:
        return self._tokens[self.at] if self.at < len(self._tokens) else ""

    def _take(self, *signs: str) -> str:
        sign = self._peek()
        if sign not in signs or not sign:
            return ""
        self.at += 1
        return sign

    def sum(self, depth: int) -> Exact:
        left, percent = self._product(depth), self._ends_in_percent()
        while sign := self._take("+", "-"):
            right = self._product(depth)
            if self._ends_in_percent() != percent:
                raise UnclearError  # 100 + 10 % is 110 to some and 100.1 to others
            left = left + right if sign == "+" else left - right
        return left

    def _ends_in_percent(self) -> bool:
        return self.at > 0 and self._tokens[self.at - 1] == "%"

    def _product(self, depth: int) -> Exact:
        left = self._sign(depth)
        while sign := self._take("*", "/", "%"):
            right = self._sign(depth)
            if sign == "*":
                left *= right
                continue
            if right == 0:
                raise UnclearError
            if sign == "/":
                self.exact = False
                left = Fraction(left) / right
            else:
                left = left % right
        return left

    def _sign(self, depth: int) -> Exact:
        if depth > _DEEPEST:
            raise UnclearError
        if self._take("-"):
            return -self._sign(depth + 1)
        return self._power(depth)

    def _power(self, depth: int) -> Exact:
        base = self._atom(depth)
        if not self._take("^"):
            return base
        exponent = self._sign(depth + 1)
        if exponent.denominator != 1 or abs(exponent) > _MOST_EXPONENT or (base == 0 and exponent < 0):
            raise UnclearError
        if base.numerator.bit_length() + base.denominator.bit_length() > 64:
            raise UnclearError
        if exponent < 0:
            self.exact = False
        return base ** int(exponent) if exponent >= 0 else Fraction(base) ** int(exponent)

    def _atom(self, depth: int) -> Exact:
        if self._take("("):
            value = self.sum(depth + 1)
            if not self._take(")"):
                raise UnclearError
            return self._percented(value)
        number = read_number(self._peek(), self._notation)
        self.at += 1
        if number.decimals:
            self.exact = False
            if number.decimals > 1 and number.value:
                self.doubt += Fraction(1, 2 * 10**number.decimals) / number.value
        return self._percented(number.value)

    def _percented(self, value: Exact) -> Exact:
        """A percent sign before an operand is the remainder, else a hundredth."""
        behind = self._tokens[self.at + 1] if self.at + 1 < len(self._tokens) else ""
        if self._peek() != "%" or behind == "(" or behind[:1].isdigit():
            return value
        self.at += 1
        self.percent = True
        self.exact = False
        return Fraction(value) / 100
