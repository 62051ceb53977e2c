"""The server's edge in process: a gateway with behaviour, and ASGI by hand."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest

from coreto.errors import CallError
from coreto.labels import Label
from coreto.messages import Attempt, Call, Chunk, EmbedCall, Item, Json, Trace, Whole
from coreto.routing.directory import Directory
from coreto.server.asgi import Edge
from coreto.server.keys import KeyRing
from coreto.server.services import Services


def trace_of(call: Call | EmbedCall) -> Trace:
    return Trace(call.id, "lab/x", "chat", Label.INTERNAL, (Attempt("lab/x", "ok"),))


@dataclass
class ScriptedGateway:
    """Gives the items it is told to; an exception among them is raised, ``wait`` waits for ever."""

    items: list[Item | Exception | str] = field(default_factory=list)
    calls: list[Call | EmbedCall] = field(default_factory=list)
    opened: int = 0
    closed: int = 0
    directory: Directory = field(default_factory=lambda: Directory({}, {}))

    @asynccontextmanager
    async def open(self, call: Call) -> AsyncIterator[AsyncIterator[Item]]:
        self.calls.append(call)
        self.opened += 1
        try:
            yield self._play(call)
        finally:
            self.closed += 1

    async def _play(self, call: Call) -> AsyncIterator[Item]:
        for item in self.items:
            if isinstance(item, Exception):
                raise item
            if isinstance(item, str):
                await asyncio.Event().wait()
            else:
                yield item
        yield trace_of(call)

    async def whole(self, call: Call) -> tuple[Whole, Trace]:
        async with self.open(call) as items:
            async for item in items:
                if isinstance(item, Whole):
                    return item, trace_of(call)
        raise CallError("the gateway ended without an answer")

    async def embed(self, call: EmbedCall) -> tuple[Json, Trace]:
        self.calls.append(call)
        for item in self.items:
            if isinstance(item, Exception):
                raise item
            if isinstance(item, Whole):
                return item.body, trace_of(call)
        raise AssertionError("nothing scripted")


@dataclass
class Response:
    """What the application sent. ``raw``: the messages."""

    raw: list[dict[str, Any]]

    @property
    def status(self) -> int:
        return self.raw[0]["status"]

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.raw[0]["headers"])

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.raw[1:])

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def complete(self) -> bool:
        return bool(self.raw) and not self.raw[-1].get("more_body", False) and len(self.raw) > 1


@dataclass
class Bench:
    """An edge with a scripted gateway, and requests to it."""

    gateway: ScriptedGateway
    edge: Edge

    def send(
        self,
        body: bytes | list[bytes] | Json,
        *,
        path: str = "/v1/chat/completions",
        method: str = "POST",
        headers: dict[bytes, bytes] | None = None,
        hang_up: bool = False,
    ) -> Response:
        """One request, its body in one or more messages. ``hang_up``: the client leaves after it."""
        data = body if isinstance(body, bytes | list) else orjson.dumps(body)
        parts = data if isinstance(data, list) else [data]
        incoming: list[dict[str, Any]] = [
            {"type": "http.request", "body": part, "more_body": n < len(parts)}
            for n, part in enumerate(parts, 1)
        ]
        if hang_up:
            incoming.append({"type": "http.disconnect"})
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            if incoming:
                return incoming.pop(0)
            return await asyncio.get_running_loop().create_future()

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [*(headers or {b"host": b"127.0.0.1:8080"}).items()],
        }

        async def main() -> None:
            async with asyncio.timeout(5):
                await self.edge(scope, receive, send)
            assert asyncio.all_tasks() == {asyncio.current_task()}, "a task was left behind"

        asyncio.run(main())
        return Response(sent)


async def _status() -> Json:
    return {"fine": True}


@pytest.fixture
def bench() -> Callable[..., Bench]:
    """Makes a bench whose gateway plays the given items."""

    def make(*items: Item | Exception | str, status=_status, why_not_ready=lambda: None, keys=()) -> Bench:
        gateway = ScriptedGateway(list(items))
        return Bench(gateway, Edge(Services(gateway, status, why_not_ready, KeyRing(keys))))

    return make


@pytest.fixture
def whole() -> Whole:
    body = {"id": "1", "choices": [{"message": {"role": "assistant", "content": "yes"}}]}
    return Whole(body, orjson.dumps(body))


@pytest.fixture
def chunk() -> Chunk:
    body = {"id": "1", "created": 5, "model": "m", "choices": [{"delta": {"content": "yes"}}]}
    return Chunk(body, orjson.dumps(body))
