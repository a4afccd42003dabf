"""The spans of calls: what the header carries, and what is said of errors."""

import pytest

from seaway_bus.bus import Bus, Command
from seaway_bus.transport import Message, Transport
from seaway_contracts.catalogue import GET_CONTAINER, RESOLVE, START
from seaway_contracts.commands import ContainerId, StatusReply
from seaway_contracts.containers import ContainerRecord
from seaway_contracts.errors import SeawayError, conflict, not_modified
from seaway_contracts.records import ContainerLocation, ResolveContainer
from seaway_kit import tracing
from seaway_testing.builders import record, status
from seaway_testing.collector import CLIENT, SERVER, traced
from seaway_testing.wire import Wire


async def test_a_call_is_a_span_on_either_side(client: Bus, server: Bus) -> None:
    """And what the answering side asks for in its turn is below its own."""

    async def get(request: ResolveContainer, command: Command) -> ContainerRecord:
        return record(request.ref)

    async def resolve(request: ResolveContainer, command: Command) -> ContainerLocation:
        found = await server.call(GET_CONTAINER, request)
        return ContainerLocation(id=found.spec.id, node="n1", name="c")

    await server.serve(GET_CONTAINER, get)
    await server.serve(RESOLVE, resolve)
    await server.transport.flush()
    with traced() as collector, tracing.span("the work"):
        await client.call(RESOLVE, ResolveContainer(ref="abc"), command=Command("id-1", "jo"))
    spans = [
        collector.one("the work", 1),
        collector.one("container.resolve", CLIENT),
        collector.one("container.resolve", SERVER),
        collector.one("container.get", CLIENT),
        collector.one("container.get", SERVER),
    ]
    assert len({span.trace_id for span in spans}) == 1
    assert [span.parent for span in spans] == ["", *(span.span_id for span in spans[:-1])]
    common = {"rpc.system": "nats", "rpc.service": "metadata", "rpc.method": "container.resolve"}
    assert spans[1].attributes == common | {"seaway.command": "id-1"}
    assert spans[2].attributes == common | {"seaway.command": "id-1", "seaway.actor": "jo"}
    assert len(collector.spans) == 5


async def test_a_call_to_a_node_names_it(client: Bus, server: Bus) -> None:
    async def start(request: ContainerId, command: Command) -> StatusReply:
        return StatusReply(status=status(seq=1))

    await server.serve(START, start, node="n1")
    await server.transport.flush()
    with traced() as collector:
        await client.call(START, ContainerId(id="x"), node="n1")
    assert collector.one("container.start", CLIENT).attributes["seaway.node"] == "n1"


async def test_errors_in_spans(client: Bus, server: Bus) -> None:
    """What the caller did wrong fails the caller's span; 304 is no failure at all."""

    async def refuse(request: ResolveContainer, command: Command) -> ContainerLocation:
        raise {"conflict": conflict("it runs"), "same": not_modified(), "bug": KeyError("a bug")}[request.ref]

    await server.serve(RESOLVE, refuse)
    await server.transport.flush()
    seen = []
    for ref in ("conflict", "same", "bug"):
        with traced() as collector, pytest.raises(SeawayError):
            await client.call(RESOLVE, ResolveContainer(ref=ref))
        asking, answering = (collector.one("container.resolve", kind) for kind in (CLIENT, SERVER))
        seen.append((answering.attributes["seaway.code"], bool(asking.failure), bool(answering.failure)))
    assert seen == [("conflict", True, False), ("not_modified", False, False), ("internal", True, True)]


async def test_off_nothing_is_carried_and_nobody_is_disturbed_by_what_is(
    client: Bus, other: Transport, wire: Wire
) -> None:
    """Each side may be traced alone."""
    headers: list[dict[str, str]] = []
    server = Bus(other)

    async def locate(request: ResolveContainer, command: Command) -> ContainerLocation:
        return ContainerLocation(id=request.ref, node="n1", name="c")

    def received(message: Message) -> None:
        headers.append(dict(message.headers))

    await server.serve(RESOLVE, locate)
    listener = await wire.connect()
    await listener.subscribe(RESOLVE.subject(), received)
    await listener.flush()
    await other.flush()
    await client.call(RESOLVE, ResolveContainer(ref="abc"))
    assert tracing.HEADER not in headers[0]
    odd = {"Seaway-Command": "id-2", tracing.HEADER: "no traceparent"}
    with traced() as collector:
        await client.transport.request(RESOLVE.subject(), b'{"ref": "abc"}', odd, 10)
    assert collector.one("container.resolve").parent == ""
