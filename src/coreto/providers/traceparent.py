"""The W3C's ``traceparent``: which span of which trace a request comes from. Pure.

The ids of a call's span follow from the call's own id, so that its upstream requests can carry them long before
the span is made (:mod:`coreto.telemetry.tracing` makes it when the call is over), and so that the trace of an
answer is found by its ``x-coreto-id``.
"""

import hashlib
import re
from dataclasses import dataclass

HEADER = "traceparent"
_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_CALL_ID = re.compile(r"[0-9a-f]{24}")
_SAMPLED = 1
_SPAN_BITS = 64


@dataclass(frozen=True, slots=True)
class SpanRef:
    """A span somewhere. ``flags``: the lowest bit says that it is recorded there."""

    trace_id: int
    span_id: int
    flags: int = _SAMPLED

    @property
    def header(self) -> str:
        """The ``traceparent`` of requests made within it."""
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-{self.flags:02x}"


def read(header: str | None) -> SpanRef | None:
    """The span that a request comes from; ``None`` where it does not say, or not as the W3C wants it."""
    found = _FORM.fullmatch(header.strip()) if header else None
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == "ff" or (version == "00" and more):
        return None
    ref = SpanRef(int(trace_id, 16), int(span_id, 16), int(flags, 16) & _SAMPLED)
    return ref if ref.trace_id and ref.span_id else None


def span_of(call_id: str, parent: SpanRef | None) -> SpanRef:
    """The span of a call, within ``parent`` if it has one. Without, its trace's id ends with the call's."""
    if not _CALL_ID.fullmatch(call_id):
        call_id = hashlib.blake2b(call_id.encode(), digest_size=12).hexdigest()
    number = int(call_id, 16) or 1
    span_id = number >> 96 - _SPAN_BITS or 1
    return SpanRef(parent.trace_id, span_id, parent.flags) if parent else SpanRef(number, span_id)
