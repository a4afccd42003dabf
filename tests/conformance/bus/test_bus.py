"""The typed bus on any transport: errors, dead-lines, queue groups, beats, `$SRV`."""

import asyncio
import json
import time
from typing import NoReturn

import pytest
from prometheus_client import REGISTRY

from seaway_bus import bus as bus_module
from seaway_bus.bus import Bus, Command
from seaway_bus.transport import Message, Transport
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import (
    BEAT,
    CONTAINER_DIE,
    GET_CONTAINER,
    INVENTORY,
    LIST_NODES,
    READ_METRICS,
    RESOLVE,
    START,
)
from seaway_contracts.commands import ContainerId, Inventory, ListInventory, StatusReply
from seaway_contracts.containers import ContainerRecord
from seaway_contracts.errors import Code, SeawayError, conflict
from seaway_contracts.metrics import MetricsText
from seaway_contracts.nodes import Beat
from seaway_contracts.records import ContainerLocation, ResolveContainer
from seaway_testing.builders import beat, record, status
from seaway_testing.waiting import GUARD_S, until
from seaway_testing.wire import Wire


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


async def test_a_channel_can_be_refused_for_a_while(client: Bus, server: Bus) -> None:
    refusing = await server.refuse(START, conflict("not now"), node="n1")
    await server.transport.flush()
    with pytest.raises(SeawayError, match="not now"):
        await client.call(START, ContainerId(id="x"), node="n1")
    await refusing.close()

    async def start(request: ContainerId, command: Command) -> StatusReply:
        return StatusReply(status=status(seq=7))

    await server.serve(START, start, node="n1")
    await server.transport.flush()
    assert (await client.call(START, ContainerId(id="x"), node="n1")).status.seq == 7


async def test_a_request_that_does_not_fit(transport: Transport, server: Bus) -> None:
    await server.serve(RESOLVE, locate)
    await server.transport.flush()
    for body in (b"{}", b"nonsense", b'{"ref": 3}', b""):
        reply = await transport.request(RESOLVE.subject(), body, {}, 2)
        assert reply.headers["Nats-Service-Error-Code"] == "400"
        assert json.loads(reply.data)["code"] == "bad_request"


async def test_nobody_serves(transport: Transport) -> None:
    client = Bus(transport, patience_s=0.05)
    with pytest.raises(SeawayError) as caught:
        await client.call(RESOLVE, ResolveContainer(ref="x"))
    assert caught.value.code == Code.UNAVAILABLE and caught.value.retryable
    with pytest.raises(SeawayError, match="node n7 is not there"):
        await client.call(START, ContainerId(id="x"), node="n7")


async def test_a_node_that_is_away_for_a_moment(client: Bus, server: Bus) -> None:
    """As while its agent is started anew: the command waits for it."""
    waiting = asyncio.ensure_future(client.call(START, ContainerId(id="x"), node="n1"))

    async def start(request: ContainerId, command: Command) -> StatusReply:
        return StatusReply(status=status(seq=7))

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(waiting), 0.1)
    await server.serve(START, start, node="n1")
    assert (await waiting).status.seq == 7


async def test_a_node_that_is_killed_at_work(wire: Wire, client: Bus) -> None:
    """Its successor hears the command too, with the same id and dead-line."""
    heard: list[Command] = []
    begun = asyncio.Event()

    async def never(request: ContainerId, command: Command) -> StatusReply:
        heard.append(command)
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    async def start(request: ContainerId, command: Command) -> StatusReply:
        heard.append(command)
        return StatusReply(status=status(seq=8))

    first, second = Bus(await wire.connect()), Bus(await wire.connect())
    await first.serve(START, never, node="n1")
    await first.transport.flush()
    waiting = asyncio.ensure_future(client.call(START, ContainerId(id="x"), node="n1"))
    await begun.wait()
    await first.transport.close()
    await second.serve(START, start, node="n1")
    assert (await asyncio.wait_for(waiting, 10)).status.seq == 8
    await first.close()
    assert len(heard) == 2 and heard[0] == heard[1]


class Doomed:
    """A handler that fails because all around it is taken apart."""

    def __init__(self) -> None:
        self._begun, self._stopped = asyncio.Event(), asyncio.Event()

    async def handle(self, request: object, command: Command) -> NoReturn:
        self._begun.set()
        await self._stopped.wait()
        raise RuntimeError("cannot schedule new futures after shutdown")

    async def stop(self, server: Bus) -> None:
        """Once it is at work."""
        await self._begun.wait()
        await server.stop_serving()
        self._stopped.set()


async def test_a_node_that_is_stopped_at_work(wire: Wire, client: Bus) -> None:
    """What comes of that is no answer: the successor gives one."""

    async def start(request: ContainerId, command: Command) -> StatusReply:
        return StatusReply(status=status(seq=8))

    first, second, doomed = Bus(await wire.connect()), Bus(await wire.connect()), Doomed()
    await first.serve(START, doomed.handle, node="n1")
    await first.transport.flush()
    waiting = asyncio.ensure_future(client.call(START, ContainerId(id="x"), node="n1"))
    await doomed.stop(first)
    await second.serve(START, start, node="n1")
    assert (await asyncio.wait_for(waiting, 10)).status.seq == 8
    await first.close()


async def test_a_service_that_is_stopped_at_work(wire: Wire, client: Bus) -> None:
    """Where nobody asks a second time, the answer says that it may."""
    server, doomed = Bus(await wire.connect()), Doomed()
    await server.serve(LIST_NODES, doomed.handle)
    await server.transport.flush()
    waiting = asyncio.ensure_future(client.call(LIST_NODES, Empty()))
    await doomed.stop(server)
    with pytest.raises(SeawayError, match="metadata is being stopped; try again when it is back") as caught:
        await waiting
    assert caught.value.code is Code.UNAVAILABLE
    await server.close()


async def test_only_inboxes_are_answered(wire: Wire, transport: Transport, server: Bus) -> None:
    """A reply subject that is a command, an event or an order to JetStream would make the service send it."""
    done: list[str] = []
    answers: list[Message] = []

    async def handler(request: ContainerId, command: Command) -> StatusReply:
        done.append(request.id)
        return StatusReply(status=status())

    await server.serve(START, handler, node="n1")
    await transport.subscribe(">", answers.append)
    await server.transport.flush()
    await transport.flush()
    orders = (START.subject("n2"), CONTAINER_DIE.subject("n1", "x"), "$JS.API.STREAM.PURGE.KV_x", "_INBOXES.x", "")
    for number, reply in enumerate((*orders, "_INBOX.x.1")):
        await wire.post(START.subject("n1"), START.encode(ContainerId(id=str(number))), reply)
    await until(lambda: done)
    await server.transport.flush()
    await transport.flush()
    assert done == ["5"]
    assert [one.subject for one in answers if one.subject != START.subject("n1")] == ["_INBOX.x.1"]


async def test_a_refusal_goes_to_an_inbox_too(wire: Wire, transport: Transport, server: Bus) -> None:
    answers: list[Message] = []
    await server.refuse(START, conflict("not now"), node="n1")
    await transport.subscribe(">", answers.append)
    await server.transport.flush()
    await transport.flush()
    for reply in (START.subject("n2"), "", "_INBOX.x.1"):
        await wire.post(START.subject("n1"), START.encode(ContainerId(id="x")), reply)
    await until(lambda: len(answers) == 4)
    assert [one.subject for one in answers if one.subject != START.subject("n1")] == ["_INBOX.x.1"]


async def test_requests_in_hand_are_counted(client: Bus, server: Bus) -> None:
    def in_hand() -> float:
        return REGISTRY.get_sample_value("seaway_bus_requests_in_hand") or 0.0

    may_end, before = asyncio.Event(), in_hand()

    async def slow(request: ResolveContainer, command: Command) -> ContainerLocation:
        await may_end.wait()
        if request.ref == "bad":
            raise conflict("in the way")
        return await locate(request, command)

    await server.serve(RESOLVE, slow)
    await server.transport.flush()
    asked = [asyncio.ensure_future(client.call(RESOLVE, ResolveContainer(ref=ref))) for ref in ("good", "bad")]
    await until(lambda: in_hand() == before + 2)
    may_end.set()
    await asyncio.gather(*asked, return_exceptions=True)
    assert in_hand() == before


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


async def test_the_bus_is_gone_and_back(wire: Wire, transport: Transport, server: Bus) -> None:
    client = Bus(transport, patience_s=0.05)
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
    await client.on_message(BEAT, got.append)
    await client.transport.flush()
    await server.transport.publish(BEAT.subject(node="n1"), b"not a beat")
    await server.transport.publish(BEAT.subject(node="n2"), BEAT.encode(beat("n1")))
    await server.publish(BEAT, beat("n1"), node="n1")
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


async def test_copies_of_services(client: Bus, server: Bus, wire: Wire) -> None:
    assert await client.copies(0.01) == set()
    second = Bus(await wire.connect())
    await server.announce("metadata", "1.2.3", "n1")
    await second.announce("metadata", "1.2.3", "n2")
    for bus in (server, second):
        await bus.transport.flush()
    found: set[tuple[str, str]] = set()
    async with asyncio.timeout(GUARD_S):
        while len(found) < 2:
            found |= await client.copies(0.05)
    assert found == {("metadata", "n1"), ("metadata", "n2")}
    await second.close()
    await server.close()


async def test_one_copy_of_a_service_is_asked(client: Bus, server: Bus) -> None:
    channel = READ_METRICS["metadata"]

    async def of(node: str) -> None:
        async def handler(_: Empty, __: Command) -> MetricsText:
            return MetricsText(gzip=node)

        await server.serve(channel, handler, node=node)

    await of("n1")
    await of("n2")
    await server.transport.flush()
    assert [(await client.call(channel, Empty(), node=node)).gzip for node in ("n1", "n2")] == ["n1", "n2"]
    with pytest.raises(SeawayError, match="the metadata service is not there just now"):
        await client.call(channel, Empty(), node="n3")


async def test_prepare_twice(client: Bus) -> None:
    await client.prepare()
    await client.prepare()


async def test_who_does_not_make_the_stream_waits_for_it(
    client: Bus, server: Bus, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus_module, "_WARN_EVERY", 2)
    waiting = asyncio.ensure_future(client.prepared())
    await until(lambda: "metadata makes it: waiting" in caplog.text)
    assert not waiting.done()
    await server.prepare()
    await waiting
