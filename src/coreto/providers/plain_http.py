"""HTTP/1.1 without TLS to one server: what :mod:`~coreto.providers.http` uses for servers on this machine and its network.

aiohttp's client takes 120 µs of CPU a request, this one 45 (``benchmarks/http_clients.py``): the rest is its generality (cookies,
redirects, tracing, URLs, timers), a fifth of what a whole call cost us beside a local model. It does what such servers need
and no more: keep-alive, bodies by length, in chunks or until the end, bounds, and a connection that is gone when
its caller is. The parser is httptools', as the server's is.
"""

import asyncio
import errno
import socket
from collections.abc import Iterator, Mapping
from typing import Protocol, cast

import httptools

from coreto.errors import CallError, CutError, GarbledError, TimedOutError, UnreachableError
from coreto.places import Places
from coreto.redaction import brief

#: Bytes of a response's headers, and of its body that are kept for a slow reader, before the server is not read any more.
MOST_HEADER_BYTES = 64 * 1024
MOST_AHEAD = 256 * 1024


class Headers(Mapping[str, str]):
    """A response's headers, looked up in any case. Of one that comes twice the last counts."""

    __slots__ = ("raw",)

    def __init__(self) -> None:
        #: by lower-case name
        self.raw: dict[bytes, bytes] = {}

    def __getitem__(self, name: str) -> str:
        return self.raw[name.lower().encode()].decode("latin-1")

    def __iter__(self) -> Iterator[str]:
        return (name.decode("latin-1") for name in self.raw)

    def __len__(self) -> int:
        return len(self.raw)


class _Parser(Protocol):
    def feed_data(self, data: bytes, /) -> None: ...

    def get_status_code(self) -> int: ...

    def should_keep_alive(self) -> bool: ...


class PlainResponse:
    """A response whose headers have arrived. Has what a :class:`~coreto.providers.http.Reply` needs of aiohttp's."""

    __slots__ = (
        "_complete",
        "_connection",
        "_error",
        "_parts",
        "_size",
        "_waiter",
        "headers",
        "keep",
        "status",
    )

    def __init__(self, connection: "_Connection") -> None:
        self.status = 0
        self.headers = Headers()
        #: whether the connection may serve another request
        self.keep = True
        self._connection: _Connection | None = connection
        self._parts: list[bytes] = []
        self._size = 0
        self._complete = False
        self._error: CallError | None = None
        self._waiter: asyncio.Future[None] | None = None

    @property
    def content_length(self) -> int | None:
        """Bytes of the body, where the server has said so."""
        value = self.headers.raw.get(b"content-length")
        return int(value) if value is not None and value.isdigit() else None

    async def read(self) -> bytes:
        """The whole body."""
        while not self._complete:
            await self._more()
        parts, self._parts = self._parts, []
        self._size = 0
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def readany(self) -> bytes:
        """What has arrived of the body, as soon as anything has; nothing at its end."""
        while not self._parts:
            if self._complete:
                return b""
            await self._more()
        parts, self._parts = self._parts, []
        if self._size > MOST_AHEAD and self._connection is not None:
            self._connection.resume()
        self._size = 0
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def at_eof(self) -> bool:
        """Whether the body was read to its end."""
        return self._complete and not self._parts

    def not_again(self) -> None:
        """Keep the connection out of the pool."""
        self.keep = False

    def close(self) -> None:
        """Give the connection back, or end it where the response was not read to its end. Idempotent."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.release(reusable=self._complete and self._error is None and self.keep)

    async def _more(self) -> None:
        """Wait until something has changed."""
        if self._error is not None:
            raise self._error
        waiter = self._waiter = asyncio.get_running_loop().create_future()
        try:
            await waiter
        finally:
            self._waiter = None
        if self._error is not None and not self._parts:
            raise self._error

    # --- what the connection tells

    async def begun(self) -> None:
        """Wait for the headers."""
        while not self.status:
            await self._more()

    def took(self, data: bytes) -> bool:
        """Take a piece of the body; whether there is too much of it by now. What follows its end is nobody's."""
        if not self._complete:
            self._parts.append(data)
            self._size += len(data)
        return self._size > MOST_AHEAD

    def end(self, error: CallError | None = None) -> None:
        """Nothing more will come. An ``error`` after the end of the body is none."""
        if self._complete:
            return
        if error is None:
            self._complete = True
        else:
            self._error = self._error or error
        self.wake()

    def wake(self) -> None:
        """Let whoever waits look again."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class _Connection(asyncio.Protocol):
    """One connection; serves one request at a time."""

    def __init__(self, pool: "PlainPool") -> None:
        self._pool = pool
        self._parser: _Parser = cast("_Parser", httptools.HttpResponseParser(self))
        self._transport: asyncio.Transport | None = None
        self._response: PlainResponse | None = None
        self._fields: dict[bytes, bytes] = {}
        self._head = 0
        self._interim = False
        self._until_end = False
        self._paused = False
        self.idle_since = 0.0
        #: it has carried a request before
        self.served = False

    def send(self, data: bytes) -> PlainResponse:
        """Send a request; its response is still to come."""
        assert self._transport is not None
        response = self._response = PlainResponse(self)
        self._fields = response.headers.raw
        self._head = 0
        self._until_end = False
        self._transport.write(data)
        return response

    @property
    def usable(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def abort(self) -> None:
        """End the connection at once."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    def release(self, *, reusable: bool) -> None:
        """The response is done with."""
        self._response = None
        self.served = True
        if not reusable or self._until_end:
            self.abort()
        elif self._paused:
            self.resume()
        self._pool.released(self)

    def resume(self) -> None:
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()

    # --- asyncio's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        response = self._response
        if response is None:
            self._pool.lost(self)
        elif exc is None and self._until_end:
            response.end()
        else:
            response.end(
                CutError(f"the connection was cut: {brief(str(exc)) if exc else 'server disconnected'}")
            )

    def data_received(self, data: bytes) -> None:
        response = self._response
        if response is None:  # nobody has asked
            self.abort()
            self._pool.lost(self)
            return
        if not response.status:
            self._head += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(GarbledError(f"not an HTTP response: {brief(str(error) or type(error).__name__)}"))
            return
        if not response.status and self._head > MOST_HEADER_BYTES:
            self._fail(GarbledError("not an HTTP response: its headers do not end"))
        else:
            response.wake()

    def _fail(self, error: CallError) -> None:
        if self._response is not None:
            self._response.end(error)
        self.abort()

    # --- httptools' callbacks

    def on_message_begin(self) -> None:
        response = self._response
        if response is not None and response.status:  # a second response to one request
            response.keep = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._response is not None and not self._response.status:  # trailers are of no use
            self._fields[name.lower()] = value

    def on_headers_complete(self) -> None:
        response = self._response
        if response is None or response.status:
            return
        status = self._parser.get_status_code()
        self._interim = status < 200
        if self._interim:
            self._fields.clear()
            return
        response.status = status
        self._until_end = (
            b"content-length" not in self._fields
            and b"chunked" not in self._fields.get(b"transfer-encoding", b"").lower()
            and status not in (204, 304)
        )

    def on_body(self, body: bytes) -> None:
        if self._response is not None and self._response.took(body) and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        response = self._response
        if response is None or self._interim:
            return
        if not self._parser.should_keep_alive():
            response.keep = False
        response.end()


class PlainPool:
    """Connections to one server, at most ``limit`` of them; who finds them taken waits, first come, first served.

    ``head``: the request's headers that never change, as they are sent. ``keepalive``: seconds a connection may idle.
    ``prefix``: what stands before every path.
    """

    def __init__(
        self, host: str, port: int, head: bytes, *, limit: int, keepalive: float, prefix: str = ""
    ) -> None:
        self._host = host
        self._port = port
        self._head = head
        self._prefix = prefix
        self._keepalive = keepalive
        self._idle: list[_Connection] = []
        self._busy: set[_Connection] = set()
        self._places = Places(limit)

    @property
    def in_use(self) -> int:
        """Connections that carry a request now."""
        return len(self._busy)

    @property
    def idle(self) -> int:
        """Connections that wait for one."""
        return len(self._idle)

    async def request(
        self, method: str, path: str, headers: Mapping[str, str] | None, body: bytes | None, connect: float
    ) -> PlainResponse:
        """Send a request and wait for its response's headers. ``connect``: seconds to connect in.

        Raises :class:`CallError`.
        """
        try:
            data = self._encoded(method, self._prefix + path, headers, body)
        except ValueError as error:
            raise UnreachableError(f"no such request can be sent: {error}") from error
        while True:
            connection = await self._taken(connect)
            reused = connection.served
            response = connection.send(data)
            try:
                await response.begun()
            except BaseException as error:
                response.keep = False
                response.close()
                # the server may have closed an idle connection in the moment it was used again (RFC 9112, 9.3.1)
                if method == "GET" and reused and isinstance(error, CutError):
                    continue
                raise
            return response

    def _encoded(
        self, method: str, target: str, headers: Mapping[str, str] | None, body: bytes | None
    ) -> bytes:
        more = b""
        for name, value in (headers or {}).items():
            line = f"{name}: {value}"
            if "\r" in line or "\n" in line or "\0" in line:
                raise ValueError(f"the header {name!r} has a line break in it")
            more += line.encode() + b"\r\n"
        start = f"{method} {target} HTTP/1.1\r\n".encode("ascii")
        length = b"" if body is None and method == "GET" else b"content-length: %d\r\n" % len(body or b"")
        return b"".join((start, self._head, more, length, b"\r\n", body or b""))

    async def _taken(self, connect: float) -> _Connection:
        await self._places.enter(None)
        try:
            connection = self._spare() or await self._connected(connect)
        except BaseException:
            self._places.leave()
            raise
        self._busy.add(connection)
        return connection

    def _spare(self) -> _Connection | None:
        now = asyncio.get_running_loop().time()
        while self._idle:
            connection = self._idle.pop()
            if connection.usable and now - connection.idle_since < self._keepalive:
                return connection
            connection.abort()
        return None

    async def _connected(self, within: float) -> _Connection:
        loop = asyncio.get_running_loop()
        where = f"{self._host}:{self._port}"
        try:
            async with asyncio.timeout(within):
                _, connection = await loop.create_connection(
                    lambda: _Connection(self), self._host, self._port
                )
        except TimeoutError:
            raise TimedOutError(f"no connection in time: {where} within {within:g} s") from None
        except OSError as error:
            raise _unreachable(error, self._host, where) from error
        return connection

    def released(self, connection: _Connection) -> None:
        """A connection's response is done with."""
        if connection in self._busy:
            self._busy.discard(connection)
            if connection.usable:
                connection.idle_since = asyncio.get_running_loop().time()
                self._idle.append(connection)
            self._places.leave()

    def lost(self, connection: _Connection) -> None:
        """An idle connection was closed by the server."""
        if connection in self._idle:
            self._idle.remove(connection)

    def close(self) -> None:
        """Drop all connections. Idempotent."""
        for connection in (*self._idle, *self._busy):
            connection.abort()
        self._idle.clear()


def _unreachable(error: OSError, host: str, where: str) -> CallError:
    if isinstance(error, socket.gaierror):
        return UnreachableError(f"the host name {host!r} cannot be resolved")
    refused = f"[Errno {errno.ECONNREFUSED}]"  # of several addresses, all of them are told in one text
    if isinstance(error, ConnectionRefusedError) or refused in str(error):
        return UnreachableError(f"nothing listens at {where}")
    return UnreachableError(brief(str(error)))
