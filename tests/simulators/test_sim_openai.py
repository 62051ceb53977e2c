"""The OpenAI-compatible simulator over real HTTP: answers, flavours, keys, money."""

import base64
import json
import struct

import pytest

from coreto.testing.simulator import start_simulator

CHAT = "/v1/chat/completions"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


class TestAnswers:
    """What comes back when all is well."""

    def test_whole(self, openai, call, chat) -> None:
        """A completion has id, model, choice, usage and fingerprint."""
        got = call(openai.url + CHAT, chat("gpt-4o-mini")).json
        assert got["id"].startswith("chatcmpl-")
        assert (got["object"], got["model"], got["system_fingerprint"]) == (
            "chat.completion",
            "gpt-4o-mini",
            "fp_sim",
        )
        assert got["choices"][0]["finish_reason"] == "stop"
        assert (
            got["usage"]["total_tokens"] == got["usage"]["prompt_tokens"] + got["usage"]["completion_tokens"]
        )

    def test_stream_says_the_same(self, openai, call, chat) -> None:
        """The joined stream is the whole text; usage only when asked for."""
        whole = call(openai.url + CHAT, chat("gpt-4o-mini")).json
        events = call(openai.url + CHAT, chat("gpt-4o-mini", True)).events
        assert (
            "".join(item["choices"][0]["delta"].get("content", "") for item in events[:-1])
            == (whole["choices"][0]["message"]["content"])
        )
        assert not any("usage" in item for item in events[:-1])
        asked = call(
            openai.url + CHAT, chat("gpt-4o-mini", True, stream_options={"include_usage": True})
        ).events
        assert asked[-2]["choices"] == []
        assert asked[-2]["usage"]["prompt_tokens"] == whole["usage"]["prompt_tokens"]

    def test_response_format(self, openai, call, chat) -> None:
        """A JSON schema gives a minimal valid instance."""
        shape = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}
        got = call(openai.url + CHAT, chat("gpt-4o-mini", response_format=shape)).json
        assert json.loads(got["choices"][0]["message"]["content"]) == {"city": "sim"}

    @pytest.mark.parametrize("stream", [False, True])
    def test_tools(self, openai, call, chat, stream) -> None:
        """Scripted calls come with arguments as text, in pieces when streamed."""
        openai.script({"tool_calls": [{"name": "get_weather", "arguments": {"city": "Recife"}}]})
        got = call(openai.url + CHAT, chat("gpt-4o-mini", stream))
        if stream:
            parts = [c["choices"][0]["delta"].get("tool_calls", []) for c in got.events[:-1]]
            flat = [part for group in parts for part in group]
            arguments = "".join(part["function"].get("arguments", "") for part in flat)
            finish, name = got.events[-2]["choices"][0]["finish_reason"], flat[0]["function"]["name"]
            assert len(flat) == 3
        else:
            (one,) = got.json["choices"][0]["message"]["tool_calls"]
            arguments, name = one["function"]["arguments"], one["function"]["name"]
            finish = got.json["choices"][0]["finish_reason"]
        assert (json.loads(arguments), name, finish) == ({"city": "Recife"}, "get_weather", "tool_calls")

    def test_script_overrides(self, openai, call, chat) -> None:
        """Content, reasoning, finish and usage can be given; entries are used once."""
        openai.script(
            {
                "match": "hello",
                "content": "hi",
                "reasoning": "hm",
                "finish_reason": "length",
                "usage": {"prompt_tokens": 7},
            }
        )
        got = call(openai.url + CHAT, chat("gpt-4o-mini")).json
        assert got["choices"][0]["message"]["reasoning_content"] == "hm"
        assert (got["choices"][0]["finish_reason"], got["usage"]["prompt_tokens"]) == ("length", 7)
        assert call(openai.url + CHAT, chat("gpt-4o-mini")).json["choices"][0]["message"]["content"] != "hi"

    def test_n_and_max_tokens(self, openai, call, chat) -> None:
        """Several choices, and a limit that ends with length."""
        got = call(openai.url + CHAT, chat("gpt-4o-mini", n=2, max_tokens=2)).json
        assert [choice["finish_reason"] for choice in got["choices"]] == ["length", "length"]

    def test_embeddings(self, openai, call) -> None:
        """Floats and base64 say the same."""
        body = {"model": "text-embedding-3-small", "input": ["a", "b"], "dimensions": 16}
        floats = [item["embedding"] for item in call(openai.url + "/v1/embeddings", body).json["data"]]
        packed = call(openai.url + "/v1/embeddings", {**body, "encoding_format": "base64"}).json["data"][0][
            "embedding"
        ]
        assert [len(item) for item in floats] == [16, 16]
        assert struct.unpack("<16f", base64.b64decode(packed)) == pytest.approx(floats[0])

    def test_unknown_fields_are_recorded(self, openai, call, chat) -> None:
        """Everything that was sent can be read back."""
        call(openai.url + CHAT, chat("gpt-4o-mini", vendor={"x": 1}), headers={"X-Trace": "t1"})
        (record,) = openai.requests(CHAT)
        assert record["body"]["vendor"] == {"x": 1}
        assert record["headers"]["X-Trace"] == "t1"
        assert (record["n"], record["method"]) == (1, "POST")

    def test_fixed_number_of_chunks(self, call, chat) -> None:
        """--chunks gives exactly that many pieces of content."""
        with start_simulator("openai", "--chunks", "50", "--any-model") as sim:
            events = call(sim.url + CHAT, chat("whatever", True)).events[:-1]
            assert sum(bool(item["choices"][0]["delta"].get("content")) for item in events) == 50


class TestFlavours:
    """Each server's own errors and extras."""

    @pytest.mark.parametrize(
        ("flavour", "missing", "wrong", "unknown"),
        [
            (
                "openai",
                (401, "You didn't provide an API key"),
                (401, "Incorrect API key provided: bad***"),
                (404, "does not exist"),
            ),
            (
                "openrouter",
                (401, "No auth credentials found"),
                (401, "No auth"),
                (400, "ghost is not a valid model ID"),
            ),
            (
                "llamacpp",
                (401, "Invalid API Key"),
                (401, "Invalid API Key"),
                (400, "model 'ghost' not found"),
            ),
            (
                "vllm",
                (401, "Unauthorized"),
                (401, "Unauthorized"),
                (404, "The model `ghost` does not exist."),
            ),
        ],
    )
    def test_errors(self, call, chat, flavour, missing, wrong, unknown) -> None:
        """Missing key, wrong key and unknown model in the flavour's words."""
        with start_simulator("openai", "--flavour", flavour, "--api-key", "good-key", "--model", "m") as sim:
            for headers, model, (status, words) in (
                (None, "m", missing),
                ({"Authorization": "Bearer bad"}, "m", wrong),
                ({"Authorization": "Bearer good-key"}, "ghost", unknown),
            ):
                got = call(sim.url + CHAT, chat(model), headers=headers)
                assert got.status == status
                assert words in got.body.decode()
            key = {"Authorization": "Bearer good-key"}
            assert call(sim.url + CHAT, chat("m"), headers=key).status == 200
            assert [item["id"] for item in call(sim.url + "/v1/models", headers=key).json["data"]] == ["m"]
            assert call(sim.url + CHAT, b"{oops", headers=key).status == 400

    def test_openrouter_usage_and_comments(self, openrouter, call, chat) -> None:
        """Streams begin with a comment and end with usage and its cost; the generation can be asked for."""
        got = call(openrouter.url + "/api/v1/chat/completions", chat("openai/gpt-4o-mini", True))
        assert got.body.startswith(b": OPENROUTER PROCESSING\n\n")
        assert got.events[-2]["usage"]["cost"] > 0
        identity = got.headers["X-Generation-Id"]
        assert got.events[0]["id"] == identity
        found = call(f"{openrouter.url}/api/v1/generation?id={identity}").json["data"]
        assert found["total_cost"] == got.events[-2]["usage"]["cost"]

    def test_openrouter_fallback_models(self, openrouter, call, chat) -> None:
        """`models` names who answers when the first is unknown, and the reply says who."""
        body = chat("ghost/x", models=["ghost/y", "anthropic/claude-3-haiku"])
        got = call(openrouter.url + "/api/v1/chat/completions", body).json
        assert got["model"] == "anthropic/claude-3-haiku"

    def test_credit_runs_out(self, call, chat) -> None:
        """With the credit spent the answer is 402, and /key says so."""
        with start_simulator("openai", "--flavour", "openrouter", "--credit", "0.00001") as sim:
            url = sim.url + "/api/v1/chat/completions"
            statuses = [call(url, chat("openai/gpt-4o-mini")).status for _ in range(3)]
            assert statuses[0] == 200
            assert statuses[-1] == 402
            key = call(sim.url + "/api/v1/key").json["data"]
            assert key["limit_remaining"] <= 0
            assert key["usage"] >= 0.00001

    def test_llamacpp_router(self, call, chat) -> None:
        """Models load by request and by hand, unload, and tell their state; timings come along."""
        with start_simulator("openai", "--flavour", "llamacpp") as sim:
            status = lambda: {m["id"]: m["status"]["value"] for m in call(sim.url + "/models").json["data"]}  # noqa: E731
            assert status() == {"smollm2-135m": "unloaded", "qwen2.5-7b-instruct": "unloaded"}
            assert "timings" in call(sim.url + CHAT, chat("smollm2-135m")).json
            assert status()["smollm2-135m"] == "loaded"
            again = call(sim.url + "/models/load", {"model": "smollm2-135m"})
            assert (again.status, again.json["error"]["message"]) == (400, "model is already running")
            assert call(sim.url + "/models/unload", {"model": "smollm2-135m"}).json == {"success": True}
            assert (
                call(sim.url + "/models/unload", {"model": "smollm2-135m"}).json["error"]["message"]
                == "model is not running"
            )
            assert call(sim.url + "/models/load", {"model": "ghost"}).status == 404
            missing = call(sim.url + CHAT, {"messages": []}).json["error"]["message"]
            assert missing == "model name is missing from the request"
            assert call(sim.url + "/props").json["role"] == "router"
