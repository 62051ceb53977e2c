"""The stored form of answers, and the way to and from a stream."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coreto.cache.answers import Answer, Assembler, is_storable, packed, replay, unpacked
from coreto.labels import Label
from coreto.messages import Attempt, Call, Chunk, Trace, Whole

TRACE = Trace("c1", "ollama/a", "brain", Label.PUBLIC, attempts=(Attempt("ollama/a", "ok"),), unmapped=("x",))


def body(content="hello", finish="stop", **message):
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": content, **message},
        "finish_reason": finish,
    }
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 7,
        "model": "m",
        "system_fingerprint": "fp",
        "vendor": {"kept": True},
        "choices": [choice],
        "usage": usage,
    }


def test_an_answer_survives_packing_with_its_own_bytes():
    """The server's bytes come back untouched; who answered comes back, what was tried does not."""
    raw = b'{"id": "chatcmpl-1",  "choices": []}'
    answer = unpacked(packed(Answer({"id": "chatcmpl-1", "choices": []}, raw, TRACE)))
    assert answer.raw == raw
    assert answer.body == {"id": "chatcmpl-1", "choices": []}
    served = answer.trace_for(Call("c9", {}, "brain", label=Label.PUBLIC))
    assert served == Trace("c9", "ollama/a", "brain", Label.PUBLIC, cached=True, unmapped=("x",))
    assert served.cost_nusd == 0


@given(st.binary(max_size=60))
def test_damaged_payloads_are_told(payload):
    """Any bytes that are no answer raise ValueError, nothing else."""
    try:
        answer = unpacked(payload)
    except ValueError:
        return
    assert isinstance(answer.body, dict)


@pytest.mark.parametrize("cut", [0, 3, 10, -1])
def test_a_cut_payload_is_told(cut):
    """A payload that lost its end raises ValueError."""
    with pytest.raises(ValueError):
        unpacked(packed(Answer(body(), None, TRACE))[:cut])


@pytest.mark.parametrize(
    ("answer", "storable"),
    [
        (body(), True),
        (body(finish="length"), False),
        (body(finish="content_filter"), False),
        (body(finish=None), False),
        (body(finish="error"), False),
        (body(""), False),
        (body("  \n"), False),
        (body(None), False),
        (body(None, refusal="no"), False),
        (body("some", refusal="no"), False),
        (body(None, "tool_calls", tool_calls=[{"id": "1"}]), False),
        (body(None, "stop", tool_calls=[{"id": "1"}]), False),
        ({**body(), "choices": []}, False),
        ({**body(), "error": {"message": "late"}}, False),
        ({**body(), "choices": [*body()["choices"], *body("")["choices"]]}, False),
        ({**body(), "choices": [*body()["choices"], *body("two")["choices"]]}, True),
        ({}, False),
    ],
)
def test_what_may_be_kept(answer, storable):
    """Only answers whose every choice ended by itself and says something may be kept."""
    assert is_storable(answer) is storable


def test_tool_calls_may_be_kept_where_allowed():
    """With permission an answer that calls tools is kept, a cut one is not."""
    calls = [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    assert is_storable(body(None, "tool_calls", tool_calls=calls), tool_calls=True)
    assert is_storable(body(None, "stop", tool_calls=calls), tool_calls=True)
    assert not is_storable(body(None, "length", tool_calls=calls), tool_calls=True)


def test_a_replayed_stream_is_one_that_clients_know():
    """Chunks carry the answer's id and fields, the role first, a finish for each choice, the usage last."""
    chunks = list(replay(Answer(body(), None, TRACE), stream=True))
    assert all(isinstance(chunk, Chunk) for chunk in chunks)
    assert {chunk.body["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert {chunk.body["id"] for chunk in chunks} == {"chatcmpl-1"}
    assert chunks[0].body["choices"][0]["delta"] == {"role": "assistant", "content": "hello"}
    assert chunks[0].body["vendor"] == {"kept": True}
    assert chunks[1].body["choices"] == [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    assert chunks[2].body["choices"] == []
    assert chunks[2].body["usage"]["total_tokens"] == 5
    assert [("usage" in chunk.body) for chunk in chunks] == [False, False, True]


def test_a_whole_is_replayed_as_it_is():
    """Who does not stream gets the body and its bytes."""
    assert list(replay(Answer(body(), b"{}", TRACE), stream=False)) == [Whole(body(), b"{}", ("x",))]


TOOLS = [
    {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}},
    {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
]
WHOLES = [
    body(),
    body(None, "tool_calls", tool_calls=TOOLS),
    body("42", reasoning_content="because"),
    {**body(), "choices": [{**body()["choices"][0], "index": i} for i in range(3)]},
    {**body(), "choices": [{**body()["choices"][0], "logprobs": {"content": [{"token": "h"}]}}]},
]


@pytest.mark.parametrize("whole", WHOLES)
def test_a_replayed_stream_adds_up_to_the_answer(whole):
    """What is replayed as chunks and put together again is the answer."""
    assembler = Assembler()
    for chunk in replay(Answer(whole, None, TRACE), stream=True):
        assembler.add(chunk.body)
    assert assembler.whole() == whole


def test_tool_calls_in_pieces_are_put_together():
    """Names and ids come once, arguments in pieces, several calls interleaved."""
    assembler = Assembler()
    for index, call in [
        (0, {"id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}),
        (1, {"id": "b", "type": "function", "function": {"name": "g", "arguments": '{"y'}}),
        (0, {"function": {"arguments": '{"x": '}}),
        (1, {"function": {"arguments": '": 2}'}}),
        (0, {"function": {"arguments": "1}"}}),
    ]:
        assembler.add({"choices": [{"index": 0, "delta": {"tool_calls": [{"index": index, **call}]}}]})
    assembler.add({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]})
    message = assembler.whole()["choices"][0]["message"]
    assert message["content"] is None
    assert [call["function"]["arguments"] for call in message["tool_calls"]] == ['{"x": 1}', '{"y": 2}']
    assert [call["id"] for call in message["tool_calls"]] == ["a", "b"]


@given(st.lists(st.text(), max_size=8))
def test_text_in_pieces_is_put_together(pieces):
    """However the text is cut, the whole is the pieces in order, with usage and finish from the end."""
    assembler = Assembler()
    assembler.add({"id": "1", "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})
    for piece in pieces:
        assembler.add({"id": "1", "usage": None, "choices": [{"index": 0, "delta": {"content": piece}}]})
    assert assembler.whole()["choices"][0]["finish_reason"] is None
    assembler.add({"id": "1", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    assembler.add({"id": "1", "choices": [], "usage": {"total_tokens": 4}})
    whole = assembler.whole()
    assert whole["choices"][0]["message"] == {"role": "assistant", "content": "".join(pieces)}
    assert (whole["choices"][0]["finish_reason"], whole["usage"]) == ("stop", {"total_tokens": 4})
    assert whole["object"] == "chat.completion"
