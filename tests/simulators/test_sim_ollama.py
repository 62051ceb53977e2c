"""The simulated Ollama over real HTTP: routes, bodies, memory, keep-alive, the cloud."""

import asyncio
import json

import pytest

from coreto.testing.simulator import start_simulator

QWEN, CODER = "qwen2.5-32b-instruct-moe-rtx", "qwen2.5-coder:14b"
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "n": {"type": "integer"}},
    "required": ["city", "n"],
}
WEATHER = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}


def names(got, key="models"):
    return [item["name"] for item in got.json[key]]


class TestErrors:
    """Each error of the facts table: status and text."""

    @pytest.mark.parametrize(
        ("path", "body", "status", "message"),
        [
            ("/api/chat", b"", 400, "missing request body"),
            ("/api/generate", b"", 400, "missing request body"),
            ("/api/chat", b"{nope", 400, "invalid character '{' looking for beginning of value"),
            ("/api/chat", {"messages": []}, 400, "model is required"),
            ("/api/generate", {"prompt": "x"}, 404, "model '' not found"),
            ("/api/chat", {"model": "ghost"}, 404, "model 'ghost' not found"),
            ("/api/generate", {"model": "ghost:7b"}, 404, "model 'ghost:7b' not found"),
            ("/api/show", {"model": "ghost"}, 404, "model 'ghost' not found"),
            ("/api/embed", {"model": "ghost", "input": "x"}, 404, "model 'ghost' not found"),
            ("/api/chat", {"model": "a b"}, 400, "invalid model name"),
            ("/api/chat", {"model": "nomic-embed-text"}, 400, '"nomic-embed-text" does not support chat'),
            (
                "/api/generate",
                {"model": "nomic-embed-text"},
                400,
                '"nomic-embed-text" does not support generate',
            ),
            (
                "/api/embed",
                {"model": "phi3:mini", "input": "x"},
                501,
                "this model does not support embeddings",
            ),
            (
                "/api/chat",
                {"model": "phi3:mini", "tools": [WEATHER], "messages": [{"role": "user", "content": "x"}]},
                400,
                "registry.ollama.ai/library/phi3:mini does not support tools",
            ),
            (
                "/api/chat",
                {"model": "phi3:mini", "think": True, "messages": [{"role": "user", "content": "x"}]},
                400,
                '"phi3:mini" does not support thinking',
            ),
            ("/api/chat", {"model": "phi3:mini", "keep_alive": "soon"}, 400, 'time: invalid duration "soon"'),
            (
                "/api/embed",
                {"model": "nomic-embed-text", "input": "x" * 20000, "truncate": False},
                400,
                "the input length exceeds the context length",
            ),
            (
                "/api/pull",
                {"model": "ghost", "stream": False},
                500,
                "pull model manifest: file does not exist",
            ),
            ("/api/copy", {"source": "ghost", "destination": "x"}, 404, "model 'ghost' not found"),
        ],
    )
    def test_body(self, ollama, call, path, body, status, message) -> None:
        """The error has the real server's status and words."""
        got = call(ollama.url + path, body)
        assert (got.status, got.json) == (status, {"error": message})

    @pytest.mark.parametrize(
        ("body", "status", "kind"),
        [({"model": "ghost"}, 404, "not_found_error"), ({}, 400, "invalid_request_error")],
    )
    def test_v1_envelope(self, ollama, call, body, status, kind) -> None:
        """The OpenAI layer wraps the same errors."""
        got = call(ollama.url + "/v1/chat/completions", body)
        assert (got.status, got.json["error"]["type"]) == (status, kind)
        assert set(got.json["error"]) == {"message", "type", "param", "code"}

    def test_v1_named_fault(self, ollama, call, chat) -> None:
        """A native error injected on /v1 comes in its envelope."""
        ollama.add_faults({"kind": "status", "error": "ollama.queue_full_503"})
        got = call(ollama.url + "/v1/chat/completions", chat("phi3:mini"))
        assert (
            got.json["error"]["message"]
            == "server busy, please try again.  maximum pending requests exceeded"
        )
        assert got.json["error"]["type"] == "api_error"

    def test_too_long_prompt_is_refused_only_without_shift(self, ollama, call) -> None:
        """With shift false a too long prompt is a 400."""
        body = {"model": "phi3:mini", "messages": [{"role": "user", "content": "x" * 40000}], "shift": False}
        got = call(ollama.url + "/api/chat", body)
        assert got.status == 400
        assert got.json["error"].startswith(
            "the prompt is longer than the context length currently available"
        )

    def test_too_large_model(self, ollama, call, chat) -> None:
        """A model that never fits is a 500 about memory; one with a hidden need says out of memory."""
        ollama.set_models(
            add=[{"name": "huge", "size": "40 GB"}, {"name": "sly", "size": "15 GB", "surprise": 4 * 10**9}]
        )
        assert call(ollama.url + "/api/chat", chat("huge")).json == {
            "error": "unable to load full model on GPU"
        }
        got = call(ollama.url + "/api/chat", chat("sly"))
        assert got.status == 500
        assert got.json["error"].startswith("llama-server reported out-of-memory during startup:")


class TestAnswers:
    """What a model says, and what the reply says about it."""

    def test_final_line(self, ollama, call, chat) -> None:
        """The last line carries the counters; the load is told once."""
        first = call(ollama.url + "/api/chat", chat("phi3:mini", True)).lines[-1]
        assert (first["done"], first["done_reason"], first["message"]["content"]) == (True, "stop", "")
        assert (
            min(first[key] for key in ("total_duration", "load_duration", "prompt_eval_count", "eval_count"))
            > 0
        )
        second = call(ollama.url + "/api/chat", chat("phi3:mini")).json
        assert "load_duration" not in second

    def test_stream_is_the_default_and_says_the_same(self, ollama, call, chat) -> None:
        """Without `stream` the reply is NDJSON; whole and streamed text are equal."""
        body = chat("phi3:mini")
        whole = call(ollama.url + "/api/chat", body).json["message"]["content"]
        del body["stream"]
        got = call(ollama.url + "/api/chat", body)
        assert got.headers["Content-Type"] == "application/x-ndjson"
        assert "".join(line["message"]["content"] for line in got.lines) == whole
        assert all(line["done"] is False for line in got.lines[:-1])

    def test_generate(self, ollama, call) -> None:
        """Generate answers in `response`."""
        got = call(ollama.url + "/api/generate", {"model": "phi3:mini", "prompt": "hi", "stream": False})
        assert got.json["response"].startswith("phi3:mini answers ")

    def test_format(self, ollama, call, chat) -> None:
        """A schema gives a minimal instance, "json" an object."""
        answer = call(ollama.url + "/api/chat", chat("phi3:mini", format=SCHEMA)).json["message"]["content"]
        assert json.loads(answer) == {"city": "sim", "n": 0}
        answer = call(ollama.url + "/api/chat", chat("phi3:mini", format="json")).json["message"]["content"]
        assert list(json.loads(answer)) == ["answer"]

    def test_num_predict(self, ollama, call, chat) -> None:
        """A short limit ends with reason length."""
        got = call(ollama.url + "/api/chat", chat("phi3:mini", options={"num_predict": 3})).json
        assert (got["done_reason"], got["eval_count"]) == ("length", 3)

    def test_silent_truncation(self, ollama, call) -> None:
        """A too long prompt is cut without a word: about half the window is reported."""
        body = {"model": "phi3:mini", "messages": [{"role": "user", "content": "x" * 40000}], "stream": False}
        got = call(ollama.url + "/api/chat", {**body, "options": {"num_ctx": 2048}})
        assert (got.status, got.json["prompt_eval_count"]) == (200, 1026)

    def test_old_messages_are_dropped_first(self, ollama, call) -> None:
        """The system message and the last one stay."""
        old = {"role": "user", "content": "x" * 12000}
        messages = [{"role": "system", "content": "be brief"}, old, old, {"role": "user", "content": "now"}]
        got = call(ollama.url + "/api/chat", {"model": "phi3:mini", "messages": messages, "stream": False})
        assert got.json["prompt_eval_count"] < 3100

    @pytest.mark.parametrize("stream", [False, True])
    def test_tools(self, ollama, call, chat, stream) -> None:
        """Scripted calls come with arguments as an object."""
        ollama.script({"tool_calls": [{"name": "get_weather", "arguments": {"city": "Recife"}}]})
        got = call(ollama.url + "/api/chat", chat(CODER, stream, tools=[WEATHER]))
        message = next(line["message"] for line in got.lines if "tool_calls" in line["message"])
        assert message["tool_calls"][0]["function"]["arguments"] == {"city": "Recife"}

    def test_bad_tool_json(self, ollama, call, chat) -> None:
        """Arguments that are not JSON are the 500 of the parser."""
        ollama.script({"tool_calls": [{"name": "get_weather", "arguments": '{"city": '}]})
        got = call(ollama.url + "/api/chat", chat(CODER, tools=[WEATHER]))
        assert got.status == 500
        assert got.json["error"].startswith("error parsing tool call: raw=")

    def test_thinking(self, ollama, call, chat) -> None:
        """A thinking model separates its thoughts, and keeps them when told so."""
        got = call(ollama.url + "/api/chat", chat("gpt-oss:120b-cloud")).json
        assert got["message"]["thinking"]
        quiet = call(ollama.url + "/api/chat", chat("gpt-oss:120b-cloud", think=False)).json
        assert "thinking" not in quiet["message"]

    def test_embeddings(self, ollama, call) -> None:
        """One vector per text, of the model's length; the older route and /v1 give the same."""
        body = {"model": "nomic-embed-text", "input": ["a", "b"]}
        got = call(ollama.url + "/api/embed", body).json
        assert [len(item) for item in got["embeddings"]] == [768, 768]
        old = call(ollama.url + "/api/embeddings", {"model": "nomic-embed-text", "prompt": "a"}).json
        assert old["embedding"] == got["embeddings"][0]
        v1 = call(ollama.url + "/v1/embeddings", body).json
        assert [item["embedding"] for item in v1["data"]] == got["embeddings"]

    def test_v1_ignores_num_ctx_and_keep_alive(self, ollama, call, chat) -> None:
        """The OpenAI layer knows neither: the runner has the defaults."""
        call(ollama.url + "/v1/chat/completions", chat("phi3:mini", options={"num_ctx": 512}, keep_alive=0))
        (runner,) = call(ollama.url + "/api/ps").json["models"]
        assert runner["context_length"] == 4096

    def test_v1_stream_with_usage(self, ollama, call, chat) -> None:
        """Usage comes in the last chunk when asked for."""
        body = chat("phi3:mini", True, stream_options={"include_usage": True})
        events = call(ollama.url + "/v1/chat/completions", body).events
        assert events[-1] == "[DONE]"
        assert events[-2]["usage"]["total_tokens"] > 0
        assert events[-3]["choices"][0]["finish_reason"] == "stop"


class TestRegistry:
    """Listing and managing models."""

    def test_root_version_status(self, ollama, call) -> None:
        """The plain routes answer, HEAD too."""
        assert call(ollama.url + "/").body == b"Ollama is running"
        assert call(ollama.url + "/", method="HEAD").status == 200
        assert "version" in call(ollama.url + "/api/version").json
        assert call(ollama.url + "/api/status").json == {"cloud": {"disabled": False, "source": "none"}}

    def test_tags(self, ollama, call) -> None:
        """Tags list local models and cloud stubs with their remote."""
        models = {item["name"]: item for item in call(ollama.url + "/api/tags").json["models"]}
        assert {"phi3:mini", CODER, f"{QWEN}:latest", "qwen3.5:397b-cloud"} <= set(models)
        assert models["qwen3.5:397b-cloud"]["remote_model"] == "qwen3.5:397b"
        assert models["qwen3.5:397b-cloud"]["remote_host"] == "https://ollama.com:443"
        assert "remote_model" not in models["phi3:mini"]
        assert models[CODER]["size"] == 9 * 10**9

    def test_show(self, ollama, call) -> None:
        """Show tells context and capabilities."""
        got = call(ollama.url + "/api/show", {"model": CODER}).json
        assert got["model_info"]["qwen2.context_length"] == 32768
        assert got["capabilities"] == ["completion", "tools", "insert"]
        assert (
            call(ollama.url + "/api/show", {"model": "qwen3.5:397b-cloud"}).json["remote_model"]
            == "qwen3.5:397b"
        )

    def test_pull(self, ollama, call, chat) -> None:
        """Progress lines in order, then the model is there."""
        assert call(ollama.url + "/api/chat", chat("smollm2:135m")).status == 404
        lines = call(ollama.url + "/api/pull", {"model": "smollm2:135m"}).lines
        statuses = list(dict.fromkeys(line["status"].split()[0] for line in lines))
        assert statuses == ["pulling", "verifying", "writing", "success"]
        progress = [line["completed"] for line in lines if "completed" in line]
        assert progress == sorted(progress)
        assert progress[-1] == lines[-2].get("total", 271_000_000)
        assert call(ollama.url + "/api/chat", chat("smollm2:135m")).status == 200

    def test_pull_unknown(self, ollama, call) -> None:
        """An unknown model ends the stream with an error."""
        assert call(ollama.url + "/api/pull", {"model": "ghost"}).lines[-1] == {
            "error": "pull model manifest: file does not exist"
        }

    def test_copy_create_delete(self, ollama, call) -> None:
        """A copy and a derived model appear; deleting removes."""
        assert call(ollama.url + "/api/copy", {"source": "phi3:mini", "destination": "mine"}).status == 200
        assert call(ollama.url + "/api/create", {"model": "other", "from": "phi3:mini"}).lines[-1] == {
            "status": "success"
        }
        assert {"mine:latest", "other:latest"} <= set(names(call(ollama.url + "/api/tags")))
        assert call(ollama.url + "/api/delete", {"model": "mine"}, method="DELETE").status == 200
        assert call(ollama.url + "/api/delete", {"model": "mine"}, method="DELETE").status == 404

    def test_copies_share_one_place_in_memory(self, ollama, call, chat) -> None:
        """Two names with the same weights are loaded once."""
        call(ollama.url + "/api/copy", {"source": "phi3:mini", "destination": "mine"})
        call(ollama.url + "/api/chat", chat("phi3:mini"))
        call(ollama.url + "/api/chat", chat("mine"))
        assert ollama.state()["loads"] == 1


class TestMemory:
    """Loading, evicting, unloading as seen from outside."""

    def test_models_that_do_not_fit_alternate(self, ollama, call, chat) -> None:
        """13 GB and 9 GB in 16 GB take turns; memory is never exceeded."""
        for model in (QWEN, CODER, QWEN, CODER):
            assert call(ollama.url + "/api/chat", chat(model)).status == 200
            assert ollama.state()["memory_used"] <= 16 * 10**9
        assert (ollama.state()["loads"], ollama.state()["evictions"]) == (4, 3)
        assert names(call(ollama.url + "/api/ps")) == [CODER]

    def test_ps(self, ollama, call, chat) -> None:
        """A resident model tells size, context and expiry; cloud models never appear."""
        call(ollama.url + "/api/chat", chat("phi3:mini", keep_alive=-1))
        call(ollama.url + "/api/chat", chat("mistral:7b"))
        call(ollama.url + "/api/chat", chat("qwen3.5:397b-cloud"))
        models = call(ollama.url + "/api/ps").json["models"]
        assert [item["name"] for item in models] == ["phi3:mini", "mistral:7b"]
        assert models[0]["expires_at"] > "2300"
        assert models[0]["size"] == models[0]["size_vram"] > int(2.2e9)
        assert models[0]["context_length"] == 4096

    def test_load_and_unload(self, ollama, call) -> None:
        """An empty request loads; with keep_alive 0 it unloads, loaded or not."""
        empty = {"model": "phi3:mini", "messages": []}
        got = call(ollama.url + "/api/chat", empty).json
        assert (got["done_reason"], got["done"]) == ("load", True)
        assert names(call(ollama.url + "/api/ps")) == ["phi3:mini"]
        for path, body in (("/api/chat", empty), ("/api/generate", {"model": "phi3:mini"})):
            got = call(ollama.url + path, {**body, "keep_alive": 0}).json
            assert got["done_reason"] == "unload"
            assert names(call(ollama.url + "/api/ps")) == []

    def test_keep_alive_runs_out(self, ollama, call, chat) -> None:
        """After its keep-alive an idle model leaves by itself."""
        call(ollama.url + "/api/chat", chat("phi3:mini", keep_alive="40ms"))
        for _ in range(400):
            if ollama.state()["runners"] == []:
                break
        assert ollama.state()["runners"] == []

    def test_another_num_ctx_reloads(self, ollama, call, chat) -> None:
        """A changed num_ctx loads again; the same one does not."""
        for num_ctx in (2048, 2048, 8192):
            call(ollama.url + "/api/chat", chat("phi3:mini", options={"num_ctx": num_ctx}))
        assert ollama.state()["loads"] == 2
        assert call(ollama.url + "/api/ps").json["models"][0]["context_length"] == 8192

    def test_engine_restart(self, ollama, call, chat) -> None:
        """After a restart nothing is resident and the next call loads."""
        call(ollama.url + "/api/chat", chat("phi3:mini"))
        ollama.restart_engine()
        assert names(call(ollama.url + "/api/ps")) == []
        assert call(ollama.url + "/api/chat", chat("phi3:mini")).status == 200

    def test_out_of_memory_fault_expires_all(self, ollama, call, chat) -> None:
        """An injected out-of-memory sends every model away."""
        call(ollama.url + "/api/chat", chat("phi3:mini"))
        ollama.add_faults({"kind": "status", "error": "ollama.oom_500", "times": 1})
        assert call(ollama.url + "/api/chat", chat("phi3:mini")).status == 500
        assert names(call(ollama.url + "/api/ps")) == []

    def test_concurrent_requests_of_two_models_all_end(self, ollama, fetch, chat) -> None:
        """Twenty requests over two models that exclude each other are all served."""

        async def scenario():
            url = ollama.url + "/api/chat"
            bodies = [chat(QWEN if index % 2 else CODER) for index in range(20)]
            return [got.status for got in await asyncio.gather(*(fetch(url, body) for body in bodies))]

        assert asyncio.run(scenario()) == [200] * 20
        assert ollama.state()["queue"] == 0

    def test_giving_up_frees_the_place(self, ollama, fetch, call, chat) -> None:
        """A client that leaves a held request lets the next model in."""
        ollama.add_faults({"kind": "stall", "chunks": 1, "times": 1})

        async def scenario():
            await fetch(ollama.url + "/api/chat", chat(QWEN, True), timeout=0.15)

        asyncio.run(scenario())
        assert call(ollama.url + "/api/chat", chat(CODER)).status == 200


def test_full_queue(call, fetch, chat) -> None:
    """Past the longest queue the answer is 503 at once."""
    with start_simulator("ollama", "--max-queue", "1", "--time-scale", "0.05") as sim:

        async def scenario():
            url = sim.url + "/api/chat"
            models = [QWEN, CODER, "mistral:7b", "phi3:mini"]
            return [
                got.status for got in await asyncio.gather(*(fetch(url, chat(model)) for model in models))
            ]

        assert sorted(asyncio.run(scenario())) == [200, 200, 503, 503]


class TestLocalCloud:
    """Cloud models through the local daemon."""

    def test_remote_fields(self, ollama, call, chat) -> None:
        """The reply names the remote model and host; a format is ignored there."""
        got = call(ollama.url + "/api/chat", chat("deepseek-v4-flash:cloud", format=SCHEMA)).json
        assert (got["remote_model"], got["remote_host"]) == ("deepseek-v4-flash", "https://ollama.com:443")
        assert got["message"]["content"].startswith("deepseek-v4-flash:cloud answers")

    def test_retired(self, ollama, call, chat) -> None:
        """A retired model is a 404 of the cloud."""
        got = call(ollama.url + "/api/chat", chat("qwen3-coder:480b-cloud"))
        assert (got.status, got.json) == (404, {"error": 'model "qwen3-coder:480b" not found'})

    def test_quota_of_the_account(self, ollama, call, chat) -> None:
        """With the limit reached every cloud model is refused, local ones answer."""
        ollama.set_usage(session=1.0)
        for model in ("qwen3.5:397b-cloud", "gpt-oss:120b-cloud"):
            got = call(ollama.url + "/api/chat", chat(model))
            assert got.status == 429
            assert "session usage limit" in got.json["error"]
            assert "Retry-After" not in got.headers
        assert call(ollama.url + "/api/chat", chat("phi3:mini")).status == 200
        ollama.set_usage(session=None, weekly=1.0)
        assert (
            "weekly usage limit" in call(ollama.url + "/api/chat", chat("gpt-oss:120b-cloud")).json["error"]
        )

    def test_signed_out_and_disabled(self, call, chat) -> None:
        """Not signed in is 401 with a sign-in address, disabled 403."""
        with start_simulator("ollama", "--signed-out") as sim:
            got = call(sim.url + "/api/chat", chat("gpt-oss:120b-cloud"))
            assert (got.status, set(got.json)) == (401, {"error", "signin_url"})
        with start_simulator("ollama", "--cloud-disabled") as sim:
            got = call(sim.url + "/api/chat", chat("gpt-oss:120b-cloud"))
            assert (got.status, got.json["error"]) == (
                403,
                "ollama cloud is disabled: remote model is unavailable",
            )
            got = call(sim.url + "/api/show", {"model": "gpt-oss:120b-cloud"})
            assert got.json["error"] == "ollama cloud is disabled: remote model details are unavailable"


def test_cloud_host(call, chat) -> None:
    """As ollama.com: bearer only, public tags, quota by requests, usage, plan, no local model."""
    with start_simulator(
        "ollama", "--cloud", "--api-key", "k1", "--session-requests", "2", "--time-scale", "0"
    ) as sim:
        key = {"Authorization": "Bearer k1"}
        url = sim.url + "/api/chat"
        assert "qwen3.5:397b" in names(call(sim.url + "/api/tags"))
        assert "phi3:mini" not in names(call(sim.url + "/api/tags"))
        for headers in (None, {"x-api-key": "k1"}, {"Authorization": "Bearer k2"}):
            assert call(url, chat("gpt-oss:120b"), headers=headers).status == 401
        assert call(url, chat("gpt-oss:120b"), headers=key).status == 200
        got = call(url, chat("deepseek-v4-flash", format=SCHEMA), headers=key)
        assert "answers" in got.json["message"]["content"]
        assert "remote_model" not in got.json
        assert call(url, chat("gpt-oss:120b"), headers=key).status == 429
        usage = call(sim.url + "/api/usage", headers=key).json
        assert usage["limits"]["session"]["usage"] == 1.0
        assert usage["limits"]["session"]["models"][0] == {"name": "gpt-oss:120b", "request_count": 1}
        assert call(sim.url + "/api/me", {}, headers=key).json["plan"] == ""
        sim.reset()
        got = call(url, chat("deepseek-v3.1:671b"), headers=key)
        assert (got.status, got.json) == (404, {"error": 'model "deepseek-v3.1:671b" not found'})
        v1 = call(sim.url + "/v1/chat/completions", chat("gpt-oss:120b"))
        assert (v1.status, v1.json["error"]["message"]) == (401, "unauthorized")
