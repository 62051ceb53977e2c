"""Cells of the fault matrix through a real ``coreto serve``, judged by the bytes that a client reads."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from chaos_faults import AFTER, BY_NAME, MIDWAY, SLOW
from chaos_house import CLOUD_MODELS, PIECES, PROMPT, SECOND, SHORT, TEXT, Sims, config

#: Names of Ollama's models that the session's simulator has, two a slot.
SLOTS = 20
FAULTS = ("500", "429", "refused", "reset", "hang", "html", "error-object", "error-first", *sorted(MIDWAY))
WIRES = ("openai", "openrouter", "ollama")
#: policy → headers, the model behind, text after a death midway (``None``: an error), restarted before it
POLICIES: dict[str, tuple[dict[str, str], str, str | None, bool]] = {
    "none": ({}, "b", None, False),
    "hold": ({"x-coreto-stream-failover": "hold"}, "b", SECOND, False),
    "restart": (
        {"x-coreto-stream-failover": "restart", "x-coreto-accept-restart": "1"},
        "b",
        SECOND,
        True,
    ),
    "restart-undeclared": ({"x-coreto-stream-failover": "restart"}, "b", None, False),
    "continue": ({"x-coreto-stream-failover": "continue"}, "restate", TEXT, False),
}


@dataclass
class Read:
    """A stream as its client understands it."""

    text: str = ""
    lost: list[str] = field(default_factory=list[str])
    finishes: list[str] = field(default_factory=list[str])
    trace: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    done: bool = False


def read(events: list[Any]) -> Read:
    """Judge the form of a stream's events: what may follow what."""
    out = Read()
    for event in events:
        assert not out.done, "something after [DONE]"
        assert out.error is None, "something after the error"
        if event == "[DONE]":
            out.done = True
        elif "error" in event:
            assert not out.finishes, "an error after a finish"
            out.error = event["error"]
            out.trace = event.get("coreto")
        elif event.get("coreto", {}).get("event") == "restart":
            assert not out.finishes, "a restart after a finish"
            out.lost.append(out.text)
            out.text = ""
        else:
            out.trace = event.get("coreto") or out.trace
            for choice in event["choices"]:
                text = choice["delta"].get("content") or ""
                assert not (text and out.finishes), "text after the finish"
                out.text += text
                if choice.get("finish_reason"):
                    out.finishes.append(choice["finish_reason"])
    assert out.done != (out.error is not None), "an end, or an error: never both, never neither"
    if out.done:
        assert len(out.finishes) == 1
        assert out.trace is not None
    return out


@dataclass(frozen=True)
class Cell:
    """One stream through the server, with a model of its own, so that breakers do not mix."""

    number: int
    fault: str
    wire: str
    policy: str

    @property
    def role(self) -> str:
        return f"{self.fault}-{self.wire}-{self.policy}"

    @property
    def model(self) -> str:
        return (
            f"m{self.number % SLOTS}-{self.number // SLOTS}" if self.wire == "ollama" else f"x{self.number}"
        )

    @property
    def chain(self) -> tuple[str, str]:
        provider = {"openai": "lab"}.get(self.wire, self.wire)
        if self.fault in SLOW:
            provider = f"quick-{self.wire}"
        elif self.fault == "refused":
            provider = f"dead-{self.wire}"
        behind = {"openai": "ollama", "openrouter": "lab", "ollama": "openrouter"}[self.wire]
        return f"{provider}/{self.model}", f"{behind}/{POLICIES[self.policy][1]}"


def all_cells() -> list[Cell]:
    """Every fault under every policy, on the wires in turn."""
    pairs = [(fault, policy) for fault in FAULTS for policy in POLICIES]
    return [Cell(i, fault, WIRES[(i + i // 5) % 3], policy) for i, (fault, policy) in enumerate(pairs)]


class Burst(BaseHTTPRequestHandler):
    """A server that sends the beginning of a stream, and an error, in one packet."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        steps = [{"delta": {"content": piece}, "index": 0, "finish_reason": None} for piece in PIECES[:AFTER]]
        events: list[Any] = [{"object": "chat.completion.chunk", "choices": [step]} for step in steps]
        events.append({"error": {"message": "the GPU is gone", "code": 500}})
        body = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: {len(body)}\r\n\r\n"
        self.wfile.write(head.encode() + body)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def burst() -> Iterator[str]:
    """The address of a :class:`Burst`."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Burst) as http:
        Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()


@pytest.fixture(scope="module")
def server(
    _sims: Sims, burst: str, server_process: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """A server with a role for each cell."""
    quick = f"timeout = {SHORT.attempt}\nstall_timeout = {SHORT.stall}\n"
    url = {wire: sim.url for wire, sim in _sims.by_wire.items()}
    toml = (
        config(_sims)
        + f"""
[providers.quick-openai]
base_url = "{url["openai"]}/v1"
{quick}
[providers.quick-openrouter]
kind = "openrouter"
base_url = "{url["openrouter"]}/api/v1"
api_key = "k"
{quick}
[providers.quick-ollama]
kind = "ollama"
host = "{url["ollama"]}"
{quick}
"""
    )
    for name, (_, model, _, _) in POLICIES.items():
        toml += f'[providers.burst-{name}]\nbase_url = "{burst}/v1"\n'
        toml += f'[roles.burst-{name}]\nchain = ["burst-{name}/x", "lab/{model}"]\n'
    for cell in all_cells():
        toml += f'[roles."{cell.role}"]\nchain = {list(cell.chain)}\nretries = 0\n'
    toml += f'[roles.nobody]\nchain = ["lab/x-down", "ollama-cloud/{CLOUD_MODELS[0]}"]\nretries = 0\n'
    file = server_process.write_config(tmp_path_factory.mktemp("server"), toml)
    with server_process.start_server(file) as running:
        yield running


def stream_of(server: Any, role: str, headers: dict[str, str]) -> Any:
    messages = [{"role": "user", "content": PROMPT}]
    return server.chat(role, headers=headers, messages=messages, stream=True)


@pytest.mark.parametrize("cell", all_cells(), ids=lambda cell: cell.role)
def test_server_stream(cell: Cell, sims: Sims, server: Any) -> None:
    """The client reads a whole right answer, or what was right and then one error event, and no [DONE]."""
    fault = BY_NAME[cell.fault]
    headers, _, midway, restarts = POLICIES[cell.policy]
    if fault.rule:
        sims.by_wire[cell.wire].add_faults({**fault.rule, "model": cell.model})
    got = stream_of(server, cell.role, headers)
    begun = cell.fault in MIDWAY
    outcome = fault.outcome(cell.wire, stream=True)
    expected = midway if begun else TEXT if cell.policy == "continue" else SECOND
    if expected is None and got.status != 200:  # it died before anything was on its way: a proper HTTP error
        assert got.status >= 500
        assert got.json["coreto"]["attempts"][0]["outcome"] == outcome
        return
    assert got.status == 200
    heard = read(got.events)
    assert heard.trace is not None
    assert heard.trace["attempts"][0]["outcome"] == outcome
    if expected is None:
        assert heard.error is not None
        assert heard.text == "".join(PIECES[:AFTER])
        assert heard.trace["deployment"] is None
    else:
        assert heard.error is None
        assert heard.text == expected
        assert heard.finishes == ["stop"]
        assert heard.trace["deployment"] == cell.chain[1]
        assert heard.lost == (["".join(PIECES[:AFTER])] if begun and restarts else [])


@pytest.mark.parametrize("policy", POLICIES)
def test_server_beginning_and_death_in_one_packet(policy: str, sims: Sims, server: Any) -> None:
    """What dies in the packet that it came with is judged like any other death midway."""
    headers, _, midway, _ = POLICIES[policy]
    got = stream_of(server, f"burst-{policy}", headers)
    if midway is None and got.status != 200:
        assert got.json["coreto"]["attempts"][0]["outcome"] == "server_error"
        return
    assert got.status == 200
    heard = read(got.events)
    assert heard.trace is not None
    assert heard.trace["attempts"][0]["outcome"] == "server_error"
    assert heard.text == (midway or "".join(PIECES[:AFTER]))
    assert (heard.error is None) == (midway is not None)


@pytest.mark.parametrize("stream", [True, False])
def test_server_nobody_answers(stream: bool, sims: Sims, server: Any) -> None:
    """When everybody fails before the first word, a stream's client too gets a proper HTTP error, in time."""
    for sim in sims.by_wire.values():
        sim.add_faults({"kind": "status", "status": 500})
    got = server.chat("nobody", messages=[{"role": "user", "content": PROMPT}], stream=stream)
    assert got.status >= 500
    assert got.headers["content-type"].startswith("application/json")
    assert [attempt["outcome"] for attempt in got.json["coreto"]["attempts"]] == ["server_error"] * 2
