"""The typed bus on any transport: commands that come again, and how much a service takes in hand."""

import asyncio

import pytest

from seaway_bus import bus as bus_module
from seaway_bus import repeats
from seaway_bus.bus import Bus, Command
from seaway_bus.transport import Message, Transport
from seaway_contracts.catalogue import (
    RESOLVE,
    START,
)
from seaway_contracts.commands import ContainerId, StatusReply
from seaway_contracts.errors import SeawayError, conflict
from seaway_contracts.records import ContainerLocation, ResolveContainer
from seaway_testing.builders import status
from seaway_testing.waiting import until


async def test_a_service_works_once_on_a_command_that_is_repeated_meanwhile(transport: Transport, server: Bus) -> None:
    """A removal that takes long isn't answered by its repeat, which finds nothing to remove."""
    may_end = asyncio.Event()
    requests: list[Message] = []
    begun: list[str] = []

    async def slow(request: ResolveContainer, command: Command) -> ContainerLocation:
        begun.append(command.id)
        await may_end.wait()
        return ContainerLocation(id=request.ref, node="n1", name=command.actor)

    await server.serve(RESOLVE, slow)
    await server.transport.subscribe(RESOLVE.subject(), requests.append)
    await server.transport.flush()
    client, command = Bus(transport), Command("c1", "", 0)
    first = asyncio.ensure_future(client.call(RESOLVE, ResolveContainer(ref="x"), command=command))
    await until(lambda: begun == ["c1"])
    second = asyncio.ensure_future(client.call(RESOLVE, ResolveContainer(ref="x"), command=command))
    await until(lambda: len(requests) == 2)
    await server.transport.flush()
    may_end.set()
    assert (await first).id == (await second).id == "x"
    assert begun == ["c1"]


async def test_a_repeat_of_what_is_in_work_is_never_refused_and_costs_no_task(
    transport: Transport, server: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus_module, "_IN_HAND", 1)
    may_end = asyncio.Event()
    begun: list[str] = []

    async def start(request: ContainerId, command: Command) -> StatusReply:
        begun.append(command.id)
        await may_end.wait()
        if request.id == "bad":
            raise conflict("in the way")
        return StatusReply(status=status(seq=9))

    await server.serve(START, start, node="n1")
    await server.transport.flush()
    for name in ("good", "bad"):
        client = Bus(transport)
        asked = [client.call(START, ContainerId(id=name), node="n1", command=Command(name, "", 0)) for _ in range(4)]
        first = asyncio.ensure_future(asked[0])
        await until(lambda: name in begun)  # noqa: B023
        others = [asyncio.ensure_future(one) for one in asked[1:]]
        await transport.flush()
        await server.transport.flush()
        may_end.set()
        outcomes = await asyncio.gather(first, *others, return_exceptions=True)
        told = {one.message if isinstance(one, SeawayError) else one.status.seq for one in outcomes}  # type: ignore[union-attr]
        assert told == {9 if name == "good" else "in the way"}
        may_end.clear()
    assert begun == ["good", "bad"]


async def test_beyond_what_it_can_have_in_hand_a_service_refuses(
    client: Bus, server: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, and only for as long as it is so; what it has in hand is answered."""
    assert bus_module._IN_HAND == 4096
    monkeypatch.setattr(bus_module, "_IN_HAND", 3)
    may_end, begun = asyncio.Event(), []

    async def slow(request: ResolveContainer, command: Command) -> ContainerLocation:
        begun.append(request.ref)
        await may_end.wait()
        return ContainerLocation(id=request.ref, node="n1", name=command.actor)

    await server.serve(RESOLVE, slow)
    await server.transport.flush()
    in_hand = [asyncio.ensure_future(client.call(RESOLVE, ResolveContainer(ref=str(number)))) for number in range(3)]
    await until(lambda: len(begun) == 3)
    with pytest.raises(SeawayError, match="overloaded; try again later") as refused:
        await client.call(RESOLVE, ResolveContainer(ref="one too many"))
    assert (refused.value.status, refused.value.retryable) == (503, True)
    may_end.set()
    assert [one.id for one in await asyncio.gather(*in_hand)] == ["0", "1", "2"]
    assert (await client.call(RESOLVE, ResolveContainer(ref="later"))).id == "later"
    assert "one too many" not in begun


async def test_a_command_that_takes_long_is_carried_out_once(
    client: Bus, server: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller asks again; what it asks again joins what is in work."""
    monkeypatch.setattr(repeats, "_FIRST_SILENCE_S", 0.02)
    requests: list[Message] = []
    done: list[str] = []
    may_end = asyncio.Event()

    async def start(request: ContainerId, command: Command) -> StatusReply:
        done.append(command.id)
        await may_end.wait()
        return StatusReply(status=status(seq=9))

    await server.serve(START, start, node="n1")
    await server.transport.subscribe(START.subject("n1"), requests.append)
    await server.transport.flush()
    waiting = asyncio.ensure_future(client.call(START, ContainerId(id="x"), node="n1"))
    await until(lambda: len(requests) > 2)
    may_end.set()
    assert (await waiting).status.seq == 9
    assert len(done) == 1
