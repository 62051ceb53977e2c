"""Who may use the server."""

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

from coreto.server.keys import ANYBODY, Caller, KeyRing

#: Names that no public DNS server can give away.
_OWN_SUFFIXES = (".localhost", ".local", ".internal")


class Access:
    """Accepts bearers of the ring's keys; without keys, clients that address this machine as such.

    A server without keys listens on loopback alone, but a web page in the user's browser can reach that.
    It gives itself away by the ``Host`` (DNS rebinding) or the ``Origin`` it sends.
    """

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring

    def admit(self, headers: Mapping[bytes, bytes]) -> Caller | str:
        """Who sends a request with these headers (names in lower case), or why it is refused."""
        if self._ring.needs_key:
            return self._find(headers)
        if not _is_own(headers.get(b"host", b"")):
            return (
                "this server has no keys, so it answers to names of this machine only: set `server.api_keys`"
            )
        origin = headers.get(b"origin")
        if origin is not None and not _is_own(origin):
            return (
                "this server has no keys, so web pages of other hosts may not use it: set `server.api_keys`"
            )
        return ANYBODY

    @property
    def needs_key(self) -> bool:
        return self._ring.needs_key

    def _find(self, headers: Mapping[bytes, bytes]) -> Caller | str:
        scheme, _, key = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() != b"bearer" or not key:
            key = headers.get(b"x-api-key", b"")  # as Anthropic's clients send it
        if not key:
            return "no API key: send it as `Authorization: Bearer KEY`"
        return self._ring.find(key.strip()) or "wrong API key"


def _is_own(address: bytes) -> bool:
    """Whether a ``Host`` or an ``Origin`` names this machine. None at all is an HTTP/1.0 client's."""
    if not address or address.startswith((b"127.0.0.1:", b"localhost:")):
        return True
    text = address.decode("latin-1")
    try:
        host = urlsplit(text if "://" in text else f"//{text}").hostname or ""
    except ValueError:
        return False
    if host == "localhost" or host.endswith(_OWN_SUFFIXES):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
