"""What a new user's first, wrong requests are told."""

import gzip

import orjson
import pytest

from coreto.server.validate import MAX_NAME

ASK = {"messages": [{"role": "user", "content": "x"}]}
LOCAL = {b"host": b"127.0.0.1:8080"}


@pytest.mark.parametrize("field", ["model", "user"])
def test_names_have_a_length(bench, whole, field) -> None:
    """A name of a megabyte is refused, and does not come back in the refusal."""
    made = bench(whole)
    assert made.send({**ASK, field: "n" * MAX_NAME}).status == 200
    got = made.send({**ASK, field: "n" * 1_000_000})
    assert (got.status, got.json["error"]["param"]) == (400, field)
    assert len(got.body) < 1000


@pytest.mark.parametrize("sent", ["josé".encode(), "josé".encode("latin-1")], ids=["utf-8", "latin-1"])
def test_a_user_with_an_accent(bench, whole, sent) -> None:
    """A name in a header is the name that was typed, whichever way the client encodes it."""
    made = bench(whole)
    assert made.send(ASK, headers={**LOCAL, b"x-coreto-user": sent}).status == 200
    assert made.gateway.calls[0].user == "josé"


def test_a_compressed_body(bench) -> None:
    """A body that is compressed is told what it is, not that its letters are wrong."""
    got = bench().send(gzip.compress(orjson.dumps(ASK)))
    assert (got.status, "compressed" in got.json["error"]["message"]) == (400, True)


@pytest.mark.parametrize("kind", [b"application/x-www-form-urlencoded", b"application/json"])
def test_a_body_for_the_api_that_is_no_json_object(bench, kind) -> None:
    """What curl sends unless told otherwise, and what is no JSON, are told what is expected."""
    body = b'{"tag": "a"}' if b"form" in kind else b'{"tag": '
    got = bench().send(body, path="/api/cache/invalidate", headers={**LOCAL, b"content-type": kind})
    assert (got.status, got.json["error"]["code"]) == (400, "invalid_request")
    assert "Content-Type: application/json" in got.json["error"]["message"]
