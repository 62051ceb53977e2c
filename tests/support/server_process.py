"""``coreto serve`` in a process of its own, for tests: the standard library only, so that environments
without Coreto can use it by path. It runs with the interpreter of ``CORETO_PYTHON`` when that is set."""

import http.client
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

_TIMEOUT = 20.0
#: What the developer's own environment must not decide.
_FOREIGN = ("CORETO_", "OLLAMA", "OPENROUTER", "OPENAI", "FALLBACK", "LLM_")


@dataclass
class Got:
    """A response: its body as it came, and parsed."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        return self.json["error"]

    @property
    def events(self) -> list[Any]:
        """The events of a stream, parsed; ``[DONE]`` as text."""
        blocks = self.body.decode().split("\n\n")
        assert blocks[-1] == "", f"the stream does not end with an event: {blocks[-1]!r}"
        datas = [block.removeprefix("data: ") for block in blocks[:-1]]
        return [data if data == "[DONE]" else json.loads(data) for data in datas]


@dataclass
class ServerProcess:
    """A running server. ``url`` has no path; ``errors`` are the lines of its standard error so far."""

    process: subprocess.Popen[bytes]
    url: str
    line: str
    folder: Path
    errors: list[str] = field(default_factory=list)

    @property
    def complaints(self) -> list[str]:
        """What it has written to standard error, but for the lines that every request gets."""
        return [line for line in self.errors if " INFO coreto.access: " not in line]

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        return host.strip("[]"), int(port)

    def call(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Got:
        """One request on a connection of its own; what is not bytes is sent as JSON."""
        connection = http.client.HTTPConnection(*self.address, timeout=_TIMEOUT)
        try:
            data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
            connection.request(method, path, data, {"Content-Type": "application/json", **(headers or {})})
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Got(response.status, found, response.read())
        finally:
            connection.close()

    def chat(
        self, model: str | None = "chat", *, headers: Mapping[str, str] | None = None, **more: Any
    ) -> Got:
        """A chat completion."""
        body = {"messages": [{"role": "user", "content": "hello there"}], **more}
        if model is not None:
            body["model"] = model
        return self.call("POST", "/v1/chat/completions", body, headers)

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Got:
        return self.call("GET", path, None, headers)

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        """Its exit code."""
        return self.process.wait(_TIMEOUT)


@dataclass
class Finished:
    """A server that ended by itself."""

    code: int
    out: str
    err: str


def write_config(folder: Path, toml: str) -> Path:
    """A ``coreto.toml`` that keeps everything in ``folder`` and looks for nothing on this machine."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "coreto.toml"
    head = f'discovery = false\ndata_dir = "{folder / "data"}"\nmodels_dir = "{folder / "models"}"\n'
    file.write_text(head + toml)
    return file


def run_to_end(config: Path, *args: str) -> Finished:
    """Run a server that is expected not to start. ``args``: the command's flags."""
    process = _start(config, *args)
    out, err = process.communicate(timeout=_TIMEOUT)
    return Finished(process.returncode, out.decode(), err.decode())


@contextmanager
def start_server(config: Path, host: str = "127.0.0.1", port: int = 0) -> Iterator[ServerProcess]:
    """A server that is ready; stopped at the end of the block."""
    process = _start(config, "--host", host, "--port", str(port))
    assert process.stdout is not None
    assert process.stderr is not None
    errors: list[str] = []
    reader = threading.Thread(target=_collect, args=(process.stderr, errors), daemon=True)
    reader.start()
    try:
        line = _first_line(process.stdout)
        words = line.split()
        assert words[:3] == ["Coreto", "listening", "on"], f"did not start: {line!r} {''.join(errors)}"
        yield ServerProcess(process, words[3], line, config.parent, errors)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(_TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        reader.join(_TIMEOUT)
        process.stdout.close()
        process.stderr.close()


def _start(config: Path, *args: str) -> "subprocess.Popen[bytes]":
    python = os.environ.get("CORETO_PYTHON") or sys.executable
    env = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    env["XDG_CONFIG_HOME"] = str(config.parent / "config")
    return subprocess.Popen(
        [python, "-m", "coreto", "--config", str(config), "serve", *args],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=config.parent,
        env=env,
    )


def _collect(stream: IO[bytes], lines: list[str]) -> None:
    lines.extend(line.decode() for line in stream)


def _first_line(stream: IO[bytes]) -> str:
    lines: queue.Queue[bytes] = queue.Queue()
    threading.Thread(target=lambda: lines.put(stream.readline()), daemon=True).start()
    try:
        return lines.get(timeout=_TIMEOUT).decode()
    except queue.Empty:
        return ""
