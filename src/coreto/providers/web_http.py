"""HTTP by aiohttp: TLS, proxies, and whatever else the world outside asks for.

Imported when the first such server is asked: aiohttp takes 13 MB and a tenth of a second of CPU, which a machine with
local servers only need not spend.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp

from coreto.errors import CallError, CutError, GarbledError, TimedOutError, UnreachableError
from coreto.redaction import brief


class WebResponse:
    """A response whose headers have arrived."""

    __slots__ = ("_response", "headers", "status")

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    @property
    def content_length(self) -> int | None:
        """Bytes of the body, where the server has said so."""
        return self._response.content_length

    async def read(self) -> bytes:
        """The whole body."""
        try:
            return await self._response.read()
        except (aiohttp.ClientError, OSError) as error:
            raise translate(error, connected=True) from error

    async def readany(self) -> bytes:
        """What has arrived of the body, as soon as anything has; nothing at its end."""
        try:
            return await self._response.content.readany()
        except (aiohttp.ClientError, OSError) as error:
            raise translate(error, connected=True) from error

    def at_eof(self) -> bool:
        """Whether the body was read to its end."""
        return self._response.content.at_eof()

    def not_again(self) -> None:
        """Keep the connection out of the pool."""
        connection = self._response.connection
        if connection is not None and connection.protocol is not None:
            connection.protocol.force_close()

    def close(self) -> None:
        """Give the connection back, or end it where the response was not read to its end."""
        self._response.close()


@dataclass(frozen=True, slots=True)
class Web:
    """Where a :class:`WebPool` connects to. ``keepalive``: seconds a connection may idle."""

    base: str
    headers: Mapping[str, str]
    limit: int
    keepalive: float
    proxy: str | None = None


class WebPool:
    """Pooled connections to one server."""

    def __init__(self, web: Web) -> None:
        self._web = web
        self._session: aiohttp.ClientSession | None = None
        self._timeouts: dict[float, aiohttp.ClientTimeout] = {}

    async def request(
        self, method: str, path: str, headers: Mapping[str, str] | None, body: bytes | None, connect: float
    ) -> WebResponse:
        """Send a request and wait for its response's headers. ``connect``: seconds to connect in. Raises
        :class:`CallError`."""
        timeout = self._timeouts.get(connect)
        if timeout is None:
            timeout = self._timeouts[connect] = aiohttp.ClientTimeout(total=None, sock_connect=connect)
        try:
            response = await self._open_session().request(
                method,
                self._web.base + path,
                data=body,
                headers=headers,
                timeout=timeout,
                allow_redirects=False,
                proxy=self._web.proxy,
            )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise translate(error, connected=False) from error
        return WebResponse(response)

    async def close(self) -> None:
        """Drop all connections. Idempotent."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            web = self._web
            connector = aiohttp.TCPConnector(limit=web.limit, keepalive_timeout=web.keepalive)
            self._session = aiohttp.ClientSession(
                connector=connector, headers=web.headers, cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._session


def translate(error: Exception, *, connected: bool) -> CallError:
    """Our error for a transport failure; ``connected``: the response had begun."""
    text = brief(str(error) or type(error).__name__)
    match error:
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError() | ConnectionResetError():
            return CutError(f"the connection was cut: {text}")
        case aiohttp.ConnectionTimeoutError():
            return TimedOutError(f"no connection in time: {text}")
        case aiohttp.ClientConnectorDNSError():
            return UnreachableError(f"the host name {error.host!r} cannot be resolved")
        case aiohttp.ClientConnectorError(os_error=ConnectionRefusedError()):
            return UnreachableError(f"nothing listens at {error.host}:{error.port}")
        case aiohttp.ClientConnectorError() | aiohttp.InvalidURL():
            return UnreachableError(text)
        case aiohttp.ClientOSError():  # on a connection that stood: reset, broken pipe
            return CutError(f"the connection was cut: {text}")
        case aiohttp.ClientResponseError():
            return GarbledError(f"not an HTTP response: {text}")
        case _:
            return CutError(text) if connected else UnreachableError(text)
