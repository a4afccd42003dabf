"""The span of a request to the API, by OpenTelemetry's conventions for HTTP servers."""

from typing import Final

from aiohttp import web

from seaway_kit import tracing
from seaway_kit.tracing import Span, SpanContext

_OUR_FAULT: Final = 500


def request(asked: web.BaseRequest) -> Span:
    """The span of a request, below the client's if it sends a `traceparent`.

    The query is left out, as a client may put anything there.
    """
    span = tracing.span(asked.method, "server", SpanContext.parse(asked.headers.get(tracing.HEADER, "")))
    span.set("http.request.method", asked.method)
    span.set("url.path", asked.path)
    if agent := asked.headers.get("User-Agent", ""):
        span.set("user_agent.original", agent)
    return span


def answered(method: str, route: str, status: int) -> None:
    """The request in hand has its answer."""
    span = tracing.current()
    if span is None:
        return
    span.rename(f"{method} {route}")
    span.set("http.route", route)
    span.set("http.response.status_code", status)
    if status >= _OUR_FAULT:
        span.fail(f"status {status}")
