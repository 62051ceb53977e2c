"""Addresses of servers, as people write them."""

import ipaddress
import re
from urllib.parse import urlsplit

OLLAMA_PORT = 11434
OLLAMA_CLOUD = "https://ollama.com"
_OLD_OLLAMA_CLOUD = "api.ollama.cloud"
_HOST_PORT = re.compile(r"(?:\[(?P<ipv6>[^\]]*)\]|(?P<name>[\w.-]*))(?::(?P<port>[0-9]{0,5}))?")
_PORTS = {"http": 80, "https": 443}


def is_loopback_url(url: str) -> bool:
    """Whether the URL's host is this machine: 127.0.0.0/8, ::1 or localhost."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    return is_loopback_host(host)


def is_loopback_host(host: str) -> bool:
    """Whether the host name or address is this machine's own."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def ollama_url(text: str) -> str:
    """The URL meant by an ``OLLAMA_HOST``: no scheme means http, no port then 11434, and an address to
    listen on (0.0.0.0, ::, none) means this machine. A ``/v1`` or ``/api`` at the end is dropped, since
    Ollama is spoken to by its native API. Raises ``ValueError``."""
    scheme, separator, rest = text.strip().partition("://")
    if not separator:
        scheme, rest = "http", text.strip()
    netloc, _, path = rest.partition("/")
    credentials, at, hostport = netloc.rpartition("@")
    host, port = _split_port(hostport)
    if scheme not in _PORTS:
        raise ValueError('an address such as "http://127.0.0.1:11434"')
    if not separator and host == "ollama.com":
        scheme, port = "https", port or _PORTS["https"]
    port = port if port is not None else _PORTS[scheme] if separator else OLLAMA_PORT
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    shown = f"[{host}]" if ":" in host else host
    suffix = "" if port == _PORTS[scheme] else f":{port}"
    return f"{scheme}://{credentials}{at}{shown}{suffix}{_without_api(path)}"


def _split_port(hostport: str) -> tuple[str, int | None]:
    """Host (an IPv6 address without brackets) and port. Raises ``ValueError``."""
    try:
        return str(ipaddress.IPv6Address(hostport)), None
    except ValueError:
        match = _HOST_PORT.fullmatch(hostport)
    expected = 'an address such as "127.0.0.1:11434"'
    if match is None or not (match["name"] or match["ipv6"] or match["port"]):
        raise ValueError(expected)
    port = int(match["port"]) if match["port"] else None
    if port is not None and port > 65535:
        raise ValueError(expected)
    if not match["ipv6"]:
        return match["name"] or "", port
    try:
        return str(ipaddress.IPv6Address(match["ipv6"])), port
    except ValueError:
        raise ValueError(expected) from None


def _without_api(path: str) -> str:
    path = path.strip("/")
    for ending in ("v1", "api"):
        if path == ending or path.endswith(f"/{ending}"):
            path = path[: -len(ending)].rstrip("/")
    return f"/{path}" if path else ""


def is_old_ollama_cloud(url: str) -> bool:
    """Whether this is the address that Ollama Cloud had in the earlier designs."""
    try:
        return urlsplit(url if "://" in url else f"https://{url}").hostname == _OLD_OLLAMA_CLOUD
    except ValueError:
        return False


def server_url(text: str) -> str:
    """The URL of an OpenAI-compatible server, without a slash at its end. Raises ``ValueError``."""
    url = text.strip().rstrip("/")
    try:
        parts = urlsplit(url)
        valid = parts.scheme in _PORTS and bool(parts.hostname) and parts.port != 0 and not _has_space(url)
    except ValueError:
        valid = False
    if not valid:
        # Not echoed where it could hold a password.
        echo = bool(url) and "://" not in url and "@" not in url and not _has_space(url)
        example = f"http://{url}" if echo else "http://127.0.0.1:8000/v1"
        raise ValueError(f'a URL such as "{example}"')
    return url


def _has_space(text: str) -> bool:
    return any(character.isspace() for character in text)
