"""What clients get when all is well, over real HTTP."""

import asyncio
import base64
import http.client
import json
import shutil
import struct
import subprocess

import aiohttp

HELLO = [{"role": "user", "content": "hello there"}]
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]


def sent(upstream):
    """The one body that the upstream received."""
    (record,) = upstream.requests(path="*/chat/completions")
    return record["body"]


class TestWhole:
    """Non-stream chat."""

    def test_the_upstreams_answer_with_its_trace(self, server, upstream) -> None:
        """The body is the upstream's, field by field, and ``coreto`` says who answered."""
        got = server.chat()
        assert (got.status, got.headers["content-type"]) == (200, "application/json")
        trace = got.json["coreto"]
        assert (trace["deployment"], trace["role"], trace["label"]) == ("lab/primary", "chat", "internal")
        assert [a["outcome"] for a in trace["attempts"]] == ["ok"]
        direct = http.client.HTTPConnection(*upstream.url.removeprefix("http://").split(":"))
        direct.request("POST", "/v1/chat/completions", json.dumps({"model": "primary", "messages": HELLO}))
        wanted = json.loads(direct.getresponse().read())
        direct.close()
        body = {k: v for k, v in got.json.items() if k != "coreto"}
        assert {**body, "id": ""} == {**wanted, "id": ""}
        assert list(body) == list(wanted)

    def test_headers(self, server) -> None:
        """The trace in short is in the headers."""
        got = server.chat()
        shown = {name: value for name, value in got.headers.items() if name.startswith("x-coreto-")}
        assert shown == {
            "x-coreto-id": got.json["coreto"]["id"],
            "x-coreto-deployment": "lab/primary",
            "x-coreto-role": "chat",
            "x-coreto-attempts": "1",
            "x-coreto-cost-usd": "0",
        }
        assert "server" not in got.headers

    def test_unknown_fields_reach_the_upstream(self, server, upstream) -> None:
        """Everything but the model's name passes untouched."""
        fields = {
            "messages": [{"role": "user", "content": "hi", "name": "ana", "vendor_mark": [1, {"a": None}]}],
            "tools": TOOLS,
            "tool_choice": "auto",
            "seed": 7,
            "metadata": {"k": "v"},
            "x_vendor": {"deep": [1.5, "ü", None, True]},
            "user": "ana",
            "top_p": 0.5,
        }
        assert server.chat(**fields).status == 200
        assert sent(upstream) == {**fields, "model": "primary"}

    def test_unknown_response_fields_reach_the_client(self, server, upstream) -> None:
        """Vendor fields of the answer come through."""
        body = {
            "id": "x1",
            "vendor": {"deep": [1, 2.50, "ü"]},
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": "yes", "mood": "calm"}, "z": 1}
            ],
        }
        upstream.add_faults({"kind": "status", "status": 200, "body": body, "times": 1})
        got = server.chat().json
        del got["coreto"]
        assert got == body

    def test_an_answer_that_is_another_coretos(self, server, upstream) -> None:
        """A ``coreto`` that is already there is replaced, not doubled."""
        body = {
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}
            ],
            "coreto": {"deployment": "elsewhere"},
        }
        upstream.add_faults({"kind": "status", "status": 200, "body": body, "times": 1})
        got = server.chat()
        assert got.body.count(b'"coreto"') == 1
        assert got.json["coreto"]["deployment"] == "lab/primary"

    def test_no_model_is_auto(self, server) -> None:
        """A missing, null or explicit ``auto`` model asks the brain."""
        for model in ({}, {"model": None}, {"model": "auto"}):
            got = server.call("POST", "/v1/chat/completions", {"messages": HELLO, **model})
            assert got.json["coreto"]["deployment"] == "lab/brainy"

    def test_a_deployment_by_its_name(self, server) -> None:
        """A deployment is asked for as ``provider/model``, listed or not."""
        got = server.chat("lab/whatever")
        assert (got.json["model"], got.headers["x-coreto-deployment"]) == ("whatever", "lab/whatever")
        assert "x-coreto-role" not in got.headers

    def test_response_format(self, server) -> None:
        """A JSON schema is passed on and met."""
        schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
        form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
        content = server.chat(response_format=form).json["choices"][0]["message"]["content"]
        assert json.loads(content) == {"city": "sim"}

    def test_tool_calls_come_back(self, server, upstream) -> None:
        """A tool call of the model reaches the client."""
        upstream.script({"tool_calls": [{"name": "weather", "arguments": {"city": "Recife"}}]})
        choice = server.chat(tools=TOOLS).json["choices"][0]
        assert choice["finish_reason"] == "tool_calls"
        assert choice["message"]["tool_calls"][0]["function"]["name"] == "weather"

    def test_keep_alive(self, server) -> None:
        """One connection answers many requests, errors among them."""
        connection = http.client.HTTPConnection(*server.address)
        connection.connect()
        socket = connection.sock
        good = json.dumps({"model": "chat", "messages": HELLO})
        for body, status in ((good, 200), ("{", 400), (good, 200), ('{"model": "nix"}', 400), (good, 200)):
            connection.request("POST", "/v1/chat/completions", body)
            response = connection.getresponse()
            response.read()
            assert (response.status, connection.sock) == (status, socket)
        connection.close()


class TestStream:
    """Streamed chat."""

    def test_chunks_then_the_trace_then_done(self, server, upstream) -> None:
        """The upstream's chunks, one with the trace, and ``[DONE]``."""
        got = server.chat(stream=True)
        assert got.status == 200
        assert got.headers["content-type"].startswith("text/event-stream")
        assert got.headers["transfer-encoding"] == "chunked"
        *chunks, last, done = got.events
        assert done == "[DONE]"
        text = "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks)
        assert text == server.chat().json["choices"][0]["message"]["content"]
        assert [c["choices"][0]["finish_reason"] for c in chunks].count("stop") == 1
        assert all(c["system_fingerprint"] == "fp_sim" for c in chunks)
        assert (last["choices"], last["object"]) == ([], "chat.completion.chunk")
        assert {last["id"], last["model"], last["created"]} == {
            chunks[0]["id"],
            chunks[0]["model"],
            chunks[0]["created"],
        }
        trace = last["coreto"]
        assert (trace["deployment"], trace["attempts"][0]["outcome"]) == ("lab/primary", "ok")
        assert trace["attempts"][0]["ttft_ms"] > 0
        assert got.headers["x-coreto-id"] == trace["id"]

    def test_usage_when_asked_for(self, server) -> None:
        """``stream_options.include_usage`` gives the usage chunk, and only then."""
        plain = server.chat(stream=True).events
        asked = server.chat(stream=True, stream_options={"include_usage": True}).events
        assert not any(e.get("usage") for e in plain[:-1])
        assert asked[-3]["usage"]["prompt_tokens"] > 0
        assert len(asked) == len(plain) + 1

    def test_chunks_come_as_they_are_made(self, support, config) -> None:
        """The first chunk is here while the upstream still has most of its answer to make."""
        from coreto.testing.simulator import start_simulator

        with start_simulator("openai", "--any-model", "--chunks", "4", "--chunk-delay", "0.3") as slow:
            toml = f'[providers.slow]\nkind = "openai"\nbase_url = "{slow.url}/v1"\n'
            with support.start_server(config(toml, shared=False)) as server:
                connection = http.client.HTTPConnection(*server.address)
                body = {"model": "slow/x", "messages": HELLO, "stream": True}
                connection.request("POST", "/v1/chat/completions", json.dumps(body))
                response = connection.getresponse()
                assert response.readline().startswith(b"data: {")
                (record,) = slow.requests(path="*/chat/completions")
                assert not record["done"]
                assert b"[DONE]" in response.read()
                connection.close()

    def test_fifty_at_once(self, server) -> None:
        """Fifty concurrent streams are all whole, and each is its own."""

        async def one(session: aiohttp.ClientSession, number: int) -> str:
            body = {"model": f"lab/m{number}", "messages": HELLO, "stream": True}
            async with session.post(f"{server.url}/v1/chat/completions", json=body) as response:
                return (await response.read()).decode()

        async def main() -> list[str]:
            async with aiohttp.ClientSession() as session:
                return await asyncio.gather(*(one(session, n) for n in range(50)))

        for number, text in enumerate(asyncio.run(main())):
            assert text.endswith("data: [DONE]\n\n")
            assert f'"deployment":"lab/m{number}"' in text
            assert text.count('"finish_reason":"stop"') == 1


class TestCaller:
    """Labels and who is asking."""

    def test_private_stays_here(self, server, upstream) -> None:
        """``private`` sets the label and is not sent on; the header does the same."""
        got = server.chat(private=True)
        assert got.json["coreto"]["label"] == "private"
        assert "private" not in sent(upstream)
        assert server.chat(headers={"x-coreto-label": "Private"}).json["coreto"]["label"] == "private"

    def test_the_stricter_label_wins(self, server) -> None:
        """A public header does not loosen a private body."""
        assert (
            server.chat(private=True, headers={"x-coreto-label": "public"}).json["coreto"]["label"]
            == "private"
        )
        assert server.chat(headers={"x-coreto-label": "public"}).json["coreto"]["label"] == "public"

    def test_private_never_reaches_the_cloud(self, started, upstream) -> None:
        """A private call for a deployment off this machine is refused and nothing is sent."""
        cloud = f'[providers.far]\nkind = "openai"\nbase_url = "{upstream.url}/v1"\nlocal = false\n'
        with started(cloud) as server:
            got = server.chat("far/x", private=True)
            assert got.status >= 400
            assert "private data stays on this machine" in got.error["message"]
            assert upstream.requests(path="*/chat/completions") == []
            assert server.chat("far/x").status == 200

    def test_user_and_run_reach_the_ledger(self, started, config) -> None:
        """The ledger knows who called and for which run; the header goes before the field."""
        import sqlite3

        with started() as server:
            server.chat(user="ana", headers={"x-coreto-run": "r1"})
            server.chat(user="ana", headers={"x-coreto-user": "bia"})
        database = sqlite3.connect(config().parent / "data" / "coreto.db")
        rows = database.execute("select user_id, run_id from calls order by rowid").fetchall()
        database.close()
        assert rows == [("ana", "r1"), ("bia", None)]


class TestEmbeddings:
    """``/v1/embeddings``."""

    def test_floats(self, server, upstream) -> None:
        """Vectors, usage and trace; unknown fields reach the upstream."""
        body = {"model": "lab/embed", "input": ["a", "b"], "dimensions": 4, "x_vendor": 1}
        got = server.call("POST", "/v1/embeddings", body)
        assert [len(row["embedding"]) for row in got.json["data"]] == [4, 4]
        assert got.json["coreto"]["deployment"] == got.headers["x-coreto-deployment"] == "lab/embed"
        (record,) = upstream.requests(path="*/embeddings")
        assert record["body"] == {**body, "model": "embed"}

    def test_base64_that_the_upstream_makes(self, server) -> None:
        """What the upstream has packed stays packed."""
        body = {"model": "lab/embed", "input": "a", "dimensions": 4}
        floats = server.call("POST", "/v1/embeddings", body).json["data"][0]["embedding"]
        packed = server.call("POST", "/v1/embeddings", {**body, "encoding_format": "base64"}).json["data"][0]
        assert struct.unpack("<4f", base64.b64decode(packed["embedding"])) == struct.unpack(
            "<4f", struct.pack("<4f", *floats)
        )

    def test_base64_for_an_upstream_that_only_has_floats(self, support, config) -> None:
        """Ollama's floats are packed for clients that ask for base64, as OpenAI's SDK does."""
        from coreto.testing.simulator import start_simulator

        with start_simulator("ollama", "--time-scale", "0") as ollama:
            toml = f'[providers.ollama]\nhost = "{ollama.url}"\n'
            with support.start_server(config(toml, shared=False)) as server:
                body = {"model": "ollama/nomic-embed-text", "input": "a"}
                floats = server.call("POST", "/v1/embeddings", body).json["data"][0]["embedding"]
                got = server.call("POST", "/v1/embeddings", {**body, "encoding_format": "base64"})
        assert isinstance(floats[0], float)
        raw = base64.b64decode(got.json["data"][0]["embedding"])
        assert raw == struct.pack(f"<{len(floats)}f", *floats)


class TestOthers:
    """Lists, probes, status."""

    def test_models(self, server) -> None:
        """Roles, ``auto`` and deployments, all owned by coreto."""
        listed = {m["id"]: m for m in server.get("/v1/models").json["data"]}
        assert {"chat", "pair", "auto", "lab/primary", "spare/second"} <= set(listed)
        assert all(
            (m["owned_by"], m["object"], m["created"]) == ("coreto", "model", 0) for m in listed.values()
        )
        assert listed["lab/primary"]["coreto"]["local"] is True
        assert "context" in listed["lab/primary"]["coreto"]
        assert "coreto" not in listed["chat"]

    def test_one_model(self, server) -> None:
        """A model by its id, slashes and all."""
        for name in ("chat", "auto", "lab/primary", "lab/unlisted:latest"):
            assert server.get(f"/v1/models/{name}").json["id"] == name
        got = server.get("/v1/models/lap/primary")
        assert (got.status, got.error["code"]) == (404, "model_not_found")
        assert "lab/primary" in got.error["message"]

    def test_tags(self, server) -> None:
        """Ollama's clients find the same names, unknown sizes null."""
        tags = {m["name"]: m for m in server.get("/api/tags").json["models"]}
        assert set(tags) == {m["id"] for m in server.get("/v1/models").json["data"]}
        assert tags["chat"]["size"] is None
        assert server.call("HEAD", "/").status == 200

    def test_probes(self, server) -> None:
        """Alive and ready, without a key."""
        assert (server.get("/healthz").status, server.get("/readyz").status) == (200, 200)

    def test_not_ready(self, support, config) -> None:
        """With nothing that can answer: alive, but not ready, and it says why."""
        toml = '[providers.lab]\nkind = "openai"\nbase_url = "http://127.0.0.1:9/v1"\n[roles.brain]\nchain = ["lab/x"]\n'
        with support.start_server(config(toml, shared=False)) as server:
            assert server.get("/healthz").status == 200
            got = server.get("/readyz")
            assert got.status == 503
            assert "lab/x" in got.json["reason"]

    def test_status(self, server) -> None:
        """The keys of R13 and R11 are there."""
        server.chat()
        status = server.get("/api/status").json
        assert status["local_available"] is True
        assert status["cloud_available"] is False
        assert {"fallback_enabled", "current_model", "vram_used_gb", "vram_total_gb"} <= set(status)
        assert {"brain_loaded", "executor_loaded"} <= set(status)
        (row,) = [d for d in status["deployments"] if d["id"] == "lab/primary"]
        assert row["calls"] > 0
        assert row["latency_ms"]["p50"] > 0

    def test_openapi(self, server) -> None:
        """The document describes the API, and no page loads code from elsewhere."""
        assert "/api/status" in server.get("/api/openapi.json").json["paths"]
        assert server.get("/api/docs").status == server.get("/docs").status == 404

    def test_head(self, server) -> None:
        """HEAD is GET without the body."""
        got = server.call("HEAD", "/v1/models")
        assert (got.status, got.body) == (200, b"")
        assert int(got.headers["content-length"]) == len(server.get("/v1/models").body)

    def test_options(self, server) -> None:
        """OPTIONS says what is allowed; nothing is said about other origins."""
        got = server.call("OPTIONS", "/v1/chat/completions")
        assert (got.status, got.headers["allow"], got.body) == (204, "POST, OPTIONS", b"")
        assert not any(name.startswith("access-control") for name in got.headers)

    def test_curl(self, server) -> None:
        """curl works as in every tutorial."""
        curl = shutil.which("curl")
        assert curl, "curl is needed"
        body = json.dumps({"model": "chat", "messages": HELLO, "stream": True})
        command = [curl, "-sN", "-H", "Content-Type: application/json", "-d", body]
        out = subprocess.run(
            [*command, f"{server.url}/v1/chat/completions"], capture_output=True, check=True, timeout=10
        )
        assert out.stdout.endswith(b"data: [DONE]\n\n")
