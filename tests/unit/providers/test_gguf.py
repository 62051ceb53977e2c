"""GGUF headers, written here byte by byte, whole and hostile."""

import contextlib
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coreto.providers.gguf import TENSOR_TYPES, GgufError, LongArray, read

U32, STRING, ARRAY, F32, BOOL, U64 = 4, 8, 9, 6, 7, 10
CODES = {U32: "I", F32: "f", BOOL: "?", U64: "Q"}


def text(value):
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(data)) + data


def value(kind, content):
    if kind == STRING:
        return text(content)
    if kind == ARRAY:
        inner, items = content
        return struct.pack("<IQ", inner, len(items)) + b"".join(value(inner, item) for item in items)
    return struct.pack(f"<{CODES[kind]}", content)


def key(name, kind, content):
    return text(name) + struct.pack("<I", kind) + value(kind, content)


def tensor(name, dimensions, kind, offset):
    return text(name) + struct.pack(f"<I{len(dimensions)}QIQ", len(dimensions), *dimensions, kind, offset)


def header(keys=(), tensors=(), *, version=3, counts=None):
    claimed = counts or (len(tensors), len(keys))
    return b"GGUF" + struct.pack("<IQQ", version, *claimed) + b"".join(keys) + b"".join(tensors)


def whole(path, keys=(), tensors=(), size=0):
    """A file with its header, padded to the alignment, and ``size`` bytes of tensors."""
    head = header(keys, tensors)
    path.write_bytes(head + bytes(-len(head) % 32) + bytes(size))
    return path


@pytest.fixture
def file(tmp_path):
    return tmp_path / "model.gguf"


def refused(path, data, match):
    path.write_bytes(data)
    with pytest.raises(GgufError, match=match) as caught:
        read(path)
    assert path.name in str(caught.value)


def test_reads_keys_and_tensor_sizes(file):
    """Keys of every kind come back as written, and the tensors' bytes are counted by their types' blocks."""
    keys = [
        key("general.architecture", STRING, "llama"),
        key("llama.block_count", U32, 30),
        key("llama.rope", F32, 0.5),
        key("flag", BOOL, True),
        key("large", U64, 2**40),
        key("list", ARRAY, (U32, [1, 2, 3])),
        key("words", ARRAY, (STRING, ["a", "ção"])),
    ]
    tensors = [tensor("a", [256, 4], 12, 0), tensor("b", [64], 0, 576)]
    found = read(whole(file, keys, tensors, 576 + 256))
    assert found.architecture == "llama"
    assert found.metadata["llama.block_count"] == 30
    assert found.metadata["llama.rope"] == 0.5
    assert found.metadata["flag"] is True
    assert found.metadata["large"] == 2**40
    assert found.metadata["list"] == (1, 2, 3)
    assert found.metadata["words"] == ("a", "ção")
    assert (found.tensors, found.tensor_bytes, found.missing_bytes) == (2, 4 * 144 + 256, 0)


def test_of_a_vocabulary_only_the_length_is_kept(file):
    """A long array is passed over and its length known, be it of words or of numbers."""
    keys = [
        key("words", ARRAY, (STRING, ["ab"] * 5_000)),
        key("scores", ARRAY, (F32, [0.0] * 5_000)),
        key("after", U32, 7),
    ]
    found = read(whole(file, keys)).metadata
    assert found["words"] == found["scores"] == LongArray(5_000)
    assert found["after"] == 7


def test_a_download_that_was_cut_says_how_much_is_missing(file):
    """The tensors are not read, but it is known how many of their bytes the file lacks."""
    assert read(whole(file, (), [tensor("a", [1000], 0, 0)], 1000)).missing_bytes == 3000


@pytest.mark.parametrize("kind", sorted(TENSOR_TYPES))
def test_every_tensor_type_is_counted_in_blocks(file, kind):
    """One element over a block's multiple takes one block more."""
    elements, size = TENSOR_TYPES[kind]
    found = read(whole(file, (), [tensor("a", [elements * 3 + (elements > 1)], kind, 0)], 4 * size))
    assert found.tensor_bytes == size * (3 + (elements > 1))


def part(folder, number, count=2, tensors=()):
    path = folder / f"big-{number:05d}-of-{count:05d}.gguf"
    return whole(path, [key("split.count", U32, count), key("k", U32, number)], tensors, 4000)


def test_parts_are_counted_together(tmp_path):
    """A split model's tensors are those of all its files; its keys those of the one that was named."""
    first = part(tmp_path, 1, tensors=[tensor("a", [1000], 0, 0)])
    part(tmp_path, 2, tensors=[tensor("b", [500], 0, 0)])
    found = read(first)
    assert (found.parts, found.tensors, found.tensor_bytes, found.metadata["k"]) == (2, 2, 6000, 1)


def test_a_missing_part_is_named(tmp_path):
    """Without one of its files a split model cannot be used, and the error says which."""
    with pytest.raises(GgufError, match=r"big-00002-of-00002[.]gguf is missing"):
        read(part(tmp_path, 1))


def test_a_part_under_a_name_of_its_own(file):
    """A part that was renamed does not tell where the others are."""
    whole(file, [key("split.count", U32, 3)])
    with pytest.raises(GgufError, match="one of 3 parts"):
        read(file)


HOSTILE = [
    (b"", "does not begin"),
    (b"GG", "does not begin"),
    (b"PK\x03\x04" + bytes(60), "does not begin"),
    (b"GGUF", "cut short"),
    (header(version=1), "version 1"),
    (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian"),
    (header(counts=(0, 2**63)), "claims 9223372036854775808 keys"),
    (header(counts=(2**63, 0)), "claims 9223372036854775808 tensors"),
    (header(counts=(0, 3)), "cut short"),
    (header([struct.pack("<Q", 2**62)], counts=(0, 1)), "a text of"),
    (header([text("k") + struct.pack("<IQ", STRING, 2**40)], counts=(0, 1)), "a text of"),
    (header([text("k") + struct.pack("<I", 99)], counts=(0, 1)), "unknown type 99"),
    (header([text("k") + struct.pack("<IIQ", ARRAY, U32, 2**50)], counts=(0, 1)), "elements of an array"),
    (header([text("k") + struct.pack("<IIQ", ARRAY, U32, 7_000_000)], counts=(0, 1)), "cut short"),
    (header([text("k") + struct.pack("<IIQ", ARRAY, STRING, 7_000_000)], counts=(0, 1)), "cut short"),
    (header([text("k") + struct.pack("<IIQ", ARRAY, ARRAY, 1)], counts=(0, 1)), "arrays of arrays"),
    (header([key("k", U32, 1), key("k", U32, 2)]), "twice"),
    (header([key("general.alignment", U32, 0)]), "alignment"),
    (header((), [tensor("t", [1] * 5, 0, 0)]), "5 dimensions"),
    (header((), [tensor("t", [2**40, 2**40], 0, 0)]), "impossibly large"),
    (header((), [tensor("t", [1], 0, 2**60)]), "impossibly large"),
    (header((), [tensor("t", [1], 5, 0)]), "unknown type 5"),
]


@pytest.mark.parametrize(("data", "match"), HOSTILE, ids=[f"{i} {why}" for i, (_, why) in enumerate(HOSTILE)])
def test_a_hostile_file_is_refused_with_the_reason(file, data, match):
    """Whatever a header claims, it is refused before memory is set aside for it, and the file is named."""
    refused(file, data, match)


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=200), at=st.integers(0, 300))
def test_no_bytes_lead_to_another_error(tmp_path_factory, data, at):
    """A good header with random bytes written over it, or cut, is read or refused, never anything else."""
    good = header(
        [key("general.architecture", STRING, "llama"), key("n", ARRAY, (U32, [1, 2]))],
        [tensor("t", [32], 2, 0)],
    )
    path = tmp_path_factory.getbasetemp() / "random.gguf"
    path.write_bytes(good[:at] + data + good[at + len(data) :] if at % 2 else good[:at])
    with contextlib.suppress(GgufError):
        read(path)


@pytest.mark.slow
def test_reads_real_weights(weights: Path):
    """The embedded model's own file: nothing is missing, and its tensors are nearly all of it."""
    found = read(weights)
    assert found.architecture == "llama"
    assert found.missing_bytes == 0
    assert 0.97 < found.tensor_bytes / weights.stat().st_size < 1.0
