"""The learned weights, read from ``tasks.bin``: what words say alone, and what they say beside an embedding.

``benchmarks/train_tasks.py`` makes the file: a header (:data:`_HEADER`), two tables of five small integers
a bucket, and the embedder's head (float32, five rows of :data:`DIMENSIONS`). It carries the digest of the
exemplars that it was trained on.
"""

import hashlib
import struct
import sys
from array import array
from collections.abc import Iterable
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from operator import mul

from coreto.routing.detection.features import BUCKETS, Feature, View, shape_features, word_features
from coreto.routing.detection.verdict import TASKS, Scores

MAGIC = b"CTD1"
DIMENSIONS = 384
"""Of the embedder's vectors."""

_LABELS = len(TASKS)
_TABLE = BUCKETS * _LABELS
_HEADER = struct.Struct("<4s32sI5f5f5f5f2f")  # magic, digest, buckets, two pairs of scale and bias, sharpness
_KNOWN_WORDS = 8192


class Linear:
    """One table of weights: the scores of a text for each task."""

    def __init__(self, weights: memoryview, scale: Scores, bias: Scores) -> None:
        self._weights = weights
        self._scale = scale
        self._bias = bias
        self._words: dict[str, tuple[float, ...]] = {}

    def scores(self, seen: View) -> tuple[float, ...]:
        """What the words of a text, their order and its marks say for each task."""
        parts = [self._word(word) for word in dict.fromkeys(seen.tokens)]
        parts.append(self._sum(shape_features(seen)))
        *sums, square = (sum(column) for column in zip(*parts, strict=True))
        length = square**0.5 or 1.0
        return tuple(
            total * scale / length + bias
            for total, scale, bias in zip(sums, self._scale, self._bias, strict=True)
        )

    def _word(self, word: str) -> tuple[float, ...]:
        known = self._words.get(word)
        if known is None:
            if len(self._words) >= _KNOWN_WORDS:
                self._words.clear()
            known = self._words[word] = self._sum(word_features(word))
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
        size = _HEADER.size + 2 * _TABLE + DIMENSIONS * _LABELS * 4
        if len(data) != size or data[:4] != MAGIC:
            raise ValueError(f"not a task model of {size} bytes: {len(data)} bytes")
        _, digest, buckets, *numbers = _HEADER.unpack_from(data)
        if buckets != BUCKETS:
            raise ValueError(f"a task model of {buckets} buckets; the code hashes to {BUCKETS}")
        view = memoryview(data)[_HEADER.size :]
        #: of the exemplars that it was trained on
        self.digest: str = digest.hex()
        #: words without an embedding, and the words' part of the scores with one
        self.alone = Linear(view[:_TABLE].cast("b"), numbers[0:5], numbers[5:10])
        self.beside = Linear(view[_TABLE : 2 * _TABLE].cast("b"), numbers[10:15], numbers[15:20])
        #: what scores are multiplied by to be read as probabilities, without and with the embedder
        self.sharpness: tuple[float, float] = (numbers[20], numbers[21])
        self._head = array("f", view[2 * _TABLE :].tobytes())
        if sys.byteorder == "big":
            self._head.byteswap()

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


def pack(digest: str, tables: tuple[bytes, bytes], head: bytes, numbers: Scores) -> bytes:
    """The file of a model. ``numbers``: scale and bias of both tables, five each, and the sharpnesses."""
    return _HEADER.pack(MAGIC, bytes.fromhex(digest), BUCKETS, *numbers) + tables[0] + tables[1] + head


def _folder() -> Traversable:
    return resources.files("coreto.routing.detection")
