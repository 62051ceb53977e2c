"""Simulators for the whole session, and a Coreto that knows nothing but them."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from coreto.client import Coreto
from coreto.testing.simulator import Simulator, start_simulator

T = TypeVar("T")


@pytest.fixture(scope="session")
def _first() -> Iterator[Simulator]:
    with start_simulator("openai", "--any-model") as simulator:
        yield simulator


@pytest.fixture(scope="session")
def _second() -> Iterator[Simulator]:
    with start_simulator("openai", "--flavour", "llamacpp", "--any-model") as simulator:
        yield simulator


@pytest.fixture(scope="session")
def _router() -> Iterator[Simulator]:
    with start_simulator("openai", "--flavour", "openrouter", "--any-model") as simulator:
        yield simulator


@pytest.fixture(scope="session")
def _ollama() -> Iterator[Simulator]:
    with start_simulator("ollama", "--time-scale", "0") as simulator:
        yield simulator


@pytest.fixture(scope="session")
def _cloud() -> Iterator[Simulator]:
    with start_simulator("ollama", "--cloud", "--api-key", "cloud-key", "--time-scale", "0") as simulator:
        yield simulator


def _fresh(simulator: Simulator) -> Iterator[Simulator]:
    simulator.reset()
    yield simulator
    assert simulator.alive


@pytest.fixture
def first(_first: Simulator) -> Iterator[Simulator]:
    """An OpenAI-compatible server, as at its start."""
    yield from _fresh(_first)


@pytest.fixture
def second(_second: Simulator) -> Iterator[Simulator]:
    """Another one, in llama.cpp's flavour."""
    yield from _fresh(_second)


@pytest.fixture
def router(_router: Simulator) -> Iterator[Simulator]:
    """An OpenRouter, as at its start."""
    yield from _fresh(_router)


@pytest.fixture
def ollama(_ollama: Simulator) -> Iterator[Simulator]:
    """A local Ollama, as at its start."""
    yield from _fresh(_ollama)


@pytest.fixture
def cloud(_cloud: Simulator) -> Iterator[Simulator]:
    """Ollama Cloud, as at its start; its key is ``cloud-key``."""
    yield from _fresh(_cloud)


@pytest.fixture(autouse=True)
def _nothing_of_the_developer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings, keys or proxies of whoever runs the tests."""
    for name in ("OLLAMA_HOST", "OLLAMA_BASE_URL", "OLLAMA_API_KEY", "OLLAMA_CLOUD_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name in (
        "OPENROUTER_API_KEY",
        "OPENAI_API_KEY",
        "CORETO_CONFIG",
        "CORETO_OFFLINE",
        "FALLBACK_ENABLED",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def free_port() -> int:
    """A port of 127.0.0.1 where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


Ask = Callable[[str, Callable[[Coreto], Awaitable[T]]], T]


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ask[T]:
    """Run a function of a started ``Coreto`` whose whole configuration is the given TOML text."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)

    @asynccontextmanager
    async def started(toml: str) -> AsyncIterator[Coreto]:
        text = f'discovery = false\ndata_dir = "{tmp_path / "data"}"\nmodels_dir = "{tmp_path / "models"}"\n'
        (folder / "coreto.toml").write_text(text + toml)
        async with Coreto(config=folder / "coreto.toml") as client:
            yield client

    def run(toml: str, work: Callable[[Coreto], Awaitable[T]]) -> T:
        async def main() -> T:
            async with started(toml) as client:
                return await work(client)

        return asyncio.run(main())

    return run
