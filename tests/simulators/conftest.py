"""Running simulators, one of each kind for the session and reset before each test, and a client for them."""

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from coreto.testing.simulator import Simulator, start_simulator

HELLO = [{"role": "user", "content": "hello there"}]


@dataclass
class Got:
    """A reply as far as it came; `error` names the client's exception."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    error: str = ""

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def lines(self) -> list[Any]:
        """Parsed NDJSON lines."""
        return [json.loads(line) for line in self.body.splitlines() if line]

    @property
    def events(self) -> list[Any]:
        """Parsed server-sent events; ``[DONE]`` as text."""
        data = [line[6:] for line in self.body.split(b"\n") if line.startswith(b"data: ")]
        return ["[DONE]" if item == b"[DONE]" else json.loads(item) for item in data]


async def _fetch(
    url: str, data: Any = None, *, method: str = "", timeout: float = 5.0, headers: Any = None
) -> Got:
    got = Got()
    payload = data if isinstance(data, (bytes, type(None))) else json.dumps(data).encode()
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=timeout)) as session,
            session.request(
                method or ("GET" if data is None else "POST"), url, data=payload, headers=headers
            ) as reply,
        ):
            got.status = reply.status
            got.headers = dict(reply.headers)
            async for block in reply.content.iter_any():
                got.body += block
    except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
        got.error = type(error).__name__
    return got


@pytest.fixture(scope="session")
def fetch() -> Callable[..., Any]:
    """One request as a coroutine; a dict is sent as JSON, bytes as they are, None with GET."""
    return _fetch


@pytest.fixture(scope="session")
def call() -> Callable[..., Got]:
    """One request, waited for."""
    return lambda *args, **more: asyncio.run(_fetch(*args, **more))


@pytest.fixture(scope="session")
def chat() -> Callable[..., dict[str, Any]]:
    """A chat request body of either wire."""
    return lambda model, stream=False, **more: {"model": model, "messages": HELLO, "stream": stream, **more}


@pytest.fixture(scope="session")
def _ollama() -> Iterator[Simulator]:
    with start_simulator("ollama", "--time-scale", "0") as simulator:
        yield simulator


@pytest.fixture(scope="session")
def _openai() -> Iterator[Simulator]:
    with start_simulator("openai") as simulator:
        yield simulator


@pytest.fixture(scope="session")
def _openrouter() -> Iterator[Simulator]:
    with start_simulator("openai", "--flavour", "openrouter") as simulator:
        yield simulator


@pytest.fixture
def ollama(_ollama: Simulator) -> Simulator:
    """A local Ollama as it was started."""
    _ollama.reset()
    return _ollama


@pytest.fixture
def openai(_openai: Simulator) -> Simulator:
    """An OpenAI as it was started."""
    _openai.reset()
    return _openai


@pytest.fixture
def openrouter(_openrouter: Simulator) -> Simulator:
    """An OpenRouter as it was started."""
    _openrouter.reset()
    return _openrouter
