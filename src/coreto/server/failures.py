"""From an error to a response: OpenAI's envelope, the trace beside it, and when to come back."""

import logging
import math
import secrets
from collections.abc import Sequence

import orjson

from coreto.errors import CallError, CoretoError, ExhaustedError, InvalidRequestError, UnknownModelError
from coreto.messages import Json, Trace
from coreto.server.answers import trace_headers
from coreto.server.exchange import JSON_TYPE, Headers, Reply
from coreto.server.limits import BusyError

log = logging.getLogger(__name__)

_TYPES = {
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    429: "rate_limit_error",
}


def envelope(
    status: int, message: str, code: str, *, param: str | None = None, trace: Trace | None = None
) -> bytes:
    """The JSON body of an error."""
    kind = _TYPES.get(status) or ("invalid_request_error" if status < 500 else "server_error")
    body: Json = {"error": {"message": message, "type": kind, "param": param, "code": code}}
    if trace is not None:
        body["coreto"] = trace.as_json()
    return orjson.dumps(body)


def refused(status: int, message: str, code: str, headers: Sequence[tuple[bytes, bytes]] = ()) -> Reply:
    """The response to a request that never became a call."""
    return Reply(status, envelope(status, message, code), (JSON_TYPE, *headers))


def failed(error: CoretoError) -> Reply:
    """The response to a call that came to nothing."""
    headers: Headers = [JSON_TYPE]
    trace = error.trace if isinstance(error, CallError) else None
    if trace is not None:
        headers += trace_headers(trace)
    wait = _retry_after(error)
    if wait is not None:
        headers.append((b"retry-after", b"%d" % max(math.ceil(wait), 1)))
    param: str | None = None
    message = error.message
    if isinstance(error, InvalidRequestError):
        param = error.field
    elif isinstance(error, UnknownModelError):
        param = "model"
        message += "; `server.model_aliases` maps names that a client insists on"
    status = error.http_status
    return Reply(status, envelope(status, message, error.code, param=param, trace=trace), tuple(headers))


def unexpected(error: Exception, method: str, path: str) -> Reply:
    """The response to a fault of our own: its number leads from the client's message to the log."""
    number = secrets.token_hex(6)
    log.error("internal error %s at %s %r", number, method, path, exc_info=error)
    return refused(500, f"internal error {number}; the server's log has the details", "internal_error")


def _retry_after(error: CoretoError) -> float | None:
    """Seconds after which asking again may help, where somebody said so."""
    if isinstance(error, BusyError):
        return error.retry_after
    if not isinstance(error, CallError):
        return None
    if error.retry_after is not None:
        return error.retry_after
    causes = error.causes if isinstance(error, ExhaustedError) else ()
    waits = [c.retry_after for c in causes if isinstance(c, CallError) and c.retry_after is not None]
    return min(waits, default=None)
