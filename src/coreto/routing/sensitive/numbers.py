"""Numbers that check digits prove: CPF, CNPJ, cards, PIS, IBAN, payment slips; in any usual grouping.

Groups of digits with at most three separators between them form a sequence. A window of it whose group
lengths are a known shape is tried; a number spelled digit by digit is a run of groups of one.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from coreto.routing.sensitive import checkdigits
from coreto.routing.sensitive.context import BEFORE, EXAMPLE, after, before, words
from coreto.routing.sensitive.folding import Folded
from coreto.routing.sensitive.spans import Span

_SEQUENCE = re.compile(r"\d+(?:[ \t.,/\\_()|:;+*'-]{1,3}\d+)*", re.ASCII)
_GROUP = re.compile(r"\d+", re.ASCII)
_CPF = words(r"cpfs?", r"cpf/mf", r"cic")
_PIS = words(r"pis", r"pasep", r"pis/pasep", r"nis", r"nit", r"cadastro unico", r"cadunico")
_ALNUM_CNPJ = re.compile(
    r"(?<![A-Z0-9.])[A-Z0-9]{2}([ .]?)[A-Z0-9]{3}\1[A-Z0-9]{3}([ /]?)[A-Z0-9]{4}[ -]?\d{2}(?![A-Z0-9])"
)
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}[ -]?\d{2}(?:[ -]?[A-Za-z0-9]){11,40}")
_SEPARATORS = re.compile(r"[^A-Z0-9]")


@dataclass(frozen=True, slots=True)
class _Number:
    kind: str
    valid: Callable[[str], bool]
    shapes: tuple[tuple[int, ...], ...]


_NUMBERS = (
    _Number(
        "cpf", checkdigits.cpf, ((11,), (3, 3, 3, 2), (9, 2), (3, 3, 5), (3, 6, 2), (6, 3, 2), (1,) * 11)
    ),
    _Number(
        "cnpj",
        checkdigits.cnpj,
        ((14,), (2, 3, 3, 4, 2), (12, 2), (8, 4, 2), (8, 6), (2, 3, 3, 6), (1,) * 14),
    ),
    _Number(
        "card",
        checkdigits.card,
        (
            *((n,) for n in range(13, 20)),
            *(
                (4, 4, 4, 4),
                (4, 6, 5),
                (4, 4, 4, 4, 3),
                (4, 6, 4),
                (8, 8),
                (4, 4, 4, 3),
                (4, 4, 8),
                (8, 4, 4),
            ),
            *((4, 5, 6), (4, 12), (6, 10), (6, 9), (2,) * 8),
            *((1,) * n for n in (14, 15, 16)),
        ),
    ),
    _Number("bank", checkdigits.slip, ((47,), (5, 5, 5, 6, 5, 6, 1, 14), (10, 11, 11, 1, 14))),
    _Number("pis", checkdigits.pis, ((3, 5, 2, 1),)),
)
_BY_FIRST: dict[int, list[tuple[tuple[int, ...], _Number]]] = {}
for _number in _NUMBERS:
    for _shape in _number.shapes:
        _BY_FIRST.setdefault(_shape[0], []).append((_shape, _number))


def find_numbers(seen: Folded) -> Iterator[Span]:
    """CPF, CNPJ, card, PIS and payment-slip numbers of ``seen``, each with right check digits."""
    if not seen.has_digits:
        return
    for match in _SEQUENCE.finditer(seen.plain):
        if match.end() - match.start() >= 9:
            yield from _in_sequence(seen, match.start(), match.end())
    if "/" in seen.plain or "cnpj" in seen.heads:
        for match in _ALNUM_CNPJ.finditer(seen.plain):
            written = match.group()
            named = match.group(2) == "/" or "cnpj" in before(seen.low, match.start())
            if named and not written.isdigit() and checkdigits.cnpj(_SEPARATORS.sub("", written)):
                yield Span(match.start(), match.end(), "cnpj")


def _in_sequence(seen: Folded, start: int, end: int) -> Iterator[Span]:
    groups = [m.span() for m in _GROUP.finditer(seen.plain, start, end)]
    lengths = [b - a for a, b in groups]
    at = 0
    while at < len(groups):
        if (
            lengths[at] == 1 and at and lengths[at - 1] == 1
        ):  # inside a run of single digits: judged at its start
            at += 1
            continue
        for shape, number in _BY_FIRST.get(lengths[at], ()):
            last = at + len(shape)
            if tuple(lengths[at:last]) != shape:
                continue
            digits = "".join(seen.plain[a:b] for a, b in groups[at:last])
            span = Span(groups[at][0], groups[last - 1][1], number.kind)
            if (
                _stands_alone(seen, groups, at, last)
                and number.valid(digits)
                and not _published(seen, span, digits)
            ):
                yield span
                at = last - 1
                break
        at += 1
    yield from _named(seen, groups)


def _stands_alone(seen: Folded, groups: list[tuple[int, int]], at: int, last: int) -> bool:
    """Whether the window is a number of its own and no part of a word, a fraction or a longer count."""
    start, end = groups[at][0], groups[last - 1][1]
    sizes = {b - a for a, b in groups[at:last]}
    if sizes in ({1}, {2}):
        # one digit a group: any list of digits has a valid CPF in one window of a hundred
        around = [groups[i] for i in (at - 1, last) if 0 <= i < len(groups)]
        return all(b - a not in sizes for a, b in around)
    if last - at > 1:
        return True
    glued = "._/-,:" if start else ""
    left, right = seen.plain[start - 1 : start], seen.plain[end : end + 1]
    if at and left and left in glued:
        return False
    if (left.isalpha() or left == "_") and not re.search(
        r"(?:cpf|cnpj|card|cartao|tax|n|no)_?$", seen.low[max(0, start - 8) : start]
    ):
        return False
    return not (right.isalpha() or (last < len(groups) and right and right in "._/-"))


def _published(seen: Folded, span: Span, digits: str) -> bool:
    """Whether this is a network's test card, and said to be one. Unsaid, it may be pasted for real."""
    if span.kind != "card" or digits not in checkdigits.KNOWN_TESTS:
        return False
    around = before(seen.low, span.start) + " | " + after(seen.low, span.end)
    return EXAMPLE.search(around) is not None


def _named(seen: Folded, groups: list[tuple[int, int]]) -> Iterator[Span]:
    """The eleven digits after the word CPF or PIS, whatever their grouping."""
    start = groups[0][0]
    left = before(seen.low, start, BEFORE)
    kinds = [
        ("cpf", checkdigits.cpf) if pattern is _CPF else ("pis", checkdigits.pis)
        for pattern in (_CPF, _PIS)
        if pattern.search(left)
    ]
    if not kinds:
        return
    taken: list[str] = []
    for a, b in groups[:11]:
        taken.append(seen.plain[a:b])
        digits = "".join(taken)
        if len(digits) >= 11:
            for kind, valid in kinds:
                if len(digits) == 11 and valid(digits):
                    yield Span(start, b, kind)
            return


def find_ibans(seen: Folded) -> Iterator[Span]:
    """International bank account numbers, in groups or not, in any letter case."""
    if not seen.has_digits:
        return
    at = 0
    while match := _IBAN.search(seen.plain, at):
        end = _iban_end(match.group())
        if end:
            yield Span(match.start(), match.start() + end, "iban")
        at = match.start() + (end or 4)


def _iban_end(written: str) -> int:
    """How many characters of ``written`` are an IBAN: the longest prefix that passes; 0 for none."""
    places = [i for i, c in enumerate(written) if c.isalnum()]
    compact = "".join(written[i] for i in places).upper()
    for length in range(min(34, len(compact)), 14, -1):
        after_it = written[places[length - 1] + 1 : places[length - 1] + 2]
        if not after_it.isalnum() and checkdigits.iban(compact[:length]):
            return places[length - 1] + 1
    return 0
