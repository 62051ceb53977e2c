"""Who may use the server."""

import hashlib
import hmac
import ipaddress
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

#: Names that no public DNS server can give away.
_OWN_SUFFIXES = (".localhost", ".local", ".internal")


class Access:
    """Accepts bearers of the given keys; without keys, clients that address this machine as such.

    A server without keys listens on loopback alone, but a web page in the user's browser can reach that.
    It gives itself away by the ``Host`` (DNS rebinding) or the ``Origin`` it sends.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        self._digests = tuple(_digest(key.encode()) for key in keys)

    def refusal(self, headers: Mapping[bytes, bytes]) -> str | None:
        """Why a request with these headers (names in lower case) is refused; ``None``: it is not."""
        if self._digests:
            return self._check_key(headers.get(b"authorization", b""))
        if not _is_own(headers.get(b"host", b"")):
            return (
                "this server has no keys, so it answers to names of this machine only: set `server.api_keys`"
            )
        origin = headers.get(b"origin")
        if origin is not None and not _is_own(origin):
            return (
                "this server has no keys, so web pages of other hosts may not use it: set `server.api_keys`"
            )
        return None

    @property
    def needs_key(self) -> bool:
        return bool(self._digests)

    def _check_key(self, authorization: bytes) -> str | None:
        scheme, _, key = authorization.partition(b" ")
        if scheme.lower() != b"bearer" or not key:
            return "no API key: send it as `Authorization: Bearer KEY`"
        given = _digest(key.strip())
        matches = [hmac.compare_digest(given, digest) for digest in self._digests]  # all: same time always
        return None if any(matches) else "wrong API key"


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


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
