"""Sums as people and models write them (words, LaTeX, Markdown, typographic signs) with plain signs instead."""

import re

_LATEX = (
    (re.compile(r"\\[dt]?frac\{([\d.,]+)\}\{([\d.,]+)\}"), r"(\1 / \2)"),
    (re.compile(r"\\(?:times|cdot)(?![a-z])"), "*"),
    (re.compile(r"\\div(?![a-z])"), "/"),
    (re.compile(r"\\approx(?![a-z])"), "≈"),
    (re.compile(r"\\(?:left|right|,|;|!| )|\\text\{\s*\}"), " "),
    (re.compile(r"\\([%$*])"), r"\1"),
    (re.compile(r"\^\{(\d+)\}"), r"^\1"),
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"\\\(|\\\)|\\\[|\\\]"), " "),
)

_SIGNS = {
    "times": "*", "multiplied by": "*", "vezes": "*", "multiplicado por": "*", "x": "*",
    "plus": "+", "mais": "+", "minus": "-", "menos": "-", "divided by": "/", "dividido por": "/",
    "is equal to": "=", "equals": "=", "equal": "=", "is": "=", "are": "=", "é igual a": "=", "são": "=",
    "é": "=", "dá": "=", "dão": "=", "gives": "=", "makes": "=", "resulta em": "=", "totaliza": "=",
}  # fmt: skip
_SPOKEN = re.compile(
    r"([\d)%²³])\s*\b(" + "|".join(sorted(_SIGNS, key=len, reverse=True)) + r")\b"
    r"(?=\s*(?:(?:US|R)?\$\s?)?[-(]?\d)",
    re.IGNORECASE,
)
_PERCENT_OF = re.compile(r"(\d)\s?%\s+(?:of|de|do|dos|da|das)\s+(?=(?:(?:US|R)?\$\s?)?\d)", re.IGNORECASE)
_AGGREGATES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(rf"\b(?:{words})\s+{operands}\s+(?:is|é|equals|é igual a)\s+(?=[-\d])", re.IGNORECASE), shape)
    for words, operands, shape in (
        ("the sum of|a soma de|sum of|soma de", r"(\d[\d.,]*) (?:and|e) (\d[\d.,]*)", r": \1 + \2 = "),
        ("the product of|o produto de", r"(\d[\d.,]*) (?:and|e|por) (\d[\d.,]*)", r": \1 * \2 = "),
        ("half of|a metade de|metade de", r"(\d[\d.,]*)", r": \1 / 2 = "),
        ("twice|double|o dobro de", r"(\d[\d.,]*)", r": \1 * 2 = "),
        ("o triplo de|triple", r"(\d[\d.,]*)", r": \1 * 3 = "),
    )
)  # fmt: skip

_AGGREGATE = re.compile(
    r"\b(?:sum|soma|product|produto|half|metade|twice|double|dobro|triplo|triple)\b", re.IGNORECASE
)
_BULLET = re.compile(r"^\s*(?:[-*•+>]|\d{1,3}[.)]|[a-z]\))\s+")
_PLAIN = str.maketrans(
    {"×": "*", "·": "*", "⋅": "*", "÷": "/", "−": "-", "–": "-", "²": "^2", "³": "^3", "\u00a0": " ", "\u202f": " ", "`": " "}
)  # fmt: skip

SAID = re.compile(
    r"\d[)%²³]?\s+(?:is|are|é|são|dá|dão|equals?|gives|makes|resulta|totaliza)\s[^\d\n]{0,12}\d",
    re.IGNORECASE,
)
"""A sum that is told in words: a number, "is" or the like, a number."""


def prepared(line: str) -> str:
    """``line`` with signs for words: one reading for prose, LaTeX and Markdown."""
    text = _BULLET.sub("", line, count=1).translate(_PLAIN)
    if "\\" in text:
        for pattern, instead in _LATEX:
            text = pattern.sub(instead, text)
    if "**" in text:
        text = re.sub(r"(?<![\d)\s])\s*\*\*|\*\*(?!\s*[\d(])|^\s*\*\*", " ", text)
    if SAID.search(text) and _AGGREGATE.search(text):
        for pattern, shape in _AGGREGATES:
            text = pattern.sub(shape, text)
    if "%" in text:
        text = _PERCENT_OF.sub(r"\1% * ", text)
    for _ in range(2):  # "3 plus 4 is 7": the second word's digit is the first one's operand
        text = _SPOKEN.sub(lambda m: f"{m[1]} {_SIGNS[m[2].lower()]} ", text)
    return text
