"""Answers as events of other dialects: whatever comes, the order holds."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coreto.errors import CallError, CutError, GarbledError, OverloadedError
from coreto.labels import Label
from coreto.messages import Attempt, Chunk, Restart, Trace, Usage, Whole
from coreto.server.dialects import anthropic_answers, responses_answers
from coreto.server.failures import failed

TRACE = Trace("c1", "lab/x", "chat", Label.INTERNAL, (Attempt("lab/x", "ok", usage=Usage(7, 3)),))
USAGE = {"prompt_tokens": 10, "completion_tokens": 4}
#: The second of the tools that :func:`answers` calls takes free text.
CUSTOM = {"tools": [{"type": "custom", "name": "w1"}, {"type": "function", "name": "w2"}]}

pieces = st.lists(st.text(min_size=1, max_size=5), max_size=4)
arguments = st.dictionaries(st.text(max_size=4), st.integers(-99, 99), max_size=3)


def parsed(data: bytes) -> list[Any]:
    """The events in ``data``; each is named as its type."""
    events = []
    for block in data.decode().split("\n\n")[:-1]:
        name, body = block.split("\n")
        events.append(orjson.loads(body.removeprefix("data: ")))
        assert name == f"event: {events[-1]['type']}"
    return events


def chunk(**delta):
    return {"model": "m", "created": 5, "choices": [{"delta": delta, "finish_reason": None}]}


@st.composite
def answers(draw):
    """An answer's chunks, its calls mixed at will, and the message that they add up to."""
    words = draw(pieces)
    called = draw(st.lists(arguments, max_size=3))
    chunks = [chunk(role="assistant", content="")] + [chunk(content=word) for word in words]
    waiting = []
    for index, given_arguments in enumerate(called):
        text = orjson.dumps(given_arguments).decode()
        cut = draw(st.integers(0, len(text)))
        head = {"index": index, "id": f"call_{index}", "type": "function"}
        parts = [{**head, "function": {"name": f"w{index}", "arguments": ""}}]
        parts += [
            {"index": index, "function": {"arguments": part}} for part in (text[:cut], text[cut:]) if part
        ]
        waiting.append(parts)
    begun = 0  # calls begin in their order
    while any(waiting):
        index = draw(st.sampled_from([i for i, parts in enumerate(waiting[: begun + 1]) if parts]))
        begun = max(begun, index + 1)
        chunks.append(chunk(tool_calls=[waiting[index].pop(0)]))
    finish = draw(st.sampled_from(["length", "tool_calls" if called else "stop"]))
    chunks.append({"model": "m", "created": 5, "choices": [{"delta": {}, "finish_reason": finish}]})
    chunks.append({"model": "m", "choices": [], "usage": USAGE})
    calls = [
        {
            "id": f"call_{i}",
            "type": "function",
            "function": {"name": f"w{i}", "arguments": orjson.dumps(a).decode()},
        }
        for i, a in enumerate(called)
    ]
    message = {
        "role": "assistant",
        "content": "".join(words) or None,
        **({"tool_calls": calls} if calls else {}),
    }
    body = {
        "model": "m",
        "created": 5,
        "choices": [{"message": message, "finish_reason": finish}],
        "usage": USAGE,
    }
    return chunks, Whole(body)


def message_events():
    return anthropic_answers.MessageEvents("c1", 6, thinking=False)


def response_events():
    return responses_answers.ResponseEvents(CUSTOM, "c1")


class MessageReader:
    """Adds up the events of a message; every event out of order fails."""

    def __init__(self) -> None:
        self.message: dict[str, Any] = {}
        self.open = False
        self.over = False

    def read(self, event) -> None:
        assert not self.over
        getattr(self, "_" + event["type"])(event)

    def _message_start(self, event) -> None:
        assert not self.message
        self.message = event["message"]
        assert self.message["usage"]["input_tokens"] == 6

    def _content_block_start(self, event) -> None:
        assert not self.open
        self.open = True
        assert event["index"] == len(self.message["content"])
        self.message["content"].append(event["content_block"])
        self.json = ""

    def _content_block_delta(self, event) -> None:
        assert self.open
        assert event["index"] == len(self.message["content"]) - 1
        block, delta = self.message["content"][-1], event["delta"]
        if delta["type"] == "text_delta":
            block["text"] += delta["text"]
        else:
            assert delta["type"] == "input_json_delta"
            self.json += delta["partial_json"]

    def _content_block_stop(self, event) -> None:
        assert self.open
        assert event["index"] == len(self.message["content"]) - 1
        self.open = False
        if self.json:
            self.message["content"][-1]["input"] = orjson.loads(self.json)

    def _message_delta(self, event) -> None:
        assert not self.open
        assert self.message["stop_reason"] is None
        self.message |= {**event["delta"], "usage": event["usage"]}

    def _message_stop(self, event) -> None:
        assert self.message["stop_reason"] is not None
        self.message["coreto"] = event["coreto"]
        self.over = True

    def _error(self, event) -> None:
        assert event["error"]["type"]
        assert self.message.get("stop_reason") is None
        self.over = True


class ResponseReader:
    """Adds up the events of a response; every event out of order fails."""

    ENDS = ("response.completed", "response.incomplete", "response.failed")

    def __init__(self) -> None:
        self.count = 0
        self.items: list[Any] = []
        self.done: list[Any] = []
        self.final: Any = None

    def read(self, event) -> None:
        kind = event["type"]
        assert self.final is None
        assert event["sequence_number"] == self.count
        if self.count == 0:
            assert kind in ("response.created", "response.failed")
        elif self.count == 1:
            assert kind in ("response.in_progress", "response.failed")
        self.count += 1
        if kind in self.ENDS:
            self.final = event["response"]
        elif kind == "response.output_item.added":
            assert event["output_index"] == len(self.items)
            self.items.append(event["item"])
        elif "item_id" in event:
            assert self.items[event["output_index"]]["id"] == event["item_id"]
            self._grow(kind, event, self.items[event["output_index"]])
        elif kind == "response.output_item.done":
            assert event["output_index"] == len(self.done)
            grown = {**self.items[event["output_index"]], "status": event["item"]["status"]}
            assert event["item"] == grown
            self.done.append(event["item"])

    def _grow(self, kind, event, item) -> None:
        if kind == "response.content_part.added":
            assert event["content_index"] == len(item["content"])
            item["content"].append(event["part"])
        elif kind == "response.output_text.delta":
            item["content"][event["content_index"]]["text"] += event["delta"]
        elif kind == "response.output_text.done":
            assert item["content"][event["content_index"]]["text"] == event["text"]
        elif kind == "response.content_part.done":
            assert item["content"][event["content_index"]] == event["part"]
        elif kind == "response.function_call_arguments.delta":
            item["arguments"] += event["delta"]
        elif kind == "response.custom_tool_call_input.delta":
            assert event["delta"]
            item["input"] += event["delta"]
        elif kind == "response.custom_tool_call_input.done":
            assert item["input"] == event["input"]
        else:
            assert kind == "response.function_call_arguments.done"
            assert item["arguments"] == event["arguments"]


def told(reader, data):
    for event in parsed(data):
        reader.read(event)


class TestAnyAnswer:
    """Whatever the chunks: one order, and the same as the whole answer."""

    @given(answers())
    def test_messages(self, answer) -> None:
        """The events of a message add up to it, one block after the other."""
        chunks, whole = answer
        events, reader = message_events(), MessageReader()
        for body in chunks:
            told(reader, events.feed(body))
        told(reader, events.finish(TRACE))
        assert reader.over
        assert reader.message == anthropic_answers.whole(whole, {}, TRACE)

    @given(answers())
    def test_responses(self, answer) -> None:
        """The events of a response add up to it."""
        chunks, whole = answer
        events, reader = response_events(), ResponseReader()
        for body in chunks:
            told(reader, events.feed(body))
        told(reader, events.finish(TRACE))
        wanted = responses_answers.whole(whole, CUSTOM, TRACE)
        by_call = {item.get("call_id", "message"): {**item, "id": ""} for item in wanted["output"]}
        assert {
            item.get("call_id", "message"): {**item, "id": ""} for item in reader.final["output"]
        } == by_call
        assert reader.done == reader.final["output"]
        assert {**reader.final, "output": 0} == {**wanted, "output": 0}

    @given(answers(), st.integers(0, 20))
    def test_broken_messages(self, answer, after) -> None:
        """A message that breaks ends in an error, wherever it breaks, and never in a stop."""
        events, reader = message_events(), MessageReader()
        for body in answer[0][:after]:
            told(reader, events.feed(body))
        told(reader, events.event(failed(OverloadedError("full"))))
        assert reader.over

    @given(answers(), st.integers(0, 20))
    def test_broken_responses(self, answer, after) -> None:
        """A response that breaks ends as failed, with the items that there were, and is never completed."""
        events, reader = response_events(), ResponseReader()
        for body in answer[0][:after]:
            told(reader, events.feed(body))
        told(reader, events.event(failed(OverloadedError("full"))))
        assert reader.final["status"] == "failed"
        assert reader.final["error"] == {"code": "server_is_overloaded", "message": "full"}
        assert [{**item, "status": ""} for item in reader.items] == [
            {**item, "status": ""} for item in reader.final["output"]
        ]

    @pytest.mark.parametrize("make", [message_events, response_events])
    @given(answer=answers())
    def test_no_finish_no_stop(self, make, answer) -> None:
        """Without a finish from the model there is none for the client."""
        events = make()
        for body in answer[0][:-2]:
            events.feed(body)
        with pytest.raises(CallError):
            events.finish(TRACE)


class TestParts:
    """The rarer parts of a stream."""

    @pytest.mark.parametrize("make", [message_events, response_events])
    def test_nothing_is_sent_before_there_is_something(self, make) -> None:
        """A chunk that only says who speaks begins nothing, so a failure after it is an HTTP error."""
        events = make()
        assert events.feed(chunk(role="assistant", content="")) == b""
        assert events.feed(chunk(content="x")) != b""

    def test_thoughts(self) -> None:
        """Thoughts are a block of their own, signed by nobody, before the text."""
        events = anthropic_answers.MessageEvents("c1", 6, thinking=True)
        data = (
            events.feed(chunk(reasoning="h"))
            + events.feed(chunk(reasoning_content="m"))
            + events.feed(chunk(content="x"))
        )
        kinds = [event.get("delta", {}).get("type") or event["type"] for event in parsed(data)]
        assert kinds == [
            "message_start",
            "content_block_start",
            "thinking_delta",
            "thinking_delta",
            "signature_delta",
            "content_block_stop",
            "content_block_start",
            "text_delta",
        ]

    def test_words_after_a_call_wait(self) -> None:
        """What comes while a call is open comes after it."""
        events, reader = message_events(), MessageReader()
        call = {"index": 0, "id": "c", "function": {"name": "w", "arguments": "{"}}
        for body in (
            chunk(tool_calls=[call]),
            chunk(content="x"),
            chunk(tool_calls=[{"index": 0, "function": {"arguments": "}"}}]),
        ):
            told(reader, events.feed(body))
        events.feed({"choices": [{"delta": {}, "finish_reason": "stop"}]})
        told(reader, events.finish(TRACE))
        assert [block["type"] for block in reader.message["content"]] == ["tool_use", "text"]
        assert reader.message["content"][0]["input"] == {}

    @pytest.mark.parametrize("make", [message_events, response_events])
    def test_a_call_without_a_name(self, make) -> None:
        """A call that nobody could make is an error, not left out."""
        events = make()
        events.feed(chunk(tool_calls=[{"index": 0, "id": "c", "function": {"arguments": "{}"}}]))
        events.feed({"choices": [{"delta": {}, "finish_reason": "tool_calls"}]})
        with pytest.raises(GarbledError):
            events.finish(TRACE)

    def test_a_late_name(self) -> None:
        """Arguments before the name wait for it."""
        for make, reader in ((message_events, MessageReader()), (response_events, ResponseReader())):
            events = make()
            told(reader, events.feed(chunk(tool_calls=[{"index": 0, "function": {"arguments": '{"a":'}}])))
            told(
                reader,
                events.feed(
                    chunk(tool_calls=[{"index": 0, "id": "c", "function": {"name": "w", "arguments": "1}"}}])
                ),
            )
            told(reader, events.feed({"choices": [{"delta": {}, "finish_reason": "tool_calls"}]}))
            told(reader, events.finish(TRACE))

    def test_a_refusal_beside_words(self) -> None:
        """A refusal is a part of the message; its stop reason says so."""
        events, reader = response_events(), []
        reader += parsed(events.feed(chunk(content="x")) + events.feed(chunk(refusal="no")))
        assert reader[-1]["type"] == "response.refusal.delta"
        assert reader[-1]["content_index"] == 1
        other = message_events()
        other.feed(chunk(refusal="no"))
        other.feed({"choices": [{"delta": {}, "finish_reason": "stop"}]})
        assert parsed(other.finish(TRACE))[-2]["delta"]["stop_reason"] == "refusal"

    def test_a_call_without_arguments(self) -> None:
        """No arguments are an empty object to a function."""
        events, reader = response_events(), ResponseReader()
        told(reader, events.feed(chunk(tool_calls=[{"index": 0, "id": "c", "function": {"name": "w"}}])))
        told(reader, events.feed({"choices": [{"delta": {}, "finish_reason": "tool_calls"}]}))
        told(reader, events.finish(TRACE))
        assert reader.done[0]["arguments"] == "{}"

    def test_a_custom_tool(self) -> None:
        """Its input comes in one piece when it is whole, under the names that clients look for."""
        events = response_events()
        feed = [
            chunk(tool_calls=[{"index": 0, "id": "c", "function": {"name": "w1", "arguments": '{"in'}}]),
            chunk(tool_calls=[{"index": 0, "function": {"arguments": 'put": "a\\nb"}'}}]),
            {"choices": [{"delta": {}, "finish_reason": "tool_calls"}]},
        ]
        got = parsed(b"".join([*map(events.feed, feed), events.finish(TRACE)]))
        added = got[2]["item"]
        assert (added["type"], added["input"], added["call_id"]) == ("custom_tool_call", "", "c")
        assert added["id"].startswith("ctc_")
        assert [(e["type"].removeprefix("response."), e.get("delta"), e.get("input")) for e in got[3:5]] == [
            ("custom_tool_call_input.delta", "a\nb", None),
            ("custom_tool_call_input.done", None, "a\nb"),
        ]
        assert got[5]["item"] == {**added, "status": "completed", "input": "a\nb"}
        assert got[6]["response"]["output"] == [got[5]["item"]]


MESSAGE = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]}
RESPONSE = {"model": "m", "input": "x"}


class TestAtTheEdge:
    """The two at the server's edge, with a scripted gateway."""

    @pytest.mark.parametrize(("path", "body"), [("/v1/messages", MESSAGE), ("/v1/responses", RESPONSE)])
    @pytest.mark.parametrize("stream", [False, True])
    def test_a_gateway_that_ends_without_an_answer(self, bench, path, body, stream) -> None:
        """No answer is an error, never an empty 200."""
        assert bench().send({**body, "stream": stream}, path=path).status == 502

    @pytest.mark.parametrize(
        ("path", "body", "last"),
        [("/v1/messages", MESSAGE, "error"), ("/v1/responses", RESPONSE, "response.failed")],
    )
    def test_our_own_fault_in_the_middle(self, bench, path, body, last) -> None:
        """A stream that broke by our own fault ends in the dialect's error, without the detail."""
        got = bench(Chunk(chunk(content="x")), ZeroDivisionError("secret")).send(
            {**body, "stream": True}, path=path
        )
        assert (got.status, got.complete) == (200, True)
        assert parsed(got.body)[-1]["type"] == last
        assert b"secret" not in got.body

    @pytest.mark.parametrize(("path", "body"), [("/v1/messages", MESSAGE), ("/v1/responses", RESPONSE)])
    def test_a_failure_after_held_chunks(self, bench, path, body) -> None:
        """Chunks that were waiting for the next one are forgotten when a failure comes first."""
        got = bench(Chunk(chunk(content="x"), more=True), CutError()).send(
            {**body, "stream": True}, path=path
        )
        assert got.status == 502
        assert got.json["error"]["message"]

    @pytest.mark.parametrize(("path", "body"), [("/v1/messages", MESSAGE), ("/v1/responses", RESPONSE)])
    def test_restarts_are_never_promised(self, bench, path, body) -> None:
        """No client of these dialects can be told to start over, whatever its headers say."""
        made = bench(Chunk(chunk(content="x")), CutError())
        headers = {b"host": b"localhost", b"x-coreto-accept-restart": b"1"}
        made.send({**body, "stream": True}, path=path, headers=headers)
        assert made.gateway.calls[0].restartable is False

    def test_unexpected_items_pass(self, bench) -> None:
        """A restart that should not have come sends nothing by itself."""
        got = bench(Restart("r", "d"), CutError()).send({**MESSAGE, "stream": True}, path="/v1/messages")
        assert got.status == 502

    def test_pieces_that_came_together_leave_together(self, bench) -> None:
        """Events of chunks that were read at once are one write, also when the last has none."""
        items = [Chunk(chunk(content="x"), more=True), Chunk(chunk(role="assistant"))]
        end = Chunk({"choices": [{"delta": {}, "finish_reason": "stop"}]})
        got = bench(*items, end).send({**MESSAGE, "stream": True}, path="/v1/messages")
        bodies = [message["body"] for message in got.raw[1:]]
        assert b"text_delta" in bodies[0]
        assert parsed(got.body)[-1]["type"] == "message_stop"

    @pytest.mark.parametrize(
        ("headers", "method", "status", "kind"),
        [
            ({b"host": b"localhost"}, "POST", 401, "authentication_error"),
            ({b"host": b"localhost", b"x-api-key": b"bad"}, "POST", 401, "authentication_error"),
            ({b"host": b"localhost", b"x-api-key": b"good"}, "GET", 405, "invalid_request_error"),
            ({b"host": b"localhost", b"x-api-key": b"good"}, "POST", 200, None),
            ({b"host": b"localhost", b"authorization": b"Bearer good"}, "POST", 200, None),
        ],
    )
    def test_keys(self, bench, whole, headers, method, status, kind) -> None:
        """A key is taken from either header, and a refusal is in Anthropic's envelope."""
        made = bench(whole, keys=("good",))
        got = made.send(
            MESSAGE if method == "POST" else b"", path="/v1/messages", method=method, headers=headers
        )
        assert got.status == status
        if kind:
            assert got.json["type"] == "error"
            assert got.json["error"]["type"] == kind

    def test_hanging_up(self, bench) -> None:
        """A client that leaves ends its call."""
        made = bench("wait")
        got = made.send({**MESSAGE, "stream": True}, path="/v1/messages", hang_up=True)
        assert got.raw == []
        assert (made.gateway.opened, made.gateway.closed) == (1, 1)

    def test_a_body_that_is_no_json(self, bench) -> None:
        """What cannot be read is a 400 in the dialect's envelope."""
        got = bench().send(b"{", path="/v1/messages")
        assert (got.status, got.json["error"]["type"]) == (400, "invalid_request_error")
