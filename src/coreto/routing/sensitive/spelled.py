"""Numbers said in words: "nove oito sete, meia um …", "double five oh one".

A run of number words becomes digits with their places, so that the finders of numbers and phones can
judge it like any other.
"""

import re
from collections.abc import Iterator
from itertools import pairwise

from coreto.routing.sensitive import checkdigits
from coreto.routing.sensitive.context import THINGS, after, before, heads, nearest, words
from coreto.routing.sensitive.folding import Folded
from coreto.routing.sensitive.phones import is_number
from coreto.routing.sensitive.spans import Span

_UNITS = {
    "zero": "0", "um": "1", "uma": "1", "hum": "1", "dois": "2", "duas": "2", "tres": "3", "quatro": "4", "cinco": "5",
    "seis": "6", "meia": "6", "sete": "7", "oito": "8", "nove": "9", "oh": "0", "one": "1", "two": "2", "three": "3",
    "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9", "uno": "1", "dos": "2", "cuatro": "4",
    "siete": "7", "ocho": "8", "nueve": "9", "cero": "0",
}  # fmt: skip
_TEENS = {
    "dez": "10", "onze": "11", "doze": "12", "treze": "13", "quatorze": "14", "catorze": "14", "quinze": "15",
    "dezesseis": "16", "dezessete": "17", "dezoito": "18", "dezenove": "19", "ten": "10", "eleven": "11", "twelve": "12",
    "thirteen": "13", "fourteen": "14", "fifteen": "15", "sixteen": "16", "seventeen": "17", "eighteen": "18", "nineteen": "19",
}  # fmt: skip
_TENS = {
    "vinte": 20, "trinta": 30, "quarenta": 40, "cinquenta": 50, "sessenta": 60, "setenta": 70, "oitenta": 80, "noventa": 90,
    "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
}  # fmt: skip
_HUNDREDS = {
    "cento": 100, "cem": 100, "duzentos": 200, "trezentos": 300, "quatrocentos": 400, "quinhentos": 500, "seiscentos": 600,
    "setecentos": 700, "oitocentos": 800, "novecentos": 900,
}  # fmt: skip
_REPEAT = {"double": 2, "triple": 3, "duplo": 2, "triplo": 3}
_GLUE = frozenset(
    {"e", "and", "ponto", "traco", "hifen", "dot", "dash", "hyphen", "barra", "slash", "mais", "plus"}
)
_ANY = "|".join(sorted({*_UNITS, *_TEENS, *_TENS, *_HUNDREDS, *_REPEAT, *_GLUE}, key=len, reverse=True))
_RUN = re.compile(rf"(?<![a-z0-9])(?:(?:{_ANY}|\d{{1,5}})(?![a-z0-9])[ ,.;\n/-]{{0,3}})+")
_TOKEN = re.compile(r"[a-z]+|\d+")
_STEMS = heads(*_UNITS, *_TEENS, *_TENS, *_HUNDREDS)
_PHONE = words(
    r"telefones?", r"tel", r"fone", r"celular", r"cel", r"whats(?:app)?", r"zap", r"wpp", r"ligar?", r"ligue", r"numero",
    r"contato", r"ddd", r"phones?", r"mobile", r"cell", r"call", r"text", r"ring", r"number", r"dial", r"reach",
)  # fmt: skip
_MINE = words(
    r"(?:meu|minha|seu|my|her|his|o) (?:numero|telefone|celular|whats(?:app)?|zap|number|phone|cell|mobile)(?: (?:e|is|dele|dela))?"
)
_LEAST = 8


def find_spelled(seen: Folded) -> Iterator[Span]:
    """CPF, card, SSN and phone numbers that are written in words."""
    if not _STEMS & seen.heads:
        return
    for match in _RUN.finditer(seen.low):
        tokens = [(m.group(), m.start(), m.end()) for m in _TOKEN.finditer(match.group())]
        digits, spoken, last = _read([token for token, _, _ in tokens])
        if len(digits) < _LEAST or spoken < 3 or len(digits) > 19:
            continue
        start = match.start()
        span = Span(start, start + tokens[last][2], "")
        kind = _kind(seen, span, digits)
        if kind:
            yield Span(span.start, span.end, kind)


def _read(tokens: list[str]) -> tuple[str, int, int]:
    """The digits that ``tokens`` say, how many words said them, and the index of the last one."""
    digits: list[str] = []
    spoken, last, index = 0, 0, 0
    while index < len(tokens):
        token = tokens[index]
        if token in _HUNDREDS or token in _TENS:
            text, used = _compound(tokens, index)
        elif token in _REPEAT and index + 1 < len(tokens):
            text, used = _UNITS.get(tokens[index + 1], "") * _REPEAT[token], 2
        else:
            text, used = _UNITS.get(token) or _TEENS.get(token) or (token if token.isdigit() else ""), 1
        if text:
            digits.append(text)
            last = index + used - 1
            spoken += not token.isdigit()
        index += used
    return "".join(digits), spoken, last


def _compound(tokens: list[str], index: int) -> tuple[str, int]:
    """ "cento e onze", "quarenta e quatro", "twenty one" as one number, and how many tokens it took."""
    value, used = _HUNDREDS.get(tokens[index], 0) or _TENS[tokens[index]], 1
    floor = 100 if value >= 100 else 10
    while index + used < len(tokens) and floor > 1:
        skip = 1 if tokens[index + used] in ("e", "and") else 0
        token = tokens[index + used + skip] if index + used + skip < len(tokens) else ""
        if token in _TENS and floor == 100:
            value, floor = value + _TENS[token], 10
        elif token in _TEENS and floor == 100 and skip:
            value, floor = value + int(_TEENS[token]), 1
        elif token in _UNITS and (skip or tokens[index + used - 1] in _TENS) and _UNITS[token] != "0":
            value, floor = value + int(_UNITS[token]), 1
        else:
            break
        used += 1 + skip
    return str(value), used


def _kind(seen: Folded, span: Span, digits: str) -> str | None:
    left, right = before(seen.low, span.start), after(seen.low, span.end)
    said = nearest(_PHONE, left) < nearest(THINGS, left) or _PHONE.search(right) is not None
    if _counted(digits):
        return "phone" if nearest(_MINE, left) < 12 and len(digits) in (8, 9, 10, 11) else None
    if len(digits) == 11 and checkdigits.cpf(digits):
        return "cpf"
    if len(digits) == 14 and checkdigits.cnpj(digits):
        return "cnpj"
    if len(digits) >= 13:
        return "card" if checkdigits.card(digits) else None
    if len(digits) == 9 and ("ssn" in left or "social" in left) and checkdigits.ssn(digits):
        return "ssn"
    if said and 8 <= len(digits) <= 13:
        return "phone"
    return "phone" if len(digits) in (10, 11, 12, 13) and is_number(digits, "BR") else None


def _counted(digits: str) -> bool:
    """Whether somebody counts up or down, or says the same digit again and again."""
    steps = [int(b) - int(a) for a, b in pairwise(digits)]
    return (
        len(set(digits)) < 3
        or sum(step == 1 for step in steps) > len(steps) * 0.7
        or sum(step == -1 for step in steps) > len(steps) * 0.7
    )
