"""A request's trace goes on through the server: to a collector, and to the upstream server."""

import queue
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = {"traceparent": f"00-{TRACE}-{SPAN}-01"}


@pytest.fixture
def collector():
    """An OTLP collector: its address, and the spans that it gets."""
    got: queue.Queue = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    got.put(list(scope.spans))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args) -> None:
            """No lines between the tests' own."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", got
    server.shutdown()
    server.server_close()


def told(upstream) -> str | None:
    """The span that the upstream server was told of."""
    headers = upstream.requests("/v1/chat/completions")[-1]["headers"]
    return {name.lower(): value for name, value in headers.items()}.get("traceparent")


def test_spans_go_on(started, upstream, collector) -> None:
    """The call is a child of the caller's span, and what the upstream does is a child of the call."""
    url, got = collector
    with started(f'[telemetry]\notlp_endpoint = "{url}"\n') as server:
        assert server.chat("chat", headers=PARENT).status == 200
        upstream_header = told(upstream)
        server.chat("chat", headers={"traceparent": "nonsense"})
        alone = told(upstream)
    spans = got.get(timeout=10)  # what was left has been sent when the server stopped
    while not got.empty():
        spans += got.get()
    call = next(span for span in spans if span.parent_span_id.hex() == SPAN)
    assert call.trace_id.hex() == TRACE
    assert upstream_header == f"00-{TRACE}-{call.span_id.hex()}-01"
    other = next(span for span in spans if not span.parent_span_id)
    assert alone == f"00-{other.trace_id.hex()}-{other.span_id.hex()}-01"


def test_without_tracing_nothing_is_told(server, upstream) -> None:
    """A server that traces nothing sends no header, as no span of its own stands for the call."""
    assert server.chat("chat", headers=PARENT).status == 200
    assert told(upstream) is None
