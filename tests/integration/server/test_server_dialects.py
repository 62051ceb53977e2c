"""Anthropic's messages and OpenAI's responses over real HTTP."""

import json
import re

import pytest

ALIASES = '[server]\nmodel_aliases = { "claude-*" = "chat", "gpt-*" = "chat" }\n'
RESTART = """
[roles.twice]
chain = ["lab/first", "spare/second"]
stream_failover = "restart"
"""
MESSAGES = "/v1/messages"
RESPONSES = "/v1/responses"
BOTH = pytest.mark.parametrize("path", [MESSAGES, RESPONSES])
ENDS = {"message_stop", "response.completed", "response.incomplete"}


def ask(server, path, model="chat", *, headers=None, **more):
    body = {"model": model, "max_tokens": 50, "messages": [{"role": "user", "content": "hello there"}]}
    if path == RESPONSES:
        body = {"model": model, "input": "hello there"}
    return server.call("POST", path, {**body, **more}, headers)


def events(got):
    """The events of a stream; each is named as its type."""
    found = re.findall(r"event: (\S+)\ndata: (.*)\n\n", got.body.decode())
    parsed = [json.loads(data) for _, data in found]
    assert [event["type"] for event in parsed] == [name for name, _ in found]
    return parsed


def said(path, body):
    return body["content"][0]["text"] if path == MESSAGES else body["output"][0]["content"][0]["text"]


@BOTH
def test_whole(server, path) -> None:
    """The answer has the trace in the body and in the headers."""
    got = ask(server, path)
    assert (got.status, got.headers["content-type"]) == (200, "application/json")
    assert said(path, got.json).startswith("primary answers ")
    assert got.json["coreto"]["deployment"] == got.headers["x-coreto-deployment"] == "lab/primary"
    assert got.headers["x-coreto-id"] == got.headers["request-id"] == got.json["id"].split("_")[1]


@BOTH
def test_stream(server, path) -> None:
    """The pieces are those of the whole answer, and the trace is in the last event."""
    got = ask(server, path, stream=True)
    assert got.headers["content-type"].startswith("text/event-stream")
    found = events(got)
    if path == MESSAGES:
        pieces = [event["delta"]["text"] for event in found if event["type"] == "content_block_delta"]
        last = found[-1]
    else:
        pieces = [event["delta"] for event in found if event["type"] == "response.output_text.delta"]
        last = found[-1]["response"]
    assert "".join(pieces) == said(path, ask(server, path).json)
    assert found[-1]["type"] in ENDS
    assert last["coreto"]["id"] == got.headers["x-coreto-id"]


@BOTH
@pytest.mark.parametrize("stream", [False, True])
def test_the_next_model_answers(server, upstream, path, stream) -> None:
    """A failure before the first token costs the client nothing."""
    upstream.add_faults({"kind": "status", "status": 500, "model": "first"})
    got = ask(server, path, "pair", stream=stream)
    assert got.status == 200
    assert '"deployment":"spare/second"' in got.body.decode()


@BOTH
def test_failures_before_the_first_token(started, upstream, path) -> None:
    """They are HTTP errors in the dialect's envelope, with the trace and when to come back."""
    upstream.add_faults({"kind": "status", "status": 503, "model": "lost-*"})
    upstream.add_faults(
        {"kind": "status", "status": 429, "headers": {"Retry-After": "600"}, "model": "primary"}
    )
    with started() as server:
        lost = ask(server, path, "lost", stream=True)
        limited = ask(server, path)
    assert (lost.status, limited.status) == (503, 429)
    assert 590 <= int(limited.headers["retry-after"]) <= 600
    assert limited.json["coreto"]["attempts"][0]["outcome"] == "rate"
    kinds = [got.error["type"] for got in (lost, limited)]
    if path == MESSAGES:
        assert kinds == ["overloaded_error", "rate_limit_error"]
        assert limited.json["type"] == "error"
        assert limited.json["request_id"] == limited.headers["request-id"] == limited.headers["x-coreto-id"]
    else:
        assert kinds == ["server_error", "rate_limit_error"]


@BOTH
def test_failures_after_the_first_token(started, upstream, path) -> None:
    """They are the last event; nothing says that the answer was complete."""
    kinds = ("cut", "error_mid_stream", "eof_without_finish", "broken_line")
    for kind in kinds:
        upstream.add_faults({"kind": kind, "chunks": 3, "model": kind})
    with started() as server:
        broken = [events(ask(server, path, f"lab/{kind}", stream=True)) for kind in kinds]
    for found in broken:
        names = [event["type"] for event in found]
        assert not ENDS & set(names)
        assert "message_delta" not in names
        assert names[0] in ("message_start", "response.created")
        assert names[-1] == ("error" if path == MESSAGES else "response.failed")
        assert names.count(names[-1]) == 1
        if path == RESPONSES:
            assert found[-1]["response"]["status"] == "failed"
            assert [event["sequence_number"] for event in found] == list(range(len(found)))


@BOTH
def test_restarts_cannot_be_told(started, upstream, path) -> None:
    """A role that restarts its streams ends them with an error here, as nobody could be told to forget."""
    upstream.add_faults({"kind": "cut", "chunks": 3, "model": "first"})
    with started(RESTART) as server:
        found = events(ask(server, path, "twice", stream=True, headers={"x-coreto-accept-restart": "1"}))
    assert found[-1]["type"] in ("error", "response.failed")
    assert not any("second answers" in json.dumps(event) for event in found)


@BOTH
def test_keys(keyed, path) -> None:
    """A key is taken from either header; a wrong one is refused in the dialect's envelope."""
    for headers in ({"x-api-key": "one-key"}, {"authorization": "Bearer one-key"}):
        assert ask(keyed, path, headers=headers).status == 200
    for headers in ({}, {"x-api-key": "bad"}, {"authorization": "Bearer bad", "x-api-key": "one-key"}):
        got = ask(keyed, path, headers=headers)
        assert (got.status, got.error["type"]) == (401, "authentication_error")
        assert (got.json.get("type") == "error") is (path == MESSAGES)


@BOTH
def test_aliases(started, upstream, path) -> None:
    """Names that agents insist on mean what the configuration says, in chat completions as well."""
    with started(ALIASES) as server:
        assert ask(server, path, "claude-of-the-day").headers["x-coreto-role"] == "chat"
        assert server.chat("gpt-of-the-day").headers["x-coreto-role"] == "chat"
        assert ask(server, path, "pair").headers["x-coreto-role"] == "pair"
        unknown = ask(server, path, "mistery")
    assert unknown.status == 404
    assert "server.model_aliases" in unknown.error["message"]


def test_counting_asks_no_model(server, upstream) -> None:
    """Tokens are estimated here."""
    got = ask(server, "/v1/messages/count_tokens")
    assert (got.status, got.json["coreto"]) == (200, {"estimated": True})
    assert got.json["input_tokens"] > 0
    assert upstream.requests(path="*/chat/completions") == []


def test_only_post(server) -> None:
    """Other methods and paths are refused in the dialect's envelope."""
    got = server.get(MESSAGES)
    assert (got.status, got.json["type"], got.error["code"]) == (405, "error", "method_not_allowed")
    assert server.get("/v1/messages/batches").error["type"] == "not_found_error"
