"""Spans of calls: what they carry, and what they never do. Over a tracer with behaviour; the wire is the SDK's."""

from dataclasses import dataclass, field
from enum import Enum
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry import trace as otel
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from coreto.errors import ConfigError
from coreto.events import CallFinished, EventBus
from coreto.labels import Label
from coreto.messages import Attempt, Trace, Usage
from coreto.providers.traceparent import read, span_of
from coreto.telemetry.tracing import SpanIds, Tracing, start_tracing


class Kind(Enum):
    INTERNAL = 0
    CLIENT = 3


class Code(Enum):
    ERROR = 2


@dataclass
class Span:
    name: str
    parent: "Span | None"
    kind: Kind
    start: int
    attributes: dict[str, Any]
    end_time: int | None = None
    status: Any = None

    def set_attribute(self, key: str, value: Any) -> None:
        assert self.end_time is None, "a span that has ended is not changed"
        self.attributes[key] = value

    def set_status(self, status: Any) -> None:
        assert self.end_time is None, "a span that has ended is not changed"
        self.status = status

    def end(self, end_time: int | None = None) -> None:
        self.end_time = end_time


@dataclass
class Provider:
    """A tracer's provider that keeps its spans."""

    spans: list[Span] = field(default_factory=list)
    closed: bool = False

    def get_tracer(self, name: str) -> "Provider":
        assert name == "coreto"
        return self

    def start_span(self, name, context=None, kind=None, start_time=0, attributes=None) -> Span:
        span = Span(name, context, kind, start_time, dict(attributes))
        self.spans.append(span)
        return span

    def shutdown(self) -> None:
        self.closed = True


API = SimpleNamespace(
    SpanKind=Kind, StatusCode=Code, Status=lambda code: code, set_span_in_context=lambda span: span
)
SECRET = "what the caller said"
FAILED = Attempt("lab/a", "server_error", ms=100.0, detail=SECRET, local=False, cost_nusd=None)
OK = Attempt("lab/b:7b", "ok", ms=200.0, ttft_ms=50.0, usage=Usage(7, 9), cost_nusd=2_000_000)
TRACE = Trace(
    "c1", "lab/b:7b", "chat", Label.INTERNAL, (FAILED, Attempt("lab/x", "skipped"), OK), warnings=(SECRET,)
)
EVENT = CallFinished("c1", 1000.0, 400.0, "ok", True, TRACE, user="ana", run="r1")  # fmt: skip


def traced(event: CallFinished, *, local: bool = False) -> list[Span]:
    provider, bus = Provider(), EventBus()
    Tracing(provider, API, local=local).attach(bus)
    bus.emit(event)
    return provider.spans


def test_a_call_and_its_attempts() -> None:
    """A span of the call, and one of each attempt that was made in it, with the conventions' names."""
    call, failed, ok = traced(EVENT)
    assert (call.name, call.parent, call.kind) == ("chat chat", None, Kind.INTERNAL)
    assert (call.start, call.end_time) == (999_600_000_000, 1_000_000_000_000)
    assert call.attributes["gen_ai.response.model"] == "lab/b:7b"
    assert call.status is None
    assert (failed.parent, failed.kind, failed.status) == (call, Kind.CLIENT, Code.ERROR)
    assert failed.attributes["error.type"] == "server_error"
    assert failed.end_time - failed.start == 100_000_000
    assert (ok.name, ok.start) == ("chat b:7b", failed.end_time)
    assert ok.attributes["gen_ai.operation.name"] == "chat"
    assert ok.attributes["gen_ai.provider.name"] == "lab"
    assert ok.attributes["gen_ai.usage.input_tokens"] == 7
    assert ok.attributes["gen_ai.usage.output_tokens"] == 9
    assert ok.attributes["coreto.cost.usd"] == 0.002
    assert all(span.end_time is not None for span in (call, failed, ok))


def test_no_words_get_out() -> None:
    """Neither texts of errors nor warnings nor names of users are in a span; unknown figures are left out."""
    for span in traced(EVENT):
        shown = repr((span.name, span.attributes))
        assert SECRET not in shown
        assert "ana" not in shown
        assert None not in span.attributes.values()


def test_private_calls_stay_here() -> None:
    """A collector off this machine hears nothing of them; one on it does."""
    private = EVENT._replace(trace=TRACE._replace(label=Label.PRIVATE))
    assert traced(private, local=False) == []
    assert len(traced(private, local=True)) == 3


def test_a_failed_call() -> None:
    """Its span says with which code; a client's hanging up is no error."""
    assert traced(EVENT._replace(outcome="all_failed"))[0].attributes["error.type"] == "all_failed"
    assert traced(EVENT._replace(outcome="canceled"))[0].status is None


PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def exported(event: CallFinished, traceparent: str | None = None) -> list[Any]:
    """The spans that OpenTelemetry's own tracer makes of a call: the call's first."""
    kept, ids = InMemorySpanExporter(), SpanIds()
    provider = TracerProvider(id_generator=ids)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    Tracing(provider, otel, local=True, ids=ids).record(event, traceparent)
    return sorted(kept.get_finished_spans(), key=lambda span: span.kind is not otel.SpanKind.CLIENT)[::-1]


def test_the_callers_span_is_the_parent() -> None:
    """With a traceparent, the call's span is in the caller's trace, and its attempts in the call's span."""
    call, *attempts = exported(EVENT, PARENT)
    parent = read(PARENT)
    assert (call.context.trace_id, call.parent.span_id) == (parent.trace_id, parent.span_id)
    assert call.kind is otel.SpanKind.SERVER
    assert {attempt.parent.span_id for attempt in attempts} == {call.context.span_id}
    assert len({attempt.context.span_id for attempt in attempts}) == 2


@pytest.mark.parametrize("traceparent", [None, PARENT, "nonsense"])
def test_the_ids_are_those_told_upstream(traceparent) -> None:
    """The call's span is the one that its upstream requests have named."""
    told = span_of(EVENT.call_id, read(traceparent))
    call = exported(EVENT, traceparent)[0]
    assert (call.context.trace_id, call.context.span_id) == (told.trace_id, told.span_id)


def test_a_caller_that_records_nothing() -> None:
    """A trace that the caller does not record is not recorded here either."""
    assert exported(EVENT, PARENT[:-1] + "0") == []


def test_offline() -> None:
    """Offline, a collector off this machine is not even connected to."""
    assert start_tracing("https://collector.example:4318", "coreto", offline=True) is None


def test_what_is_no_url() -> None:
    """An endpoint without a scheme is refused with an example."""
    with pytest.raises(ConfigError, match="otlp_endpoint"):
        start_tracing("collector:4318", "coreto")
