"""The only place that speaks HTTP to a model server, and the last look before the wire.

Servers without TLS are spoken to by :mod:`~coreto.providers.plain_http`, all others, and proxies, by aiohttp
(:mod:`~coreto.providers.web_http`).

A connection is freed before :meth:`Http.send`'s caller goes on: :meth:`Reply.close` aborts what was not
read to its end, so a cancelled call stops its upstream at once.
"""

import asyncio
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from coreto.errors import (
    CallError,
    GarbledError,
    PrivacyError,
    TimedOutError,
    UnsupportedError,
)
from coreto.labels import Label, permit
from coreto.messages import Call, EmbedCall
from coreto.providers import traceparent
from coreto.providers.plain_http import PlainPool
from coreto.settings.addresses import is_loopback_url

if TYPE_CHECKING:
    from coreto.providers.web_http import WebPool

MAX_BODY = 64 * 2**20
MAX_LINE = 8 * 2**20
#: Seconds a pooled connection may idle. Below uvicorn's 5 s, after which vLLM and kin close it under us.
_KEEPALIVE_LOCAL = 4.0
_KEEPALIVE_REMOTE = 30.0
#: Seconds granted to a finished stream to end its body, so that its connection can be used again.
_DRAIN = 0.05


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server. ``local``: on this machine, so private data may go there; ``traced``: its requests carry the
    span of their call; ``offline``: nothing may be sent to it that leaves the machine."""

    name: str
    base_url: str
    local: bool
    api_key: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    max_connections: int = 100
    traced: bool = False
    offline: bool = False


class Response(Protocol):
    """What came of a request, by whatever client. Its methods raise :class:`CallError`."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    @property
    def content_length(self) -> int | None: ...

    async def read(self) -> bytes: ...

    async def readany(self) -> bytes: ...

    def at_eof(self) -> bool: ...

    def not_again(self) -> None: ...

    def close(self) -> None: ...


class Reply:
    """A response whose headers have arrived."""

    __slots__ = ("_response", "_rest", "_secrets", "headers", "status")

    def __init__(self, response: "Response", secrets: tuple[bytes, ...] = ()) -> None:
        """``secrets`` are taken out of the bodies of errors: servers like to quote the key they refuse."""
        self._response = response
        self._secrets = secrets
        self._rest = b""
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    async def read(self) -> bytes:
        """The whole body. Raises :class:`CutError`, and :class:`GarbledError` beyond 64 MiB."""
        length = self._response.content_length
        if length is not None and length > MAX_BODY:
            raise GarbledError(f"the answer is {length} bytes long")
        body = await self._read_capped() if length is None else await self._response.read()
        if self.status >= 400:
            for secret in self._secrets:
                body = body.replace(secret, b"***")
        return body

    async def _read_capped(self) -> bytes:
        parts: list[bytes] = []
        size = 0
        while data := await self._response.readany():
            parts.append(data)
            size += len(data)
            if size > MAX_BODY:
                raise GarbledError(f"the answer is longer than {MAX_BODY} bytes")
        return b"".join(parts)

    async def lines(self) -> list[bytes] | None:
        """The body's next lines, without their ends, as many as have arrived together; ``None`` at its end.

        (Not a generator: one left early would have to be closed, and cost a task where it is not.)
        """
        while data := await self._response.readany():
            *lines, self._rest = (self._rest + data).split(b"\n") if self._rest else data.split(b"\n")
            if len(self._rest) > MAX_LINE:
                raise GarbledError("a line of the stream is too long")
            if lines:
                return lines
        if self._rest:
            rest, self._rest = self._rest, b""
            return [rest]
        return None

    async def drain(self) -> None:
        """Read a finished stream to its end, so that its connection goes back to the pool."""
        try:
            async with asyncio.timeout(_DRAIN):
                while not self._response.at_eof():
                    await self._response.readany()
        except (TimeoutError, CallError):
            return  # the answer is complete; `close` drops the connection

    def close(self) -> None:
        """Free the connection; abort it where the body was not read to its end."""
        self._response.close()


class Http:
    """Pooled connections to one endpoint."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._base = endpoint.base_url.rstrip("/")
        self._headers = {"Content-Type": "application/json", **endpoint.headers}
        if endpoint.api_key:
            self._headers["Authorization"] = f"Bearer {endpoint.api_key}"
        self._secrets = _secrets_of(endpoint)
        self._proxy = None if endpoint.local or is_loopback_url(self._base) else _proxy_for(self._base)
        self._plain = None if self._proxy else self._plain_pool()
        self._web: WebPool | None = None

    async def send(
        self,
        method: str,
        path: str,
        *,
        label: Label,
        body: bytes | None = None,
        connect: float = 5.0,
        local: bool | None = None,
        call: Call | EmbedCall | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send a request and wait for the response's headers. The caller closes the reply.

        ``label`` is that of the data in ``body``; ``local=False`` says that the server behind this
        loopback endpoint passes the request on; ``call``: the one it is sent for; ``headers``: besides those of
        the endpoint, in place of the span's. Raises :class:`PrivacyError` instead of sending private
        data off the machine, else :class:`CallError`.
        """
        here = self.endpoint.local if local is None else local
        if self.endpoint.offline and not here:
            raise UnsupportedError(f"offline: {self.endpoint.name!r} is not on this machine")
        if not permit(label, sink_is_local=here):
            raise PrivacyError(f"{self.endpoint.name!r} is not on this machine; a private request stays here")
        if headers is None and call is not None and self.endpoint.traced:
            headers = _span_header(call)
        response: Response
        if self._plain is not None:
            response = await self._plain.request(method, path, headers, body, connect)
        else:
            response = await self._outside().request(method, path, headers, body, connect)
        if response.headers.get("Server") == "llama.cpp" and response.content_length is None:
            # it closes the connection after a stream, whatever its headers say: the next call would find it dead
            response.not_again()
        return Reply(response, self._secrets)

    def _outside(self) -> "WebPool":
        if self._web is None:
            from coreto.providers.web_http import Web, WebPool  # noqa: PLC0415 - see there

            endpoint = self.endpoint
            self._web = WebPool(
                Web(self._base, self._headers, endpoint.max_connections, _keepalive(endpoint), self._proxy)
            )
        return self._web

    @property
    def in_use(self) -> int:
        """Connections without TLS that carry a request now."""
        return 0 if self._plain is None else self._plain.in_use

    def _plain_pool(self) -> PlainPool | None:
        """Connections of our own, where neither TLS nor anything else is asked for that is aiohttp's to do."""
        parts = urlsplit(self._base)
        if parts.scheme != "http" or not parts.hostname or parts.username is not None or parts.query:
            return None
        fixed = {"Host": parts.netloc, "Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "coreto"}
        lines = [f"{name}: {value}" for name, value in {**fixed, **self._headers}.items()]
        if any(bad in line for line in lines for bad in "\r\n\0") or not self._base.isascii():
            return None
        return PlainPool(
            parts.hostname,
            parts.port or 80,
            "".join(f"{line}\r\n" for line in lines).encode(),
            limit=self.endpoint.max_connections,
            keepalive=_keepalive(self.endpoint),
            prefix=parts.path,
        )

    async def fetch(
        self, method: str, path: str, *, body: bytes | None = None, within: float = 5.0
    ) -> tuple[int, bytes]:
        """Status and body of a request that carries no user data. Raises :class:`CallError`."""
        try:
            async with asyncio.timeout(within):
                reply = await self.send(method, path, label=Label.PUBLIC, body=body, connect=within)
                try:
                    return reply.status, await reply.read()
                finally:
                    reply.close()
        except TimeoutError as error:
            raise TimedOutError(f"{self.endpoint.base_url} did not answer within {within:g} s") from error

    async def close(self) -> None:
        """Drop all connections. Idempotent."""
        if self._plain is not None:
            self._plain.close()
        if self._web is not None:
            await self._web.close()


def _span_header(call: Call | EmbedCall) -> dict[str, str]:
    return {traceparent.HEADER: traceparent.span_of(call.id, traceparent.read(call.traceparent)).header}


def _secrets_of(endpoint: Endpoint) -> tuple[bytes, ...]:
    """The key and the headers' values, but for words so short that others would be taken for them."""
    values = (endpoint.api_key or "", *endpoint.headers.values())
    return tuple(value.encode() for value in values if len(value) >= 8)


def _keepalive(endpoint: Endpoint) -> float:
    return _KEEPALIVE_LOCAL if endpoint.local else _KEEPALIVE_REMOTE


def _proxy_for(url: str) -> str | None:
    parts = urlsplit(url)
    if urllib.request.proxy_bypass(parts.hostname or ""):
        return None
    return urllib.request.getproxies().get(parts.scheme)
