"""The shapes of the native API: time stamps, lines, keep-alive, and how its stream breaks."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, cast

import orjson

from coreto.simulators.bodies import ErrorBody, ollama, openai
from coreto.simulators.delivery import Dialect
from coreto.simulators.ollama.scheduler import FOREVER

_CENTURIES = timedelta(days=292 * 365)  # the longest Go duration
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
NANO = 1_000_000_000


def stamp(after: float = 0.0) -> str:
    """RFC 3339 time of now plus `after` seconds."""
    delta = _CENTURIES if after == FOREVER else timedelta(seconds=after)
    return (datetime.now(UTC) + delta).isoformat().replace("+00:00", "Z")


def line(data: Any) -> bytes:
    """One line of a native stream."""
    return orjson.dumps(data) + b"\n"


class DurationError(ValueError):
    """A duration that Go would not parse; the message is Go's."""


def parse_keep_alive(value: Any) -> float | None:
    """Seconds; None when not given, `FOREVER` when negative. Raises `DurationError`."""
    if value is None:
        return None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return FOREVER if value < 0 else float(value)
    if not isinstance(value, str):
        raise DurationError(f"invalid keep_alive {value!r}")
    text = value.strip()
    sign, digits = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    if digits == "0":
        return 0.0
    if not digits or _PART.sub("", digits):
        problem = "missing unit in duration" if re.fullmatch(r"[\d.]+", digits) else "invalid duration"
        raise DurationError(f'time: {problem} "{text}"')
    seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(digits))
    return FOREVER if sign < 0 else seconds


@dataclass(frozen=True, slots=True)
class Work:
    """What a reply cost: tokens, and simulated seconds."""

    load: float
    prompt_tokens: int
    tokens: int
    prompt_seconds: float
    seconds: float

    def metrics(self) -> dict[str, int]:
        """The counters of a final line, nanoseconds; zeros are left out as Go does."""
        values = {
            "total_duration": int((self.load + self.prompt_seconds + self.seconds) * NANO),
            "load_duration": int(self.load * NANO),
            "prompt_eval_count": self.prompt_tokens,
            "prompt_eval_duration": int(self.prompt_seconds * NANO),
            "eval_count": self.tokens,
            "eval_duration": int(self.seconds * NANO),
        }
        return {name: value for name, value in values.items() if value}


def _generic(status: int) -> ErrorBody:
    try:
        text = HTTPStatus(status).phrase
    except ValueError:
        text = "error"
    return ollama(status, text)


def _v1_generic(status: int) -> ErrorBody:
    kinds = {400: "invalid_request_error", 404: "not_found_error"}
    return openai(status, str(_generic(status).body["error"]), kinds.get(status, "api_error"))


def as_v1(error: ErrorBody) -> ErrorBody:
    """A native error in the envelope of ``/v1``."""
    body = error.body
    message = cast("dict[str, Any]", body).get("error", "") if isinstance(body, dict) else str(body)
    if not isinstance(message, str):
        return error
    shape = _v1_generic(error.status)
    return ErrorBody(error.status, {"error": {**shape.body["error"], "message": message}}, error.headers)


def v1_generic(status: int) -> ErrorBody:
    """The default error of ``/v1``."""
    return _v1_generic(status)


def _last_line(model: str) -> dict[str, Any]:
    return {"model": model, "created_at": stamp(), "done": True, "done_reason": "stop"}


def _unfinished(data: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in data.items() if name != "done_reason"}
    return {**kept, "done": False} if "done" in data else kept


NATIVE = Dialect(
    stream_type="application/x-ndjson",
    streams_by_default=True,
    generic=_generic,
    error_events=lambda _, error: [line(error.body)],
    empty_whole=_last_line,
    empty_stream=lambda model: [line(_last_line(model))],
    half_event=lambda model: line(_last_line(model))[:30],
    stray_line=b'{"model": oops\n',
    unfinished=_unfinished,
)
