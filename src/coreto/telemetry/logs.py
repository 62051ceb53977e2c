"""Logs: lines for people or JSON for machines, without secrets, and one line a request."""

import logging
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

import orjson
from pydantic import BaseModel, SecretStr

from coreto.events import EventBus, RequestServed
from coreto.redaction import redact

access_log = logging.getLogger("coreto.access")

Format = Literal["human", "json"]

_PROBES = frozenset({"/healthz", "/readyz"})
_METHODS = frozenset({"GET", "HEAD", "POST", "OPTIONS"})
#: Shorter secrets would blacken ordinary words.
_SHORTEST_SECRET = 6
_FIELDS = "coreto"
#: Marks a record without a word from outside: looking for secrets in it would cost more than writing it.
_HARMLESS = "coreto_harmless"


class Redactor:
    """Takes out what looks like a secret, and ``secrets`` however they look."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets = sorted({s for s in secrets if len(s) >= _SHORTEST_SECRET}, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        for secret in self._secrets:
            if secret in text:
                text = text.replace(secret, "***")
        return redact(text)


class HumanFormatter(logging.Formatter):
    """A line; what follows a first line, such as a traceback, is indented."""

    def __init__(self, clean: Callable[[str], str]) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._clean = clean

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return text if hasattr(record, _HARMLESS) else self._clean(text).replace("\n", "\n  ")


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def __init__(self, clean: Callable[[str], str]) -> None:
        super().__init__()
        self._clean = clean

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self._clean(record.getMessage()),
        }
        for name, value in getattr(record, _FIELDS, {}).items():
            line[name] = self._clean(value) if isinstance(value, str) else value
        if record.exc_info:
            line["exception"] = self._clean(self.formatException(record.exc_info))
        return orjson.dumps(line, default=str).decode()


def set_up_logs(
    level: str, form: Format = "human", *, secrets: Iterable[str] = (), stream: TextIO | None = None
) -> None:
    """Write our log and uvicorn's warnings to ``stream`` (standard error), without ``secrets``."""
    handler = logging.StreamHandler(stream or sys.stderr)
    clean = Redactor(secrets)
    handler.setFormatter(JsonFormatter(clean) if form == "json" else HumanFormatter(clean))
    for name, least in (("coreto", level.upper()), ("uvicorn", "WARNING")):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(least)
        logger.propagate = False


def secrets_of(settings: BaseModel) -> set[str]:
    """Every secret in ``settings``: its secret fields, and the values of request headers."""
    found: set[str] = set()
    _collect(settings, found)
    return found


def _collect(value: object, found: set[str]) -> None:
    if isinstance(value, SecretStr):
        found.add(value.get_secret_value())
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            inner = getattr(value, name)
            if name == "headers":
                found.update(inner.values())
            else:
                _collect(inner, found)
    elif isinstance(value, dict):
        for inner in value.values():  # pyright: ignore[reportUnknownVariableType] - whatever it holds
            _collect(inner, found)  # pyright: ignore[reportUnknownArgumentType] - as above
    elif isinstance(value, tuple):
        for inner in value:  # pyright: ignore[reportUnknownVariableType] - as above
            _collect(inner, found)  # pyright: ignore[reportUnknownArgumentType] - as above


def log_requests(bus: EventBus) -> None:
    """One line for every request of ``bus``; probes at debug level, the rest at info."""
    if access_log.isEnabledFor(logging.INFO):
        bus.subscribe(RequestServed, _log_request)


def _log_request(event: RequestServed) -> None:
    level = logging.DEBUG if event.path in _PROBES else logging.INFO
    if not access_log.isEnabledFor(level):
        return
    trace = event.trace
    fields = {
        "method": event.method,
        "path": event.path,
        "status": event.status,
        "ms": round(event.ms, 1),
        "key": event.key,
        "deployment": trace.deployment if trace else None,
        "attempts": len(trace.attempts) if trace else None,
        "call": trace.call_id if trace else None,
    }
    extra: dict[str, object] = {_FIELDS: fields}
    if event.path == event.route and event.method in _METHODS:
        extra[_HARMLESS] = True
    access_log.log(
        level,
        "%s %s %d %.1f ms key=%s deployment=%s attempts=%s",
        _plain(event.method),
        _plain(event.path),
        event.status,
        event.ms,
        event.key or "-",
        _plain(trace.deployment or "-") if trace else "-",
        "-" if fields["attempts"] is None else fields["attempts"],
        extra=extra,
    )


def _plain(text: str) -> str:
    """``text`` without anything that could end the line or pass for another one."""
    return text if text.isprintable() and " " not in text else ascii(text)
