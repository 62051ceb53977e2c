"""Offline means that nobody off this machine is even looked for: every command under a guard that sees all attempts."""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from leak_house import CPF

from coreto.app import App, running
from coreto.errors import CoretoError
from coreto.labels import Label
from coreto.messages import Call, EmbedCall, Trace
from coreto.providers.http import Endpoint, Http
from coreto.settings.load import load
from coreto.testing.simulator import Simulator, start_simulator

#: Loaded by the interpreter before anything of ours, in child processes too. uvloop would look names up and
#: connect without Python hearing of it, so the loop is asyncio's.
GUARD = """
import ipaddress, os, sys

sys.modules["uvloop"] = None
_FILE = os.environ["GUARD_FILE"]
_LOOKED = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo")
_SENT = ("socket.connect", "socket.sendto", "socket.sendmsg", "socket.bind")

def _is_here(host):
    if host in (None, "", "localhost", b"localhost", "0.0.0.0", "::"):
        return True
    try:
        return ipaddress.ip_address(host.decode() if isinstance(host, bytes) else str(host)).is_loopback
    except ValueError:
        return False

def _hook(event, args):
    if event in _LOOKED:
        host = args[0][0] if isinstance(args[0], tuple) else args[0]
    elif event in _SENT:
        if not isinstance(args[1], tuple):  # a path of this machine, or a socket that is connected already
            return
        host = args[1][0]
    else:
        return
    if not _is_here(host):
        line = f"{event} {host} {' '.join(sys.argv)[:200]}\\n"
        fd = os.open(_FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(fd, line.encode())
        os.close(fd)
        raise OSError(101, f"the guard refuses {host}")

sys.addaudithook(_hook)
"""
EVERY_MODULE = """
import importlib, pkgutil, coreto
for found in pkgutil.walk_packages(coreto.__path__, "coreto."):
    if not found.name.endswith(("__main__", ".migrations.env")):  # a command, and a script of Alembic's
        importlib.import_module(found.name)
"""
SWITCHES = ("file", "environment", "flag")
FAR = ("lab/x", "openai/gpt-4o-mini", "openrouter/y", "ollama-cloud/gpt-oss:20b", "ollama/gpt-oss:120b-cloud")


@dataclass
class Guarded:
    """Runs commands that cannot leave the machine, and knows whether they tried."""

    folder: Path
    toml: str
    models: Path

    def __post_init__(self) -> None:
        guard = self.folder / "guard"
        guard.mkdir(parents=True)
        (guard / "sitecustomize.py").write_text(GUARD)
        self.config = self.folder / "coreto.toml"

    @property
    def attempts(self) -> list[str]:
        """What was tried and refused."""
        file = self.folder / "attempts"
        return file.read_text().splitlines() if file.exists() else []

    def environment(self, switch: str) -> dict[str, str]:
        """The one a command runs in: with keys of all clouds, and nothing else of the developer's."""
        head = "offline = true\n" if switch == "file" else ""
        paths = f'data_dir = "{self.folder / "data"}"\nmodels_dir = "{self.models}"\n'
        self.config.write_text(head + paths + self.toml)
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "GUARD_FILE": str(self.folder / "attempts"),
        }
        env |= {"PYTHONPATH": f"{self.folder / 'guard'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
        env |= {"OPENAI_API_KEY": "sk-test-openai", "OPENROUTER_API_KEY": "or-test", "COLUMNS": "200"}
        env |= {"OLLAMA_CLOUD_API_KEY": "test-cloud"}
        return env | ({"CORETO_OFFLINE": "1"} if switch == "environment" else {})

    def command(self, switch: str, *args: str) -> list[str]:
        flag = ["--offline"] if switch == "flag" else []
        return [sys.executable, "-m", "coreto", "--config", str(self.config), *flag, *args]

    def run(self, switch: str, *args: str) -> "subprocess.CompletedProcess[str]":
        env = self.environment(switch)
        return subprocess.run(
            self.command(switch, *args),
            cwd=self.folder,
            env=env,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )


def config(home: str, ollama: str) -> str:
    """Clouds of every kind by names and addresses that lead away from here, and two servers of this machine."""
    return f"""
[telemetry]
otlp_endpoint = "http://198.51.100.7:4318"
[providers.lab]
kind = "openai"
base_url = "http://192.0.2.10:9/v1"
timeout = 2.0
connect_timeout = 1.0
[providers.ollama]
host = "{ollama}"
[providers.home]
kind = "openai"
base_url = "{home}/v1"
[roles.brain]
chain = {json.dumps([*FAR, "home/b"])}
[roles.chat]
chain = {json.dumps([*FAR, "home/b"])}
"""


@pytest.fixture(scope="module")
def near() -> Iterator[tuple[Simulator, Simulator]]:
    """A local OpenAI-compatible server, and an Ollama that is signed in to its cloud."""
    with (
        start_simulator("openai", "--any-model") as home,
        start_simulator("ollama", "--time-scale", "0") as ollama,
    ):
        yield home, ollama


@pytest.fixture
def guarded(near: tuple[Simulator, Simulator], tmp_path: Path, models_dir: Path) -> Guarded:
    """Commands under the guard, with a configuration full of clouds."""
    for sim in near:
        sim.clear_requests()
    return Guarded(tmp_path / "home", config(near[0].url, near[1].url), models_dir)


def passed_on(ollama: Simulator) -> list[str]:
    """Models that a signed-in Ollama was asked for and would pass on."""
    asked = [r["body"].get("model", "") for r in ollama.requests("/api/*") if isinstance(r["body"], dict)]
    return [model for model in asked if model.endswith("cloud")]


def test_offline_the_guard_sees(guarded: Guarded) -> None:
    """Without the switch the same configuration does look for others: the guard is no ornament."""
    ran = guarded.run("none", "ask", "--role", "chat", "hello there")
    assert ran.returncode == 0, ran.stderr
    hosts = {line.split()[1] for line in guarded.attempts}
    assert {"192.0.2.10", "api.openai.com", "openrouter.ai"} <= hosts


def test_offline_imports(guarded: Guarded) -> None:
    """Importing every module looks for nobody."""
    env = guarded.environment("none")
    ran = subprocess.run(
        [sys.executable, "-c", EVERY_MODULE], env=env, capture_output=True, text=True, timeout=90, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert guarded.attempts == []


@pytest.mark.parametrize("switch", SWITCHES)
def test_offline_commands(switch: str, guarded: Guarded, near: tuple[Simulator, Simulator]) -> None:
    """Every command works without a look beyond this machine, whichever way the switch is set."""
    for args in (
        ("ask", "--explain", "hello there"),
        ("ask", "--model", "auto", f"Meu CPF é {CPF}."),
        ("status",),
        ("models", "list"),
        ("costs",),
        ("config", "check"),
    ):
        ran = guarded.run(switch, *args)
        assert ran.returncode == 0, (args, ran.stdout, ran.stderr)
    assert guarded.run(switch, "doctor").returncode in (0, 1)
    for name in FAR if switch == "file" else FAR[:1]:
        refused = guarded.run(switch, "ask", "--model", name, "hello there")
        assert refused.returncode == 1
        assert "offline" in refused.stderr
    assert guarded.attempts == []
    assert passed_on(near[1]) == []


def test_offline_embedded(guarded: Guarded) -> None:
    """The embedded model answers, its own process under the same guard."""
    ran = guarded.run("flag", "ask", "--model", "embedded/smollm2", "--max-tokens", "8", "Say hello.")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip()
    assert guarded.attempts == []


SCRIPT = """
import json, subprocess, sys, urllib.request

process = subprocess.Popen(json.loads(sys.argv[1]), stdout=subprocess.PIPE, text=True)
try:
    url = process.stdout.readline().split()[3]

    def call(path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url + path, data, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    out = {name: call(*asked) for name, asked in json.loads(sys.argv[2]).items()}
finally:
    process.terminate()
    process.wait(30)
print(json.dumps(out))
"""


def asked(model: str, **more: Any) -> list[Any]:
    messages = [{"role": "user", "content": "hello there"}]
    return ["/v1/chat/completions", {"model": model, "messages": messages, "max_tokens": 8, **more}]


def served(guarded: Guarded, switch: str, requests: dict[str, list[Any]], *before: str) -> dict[str, Any]:
    """Status and body of each of ``requests`` to a server; ``before``: what the command is run by."""
    env = guarded.environment(switch)
    serve = guarded.command(switch, "serve", "--port", "0")
    command = [*before, sys.executable, "-c", SCRIPT, json.dumps(serve), json.dumps(requests)]
    ran = subprocess.run(
        command, cwd=guarded.folder, env=env, capture_output=True, text=True, timeout=110, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout.splitlines()[-1])


@pytest.mark.parametrize("switch", SWITCHES)
def test_offline_server(switch: str, guarded: Guarded, near: tuple[Simulator, Simulator]) -> None:
    """A server answers from this machine, refuses the rest by name, and looks for nobody meanwhile."""
    requests: dict[str, list[Any]] = {
        "chat": asked("chat"),
        "stream": asked("chat", stream=True),
        "auto": asked("auto"),
        "prefers": asked("auto", prefer="cloud"),
        "embeddings": ["/v1/embeddings", {"model": "home/b", "input": "hello"}],
        "far-embeddings": ["/v1/embeddings", {"model": "openai/text-embedding-3-small", "input": "hello"}],
        "route": ["/api/route", asked("auto")[1]],
        "metrics": ["/metrics"],
        "status": ["/api/status"],
        "models": ["/v1/models"],
        **{f"far {name}": asked(name) for name in FAR},
    }
    got = served(guarded, switch, requests)
    near_ones = {name: answer for name, answer in got.items() if not name.startswith("far")}
    assert {name: answer for name, answer in near_ones.items() if answer[0] != 200} == {}
    for name, (status, body) in got.items():
        if name.startswith("far"):
            assert status >= 400, (name, body)
            assert "offline" in body, (name, body)
    shown = json.loads(got["status"][1])
    assert (shown["state"], shown["offline"], shown["cloud_available"]) == ("offline", True, False)
    assert guarded.attempts == []
    assert passed_on(near[1]) == []


def in_nothing() -> list[str]:
    """What runs a command in a network of its own that has nothing but ``lo``; skips where that cannot be."""
    unshare, ip = shutil.which("unshare"), shutil.which("ip")
    if unshare is None or ip is None:
        pytest.skip("needs `unshare` and `ip`")
    before = [unshare, "-n", "sh", "-c", f'{ip} link set lo up && exec "$@"', "sh"]
    if subprocess.run([*before, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs the right to make a network namespace")
    return before


@pytest.mark.parametrize("switch", ["flag", "none"])
def test_offline_without_a_network(switch: str, guarded: Guarded) -> None:
    """Where there is no network at all the commands answer by the embedded model, with the switch or without."""
    before = in_nothing()
    guarded.toml = guarded.toml.replace('"home/b"]', '"embedded/smollm2"]')
    env = guarded.environment(switch)
    for args in (("ask", "--max-tokens", "8", "Say hello."), ("status",), ("models", "list"), ("costs",)):
        ran = subprocess.run(
            [*before, *guarded.command(switch, *args)],
            cwd=guarded.folder,
            env=env,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert ran.returncode == 0, (args, ran.stdout, ran.stderr)
        assert ran.stdout.strip()
    got = served(guarded, switch, {"chat": asked("chat"), "status": ["/api/status"]}, *before)
    assert got["chat"][0] == 200, got["chat"]
    assert json.loads(got["chat"][1])["coreto"]["deployment"] == "embedded/smollm2"
    assert json.loads(got["status"][1])["state"] == "offline"
    assert (guarded.attempts == []) == (switch == "flag")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_offline_for_a_while(tmp_path: Path) -> None:
    """With the clouds gone calls fall back to this machine within their times, and the state says so, until
    they are back."""
    first, second = free_port(), free_port()
    with start_simulator("openai", "--any-model") as home:
        file = tmp_path / "coreto.toml"
        file.write_text(f"""
discovery = false
data_dir = "{tmp_path / "data"}"
[providers.lab]
kind = "openai"
base_url = "http://127.0.0.1:{first}/v1"
local = false
[providers.spare]
kind = "openai"
base_url = "http://127.0.0.1:{second}/v1"
local = false
[providers.home]
kind = "openai"
base_url = "{home.url}/v1"
[roles.chat]
chain = ["lab/x", "spare/y", "home/b"]
""")
        asyncio.run(_for_a_while(file, first, second))


async def _for_a_while(file: Path, first: int, second: int) -> None:
    def started(port: int) -> Any:
        return start_simulator("openai", "--any-model", "--port", str(port))

    async with running(load(config=file, env={}, cwd=file.parent)) as app:
        with started(first), started(second):
            assert await _seen(app) == ("online", "lab/x")
        assert await _seen(app) == ("offline", "home/b")
        with started(second):
            assert await _seen(app) == ("degraded", "spare/y")
        with started(first), started(second):
            state, _ = await _seen(app)  # the breaker may still want its time before it asks again
            assert state == "online"


async def _seen(app: App) -> tuple[str, str | None]:
    """The state after a fresh look, and who answers a call; nobody may take long."""
    began = time.monotonic()
    await app.refresh(everything=True)
    state = (await app.status())["state"]
    body = {"model": "chat", "messages": [{"role": "user", "content": "hello there"}]}
    trace: Trace | None = None
    async with app.open(Call("c1", body, "chat")) as items:
        async for item in items:
            trace = item if isinstance(item, Trace) else trace
    assert trace is not None
    assert time.monotonic() - began < 10
    return state, trace.deployment


@pytest.mark.parametrize("how", ["offline", "private"])
def test_offline_a_stub_made_meanwhile(how: str, tmp_path: Path) -> None:
    """A name behind which Ollama hides a cloud model is found out even when it was not there at the last look."""

    async def main(url: str) -> None:
        file = tmp_path / "coreto.toml"
        head = "offline = true\n" if how == "offline" else ""
        file.write_text(
            f'{head}discovery = false\ndata_dir = "{tmp_path / "data"}"\n[providers.ollama]\nhost = "{url}"\n'
        )
        async with running(load(config=file, env={}, cwd=tmp_path)) as app:
            ollama.set_models(add=[{"name": "late:latest", "size": 384, "remote": "gpt-oss:120b"}])
            label = Label.PRIVATE if how == "private" else Label.INTERNAL
            for stream in (False, True):
                body = {"messages": [{"role": "user", "content": "hello there"}]}
                with pytest.raises(CoretoError, match="not on this machine"):
                    async with app.open(Call("c1", body, "ollama/late", stream=stream, label=label)) as items:
                        _ = [item async for item in items]
            with pytest.raises(CoretoError, match="not on this machine"):
                await app.embed(EmbedCall("e1", {"input": "hello"}, "ollama/late", label))

    with start_simulator("ollama", "--time-scale", "0") as ollama:
        asyncio.run(main(ollama.url))
        assert ollama.requests("/api/chat") == []
        assert ollama.requests("/api/embed") == []


def test_offline_is_looked_at_before_the_wire(near: tuple[Simulator, Simulator]) -> None:
    """A server off the machine hears nothing, whoever forgot to ask before: not even how it is."""

    async def main() -> None:
        http = Http(Endpoint("lab", near[0].url, local=False, offline=True))
        with pytest.raises(CoretoError, match="offline"):
            await http.send("POST", "/v1/chat/completions", label=Label.PUBLIC, body=b"{}")
        with pytest.raises(CoretoError, match="offline"):
            await http.fetch("GET", "/v1/models")
        await http.close()

    near[0].clear_requests()
    asyncio.run(main())
    assert near[0].requests() == []
