"""Traces to an OpenTelemetry collector, by OTLP over HTTP. The only importer of OpenTelemetry.

Spans are sent in batches by a thread of the SDK (OTEL_BSP_*), which takes them from a bounded queue: no work waits for
the collector. While it is away, a batch is sent again and again, and the queue drops its oldest spans.
"""

import logging
import threading
from collections.abc import Sequence
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from seaway_contracts.version import VERSION
from seaway_kit.tracing import ExportedSpan, Kind, SpanContext

log = logging.getLogger(__name__)

_KINDS: Final = {
    "internal": trace.SpanKind.INTERNAL,
    "client": trace.SpanKind.CLIENT,
    "server": trace.SpanKind.SERVER,
}
_FIRST_PAUSE_S: Final = 1.0
_LAST_PAUSE_S: Final = 30.0
_MOST_TRIES: Final = 20
_LAST_SPANS_S: Final = 2.0
_NOISY: Final = ("opentelemetry.exporter.otlp.proto.http.trace_exporter", "opentelemetry.sdk._shared_internal")


class Export:
    """The tracer that sends spans to a collector."""

    def __init__(self, endpoint: str, service: str, node: str) -> None:
        self._exporter = PatientExporter(OTLPSpanExporter(endpoint), endpoint)
        about = {"service.name": f"seaway-{service}", "service.version": VERSION, "seaway.node": node}
        self._provider = TracerProvider(resource=Resource.create(about), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer("seaway", VERSION)
        logging.getLogger("urllib3").setLevel(logging.WARNING)  # else it logs each batch at the level debug

    def start(self, name: str, kind: Kind, parent: SpanContext | None) -> ExportedSpan:
        """See `Tracer`."""
        return _OtelSpan(self._tracer.start_span(name, _within(parent), kind=_KINDS[kind]))

    def close(self) -> None:
        """Send what is left, for two seconds at most: a collector that doesn't answer must not hold up the stop."""
        self._exporter.hurry()
        closing = threading.Thread(target=self._provider.shutdown, name="last-spans", daemon=True)
        closing.start()
        closing.join(_LAST_SPANS_S)


class PatientExporter(SpanExporter):
    """Sends each batch again until the collector has it, and logs only when that begins and ends.

    After `tries` it drops the batch: the collector may refuse just this one.
    """

    def __init__(
        self, exporter: SpanExporter, endpoint: str, *, pause_s: float = _FIRST_PAUSE_S, tries: int = _MOST_TRIES
    ) -> None:
        self._exporter = exporter
        self._endpoint = endpoint
        self._pause_s = pause_s
        self._tries = tries
        self._hurried = threading.Event()
        self._failing = False
        self._last_word = _LastWord()
        for name in _NOISY:
            logging.getLogger(name).addFilter(self._last_word)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Called by the SDK's thread."""
        pause = self._pause_s
        for _ in range(self._tries):
            if self._exporter.export(spans) is SpanExportResult.SUCCESS:
                self._sent()
                return SpanExportResult.SUCCESS
            self._not_sent()
            if self._hurried.wait(pause):
                break
            pause = min(pause * 2, _LAST_PAUSE_S)
        return SpanExportResult.FAILURE

    def hurry(self) -> None:
        """Try each batch only once from now on."""
        self._hurried.set()

    def shutdown(self) -> None:
        """Called by the SDK at the end."""
        self._exporter.shutdown()
        for name in _NOISY:
            logging.getLogger(name).removeFilter(self._last_word)

    def _sent(self) -> None:
        if self._failing:
            self._failing = False
            log.info("traces are sent to %s again", self._endpoint)

    def _not_sent(self) -> None:
        if not self._failing:
            self._failing = True
            log.warning("traces can't be sent to %s; the newest are kept: %s", self._endpoint, self._last_word.text)


class _LastWord(logging.Filter):
    """Keeps what OpenTelemetry would log about each attempt, for one line of ours."""

    text = ""

    def filter(self, record: logging.LogRecord) -> bool:
        self.text = record.getMessage()
        return False


class _OtelSpan:
    def __init__(self, span: trace.Span) -> None:
        self._span = span
        ids = span.get_span_context()
        self.context = SpanContext(f"{ids.trace_id:032x}", f"{ids.span_id:016x}", ids.trace_flags.sampled)

    def set(self, name: str, value: str | int) -> None:
        self._span.set_attribute(name, value)

    def rename(self, name: str) -> None:
        self._span.update_name(name)

    def end(self, failure: str) -> None:
        if failure:
            self._span.set_status(trace.StatusCode.ERROR, failure)
        self._span.end()


def _within(parent: SpanContext | None) -> Context:
    """OpenTelemetry's context with that parent; without one, an empty context."""
    if parent is None:
        return Context()
    ids = trace.SpanContext(
        int(parent.trace_id, 16), int(parent.span_id, 16), parent.remote, trace.TraceFlags(int(parent.sampled))
    )
    return trace.set_span_in_context(trace.NonRecordingSpan(ids), Context())
