"""The edge with a scripted gateway: what no upstream can be made to do."""

import logging

import pytest

from coreto.errors import CutError, RateError, UnknownModelError
from coreto.messages import Whole

ASK = {"messages": [{"role": "user", "content": "x"}]}


class TestOurOwnFaults:
    """An exception that nobody expected."""

    @pytest.mark.parametrize("stream", [False, True])
    def test_a_number_leads_from_the_client_to_the_log(self, bench, caplog, stream) -> None:
        """The client gets a 500 with a number and no detail; the log has number and traceback."""
        with caplog.at_level(logging.ERROR, "coreto"):
            got = bench(ZeroDivisionError("secret detail")).send({**ASK, "stream": stream})
        assert (got.status, got.json["error"]["code"]) == (500, "internal_error")
        assert b"secret detail" not in got.body
        number = got.json["error"]["message"].split()[2].rstrip(";")
        (record,) = caplog.records
        assert number in record.getMessage()
        assert record.exc_info[0] is ZeroDivisionError

    def test_in_the_middle_of_a_stream(self, bench, chunk) -> None:
        """A stream that broke by our own fault ends in an error event."""
        got = bench(chunk, ZeroDivisionError()).send({**ASK, "stream": True})
        assert got.status == 200
        assert b'"code":"internal_error"' in got.body.split(b"\n\n")[1]
        assert b"[DONE]" not in got.body
        assert got.complete

    @pytest.mark.parametrize("stream", [False, True])
    def test_a_gateway_that_ends_without_an_answer(self, bench, stream) -> None:
        """No answer is an error, never an empty 200."""
        assert bench().send({**ASK, "stream": stream}).status == 502

    def test_a_status_that_breaks(self, bench, caplog) -> None:
        """FastAPI's part answers in the same envelope, exactly once, and logs once."""

        async def broken():
            raise ZeroDivisionError

        with caplog.at_level(logging.ERROR, "coreto"):
            got = bench(status=broken).send(b"", path="/api/status", method="GET")
        assert (got.status, got.json["error"]["code"]) == (500, "internal_error")
        assert [m["type"] for m in got.raw] == ["http.response.start", "http.response.body"]
        assert len(caplog.records) == 1

    def test_a_status_that_is_refused(self, bench) -> None:
        """A known error of the status keeps its status."""

        async def refused():
            raise RateError(retry_after=2.2)

        got = bench(status=refused).send(b"", path="/api/status", method="GET")
        assert (got.status, got.headers[b"retry-after"]) == (429, b"3")


class TestHangUp:
    """The client leaves."""

    @pytest.mark.parametrize("stream", [False, True])
    def test_nothing_is_sent_and_the_call_is_closed(self, bench, stream) -> None:
        """Waiting for ever ends when the client does; the gateway's context is left before."""
        one = bench("wait")
        got = one.send({**ASK, "stream": stream}, hang_up=True)
        assert got.raw == []
        assert (one.gateway.opened, one.gateway.closed) == (1, 1)

    def test_midway(self, bench, chunk) -> None:
        """After the first chunk nothing more is sent, no end either."""
        one = bench(chunk, "wait")
        got = one.send({**ASK, "stream": True}, hang_up=True)
        assert len(got.raw) == 2
        assert one.gateway.closed == 1

    def test_while_sending_the_body(self, bench) -> None:
        """A client that leaves in the middle of its request is answered by nothing."""
        messages = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]
        assert _drive(bench().edge, messages) == []

    def test_an_answer_that_wins_the_race(self, bench, whole) -> None:
        """A hang-up that comes after the answer disturbs nobody."""
        assert bench(whole).send(ASK, hang_up=True).status == 200


def _drive(edge, messages) -> list:
    import asyncio

    sent: list = []

    async def receive():
        return messages.pop(0)

    async def send(message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": []}
    asyncio.run(edge(scope, receive, send))
    return sent


class TestBodies:
    """However the body arrives."""

    def test_in_pieces(self, bench, whole) -> None:
        """A body in many messages is one body."""
        parts = [b'{"messages":[{"role":"u', b'ser","content":"', b"", "ç".encode(), b'"}]}']
        one = bench(whole)
        assert one.send(parts).status == 200
        assert one.gateway.calls[0].body["messages"][0]["content"] == "ç"

    def test_a_content_length_that_is_none(self, bench) -> None:
        """A content-length that is no number is not believed."""
        headers = {b"host": b"localhost", b"content-length": b"many"}
        assert bench().send(ASK, headers=headers).status == 413


class TestErrors:
    """Before and after the first chunk."""

    def test_before(self, bench) -> None:
        """An error before anything was sent is a status."""
        got = bench(UnknownModelError("x", ["y"])).send({**ASK, "stream": True})
        assert (got.status, got.json["error"]["param"]) == (404, "model")

    def test_after(self, bench, chunk) -> None:
        """After it, an event."""
        got = bench(chunk, CutError("gone")).send({**ASK, "stream": True})
        assert got.body.endswith(
            b'data: {"error":{"message":"gone","type":"server_error","param":null,"code":"cut"}}\n\n'
        )

    def test_base64_of_odd_rows(self, bench) -> None:
        """Rows that are not lists of numbers pass as they are."""
        body = {"data": [{"embedding": [1.0]}, {"embedding": "AACAPw=="}, {"other": 1}]}
        got = bench(Whole(body)).send(
            {"input": "x", "model": "m", "encoding_format": "base64"}, path="/v1/embeddings"
        )
        rows = got.json["data"]
        assert rows == [{"embedding": "AACAPw=="}, {"embedding": "AACAPw=="}, {"other": 1}]


class TestTogether:
    """Chunks that came together."""

    def test_go_out_together(self, bench, chunk) -> None:
        """They are one write; the last ones go with the trace."""
        more = chunk._replace(more=True)
        got = bench(chunk, more, more, chunk, more).send({**ASK, "stream": True})
        assert [m["body"].count(b"data: ") for m in got.raw[1:]] == [1, 3, 3]
        assert got.body.endswith(b"data: [DONE]\n\n")

    def test_all_at_once(self, bench, chunk) -> None:
        """A stream of one batch is whole."""
        got = bench(chunk._replace(more=True)).send({**ASK, "stream": True})
        assert (got.status, got.body.count(b"data: ")) == (200, 3)

    def test_go_out_before_the_error(self, bench, chunk) -> None:
        """What had come when a stream broke is given to the client, then the error."""
        got = bench(chunk, chunk._replace(more=True), CutError()).send({**ASK, "stream": True})
        assert got.body.count(b'"content":"yes"') == 2
        assert b'"code":"cut"' in got.body.split(b"\n\n")[2]

    def test_nothing_sent_yet(self, bench, chunk) -> None:
        """A stream that broke before its first write is a proper error, not half an answer."""
        assert bench(chunk._replace(more=True), CutError()).send({**ASK, "stream": True}).status == 502


class TestReady:
    """``/readyz``."""

    def test_why_not(self, bench) -> None:
        """503 with the reason; alive all the same."""
        one = bench(why_not_ready=lambda: "nobody home", keys=("k",))
        got = one.send(b"", path="/readyz", method="GET")
        assert (got.status, got.json["reason"]) == (503, "nobody home")
        assert one.send(b"", path="/healthz", method="GET").status == 200
