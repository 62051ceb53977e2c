"""What a model takes: the formula against the engine's own figures, and what is learned by measuring."""

import pytest

from coreto.providers.gguf import LongArray, read
from coreto.residency.book import MemoryBook
from coreto.residency.memory import UnknownShapeError, estimate, largest_context, shape_from, shape_of
from coreto.residency.model import Hosted

MIB = 2**20

SMOLLM2 = {
    "general.architecture": "llama",
    "llama.block_count": 30,
    "llama.embedding_length": 576,
    "llama.feed_forward_length": 1536,
    "llama.attention.head_count": 9,
    "llama.attention.head_count_kv": 3,
    "llama.context_length": 8192,
    "llama.vocab_size": 49_152,
    "tokenizer.ggml.merges": LongArray(48_900),
}
GEMMA3 = {
    "general.architecture": "gemma3",
    "gemma3.block_count": 18,
    "gemma3.embedding_length": 640,
    "gemma3.feed_forward_length": 2048,
    "gemma3.attention.head_count": 4,
    "gemma3.attention.head_count_kv": 1,
    "gemma3.attention.key_length": 256,
    "gemma3.attention.value_length": 256,
    "gemma3.attention.sliding_window": 512,
    "tokenizer.ggml.tokens": LongArray(262_144),
}
QWEN2 = {
    "general.architecture": "qwen2",
    "qwen2.block_count": 24,
    "qwen2.embedding_length": 896,
    "qwen2.feed_forward_length": 4864,
    "qwen2.attention.head_count": 14,
    "qwen2.attention.head_count_kv": 2,
    "qwen2.vocab_size": 151_936,
}

#: Metadata, context, slots, cache type; MiB of cache and compute buffers as llama.cpp printed them.
MEASURED = [
    (SMOLLM2, 1024, 1, "f16", 22.50, 15.64),
    (SMOLLM2, 8192, 1, "f16", 180.00, 22.64),
    (SMOLLM2, 8192, 4, "f16", 180.00, 16.64),
    (SMOLLM2, 8192, 1, "q8_0", 95.62, 22.67),
    (QWEN2, 2048, 1, "f16", 24.00, 39.27),
    (GEMMA3, 2048, 1, "f16", 21.00, 21.28),
]


@pytest.mark.parametrize(("metadata", "context", "slots", "kind", "cache", "compute"), MEASURED)
def test_the_formula_matches_the_engine(metadata, context, slots, kind, cache, compute):
    """Cache and compute buffers are within 0.5 % of what the engine itself reported, on three architectures."""
    found = estimate(shape_from(metadata, 0), context, slots=slots, cache_type=kind)
    assert found.cache / MIB == pytest.approx(cache, rel=0.005)
    assert found.compute / MIB == pytest.approx(compute, rel=0.005)


def test_the_parts_are_the_whole():
    """The parts that explain an estimate add up to it; the host's part is not on the GPU."""
    found = estimate(shape_from(SMOLLM2, 92 * MIB), 2048)
    assert sum(size for _, size in found.parts()) == found.total == found.device + found.host
    assert found.weights == 92 * MIB


def test_figures_by_layer_are_added_up():
    """Heads may differ from layer to layer, as in models without attention in some."""
    by_layer = {**SMOLLM2, "llama.attention.head_count_kv": [3] * 10 + [0] * 20}
    full = estimate(shape_from(SMOLLM2, 0), 1024).cache
    assert estimate(shape_from(by_layer, 0), 1024).cache * 3 == full


@pytest.mark.parametrize(("pattern", "windowed"), [(3, 12), ([True, False], 9), ((True,), 18)])
def test_the_header_says_which_layers_look_through_a_window(pattern, windowed):
    """A pattern in the header counts more than what is known of the family."""
    metadata = {**GEMMA3, "gemma3.attention.sliding_window_pattern": pattern}
    assert sum(shape_from(metadata, 0).windowed) == windowed


def test_an_unknown_family_with_a_window_is_taken_as_a_whole():
    """Where nobody says which layers are windowed, none is: too much is safe."""
    metadata = {**SMOLLM2, "llama.attention.sliding_window": 512}
    assert estimate(shape_from(metadata, 0), 8192).cache == 180 * MIB


@pytest.mark.parametrize(
    "missing",
    ["general.architecture", "llama.block_count", "llama.embedding_length", "llama.attention.head_count"],
)
def test_a_missing_key_is_named(missing):
    """Without a figure that the memory depends on there is no guess, and the key is named."""
    metadata = {name: figure for name, figure in SMOLLM2.items() if name != missing}
    with pytest.raises(UnknownShapeError, match=missing):
        shape_from(metadata, 0)


@pytest.mark.parametrize("figure", [0, -1, 2**60, "30", None, True, 1.5])
def test_a_figure_that_makes_no_sense_is_none(figure):
    """Headers come from strangers: a count that is no count is treated as missing."""
    with pytest.raises(UnknownShapeError):
        shape_from({**SMOLLM2, "llama.block_count": figure}, 0)


def test_an_unknown_cache_type_is_refused():
    """The valid ones are listed."""
    with pytest.raises(ValueError, match="q8_0"):
        estimate(shape_from(SMOLLM2, 0), 1024, cache_type="q3")


def test_the_largest_context_fits_and_the_next_does_not():
    """The window is as long as the budget allows, and never longer than the model's own."""
    shape = shape_from(SMOLLM2, 92 * MIB)
    budget = 300 * MIB
    found = largest_context(shape, budget)
    assert estimate(shape, found).total <= budget < estimate(shape, found + 256).total
    assert largest_context(shape, 10_000 * MIB) == 8192
    assert largest_context(shape, 100 * MIB) is None


@pytest.mark.slow
def test_the_embedded_model_by_its_file(weights):
    """The real file gives the same shape as its figures do."""
    shape = shape_of(read(weights))
    assert (len(shape.kv_heads), shape.key_length, shape.vocabulary, shape.merges) == (30, 64, 49_152, True)
    assert estimate(shape, 1024).cache == 22.5 * MIB


# --- the book


def test_a_measurement_replaces_an_estimate():
    """Once it was measured, an estimate no longer counts, be it larger or smaller."""
    book = MemoryBook.of([Hosted("m", 100, 4096)])
    assert book.need("m") == 100
    book.measured("m", 4096, 80)
    assert book.need("m") == 80


def test_the_largest_measurement_counts():
    """What was measured once may come again: the figure never goes below it."""
    book = MemoryBook.of([Hosted("m", 100, 4096)])
    for size in (80, 120, 90):
        book.measured("m", 4096, size)
    assert book.need("m") == 120


def test_a_declared_figure_gives_way_to_a_larger_one_only():
    """What the user wrote is kept, unless the engine takes more."""
    book = MemoryBook.of([Hosted("m", 100, 4096, declared=True)])
    book.measured("m", 4096, 80)
    assert book.need("m") == 100
    book.measured("m", 4096, 130)
    assert book.need("m") == 130


def test_contexts_are_measured_apart():
    """A measurement with the smaller context says nothing of the larger one."""
    book = MemoryBook.of([Hosted("m", 100, 4096, small_context=1024, small_memory=70)])
    book.measured("m", 1024, 75)
    assert (book.need("m"), book.need("m", small=True)) == (100, 75)


def test_unknown_is_unknown():
    """A model without figures, or one that is not in the book, has no size."""
    book = MemoryBook.of([Hosted("m")])
    assert book.need("m") is book.need("other") is None
    book.measured("m", None, 5)
    assert book.need("m") == 5
