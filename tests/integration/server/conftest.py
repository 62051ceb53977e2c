"""Servers as processes, before simulators as processes."""

import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import ModuleType

import pytest

from coreto.testing.simulator import Simulator, start_simulator


def _support() -> ModuleType:
    path = Path(__file__).parents[2] / "support" / "server_process.py"
    spec = importlib.util.spec_from_file_location("coreto_server_process", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def support() -> ModuleType:
    """``tests/support/server_process.py``."""
    return _support()


@pytest.fixture(scope="session")
def _upstream() -> Iterator[Simulator]:
    with start_simulator("openai", "--any-model", "--chunks", "6", "--chunk-delay", "0.03") as simulator:
        yield simulator


@pytest.fixture
def upstream(_upstream: Simulator) -> Simulator:
    """An OpenAI-compatible server, as at its start."""
    _upstream.reset()
    return _upstream


def _toml(upstream: Simulator) -> str:
    """Two deployments of one server in a chain, and one alone."""
    return f"""
[providers.lab]
kind = "openai"
base_url = "{upstream.url}/v1"
[providers.spare]
kind = "openai"
base_url = "{upstream.url}/api/v1"
[roles.chat]
chain = ["lab/primary"]
[roles.pair]
chain = ["lab/first", "spare/second"]
[roles.relay]
chain = ["lab/odd", "spare/even"]
[roles.lost]
chain = ["lab/lost-1", "spare/lost-2"]
[roles.wrong]
chain = ["lab/wrong-1", "spare/wrong-2"]
[roles.brain]
chain = ["lab/brainy"]
"""


@pytest.fixture(scope="session")
def _server(support, _upstream, tmp_path_factory) -> Iterator:
    with support.start_server(
        support.write_config(tmp_path_factory.mktemp("shared"), _toml(_upstream))
    ) as it:
        yield it


@pytest.fixture
def server(_server, upstream):
    """A server that all tests share which leave it healthy."""
    return _server


@pytest.fixture(scope="session")
def keyed(support, _upstream, tmp_path_factory) -> Iterator:
    """A server with the keys ``one-key`` and ``another-key``."""
    toml = '[server]\napi_keys = ["one-key", "another-key"]\n' + _toml(_upstream)
    with support.start_server(support.write_config(tmp_path_factory.mktemp("keyed"), toml)) as it:
        yield it


@pytest.fixture
def config(support, upstream, tmp_path) -> Callable[..., Path]:
    """Writes a configuration of one's own: TOML in front of the shared one's."""

    def write(head: str = "", *, shared: bool = True) -> Path:
        return support.write_config(tmp_path / "own", head + (_toml(upstream) if shared else ""))

    return write


@pytest.fixture
def started(support, config) -> Callable[..., AbstractContextManager]:
    """Starts a server of one's own."""

    def start(head: str = "", **more) -> AbstractContextManager:
        return support.start_server(config(head), **more)

    return start


@pytest.fixture
def refused(support, config) -> Callable[..., object]:
    """Runs a server that is not to start."""

    def run(head: str, *args: str) -> object:
        return support.run_to_end(config(head), *args)

    return run


@pytest.fixture
def own(started) -> Iterator:
    """A server that the test may break."""
    with started() as it:
        yield it
