"""The typed bus on any transport: errors, dead-lines, queue groups, beats, `$SRV`."""

import asyncio
import json
import time

import pytest

from seaway_bus import bus as bus_module
from seaway_bus.bus import Bus, Command
from seaway_bus.transport import Message, Transport
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import BEAT, GET_CONTAINER, INVENTORY, LIST_NODES, RESOLVE, START
from seaway_contracts.commands import (
    ContainerId,
    ContainerLocation,
    Inventory,
    ListInventory,
    ResolveContainer,
    StatusReply,
)
from seaway_contracts.containers import ContainerRecord
from seaway_contracts.errors import Code, SeawayError, conflict
from seaway_contracts.nodes import Beat, NodeList
from seaway_testing.builders import beat, record, status
from seaway_testing.waiting import until
from seaway_testing.wire import Wire


@pytest.fixture
async def client(transport: Transport) -> Bus:
    return Bus(transport)


@pytest.fixture
async def server(other: Transport) -> Bus:
    return Bus(other)


async def locate(request: ResolveContainer, command: Command) -> ContainerLocation:
    return ContainerLocation(id=request.ref, node="n1", name=command.actor)


async def test_call(client: Bus, server: Bus) -> None:
    await server.serve(RESOLVE, locate)
    await server.transport.flush()
    answer = await client.call(RESOLVE, ResolveContainer(ref="abc"), command=Command.new("jo"))
    assert answer == ContainerLocation(id="abc", node="n1", name="jo")


async def test_the_command_crosses_unchanged(client: Bus, server: Bus) -> None:
    seen: list[Command] = []

    async def handler(request: ResolveContainer, command: Command) -> ContainerLocation:
        seen.append(command)
        return await locate(request, command)

    await server.serve(RESOLVE, handler)
    await server.transport.flush()
    sent = Command("id-1", "jo", time.time_ns() + 10_000_000_000)
    await client.call(RESOLVE, ResolveContainer(ref="abc"), command=sent)
    await client.call(RESOLVE, ResolveContainer(ref="abc"), command=sent)
    assert seen == [sent, sent]


async def test_errors_cross(client: Bus, server: Bus) -> None:
    async def refuse(request: ResolveContainer, command: Command) -> ContainerLocation:
        if request.ref == "bug":
            raise KeyError("a bug")
        raise conflict(f"{request.ref} is in the way")

    await server.serve(RESOLVE, refuse)
    await server.transport.flush()
    with pytest.raises(SeawayError) as caught:
        await client.call(RESOLVE, ResolveContainer(ref="x"))
    assert (caught.value.code, caught.value.message, caught.value.status) == (Code.CONFLICT, "x is in the way", 409)
    with pytest.raises(SeawayError) as caught:
        await client.call(RESOLVE, ResolveContainer(ref="bug"))
    assert caught.value.code == Code.INTERNAL and "container.resolve" in caught.value.message


async def test_a_request_that_does_not_fit(transport: Transport, server: Bus) -> None:
    await server.serve(RESOLVE, locate)
    await server.transport.flush()
    for body in (b"{}", b"nonsense", b'{"ref": 3}', b""):
        reply = await transport.request(RESOLVE.subject(), body, {}, 2)
        assert reply.headers["Nats-Service-Error-Code"] == "400"
        assert json.loads(reply.data)["code"] == "bad_request"


async def test_nobody_serves(client: Bus) -> None:
    with pytest.raises(SeawayError) as caught:
        await client.call(RESOLVE, ResolveContainer(ref="x"))
    assert caught.value.code == Code.UNAVAILABLE and caught.value.retryable
    with pytest.raises(SeawayError, match="node n7 is not there"):
        await client.call(START, ContainerId(id="x"), node="n7")


async def test_no_answer_in_time(client: Bus, server: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus_module, "_GRACE_S", 0.05)

    async def sleep(request: Empty, command: Command) -> NodeList:
        await asyncio.Event().wait()
        raise AssertionError

    await server.serve(LIST_NODES, sleep)
    await server.transport.flush()
    with pytest.raises(SeawayError) as caught:
        await client.call(LIST_NODES, Empty(), timeout_s=0.1)
    assert caught.value.code == Code.TIMEOUT and "node.list" in caught.value.message
    await server.close()


async def test_a_command_after_its_dead_line_is_not_carried_out(client: Bus, server: Bus) -> None:
    done: list[str] = []

    async def start(request: ContainerId, command: Command) -> StatusReply:
        done.append(request.id)
        return StatusReply(status=status())

    await server.serve(START, start, node="n1")
    await server.transport.flush()
    with pytest.raises(SeawayError) as caught:
        await client.call(START, ContainerId(id="x"), node="n1", command=Command("c", "", time.time_ns() - 1))
    assert caught.value.code == Code.STALE and done == []


async def test_only_inboxes_are_answered(transport: Transport, server: Bus) -> None:
    """A reply subject that is a command would make the service send it."""
    done: list[str] = []
    heard: list[Message] = []

    async def handler(request: ContainerId, command: Command) -> StatusReply:
        done.append(request.id)
        return StatusReply(status=status())

    await server.serve(START, handler, node="n1")
    await transport.subscribe(START.subject("n2"), heard.append)
    await server.transport.flush()
    await transport.flush()
    await transport.publish(START.subject("n1"), START.encode(ContainerId(id="x")))
    await transport.flush()
    await server.transport.flush()
    assert done == [] and heard == []


async def test_copies_share_the_work(wire: Wire, client: Bus) -> None:
    counts = [0, 0]

    async def copy(number: int) -> None:
        async def handler(request: ResolveContainer, command: Command) -> ContainerLocation:
            counts[number] += 1
            return await locate(request, command)

        bus = Bus(await wire.connect())
        await bus.serve(RESOLVE, handler)
        await bus.transport.flush()

    await copy(0)
    await copy(1)
    await asyncio.gather(*(client.call(RESOLVE, ResolveContainer(ref="x")) for _ in range(100)))
    assert sum(counts) == 100 and all(counts)


async def test_each_node_gets_its_own(client: Bus, server: Bus) -> None:
    for name in ("n1", "n2"):

        async def handler(request: ListInventory, command: Command, name: str = name) -> Inventory:
            return Inventory(node=name, epoch="e", revision=1)

        await server.serve(INVENTORY, handler, node=name)
    await server.transport.flush()
    assert (await client.call(INVENTORY, ListInventory(), node="n2")).node == "n2"
    assert (await client.call(INVENTORY, ListInventory(), node="n1")).node == "n1"


async def test_too_large_an_answer(client: Bus, server: Bus) -> None:
    async def handler(request: ResolveContainer, command: Command) -> ContainerRecord:
        big = record()
        return big.model_copy(update={"status": status(error="x" * server.transport.max_payload)})

    await server.serve(GET_CONTAINER, handler)
    await server.transport.flush()
    with pytest.raises(SeawayError) as caught:
        await client.call(GET_CONTAINER, ResolveContainer(ref="x"))
    assert caught.value.code == Code.TOO_LARGE


async def test_too_large_a_request(client: Bus, server: Bus) -> None:
    await server.serve(RESOLVE, locate)
    await server.transport.flush()
    with pytest.raises(SeawayError) as caught:
        await client.call(RESOLVE, ResolveContainer(ref="x" * server.transport.max_payload))
    assert caught.value.code == Code.TOO_LARGE


async def test_the_bus_is_gone_and_back(wire: Wire, client: Bus, server: Bus) -> None:
    await server.serve(RESOLVE, locate)
    await wire.stop()
    assert not client.connected
    with pytest.raises(SeawayError, match="the bus can't be reached") as caught:
        await client.call(RESOLVE, ResolveContainer(ref="x"))
    assert caught.value.code == Code.UNAVAILABLE
    await wire.start()
    await server.transport.flush()
    assert (await client.call(RESOLVE, ResolveContainer(ref="x"))).id == "x"


async def test_a_read_behind_an_event_sees_it(client: Bus, server: Bus) -> None:
    """The handler starts after the callbacks of all that arrived before its request."""
    applied: list[bytes] = []
    answers: list[int] = []

    async def handler(request: ResolveContainer, command: Command) -> ContainerLocation:
        answers.append(len(applied))
        return await locate(request, command)

    await server.serve(RESOLVE, handler)
    await server.transport.subscribe("some.event", lambda m: applied.append(m.data))
    await server.transport.flush()
    for _ in range(50):
        await client.transport.publish("some.event", b"")
        await client.call(RESOLVE, ResolveContainer(ref="x"))
    assert answers == list(range(1, 51))


async def test_beats(client: Bus, server: Bus) -> None:
    got: list[Beat] = []
    await client.on_beat(BEAT, got.append)
    await client.transport.flush()
    await server.transport.publish(BEAT.subject("n1"), b"not a beat")
    await server.transport.publish(BEAT.subject("n2"), BEAT.encode(beat("n1")))
    await server.beat(BEAT, "n1", beat("n1"))
    await until(lambda: got)
    assert got == [beat("n1")]


async def test_srv_answers(transport: Transport, server: Bus) -> None:
    await server.serve(RESOLVE, locate)
    await server.announce("metadata", "1.2.3")
    await server.transport.flush()
    await transport.request(RESOLVE.subject(), RESOLVE.encode(ResolveContainer(ref="x")), {}, 2)
    await transport.request(RESOLVE.subject(), b"bad", {}, 2)
    ping = json.loads((await transport.request("$SRV.PING", b"", {}, 2)).data)
    assert (ping["type"], ping["name"], ping["version"]) == (
        "io.nats.micro.v1.ping_response",
        "seaway-metadata",
        "1.2.3",
    )
    info = json.loads((await transport.request("$SRV.INFO.seaway-metadata", b"", {}, 2)).data)
    endpoint = {"name": "container_resolve", "subject": RESOLVE.subject(), "queue_group": "metadata", "metadata": {}}
    assert info["endpoints"] == [endpoint]
    subject = f"$SRV.STATS.seaway-metadata.{ping['id']}"
    stats = json.loads((await transport.request(subject, b"", {}, 2)).data)
    assert (stats["endpoints"][0]["num_requests"], stats["endpoints"][0]["num_errors"]) == (2, 1)
    await server.close()


async def test_prepare_twice(client: Bus) -> None:
    await client.prepare()
    await client.prepare()
