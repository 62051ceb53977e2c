"""Wrong sums in an answer: "12 * 7 = 85", "15% de 80 é 13", "a soma de 2 e 3 é 6".

A claim counts as wrong only when it is wrong in both notations of numbers (1,234.56 and 1.234,56), beyond what
rounding explains, and nothing around it says that it is algebra, another base, a clock, a quotation or a mistake.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice

from coreto.redaction import brief
from coreto.routing.detection.text import word_set
from coreto.routing.escalation.arithmetic import Exact, Notation, Result, UnclearError, evaluate, read_number
from coreto.routing.escalation.exchange import Exchange
from coreto.routing.escalation.notation import SAID, prepared

_MOST_CLAIMS, _MOST_PIECES, _MOST_SITES = 32, 60, 8
_LONGEST_LINE = 400
_REACH = 120
"""Characters before an equals sign in which its expression stands."""

_SENTENCES = re.compile(r"(?<=[.!?;]) ")
_SIGNED = re.compile(r"\d[^\n=≈]{0,40}[=≈≅][^\n\d=]{0,30}\d")
_TOKEN = re.compile(
    r"(?P<number>\d+(?:[.,]\d+)*)|(?P<money>(?:US|R)?\$|€|£)|(?P<word>[^\W\d_]+(?:/[^\W\d_]+)?)"
    r"|(?P<sign>\*\*|[-+*/^%()])|(?P<space>\s+)|(?P<other>.)"
)
_EQUALS = re.compile(r"(?<![=<>!:≠+\-*/^~])(=|≈|≅)(?![=>])")
_RIGHT = re.compile(
    r"\s*(?P<about>cerca de|aproximadamente|about|approximately|roughly|~)?\s*(?P<money>(?:US|R)?\$|€|£)?\s*"
    r"(?P<number>-?\s?\d+(?:[.,]\d+)*(?:\s\d{3}(?![\d.,]))*)\s?(?P<percent>%?)\s?(?P<unit>(?:[^\W\d_]+[²³]?(?:/[^\W\d_]+)?)?)"
)
_BEHIND = re.compile(r"\s*[-+*/^(!:]\s*[\d(√]|\s*[²³^!_\\√°]|[:/]\d|h\d|\s*(?:mod|r\.|resto|remainder|R)\b")
_MAGNITUDE = word_set(
    "k m mi mil milhão milhões bilhão bilhões million billion thousand trilhões dozen dúzias bi trillion hundred"
)
_RANGES = word_set("or ou to a até")
_MOST_CONVERTED = 20
_FACTORS = (
    7, 10, 12, 24, 30, 52, 60, 100, 168, 365, 720, 1_000, 1_024, 1_440, 3_600, 8_760, 86_400, 10**6, 1_024**2, 10**9, 1_024**3,
)  # fmt: skip
"""Between units of time, length, weight and memory: 60 × 60 = 1 hour is no wrong sum."""

_SHORT_UNITS = word_set("km kg cm mm ml mg gb mb kb tb m g h s l w kw pt t ha min hz")
_OTHERWISE = re.compile(
    r"\b(?:mod|módulo|modulo|base \d+|hex|octal|wrong|incorrect|mistake|typo|false|not|isn't|instead|falsa|falso|não|engano"
    r"|suponha|suppose|imagine|relógio|clock|if|se|resto|remainder|log|ln|sen|sin|cos|tan|sqrt|raiz|root|fatorial|factorial"
    r"|lim|xor|strings?)\b"
    r"|\b(?:binári|binary|errad|incorret|concat|matri[xzc]|vetor|vector|hexadec)|[≠≡√∑∫⊕]|=\s*\?",
    re.IGNORECASE,
)
"""Words and signs that make of a line something else than plain arithmetic."""


@dataclass(frozen=True, slots=True)
class Claim:
    """``left`` is said to be ``right``. ``converts``: the right has a unit and the left has none; ``behind``: more of
    an expression on the right, as tokens."""

    shown: str
    left: list[str]
    right: str
    percent: bool
    about: bool
    converts: bool
    behind: list[str]


def find_wrong_sum(seen: Exchange) -> str | None:
    """The first claim that is arithmetic and wrong, as it stands there."""
    pieces = islice(_pieces(seen.prose), _MOST_PIECES)
    claims = ((claim, piece) for piece in pieces for claim in _claims(piece))
    for claim, piece in islice(claims, _MOST_CLAIMS):
        if (
            is_wrong(claim)
            and not _is_negative(claim, piece)
            and not _OTHERWISE.search(piece)
            and not _given(claim, seen.asked)
        ):
            return f"wrong arithmetic: {brief(claim.shown, 48)}"
    return None


def _is_negative(claim: Claim, piece: str) -> bool:
    """Whether what looks like a list's dash is the sign of the first number, and makes it right."""
    return piece.lstrip()[:1] in ("-", "−") and not is_wrong(replace(claim, left=["-", *claim.left]))


def _given(claim: Claim, asked: str) -> bool:
    """Whether the question itself says so, as in "is 2 + 2 = 5?"."""
    return claim.shown.replace(" ", "") in asked.replace(" ", "")


def _pieces(prose: str) -> Iterator[str]:
    """The lines that may hold a claim; long ones by their sentences."""
    for line in prose.split("\n"):
        for piece in _SENTENCES.split(line) if len(line) > _LONGEST_LINE else (line,):
            if len(piece) <= _LONGEST_LINE and (_SIGNED.search(piece) or SAID.search(piece)):
                yield piece


def _claims(line: str) -> Iterator[Claim]:
    text = prepared(line)
    before = 0
    for site in islice(_EQUALS.finditer(text), _MOST_SITES):
        at = site.start()
        claim = _claim(text, max(before, at - _REACH), at)
        before = at + 1
        if claim is not None:
            yield claim


def _claim(text: str, start: int, at: int) -> Claim | None:
    found = _left(text, start, at)
    right = _RIGHT.match(text, at + 1)
    if found is None or right is None:
        return None
    tokens, units, begun = found
    unit = (right["unit"] or "").lower()
    if unit and (
        unit in _MAGNITUDE
        or unit in _RANGES
        or (text[right.start("unit") - 1].isdigit() and unit not in _SHORT_UNITS)
    ):
        return None
    money = right["money"]
    given = {_singular(unit)} if unit else set[str]()
    if units - given - ({money} if money else set[str]()) and not (
        units <= {"$", "R$", "US$", "€", "£"} and not money
    ):
        return None
    if _is_range(text[begun:at], tokens, given - units):
        return None
    behind = _BEHIND.match(text, right.end())
    more: list[str] = []
    if behind is not None:
        more = _expression(text, right.start("number"))
        if not more:
            return None
    number = right["number"].replace(" ", "")
    shown = text[begun : right.end("percent")].strip(" $")
    about = text[at] != "=" or right["about"] is not None
    return Claim(shown, tokens, number, bool(right["percent"]), about, bool(given - units), more)


def _is_range(left: str, tokens: list[str], said_of: set[str]) -> bool:
    """``10-12 = 3 pages``, ``24/7 = 24 hours``: a hyphen or a stroke between two numbers that divides nothing."""
    if len(tokens) > 3 and set(tokens[1::2]) <= {"-", "/"}:
        return f" {tokens[1]} " not in left  # 1/2/4 = three sizes
    if len(tokens) != 3 or tokens[1] not in ("-", "/"):
        return False
    return bool(said_of) and f" {tokens[1]} " not in left


def _singular(word: str) -> str:
    return word.lower().removesuffix("s")


def _left(text: str, start: int, at: int) -> tuple[list[str], set[str], int] | None:
    """The expression that ends at ``at``, the units in it, and where it begins; ``None`` where it is not plain."""
    found = [m for m in _TOKEN.finditer(text, start, at) if m.lastgroup != "space"]
    tokens: list[str] = []
    units: set[str] = set()
    i = len(found)
    while i > 0:
        one = found[i - 1]
        kind, word = one.lastgroup, one[0]
        if kind == "number" and not (tokens and tokens[-1][0].isdigit()):
            tokens.append(word)
        elif kind == "sign":
            tokens.append("^" if word == "**" else word)
        elif kind == "money":
            units.add(word)
        elif kind == "word" and i > 1 and found[i - 2].lastgroup == "number" and _is_unit(text, one, tokens):
            units.add(_singular(word))
        else:
            break
        i -= 1
    tokens.reverse()
    if not any(sign in tokens for sign in "+-*/^%") or not _begins(text, found, i, start, tokens):
        return None
    return tokens, units, found[i].start()


def _is_unit(text: str, word: re.Match[str], behind: list[str]) -> bool:
    """A word after a number and before a sign: ``3 maçãs + 2 maçãs``, not ``2x + 4``."""
    if behind and (behind[-1][0].isdigit() or behind[-1] == "("):
        return False
    name = word[0].lower()
    apart = text[word.start() - 1] == " "
    return name.rstrip("^23") in _SHORT_UNITS if len(name) < 3 or not apart else name not in _MAGNITUDE


def _begins(text: str, found: list[re.Match[str]], i: int, start: int, tokens: list[str]) -> bool:
    """Whether the expression's first token is where it begins, and not the middle of something."""
    first = found[i].start()
    if tokens[0] not in "(-" and not tokens[0][0].isdigit():
        return False
    if i == 0:
        return first == 0 or start == 0 or text[start - 1] == "="
    stop = found[i - 1]
    if stop.end() == first and stop[0] not in ("(", '"', "“", "$", "["):
        return False  # f(2) = 3, 10:30 + 2, x_1
    if tokens[0] == "-" and stop[0] not in ":,=":
        return False
    if stop.lastgroup == "word":
        # "x 2 + 3", "half of 3 + 4", "7 minus 3 + 4": what the word does to the numbers is not known
        return stop[0].lower() in _LINKS or (len(stop[0]) > 2 and stop[0].lower() not in _JOINS)
    return stop[0] in ':,.;"“(→⇒|[—'


_LINKS = word_set("is é so e há")
_JOINS = word_set(
    "the and dos das por per vezes times menos minus mais plus entre between sobre over root raiz"
)


def _expression(text: str, at: int) -> list[str]:
    """The expression that begins at ``at``, as far as it is plain; empty where a word stands in it."""
    tokens: list[str] = []
    for one in _TOKEN.finditer(text, at, min(len(text), at + _REACH)):
        if one.lastgroup in ("number", "sign"):
            tokens.append("^" if one[0] == "**" else one[0])
        elif one.lastgroup != "space":
            return tokens if one[0] in "=.,;≈" else []
    return tokens


def is_wrong(claim: Claim) -> bool:
    """Whether ``claim`` is wrong in every notation in which it can be read; not where it cannot be."""
    plain = claim.right.isdecimal() and all(token.isdecimal() or len(token) == 1 for token in claim.left)
    notations: tuple[Notation, ...] = ("en",) if plain and not claim.behind else ("en", "pt")
    verdicts = [verdict for n in notations if (verdict := _holds(claim, n)) is not None]
    return bool(verdicts) and not any(verdicts)


def _holds(claim: Claim, notation: Notation) -> bool | None:
    try:
        left = evaluate(claim.left, notation)
        number = read_number(claim.right.lstrip("-"), notation)
        value = -number.value if claim.right.startswith("-") else number.value
        said = (value, Fraction(value) / 100) if claim.percent or left.percent else (value,)
        scale = number.decimals + (2 if claim.percent else 0)
        if any(_near(left, one, scale, about=claim.about) for one in said):
            return True
        if claim.converts and _is_factor(left.value, value):
            return True
        if claim.behind:
            return _near(left, evaluate(claim.behind, notation).value, scale, about=claim.about)
    except UnclearError:
        return None
    return False


def _is_factor(left: Exact, right: Exact) -> bool:
    """Whether ``left`` is a usual factor between units times ``right``, a small number, within a twentieth."""
    if not 0 < right < _MOST_CONVERTED:
        return False
    return any(abs(left - right * factor) * 20 <= left for factor in _FACTORS)


def _near(left: Result, said: Exact, decimals: int, *, about: bool) -> bool:
    """Equal, or the same but for rounding or cutting at ``decimals``, or for operands that were rounded."""
    apart = abs(left.value - said)
    if apart == 0 or (left.exact and decimals == 0 and not about):
        return apart == 0
    if about:
        return apart * 20 <= abs(left.value) + 10
    step = Fraction(1, 10**decimals)
    rounded = apart * 2 <= step or (apart < step and abs(said) <= abs(left.value))
    return rounded or apart <= abs(left.value) * left.doubt
