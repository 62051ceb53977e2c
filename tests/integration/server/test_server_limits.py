"""Keys made at the command line, their rates, and how many calls are answered at once."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import aiohttp

HELLO = [{"role": "user", "content": "hello there"}]


def keys(server_or_config, *args: str) -> subprocess.CompletedProcess[str]:
    """`coreto keys …` on the data of a server, or of a configuration file."""
    config = (
        server_or_config if isinstance(server_or_config, Path) else server_or_config.folder / "coreto.toml"
    )
    env = {name: value for name, value in os.environ.items() if not name.startswith("CORETO_")}
    command = [sys.executable, "-m", "coreto", "--config", str(config), "keys", *args]
    return subprocess.run(command, capture_output=True, text=True, env=env, check=False, timeout=30)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def burst(
    server, count: int, headers: dict[str, str] | None = None, **more
) -> list[tuple[int, Mapping, dict]]:
    """``count`` chat requests at once: status, headers and body of each."""

    async def one(session: aiohttp.ClientSession) -> tuple[int, Mapping, dict]:
        body = {"model": "chat", "messages": HELLO, **more}
        async with session.post(f"{server.url}/v1/chat/completions", json=body, headers=headers) as got:
            return got.status, got.headers, await got.json()

    async def main() -> list[tuple[int, Mapping, dict]]:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:
            return await asyncio.gather(*(one(session) for _ in range(count)))

    return asyncio.run(main())


class TestStoredKeys:
    """`coreto keys` and a running server."""

    def test_from_first_to_last(self, own, upstream) -> None:
        """The first key closes an open server; its scope, user and rate hold; revoked, it is out in time."""
        assert own.chat().status == 200
        made = keys(own, "create", "shop", "--role", "chat", "--role", "spare/*", "--rpm", "60")
        key = made.stdout.strip()
        assert (made.returncode, key[:3], len(key)) == (0, "ck-", 46)
        assert "the only time" in made.stderr
        _until(lambda: own.chat().status == 401)
        assert own.chat(headers=bearer(key)).status == 200
        assert own.chat("spare/second", headers=bearer(key)).status == 200
        for name in ("pair", "brain", "lab/primary", "auto", None):
            got = own.chat(name, headers=bearer(key))
            assert (got.status, got.error["code"]) == (403, "model_not_allowed")
            assert "chat, spare/*" in got.error["message"]
        listed = {card["id"] for card in own.get("/v1/models", bearer(key)).json["data"]}
        assert {"chat", "spare/second", "spare/lost-2", "spare/wrong-2"} <= listed
        assert all(name == "chat" or name.startswith("spare/") for name in listed)
        assert own.get("/v1/models/brain", bearer(key)).status == 403
        for path in ("/metrics", "/api/status", "/api/openapi.json"):
            assert own.get(path, bearer(key)).status == 403
        shown = keys(own, "list").stdout
        assert "shop" in shown
        assert key not in shown
        assert key.encode() not in b"".join(p.read_bytes() for p in (own.folder / "data").glob("coreto.db*"))
        assert keys(own, "revoke", "shop").returncode == 0
        began = time.monotonic()
        _until(lambda: own.chat(headers=bearer(key)).status == 401)
        assert time.monotonic() - began < 5
        assert own.chat().status == 401

    def test_whose_calls_they_are(self, own) -> None:
        """A key's calls are its own, whatever user they name, unless it speaks for others."""
        mine = keys(own, "create", "shop").stdout.strip()
        proxy = keys(own, "create", "proxy", "--speaks-for-others").stdout.strip()
        _until(lambda: own.chat(headers=bearer(proxy)).status == 200 and own.chat().status == 401)
        own.chat(headers=bearer(mine), user="ana")
        own.chat(headers={**bearer(mine), "x-coreto-user": "ana"})
        own.chat(headers=bearer(proxy), user="ana")
        own.terminate()
        own.wait()
        config = str(own.folder / "coreto.toml")
        command = [sys.executable, "-m", "coreto", "--config", config, "costs", "--by", "user", "--json"]
        told = subprocess.run(command, capture_output=True, check=True, timeout=30)
        calls = {row["key"]: row["calls"] for row in json.loads(told.stdout)["groups"]}
        assert calls["shop"] == 2
        assert calls["ana"] == 1

    def test_beyond_loopback_with_a_stored_key(self, config, support) -> None:
        """A key in the database is as good as one in the configuration."""
        file = config()
        key = keys(file, "create", "shop").stdout.strip()
        with support.start_server(file, host="0.0.0.0") as server:
            assert server.get("/v1/models").status == 401
            assert server.get("/v1/models", bearer(key) | {"Host": "box.example"}).status == 200
        keys(file, "revoke", "shop")
        assert support.run_to_end(file, "--host", "0.0.0.0", "--port", "0").code == 2


class TestSpending:
    """What a key may spend."""

    def test_a_key_made_while_serving(self, started, upstream) -> None:
        """A key's limit holds from its first call on; other keys and users are not touched by it."""
        head = f"""
[budgets]
when_exceeded = "refuse"
[models."far/m"]
input_price = 10.0
output_price = 10.0
[providers.far]
kind = "openai"
base_url = "{upstream.url}/v1"
local = false
"""
        with started(head) as server:
            assert server.chat("far/m", max_tokens=100).status == 200
            poor = keys(server, "create", "poor", "--daily-usd", "0.0000001").stdout.strip()
            rich = keys(server, "create", "rich", "--daily-usd", "5").stdout.strip()
            _until(
                lambda: server.get("/v1/models", bearer(rich)).status == 200 and server.chat().status == 401
            )
            got = server.chat("far/m", headers=bearer(poor), max_tokens=100)
            assert got.status == 402
            assert "poor" in got.error["message"]
            assert server.chat("far/m", headers=bearer(rich), max_tokens=100).status == 200
            assert server.chat(headers=bearer(poor)).status == 200  # costs nothing
            keys(server, "revoke", "poor")
            again = keys(server, "create", "poor", "--daily-usd", "5").stdout.strip()
            _until(lambda: server.get("/v1/models", bearer(again)).status == 200)
            assert server.chat("far/m", headers=bearer(again), max_tokens=100).status == 200


class TestRates:
    """Requests a minute."""

    def test_200_at_once(self, own, upstream) -> None:
        """Of 200 simultaneous requests a key gets as many as it may, the rest learn when to come back."""
        key = keys(own, "create", "shop", "--rpm", "20").stdout.strip()
        other = keys(own, "create", "other").stdout.strip()
        _until(lambda: own.get("/v1/models", bearer(other)).status == 200 and own.chat().status == 401)
        upstream.clear_requests()
        got = burst(own, 200, bearer(key))
        counted = Counter(status for status, _, _ in got)
        assert set(counted) == {200, 429}
        assert 20 <= counted[200] <= 22  # one comes back every three seconds
        assert len(upstream.requests(path="*/chat/completions")) == counted[200]
        for status, headers, body in got:
            assert headers["x-ratelimit-limit-requests"] == "20"
            assert 0 <= int(headers["x-ratelimit-remaining-requests"]) < 20
            assert headers["x-ratelimit-reset-requests"].endswith("s")
            if status == 429:
                assert 1 <= int(headers["retry-after"]) <= 3
                assert body["error"]["code"] == "rate_limit_exceeded"
        assert own.chat(headers=bearer(other)).status == 200
        assert own.get("/v1/models", bearer(key)).status == 200


class TestPlaces:
    """`max_concurrent` and `max_queued`."""

    def test_200_at_once(self, started, upstream) -> None:
        """Never more than the places upstream; as many wait as may, and are answered; the rest are refused."""
        upstream.add_faults({"kind": "slow", "model": "primary", "seconds": 0.05})
        with started("[server]\nmax_concurrent = 8\nmax_queued = 40\n") as server:
            got = burst(server, 200)
            counted = Counter(status for status, _, _ in got)
            assert set(counted) == {200, 429}
            assert counted[200] >= 48
            for status, headers, body in got:
                if status == 429:
                    assert int(headers["Retry-After"]) >= 1
                    assert body["error"]["code"] == "server_busy"
            assert server.chat().status == 200
            shown = server.get("/metrics").body.decode()
            assert "coreto_calls_in_flight 0\n" in shown
            assert "coreto_calls_queued 0\n" in shown

    def test_waiting_spends_the_deadline(self, started, upstream) -> None:
        """Who waits for longer than a call may take is refused; places come back when clients hang up."""
        upstream.add_faults({"kind": "hang", "model": "primary"})
        with started("request_timeout = 1.0\n[server]\nmax_concurrent = 1\n") as server:
            began = time.monotonic()
            got = burst(server, 3)
            assert time.monotonic() - began < 4
            assert all(status in (429, 503, 504) for status, _, _ in got)
            upstream.reset()
            assert server.chat("spare/second").status == 200

    def test_streams_hold_their_place(self, started) -> None:
        """A stream has its place until its end; then the next one gets it."""
        with started("[server]\nmax_concurrent = 2\n") as server:
            began = time.monotonic()
            got = asyncio.run(_streams(server, 6))
            assert all(body.endswith("data: [DONE]\n\n") for body in got)
            assert time.monotonic() - began > 3 * 0.15  # six chunks, 0.03 s each, three rounds


async def _streams(server, count: int) -> list[str]:
    async with aiohttp.ClientSession() as session:

        async def one() -> str:
            body = {"model": "chat", "messages": HELLO, "stream": True}
            async with session.post(f"{server.url}/v1/chat/completions", json=body) as got:
                return await got.text()

        return await asyncio.gather(*(one() for _ in range(count)))


def _until(holds) -> None:
    """Wait until ``holds()``: for a server that looks into the database every few seconds."""
    end = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < end, "not within 5 s"
        time.sleep(0.05)
