"""OpenTelemetry traces of calls (extra ``otel``), by the GenAI semantic conventions.

Spans are made when a call has ended, from its event: the call path knows nothing of them. They carry names,
codes, times, tokens and costs, never what was asked, answered or quoted in an error. A collector off this
machine hears nothing of private calls at all. A call's span is a child of the span that its request came from;
what upstream servers record in turn are children of the call's.
"""

import logging
import random
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from coreto.errors import ConfigError, MissingExtraError
from coreto.events import CallFinished, EventBus
from coreto.labels import permit
from coreto.messages import NANO, Attempt
from coreto.providers.catalog import split_id
from coreto.providers.traceparent import SpanRef, read, span_of
from coreto.settings.addresses import is_loopback_url

log = logging.getLogger(__name__)

_NS = 1_000_000_000
_PATH = "/v1/traces"


class SpanIds:
    """An OpenTelemetry ``IdGenerator``: random ids, but for a span that has been told of already."""

    def __init__(self) -> None:
        self._told: SpanRef | None = None

    def use(self, span: SpanRef) -> None:
        """Give the next span that is started the ids of ``span``."""
        self._told = span

    def generate_trace_id(self) -> int:
        """Asked before the span's id, and for spans without a parent only."""
        return self._told.trace_id if self._told else random.getrandbits(128) or 1

    def generate_span_id(self) -> int:
        told, self._told = self._told, None
        return told.span_id if told else random.getrandbits(64) or 1

    def is_trace_id_random(self) -> bool:
        return True


class Tracing:
    """Makes spans of the calls of a bus."""

    def __init__(self, provider: Any, api: Any, *, local: bool, ids: SpanIds | None = None) -> None:
        """``provider``: an OpenTelemetry ``TracerProvider``; ``api``: the module ``opentelemetry.trace``;
        ``local``: the collector is on this machine; ``ids``: what gives ``provider`` its ids."""
        self._api = api
        self._ids = ids or SpanIds()
        self._provider = provider
        self._tracer = provider.get_tracer("coreto")
        self._local = local

    def attach(self, bus: EventBus) -> None:
        """Trace the calls of ``bus``."""
        bus.subscribe(CallFinished, self._call)

    def close(self) -> None:
        """Send what is not sent yet; may take some seconds when the collector is gone."""
        self._provider.shutdown()

    def _call(self, event: CallFinished) -> None:
        self.record(event, event.traceparent)

    def record(self, event: CallFinished, traceparent: str | None = None) -> None:
        """Make the spans of a call whose request came with this ``traceparent``."""
        trace = event.trace
        if not permit(trace.label, sink_is_local=self._local):
            return
        operation = "embeddings" if trace.task == "embeddings" else "chat"
        end = round(event.ended_at * _NS)
        start = end - round(event.ms * 1e6)
        name = trace.role or trace.deployment or "unknown"
        parent = read(traceparent)
        self._ids.use(span_of(event.call_id, parent))
        span = self._tracer.start_span(
            f"{operation} {name}",
            context=self._within(parent),
            kind=self._api.SpanKind.SERVER if parent else self._api.SpanKind.INTERNAL,
            start_time=start,
            attributes=_known(
                {
                    "gen_ai.operation.name": operation,
                    "gen_ai.request.model": name,
                    "gen_ai.response.model": trace.deployment,
                    "gen_ai.request.stream": event.stream,
                    "coreto.call.id": event.call_id,
                    "coreto.role": trace.role,
                    "coreto.label": str(trace.label),
                    "coreto.cached": trace.cached,
                    "coreto.attempts": len(trace.attempts),
                    "coreto.run": event.run,
                    "coreto.cost.usd": _dollars(trace.cost_nusd),
                }
            ),
        )
        self._finish(span, event.outcome, end)
        at = start
        within = self._api.set_span_in_context(span)
        for attempt in trace.attempts:
            if attempt.outcome != "skipped":
                at = self._attempt(attempt, operation, at, within)

    def _within(self, parent: SpanRef | None) -> Any:
        """The context of a span whose parent is in another process."""
        if parent is None:
            return None
        flags = self._api.TraceFlags(parent.flags)
        remote = self._api.SpanContext(parent.trace_id, parent.span_id, is_remote=True, trace_flags=flags)
        return self._api.set_span_in_context(self._api.NonRecordingSpan(remote))

    def _attempt(self, attempt: Attempt, operation: str, start: int, within: Any) -> int:
        """The span of one attempt, from ``start`` on; its end. (Waits between attempts are not recorded, so
        spans follow each other without a gap.)"""
        provider, model = split_id(attempt.deployment)
        usage = attempt.usage
        end = start + round(attempt.ms * 1e6)
        span = self._tracer.start_span(
            f"{operation} {model}",
            context=within,
            kind=self._api.SpanKind.CLIENT,
            start_time=start,
            attributes=_known(
                {
                    "gen_ai.operation.name": operation,
                    "gen_ai.provider.name": provider,
                    "gen_ai.request.model": model,
                    "gen_ai.usage.input_tokens": usage.prompt or None,
                    "gen_ai.usage.output_tokens": usage.completion or None,
                    "coreto.deployment": attempt.deployment,
                    "coreto.local": attempt.local,
                    "coreto.first_token.seconds": None if attempt.ttft_ms is None else attempt.ttft_ms / 1000,
                    "coreto.cost.usd": _dollars(attempt.cost_nusd),
                }
            ),
        )
        self._finish(span, attempt.outcome, end)
        return end

    def _finish(self, span: Any, outcome: str, end: int) -> None:
        if outcome not in ("ok", "canceled"):
            span.set_attribute("error.type", outcome)
            span.set_status(self._api.Status(self._api.StatusCode.ERROR))
        span.end(end_time=end)


def start_tracing(endpoint: str, service_name: str, *, offline: bool = False) -> Tracing | None:
    """Traces to the OTLP/HTTP collector at ``endpoint``; ``None`` when it is off this machine and Coreto is
    offline. Raises :class:`MissingExtraError` and :class:`ConfigError`."""
    if not endpoint.startswith(("http://", "https://")):
        raise ConfigError(f"telemetry.otlp_endpoint: {endpoint!r} is no URL; expected http://HOST:4318")
    local = is_loopback_url(endpoint)
    if offline and not local:
        log.warning("offline: no traces are sent to %s", endpoint)
        return None
    try:
        api: Any = import_module("opentelemetry.trace")
        sdk: Any = import_module("opentelemetry.sdk.trace")
        export: Any = import_module("opentelemetry.sdk.trace.export")
        resources: Any = import_module("opentelemetry.sdk.resources")
        otlp: Any = import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    except ImportError:
        raise MissingExtraError("otel", "sending traces") from None
    url = endpoint.rstrip("/")
    exporter = otlp.OTLPSpanExporter(endpoint=url if url.endswith(_PATH) else url + _PATH, timeout=5)
    ids = SpanIds()
    resource = resources.Resource.create({"service.name": service_name})
    provider = sdk.TracerProvider(resource=resource, id_generator=ids)
    provider.add_span_processor(export.BatchSpanProcessor(exporter))
    return Tracing(provider, api, local=local, ids=ids)


def _known(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if value is not None}


def _dollars(nusd: int | None) -> float | None:
    return None if nusd is None else nusd / NANO
