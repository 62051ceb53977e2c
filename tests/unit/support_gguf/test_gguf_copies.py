"""Copies of a small model written here byte by byte: other types, cut short, damaged."""

import importlib.util
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coreto.providers.gguf import GgufError, read


def _copies():
    path = Path(__file__).parents[2] / "support" / "gguf_copies.py"
    spec = importlib.util.spec_from_file_location("coreto_gguf_copies_unit", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


copies = _copies()
F16, Q4_1, Q8_0 = copies.TensorType.F16, copies.TensorType.Q4_1, copies.TensorType.Q8_0
F32 = 0
KEY = struct.pack("<Q", 20) + b"general.architecture" + struct.pack("<IQ", 8, 5) + b"llama"


def q4_1(scale, least, levels):
    """One block of 32 numbers, each ``scale * level + least``."""
    pairs = bytes(low | high << 4 for low, high in zip(levels[:16], levels[16:], strict=True))
    return struct.pack("<ee", scale, least) + pairs


def q8_0(scale, levels):
    return struct.pack("<e32b", scale, *levels)


@pytest.fixture
def source(tmp_path):
    """A file with a norm as it is, a table of eight bits, and a matrix of four."""
    rng = np.random.default_rng(3)
    norm = rng.normal(size=5).astype("<f4").tobytes()
    table = b"".join(q8_0(0.5, rng.integers(-127, 128, 32).tolist()) for _ in range(4))
    matrix = b"".join(q4_1(0.25, -2.0, rng.integers(0, 16, 32).tolist()) for _ in range(6))
    tensors = [
        copies.Tensor(b"norm", (5,), F32, 0),
        copies.Tensor(b"table", (32, 4), Q8_0, 32),
        copies.Tensor(b"matrix", (64, 3), Q4_1, 32 + 160),
    ]
    head = b"GGUF" + struct.pack("<IQQ", 3, 3, 1) + KEY + b"".join(tensor.info() for tensor in tensors)
    data = norm + bytes(12) + table + bytes(24) + matrix
    path = tmp_path / "source.gguf"
    path.write_bytes(head + bytes(-len(head) % 32) + data)
    return path


def numbers_of(path, name):
    """A tensor's numbers, decoded by hand and not by the code under test."""
    layout = copies.layout_of(path)
    (tensor,) = (tensor for tensor in layout.tensors if tensor.name == name)
    data = path.read_bytes()[layout.data_at + tensor.offset :][: tensor.size]
    if tensor.type in (F32, F16):
        return [n for (n,) in struct.iter_unpack("<f" if tensor.type == F32 else "<e", data)]
    found = []
    for at in range(0, len(data), 34 if tensor.type == Q8_0 else 20):
        if tensor.type == Q8_0:
            scale, *levels = struct.unpack_from("<e32b", data, at)
            found += [scale * level for level in levels]
        else:
            scale, least = struct.unpack_from("<ee", data, at)
            pairs = data[at + 4 : at + 20]
            levels = [pair & 15 for pair in pairs] + [pair >> 4 for pair in pairs]
            found += [scale * level + least for level in levels]
    return found


@pytest.mark.parametrize("kind", [F16, Q8_0])
def test_numbers_are_those_of_the_source(source, tmp_path, kind):
    """Each tensor of the copy has its source's numbers, as closely as the type allows, and its own place."""
    copy = copies.copy_as(source, tmp_path / "copy.gguf", kind)
    layout = copies.layout_of(copy)
    assert [(t.name, t.type) for t in layout.tensors] == [(b"norm", F32), (b"table", kind), (b"matrix", kind)]
    assert all(tensor.offset % 32 == 0 for tensor in layout.tensors)
    assert numbers_of(copy, b"norm") == numbers_of(source, b"norm")
    # a half has 11 bits; of eight bits the error is half a step of the largest number
    for name in (b"table", b"matrix"):
        before, after = np.array(numbers_of(source, name)), np.array(numbers_of(copy, name))
        assert np.abs(before - after).max() <= np.abs(before).max() / (2048 if kind == F16 else 250)


def test_what_has_the_type_already_is_copied(source, tmp_path):
    """Tensors of the wanted type keep every byte."""
    copy = copies.copy_as(source, tmp_path / "copy.gguf", Q8_0)
    assert numbers_of(copy, b"table") == numbers_of(source, b"table")


def test_the_header_is_the_sources_but_for_types_and_places(source, tmp_path):
    """Keys are the same byte for byte, and Coreto's own reader finds nothing missing."""
    copy = copies.copy_as(source, tmp_path / "copy.gguf", F16)
    at = copies.layout_of(source).infos_at
    assert copy.read_bytes()[:at] == source.read_bytes()[:at]
    before, after = read(source), read(copy)
    assert after.metadata == before.metadata
    assert (after.tensors, after.missing_bytes) == (before.tensors, 0)
    assert after.tensor_bytes == 5 * 4 + (128 + 192) * 2


def test_zeros_stay_zeros():
    """A block of nothing has a scale of nothing, and is not divided by it."""
    assert copies._from_q8_0(copies._to_q8_0(np.zeros(64, dtype=np.float32))).tolist() == [0.0] * 64


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-100, 100, width=16), min_size=32, max_size=32))
def test_eight_bits_are_near(numbers):
    """Each number comes back within a step, whose own rounding to a half counts, too."""
    given_ = np.array(numbers, dtype=np.float32)
    found = copies._from_q8_0(copies._to_q8_0(given_))
    most = float(np.abs(given_).max())
    assert np.abs(found - given_).max() <= most / 254 + most / 1000 + 1e-5


def test_a_file_cut_short_lacks_tensors(source, tmp_path):
    """The header is whole, and its reader knows how much is missing."""
    half = copies.cut_short(source, tmp_path / "half.gguf")
    none = copies.cut_short(source, tmp_path / "none.gguf", share=0.0)
    size = source.stat().st_size - copies.layout_of(source).data_at
    assert abs(read(half).missing_bytes - size / 2) <= 1
    assert read(none).missing_bytes == size


@pytest.mark.parametrize(
    ("byte", "words"),
    [(0, "does not begin with GGUF"), (4, "version"), (8, "it claims"), (24, "not known|unknown")],
)
def test_a_flipped_bit_is_found(source, tmp_path, byte, words):
    """A file whose header has one wrong bit is the source but for that bit, and is refused."""
    bad = copies.flip(source, tmp_path / "bad.gguf", byte=byte, bit=6)
    differing = [
        i for i, (a, b) in enumerate(zip(source.read_bytes(), bad.read_bytes(), strict=True)) if a != b
    ]
    assert differing == [byte]
    with pytest.raises(GgufError, match=words):
        read(bad)


def test_only_the_header_is_damaged(source, tmp_path):
    """A bit of a tensor would be another model, not a bad file."""
    with pytest.raises(AssertionError, match="not in the header"):
        copies.flip(source, tmp_path / "bad.gguf", byte=copies.layout_of(source).data_at)
