"""From an event to what is stored of it: bounded, storable, and without content."""

from coreto.events import CallFinished
from coreto.labels import Label
from coreto.messages import Attempt
from coreto.stores.records import AttemptRecord, CallRecord

LONGEST_NAME = 200
LONGEST_DETAIL = 300
LARGEST = 10**15
"""Servers report what they like; a million dollars or a quadrillion tokens per attempt keep every sum
within a database's 64 bits."""

_UNSTORABLE = {0: "\N{REPLACEMENT CHARACTER}"}


def record_of(event: CallFinished, *, track_costs: bool = True, track_latency: bool = True) -> CallRecord:
    """What is kept of a call. Without ``track_costs`` no tokens and costs, without ``track_latency`` no
    times; of a private call no error texts, since servers like to quote the request in them."""
    trace = event.trace
    return CallRecord(
        call_id=_name(event.call_id),
        at_ms=round(event.ended_at * 1000),
        outcome=_name(event.outcome),
        role=_optional(trace.role),
        task=_optional(trace.task),
        deployment=_optional(trace.deployment),
        ms=event.ms if track_latency else None,
        stream=event.stream,
        cached=trace.cached,
        label=str(trace.label),
        user=_optional(event.user),
        run=_optional(event.run),
        cost_nusd=_amount(trace.cost_nusd) if track_costs else None,
        baseline=_optional(event.baseline),
        baseline_nusd=_amount(event.baseline_nusd) if track_costs else None,
        attempts=tuple(
            _attempt(attempt, costs=track_costs, latency=track_latency, quote=trace.label < Label.PRIVATE)
            for attempt in trace.attempts
        ),
    )


def _attempt(attempt: Attempt, *, costs: bool, latency: bool, quote: bool) -> AttemptRecord:
    usage = attempt.usage
    return AttemptRecord(
        deployment=_name(attempt.deployment),
        outcome=_name(attempt.outcome),
        local=attempt.local,
        ms=attempt.ms if latency else None,
        ttft_ms=attempt.ttft_ms if latency else None,
        prompt_tokens=_amount(usage.prompt) if costs else None,
        completion_tokens=_amount(usage.completion) if costs else None,
        cached_tokens=_amount(usage.cached) if costs else None,
        tokens_estimated=usage.estimated,
        cost_nusd=_amount(attempt.cost_nusd) if costs else None,
        detail=_text(attempt.detail, LONGEST_DETAIL) if attempt.detail and quote else None,
    )


def _amount(value: int | None) -> int | None:
    return None if value is None else min(max(value, 0), LARGEST)


def _optional(text: str | None) -> str | None:
    return None if text is None else _text(text, LONGEST_NAME)


def _name(text: str) -> str:
    return _text(text, LONGEST_NAME)


def _text(text: str, longest: int) -> str:
    """Databases take neither NUL (PostgreSQL) nor half a surrogate pair (UTF-8)."""
    if len(text) > longest:
        text = text[: longest - 1] + "…"
    if text.isascii():
        return text.translate(_UNSTORABLE) if "\0" in text else text
    return text.encode("utf-8", "replace").decode("utf-8").translate(_UNSTORABLE)
