"""Logs: their two forms, and what is taken out of them."""

import io
import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coreto.events import EventBus, RequestServed
from coreto.settings.model import Settings
from coreto.telemetry.logs import Redactor, log_requests, secrets_of, set_up_logs

SECRET = "Odd-Shape-0123"


@pytest.fixture
def written():
    """Sets up our logs on a text, and puts everything back."""
    names = ("coreto", "uvicorn")
    before = {n: (logging.getLogger(n).handlers, logging.getLogger(n).level) for n in names}
    stream = io.StringIO()
    yield lambda form, level="debug": (set_up_logs(level, form, secrets=[SECRET], stream=stream), stream)[1]
    for name, (handlers, level) in before.items():
        logging.getLogger(name).handlers = handlers
        logging.getLogger(name).setLevel(level)
        logging.getLogger(name).propagate = True


@pytest.mark.parametrize("form", ["human", "json"])
def test_no_secret_in_any_part(written, form) -> None:
    """Neither in the message, its arguments, nor a traceback; known ones however they look."""
    stream = written(form)
    log = logging.getLogger("coreto.some.part")
    log.info("with %s and api_key=abcdefgh", SECRET)
    log.warning("Authorization: Bearer abc.def-ghi and sk-12345678abc and ck-abcdefghijkl")
    try:
        int(SECRET)
    except ValueError:
        log.exception("failed")
    logging.getLogger("uvicorn.error").warning("uvicorn saw %s", SECRET)
    text = stream.getvalue()
    for secret in (SECRET, "abcdefgh", "abc.def-ghi", "12345678abc"):
        assert secret not in text
    assert "base 10: '***'" in text
    assert "uvicorn saw ***" in text


def test_json_lines(written) -> None:
    """Every record is one object on one line."""
    stream = written("json")
    logging.getLogger("coreto").error('two\nlines with "quotes" and token="abcdefgh"')
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["message"].startswith('two\nlines with "quotes"')
    assert "abcdefgh" not in line


@given(st.text(), st.text(min_size=6))
def test_known_secrets_are_gone(text, secret) -> None:
    """A known secret is gone wherever it stands, unless the stars put in its place spell it."""
    if not set(secret) <= {"*"}:
        cleaned = Redactor([secret])(f"{text}{secret}{text}")
        assert secret not in cleaned or "***" in secret or "*" in secret or secret in f"{text}***{text}"


def test_the_settings_secrets() -> None:
    """Keys, header values and nothing else are taken for secrets."""
    settings = Settings.model_validate(
        {
            "server": {"api_keys": ["server-key"]},
            "providers": {
                "lab": {
                    "kind": "openai",
                    "api_key": "lab-key",
                    "headers": {"x-a": "header-value"},
                    "host": "h",
                }
            },
            "media": {"pexels_api_key": "pexels-key"},
        }
    )
    assert secrets_of(settings) == {"server-key", "lab-key", "header-value", "pexels-key"}


def test_a_path_cannot_forge_a_line(written) -> None:
    """Line ends and spaces in a path are shown escaped, on the one line of their request."""
    stream, bus = written("human", "info"), EventBus()
    log_requests(bus)
    bus.emit(RequestServed("GET", "/a\n2026 INFO coreto.access: GET /forged 200", "other", 404, 1.0))
    bus.emit(RequestServed("GET", "/healthz", "/healthz", 200, 1.0))
    (line,) = stream.getvalue().splitlines()
    assert r"'/a\n2026" in line


def test_no_access_lines_above_info(written) -> None:
    """With level warning, requests cost no line and no hook."""
    stream, bus = written("human", "warning"), EventBus()
    log_requests(bus)
    bus.emit(RequestServed("GET", "/", "/", 200, 1.0))
    assert stream.getvalue() == ""
