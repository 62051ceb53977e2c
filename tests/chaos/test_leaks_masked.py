"""Masking through a real server: clouds see placeholders, the client sees what it wrote, at every seam."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from leak_house import ADDRESS, CPF, EMAIL, found

from coreto.testing.simulator import Simulator, start_simulator

TOLD = f"Meu CPF é {CPF} e meu e-mail é {EMAIL}. Recado, por favor."
MASKED = "Recebi o recado sobre [CPF_1] e vou escrever para [EMAIL_1] amanhã cedo, sem falta nenhuma."
PLAIN = MASKED.replace("[CPF_1]", CPF).replace("[EMAIL_1]", EMAIL)
SCHEMA = {
    "type": "object",
    "properties": {"cpf": {"type": "string", "pattern": r"^\d{3}\.\d{3}\.\d{3}-\d{2}$"}},
    "required": ["cpf"],
}
FORM = {"type": "json_schema", "json_schema": {"name": "person", "schema": SCHEMA}}
TOOL = {"type": "function", "function": {"name": "note", "parameters": {"type": "object"}}}
#: A wire, the provider of it, and a model of it.
WIRES = {
    "openai": "lab/x",
    "openrouter": "openrouter/y",
    "ollama-cloud": "ollama-cloud/gpt-oss:20b",
    "daemon": "daemon/gpt-oss:120b",
}
PAIRS = {
    "cloud-cloud": ["lab/x", "openrouter/y"],
    "cloud-home": ["lab/x", "home/b"],
    "home-cloud": ["home/a", "lab/y"],
    "cloud-ollama": ["lab/x", "ollama-cloud/gpt-oss:20b"],
}


@pytest.fixture(scope="module")
def _sims() -> Iterator[dict[str, Simulator]]:
    with ExitStack() as stack:
        start = stack.enter_context
        yield {
            "lab": start(start_simulator("openai", "--any-model")),
            "openrouter": start(start_simulator("openai", "--flavour", "openrouter", "--any-model")),
            "ollama-cloud": start(
                start_simulator("ollama", "--cloud", "--api-key", "k", "--time-scale", "0")
            ),
            "daemon": start(start_simulator("ollama", "--time-scale", "0")),
            "home": start(start_simulator("openai", "--any-model")),
        }


@pytest.fixture
def sims(_sims: dict[str, Simulator]) -> dict[str, Simulator]:
    """The servers as at their start, with what they say to placeholders, or at home to the values."""
    for name, sim in _sims.items():
        sim.reset()
        here = name == "home"
        said = PLAIN if here else MASKED
        seen = CPF if here else "[CPF_1]"
        sim.script(
            {"match": "use a ferramenta", "tool_calls": [_noted(seen)], "times": None},
            {"match": "responda em JSON", "content": "não é JSON, mas fala de " + seen, "times": 1},
            {"match": "responda em JSON", "content": json.dumps({"cpf": seen}), "times": None},
            {"match": seen, "content": said, "times": None},
        )
    return _sims


def _noted(value: str) -> dict[str, Any]:
    return {"function": {"name": "note", "arguments": {"cpf": value}}}


@pytest.fixture(scope="module")
def server(
    _sims: dict[str, Simulator], server_process: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """A server that masks, with a role for each wire and each pair."""
    toml = f"""
privacy = "mask"
log_level = "debug"
[providers.lab]
kind = "openai"
base_url = "{_sims["lab"].url}/v1"
local = false
[providers.openrouter]
base_url = "{_sims["openrouter"].url}/api/v1"
api_key = "k"
local = false
[providers.ollama-cloud]
base_url = "{_sims["ollama-cloud"].url}"
api_key = "k"
[providers.ollama]
host = "{_sims["daemon"].url}"
[providers.daemon]
kind = "ollama-cloud"
[providers.home]
kind = "openai"
base_url = "{_sims["home"].url}/v1"
"""
    for name, deployment in WIRES.items():
        toml += f'[roles."{name}"]\nchain = ["{deployment}"]\nretries = 0\n'
    for name, chain in PAIRS.items():
        for policy in ("hold", "continue", "restart"):
            toml += f'[roles."{name}-{policy}"]\nchain = {json.dumps(chain)}\nretries = 0\n'
            toml += f'stream_failover = "{policy}"\n'
    file = server_process.write_config(tmp_path_factory.mktemp("masked"), toml)
    with server_process.start_server(file) as it:
        yield it
        assert found("".join(it.errors)) == []


def left(sims: dict[str, Simulator]) -> dict[str, list[str]]:
    """What of the values reached a cloud, the digits by themselves included."""
    out: dict[str, list[str]] = {}
    for name, sim in sims.items():
        text = json.dumps(sim.requests(), ensure_ascii=False)
        seen = found(text) + found(text.replace(".", "").replace("-", "").replace(" ", ""))
        if name != "home" and seen:
            out[name] = seen
    return out


def chats(sim: Simulator) -> list[dict[str, Any]]:
    return [*sim.requests("*/chat/completions"), *sim.requests("/api/chat")]


def ask(server: Any, role: str, *, stream: bool = False, text: str = TOLD, **more: Any) -> Any:
    headers = {"x-coreto-accept-restart": "1", **more.pop("headers", {})}
    messages = [{"role": "user", "content": text}]
    return server.chat(role, messages=messages, stream=stream, headers=headers, **more)


def read(got: Any) -> tuple[str, str]:
    """The text and the tool's arguments of an answer, of what came after the last restart."""
    assert got.status == 200, got.body
    if got.headers["content-type"].startswith("application/json"):
        message = got.json["choices"][0]["message"]
        calls = message.get("tool_calls") or []
        return message.get("content") or "", "".join(c["function"]["arguments"] for c in calls)
    text = arguments = ""
    for event in got.events:
        assert event == "[DONE]" or "error" not in event, event
        if event == "[DONE]":
            continue
        if event.get("coreto", {}).get("event") == "restart":
            text = arguments = ""
        for choice in event["choices"]:
            text += choice["delta"].get("content") or ""
            for call in choice["delta"].get("tool_calls") or []:
                arguments += call["function"].get("arguments") or ""
    return text, arguments


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("wire", WIRES)
def test_masked_on_every_wire(wire: str, stream: bool, sims: dict[str, Simulator], server: Any) -> None:
    """Whole or streamed, a cloud answers placeholders, and the client reads the values."""
    assert read(ask(server, wire, stream=stream))[0] == PLAIN
    assert len(chats(sims["lab" if wire == "openai" else wire])) == 1
    assert left(sims) == {}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("wire", WIRES)
def test_masked_tool_calls(wire: str, stream: bool, sims: dict[str, Simulator], server: Any) -> None:
    """A tool is called with the values."""
    got = ask(server, wire, stream=stream, text=f"{TOLD} use a ferramenta", tools=[TOOL])
    assert json.loads(read(got)[1]) == {"cpf": CPF}
    assert left(sims) == {}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("wire", WIRES)
def test_masked_repair_and_schema(wire: str, stream: bool, sims: dict[str, Simulator], server: Any) -> None:
    """An answer is judged with the values in it, and what is wrong with it is told with placeholders."""
    got = ask(server, wire, stream=stream, text=f"{TOLD} responda em JSON", response_format=FORM)
    assert json.loads(read(got)[0]) == {"cpf": CPF}
    assert len(chats(sims["lab" if wire == "openai" else wire])) == 2, "one answer, and one repair"
    assert left(sims) == {}


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/responses"])
@pytest.mark.parametrize("stream", [False, True])
def test_masked_in_other_dialects(path: str, stream: bool, sims: dict[str, Simulator], server: Any) -> None:
    """Anthropic's and OpenAI's newer words are masked and revealed like the older ones."""
    said = (
        {"input": TOLD} if path.endswith("responses") else {"messages": [{"role": "user", "content": TOLD}]}
    )
    got = server.call("POST", path, {"model": "openai", "max_tokens": 99, "stream": stream, **said})
    assert got.status == 200, got.body
    text = _text_of(got, stream=stream)
    assert PLAIN in text
    assert "[CPF_1]" not in text
    assert left(sims) == {}


def _text_of(got: Any, *, stream: bool) -> str:
    if not stream:
        return json.dumps(got.json, ensure_ascii=False)
    text = ""
    for line in got.body.decode().splitlines():
        event = json.loads(line.removeprefix("data: ")) if line.startswith("data: {") else {}
        delta = event.get("delta")
        text += delta.get("text", "") if isinstance(delta, dict) else delta or ""
    return text


@pytest.mark.parametrize("fault", ["cut", "500", "error_mid_stream"])
@pytest.mark.parametrize("policy", ["hold", "continue", "restart"])
@pytest.mark.parametrize("pair", PAIRS)
def test_masked_at_the_seam(
    pair: str, policy: str, fault: str, sims: dict[str, Simulator], server: Any
) -> None:
    """When the first dies midway the next gets the partial text masked again, and the client one whole text."""
    first = sims[PAIRS[pair][0].partition("/")[0]]
    model = PAIRS[pair][0].partition("/")[2]
    rule = {"kind": "status", "status": 500} if fault == "500" else {"kind": fault, "chunks": 9}
    first.add_faults({**rule, "model": model})
    got = ask(server, f"{pair}-{policy}", stream=True)
    assert read(got)[0] == PLAIN
    assert got.events[-2]["coreto"]["deployment"] == PAIRS[pair][1]
    assert left(sims) == {}


def test_masked_answers_are_their_users(sims: dict[str, Simulator], server: Any) -> None:
    """A kept answer with values in it serves the user who asked, again with the values, and nobody else."""
    for user in ("ana", "ana", "bia"):
        got = ask(server, "openai", headers={"x-coreto-cache": "60", "x-coreto-user": user})
        assert read(got)[0] == PLAIN
    assert len(chats(sims["lab"])) == 2
    assert left(sims) == {}


def test_masked_numbers_are_each_calls_own(sims: dict[str, Simulator], server: Any) -> None:
    """The same placeholder stands for another value in another call."""
    other = "111.444.777-35"
    assert CPF in read(ask(server, "openai"))[0]
    assert other in read(ask(server, "openai", text=TOLD.replace(CPF, other)))[0]
    assert left(sims) == {}
    assert other not in json.dumps(sims["lab"].requests())


@pytest.mark.parametrize(
    "more",
    [
        {"text": f"{TOLD} Minha mãe foi diagnosticada com HIV e toma antirretrovirais."},
        {"private": True},
        {"headers": {"x-coreto-label": "private"}},
        {"metadata": {"note": f"CPF {CPF}"}},
        {"x_unknown": [{"deep": f"CPF {CPF}, {ADDRESS}"}]},
    ],
    ids=["prose", "flag", "header", "metadata", "unknown"],
)
@pytest.mark.parametrize("stream", [False, True])
def test_masked_what_no_mask_hides_stays(
    more: dict[str, Any], stream: bool, sims: dict[str, Simulator], server: Any
) -> None:
    """What a placeholder cannot hide, and what the caller has declared private, goes to this machine only."""
    got = ask(server, "cloud-home-hold", stream=stream, **more)
    assert read(got)[0] == PLAIN
    alone = ask(server, "openai", stream=stream, **more)
    assert alone.status >= 400
    assert "private data stays on this machine" in alone.body.decode()
    assert [sim.requests() for name, sim in sims.items() if name not in ("home", "daemon")] == [[], [], []]
    assert chats(sims["daemon"]) == []


@pytest.mark.parametrize("stream", [False, True])
def test_masked_values_are_escaped_in_json(stream: bool, sims: dict[str, Simulator], server: Any) -> None:
    """A value that JSON writes otherwise, as one with a quote in it, leaves the answer JSON."""
    secret = 'Tr0ub4dor"x\\9'
    sims["lab"].reset()
    sims["lab"].script({"match": "[PASSWORD_1]", "content": '{"senha": "[PASSWORD_1]"}'})
    text = f"A senha é {secret} responda em JSON"
    got = ask(server, "openai", stream=stream, text=text, response_format={"type": "json_object"})
    assert secret in json.loads(read(got)[0])["senha"]
    assert "Tr0ub4dor" not in json.dumps(sims["lab"].requests())
