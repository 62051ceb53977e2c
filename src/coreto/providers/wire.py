"""What the two dialects share: reading JSON from a server, and the times it tells."""

import math
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import cast

import orjson

from coreto.errors import GarbledError
from coreto.messages import Json
from coreto.redaction import brief


def parse_object(data: bytes) -> Json:
    """The JSON object in ``data``. Raises :class:`GarbledError` that shows how it begins."""
    try:
        value: object = orjson.loads(data)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        seen = brief(data[:80].decode(errors="replace")) or "nothing"
        raise GarbledError(f"expected a JSON object, got: {seen}")
    return cast("Json", value)


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds until the server wants to be asked again, from ``Retry-After`` (seconds or a date) or a
    rate limit's reset time; ``None`` where it does not say. ``now``: epoch seconds."""
    value = headers.get("Retry-After")
    if value:
        try:
            seconds = float(value)
        except ValueError:
            pass
        else:
            return max(seconds, 0.0) if math.isfinite(seconds) else None
        try:
            return max(parsedate_to_datetime(value).timestamp() - now, 0.0)
        except (ValueError, OverflowError):
            return None
    reset = headers.get("X-RateLimit-Reset")  # OpenRouter: epoch milliseconds
    if reset and reset.isdecimal() and len(reset) < 20:
        seconds = int(reset) / 1000 - now
        return seconds if 0 <= seconds < 86_400 else None
    return None
