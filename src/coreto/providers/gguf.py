"""Reads the header of a GGUF file: what a model is, and how large its tensors are. Never reads a tensor.

Files come from strangers, so every count and length is checked against a limit, and against what is left of the
file, before anything is allocated for it.
"""

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from coreto.errors import CoretoError
from coreto.redaction import brief

#: Limits, each some ten times above the largest published model: keys, tensors, their names, elements of one array
#: (vocabularies reach 262 144, merges twice that), one string (chat templates reach 20 kB), the header in all.
MOST_KEYS = 4_096
MOST_TENSORS = 65_536
LONGEST_NAME = 65_535
LONGEST_ARRAY = 8_000_000
LONGEST_STRING = 4 * 2**20
LONGEST_HEADER = 512 * 2**20
MOST_DIMENSIONS = 4
#: Elements of an array that are kept; of longer ones (vocabularies) only the length is.
_KEPT = 4_096

#: GGUF value types of fixed size, as ``struct`` writes them.
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9

#: Tensor type → elements in a block, bytes of a block.
TENSOR_TYPES: Mapping[int, tuple[int, int]] = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 36),
    10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292),
    16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82),
    23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2),
    34: (256, 54), 35: (256, 66), 39: (32, 17), 40: (64, 36),
}  # fmt: skip

_PART = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")

Scalar = int | float | bool | str


class GgufError(CoretoError):
    """The file is not a GGUF model that can be used."""

    code = "gguf"


@dataclass(frozen=True, slots=True)
class LongArray:
    """An array too long to be worth keeping: only its length is known."""

    length: int


Value = Scalar | tuple[Scalar, ...] | LongArray


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What a file says of itself. ``tensor_bytes``: of all tensors; ``missing_bytes``: how much of them the file
    lacks, as an interrupted download does; ``parts``: files that the model is split into."""

    version: int
    metadata: Mapping[str, Value]
    tensors: int
    tensor_bytes: int
    missing_bytes: int = 0
    parts: int = 1

    @property
    def architecture(self) -> str:
        return str(self.metadata.get("general.architecture", ""))


def read(path: Path) -> GgufHeader:
    """The header of the model at ``path``, its other parts included where it is split (``…-00001-of-00003.gguf``).

    Raises :class:`GgufError`, which says what is wrong with which file, and ``OSError``.
    """
    first = read_part(path)
    if first.parts == 1:
        return first
    found = _PART.search(path.name)
    if found is None or int(found.group(2)) != first.parts:
        raise GgufError(
            f"{path.name} is one of {first.parts} parts, but is not named like one (x-00001-of-0000N.gguf)"
        )
    tensors, tensor_bytes, missing = first.tensors, first.tensor_bytes, first.missing_bytes
    stem, own = path.name[: found.start()], int(found.group(1))
    for number in range(1, first.parts + 1):
        if number == own:
            continue
        beside = path.with_name(f"{stem}-{number:05d}-of-{first.parts:05d}.gguf")
        if not beside.is_file():
            raise GgufError(f"{beside.name} is missing: {path.name} is one of {first.parts} parts")
        part = read_part(beside)
        tensors += part.tensors
        tensor_bytes += part.tensor_bytes
        missing += part.missing_bytes
    return replace(first, tensors=tensors, tensor_bytes=tensor_bytes, missing_bytes=missing)


def read_part(path: Path) -> GgufHeader:
    """The header of this one file. Raises as :func:`read` does."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        return _Reader(file, size, path.name).header()


@dataclass(slots=True)
class _Reader:
    file: BinaryIO
    size: int
    name: str
    at: int = 0
    _numbers: dict[str, struct.Struct] = field(default_factory=dict[str, struct.Struct])

    def header(self) -> GgufHeader:
        if self.size < 4 or self.take(4) != b"GGUF":
            raise self.wrong("it does not begin with GGUF")
        version = self.number("I")
        if version not in (2, 3):
            swapped = version & 0xFFFF == 0
            raise self.wrong(
                "it is big-endian" if swapped else f"version {version} is not known (2 and 3 are)"
            )
        tensors = self.count("tensors", MOST_TENSORS)
        keys = self.count("keys", MOST_KEYS)
        metadata: dict[str, Value] = {}
        for _ in range(keys):
            key = self.string(LONGEST_NAME)
            if key in metadata:
                raise self.wrong(f"the key {brief(key, 60)!r} is there twice")
            metadata[key] = self.value(self.number("I"))
        total, end = self.tensors(tensors)
        alignment = metadata.get("general.alignment", 32)
        if not isinstance(alignment, int) or not 1 <= alignment <= 2**20:
            raise self.wrong("its alignment makes no sense")
        data = -(-self.at // alignment) * alignment
        parts = metadata.get("split.count", 1)
        return GgufHeader(
            version, metadata, tensors, total,
            missing_bytes=max(0, data + end - self.size),
            parts=parts if isinstance(parts, int) and 1 < parts <= 1_000 else 1,
        )  # fmt: skip

    def tensors(self, count: int) -> tuple[int, int]:
        """Bytes of all tensors, and where the last one ends, counted from the first one's start."""
        total = end = 0
        for _ in range(count):
            name = self.string(LONGEST_NAME)
            dimensions = self.number("I")
            if dimensions > MOST_DIMENSIONS:
                raise self.wrong(f"the tensor {brief(name, 60)!r} has {dimensions} dimensions")
            elements = 1
            for _ in range(dimensions):
                elements *= self.number("Q")
            kind, offset = self.number("I"), self.number("Q")
            block = TENSOR_TYPES.get(kind)
            if block is None:
                raise self.wrong(f"the tensor {brief(name, 60)!r} is of the unknown type {kind}")
            if elements > 2**48 or offset > 2**50:
                raise self.wrong(f"the tensor {brief(name, 60)!r} is impossibly large")
            size = -(-elements // block[0]) * block[1]
            total += size
            end = max(end, offset + size)
        return total, end

    def value(self, kind: int) -> Value:
        if kind == _STRING:
            return self.string(LONGEST_STRING)
        if kind == _ARRAY:
            return self.array()
        return self.scalar(kind)

    def array(self) -> Value:
        kind, length = self.number("I"), self.count("elements of an array", LONGEST_ARRAY)
        if kind == _ARRAY:
            raise self.wrong("it has arrays of arrays")
        if kind == _STRING:
            if length <= _KEPT:
                return tuple(self.string(LONGEST_STRING) for _ in range(length))
            for _ in range(length):
                self.skip(self.length(LONGEST_STRING))
            return LongArray(length)
        if length <= _KEPT:
            return tuple(self.scalar(kind) for _ in range(length))
        self.skip(length * struct.calcsize(f"<{self.format(kind)}"))
        return LongArray(length)

    def scalar(self, kind: int) -> Scalar:
        code = self.format(kind)
        value: Scalar = struct.unpack(f"<{code}", self.take(struct.calcsize(f"<{code}")))[0]
        return value

    def format(self, kind: int) -> str:
        code = _SCALARS.get(kind)
        if code is None:
            raise self.wrong(f"it has values of the unknown type {kind}")
        return code

    def count(self, what: str, most: int) -> int:
        number = self.number("Q")
        if number > most:
            raise self.wrong(f"it claims {number} {what}, more than {most}")
        return number

    def length(self, most: int) -> int:
        length = self.number("Q")
        if length > most:
            raise self.wrong(f"it claims a text of {length} bytes, longer than {most}")
        return length

    def string(self, most: int) -> str:
        return self.take(self.length(most)).decode("utf-8", errors="replace")

    def number(self, code: str) -> int:
        unpacker = self._numbers.get(code)
        if unpacker is None:
            unpacker = self._numbers[code] = struct.Struct(f"<{code}")
        value: int = unpacker.unpack(self.take(unpacker.size))[0]
        return value

    def take(self, count: int) -> bytes:
        self._move(count)
        data = self.file.read(count)
        if len(data) != count:
            raise self.wrong("its header is cut short")
        return data

    def skip(self, count: int) -> None:
        self._move(count)
        self.file.seek(count, 1)

    def _move(self, count: int) -> None:
        self.at += count
        if self.at > self.size:
            raise self.wrong("its header is cut short")
        if self.at > LONGEST_HEADER:
            raise self.wrong(f"its header is longer than {LONGEST_HEADER} bytes")

    def wrong(self, why: str) -> GgufError:
        return GgufError(f"{self.name} is not a usable GGUF file: {why}")
