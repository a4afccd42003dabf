"""Spans and their ids, without OpenTelemetry."""

import asyncio
import contextvars
import json
import logging
import subprocess
import sys
import types
from collections.abc import Iterator

import pytest

from seaway_contracts.errors import conflict, not_modified
from seaway_kit import logs, tracing
from seaway_kit.tracing import OFF, LogTracer, SpanContext

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture
def on() -> Iterator[None]:
    tracing.use(LogTracer())
    yield
    tracing.use(None)


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, "seaway_kit.tracing")
    return caplog


def test_a_traceparent_is_read_and_written() -> None:
    for flags, sampled in (("01", True), ("00", False), ("03", True)):
        assert SpanContext.parse(f"00-{TRACE}-{SPAN}-{flags}") == SpanContext(TRACE, SPAN, sampled, remote=True)
    assert SpanContext(TRACE, SPAN, False).header == f"00-{TRACE}-{SPAN}-00"
    later = SpanContext.parse(f"cc-{TRACE}-{SPAN}-01-what-the-future-brings")
    assert later is not None and later.header == f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01\n",
        f"00-{TRACE}-{SPAN}-01" * 1000,
    ],
)
def test_what_is_no_traceparent(text: str) -> None:
    assert SpanContext.parse(text) is None


def test_off_a_span_is_nothing(said: pytest.LogCaptureFixture) -> None:
    with tracing.span("work") as span:
        span.set("a", 1)
        span.rename("other")
        span.fail("it")
        assert (span, span.header, tracing.current(), tracing.on()) == (OFF, "", None, False)
    assert not said.records


def test_off_nothing_of_opentelemetry_is_imported() -> None:
    modules = ", ".join(f"seaway_{name}.main" for name in ("api", "image", "metadata", "scheduler", "agent"))
    code = f"""
import sys, {modules}
from seaway_kit import trace_export
from seaway_kit.settings import ServiceSettings
trace_export.begin("api", ServiceSettings(), {{}})()
print([name for name in sys.modules if name.startswith(("opentelemetry", "google.protobuf", "requests"))])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n", done.stderr


@pytest.mark.usefixtures("on")
def test_spans_stand_in_each_other() -> None:
    with tracing.span("outer"):
        outer = tracing.current()
        assert outer is not None and outer.context.sampled and not outer.context.remote
        with tracing.span("inner") as inner:
            now = tracing.current()
            assert now is not None and now.context.trace_id == outer.context.trace_id
            assert now.context.span_id != outer.context.span_id
            assert inner.header == now.context.header
        assert tracing.current() is outer
        with tracing.span("from elsewhere", "server", SpanContext(TRACE, SPAN, sampled=False)) as far:
            assert far.header.startswith(f"00-{TRACE}-") and far.header.endswith("-00") and SPAN not in far.header
    assert tracing.current() is None


@pytest.mark.usefixtures("on")
async def test_what_outlives_a_span_begins_its_own_trace() -> None:
    ended, found = asyncio.Event(), []

    async def work() -> None:
        found.append(tracing.current())
        await ended.wait()
        found.append(tracing.current())

    with tracing.span("request"):
        asking = tracing.current()
        task = asyncio.create_task(work())
        await asyncio.sleep(0)
    ended.set()
    await task
    assert found == [asking, None]


@pytest.mark.usefixtures("on")
def test_work_that_is_closed_from_elsewhere(said: pytest.LogCaptureFixture) -> None:
    @types.coroutine
    def never() -> Iterator[None]:
        yield

    async def work() -> None:
        with tracing.span("work"):
            await never()

    begun = work()
    contextvars.copy_context().run(begun.send, None)
    begun.close()
    assert tracing.current() is None
    assert "failed" not in said.text


@pytest.mark.usefixtures("on")
def test_each_span_is_a_line_at_the_level_debug(said: pytest.LogCaptureFixture) -> None:
    errors: list[BaseException] = [conflict("it runs"), not_modified(), asyncio.CancelledError(), OSError("odd")]
    for error in errors:
        with pytest.raises(type(error)), tracing.span("work") as span:
            span.set("container.id", "c1")
            raise error
    with tracing.span("work") as span:
        span.rename("better")
        span.fail("no luck")
    lines = [record.getMessage().partition(" took ") for record in said.records]
    assert [line[0] for line in lines] == ["span work: container.id=c1"] * 4 + ["span better:"]
    failures = [line[2].partition(" ms")[2] for line in lines]
    assert failures == [", failed: it runs", "", "", ", failed: odd", ", failed: no luck"]


@pytest.mark.usefixtures("on")
def test_logs_have_the_ids_of_the_span_in_hand() -> None:
    record = logging.LogRecord("x", logging.WARNING, "f.py", 1, "slow", (), None)
    assert "trace_id" not in logs.JsonFormatter("api").format(record)
    with tracing.span("work", "server", SpanContext(TRACE, SPAN)):
        span = tracing.current()
        assert span is not None
        line = logs.JsonFormatter("api").format(record)
        text = logs.TextFormatter("api").format(record)
    fields = json.loads(line)
    assert (fields["trace_id"], fields["span_id"]) == (TRACE, span.context.span_id)
    assert text.endswith(f" api: slow trace_id={TRACE} span_id={span.context.span_id}")
    assert logs.as_text(line) == text
