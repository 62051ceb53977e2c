"""What Ollama's errors mean: the local daemon's and the cloud's."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from coreto import errors
from coreto.errors import CallError, Scope
from coreto.providers.openai_errors import build, read_fault
from coreto.providers.wire import parse_object, retry_after
from coreto.redaction import brief

SESSION = 18_000
"""Seconds of Ollama Cloud's session window; windows start at multiples of it since the epoch."""

_WORDS: tuple[tuple[re.Pattern[str], type[CallError]], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), kind)
    for pattern, kind in (
        (r"requires a subscription|requires a paid", errors.EntitlementError),
        (r"maximum pending requests|server busy", errors.QueueFullError),
        (r"server overloaded", errors.OverloadedError),
        (r"model .*not found|try pulling it first|unknown model", errors.MissingModelError),
        (r"does not support", errors.UnsupportedError),
    )
)


def classify(status: int, body: bytes, headers: Mapping[str, str], now: float) -> CallError:
    """The error for a response that is not 200, or for an error line within one. ``now``: epoch seconds."""
    try:
        message = str(parse_object(body).get("error") or f"HTTP {status}")
    except errors.GarbledError:
        message = body[:300].decode(errors="replace")
    after = retry_after(headers, now)
    if status == 401:
        return errors.AuthError(
            "the key is missing or wrong, or the local daemon is not signed in (`ollama signin`)",
            status=status,
        )
    if status == 402:
        return errors.BillingError(brief(message), status=status, scope=Scope.MODEL)
    if "usage limit" in message:  # with status 429, or in the middle of a stream
        return errors.QuotaError(brief(message), status=status, until=quota_end(message, now))
    if status == 502:
        # The daemon's own body carries the signed URL of its request: say what it means instead.
        return errors.UnreachableError(
            "the local daemon cannot reach Ollama Cloud", status=status, scope=Scope.ACCOUNT
        )
    if "cloud is disabled" in message:
        return errors.EntitlementError(brief(message), status=status, scope=Scope.ACCOUNT)
    if "error parsing tool call" in message:
        return errors.InvalidOutputError(brief(message))
    for pattern, kind in _WORDS:
        if pattern.search(message):
            return kind(brief(message), status=status, retry_after=after)
    return build(status, read_fault({"error": message}), after=after, now=now)


def quota_end(message: str, now: float) -> float | None:
    """Epoch seconds at which a used-up allowance comes back; ``None`` where no rule is known (monthly)."""
    if "weekly" in message:
        today = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return (today + timedelta(days=7 - today.weekday())).timestamp()
    if "session" in message or "hourly" in message:
        return (now // SESSION + 1) * SESSION
    return None
