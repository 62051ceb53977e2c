"""A simulator in a process of its own, for tests: started, driven and stopped with the standard library only.

    with start_simulator("ollama", "--time-scale", "0") as sim:
        sim.add_faults([{"kind": "cut", "times": 1}])
        ...  # talk to sim.url
        assert sim.requests(path="/api/chat")[0]["hung_up"] is False

The process ends with the test's: its standard input is a pipe from here, and it stops when that ends.
It runs with the interpreter of ``CORETO_PYTHON`` when that is set (a test in an environment of its own), else
with this one.
"""

import json
import os
import queue
import subprocess
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import IO, Any, Literal, cast

Kind = Literal["ollama", "openai", "llamacpp"]
_TIMEOUT = 15.0


class SimulatorError(RuntimeError):
    """The simulator did not start, or refused a control call; the message holds what it said."""


class Simulator:
    """A running simulator. `url` is its address without a path, for instance ``http://127.0.0.1:40123``."""

    def __init__(self, process: subprocess.Popen[bytes], url: str) -> None:
        self._process = process
        self.url = url

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def add_faults(self, rules: Sequence[dict[str, Any]] | dict[str, Any]) -> None:
        """Add fault rules (see ``coreto.simulators.faults``)."""
        self._control("POST", "faults", list(rules) if not isinstance(rules, dict) else [rules])

    def clear_faults(self) -> None:
        """Forget every fault rule."""
        self._control("DELETE", "faults")

    def faults(self) -> list[dict[str, Any]]:
        """The rules in force, with how often each met a call and struck."""
        return cast("list[dict[str, Any]]", self._control("GET", "faults")["rules"])

    def script(self, *entries: dict[str, Any]) -> None:
        """Add answers ``{match, model, content, tool_calls, reasoning, finish_reason, usage, times}``."""
        self._control("POST", "script", list(entries))

    def requests(self, path: str = "*") -> list[dict[str, Any]]:
        """Everything received since the last reset, oldest first; `path` is a glob."""
        query = urllib.parse.urlencode({"path": path})
        return cast("list[dict[str, Any]]", self._control("GET", f"requests?{query}")["requests"])

    def clear_requests(self) -> None:
        """Forget what was received."""
        self._control("DELETE", "requests")

    def state(self) -> dict[str, Any]:
        """What the simulator knows about itself: counts, memory, runners, money."""
        return self._control("GET", "state")

    def reset(self) -> None:
        """Back to how it was started."""
        self._control("POST", "reset")

    def set_models(self, add: Sequence[dict[str, Any]] = (), remove: Sequence[str] = ()) -> list[str]:
        """Ollama and llama.cpp: add models (``{"name", "size", ...}``) and remove others; the names that are there now."""
        answer = self._control("POST", "models", {"add": list(add), "remove": list(remove)})
        return cast("list[str]", answer["models"])

    def restart_engine(self) -> None:
        """Ollama and llama.cpp: the engine forgets what is in memory."""
        self._control("POST", "restart")

    def fail_loads(self, model: str, times: int | None = 1, exit_code: int = 1) -> None:
        """llama.cpp only: the next ``times`` loads of the model fail; ``None``: all of them."""
        self._control("POST", "failures", {"model": model, "times": times, "exit_code": exit_code})

    def put_to_sleep(self, model: str) -> None:
        """llama.cpp only: as after some idle time. Raises `SimulatorError` where it is not loaded and idle."""
        self._control("POST", "sleep", {"model": model})

    def set_usage(self, **shares: float | None) -> None:
        """Ollama only: used share (0 to 1) of the account's ``session``, ``weekly`` or ``monthly`` limit."""
        self._control("POST", "usage", shares)

    def stop(self, *, kill: bool = False) -> int:
        """End the process (at once with `kill`) and give its exit code; harmless when it has ended."""
        if self.alive:
            if kill:
                self._process.kill()
            else:
                self._process.terminate()
        try:
            return self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait(5)

    def _control(self, method: str, path: str, data: Any = None) -> dict[str, Any]:
        body = json.dumps(data).encode() if method == "POST" else None
        request = urllib.request.Request(f"{self.url}/_sim/{path}", data=body, method=method)  # noqa: S310 - http, our own
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=_TIMEOUT) as response:
                return cast("dict[str, Any]", json.loads(response.read()))
        except urllib.error.HTTPError as error:
            raise SimulatorError(f"{method} /_sim/{path}: {error.code} {error.read().decode()}") from error
        except OSError as error:
            raise SimulatorError(f"{method} /_sim/{path}: {error}") from error


@contextmanager
def start_simulator(kind: Kind, *args: str) -> Generator[Simulator, None, None]:
    """Start ``coreto sim KIND ARGS``, wait until it is ready, stop it at the end. Raises `SimulatorError`."""
    python = os.environ.get("CORETO_PYTHON") or sys.executable
    command = [python, "-m", "coreto.simulators", kind, "--quiet", "--with-stdin", *args]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ.copy())  # noqa: S603 - our own
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        line = _first_line(process.stdout)
        _, separator, url = line.partition(" listening on ")
        if not separator:
            process.kill()
            raise SimulatorError(f"the {kind} simulator did not start (exit {process.wait()}): {line!r}")
        simulator = Simulator(process, url.strip())
        try:
            yield simulator
        finally:
            simulator.stop()
    finally:
        process.stdin.close()
        process.stdout.close()


def _first_line(stream: IO[bytes]) -> str:
    lines: queue.Queue[bytes] = queue.Queue()
    threading.Thread(target=lambda: lines.put(stream.readline()), daemon=True).start()
    try:
        return lines.get(timeout=_TIMEOUT).decode()
    except queue.Empty:
        return ""
