"""The learned weights, read from ``tasks.bin``: what a text's words say for each task, alone and beside an
embedding.

``benchmarks/train_tasks.py`` makes the file. After a header (:data:`_HEADER`) come, twice, for use alone and
beside an embedding, five small integers a bucket of :mod:`features`; then the embedder's head (float32, five
rows of :data:`DIMENSIONS`); then a table of 24,000 English and Portuguese words: their hashes in order and,
twice, five small integers a word. These distil the embedder: they score a word by its embedding, so that a
word that no exemplar holds still counts (unseen prompts right without the embedder: 0.87 to 0.93).
The header carries the digest of the exemplars.
"""

import hashlib
import struct
import sys
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Iterable
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from operator import mul

from coreto.routing.detection.features import BUCKETS, Feature, View, shape_features, word_features
from coreto.routing.detection.verdict import TASKS, Scores

MAGIC = b"CTD2"
DIMENSIONS = 384
"""Of the embedder's vectors."""

_LABELS = len(TASKS)
_TABLE = BUCKETS * _LABELS
_HEADER = struct.Struct("<4s32sII30f2f")
"""Magic, digest, buckets, words; twice (alone, beside) five scales, biases and scales of words; sharpness."""

_KNOWN_WORDS = 8192
_NO_MEANING = (0.0,) * (_LABELS + 1)


class Meanings:
    """Scores of single words by what they mean: ``rows`` of five small integers, ``hashes`` in order."""

    def __init__(self, hashes: "array[int]", rows: memoryview, scale: Scores) -> None:
        self._hashes = hashes
        self._rows = rows
        self._scale = scale

    def of(self, word: str) -> tuple[float, ...] | None:
        """The scores of ``word``; ``None`` when the table lacks it."""
        wanted = word_hash(word)
        at = bisect_left(self._hashes, wanted)
        if at == len(self._hashes) or self._hashes[at] != wanted:
            return None
        row = self._rows[at * _LABELS : (at + 1) * _LABELS]
        return tuple(value * scale for value, scale in zip(row, self._scale, strict=True))


class Linear:
    """One table of weights and one of meanings: the scores of a text for each task."""

    def __init__(self, weights: memoryview, scale: Scores, bias: Scores, meanings: Meanings) -> None:
        self._weights = weights
        self._scale = scale
        self._bias = bias
        self._meanings = meanings
        self._words: dict[str, tuple[float, ...]] = {}

    def scores(self, seen: View) -> tuple[float, ...]:
        """What the words of a text, their order, its marks and the words' mean meaning say for each task."""
        parts = [self._word(word) for word in dict.fromkeys(seen.tokens)]
        parts.append((*self._sum(shape_features(seen)), *_NO_MEANING))
        sums = [sum(column) for column in zip(*parts, strict=True)]
        length = sums[_LABELS] ** 0.5 or 1.0
        meant = sums[-1] or 1.0
        return tuple(
            sums[at] * self._scale[at] / length + sums[_LABELS + 1 + at] / meant + self._bias[at]
            for at in range(_LABELS)
        )

    def _word(self, word: str) -> tuple[float, ...]:
        """A word's part: its features' sum, the sum of their squares, its meaning, whether it has one."""
        known = self._words.get(word)
        if known is None:
            if len(self._words) >= _KNOWN_WORDS:
                self._words.clear()
            meaning = self._meanings.of(word)
            meant = _NO_MEANING if meaning is None else (*meaning, 1.0)
            known = self._words[word] = (*self._sum(word_features(word)), *meant)
        return known

    def _sum(self, found: Iterable[Feature]) -> tuple[float, ...]:
        """The features' weighted rows added up, and the sum of their squares at the end."""
        weights = self._weights
        a = b = c = d = e = square = 0.0
        for key, weight in found:
            at = key * _LABELS
            a += weight * weights[at]
            b += weight * weights[at + 1]
            c += weight * weights[at + 2]
            d += weight * weights[at + 3]
            e += weight * weights[at + 4]
            square += weight * weight
        return a, b, c, d, e, square


class TaskModel:
    """The contents of a model file."""

    def __init__(self, data: bytes) -> None:
        """Raises ``ValueError`` when ``data`` is not a model of this version."""
        if len(data) < _HEADER.size or data[:4] != MAGIC:
            raise ValueError(f"not a task model: {len(data)} bytes that begin with {data[:4]!r}")
        _, digest, buckets, known, *numbers = _HEADER.unpack_from(data)
        if buckets != BUCKETS:
            raise ValueError(f"a task model of {buckets} buckets; the code hashes to {BUCKETS}")
        sizes = (_TABLE, _TABLE, DIMENSIONS * _LABELS * 4, known * 4, known * _LABELS, known * _LABELS)
        if len(data) != _HEADER.size + sum(sizes):
            raise ValueError(f"a task model of {_HEADER.size + sum(sizes)} bytes: {len(data)} bytes")
        parts: list[memoryview] = []
        rest = memoryview(data)[_HEADER.size :]
        for size in sizes:
            parts.append(rest[:size])
            rest = rest[size:]
        hashes = array("I", parts[3].tobytes())
        self._head = array("f", parts[2].tobytes())
        if sys.byteorder == "big":
            hashes.byteswap()
            self._head.byteswap()
        #: of the exemplars that it was trained on
        self.digest: str = digest.hex()
        #: words without an embedding, and the words' part of the scores with one
        self.alone, self.beside = (
            Linear(
                parts[at].cast("b"),
                numbers[15 * at : 15 * at + 5],
                numbers[15 * at + 5 : 15 * at + 10],
                Meanings(hashes, parts[4 + at].cast("b"), numbers[15 * at + 10 : 15 * at + 15]),
            )
            for at in (0, 1)
        )
        #: what scores are multiplied by to be read as probabilities, without and with the embedder
        self.sharpness: tuple[float, float] = (numbers[30], numbers[31])

    def head(self, vector: Scores) -> tuple[float, ...]:
        """What an embedding of :data:`DIMENSIONS` numbers adds to the scores of :attr:`beside`."""
        return tuple(
            sum(map(mul, vector, self._head[at * DIMENSIONS : (at + 1) * DIMENSIONS]))
            for at in range(_LABELS)
        )


@cache
def shipped() -> TaskModel:
    """The model in the package, read once."""
    return TaskModel(_folder().joinpath("tasks.bin").read_bytes())


def exemplars_digest() -> str:
    """The digest of the exemplar files in the package, whatever their line ends."""
    digest = hashlib.sha256()
    files = (f for f in _folder().joinpath("exemplars").iterdir() if f.name.endswith(".toml"))
    for file in sorted(files, key=lambda f: f.name):
        digest.update(file.read_bytes().replace(b"\r\n", b"\n"))
    return digest.hexdigest()


def word_hash(word: str) -> int:
    """Where a word stands in the table of meanings."""
    return zlib.crc32(word.encode("utf-8", "replace"))


def pack(digest: str, parts: tuple[bytes, ...], known: int, numbers: Scores) -> bytes:
    """The file of a model: ``parts`` as the module's docstring lists them, ``known`` words; ``numbers``: the
    scales, biases and words' scales of both tables, then the two sharpnesses."""
    return _HEADER.pack(MAGIC, bytes.fromhex(digest), BUCKETS, known, *numbers) + b"".join(parts)


def _folder() -> Traversable:
    return resources.files("coreto.routing.detection")
