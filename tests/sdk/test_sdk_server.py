"""The official OpenAI client works against ``coreto serve`` unchanged."""

import importlib.util
import json
import sys
from pathlib import Path

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
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def _support():
    # By path: the module needs the standard library only, and Coreto is not installed here.
    path = Path(__file__).parents[1] / "support" / "server_process.py"
    spec = importlib.util.spec_from_file_location("coreto_server_process", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def upstreams(start_simulator):
    with (
        start_simulator("openai", "--any-model") as lab,
        start_simulator("ollama", "--time-scale", "0") as home,
    ):
        yield lab, home


@pytest.fixture(scope="module")
def server(upstreams, tmp_path_factory):
    lab, home = upstreams
    toml = f"""
[server]
api_keys = ["good-key"]
[providers.lab]
kind = "openai"
base_url = "{lab.url}/v1"
[providers.ollama]
host = "{home.url}"
[roles.chat]
chain = ["lab/gone", "lab/primary"]
[roles.home]
chain = ["ollama/phi3:mini"]
[roles.lost]
chain = ["lab/lost"]
retries = 0
"""
    support = _support()
    with support.start_server(support.write_config(tmp_path_factory.mktemp("server"), toml)) as it:
        yield it


@pytest.fixture
def lab(upstreams):
    upstreams[0].reset()
    upstreams[0].add_faults({"kind": "status", "status": 500, "model": "gone"})
    return upstreams[0]


@pytest.fixture
def client(server, lab):
    with openai.OpenAI(base_url=server.url + "/v1", api_key="good-key", max_retries=0) as it:
        yield it


class TestChat:
    """Chat, whole and streamed."""

    @pytest.mark.parametrize("model", ["chat", "home", "lab/any", "ollama/phi3:mini", "auto"])
    def test_whole(self, client, model) -> None:
        """An answer parses into the client's types, from either wire."""
        got = client.chat.completions.create(model=model, messages=HELLO)
        assert got.choices[0].message.content
        assert got.choices[0].finish_reason == "stop"
        assert got.usage.total_tokens == got.usage.prompt_tokens + got.usage.completion_tokens
        assert got.model_extra["coreto"]["deployment"]

    def test_the_fall_back_shows(self, client) -> None:
        """The trace says what failed first; so do the headers."""
        raw = client.chat.completions.with_raw_response.create(model="chat", messages=HELLO)
        trace = raw.parse().model_extra["coreto"]
        assert trace["deployment"] == raw.headers["x-coreto-deployment"] == "lab/primary"
        assert trace["attempts"][-1]["outcome"] == "ok"

    @pytest.mark.parametrize("model", ["chat", "home"])
    def test_stream(self, client, model) -> None:
        """The joined stream is the whole text; the last chunk has the trace."""
        whole = client.chat.completions.create(model=model, messages=HELLO, temperature=0)
        chunks = list(
            client.chat.completions.create(
                model=model,
                messages=HELLO,
                temperature=0,
                stream=True,
                stream_options={"include_usage": True},
            )
        )
        text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        assert text == whole.choices[0].message.content
        assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
        assert next(c.usage for c in chunks if c.usage).completion_tokens > 0
        assert chunks[-1].model_extra["coreto"]["deployment"]

    def test_stream_helper(self, client) -> None:
        """The client's own accumulating helper gets through a whole stream."""
        with client.chat.completions.stream(model="chat", messages=HELLO) as stream:
            for _ in stream:
                pass
            assert stream.get_final_completion().choices[0].message.content

    @pytest.mark.parametrize("model", ["chat", "home"])
    def test_tools(self, client, upstreams, model) -> None:
        """Tools go there, calls come back."""
        for upstream in upstreams:
            upstream.script(
                {"tool_calls": [{"name": "get_weather", "arguments": {"city": "Recife"}}], "times": 1}
            )
        name = "lab/any" if model == "chat" else "ollama/qwen2.5-coder:14b"
        choice = client.chat.completions.create(model=name, messages=HELLO, tools=[WEATHER]).choices[0]
        (call,) = choice.message.tool_calls
        assert (choice.finish_reason, json.loads(call.function.arguments)) == (
            "tool_calls",
            {"city": "Recife"},
        )
        for upstream in upstreams:
            upstream.reset()

    @pytest.mark.parametrize("model", ["lab/any", "ollama/phi3:mini"])
    def test_response_format(self, client, model) -> None:
        """A JSON schema is met on either wire."""
        form = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA, "strict": True}}
        got = client.chat.completions.create(model=model, messages=HELLO, response_format=form)
        assert set(json.loads(got.choices[0].message.content)) == {"city"}

    def test_unknown_fields(self, client, lab) -> None:
        """What the client does not know either reaches the upstream."""
        client.chat.completions.create(
            model="lab/any",
            messages=HELLO,
            seed=3,
            extra_body={"x_vendor": {"a": [1, None]}, "private": True},
        )
        body = lab.requests(path="*/chat/completions")[-1]["body"]
        assert (body["seed"], body["x_vendor"]) == (3, {"a": [1, None]})
        assert "private" not in body


class TestOthers:
    """Models, embeddings, errors."""

    def test_models(self, client) -> None:
        """Roles and deployments are listed and found one by one."""
        names = [m.id for m in client.models.list()]
        assert {"chat", "home", "lab/primary", "ollama/phi3:mini"} <= set(names)
        assert client.models.retrieve("ollama/phi3:mini").owned_by == "coreto"

    def test_the_ollama_clients_list(self, server) -> None:
        """The official Ollama client lists the same names."""
        there = ollama.Client(host=server.url, headers={"Authorization": "Bearer good-key"})
        assert {"chat", "lab/primary", "ollama/phi3:mini"} <= {m.model for m in there.list().models}

    @pytest.mark.parametrize("model", ["lab/embed", "ollama/nomic-embed-text"])
    def test_embeddings(self, client, model) -> None:
        """The client asks for base64 on its own and gets numbers, whatever the upstream sends."""
        packed = client.embeddings.create(model=model, input=["a", "b"])
        plain = client.embeddings.create(model=model, input=["a", "b"], encoding_format="float")
        assert [len(row.embedding) for row in packed.data] == [len(row.embedding) for row in plain.data]
        assert packed.data[1].embedding == pytest.approx(plain.data[1].embedding, abs=1e-6)

    def test_errors(self, client, server, lab) -> None:
        """Each failure is the client's own exception for it, with code and field."""
        with pytest.raises(openai.NotFoundError) as caught:
            client.chat.completions.create(model="chatt", messages=HELLO)
        assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
        with pytest.raises(openai.BadRequestError) as caught:
            client.chat.completions.create(model="chat", messages=[])
        assert caught.value.param == "messages"
        with pytest.raises(openai.AuthenticationError):
            client.with_options(api_key="bad").models.list()
        lab.add_faults({"kind": "status", "status": 503, "model": "lost"})
        for stream in (False, True):
            with pytest.raises(openai.InternalServerError) as caught:
                client.chat.completions.create(model="lost", messages=HELLO, stream=stream)
            assert caught.value.status_code == 503

    def test_a_stream_that_breaks(self, client, lab) -> None:
        """A stream that breaks is an exception of the client's, not a short answer."""
        lab.add_faults({"kind": "cut", "model": "broken", "chunks": 3})
        with pytest.raises(openai.APIError):
            list(client.chat.completions.create(model="lab/broken", messages=HELLO, stream=True))
