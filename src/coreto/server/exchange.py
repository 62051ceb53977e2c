"""One HTTP request and its response, as ASGI messages."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from types import TracebackType
from typing import Any, NamedTuple, Protocol

from coreto.errors import CoretoError
from coreto.messages import Trace
from coreto.resilience.timeouts import Watchdog
from coreto.server.keys import ANYBODY, Caller

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

Headers = list[tuple[bytes, bytes]]

#: Seconds before a client is watched. Most answers of a quick upstream come sooner, and a task for each
#: would cost more than routing them (40 µs against 2); a client that hung up in between is noticed then.
_UNWATCHED = 0.005

#: Seconds in which a request's body must have arrived.
BODY_WITHIN = 30.0

JSON_TYPE = (b"content-type", b"application/json")
_STREAM_HEADERS: Headers = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


class Reply(NamedTuple):
    """A whole response; JSON unless ``headers`` say otherwise."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = (JSON_TYPE,)


class Envelope(Protocol):
    """How a client is told of a failure."""

    def reply(self, failure: Reply) -> Reply:
        """A response that is nothing but ``failure``."""
        ...

    def event(self, failure: Reply) -> bytes:
        """The last event of a stream that ends in ``failure``."""
        ...


class _OpenAIEnvelope:
    """Failures as they are: in OpenAI's words."""

    def reply(self, failure: Reply) -> Reply:
        return failure

    def event(self, failure: Reply) -> bytes:
        return b"data: %b\n\n" % failure.body


OPENAI: Envelope = _OpenAIEnvelope()


class SlowBodyError(CoretoError):
    """The request's body did not arrive in time."""

    code = "request_timeout"
    http_status = 408


class Exchange:
    """A request and the way to answer it, whole (:meth:`reply`) or as a stream of events (:meth:`start`,
    :meth:`write`, :meth:`end`).

    ``started``: a stream's headers are out; ``relayed``: another application answers; ``gone``: the client
    hung up. ``caller``: who asks; ``extra``: headers of whatever response it will be; ``status`` and
    ``trace``: what it came to, for the log. ``envelope``: the words for a failure.
    """

    __slots__ = (
        "_held",
        "_receive",
        "_scope",
        "_send",
        "caller",
        "envelope",
        "extra",
        "gone",
        "headers",
        "method",
        "path",
        "relayed",
        "started",
        "status",
        "trace",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._held: list[bytes] = []
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        if len(self.headers) < len(scope["headers"]):  # a name that comes twice is a list (RFC 9110, 5.3)
            self.headers = _joined(scope["headers"])
        self.started = False
        self.relayed = False
        self.gone = False
        self.caller: Caller = ANYBODY
        self.extra: Headers = []
        self.envelope = OPENAI
        self.status = 0
        self.trace: Trace | None = None

    def header(self, name: bytes) -> str | None:
        """A request header's text; ``name`` in lower case."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    async def read(self, limit: int) -> bytes | None:
        """The request's body; ``None`` when it is longer than ``limit`` bytes, or the client is
        :attr:`gone`. Raises :class:`SlowBodyError`."""
        declared = self.headers.get(b"content-length", b"0")
        if not declared.isdigit() or int(declared[:18]) > limit:
            return None
        if "coreto.complete" in (self._scope.get("extensions") or ()):
            return await self._read(limit)
        watchdog = Watchdog()
        watchdog.arm(BODY_WITHIN)
        try:
            return await self._read(limit)
        except asyncio.CancelledError:
            if watchdog.expired and watchdog.take_back():
                raise SlowBodyError from None
            raise
        finally:
            watchdog.close()

    async def _read(self, limit: int) -> bytes | None:
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body"):
            return message.get("body", b"")
        parts: list[bytes] = []
        size = 0
        while message["type"] == "http.request":
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > limit:
                return None
            if not message.get("more_body"):
                return b"".join(parts)
            message = await self._receive()
        self.gone = True
        return None

    def watch(self) -> "HangUp":
        """A block that is left at once when the client hangs up; what runs in it is cancelled."""
        return HangUp(self, self._receive)

    async def reply(self, reply: Reply) -> None:
        """Send a whole response."""
        self.status = reply.status
        headers = [*reply.headers, *self.extra, (b"content-length", b"%d" % len(reply.body))]
        if reply.status == 204:
            headers.pop()
        await self._send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await self._send({"type": "http.response.body", "body": reply.body})

    async def finish(self, reply: Reply) -> None:
        """Answer with ``reply``; when it is a failure, in whatever way the response so far leaves open."""
        if self.started:
            await self.end(self.envelope.event(reply))
        elif not self.relayed:
            await self.reply(reply if reply.status < 400 else self.envelope.reply(reply))

    async def relay(self, message: Message) -> None:
        """Send a message of another application's response."""
        self.relayed = True
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)

    async def start(self, headers: Headers) -> None:
        """Begin a stream of events."""
        self.started = True
        self.status = 200
        sent = [*_STREAM_HEADERS, *headers, *self.extra]
        await self._send({"type": "http.response.start", "status": 200, "headers": sent})

    def hold(self, data: bytes) -> None:
        """Keep bytes of a stream for the next :meth:`write`, which is about to come."""
        self._held.append(data)

    async def write(self, data: bytes) -> None:
        """Send bytes of a stream now; waits while the client is slower than we are."""
        await self._send({"type": "http.response.body", "body": self._after_held(data), "more_body": True})

    async def end(self, data: bytes) -> None:
        """Send the last bytes of a stream."""
        await self._send({"type": "http.response.body", "body": self._after_held(data)})

    def _after_held(self, data: bytes) -> bytes:
        if not self._held:
            return data
        data = b"".join((*self._held, data))
        self._held.clear()
        return data


def _joined(headers: Headers) -> dict[bytes, bytes]:
    """``headers`` with the values of a name that comes more than once as one list, so that none of them, such as
    a label, takes the place of another."""
    out: dict[bytes, bytes] = {}
    for name, value in headers:
        out[name] = b"%b, %b" % (out[name], value) if name in out else value
    return out


class HangUp:
    """See :meth:`Exchange.watch`."""

    __slots__ = ("_exchange", "_open", "_receive", "_task", "_timer", "_watcher")

    def __init__(self, exchange: Exchange, receive: Receive) -> None:
        self._exchange = exchange
        self._receive = receive
        self._open = True
        self._watcher: asyncio.Task[None] | None = None

    def __enter__(self) -> None:
        self._task = asyncio.current_task()
        self._timer = asyncio.get_running_loop().call_later(_UNWATCHED, self._start)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self._open = False
        self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
        if kind is asyncio.CancelledError and self._exchange.gone and self._task is not None:
            self._task.uncancel()
            return True
        return False

    def _start(self) -> None:
        self._watcher = asyncio.get_running_loop().create_task(self._watch())

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if self._open and self._task is not None:
            self._exchange.gone = True
            self._task.cancel()
