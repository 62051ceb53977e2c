"""What an OpenAI-compatible server's errors mean (OpenAI, OpenRouter, vLLM, llama.cpp, LM Studio)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

import orjson

from coreto import errors
from coreto.errors import CallError
from coreto.messages import Json, as_object
from coreto.providers.wire import retry_after
from coreto.redaction import brief

_CONTEXT = re.compile(
    r"context (?:length|window|size)|maximum context|prompt is (?:too long|longer)|exceed_context_size|too many (?:input )?tokens"
    r"|longer than the context|input length exceeds|context_length_exceeded",
    re.IGNORECASE,
)
_MEMORY = re.compile(
    r"out[- ]of[- ]memory|requires more system memory|unable to load full model|unable to allocate|failed to allocate"
    r"|cudamalloc failed|failed to load",
    re.IGNORECASE,
)
_MISSING = re.compile(
    r"model\b.*\b(?:not found|does not exist|is not available)|not a valid model|model is not loaded|no such model",
    re.IGNORECASE,
)
_QUOTA = re.compile(
    r"usage limit|insufficient[_ ]quota|exceeded your current quota|quota (?:exceeded|exhausted)|limit reached for",
    re.IGNORECASE,
)
_BILLING = re.compile(
    r"insufficient (?:credits|balance|funds)|more credits|balance is (?:empty|negative)", re.IGNORECASE
)
_RETIRED = re.compile(r"retired|deprecated|discontinued|no longer available|end[- ]of[- ]life", re.IGNORECASE)
_UNSUPPORTED = re.compile(
    r"does not support|not supported (?:by|with|for) this model|no endpoints found that support",
    re.IGNORECASE,
)

#: OpenRouter's ``metadata.error_type``, and the ``code`` or ``type`` of OpenAI and kin.
_BY_CODE: dict[str, type[CallError]] = {
    "context_length_exceeded": errors.ContextError,
    "exceed_context_size_error": errors.ContextError,
    "max_tokens_exceeded": errors.RejectedError,
    "string_above_max_length": errors.ContextError,
    "authentication": errors.AuthError,
    "authentication_error": errors.AuthError,
    "invalid_api_key": errors.AuthError,
    "payment_required": errors.BillingError,
    "billing_hard_limit_reached": errors.BillingError,
    "insufficient_quota": errors.QuotaError,
    "permission_denied": errors.EntitlementError,
    "permission_error": errors.EntitlementError,
    "rate_limit_exceeded": errors.RateError,
    "rate_limit_error": errors.RateError,
    "provider_overloaded": errors.OverloadedError,
    "overloaded_error": errors.OverloadedError,
    "overloaded": errors.OverloadedError,
    "provider_unavailable": errors.OverloadedError,
    "model_not_found": errors.MissingModelError,
    "not_found_error": errors.MissingModelError,
    "not_found": errors.MissingModelError,
    "model_deprecated": errors.RetiredError,
    "content_policy_violation": errors.FilteredError,
    "content_filter": errors.FilteredError,
    "refusal": errors.FilteredError,
    "timeout": errors.TimedOutError,
}  # "server_error" is not here: message and status tell more

_BY_STATUS: dict[int, type[CallError]] = {
    401: errors.AuthError,
    402: errors.BillingError,
    403: errors.EntitlementError,
    404: errors.MissingModelError,
    408: errors.TimedOutError,
    410: errors.RetiredError,
    413: errors.ContextError,
    429: errors.RateError,
    503: errors.OverloadedError,
    504: errors.TimedOutError,
    529: errors.OverloadedError,
}

#: What the words of a message tell, most telling first; each applies to the statuses given.
_BY_TEXT: tuple[tuple[re.Pattern[str], range, type[CallError]], ...] = (
    (_CONTEXT, range(400, 600), errors.ContextError),
    (_BILLING, range(400, 500), errors.BillingError),
    (_QUOTA, range(400, 500), errors.QuotaError),
    (_MEMORY, range(400, 600), errors.OutOfMemoryError),
    (_RETIRED, range(400, 500), errors.RetiredError),
    (_MISSING, range(400, 500), errors.MissingModelError),
    (_UNSUPPORTED, range(400, 500), errors.UnsupportedError),
)


@dataclass(frozen=True, slots=True)
class Fault:
    """An error body's parts: the message, every code it gives, and its ``availability`` hints."""

    message: str
    codes: tuple[str, ...] = ()
    status: int | None = None
    availability: Mapping[str, object] = field(default_factory=dict[str, object])


def classify(status: int, body: bytes, headers: Mapping[str, str], now: float) -> CallError:
    """The error for a response that is not 200. ``now``: epoch seconds."""
    try:
        parsed: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        parsed = body[:300].decode(errors="replace")
    return build(status, read_fault(parsed), after=retry_after(headers, now), now=now)


def classify_in_band(error: object, now: float) -> CallError:
    """The error for an error object inside a 200, whole or as a stream's event."""
    fault = read_fault({"error": error})
    return build(fault.status or 500, fault, after=None, now=now)


def read_fault(parsed: object) -> Fault:
    """The parts of an error body in any of the shapes met in the wild."""
    if not isinstance(parsed, dict):
        return Fault(message=str(parsed))
    body = cast("Json", parsed)
    error = body.get("error") or body
    if not isinstance(error, dict):
        return Fault(message=str(error))
    inner = cast("Json", error)
    metadata = as_object(inner.get("metadata"))
    hints = as_object(inner.get("availability") or metadata.get("availability"))
    candidates = (hints.get("code"), metadata.get("error_type"), inner.get("code"), inner.get("type"))
    code = inner.get("code")
    return Fault(
        message=str(inner.get("message") or inner.get("detail") or inner),
        codes=tuple(c for c in candidates if isinstance(c, str)),
        status=code if isinstance(code, int) and 400 <= code < 600 else None,
        availability=hints,
    )


def build(status: int, fault: Fault, *, after: float | None, now: float) -> CallError:
    """The error for an upstream's ``status`` and what its body says."""
    kind = _kind(status, fault)
    message = brief(fault.message) or f"HTTP {status}"
    if kind is errors.ContextError:
        return errors.ContextError(message, status=status)
    error = kind(message, status=status, retry_after=after)
    if kind in (errors.QuotaError, errors.BillingError) and after is not None:
        error.until = now + after
    hints = fault.availability
    hinted_wait = hints.get("retry_after")
    if isinstance(hinted_wait, int | float):
        error.retry_after = float(hinted_wait)
    successors = hints.get("fallback_models")
    if isinstance(error, errors.RetiredError) and isinstance(successors, list):
        error.successors = tuple(str(s) for s in cast("list[object]", successors))
    return error


def _kind(status: int, fault: Fault) -> type[CallError]:
    for code in fault.codes:
        if code in _BY_CODE:
            return _BY_CODE[code]
    for pattern, statuses, kind in _BY_TEXT:
        if status in statuses and pattern.search(fault.message):
            return kind
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status < 400:
        return errors.GarbledError  # a redirect, say: no API of a model answers so
    return errors.ServerFaultError if status >= 500 else errors.RejectedError
