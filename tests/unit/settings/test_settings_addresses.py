"""Addresses of servers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coreto.settings.addresses import is_loopback_url, ollama_url, server_url


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("localhost", "http://localhost:11434"),
        ("localhost:1234", "http://localhost:1234"),
        ("http://localhost:11434", "http://localhost:11434"),
        ("http://localhost:11434/", "http://localhost:11434"),
        ("http://localhost:11434/v1", "http://localhost:11434"),
        ("http://localhost:11434/api/", "http://localhost:11434"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:8080", "http://127.0.0.1:8080"),
        ("http://0.0.0.0:11434", "http://127.0.0.1:11434"),
        (":5000", "http://127.0.0.1:5000"),
        ("[::]:5000", "http://[::1]:5000"),
        ("::1", "http://[::1]:11434"),
        ("[fe80::1]", "http://[fe80::1]:11434"),
        ("http://gpu-box", "http://gpu-box"),
        ("https://ollama.example", "https://ollama.example"),
        ("https://ollama.example:443", "https://ollama.example"),
        ("ollama.com", "https://ollama.com"),
        ("https://example.com/ollama/v1", "https://example.com/ollama"),
        ("https://user:pass@example.com", "https://user:pass@example.com"),
        ("  127.0.0.1:11434  ", "http://127.0.0.1:11434"),
    ],
)
def test_ollama_url(text: str, expected: str) -> None:
    """OLLAMA_HOST means what it means to Ollama itself, as seen from a client."""
    assert ollama_url(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "ftp://x",
        "localhost:port",
        "localhost:99999",
        "a b",
        "http://a b:1",
        "[::",
        "http://[::1",
        "http://",
        "",
        "a:b:c",
    ],
)
def test_ollama_url_refuses(text: str) -> None:
    """What cannot be an address is refused with an example."""
    with pytest.raises(ValueError, match="an address such as"):
        ollama_url(text)


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("http://127.0.0.1:1", True),
        ("http://127.8.9.10", True),
        ("http://localhost:1/v1", True),
        ("http://LOCALHOST.", True),
        ("http://[::1]:1", True),
        ("http://[::ffff:127.0.0.1]:1", True),
        ("http://0.0.0.0", False),
        ("http://192.168.0.2", False),
        ("http://localhost.example.com", False),
        ("http://127.0.0.1.example.com", False),
        ("http://127.0.0.1@example.com", False),
        ("http://[broken", False),
        ("", False),
    ],
)
def test_is_loopback_url(url: str, loopback: bool) -> None:
    """Only 127.0.0.0/8, ::1 and localhost are this machine."""
    assert is_loopback_url(url) is loopback


@pytest.mark.parametrize("text", ["http://h:1/v1", "https://h/v1/"])
def test_server_url(text: str) -> None:
    """A good URL is kept, without its last slash."""
    assert server_url(text) == text.rstrip("/")


@pytest.mark.parametrize("text", ["127.0.0.1:1/v1", "", "ftp://x", "http://", "http://h:port", "http://a b"])
def test_server_url_refuses(text: str) -> None:
    """What is not an http URL is refused with an example."""
    with pytest.raises(ValueError, match='a URL such as "http://'):
        server_url(text)


def test_server_url_suggests_the_scheme() -> None:
    """An address that only lacks its scheme is shown with it, unless it may hold a password."""
    with pytest.raises(ValueError, match=r"http://127\.0\.0\.1:1/v1"):
        server_url("127.0.0.1:1/v1")
    with pytest.raises(ValueError) as caught:
        server_url("user:hush@host/v1")
    assert "hush" not in str(caught.value)


@given(st.text(max_size=30))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    """Any text gives a URL that means the same when read again, or ValueError."""
    try:
        url = ollama_url(text)
    except ValueError:
        return
    assert url.startswith(("http://", "https://"))
