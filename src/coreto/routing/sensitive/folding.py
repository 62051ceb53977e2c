"""One form for the many ways to write the same characters, with the way back to the text's offsets.

Accents, letter width, look-alike separators, other scripts' digits and invisible characters hide
nothing from a reader; folded, they hide nothing from a regular expression either.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import cache, cached_property

_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\u0300-\u036f]+"
)
_WORD = re.compile(r"[a-z]{2,}|\ba(?=1c\b)")  # a1c is the one term that starts with a single letter
_LOOKALIKES = {
    ".": "\u00b7\u2022\u2024\u2027\u2219\u22c5\u3002\u30fb\uff61\ufe52\u00a8",
    "-": "\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212\ufe58\ufe63\u30fc\u00af\u02d7",
    "/": "\u2044\u2215\u29f8",
    "@": "\ufe6b",
    ":": "\u2236\ua789\ufe55",
    "'": "\u2018\u2019\u201b\u02bc\u00b4",
    '"': "\u201c\u201d\u201f\u00ab\u00bb",
    "a": "\u0430\u03b1", "c": "\u0441", "e": "\u0435\u03b5", "i": "\u0456\u03b9\u0131", "o": "\u043e\u03bf",
    "p": "\u0440\u03c1", "x": "\u0445\u03c7", "y": "\u0443", "s": "\u0455", "j": "\u0458",
    "A": "\u0410\u0391", "B": "\u0412\u0392", "C": "\u0421", "E": "\u0415\u0395", "H": "\u041d\u0397",
    "K": "\u041a\u039a", "M": "\u041c\u039c", "O": "\u041e\u039f", "P": "\u0420\u03a1", "T": "\u0422\u03a4",
    "X": "\u0425\u03a7",
}  # fmt: skip


@dataclass(frozen=True)
class Folded:
    """A text without invisible characters. ``plain`` keeps letter case, ``low`` does not; both have the
    same offsets. ``origin[i]`` is where ``plain[i]`` stood in the text; ``None``: where it stands."""

    plain: str
    low: str
    origin: list[int] | None = None

    @cached_property
    def heads(self) -> frozenset[str]:
        """The first four letters of every word: whoever looks for words asks here first."""
        return frozenset({word[:4] for word in _WORD.findall(self.low)})

    @cached_property
    def has_digits(self) -> bool:
        return re.search("[0-9]", self.plain) is not None

    def place(self, start: int, end: int) -> tuple[int, int]:
        """The offsets in the text as it came."""
        if self.origin is None:
            return start, end
        return self.origin[start], self.origin[end - 1] + 1


def fold(text: str) -> Folded:
    """``text`` in its folded form."""
    if text.isascii():
        return Folded(text, text.lower())
    origin: list[int] | None = None
    if _INVISIBLE.search(text):
        parts: list[str] = []
        origin = []
        at = 0
        for gap in _INVISIBLE.finditer(text):
            parts.append(text[at : gap.start()])
            origin.extend(range(at, gap.start()))
            at = gap.end()
        parts.append(text[at:])
        origin.extend(range(at, len(text)))
        text = "".join(parts)
    plain = text.translate(_table())
    low = plain.lower()
    if len(low) != len(plain):  # a few capitals, such as U+0130, have a longer small form
        low = "".join(c.lower() if len(c.lower()) == 1 else c for c in plain)
    return Folded(plain, low, origin)


@cache
def _table() -> dict[int, str]:
    """Characters to the one ASCII character that they stand for; made once, 4 ms."""
    table: dict[int, str] = {}
    ranges = (
        (0xA0, 0x250),
        (0x660, 0x670),
        (0x6F0, 0x6FA),
        (0x966, 0x970),
        (0x1E00, 0x1F00),
        (0x2000, 0x2060),
    )
    for first, last in (*ranges, (0x3000, 0x3001), (0xFF01, 0xFF5F), (0x1D400, 0x1D800)):
        for code in range(first, last):
            base = _base(chr(code))
            if base:
                table[code] = base
    for base, others in _LOOKALIKES.items():
        table.update({ord(other): base for other in others})
    return table


def _base(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Nd":
        return str(unicodedata.decimal(character))
    if category == "Zs":
        return " "
    if category == "No":  # superscripts and fractions are no digits of an identifier
        return ""
    base = unicodedata.normalize("NFKD", character)[:1]
    return base if base.isascii() and base.isprintable() and base != " " else ""
