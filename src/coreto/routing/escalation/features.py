"""A prompt as a short sparse vector: hashed words and their beginnings, and a few measures of its form.

Values are whole numbers (1/:data:`UNIT`), so that a vector written down and read again is the same vector.
"""

import base64
import math
import struct
import zlib

from coreto.routing.detection.text import FUNCTION_WORDS, language_of, plain, window, words
from coreto.routing.escalation.rule import foreign_share

BUCKETS = 512
"""For hashed features; with 256 the benchmark's topics cost 6 % more regret."""

FORM = ("bias", "length", "digits", "questions", "items", "code", "pt", "other", "foreign")
"""Measures of form, in the places behind the buckets."""

SIZE = BUCKETS + len(FORM)
UNIT = 100
"""Values are kept in hundredths, in one signed byte."""

MOST = 48
"""Hashed features a prompt keeps; the heaviest ones."""

_MOST_WORDS = 120
_STEM = 5

Vector = tuple[tuple[int, int], ...]
"""Places in ascending order, with values in 1/:data:`UNIT`."""


def features(text: str) -> Vector:
    """The vector of ``text`` (its first and last thousand characters); the hashed part has length 1."""
    seen = window(text)
    flat = plain(seen)
    tokens = words(flat)
    hashed = _hashed([token for token in dict.fromkeys(tokens) if len(token) > 1 and token[0].isalpha()])
    found = sorted(hashed.items(), key=lambda one: (-abs(one[1]), one[0]))[:MOST]
    length = math.sqrt(sum(value * value for _, value in found)) or 1.0
    scaled = [(place, _whole(value / length)) for place, value in found]
    scaled += [(BUCKETS + i, _whole(value)) for i, value in enumerate(_form(text, seen, tokens))]
    return tuple(sorted((place, value) for place, value in scaled if value))


def _hashed(listed: list[str]) -> dict[int, float]:
    telling = [word for word in listed if word not in FUNCTION_WORDS][:_MOST_WORDS]
    found: dict[int, float] = {}
    for word in telling:
        _add(found, f"w{word}", 1.0)
        if len(word) > _STEM:
            _add(found, f"s{word[:_STEM]}", 0.7)  # pairs of words as well cost 8 % more regret: they dilute
    return found


def _add(found: dict[int, float], name: str, weight: float) -> None:
    """A fixed hash gives place and sign; Python's own is salted anew in every process."""
    key = zlib.crc32(name.encode("utf-8", "replace"))
    place = key % BUCKETS
    found[place] = found.get(place, 0.0) + (weight if key & 0x80000000 else -weight)


def _form(text: str, seen: str, tokens: list[str]) -> tuple[float, ...]:
    size = len(seen) or 1
    language = language_of(tokens, seen)
    return (
        0.5,
        0.15 * math.log1p(len(text) / 40),
        min(1.0, 4 * sum(c.isdigit() for c in seen) / size),
        min(1.0, 0.25 * seen.count("?")),
        min(1.0, 0.1 * (seen.count("\n- ") + seen.count("\n* ") + seen.count(". "))),
        0.5 if "```" in seen else 0.0,
        0.3 if language == "pt" else 0.0,
        0.3 if language == "other" else 0.0,
        foreign_share(seen),
    )


def _whole(value: float) -> int:
    return max(-127, min(127, round(value * UNIT)))


def pack(vector: Vector) -> str:
    """``vector`` as text, four characters a feature."""
    return base64.b64encode(b"".join(struct.pack("<Hb", *pair) for pair in vector)).decode()


def unpack(text: str) -> Vector:
    """The vector that :func:`pack` wrote. Raises ``ValueError``."""
    try:
        raw = base64.b64decode(text, validate=True)
        vector = tuple(struct.iter_unpack("<Hb", raw))
    except (ValueError, struct.error) as error:
        raise ValueError(f"not a feature vector: {error}") from error
    if len(vector) > MOST + len(FORM) or any(place >= SIZE for place, _ in vector):
        raise ValueError("not a feature vector of this version")
    return vector
