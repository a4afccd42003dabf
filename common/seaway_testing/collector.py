"""A small OpenTelemetry collector: takes spans by OTLP over HTTP and keeps them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from seaway_kit import tracing
from seaway_kit.otel import Export

INTERNAL, SERVER, CLIENT = 1, 2, 3


@dataclass(frozen=True)
class CollectedSpan:
    """A span as it came over the wire. `parent` is empty for the first of a trace; `failure` if it hasn't failed."""

    service: str
    node: str
    name: str
    kind: int
    trace_id: str
    span_id: str
    parent: str
    attributes: dict[str, str | int]
    failure: str


class Collector:
    """Listens on a free port of loopback, or the given one, from `with` on."""

    def __init__(self, port: int = 0) -> None:
        self.spans: list[CollectedSpan] = []
        self.requests = 0
        self.status = 200
        self.answering = threading.Event()
        """Clear it, and requests wait for their answer until it is set."""
        self.answering.set()
        self.asked = threading.Event()
        """Set when a request has come."""
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler(), bind_and_activate=False)
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        """What OTEL_EXPORTER_OTLP_ENDPOINT must be."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "Collector":
        self._server.server_bind()
        self._server.server_activate()
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.answering.set()
        self._server.shutdown()
        self._server.server_close()

    def of(self, trace_id: str) -> list[CollectedSpan]:
        """The spans of one trace, so far."""
        return [span for span in self.spans if span.trace_id == trace_id]

    def one(self, name: str, kind: int = SERVER) -> CollectedSpan:
        """The only span of that name and kind."""
        (found,) = (span for span in self.spans if (span.name, span.kind) == (name, kind))
        return found

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.requests += 1
                collector.asked.set()
                collector.answering.wait()
                status = collector.status if self.path == "/v1/traces" else 404
                if status == 200:
                    collector.spans += _read(body)
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None:
                return

        return Handler


@contextmanager
def traced() -> Iterator[Collector]:
    """Trace what this process does meanwhile. The collector has all spans afterwards."""
    with Collector() as collector:
        export = Export(f"{collector.url}/v1/traces", "test", "n1")
        tracing.use(export)
        try:
            yield collector
        finally:
            tracing.use(None)
            export.close()


def _read(body: bytes) -> list[CollectedSpan]:
    found = []
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        about = _attributes(resource.resource.attributes)
        for scope in resource.scope_spans:
            for span in scope.spans:
                made = CollectedSpan(
                    service=str(about["service.name"]),
                    node=str(about["seaway.node"]),
                    name=span.name,
                    kind=span.kind,
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent=span.parent_span_id.hex(),
                    attributes=_attributes(span.attributes),
                    failure=(span.status.message or "failed") if span.status.code == 2 else "",
                )
                found.append(made)
    return found


def _attributes(pairs: Any) -> dict[str, str | int]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}
