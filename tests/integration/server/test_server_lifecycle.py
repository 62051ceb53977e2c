"""How the server starts, whom it lets in, and how it ends."""

import http.client
import json
import os
import signal
import socket
import time

import psutil
import pytest

HELLO = [{"role": "user", "content": "hello there"}]
KEYS = '[server]\napi_keys = ["one-key", "another-key"]\n'


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


class TestKeys:
    """Who may use it."""

    def test_keys(self, keyed) -> None:
        """With keys configured, each is accepted and nothing else is; probes need none."""
        for key in ("one-key", "another-key"):
            assert keyed.chat(headers=bearer(key)).status == 200
        for wrong in ({}, bearer(""), bearer("one-keY"), bearer("one-key2"), {"Authorization": "one-key"}):
            got = keyed.chat(headers=wrong)
            assert (got.status, got.headers["www-authenticate"]) == (401, "Bearer")
            assert got.error["code"] == "invalid_api_key"
        for path in ("/v1/models", "/api/status", "/api/openapi.json", "/nowhere"):
            assert keyed.get(path).status == 401
        assert keyed.get("/api/status", bearer("one-key")).status == 200
        assert (keyed.get("/healthz").status, keyed.get("/readyz").status) == (200, 200)

    def test_no_key_is_shown(self, started, upstream) -> None:
        """A client's key is neither passed on nor logged."""
        with started(KEYS) as server:
            server.chat(headers=bearer("one-key"))
            server.chat(headers=bearer("wrong-key-123"))
            server.terminate()
            server.wait()
            assert server.complaints == []
            assert not any("one-key" in line or "wrong-key" in line for line in server.errors)
        (record,) = upstream.requests(path="*/chat/completions")
        assert "one-key" not in json.dumps(record)

    def test_the_owners_key(self, keyed) -> None:
        """Other processes of this user get in by the key that lies in the data directory, for them alone."""
        card = keyed.folder / "data" / "locks" / "owner.json"
        fields = json.loads(card.read_bytes())
        assert fields["url"] == keyed.url
        assert card.stat().st_mode & 0o077 == 0
        assert keyed.get("/v1/models", bearer(fields["key"])).status == 200

    def test_web_pages_of_others(self, server) -> None:
        """Without keys, a page in the user's browser can neither rebind a name nor send from its origin."""
        assert server.get("/v1/models", {"Host": "evil.example:8080"}).status == 403
        assert server.chat(headers={"Origin": "https://evil.example"}).status == 403
        assert server.chat(headers={"Origin": "null"}).status == 403
        assert server.chat(headers={"Origin": "http://localhost:3000"}).status == 200
        assert server.get("/v1/models", {"Host": "localhost:1234"}).status == 200

    @pytest.mark.parametrize("host", ["0.0.0.0", "::", ""])
    def test_beyond_loopback_without_keys(self, refused, host) -> None:
        """One line names the setting; nothing listens."""
        ended = refused("", "--host", host, "--port", "0")
        assert (ended.code, ended.out) == (2, "")
        assert "`server.api_keys`" in ended.err
        assert ended.err.count("\n") == 1

    def test_beyond_loopback_with_keys(self, started) -> None:
        """With keys it listens everywhere, and other processes are told the loopback address."""
        with started(KEYS, host="0.0.0.0") as server:
            assert server.url.startswith("http://0.0.0.0:")
            assert server.get("/v1/models").status == 401
            assert server.get("/v1/models", bearer("one-key") | {"Host": "box.example"}).status == 200


class TestStart:
    """From nothing to the one line."""

    def test_the_line(self, server) -> None:
        """One line with the URL, and the base URL that clients need."""
        assert server.line == (
            f"Coreto listening on {server.url} (OpenAI-compatible base URL: {server.url}/v1)\n"
        )

    def test_small_and_quick(self, started) -> None:
        """Ready within the budget of CPU seconds (wall time is the machine's), and small."""
        with started() as server:
            process = psutil.Process(server.process.pid)
            spent = process.cpu_times()
            assert spent.user + spent.system < 1.5
            server.chat()
            server.get("/api/status")
            assert process.memory_info().rss < 100 * 2**20

    def test_ipv6(self, started) -> None:
        """An IPv6 address is written as URLs want it."""
        with started(host="::1") as server:
            assert server.url.startswith("http://[::1]:")
            assert server.chat().status == 200

    def test_the_port_is_taken(self, refused) -> None:
        """One clear line, exit 1."""
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            ended = refused("", "--port", str(port))
        assert (ended.code, ended.out) == (1, "")
        assert f"127.0.0.1:{port}" in ended.err
        assert "in use" in ended.err
        assert ended.err.count("\n") == 1

    def test_a_host_that_is_not_there(self, refused) -> None:
        """One clear line for a name that does not resolve."""
        ended = refused("", "--host", "no-such-host.invalid")
        assert ended.code == 1
        assert "no-such-host.invalid" in ended.err
        assert ended.err.count("\n") == 1

    def test_another_server_of_this_data_directory(self, started, refused) -> None:
        """One line says where the other one is; the other goes on."""
        with started() as server:
            ended = refused("", "--port", "0")
            assert ended.code == 1
            assert server.url in ended.err
            assert ended.err.count("\n") == 1
            assert server.chat().status == 200

    def test_after_a_kill(self, started) -> None:
        """A server that was killed does not stand in the way of the next."""
        with started() as server:
            server.process.kill()
            server.process.wait()
        with started() as server:
            assert server.chat().status == 200


class TestEnd:
    """SIGTERM and SIGINT."""

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_idle(self, started, config, number) -> None:
        """Exit 0 within a second, no complaint on stderr, no child and no owner left."""
        with started() as server:
            server.chat()
            children = psutil.Process(server.process.pid).children(recursive=True)
            began = time.monotonic()
            os.kill(server.process.pid, number)
            assert server.wait() == 0
            assert time.monotonic() - began < 2
            assert not any(child.is_running() for child in children)
        assert server.complaints == []
        assert not (config().parent / "data" / "locks" / "owner.json").exists()

    def test_a_running_stream_ends_first(self, started, upstream) -> None:
        """A stream that runs is finished, new connections are refused, then the server ends."""
        upstream.add_faults({"kind": "slow", "model": "primary", "per_chunk": 0.1})
        with started() as server:
            connection = http.client.HTTPConnection(*server.address, timeout=20)
            body = {"model": "chat", "messages": HELLO, "stream": True}
            connection.request("POST", "/v1/chat/completions", json.dumps(body))
            response = connection.getresponse()
            first = response.readline()
            server.terminate()
            rest = response.read()
            assert first.startswith(b"data: {")
            assert rest.endswith(b"data: [DONE]\n\n")
            assert b'"finish_reason":"stop"' in rest
            connection.close()
            assert server.wait() == 0
            assert _refuses(server.address)

    @pytest.mark.slow
    def test_grace_is_bounded(self, started, upstream) -> None:
        """A stream that never ends is told so after ten seconds."""
        upstream.add_faults({"kind": "stall", "model": "primary", "chunks": 2})
        with started() as server:
            connection = http.client.HTTPConnection(*server.address, timeout=30)
            body = {"model": "chat", "messages": HELLO, "stream": True}
            connection.request("POST", "/v1/chat/completions", json.dumps(body))
            response = connection.getresponse()
            response.readline()
            began = time.monotonic()
            server.terminate()
            rest = response.read()
            assert b'"code":"shutting_down"' in rest
            assert b"[DONE]" not in rest
            assert server.wait() == 0
            assert 9 < time.monotonic() - began < 14
            connection.close()

    def test_told_twice(self, started, upstream) -> None:
        """The second signal does not wait for anybody."""
        upstream.add_faults({"kind": "hang", "model": "primary"})
        with started() as server, socket.create_connection(server.address) as client:
            data = json.dumps({"model": "chat", "messages": HELLO}).encode()
            client.sendall(
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n%b"
                % (len(data), data)
            )
            while not upstream.requests(path="*/chat/completions"):
                pass
            server.terminate()
            while not _refuses(server.address):
                pass
            began = time.monotonic()
            server.terminate()
            assert server.wait() == 0
            assert time.monotonic() - began < 2


def _refuses(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address).close()
    except (ConnectionRefusedError, ConnectionResetError):  # reset: it closed with us in its backlog
        return True
    return False
