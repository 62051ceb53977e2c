"""OpenAI's chat vocabulary to Ollama's and back."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coreto.errors import CallError, GarbledError, UnsupportedError
from coreto.messages import Accumulator
from coreto.providers import ollama_messages as native

_NAMES = st.from_regex(r"[a-z_]{1,12}", fullmatch=True)
_ARGUMENTS = st.dictionaries(st.text(max_size=8), st.integers(-9, 9) | st.text(max_size=8), max_size=3)
_TEXT = st.text(max_size=30)


def to_ollama(body, model="phi3:mini", *, stream=False, context=None, structured=True):
    return native.to_ollama(body, model, stream=stream, context=context, structured=structured)


def tool_call(number, name, arguments):
    function = {"name": name, "arguments": orjson.dumps(arguments).decode()}
    return {"id": f"call_{number}", "type": "function", "function": function}


@given(_TEXT, st.lists(st.tuples(_NAMES, _ARGUMENTS), max_size=4), _TEXT)
def test_ollama_messages_tool_calls_survive(text, calls, result):
    """A tool conversation keeps every text, name and argument on its way, and a native answer on its way back."""
    asked = [tool_call(i, name, arguments) for i, (name, arguments) in enumerate(calls)]
    results = [{"role": "tool", "tool_call_id": call["id"], "content": result} for call in asked]
    messages = [
        {"role": "user", "content": text},
        {"role": "assistant", "content": None, **({"tool_calls": asked} if asked else {})},
        *results,
    ]
    tools = [{"type": "function", "function": {"name": name, "parameters": {}}} for name, _ in calls]
    out, unmapped = to_ollama({"messages": messages, "tools": tools})
    assert unmapped == ()
    assert out["tools"] == tools
    assert out["messages"][0] == {"role": "user", "content": text}
    sent = out["messages"][1].get("tool_calls", [])
    assert [(c["function"]["name"], c["function"]["arguments"]) for c in sent] == calls
    assert [m["tool_name"] for m in out["messages"][2:]] == [name for name, _ in calls]
    answer = {
        "model": "m",
        "message": {"role": "assistant", "content": text, "tool_calls": sent},
        "done": True,
    }
    back = native.to_completion(answer, "c1")["choices"][0]
    assert back["message"]["content"] == text
    assert back["finish_reason"] == ("tool_calls" if calls else "stop")
    returned = back["message"].get("tool_calls", [])
    assert [(c["function"]["name"], orjson.loads(c["function"]["arguments"])) for c in returned] == calls
    assert len({c["id"] for c in returned}) == len(calls)


def test_ollama_messages_streamed_tool_calls_do_not_mix():
    """Calls that come on lines of their own have indexes of their own, so that clients keep them apart."""
    lines = [
        {"message": {"content": "", "tool_calls": [{"function": {"name": "a", "arguments": {"x": 1}}}]}},
        {"message": {"content": "", "tool_calls": [{"function": {"name": "b", "arguments": {"y": 2}}}]}},
        {"message": {"content": ""}, "done": True, "done_reason": "stop"},
    ]
    called = 0
    seen = []
    for number, line in enumerate(lines):
        chunk = native.to_chunk(line, "c1", first=number == 0, called=called)
        calls = chunk["choices"][0]["delta"].get("tool_calls", [])
        called += len(calls)
        seen += [(call["index"], call["function"]["name"]) for call in calls]
    assert seen == [(0, "a"), (1, "b")]
    assert chunk["choices"][0]["finish_reason"] == "tool_calls"


def test_ollama_messages_reasoning_survives():
    """What a model thought comes back to it in the next turn."""
    answer = {"message": {"role": "assistant", "content": "4", "thinking": "2+2"}, "done": True}
    message = native.to_completion(answer, "c1")["choices"][0]["message"]
    assert message["reasoning"] == "2+2"
    out, _ = to_ollama({"messages": [message]})
    assert out["messages"] == [{"role": "assistant", "content": "4", "thinking": "2+2"}]


def test_ollama_messages_options():
    """Every option that Ollama has goes to its place; the window is the role's; ``stop`` is a list."""
    body = {
        "messages": [],
        "temperature": 0.1,
        "top_p": 0.2,
        "seed": 3,
        "stop": "end",
        "max_completion_tokens": 9,
        "frequency_penalty": 0.4,
        "presence_penalty": None,
        "options": {"num_ctx": 1, "num_gpu": 2},
        "keep_alive": "5m",
        "n": 1,
        "tool_choice": "auto",
        "stream_options": {"include_usage": True},
    }
    out, unmapped = to_ollama(body, context=4096)
    assert unmapped == ()
    assert out["options"] == {
        "temperature": 0.1,
        "top_p": 0.2,
        "seed": 3,
        "stop": ["end"],
        "num_predict": 9,
        "frequency_penalty": 0.4,
        "num_ctx": 4096,
        "num_gpu": 2,
    }
    assert out["keep_alive"] == "5m"
    assert out["stream"] is False


@given(st.dictionaries(st.from_regex(r"x_[a-z]{1,6}", fullmatch=True), st.integers(), max_size=4))
def test_ollama_messages_unmapped_fields_are_listed(extra):
    """Every field that the wire cannot carry is named, none is dropped in silence."""
    out, unmapped = to_ollama({"messages": [], "n": 2, "tool_choice": "required", "logit_bias": {}, **extra})
    assert set(unmapped) == {"n", "tool_choice", "logit_bias", *extra}
    assert not set(unmapped) & set(out)


SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}


@pytest.mark.parametrize(
    ("form", "sent"),
    [
        ({"type": "json_object"}, "json"),
        ({"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}, SCHEMA),
        ({"type": "text"}, None),
        (None, None),
    ],
)
def test_ollama_messages_response_format(form, sent):
    """A response format is Ollama's ``format`` here; the cloud, which has none, is asked in words."""
    body = {"messages": [{"role": "user", "content": "hi"}], "response_format": form}
    here, unmapped = to_ollama(body)
    assert unmapped == ()
    assert here.get("format") == sent
    assert len(here["messages"]) == 1
    there, _ = to_ollama(body, structured=False)
    assert "format" not in there
    assert len(there["messages"]) == (1 if sent is None else 2)
    if sent == SCHEMA:
        assert orjson.dumps(SCHEMA).decode() in there["messages"][0]["content"]


def test_ollama_messages_images():
    """Inline images travel; a link to one cannot."""

    def parts(url):
        image = {"type": "image_url", "image_url": {"url": url}}
        return {"messages": [{"role": "user", "content": [{"type": "text", "text": "see"}, image]}]}

    out, _ = to_ollama(parts("data:image/png;base64,AAAA"))
    assert out["messages"] == [{"role": "user", "content": "see", "images": ["AAAA"]}]
    with pytest.raises(UnsupportedError):
        to_ollama(parts("https://example.org/x.png"))
    with pytest.raises(UnsupportedError):
        to_ollama({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]})


def test_ollama_messages_length():
    """``length`` stays ``length``, with a tool call too; an engine that only unloaded has not answered."""
    line = {"message": {"content": "x"}, "done": True, "done_reason": "length", "eval_count": 3}
    whole = native.to_completion(line, "c1")
    assert whole["choices"][0]["finish_reason"] == "length"
    assert whole["usage"] == {"prompt_tokens": 0, "completion_tokens": 3, "total_tokens": 3}
    with pytest.raises(GarbledError):
        native.to_completion({**line, "done_reason": "unload"}, "c1")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
_LINE_KEYS = (
    "message", "content", "done", "done_reason", "tool_calls", "function", "arguments", "created_at",
    "eval_count", "prompt_eval_count", "thinking", "model",
)  # fmt: skip


@given(
    st.dictionaries(st.sampled_from(_LINE_KEYS), _JSON | st.dictionaries(st.sampled_from(_LINE_KEYS), _JSON))
)
def test_ollama_messages_any_line(line):
    """Whatever object the server sends, it is translated to a chunk that can be read, or is a ``CallError``."""
    try:
        chunk = native.to_chunk(line, "c1", first=True, called=0)
    except CallError:
        chunk = None
    if chunk is not None:
        Accumulator().add(chunk)
    try:
        native.to_completion(line, "c1")
    except CallError:
        return
