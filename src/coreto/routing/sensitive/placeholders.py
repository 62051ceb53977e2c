"""Placeholders such as ``[CPF_1]``: how they are written, what models make of them, and the way back.

Models change letter case, drop a bracket, put spaces or escapes in. All of it is understood, except
where it could mean something else: without brackets a placeholder must be in capitals and must not
stand where a program assigns or calls it.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import groupby

LABELS = (
    "CPF", "CNPJ", "CARD", "IBAN", "BANK", "RG", "CNH", "VOTER", "PIS", "RENAVAM", "PASSPORT", "SSN", "NATIONAL_ID", "PLATE",
    "DEVICE", "EMAIL", "PHONE", "IP", "USER", "API_KEY", "PRIVATE_KEY", "PASSWORD", "DB_URL", "ADDRESS", "CEP", "GEO",
    "BIRTHDATE", "TEXT",
)  # fmt: skip
"""What stands before the number; ``TEXT`` is for a text that only looks like a placeholder of ours."""

LONGEST = 48
"""Characters that the longest way to write a placeholder can take."""

_LIKE = re.compile(
    rf"({'|'.join(sorted(LABELS, key=len, reverse=True))})[ \\_-]{{0,3}}0*(\d{{1,6}})",
    re.IGNORECASE | re.ASCII,
)
_OPEN = r"(?:\\\[|\[) ?"
_CLOSED = r" ?(?:\\\]|\])"


def taken(text: str) -> set[tuple[str, int]]:
    """The labels and numbers that ``text`` already holds, in any of the forms that would be revealed."""
    return {(label_of(match.group(1)), int(match.group(2))) for match in _LIKE.finditer(text)}


def label_of(name: str) -> str:
    """A kind's or a written label in the form that placeholders have."""
    return name.upper()


def forms(names: tuple[str, ...]) -> re.Pattern[str]:
    """Finds the placeholders ``names`` ("CPF_1") in all forms; the group says which: ``full`` or ``bare``."""
    return _forms(tuple(sorted(names)))


@lru_cache(maxsize=256)
def _forms(names: tuple[str, ...]) -> re.Pattern[str]:
    by_label = groupby(names, key=lambda name: name.rpartition("_")[0])
    parts = [(label, "|".join(name.rpartition("_")[2] for name in group)) for label, group in by_label]
    loose = "|".join(rf"{_spelled(label)}\\?[ _-]?(?:{numbers})(?!\d)" for label, numbers in parts)
    exact = "|".join(rf"{label}_(?:{numbers})" for label, numbers in parts)
    return re.compile(
        rf"(?P<full>\\\[ ?(?i:{loose}) ?\\\]|\[ ?(?i:{loose}) ?\])|(?<![\w$.\\-])(?P<bare>{exact})(?![\w]| ?[=(\[])",
        re.ASCII,
    )


def _spelled(label: str) -> str:
    return label.replace("_", r"\\?[ _-]?")


@lru_cache(maxsize=256)
def _beginnings(labels: tuple[str, ...]) -> re.Pattern[str]:
    """Finds, at the end of a text, what may become a placeholder with ``labels`` when more text comes."""
    parts: list[str] = []
    for label in labels:
        letters = [r"\\?[ _-]?" if letter == "_" else letter for letter in label]
        nested = r"(?:\\?(?:[ _-]?(?:\d{1,6} ?\\?)?)?)?"
        for letter in reversed(letters[1:]):
            nested = rf"(?:{letter}{nested})?"
        nested = letters[0] + nested
        parts.append(nested)
    return re.compile(rf"(?:\\?\[? ?(?i:{'|'.join(parts)})|\\?\[ ?|\\)\Z", re.ASCII)


def reveal(text: str, values: Mapping[str, str]) -> str:
    """``text`` with its placeholders replaced by ``values`` (by name, as "CPF_1"), in one pass."""
    if not values:
        return text
    out: list[str] = []
    at = 0
    for start, end, value in _found(text, values, 0):
        out += [text[at:start], value]
        at = end
    out.append(text[at:])
    return "".join(out)


def _found(text: str, values: Mapping[str, str], at: int) -> Iterator[tuple[int, int, str]]:
    for match in forms(tuple(values)).finditer(text, at):
        yield match.start(), match.end(), values[name_of(match.group())]


def name_of(written: str) -> str:
    """The placeholder's name that was ``written`` in whatever form."""
    letters = "".join(re.findall(r"[A-Za-z]+", written)).upper()
    label = next(label for label in LABELS if label.replace("_", "") == letters)
    return f"{label}_{''.join(re.findall(r'[0-9]+', written))}"


class Revealer:
    """Puts the values back into a text that comes in pieces, cut anywhere.

    Holds back only what may be the beginning of a placeholder; what is fed and finished is, put
    together, what :func:`reveal` makes of the whole.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self._before = ""
        self._held = ""
        labels = {name.rpartition("_")[0] for name in values}
        self._beginning = (
            _beginnings(tuple(sorted(labels, key=lambda label: (-len(label), label)))) if labels else None
        )

    def __repr__(self) -> str:
        return f"Revealer({len(self._values)} values, {len(self._held)} characters held)"

    def feed(self, piece: str) -> str:
        """Take one more piece; returns what is certain by now."""
        if self._beginning is None:
            return piece
        self._held += piece
        first = max(0, len(self._held) - LONGEST)
        beginning = self._beginning.search(self._held, first)
        return self._release(len(self._held) if beginning is None else beginning.start())

    def finish(self) -> str:
        """The rest, at the end of the text."""
        return self._release(len(self._held), last=True)

    def _release(self, end: int, *, last: bool = False) -> str:
        if not self._held or not self._values:
            held, self._held = self._held, ""
            return held
        text = self._before + self._held
        at = len(self._before)
        end += at
        out: list[str] = []
        for start, stop, value in _found(text, self._values, at):
            if start >= end and not last:
                break
            if stop > end:  # goes on into what is held: decide it with what comes
                end = start
                break
            out += [text[at:start], value]
            at = stop
        out.append(text[at:end])
        self._before = text[max(0, end - 2) : end]
        self._held = text[end:]
        return "".join(out)
