"""The ``coreto`` command as a process, in a home of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from coreto.testing.simulator import Simulator, start_simulator

KEPT = ("PATH", "LANG", "SYSTEMROOT", "TMPDIR", "COVERAGE_PROCESS_START")


@dataclass
class Cli:
    """Runs commands in ``folder``, with nothing of this machine's settings."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict[str, str])

    def write(self, text: str = "", *, name: str = "coreto.toml", **providers: str) -> None:
        """Write a configuration without discovery; ``providers``: tables by name, as TOML."""
        head = 'discovery = false\ndata_dir = "data"\nmodels_dir = "models"\n'
        if "language" in text.partition("[")[0]:
            first, _, text = text.partition("\n")
            head = f"{first}\n{head}"
        tables = "".join(f"[providers.{key}]\n{value}\n" for key, value in providers.items())
        (self.folder / name).write_text(head + tables + text, encoding="utf-8")

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        home = str(self.folder / "home")
        return {**kept, "HOME": home, "XDG_CACHE_HOME": home, "COLUMNS": "200", **self.env}

    def start(self, *args: str, **options: Any) -> subprocess.Popen[bytes]:
        """Start a command; its streams are pipes unless told otherwise."""
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
        command = [sys.executable, "-m", "coreto", *args]
        return subprocess.Popen(command, cwd=self.folder, env=self.environment, **{**pipes, **options})

    def run(self, *args: str, stdin: str | None = None, code: int = 0) -> "Ran":
        """Run a command to its end; its exit code must be ``code``."""
        process = self.start(*args, stdin=subprocess.PIPE)
        try:
            out, err = process.communicate(None if stdin is None else stdin.encode(), timeout=60)
        finally:
            process.kill()
        ran = Ran(process.returncode, out.decode(), err.decode())
        assert ran.code == code, ran
        assert "Traceback" not in ran.err
        return ran


@dataclass(frozen=True)
class Ran:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which must be one JSON value and nothing else."""
        return json.loads(self.out)

    @property
    def first(self) -> str:
        return self.out.splitlines()[0]


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """The command line in an empty folder."""
    (tmp_path / "home").mkdir()
    return Cli(tmp_path)


@pytest.fixture(scope="module")
def ollama_process() -> Iterator[Simulator]:
    """One simulated Ollama for a module, signed in to the cloud."""
    models = ("--model", "phi3:mini=2GB", "--model", "llama3.2:1b=1GB", "--model", "big:70b=40GB")
    options = ("--pullable", "tiny:1b=500MB", "--time-scale", "0", "--num-parallel", "4")
    with start_simulator("ollama", *models, *options) as simulator:
        yield simulator


@pytest.fixture
def ollama(ollama_process: Simulator) -> Simulator:
    """A simulated Ollama that has forgotten earlier tests."""
    ollama_process.reset()
    return ollama_process
