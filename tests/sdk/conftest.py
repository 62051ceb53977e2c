"""Tests with the official SDKs, in an environment of their own (requirements.txt).

They start Coreto's processes with the interpreter named by CORETO_PYTHON, because Coreto is not installed here.
A run of the main environment leaves this folder out; naming the folder runs it.
"""

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

_ROOT = Path(__file__).parents[2]
_WANTED = bool(os.environ.get("CORETO_PYTHON")) or any("sdk" in Path(arg).parts for arg in sys.argv[1:])
collect_ignore_glob = [] if _WANTED else ["test_sdk_*.py"]


def pytest_sessionstart(session: pytest.Session) -> None:
    """Say in one line what is missing."""
    if _WANTED and not os.environ.get("CORETO_PYTHON"):
        pytest.exit("tests/sdk: set CORETO_PYTHON to the Python that has Coreto installed", returncode=4)


def _by_path(name: str, path: Path) -> ModuleType:
    # The modules need the standard library only, and Coreto is not installed here.
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def start_simulator():
    """`coreto.testing.simulator.start_simulator`."""
    path = _ROOT / "src" / "coreto" / "testing" / "simulator.py"
    return _by_path("coreto_testing_simulator", path).start_simulator


@pytest.fixture(scope="session")
def coding_lab(start_simulator):
    """An OpenAI-compatible server behind :func:`coding_server`."""
    with start_simulator("openai", "--any-model") as simulator:
        yield simulator


@pytest.fixture(scope="session")
def coding_server(coding_lab, tmp_path_factory):
    """`coreto serve` as coding agents meet it: a key is needed, and their models' names are aliases."""
    toml = f"""
[server]
api_keys = ["good-key"]
model_aliases = {{ "claude-*" = "chat", "gpt-*" = "chat" }}
[providers.lab]
kind = "openai"
base_url = "{coding_lab.url}/v1"
[roles.chat]
chain = ["lab/gone", "lab/primary"]
[roles.lost]
chain = ["lab/lost"]
retries = 0
"""
    support = _by_path("coreto_server_process", _ROOT / "tests" / "support" / "server_process.py")
    with support.start_server(support.write_config(tmp_path_factory.mktemp("coding"), toml)) as server:
        yield server


@pytest.fixture
def lab_of_agents(coding_lab):
    """The same as at its start, but that the chain's first model always fails."""
    coding_lab.reset()
    coding_lab.add_faults({"kind": "status", "status": 500, "model": "gone"})
    return coding_lab
