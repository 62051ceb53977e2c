"""The official Ollama and OpenAI clients work against the simulators."""

import json

import ollama
import openai
import pytest

HELLO = [{"role": "user", "content": "hello there"}]
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
CALL = {"tool_calls": [{"name": "get_weather", "arguments": {"city": "Recife"}}]}


@pytest.fixture(scope="module")
def ollama_server(start_simulator):
    with start_simulator("ollama", "--time-scale", "0") as simulator:
        yield simulator


@pytest.fixture(scope="module")
def openai_server(start_simulator):
    with start_simulator("openai", "--api-key", "good-key") as simulator:
        yield simulator


@pytest.fixture
def oll(ollama_server):
    ollama_server.reset()
    return ollama.Client(host=ollama_server.url)


@pytest.fixture
def oai(openai_server):
    openai_server.reset()
    with openai.OpenAI(base_url=openai_server.url + "/v1", api_key="good-key", max_retries=0) as client:
        yield client


class TestOllamaClient:
    """The `ollama` package."""

    def test_list_show_ps(self, oll) -> None:
        """Listing, showing and what runs parse into the client's types."""
        names = [model.model for model in oll.list().models]
        assert {"phi3:mini", "qwen2.5-coder:14b", "qwen3.5:397b-cloud"} <= set(names)
        shown = oll.show("phi3:mini")
        assert shown.capabilities == ["completion"]
        assert shown.modelinfo["phi3.context_length"] == 131072
        oll.chat("phi3:mini", HELLO)
        (running,) = oll.ps().models
        assert (running.model, running.context_length) == ("phi3:mini", 4096)
        assert running.size == running.size_vram
        assert running.expires_at is not None

    def test_chat(self, oll) -> None:
        """A whole answer with its counters."""
        got = oll.chat("phi3:mini", HELLO, options={"num_ctx": 2048}, keep_alive="1m")
        assert got.message.content.startswith("phi3:mini answers ")
        assert got.done_reason == "stop"
        assert got.eval_count > 0

    def test_chat_stream(self, oll) -> None:
        """The streamed pieces join to the whole answer."""
        parts = list(oll.chat("phi3:mini", HELLO, stream=True))
        assert "".join(part.message.content for part in parts) == oll.chat("phi3:mini", HELLO).message.content
        assert [part.done for part in parts] == [False] * (len(parts) - 1) + [True]

    def test_tools_format_think(self, oll, ollama_server) -> None:
        """Tool calls, a schema and thinking come in the client's types."""
        ollama_server.script(CALL)
        (call,) = oll.chat("mistral:7b", HELLO, tools=[WEATHER]).message.tool_calls
        assert (call.function.name, call.function.arguments) == ("get_weather", {"city": "Recife"})
        answer = oll.chat("mistral:7b", HELLO, format=SCHEMA).message.content
        assert json.loads(answer) == {"city": "sim"}
        assert oll.chat("gpt-oss:120b-cloud", HELLO, think=True).message.thinking

    def test_generate_and_embed(self, oll) -> None:
        """Generate answers, embed gives one vector per text."""
        assert oll.generate("phi3:mini", "hi").response.startswith("phi3:mini answers ")
        assert [len(item) for item in oll.embed("nomic-embed-text", ["a", "b"]).embeddings] == [768, 768]
        assert len(oll.embeddings("nomic-embed-text", "a").embedding) == 768

    def test_pull_copy_create_delete(self, oll) -> None:
        """Models can be pulled with progress, copied, derived and deleted."""
        progress = list(oll.pull("smollm2:135m", stream=True))
        assert progress[-1].status == "success"
        assert max(item.completed or 0 for item in progress) == 271_000_000
        assert oll.pull("phi3:mini").status == "success"
        assert oll.copy("smollm2:135m", "mine").status == "success"
        assert oll.create("other", from_="mine").status == "success"
        assert oll.delete("mine").status == "success"
        with pytest.raises(ollama.ResponseError) as caught:
            oll.delete("mine")
        assert caught.value.status_code == 404

    def test_unload(self, oll) -> None:
        """Keep-alive 0 without a prompt takes the model out of memory."""
        assert oll.generate("phi3:mini").done_reason == "load"
        assert oll.generate("phi3:mini", keep_alive=0).done_reason == "unload"
        assert list(oll.ps().models) == []

    def test_errors(self, oll, ollama_server) -> None:
        """Errors before and in the middle of a stream are the client's exception with the server's words."""
        with pytest.raises(ollama.ResponseError, match="model 'ghost' not found") as caught:
            oll.chat("ghost", HELLO)
        assert caught.value.status_code == 404
        ollama_server.add_faults({"kind": "error_mid_stream", "error": "ollama.internal_500"})
        with pytest.raises(ollama.ResponseError, match="Internal Server Error"):
            list(oll.chat("phi3:mini", HELLO, stream=True))

    def test_cloud_host(self, start_simulator) -> None:
        """The client with a bearer key talks to the simulated cloud host."""
        with start_simulator("ollama", "--cloud", "--api-key", "k1", "--time-scale", "0") as simulator:
            client = ollama.Client(host=simulator.url, headers={"Authorization": "Bearer k1"})
            assert client.chat("qwen3.5:397b", HELLO).message.content.startswith("qwen3.5:397b answers")
            simulator.set_usage(session=1.0)
            with pytest.raises(ollama.ResponseError, match="session usage limit") as caught:
                client.chat("qwen3.5:397b", HELLO)
            assert caught.value.status_code == 429


class TestOpenAIClient:
    """The `openai` package."""

    def test_chat(self, oai) -> None:
        """A whole completion in the client's types."""
        got = oai.chat.completions.create(
            model="gpt-4o-mini", messages=HELLO, seed=1, extra_body={"vendor": 1}
        )
        assert got.choices[0].message.content.startswith("gpt-4o-mini answers ")
        assert got.usage.total_tokens == got.usage.prompt_tokens + got.usage.completion_tokens
        assert got.system_fingerprint == "fp_sim"

    def test_stream(self, oai) -> None:
        """Chunks join to the whole answer; usage is in the last one."""
        chunks = list(
            oai.chat.completions.create(
                model="gpt-4o-mini", messages=HELLO, stream=True, stream_options={"include_usage": True}
            )
        )
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        whole = oai.chat.completions.create(model="gpt-4o-mini", messages=HELLO)
        assert text == whole.choices[0].message.content
        assert chunks[-1].usage.total_tokens == whole.usage.total_tokens

    @pytest.mark.parametrize("stream", [False, True])
    def test_tools(self, oai, openai_server, stream) -> None:
        """Scripted tool calls arrive, whole and in pieces."""
        openai_server.script(CALL)
        got = oai.chat.completions.create(model="gpt-4o-mini", messages=HELLO, tools=[WEATHER], stream=stream)
        if stream:
            deltas = [part for chunk in got for part in (chunk.choices[0].delta.tool_calls or [])]
            name, arguments = (
                deltas[0].function.name,
                "".join(part.function.arguments or "" for part in deltas),
            )
        else:
            (call,) = got.choices[0].message.tool_calls
            name, arguments = call.function.name, call.function.arguments
        assert (name, json.loads(arguments)) == ("get_weather", {"city": "Recife"})

    def test_response_format(self, oai) -> None:
        """A JSON schema is honoured."""
        shape = {"type": "json_schema", "json_schema": {"name": "city", "schema": SCHEMA, "strict": True}}
        got = oai.chat.completions.create(model="gpt-4o-mini", messages=HELLO, response_format=shape)
        assert json.loads(got.choices[0].message.content) == {"city": "sim"}

    def test_models_and_embeddings(self, oai) -> None:
        """The model list and embeddings (base64 by the client's default) parse."""
        assert "gpt-4o-mini" in [model.id for model in oai.models.list()]
        assert oai.models.retrieve("gpt-4o-mini").id == "gpt-4o-mini"
        got = oai.embeddings.create(model="text-embedding-3-small", input=["a", "b"])
        assert [len(item.embedding) for item in got.data] == [1536, 1536]

    @pytest.mark.parametrize(
        ("error", "raised", "code"),
        [
            ("openai.invalid_api_key", openai.AuthenticationError, "invalid_api_key"),
            ("openai.insufficient_quota", openai.RateLimitError, "insufficient_quota"),
            ("openai.rate_limit", openai.RateLimitError, "rate_limit_exceeded"),
            ("openai.context_length_exceeded", openai.BadRequestError, "context_length_exceeded"),
            ("openai.content_filter", openai.BadRequestError, "content_filter"),
            ("openai.model_not_found", openai.NotFoundError, "model_not_found"),
            ("openai.permission_denied", openai.PermissionDeniedError, "permission_denied"),
            ("openai.server_error", openai.InternalServerError, None),
        ],
    )
    def test_errors(self, oai, openai_server, error, raised, code) -> None:
        """Each named error is the client's own exception with its code."""
        openai_server.add_faults({"kind": "status", "error": error})
        with pytest.raises(raised) as caught:
            oai.chat.completions.create(model="gpt-4o-mini", messages=HELLO)
        assert caught.value.code == code

    def test_wrong_key(self, oai) -> None:
        """A wrong key is an authentication error."""
        with pytest.raises(openai.AuthenticationError):
            oai.with_options(api_key="bad-key").chat.completions.create(model="gpt-4o-mini", messages=HELLO)

    def test_faults_on_the_wire(self, oai, openai_server) -> None:
        """Reset, hang and a mid-stream error surface as the client's exceptions."""
        ask = {"model": "gpt-4o-mini", "messages": HELLO}
        openai_server.add_faults({"kind": "refuse", "times": 1})
        with pytest.raises(openai.APIConnectionError):
            oai.chat.completions.create(**ask)
        openai_server.add_faults({"kind": "hang", "times": 1})
        with pytest.raises(openai.APITimeoutError):
            oai.with_options(timeout=0.2).chat.completions.create(**ask)
        openai_server.add_faults({"kind": "error_mid_stream", "times": 1})
        with pytest.raises(openai.APIError, match="The server had an error"):
            list(oai.chat.completions.create(**ask, stream=True))

    def test_the_servers_retry_advice_is_followed(self, oai, openai_server) -> None:
        """The client retries a 503 with Retry-After and gets the answer."""
        openai_server.add_faults(
            {"kind": "status", "status": 503, "headers": {"Retry-After": "0"}, "times": 1}
        )
        got = oai.with_options(max_retries=1).chat.completions.create(model="gpt-4o-mini", messages=HELLO)
        assert got.choices[0].finish_reason == "stop"
        assert len(openai_server.requests("*/chat/completions")) == 2

    def test_ollama_v1(self, ollama_server) -> None:
        """The OpenAI client talks to Ollama's layer too, models included."""
        ollama_server.reset()
        with openai.OpenAI(base_url=ollama_server.url + "/v1", api_key="x", max_retries=0) as client:
            got = client.chat.completions.create(model="phi3:mini", messages=HELLO)
            assert got.choices[0].message.content.startswith("phi3:mini answers ")
            assert "phi3:mini" in [model.id for model in client.models.list()]
            with pytest.raises(openai.NotFoundError, match="model 'ghost' not found"):
                client.chat.completions.create(model="ghost", messages=HELLO)

    def test_openrouter(self, start_simulator) -> None:
        """Comments in the stream are skipped, cost is in the usage, a spent credit is a 402."""
        with (
            start_simulator("openai", "--flavour", "openrouter", "--credit", "0.01") as simulator,
            openai.OpenAI(base_url=simulator.url + "/api/v1", api_key="x", max_retries=0) as client,
        ):
            ask = {"model": "openai/gpt-4o-mini", "messages": HELLO}
            chunks = list(client.chat.completions.create(**ask, stream=True))
            assert chunks[-1].usage.model_extra["cost"] > 0
            simulator.add_faults({"kind": "truncate_prompt", "tokens": 100_000, "times": 1})
            client.chat.completions.create(**ask)
            with pytest.raises(openai.APIStatusError) as caught:
                client.chat.completions.create(**ask)
            assert caught.value.status_code == 402
