"""Every fault kind over real HTTP, whole and streamed, on the three wires."""

import asyncio
import json

import pytest

from coreto.simulators.bodies import ERRORS
from coreto.simulators.faults import FaultKind

OLLAMA, OPENAI, OPENROUTER, V1 = "ollama", "openai", "openrouter", "ollama_v1"
WIRES = (OLLAMA, OPENAI, OPENROUTER, V1)
MODELS = {OLLAMA: "phi3:mini", OPENAI: "gpt-4o-mini", OPENROUTER: "openai/gpt-4o-mini", V1: "phi3:mini"}
PATHS = {
    OLLAMA: "/api/chat",
    OPENAI: "/v1/chat/completions",
    OPENROUTER: "/api/v1/chat/completions",
    V1: "/v1/chat/completions",
}


@pytest.fixture
def try_fault(ollama, openai, openrouter, call, chat):
    """Strike one call with a fault; gives the reply and what the simulator recorded of it."""
    simulators = {OLLAMA: ollama, OPENAI: openai, OPENROUTER: openrouter, V1: ollama}

    def strike(wire, stream, fault, timeout=5.0):
        simulator = simulators[wire]
        if fault:
            simulator.add_faults({"times": 1, **fault})
        got = call(simulator.url + PATHS[wire], chat(MODELS[wire], stream), timeout=timeout)
        return got, simulator.requests(PATHS[wire])[-1]

    return strike


def text_of(wire, got):
    """The text of a reply, whole or streamed, as far as it came."""
    if wire == OLLAMA:
        return "".join(item.get("message", {}).get("content", "") for item in got.lines)
    if not got.body.startswith((b"data:", b":")):
        return got.json["choices"][0]["message"]["content"]
    chunks = [item for item in got.events if item != "[DONE]"]
    return "".join(
        chunk["choices"][0]["delta"].get("content", "") for chunk in chunks if chunk.get("choices")
    )


def finished(wire, got):
    """Whether the stream said that it is complete."""
    if wire == OLLAMA:
        return got.body.rstrip().splitlines()[-1:] != [] and b'"done":true' in got.body
    return b'"finish_reason":"stop"' in got.body and b"[DONE]" in got.body


def test_every_kind_has_a_test() -> None:
    """No fault kind is left out of this file."""
    source = open(__file__).read()  # noqa: PTH123, SIM115 - its own text
    assert [kind for kind in FaultKind if f'"{kind.value}"' not in source] == []


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("wire", WIRES)
def test_no_fault(try_fault, wire, stream) -> None:
    """Without a fault the answer is whole and names its model."""
    got, record = try_fault(wire, stream, None)
    assert (got.status, got.error) == (200, "")
    assert text_of(wire, got).startswith(f"{MODELS[wire]} answers ")
    assert finished(wire, got) or not stream
    assert (record["fault"], record["done"], record["hung_up"]) == (None, True, False)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("wire", WIRES)
class TestBeforeTheAnswer:
    """Faults that come before any token: the same for whole and streamed replies."""

    def test_status(self, try_fault, wire, stream) -> None:
        """A status with a given body and headers arrives as given."""
        fault = {"kind": "status", "status": 418, "body": {"error": "tea"}, "headers": {"Retry-After": "7"}}
        got, _ = try_fault(wire, stream, fault)
        assert (got.status, got.json, got.headers["Retry-After"]) == (418, {"error": "tea"}, "7")

    def test_plain_status(self, try_fault, wire, stream) -> None:
        """A bare status gets a body in the shape of its wire."""
        got, _ = try_fault(wire, stream, {"kind": "status", "status": 500})
        assert got.status == 500
        assert isinstance(got.json["error"], str if wire == OLLAMA else dict)

    def test_refuse(self, try_fault, wire, stream) -> None:
        """The connection is reset before any byte."""
        got, record = try_fault(wire, stream, {"kind": "refuse"})
        assert (got.status, got.body) == (0, b"")
        assert got.error in {"ServerDisconnectedError", "ClientOSError", "ClientConnectorError"}
        assert record["hung_up"] is False

    def test_hang(self, try_fault, wire, stream) -> None:
        """Nothing comes, and the simulator sees that the client gave up."""
        got, record = try_fault(wire, stream, {"kind": "hang"}, timeout=0.15)
        assert (got.status, got.error) == (0, "TimeoutError")
        assert record["fault"] == "hang"

    def test_hang_for_a_time(self, try_fault, wire, stream) -> None:
        """With seconds the connection is cut after them."""
        got, _ = try_fault(wire, stream, {"kind": "hang", "seconds": 0.05})
        assert got.status == 0
        assert got.error != "TimeoutError"

    def test_silence(self, try_fault, wire, stream) -> None:
        """Headers come, then nothing."""
        got, _ = try_fault(wire, stream, {"kind": "silence"}, timeout=0.15)
        assert (got.status, got.body, got.error) == (200, b"", "TimeoutError")

    def test_html(self, try_fault, wire, stream) -> None:
        """A 200 that is a web page."""
        got, _ = try_fault(wire, stream, {"kind": "html"})
        assert got.status == 200
        assert got.headers["Content-Type"].startswith("text/html")
        assert b"<html>" in got.body

    def test_empty_body(self, try_fault, wire, stream) -> None:
        """A 200 with no byte."""
        got, _ = try_fault(wire, stream, {"kind": "empty_body"})
        assert (got.status, got.body, got.error) == (200, b"", "")

    def test_error_object(self, try_fault, wire, stream) -> None:
        """An error object inside a 200."""
        got, _ = try_fault(wire, stream, {"kind": "error_object"})
        assert got.status == 200
        assert list(got.json) == ["error"]

    def test_empty_choices(self, try_fault, wire, stream) -> None:
        """A 200 without any choice or message."""
        got, _ = try_fault(wire, stream, {"kind": "empty_choices"})
        assert got.status == 200
        if wire == OLLAMA:
            assert ["message" in item for item in got.lines] == [False]
        else:
            shown = [item for item in got.events if item != "[DONE]"] if stream else [got.json]
            assert [item["choices"] for item in shown] == [[]]

    def test_slow(self, try_fault, wire, stream) -> None:
        """The first byte of content waits."""
        got, record = try_fault(wire, stream, {"kind": "slow", "seconds": 0.12})
        assert text_of(wire, got)
        assert record["ms"] >= 120

    def test_empty_answer(self, try_fault, wire, stream) -> None:
        """A well-formed answer of no text."""
        got, _ = try_fault(wire, stream, {"kind": "empty_answer"})
        assert (got.status, text_of(wire, got)) == (200, "")

    def test_bad_content(self, try_fault, wire, stream) -> None:
        """The text of the rule is the answer."""
        got, _ = try_fault(wire, stream, {"kind": "bad_content", "content": '{"x": oops'})
        assert text_of(wire, got) == '{"x": oops'

    def test_truncate_prompt(self, try_fault, wire, stream) -> None:
        """The prompt tokens reported are the rule's."""
        got, _ = try_fault(wire, stream, {"kind": "truncate_prompt", "tokens": 3})
        found = got.lines[-1]["prompt_eval_count"] if wire == OLLAMA else None
        if found is None and not stream:
            found = got.json["usage"]["prompt_tokens"]
        if found is None and wire == OPENROUTER:
            found = got.events[-2]["usage"]["prompt_tokens"]
        # A stream of these two tells no usage unless it is asked for.
        assert found == (None if stream and wire in {OPENAI, V1} else 3)


@pytest.mark.parametrize("wire", WIRES)
class TestWhole:
    """Faults of a whole reply on its way."""

    @pytest.mark.parametrize("kind", ["malformed_json", "broken_line"])
    def test_not_json(self, try_fault, wire, kind) -> None:
        """A 200 whose body does not parse, although all of it came."""
        got, _ = try_fault(wire, False, {"kind": kind})
        assert (got.status, got.error) == (200, "")
        with pytest.raises(json.JSONDecodeError):
            json.loads(got.body)

    def test_cut(self, try_fault, wire) -> None:
        """The body breaks off before its announced end."""
        got, record = try_fault(wire, False, {"kind": "cut"})
        assert (got.status, got.error) == (200, "ClientPayloadError")
        assert (record["done"], record["hung_up"]) == (False, False)

    def test_stall(self, try_fault, wire) -> None:
        """Half of the body comes, then silence."""
        got, _ = try_fault(wire, False, {"kind": "stall"}, timeout=0.2)
        assert got.error == "TimeoutError"
        assert got.body

    def test_eof_without_finish(self, try_fault, wire) -> None:
        """A complete JSON body without a finish."""
        got, _ = try_fault(wire, False, {"kind": "eof_without_finish"})
        if wire == OLLAMA:
            assert (got.json["done"], "done_reason" in got.json) == (False, False)
        else:
            assert got.json["choices"][0]["finish_reason"] is None

    def test_error_first_event(self, try_fault, wire) -> None:
        """Without a stream it is an error object in a 200."""
        got, _ = try_fault(wire, False, {"kind": "error_first_event"})
        assert (got.status, list(got.json)) == (200, ["error"])

    def test_error_mid_stream(self, try_fault, wire) -> None:
        """OpenRouter says 200 with partial text and finish reason error; the others answer 500."""
        got, _ = try_fault(wire, False, {"kind": "error_mid_stream"})
        if wire == OPENROUTER:
            choice = got.json["choices"][0]
            assert (got.status, choice["finish_reason"]) == (200, "error")
            assert choice["error"]["metadata"]["error_type"] == "server"
            assert choice["message"]["content"]
        else:
            assert got.status == 500


@pytest.mark.parametrize("wire", WIRES)
class TestStream:
    """Faults of a stream, before and after its first tokens."""

    def test_malformed_json(self, try_fault, wire) -> None:
        """Half an event, then a clean end."""
        got, _ = try_fault(wire, True, {"kind": "malformed_json"})
        assert (got.status, got.error) == (200, "")
        assert len(got.body) < 80
        assert not finished(wire, got)

    def test_error_first_event(self, try_fault, wire) -> None:
        """A 200 whose first event is the error."""
        got, _ = try_fault(wire, True, {"kind": "error_first_event"})
        if wire == V1:
            assert [item["choices"][0]["delta"]["content"] for item in got.events] == [""]
        else:
            first = got.lines[0] if wire == OLLAMA else got.events[0]
            assert "error" in first
        assert not finished(wire, got)

    def test_cut(self, try_fault, wire) -> None:
        """Exactly k pieces come, then the connection breaks."""
        got, record = try_fault(wire, True, {"kind": "cut", "chunks": 3})
        assert got.error == "ClientPayloadError"
        assert len(text_of(wire, got).split()) <= 3
        assert text_of(wire, got)
        assert record["done"] is False

    def test_eof_without_finish(self, try_fault, wire) -> None:
        """A clean end in the middle: no finish, no done."""
        got, _ = try_fault(wire, True, {"kind": "eof_without_finish", "chunks": 3})
        assert got.error == ""
        assert text_of(wire, got)
        assert not finished(wire, got)

    def test_error_mid_stream(self, try_fault, wire) -> None:
        """An error event after k pieces, in the shape of the wire, then the end."""
        got, _ = try_fault(
            wire, True, {"kind": "error_mid_stream", "error": "openrouter.rate_limit_exceeded"}
        )
        assert not finished(wire, got)
        assert got.error == ""
        last = got.lines[-1] if wire == OLLAMA else got.events[-1]
        if wire == OPENROUTER:
            assert last["error"]["code"] == 429
            assert last["choices"][0]["finish_reason"] == "error"
        elif wire == V1:
            assert last["choices"][0]["delta"]["content"] == ""
        else:
            assert "error" in last

    def test_stall(self, try_fault, wire) -> None:
        """After k pieces nothing more comes."""
        got, _ = try_fault(wire, True, {"kind": "stall", "chunks": 3}, timeout=0.2)
        assert got.error == "TimeoutError"
        assert text_of(wire, got)

    def test_broken_line(self, try_fault, wire) -> None:
        """One line is not JSON, the stream goes on to its finish."""
        got, _ = try_fault(wire, True, {"kind": "broken_line", "chunks": 1})
        assert finished(wire, got)
        rows = got.body.splitlines() if wire == OLLAMA else got.body.split(b"\n")
        data = [row.removeprefix(b"data: ") for row in rows if row and not row.startswith(b":")]
        broken = 0
        for item in data:
            try:
                json.loads(item)
            except json.JSONDecodeError:
                broken += item != b"[DONE]"
        assert broken == 1

    def test_fault_after_the_last_chunk(self, try_fault, wire) -> None:
        """A position past the end strikes between the last token and the finish."""
        got, _ = try_fault(wire, True, {"kind": "eof_without_finish", "chunks": 9999})
        assert not finished(wire, got)
        assert len(text_of(wire, got).split()) >= 8


@pytest.mark.parametrize("name", sorted(ERRORS))
def test_named_errors(name, ollama, openai, openrouter, call, chat) -> None:
    """Each named body arrives with its status, its headers and its text."""
    server = name.partition(".")[0]
    simulator, path, model = {
        "ollama": (ollama, "/api/chat", "phi3:mini"),
        "openrouter": (openrouter, "/v1/chat/completions", "openai/gpt-4o-mini"),
    }.get(server, (openai, "/v1/chat/completions", "gpt-4o-mini"))
    simulator.add_faults({"kind": "status", "error": name})
    got = call(simulator.url + path, chat(model))
    wanted = ERRORS[name].filled(model=model, name="sim", key="sk-***")
    assert (got.status, got.json) == (wanted.status, wanted.body)
    assert all(got.headers[key] == value for key, value in wanted.headers.items())


def test_hang_up_is_recorded(openai, fetch, chat) -> None:
    """A client that leaves a stalled stream is seen to leave, and nothing stays active."""
    openai.add_faults({"kind": "stall", "chunks": 1})

    async def scenario() -> None:
        await fetch(openai.url + "/v1/chat/completions", chat("gpt-4o-mini", True), timeout=0.1)
        for _ in range(100):
            state = (await fetch(openai.url + "/_sim/state")).json
            if state["hung_up"] == 1 and state["active"] == 0:
                return
        raise AssertionError(state)

    asyncio.run(scenario())
    assert [item["hung_up"] for item in openai.requests()] == [True]


def test_fifty_concurrent_random_faults(openai, fetch, chat) -> None:
    """Under a seeded mixture each call ends one way or another, and nothing stays active."""
    openai.add_faults(
        [{"kind": kind, "probability": 0.15} for kind in ("cut", "status", "refuse", "html", "broken_line")]
    )

    async def scenario() -> list[int]:
        url = openai.url + "/v1/chat/completions"
        return [
            got.status
            for got in await asyncio.gather(*(fetch(url, chat("gpt-4o-mini", True)) for _ in range(50)))
        ]

    statuses = asyncio.run(scenario())
    assert set(statuses) >= {200, 500}
    assert openai.state()["active"] == 0
    assert {item["fault"] for item in openai.requests()} >= {None, "cut", "status"}
