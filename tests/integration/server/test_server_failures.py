"""What clients get when something fails: proper statuses, one envelope, and nobody left hanging."""

import http.client
import json
import socket
import time

import pytest

CHAT = "/v1/chat/completions"
HELLO = [{"role": "user", "content": "hello there"}]


def until(condition, seconds: float = 5.0) -> bool:
    """Whether ``condition`` holds within ``seconds``; asking it takes a request each time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
    return False


class TestBadRequests:
    """The caller's mistakes: 400 naming the field, and the upstream is not asked."""

    @pytest.mark.parametrize(
        ("body", "field", "says"),
        [
            (b"{", None, "not valid JSON"),
            (b"", None, "empty"),
            (b"[]", None, "JSON object"),
            (b"\xff\xfe", None, "not valid JSON"),
            (b"[" * 5000, None, "not valid JSON"),
            ({"model": "chat"}, "messages", "at least one"),
            ({"messages": []}, "messages", "at least one"),
            ({"messages": "hi"}, "messages", "list"),
            ({"messages": [3]}, "messages[0]", "object"),
            ({"messages": [*HELLO, {"content": "x"}]}, "messages[1].role", "text"),
            ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content", "text"),
            ({"messages": [{"role": "user", "content": ["x"]}]}, "messages[0].content[0]", "type"),
            ({"messages": HELLO, "model": 3}, "model", "name"),
            ({"messages": HELLO, "model": "a\r\nb"}, "model", "name"),
            ({"messages": HELLO, "stream": "yes"}, "stream", "true or false"),
            ({"messages": HELLO, "stream_options": []}, "stream_options", "object"),
            ({"messages": HELLO, "temperature": "hot"}, "temperature", "number"),
            ({"messages": HELLO, "temperature": True}, "temperature", "number"),
            ({"messages": HELLO, "max_tokens": 0}, "max_tokens", "at least 1"),
            ({"messages": HELLO, "response_format": "json"}, "response_format", "object"),
            ({"messages": HELLO, "tools": {}}, "tools", "list"),
            ({"messages": HELLO, "private": "yes"}, "private", "true or false"),
        ],
    )
    def test_the_field_is_named(self, server, upstream, body, field, says) -> None:
        """A 400 in OpenAI's envelope says which field is wrong and what it should be."""
        got = server.call("POST", CHAT, body)
        assert (got.status, got.headers["content-type"]) == (400, "application/json")
        assert got.error["param"] == field
        assert got.error["type"] == "invalid_request_error"
        assert says in got.error["message"]
        assert upstream.requests(path="*/chat/completions") == []

    def test_nested_too_deep(self, server) -> None:
        """A body that could be read but not passed on is refused, not a fault of the server."""
        deep = b'{"x":' * 500 + b"1" + b"}" * 500
        got = server.call("POST", CHAT, b'{"messages":[{"role":"user","content":"x"}],"y":' + deep + b"}")
        assert (got.status, "deep" in got.error["message"]) == (400, True)

    @pytest.mark.parametrize(
        ("field", "value"), [("input", None), ("input", []), ("input", ""), ("input", [1, "a"])]
    )
    def test_embeddings(self, server, field, value) -> None:
        """Embeddings name their field too."""
        got = server.call("POST", "/v1/embeddings", {"model": "lab/e", field: value})
        assert (got.status, got.error["param"]) == (400, "input")

    @pytest.mark.parametrize("header", ["x-coreto-label", "x-coreto-run"])
    def test_headers(self, server, header) -> None:
        """A header that means nothing is refused by name."""
        got = server.chat(headers={header: "secret\tthing"})
        assert (got.status, got.error["param"]) == (400, header)

    def test_unknown_model(self, server) -> None:
        """404 with the nearest names."""
        got = server.chat("chatt")
        assert (got.status, got.error["code"], got.error["param"]) == (404, "model_not_found", "model")
        assert "'chat'" in got.error["message"]
        streamed = server.chat("chatt", stream=True)
        assert (streamed.status, streamed.json) == (404, got.json)

    def test_unknown_path_and_method(self, server) -> None:
        """404 and 405 come in the envelope, the latter with what is allowed."""
        for path in ("/v1/completionz", "/chat/completions", "/v1/models/", "/api/nothing"):
            got = server.get(path)
            assert (got.status, got.error["code"]) == (404, "not_found")
        for method, path in (
            ("GET", CHAT),
            ("POST", "/v1/models"),
            ("DELETE", "/v1/models/chat"),
            ("PUT", "/healthz"),
        ):
            got = server.call(method, path)
            assert (got.status, got.error["code"]) == (405, "method_not_allowed")
            assert got.headers["allow"].endswith("OPTIONS")
        assert server.call("POST", "/api/status").status == 405

    @pytest.mark.parametrize("declared", [True, False])
    def test_too_large(self, server, declared) -> None:
        """33 MB are refused with 413, whether announced or found out."""
        size = 33 * 2**20

        def pieces():
            yield b'{"messages": "'
            yield from [b"x" * 2**20] * 33

        connection = http.client.HTTPConnection(*server.address, timeout=20)
        try:
            if declared:
                connection.putrequest("POST", CHAT)
                connection.putheader("Content-Length", str(size))
                connection.endheaders()
            else:
                connection.request(
                    "POST", CHAT, pieces(), encode_chunked=True, headers={"Transfer-Encoding": "chunked"}
                )
            response = connection.getresponse()
            assert response.status == 413
            assert json.loads(response.read())["error"]["code"] == "request_too_large"
        finally:
            connection.close()
        assert server.chat().status == 200


class TestUpstreamFailures:
    """Before the first token: an HTTP status, the reason and the whole trace."""

    def test_everything_failed(self, server, upstream) -> None:
        """The error lists every attempt; streams get the same before their first token."""
        upstream.add_faults({"kind": "status", "status": 503, "model": "lost-*"})
        for stream in (False, True):
            got = server.chat("lost", stream=stream)
            assert (got.status, got.headers["content-type"]) == (503, "application/json")
            assert got.error["type"] == "server_error"
            attempts = got.json["coreto"]["attempts"]
            assert {a["deployment"] for a in attempts} == {"lab/lost-1", "spare/lost-2"}
            assert got.headers["x-coreto-attempts"] == str(len(attempts))
            assert "x-coreto-deployment" not in got.headers
            assert "lab/lost-1" in got.error["message"]
            assert "spare/lost-2" in got.error["message"]

    def test_the_next_one_answers(self, server, upstream) -> None:
        """When the first of a chain fails, the second answers and the trace says why, streamed or not."""
        upstream.add_faults({"kind": "status", "status": 500, "model": "odd"})
        got = server.chat("relay")
        assert got.headers["x-coreto-deployment"] == "spare/even"
        assert [a["outcome"] for a in got.json["coreto"]["attempts"]] == ["server_error", "ok"]
        trace = server.chat("relay", stream=True).events[-2]["coreto"]
        assert [a["outcome"] for a in trace["attempts"]] == ["server_error", "ok"]

    def test_the_callers_own_400_is_relayed(self, server, upstream) -> None:
        """What the upstream finds wrong in the request is told once and tried nowhere else."""
        upstream.add_faults({"kind": "status", "status": 400, "body": {"error": {"message": "bad top_p"}}})
        got = server.chat("wrong", top_p=9)
        assert (got.status, got.error["type"]) == (400, "invalid_request_error")
        assert "bad top_p" in got.error["message"]
        assert len(upstream.requests(path="*/chat/completions")) == 1

    def test_retry_after(self, server, upstream) -> None:
        """When the upstream says when to come back, so do we."""
        upstream.add_faults({"kind": "status", "status": 429, "headers": {"Retry-After": "600"}})
        got = server.chat("lab/busy")
        assert (got.status, got.error["type"]) == (429, "rate_limit_error")
        assert got.headers["retry-after"] == "600"

    def test_embeddings_fail_with_their_trace(self, server, upstream) -> None:
        """Embeddings report their attempt too."""
        upstream.add_faults({"kind": "status", "status": 500, "path": "*/embeddings"})
        got = server.call("POST", "/v1/embeddings", {"model": "lab/e", "input": "x"})
        assert got.status == 502
        assert got.json["coreto"]["attempts"][0]["outcome"] == "server_error"

    @pytest.mark.parametrize("kind", ["cut", "error_mid_stream", "eof_without_finish", "broken_line"])
    def test_after_the_first_token(self, server, upstream, kind) -> None:
        """A stream that dies ends in one error event with the trace: no finish, no ``[DONE]``."""
        upstream.add_faults({"kind": kind, "chunks": 3, "stream": True})
        got = server.chat(f"lab/{kind}", stream=True)
        assert got.status == 200
        *chunks, last = got.events
        assert chunks
        assert "[DONE]" not in chunks
        assert not any(c["choices"][0]["finish_reason"] for c in chunks)
        assert last["error"]["message"]
        assert last["error"]["code"] in ("cut", "server_error", "garbled", "overloaded")
        assert last["coreto"]["attempts"][-1]["outcome"] == last["error"]["code"]


class TestHangUp:
    """A client that leaves stops what it asked for."""

    def leave(self, server, upstream, body, *, after_first_chunk: bool) -> None:
        with socket.create_connection(server.address) as client:
            data = json.dumps({"messages": HELLO, "model": "lab/slow", **body}).encode()
            client.sendall(
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n%b"
                % (len(data), data)
            )
            if after_first_chunk:
                got = b""
                while b"data: " not in got:
                    got += client.recv(65536)
            else:
                assert until(lambda: upstream.requests(path="*/chat/completions"))
        left = time.monotonic()
        assert until(lambda: upstream.requests(path="*/chat/completions")[-1]["hung_up"], 2.0)
        assert time.monotonic() - left < 0.5

    def test_waiting(self, server, upstream) -> None:
        """A non-stream call is cancelled while the upstream still thinks."""
        upstream.add_faults({"kind": "hang", "model": "slow"})
        self.leave(server, upstream, {}, after_first_chunk=False)

    def test_waiting_for_a_stream(self, server, upstream) -> None:
        """So is a stream before its first token."""
        upstream.add_faults({"kind": "silence", "model": "slow"})
        self.leave(server, upstream, {"stream": True}, after_first_chunk=False)

    def test_streaming(self, server, upstream) -> None:
        """And a stream on its way."""
        upstream.add_faults({"kind": "stall", "model": "slow", "chunks": 2})
        self.leave(server, upstream, {"stream": True}, after_first_chunk=True)

    def test_embeddings(self, server, upstream) -> None:
        """And embeddings."""
        upstream.add_faults({"kind": "hang", "path": "*/embeddings"})
        with socket.create_connection(server.address) as client:
            data = b'{"model":"lab/e","input":"x"}'
            client.sendall(
                b"POST /v1/embeddings HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n%b"
                % (len(data), data)
            )
            assert until(lambda: upstream.requests(path="*/embeddings"))
        assert until(lambda: upstream.requests(path="*/embeddings")[-1]["hung_up"], 2.0)

    def test_nothing_is_logged_and_the_next_call_is_well(self, own, upstream) -> None:
        """Hang-ups are everyday: no trace of them in the log, the deployment stays in service."""
        upstream.add_faults({"kind": "hang", "model": "slow", "times": 4})
        for _ in range(4):
            self.leave(own, upstream, {}, after_first_chunk=False)
        assert own.chat("lab/slow").status == 200
        own.terminate()
        assert (own.wait(), own.complaints) == (0, [])
