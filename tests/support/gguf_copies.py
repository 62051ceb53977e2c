"""Copies of a GGUF model made for tests: with tensors of another type, cut short, or with a damaged header.

A copy of another type is a real model of another size that answers like its source: keys and vocabulary are copied
byte for byte, tensors are decoded and written anew. Norms and whatever else is not quantised stay as they are.
"""

import math
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from enum import IntEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

import numpy as np

from coreto.providers.gguf import TENSOR_TYPES, GgufHeader, _Reader

Array = np.ndarray[Any, Any]

#: Numbers decoded at a time: a multiple of every block, and small beside the largest tensor.
_AT_ONCE = 2**20
#: Bytes of magic, version and the two counts.
_FIXED = 24


class TensorType(IntEnum):
    """Types that can be read here, by their number in the file; all but ``Q4_1`` can be written, too."""

    F16 = 1
    Q4_1 = 3
    Q8_0 = 8


@dataclass(frozen=True, slots=True)
class Tensor:
    """An entry of a file's list of tensors. ``offset``: in bytes, from where the tensors begin."""

    name: bytes
    dimensions: tuple[int, ...]
    type: int
    offset: int

    @property
    def elements(self) -> int:
        return math.prod(self.dimensions)

    @property
    def size(self) -> int:
        """Bytes in the file."""
        block, width = TENSOR_TYPES[self.type]
        return -(-self.elements // block) * width

    def info(self) -> bytes:
        """The entry as it is written."""
        count = len(self.dimensions)
        head = struct.pack("<Q", len(self.name)) + self.name
        return head + struct.pack(f"<I{count}QIQ", count, *self.dimensions, self.type, self.offset)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things are in a file: ``infos_at`` the list of tensors, ``data_at`` the tensors themselves."""

    tensors: tuple[Tensor, ...]
    infos_at: int
    data_at: int
    alignment: int


@dataclass(slots=True)
class _LayoutReader(_Reader):
    """Coreto's own reader, which also keeps the list of tensors."""

    found: list[Tensor] = field(default_factory=list[Tensor])
    infos_at: int = 0

    def tensors(self, count: int) -> tuple[int, int]:
        self.infos_at = self.at
        for _ in range(count):
            name = self.take(self.length(2**16))
            dimensions = tuple(self.number("Q") for _ in range(self.number("I")))
            self.found.append(Tensor(name, dimensions, self.number("I"), self.number("Q")))
        return 0, 0


def layout_of(path: Path) -> Layout:
    """Where the tensors of the file at ``path`` are. Raises as :func:`coreto.providers.gguf.read` does."""
    with path.open("rb") as file:
        reader = _LayoutReader(file, path.stat().st_size, path.name)
        header: GgufHeader = reader.header()
    alignment = header.metadata.get("general.alignment", 32)
    assert isinstance(alignment, int)
    return Layout(tuple(reader.found), reader.infos_at, _aligned(reader.at, alignment), alignment)


def copy_as(source: Path, target: Path, kind: TensorType) -> Path:
    """Write the model at ``source`` to ``target`` with its quantised tensors as ``kind``; returns ``target``."""
    layout = layout_of(source)
    placed = _placed(layout, kind)
    with source.open("rb") as old, target.open("wb") as new:
        new.write(old.read(layout.infos_at))
        for tensor in placed:
            new.write(tensor.info())
        data_at = _aligned(new.tell(), layout.alignment)
        for before, after in zip(layout.tensors, placed, strict=True):
            _pad(new, data_at + after.offset)
            old.seek(layout.data_at + before.offset)
            for piece in _pieces(old, before):
                new.write(piece if before.type == after.type else _ENCODE[kind](_DECODE[before.type](piece)))
        _pad(new, _aligned(new.tell(), layout.alignment))
    return target


def cut_short(source: Path, target: Path, *, share: float = 0.5) -> Path:
    """Write the first ``share`` of ``source``'s tensors to ``target``, as an interrupted download does."""
    layout = layout_of(source)
    keep = layout.data_at + int((source.stat().st_size - layout.data_at) * share)
    with source.open("rb") as old, target.open("wb") as new:
        new.write(old.read(keep))
    return target


def flip(source: Path, target: Path, *, byte: int, bit: int = 0) -> Path:
    """Write ``source`` to ``target`` with one bit of its header flipped.

    Byte 4 is in the version, 8 in the number of tensors, 16 in the number of keys, 24 in the first key's length.
    """
    layout = layout_of(source)
    assert 0 <= byte < layout.data_at, f"byte {byte} is not in the header of {layout.data_at} bytes"
    data = bytearray(source.read_bytes())
    data[byte] ^= 1 << bit
    target.write_bytes(data)
    return target


def _placed(layout: Layout, kind: TensorType) -> tuple[Tensor, ...]:
    placed: list[Tensor] = []
    offset = 0
    for tensor in layout.tensors:
        quantised = TENSOR_TYPES[tensor.type][0] > 1
        moved = replace(tensor, type=int(kind) if quantised else tensor.type, offset=offset)
        placed.append(moved)
        offset = _aligned(offset + moved.size, layout.alignment)
    return tuple(placed)


def _pieces(file: BinaryIO, tensor: Tensor) -> Iterator[bytes]:
    block, width = TENSOR_TYPES[tensor.type]
    at_once = _AT_ONCE // block * width
    left = tensor.size
    while left:
        piece = file.read(min(at_once, left))
        assert piece, f"the tensor {tensor.name!r} is cut short"
        left -= len(piece)
        yield piece


def _aligned(position: int, alignment: int) -> int:
    return -(-position // alignment) * alignment


def _pad(file: BinaryIO, position: int) -> None:
    file.write(bytes(position - file.tell()))


def _from_q4_1(data: bytes) -> Array:
    """Blocks of 32: a scale, a least value, then two numbers of four bits a byte, 16 apart."""
    blocks = np.frombuffer(data, dtype=[("scale", "<f2"), ("least", "<f2"), ("pairs", "u1", 16)])
    levels = np.concatenate([blocks["pairs"] & 0x0F, blocks["pairs"] >> 4], axis=1).astype(np.float32)
    scale, least = (blocks[name].astype(np.float32)[:, None] for name in ("scale", "least"))
    return (levels * scale + least).reshape(-1)


def _from_q8_0(data: bytes) -> Array:
    """Blocks of 32: a scale, then numbers of eight bits with a sign."""
    blocks = np.frombuffer(data, dtype=[("scale", "<f2"), ("levels", "i1", 32)])
    return (blocks["levels"] * blocks["scale"].astype(np.float32)[:, None]).reshape(-1)


def _to_q8_0(numbers: Array) -> bytes:
    rows = numbers.reshape(-1, 32)
    blocks = np.zeros(len(rows), dtype=[("scale", "<f2"), ("levels", "i1", 32)])
    scale = np.abs(rows).max(axis=1, keepdims=True) / 127
    blocks["scale"] = scale[:, 0]
    blocks["levels"] = np.rint(np.divide(rows, scale, out=np.zeros_like(rows), where=scale > 0))
    return blocks.tobytes()


_DECODE: MappingProxyType[int, Callable[[bytes], Array]] = MappingProxyType(
    {TensorType.Q4_1: _from_q4_1, TensorType.Q8_0: _from_q8_0}
)
_ENCODE: MappingProxyType[TensorType, Callable[[Array], bytes]] = MappingProxyType(
    {
        TensorType.F16: lambda numbers: numbers.astype("<f2").tobytes(),
        TensorType.Q8_0: _to_q8_0,
    }
)
