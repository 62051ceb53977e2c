"""A text as hashed features with weights: words, their order, their letters, their classes, its marks.

The trainer and the scorer share this module; a change here needs a retraining.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from coreto.routing.detection.lexicon import classes
from coreto.routing.detection.signals import signals
from coreto.routing.detection.text import edges, language_of, plain, window, words

BUCKETS = 28_000
"""Two sets of five bytes a bucket stay below 300 kB; 2**15 scored the same."""

WORD, PAIR, LETTERS, CLASS, MARK, START = 1.0, 0.5, 0.3, 0.8, 1.0, 1.2
"""Weights of the kinds of features, found by cross-validation; letters are many and each says little."""

Feature = tuple[int, float]
"""A bucket and the weight in it."""

_LONGEST_WORD = 24
_MOST_WORDS = 400


@dataclass(frozen=True, slots=True)
class View:
    """What one look at a text found: its plain form, words, language and marks, the word classes of its
    first verb (``none`` without one), and a long text's first and last line."""

    flat: str
    tokens: tuple[str, ...]
    language: str
    marks: frozenset[str]
    opening: tuple[str, ...]
    edges: tuple[str, ...] = ()


def view(text: str) -> View:
    """Look at ``text`` (its window) once, for the rules and the features."""
    seen = window(text)
    flat = plain(seen)
    tokens = tuple(words(flat)[:_MOST_WORDS])
    marks = frozenset(signals(seen, flat))
    return View(flat, tokens, language_of(tokens, seen), marks, _opening(tokens), edges(text))


def bucket(name: str) -> int:
    """Where the feature ``name`` is kept. Half a surrogate pair, which JSON may carry, is no reason to fail."""
    return zlib.crc32(name.encode("utf-8", "replace")) % BUCKETS


def word_features(word: str) -> Iterator[Feature]:
    """The word itself and its runs of three to five letters, its edges marked."""
    yield bucket(f"w{word}"), WORD
    edged = f"<{word[:_LONGEST_WORD]}>"
    for size in (3, 4, 5):
        for start in range(len(edged) - size + 1):
            yield bucket(f"c{edged[start : start + size]}"), LETTERS


def shape_features(seen: View) -> list[Feature]:
    """Pairs of words, the beginning, classes of words beside the first verb's, marks, the length."""
    tokens, opening = seen.tokens, seen.opening
    found = [(_hashed(f"p{a} {b}"), PAIR) for a, b in pairwise(tokens)]
    if tokens:
        found.append((_hashed(f"s{tokens[0]}"), START))
        found.append((_hashed(f"S{' '.join(tokens[:2])}"), START))
    for name, count in _held(tokens).items():
        found.append((_hashed(f"k{name}"), CLASS))
        if count > 1:
            found.append((_hashed(f"K{name}"), CLASS))
        found.extend((_hashed(f"x{first} {name}"), CLASS) for first in opening)
    found.extend((_hashed(f"v{first}"), CLASS) for first in opening)
    for mark in sorted(seen.marks):
        found.append((_hashed(f"m{mark}"), MARK))
        found.extend((_hashed(f"y{first} {mark}"), MARK / 2) for first in opening)
    found.append((_hashed(f"l{_size(len(tokens))}"), MARK))
    return found


def features(seen: View) -> dict[int, float]:
    """All weights by bucket, divided by the length of the whole: what the trainer sees."""
    found: dict[int, float] = {}
    square = 0.0
    every = [feature for word in dict.fromkeys(seen.tokens) for feature in word_features(word)]
    for key, weight in (*every, *shape_features(seen)):
        found[key] = found.get(key, 0.0) + weight
        square += weight * weight
    length = square**0.5 or 1.0
    return {key: weight / length for key, weight in found.items()}


@lru_cache(maxsize=16_384)
def _hashed(name: str) -> int:
    return bucket(name)


def _held(tokens: tuple[str, ...]) -> dict[str, int]:
    lexicon = classes()
    held: dict[str, int] = {}
    for token in tokens:
        for name in lexicon.get(token, ()):
            held[name] = held.get(name, 0) + 1
    return held


def _opening(tokens: tuple[str, ...]) -> tuple[str, ...]:
    lexicon = classes()
    for token in tokens[:4]:
        verbs = tuple(name for name in lexicon.get(token, ()) if name.isupper())
        if verbs:
            return verbs
    return ("none",)


def _size(words_in_it: int) -> int:
    return sum(words_in_it > limit for limit in (3, 7, 14, 30))
