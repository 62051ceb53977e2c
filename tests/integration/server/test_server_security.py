"""What must not get out: keys, prompts of private calls; and clients that are slow on purpose."""

import contextlib
import json
import re
import socket
import time

import pytest

PROVIDER_KEY = "Xq7-provider-key-of-odd-shape-991"
CLIENT_KEY = "client-key-of-odd-shape-4711"
HEADER_KEY = "header-secret-of-odd-shape-22"
PRIVATE = "my grandmother keeps 93 silver spoons"
HEAD = f"""
log_level = "debug"
[server]
api_keys = ["{CLIENT_KEY}"]
"""


def _providers(upstream, kind: str) -> str:
    return f"""
[telemetry]
log_format = "{kind}"
access_log = true
[providers.lab]
kind = "openai"
base_url = "{upstream.url}/v1"
api_key = "{PROVIDER_KEY}"
headers = {{ "x-tenant" = "{HEADER_KEY}" }}
[roles.chat]
chain = ["lab/primary"]
"""


@pytest.mark.parametrize("kind", ["human", "json"])
def test_no_secret_gets_out(support, upstream, tmp_path, kind) -> None:
    """Neither the provider's key (even where the provider repeats it), nor the client's, nor what a private
    call says shows in answers to others, errors, /metrics, the status or the log at its most talkative."""
    config = support.write_config(tmp_path / "s", HEAD + _providers(upstream, kind))
    bearer = {"Authorization": f"Bearer {CLIENT_KEY}"}
    said = []
    with support.start_server(config) as server:
        private = [{"role": "user", "content": PRIVATE}]
        said.append(server.chat(messages=private, private=True, headers=bearer))
        told = {"error": {"message": f"Incorrect API key provided: {PROVIDER_KEY}; you said: {PRIVATE}"}}
        upstream.add_faults({"kind": "status", "status": 401, "body": told, "times": 1})
        said.append(server.chat(messages=private, private=True, headers=bearer))
        upstream.add_faults({"kind": "html"})
        said.append(server.chat(messages=private, private=True, stream=True, headers=bearer))
        said.append(server.chat(headers=bearer))
        said.append(server.chat(headers={"Authorization": f"Bearer wrong-{CLIENT_KEY}"}))
        said.append(server.get(f"/nowhere/{CLIENT_KEY}", bearer))
        said.extend(server.get(path, bearer) for path in ("/metrics", "/api/status", "/api/openapi.json"))
        server.terminate()
        server.wait()
    log = "".join(server.errors)
    assert "/v1/chat/completions" in log
    answers = [got.body.decode() + str(got.headers) for got in said]
    for text in (log, *answers):
        assert PROVIDER_KEY not in text
        assert HEADER_KEY not in text
    for text in (log, *answers[3:]):  # the first three go to who has said it
        assert PRIVATE not in text
    assert CLIENT_KEY not in log
    for path in (tmp_path / "s" / "data").rglob("*"):
        if path.is_file() and path.name != "owner.json":
            content = path.read_bytes()
            assert not any(s.encode() in content for s in (PROVIDER_KEY, CLIENT_KEY, HEADER_KEY, PRIVATE))


def test_no_access_lines_unless_asked(own, upstream) -> None:
    """Requests that went well leave no line in the log: the ledger has them."""
    own.chat("pair")
    own.terminate()
    own.wait()
    assert own.errors == []


def test_the_access_line(started, upstream) -> None:
    """One line a request says what was asked for, by whom, and what came of it; probes leave none."""
    with started("[telemetry]\naccess_log = true\n") as own:
        own.chat("pair")
        own.get("/v1/models")
        own.get("/healthz")
        own.get("/nowhere%0A2026%20forged")
        own.terminate()
        own.wait()
    lines = [line for line in own.errors if " INFO coreto.access: " in line]
    assert re.search(
        r"POST /v1/chat/completions 200 \d+\.\d ms key=- deployment=lab/first attempts=1$", lines[0].strip()
    )
    assert "GET /v1/models 200 " in lines[1]
    assert r"'/nowhere\n2026 forged' 404 " in lines[2]
    assert len(lines) == 3


def test_json_lines(support, upstream, tmp_path) -> None:
    """With `log_format = "json"` every line is an object, with the access line's parts as fields."""
    config = support.write_config(tmp_path / "s", HEAD + _providers(upstream, "json"))
    with support.start_server(config) as server:
        server.chat(headers={"Authorization": f"Bearer {CLIENT_KEY}"})
        server.terminate()
        server.wait()
    lines = [json.loads(line) for line in server.errors]
    (line,) = [line for line in lines if line["logger"] == "coreto.access"]
    assert line["level"] == "info"
    assert (line["method"], line["status"], line["key"]) == ("POST", 200, "configured")
    assert (line["deployment"], line["attempts"]) == ("lab/primary", 1)
    assert line["ms"] > 0


@pytest.mark.slow
def test_headers_that_do_not_come(own) -> None:
    """A connection on which no request begins, or none is finished, is closed after half a minute."""
    with (
        socket.create_connection(own.address, timeout=60) as silent,
        socket.create_connection(own.address, timeout=60) as slow,
    ):
        began = time.monotonic()
        slow.sendall(b"GET /v1/models HTTP/1.1\r\nHos")
        assert silent.recv(65536).startswith(b"HTTP/1.1 408 ")
        assert slow.recv(65536).startswith(b"HTTP/1.1 408 ")
        assert 29 < time.monotonic() - began < 35


@pytest.mark.slow
def test_a_body_that_does_not_come(own) -> None:
    """A client that sends its body by the drop is told so after half a minute and let go; others are not
    kept from their answers meanwhile."""
    with socket.create_connection(own.address, timeout=60) as client:
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n{"
        client.sendall(head)
        began = time.monotonic()
        assert own.chat().status == 200
        said = b""
        while part := client.recv(65536):
            said += part
    assert 29 < time.monotonic() - began < 35
    assert said.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"request_timeout"' in said
    assert b"connection: close" in said.lower()


def test_headers_without_end(own) -> None:
    """Headers beyond 64 KiB are refused and cost nobody else anything."""
    with socket.create_connection(own.address, timeout=10) as client:
        client.sendall(b"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        try:
            for _ in range(64):
                client.sendall(b"X-Filler: " + b"x" * 4096 + b"\r\n")
            client.sendall(b"\r\n")
            said = client.recv(65536)
        except ConnectionError:
            said = b"HTTP/1.1 431 (and gone before it could be read)"
    assert said.startswith(b"HTTP/1.1 431 ")
    assert own.chat().status == 200


def test_headers_in_one_piece(own) -> None:
    """Headers beyond 64 KiB are refused however they come, on a new connection and on one that was used."""
    request = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    for first in (b"", request + b"\r\n"):
        with socket.create_connection(own.address, timeout=10) as client:
            if first:
                client.sendall(first)
                assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
            client.sendall(request + b"X-Long: " + b"x" * 70_000 + b"\r\n\r\n")
            with contextlib.suppress(ConnectionError):  # it may be gone before it could be read
                assert client.recv(65536).startswith(b"HTTP/1.1 431 ")


def test_many_headers_that_fit(own) -> None:
    """Headers of half the bound, in pieces, are taken."""
    with socket.create_connection(own.address, timeout=10) as client:
        client.sendall(b"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        for _ in range(8):
            client.sendall(b"X-Filler: " + b"x" * 4096 + b"\r\n")
        client.sendall(b"\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
