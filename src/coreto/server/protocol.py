"""uvicorn's HTTP connection with bounds: httptools has none on headers, neither in bytes nor in time."""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

MOST_HEADER_BYTES = 64 * 1024

#: Seconds in which a request's headers must have arrived, from the connection or their first byte on.
HEADERS_WITHIN = 30.0

#: In a scope's ``extensions``: the whole body is there, so that nothing need watch over its coming.
COMPLETE: dict[str, dict[object, object]] = {"coreto.complete": {}}

_END = b"\r\n\r\n"
_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)  # fmt: skip
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class BoundedProtocol(HttpToolsProtocol):
    """Closes connections whose headers are too long, or too long in coming."""

    _between = True  # no request is under way
    _heading = True  # the headers of a request are not yet complete
    _head = 0  # bytes that have come of them
    _due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] - as uvicorn's
        super().connection_made(transport)
        self._due = self.loop.call_later(HEADERS_WITHIN, self._refuse, _TOO_SLOW)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if (self._between or self._heading) and self._head + len(data) > MOST_HEADER_BYTES:
            end = data.find(_END)
            if self._head + (len(data) if end < 0 else end) > MOST_HEADER_BYTES:
                self._refuse(_TOO_LARGE)
                return
        super().data_received(data)
        if self._heading:  # rare: the headers of most requests come in one piece
            self._head += len(data)
            if self._head > MOST_HEADER_BYTES:
                self._refuse(_TOO_LARGE)
            elif self._due is None:
                self._due = self.loop.call_later(HEADERS_WITHIN, self._refuse, _TOO_SLOW)

    def on_message_complete(self) -> None:
        self._between = True
        self._head = 0
        self.scope["extensions"] = COMPLETE  # most often before the application sees the request
        super().on_message_complete()

    def on_message_begin(self) -> None:
        self._between = False
        self._heading = True
        self._head = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._heading = False
        if self._due is not None:
            self._stop_waiting()
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is not before:
            _Joining(self.cycle, self.loop)

    def _stop_waiting(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _refuse(self, response: bytes) -> None:
        self._stop_waiting()
        self._heading = False
        if not self.transport.is_closing():
            self.transport.write(response)
            self.transport.close()


class _Joining:
    """The transport of one response until its second write: head and body, which uvicorn writes one after the
    other, go out in one piece. (A packet less for both sides to deal with: a tenth of a short call's CPU.) A
    first write that nothing follows at once goes out alone."""

    __slots__ = ("_cycle", "_handle", "_held", "_loop", "_transport")

    def __init__(self, cycle: RequestResponseCycle, loop: asyncio.AbstractEventLoop) -> None:
        self._cycle = cycle
        self._loop = loop
        self._transport = cycle.transport
        self._held = b""
        self._handle: asyncio.Handle | None = None
        cycle.transport = self  # type: ignore[assignment] - all that a cycle does with it

    def write(self, data: bytes) -> None:
        self._held += data
        if self._handle is None:
            self._handle = self._loop.call_soon(self._flush)
        else:
            self._handle.cancel()
            self._flush()

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def _flush(self) -> None:
        self._cycle.transport = self._transport
        if self._held and not self._transport.is_closing():
            self._transport.write(self._held)
        self._held = b""
