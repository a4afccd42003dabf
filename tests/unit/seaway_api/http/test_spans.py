"""The spans of requests to the API."""

from typing import Any

from seaway_contracts.errors import Code
from seaway_kit import tracing
from seaway_testing.collector import CLIENT, traced

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


async def test_a_request_goes_on_with_its_clients_trace(rig: Any) -> None:
    await rig.call("GET", "/v1.45/containers/json")
    with traced() as collector:
        answer = await rig.call(
            "GET",
            "/v1.45/networks/no%20secret?filters=password",
            traceparent=f"00-{TRACE}-{SPAN}-01",
            User_Agent="compose/2",
        )
    span = collector.one("GET /networks/{name}")
    assert (span.trace_id, span.parent, span.failure) == (TRACE, SPAN, "")
    assert span.attributes == {
        "http.request.method": "GET",
        "http.route": "/networks/{name}",
        "http.response.status_code": answer.status,
        "url.path": "/v1.45/networks/no secret",
        "user_agent.original": "compose/2",
    }
    calls = [one for one in collector.spans if one.kind == CLIENT]
    assert calls and {(one.trace_id, one.parent) for one in calls} == {(TRACE, span.span_id)}


async def test_requests_of_one_connection_are_traces_of_their_own(rig: Any) -> None:
    with traced() as collector:
        wire = await rig.wire()
        for _ in range(3):
            wire.send(b"GET /_ping HTTP/1.1\r\nHost: d\r\ntraceparent: odd\r\n\r\n")
            assert (await wire.answer()).status == 200
        wire.close()
    spans = [span for span in collector.spans if span.name == "GET /_ping"]
    assert len({span.trace_id for span in spans}) == 3 and {span.parent for span in spans} == {""}
    assert tracing.current() is None


async def test_only_errors_of_the_server_fail_a_span(rig: Any, failure: Any) -> None:
    with traced() as collector:
        assert (await rig.call("GET", "/nothing")).status == 404
        rig.suite.fail["get"] = failure(Code.INTERNAL, "odd")
        assert (await rig.call("GET", "/v1.45/containers/x/json")).status == 500
    assert collector.one("GET none").failure == ""
    assert collector.one("GET /containers/{name}/json").failure == "status 500"
