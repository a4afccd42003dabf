"""Export by OpenTelemetry, to a collector that listens, is away, refuses, or doesn't answer."""

import logging
import sys
import threading
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from seaway_contracts.errors import internal
from seaway_kit import trace_export, tracing
from seaway_kit.otel import Export, PatientExporter
from seaway_kit.settings import ServiceSettings, WrongSettings, merge
from seaway_kit.trace_export import endpoint_of
from seaway_kit.tracing import SpanContext
from seaway_testing.collector import Collector
from seaway_testing.ports import free_port
from seaway_testing.waiting import wait

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
ALL, TRACES = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"


@pytest.fixture(autouse=True)
def quick_batches(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    yield
    tracing.use(None)


@pytest.mark.parametrize(
    ("setting", "env", "endpoint"),
    [
        ("", {}, ""),
        ("http://c:4318", {}, "http://c:4318/v1/traces"),
        ("http://c:4318/", {ALL: "http://d:1"}, "http://c:4318/v1/traces"),
        ("", {ALL: "http://d:1/otlp"}, "http://d:1/otlp/v1/traces"),
        ("", {ALL: "http://d:1", TRACES: "http://e:2/x"}, "http://e:2/x"),
        ("", {ALL: ""}, ""),
        ("http://c:4318", {"OTEL_SDK_DISABLED": "true"}, ""),
        ("", {ALL: "http://d:1", "OTEL_TRACES_EXPORTER": "none"}, ""),
    ],
)
def test_where_traces_go(setting: str, env: dict[str, str], endpoint: str) -> None:
    assert endpoint_of(setting, env) == endpoint


@pytest.mark.parametrize("wrong", ["127.0.0.1:4318", "ftp://x", "http://"])
def test_an_endpoint_that_is_no_url(wrong: str) -> None:
    with pytest.raises(WrongSettings, match=r"--otlp-endpoint.*http://127\.0\.0\.1:4318"):
        merge(ServiceSettings, ["--otlp-endpoint", wrong], prog="seaway-api", env={})


def test_spans_reach_the_collector() -> None:
    with Collector() as collector:
        end = trace_export.begin("api", ServiceSettings(node="n1"), {ALL: collector.url})
        with tracing.span("GET /info", "server", SpanContext(TRACE, SPAN)) as span:
            span.set("http.response.status_code", 200)
            with pytest.raises(Exception, match="odd"), tracing.span("node.list", "client"):
                raise internal("odd")
        end()
    inner, outer = collector.spans
    assert {(one.service, one.node, one.trace_id) for one in collector.spans} == {("seaway-api", "n1", TRACE)}
    assert (outer.name, outer.kind, outer.parent, outer.failure) == ("GET /info", 2, SPAN, "")
    assert outer.attributes == {"http.response.status_code": 200}
    assert (inner.name, inner.kind, inner.parent, inner.failure) == ("node.list", 3, outer.span_id, "odd")


def test_a_trace_that_its_client_does_not_want_is_not_sent() -> None:
    with Collector() as collector:
        export = Export(f"{collector.url}/v1/traces", "api", "n1")
        tracing.use(export)
        with tracing.span("unwanted", "server", SpanContext(TRACE, SPAN, sampled=False)) as span:
            assert span.header.startswith(f"00-{TRACE}-") and span.header.endswith("-00")
        with tracing.span("wanted") as span:
            assert span.header.endswith("-01")
        export.close()
    assert [one.name for one in collector.spans] == ["wanted"]


def test_spans_wait_for_a_collector_that_is_away(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "seaway_kit.otel")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.1")  # else the SDK tries by itself for ten seconds
    port = free_port()
    export = Export(f"http://127.0.0.1:{port}/v1/traces", "agent", "n1")
    tracing.use(export)
    with tracing.span("early"):
        pass
    wait(lambda: "traces can't be sent" in caplog.text, "the collector to be missed")
    for number in range(1000):
        with tracing.span(f"meanwhile {number}"):
            pass
    with Collector(port) as collector:
        wait(lambda: len(collector.spans) == 1001, lambda: f"{len(collector.spans)} of 1001 spans to be sent")
        export.close()
    assert {one.name for one in collector.spans} == {"early", *(f"meanwhile {number}" for number in range(1000))}
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2 and said[1].endswith("again"), said
    assert f"http://127.0.0.1:{port}/v1/traces" in said[0]


def test_a_collector_that_does_not_answer_holds_up_nobody() -> None:
    with Collector() as collector:
        collector.answering.clear()
        export = Export(f"{collector.url}/v1/traces", "agent", "n1")
        tracing.use(export)
        with tracing.span("work"):
            pass
        assert collector.asked.wait(60)
        for _ in range(10_000):  # more than the queue holds
            with tracing.span("more work"):
                pass
        export.close()
        assert not collector.answering.is_set() and not collector.spans
        collector.answering.set()
        wait(lambda: not any(one.name.startswith("OtelBatch") for one in threading.enumerate()), "the thread's end")


def test_a_batch_that_is_refused_is_given_up() -> None:
    class Refusing(InMemorySpanExporter):
        tries = 0

        def export(self, spans: object) -> SpanExportResult:
            self.tries += 1
            return SpanExportResult.FAILURE

    refusing = Refusing()
    patient = PatientExporter(refusing, "http://c", pause_s=0.001, tries=4)
    assert patient.export(()) is SpanExportResult.FAILURE
    assert refusing.tries == 4
    patient.hurry()
    assert patient.export(()) is SpanExportResult.FAILURE
    assert refusing.tries == 5
    patient.shutdown()


def test_without_the_extra_there_are_no_traces(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delitem(sys.modules, "seaway_kit.otel", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    trace_export.begin("api", ServiceSettings(), {ALL: "http://c:4318"})()
    assert not tracing.on()
    (record,) = caplog.records
    assert "no traces are sent to http://c:4318/v1/traces" in record.getMessage()
    assert record.getMessage().endswith("install seaway[otel]")


def test_at_the_level_debug_logs_have_ids_without_a_collector() -> None:
    trace_export.begin("api", ServiceSettings(log_level="debug"), {})()
    assert tracing.on()
    with tracing.span("work") as span:
        assert SpanContext.parse(span.header)
