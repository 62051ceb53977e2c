"""Joining what a second model says to what the first one said."""

import contextlib

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from coreto.errors import CutError, InvalidOutputError
from coreto.messages import Call
from coreto.resilience.continuation import STARTED_OVER, Stitcher, continued
from coreto.resilience.history import portable, short_id
from coreto.resilience.repair import ANSWER_MOST, repaired

TEXT = "The sky is blue because air scatters short waves of light more than long ones."


def stitch(partial, pieces):
    stitcher = Stitcher(partial)
    return "".join([stitcher.feed(piece) for piece in pieces] + [stitcher.finish()])


def cut(text, sizes):
    pieces, rest = [], text
    for size in sizes:
        pieces.append(rest[:size])
        rest = rest[size:]
    return [piece for piece in [*pieces, rest] if piece]


@given(at=st.integers(0, len(TEXT) - 1), sizes=st.lists(st.integers(1, 9), max_size=20))
def test_a_model_that_goes_on_is_joined(at, sizes):
    """A continuation that begins exactly at the cut gives the whole text, however it is cut into pieces."""
    assert TEXT[:at] + stitch(TEXT[:at], cut(TEXT[at:], sizes)) == TEXT


@given(at=st.integers(0, len(TEXT)), sizes=st.lists(st.integers(1, 9), max_size=20))
def test_a_model_that_repeats_everything_is_joined(at, sizes):
    """A model that gives the whole text again adds only what is new."""
    assert TEXT[:at] + stitch(TEXT[:at], cut(TEXT, sizes)) == TEXT


@given(at=st.integers(30, 60), back=st.integers(8, 25), sizes=st.lists(st.integers(1, 9), max_size=20))
def test_a_model_that_repeats_the_end_is_joined(at, back, sizes):
    """A model that takes up the last words again adds only what is new."""
    assert TEXT[:at] + stitch(TEXT[:at], cut(TEXT[at - back :], sizes)) == TEXT


@given(
    at=st.integers(STARTED_OVER + 5, 60),
    same=st.integers(STARTED_OVER, 60),
    sizes=st.lists(st.integers(1, 9)),
)
def test_another_answer_is_refused(at, same, sizes):
    """A model that begins like the old answer and then differs before the cut is not glued to it."""
    assume(same < at)
    with pytest.raises(CutError):
        stitch(TEXT[:at], cut(TEXT[:same] + "~ something else altogether", sizes))


def test_an_answer_that_ends_before_the_cut_is_refused():
    """A repetition that stops short of the point of the cut is not a whole answer."""
    with pytest.raises(CutError):
        stitch(TEXT[:60], [TEXT[:40]])


@given(
    partial=st.text(max_size=60), rest=st.text(max_size=60), sizes=st.lists(st.integers(1, 9), max_size=20)
)
def test_nothing_is_invented(partial, rest, sizes):
    """Whatever comes, what is passed on is a tail of it."""
    with contextlib.suppress(CutError):
        assert rest.endswith(stitch(partial, cut(rest, sizes)))


def call(**body):
    return Call("id", {"messages": [{"role": "user", "content": "Why?"}], **body}, "m")


def test_the_partial_text_goes_along():
    """A server that takes the beginning of an answer gets it last; another one is told in words."""
    filled = continued(call(), "The sky", prefill=True).body["messages"]
    assert filled[-1] == {"role": "assistant", "content": "The sky"}
    told = continued(call(), "The sky", prefill=False).body["messages"]
    assert [m["role"] for m in told] == ["user", "assistant", "user"]


def test_a_repair_shows_the_answer_and_its_fault():
    """The second question holds the bad answer and what is wrong with it; the call is not changed in place."""
    first = call()
    mended = repaired(first, InvalidOutputError("not JSON: hm", answer="hm"))
    assert mended.body["messages"][1] == {"role": "assistant", "content": "hm"}
    assert "not JSON: hm" in mended.body["messages"][2]["content"]
    assert len(first.body["messages"]) == 1


@pytest.mark.parametrize("answer", ["", "  \n", "x" * (ANSWER_MOST + 1)])
def test_nothing_to_repair(answer):
    """An empty answer, or a very long one, is not worth a second question."""
    assert repaired(call(), InvalidOutputError("empty", answer=answer)) is None


def test_history_becomes_portable():
    """Reasoning of another model is dropped, long ids of tool calls are shortened alike on both sides."""
    long = "call_" + "9" * 90
    history = [
        {
            "role": "assistant",
            "content": None,
            "reasoning": "hm",
            "tool_calls": [{"id": long, "type": "function"}],
        },
        {"role": "tool", "tool_call_id": long, "content": "4"},
    ]
    messages = portable(call(messages=history)).body["messages"]
    assert "reasoning" not in messages[0]
    assert messages[0]["tool_calls"][0]["id"] == messages[1]["tool_call_id"] == short_id(long)
    assert len(short_id(long)) <= 40


def test_a_portable_history_is_left_alone():
    """A call with nothing to change is the same object: the usual case costs no copy."""
    plain = call()
    assert portable(plain) is plain
