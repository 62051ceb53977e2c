"""What is known of a model's memory before it was ever loaded: where the figure comes from, what it shrinks to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coreto.providers.base import Described, Resident
from coreto.residency.memory import estimate, shape_from
from coreto.residency.sizes import LEAST_CONTEXT, USUAL_CONTEXT, Wanted, counted, sized

GB = 10**9
LLAMA = {
    "general.architecture": "llama",
    "llama.block_count": 32,
    "llama.embedding_length": 4096,
    "llama.feed_forward_length": 14_336,
    "llama.attention.head_count": 32,
    "llama.attention.head_count_kv": 8,
    "llama.context_length": 131_072,
    "llama.vocab_size": 128_256,
}


def wanted(memory=None, context=None, slots=1):
    return Wanted({} if memory is None else {"m": memory}, {} if context is None else {"m": context}, slots)


def total(weights, context, slots=1):
    return estimate(shape_from(LLAMA, weights), context * slots, slots=slots).total


@pytest.mark.parametrize(
    ("described", "declared", "source", "memory"),
    [
        # the user's word, whatever the engine tells
        (Described(LLAMA, 5 * GB), 7 * GB, "declared", 7 * GB),
        (None, 7 * GB, "declared", 7 * GB),
        # by its shape
        (Described(LLAMA, 5 * GB), None, "estimated", total(5 * GB, USUAL_CONTEXT)),
        # Ollama's simulator, and a header of a kind that is not known
        (Described({"general.architecture": "odd"}, 5 * GB), None, "roughly, by its weights", 6 * GB),
        # nobody tells: the whole budget is set aside until it was measured
        (Described({}, 0), None, "unknown", None),
        (None, None, "unknown", None),
    ],
)
def test_where_the_figure_comes_from(described, declared, source, memory):
    """Declared goes before estimated, estimated before a rough guess, and a guess before nothing."""
    found = sized("m", described, wanted(memory=declared), 100 * GB)
    assert (found.source, found.hosted.memory) == (source, memory)
    assert found.hosted.declared is (source == "declared")
    assert (found.estimate is not None) is (described is not None and described.metadata == LLAMA)


@pytest.mark.parametrize(
    ("asked", "engines", "fixed", "context"),
    [
        (None, None, None, USUAL_CONTEXT),
        (8192, None, 8192, 8192),
        (None, 2048, 2048, 2048),
        (8192, 2048, 8192, 8192),
    ],
)
def test_the_window_is_the_users_then_the_engines(asked, engines, fixed, context):
    """Only a window that somebody asked for is fixed; the usual one is for the sum alone."""
    found = sized("m", Described(LLAMA, 5 * GB, engines), wanted(context=asked), 100 * GB)
    assert (found.hosted.context, found.context) == (fixed, context)


def test_slots_share_the_memory_of_several_windows():
    """A model that answers four at once needs the cache of four windows; who says more slots counts."""
    found = sized("m", Described(LLAMA, 5 * GB, 4096, slots=2), wanted(slots=4), 100 * GB)
    assert found.hosted.slots == 4
    assert found.hosted.memory == total(5 * GB, 4096, slots=4)
    assert sized("m", Described(LLAMA, 5 * GB, 4096, slots=8), wanted(slots=4), 100 * GB).hosted.slots == 8


def test_a_window_too_large_for_the_budget_is_cut_to_what_fits():
    """The smaller window is the longest that fits; a declared size shrinks by the same part."""
    budget = total(5 * GB, 20_000)
    found = sized("m", Described(LLAMA, 5 * GB), wanted(context=65_536), budget).hosted
    assert found.small_context is not None
    assert found.small_memory == total(5 * GB, found.small_context) <= budget
    assert total(5 * GB, found.small_context + 256) > budget
    declared = sized("m", Described(LLAMA, 5 * GB), wanted(20 * GB, 65_536), budget).hosted
    assert declared.small_memory == pytest.approx(
        20 * GB * found.small_memory / total(5 * GB, 65_536), rel=1e-6
    )


def test_no_window_is_cut_to_nothing():
    """A model whose weights fill the budget has no smaller window, nor has one that is small already."""
    assert sized("m", Described(LLAMA, 5 * GB), wanted(context=65_536), 5 * GB).hosted.small_context is None
    assert sized("m", Described(LLAMA, 5 * GB), wanted(context=1024), 100 * GB).hosted.small_context is None
    assert sized("m", None, wanted(context=65_536), 100 * GB).hosted.small_context is None


sizes = st.integers(1, 80 * GB)


@given(
    described=st.none()
    | st.builds(
        Described,
        st.sampled_from([LLAMA, {}, {"general.architecture": "llama"}, {**LLAMA, "llama.block_count": "x"}]),
        st.integers(0, 80 * GB),
        st.none() | st.integers(16, 200_000),
        st.integers(1, 16),
    ),
    memory=st.none() | sizes,
    context=st.none() | st.integers(16, 200_000),
    slots=st.integers(1, 16),
    budget=sizes,
)
def test_figures_are_always_sound(described, memory, context, slots, budget):
    """Whatever is told: sizes are positive, and the smaller window is smaller, long enough, and takes no more."""
    found = sized("m", described, wanted(memory, context, slots), budget).hosted
    assert found.slots >= slots
    assert found.memory is None or found.memory > 0
    if found.small_context is None:
        assert found.small_memory is None
        return
    assert LEAST_CONTEXT <= found.small_context < (found.context or USUAL_CONTEXT)
    assert 0 <= found.small_memory <= found.memory
    if not found.declared:
        assert found.small_memory <= budget


@pytest.mark.parametrize(("size", "vram", "counts"), [(9, 9, 9), (9, 4, 4), (9, 0, 9)])
def test_what_counts_is_on_the_card_where_there_is_one(size, vram, counts):
    """A budget is of the card's memory; without one, all that is loaded counts."""
    assert counted(Resident("m", size, vram)) == counts
