"""Renames on the in-memory bus, with a node that takes names, or fails to."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from seaway_bus.bus import Bus, Command
from seaway_contracts.catalogue import GET_CONTAINER, NAMES_BUCKET, REGISTER, RENAME, RENAME_HELD, event_channel
from seaway_contracts.commands import RenameContainer, StatusReply
from seaway_contracts.containers import ContainerSpec, State
from seaway_contracts.errors import Code, SeawayError, conflict, unavailable
from seaway_contracts.lifecycle import ContainerEvent
from seaway_contracts.records import RegisterContainer, ResolveContainer
from seaway_kit.tasks import Tasks
from seaway_metadata.service import Metadata, running
from seaway_metadata.settings import MetadataSettings
from seaway_testing.builders import container_event, container_id, spec, status
from seaway_testing.fake_transport import FakeServer, FakeTransport
from seaway_testing.waiting import until


@dataclass
class Node:
    """Holds containers and renames them as an agent does: event first, then the answer."""

    bus: Bus
    specs: dict[str, ContainerSpec] = field(default_factory=dict)
    seqs: dict[str, int] = field(default_factory=dict)
    refusal: SeawayError | None = None
    asked: list[str] = field(default_factory=list)

    async def make(self, seed: int) -> str:
        made = spec(seed)
        await self.bus.call(REGISTER, RegisterContainer(spec=made, node="n1"))
        self.specs[made.id], self.seqs[made.id] = made, 1
        await self.publish("create", seed, made)
        return made.id

    async def publish(self, action: str, seed: int, body_spec: ContainerSpec | None) -> None:
        identifier = container_id(seed)
        envelope, body = container_event(action, status(State.CREATED, self.seqs[identifier]), seed=seed)
        body = ContainerEvent(status=body.status, spec=body_spec)
        channel = event_channel("container", action)
        await self.bus.transport.store(channel.subject("n1", identifier), channel.encode(body), envelope.headers())

    async def rename(self, asked: RenameContainer, command: Command) -> StatusReply:
        self.asked.append(asked.name)
        if self.refusal is not None:
            raise self.refusal
        old = self.specs[asked.id]
        if old.name != asked.name:
            self.specs[asked.id] = old.model_copy(update={"name": asked.name})
            self.seqs[asked.id] += 1
            seed = next(n for n in range(9) if container_id(n) == asked.id)
            await self.publish("rename", seed, self.specs[asked.id])
        return StatusReply(status=status(State.CREATED, self.seqs[asked.id]))


@pytest.fixture
async def metadata(fake_server: FakeServer, tmp_path: Path) -> AsyncIterator[Metadata]:
    bus = Bus(FakeTransport(fake_server))
    async with running(bus, Tasks("metadata"), MetadataSettings(root=tmp_path)) as service:
        yield service
    await bus.close()


@pytest.fixture
async def node(metadata: Metadata, fake_bus: Bus) -> Node:
    node = Node(fake_bus)
    await fake_bus.serve(RENAME_HELD, node.rename, node="n1")
    return node


async def names(server: FakeServer) -> set[str]:
    return {bytes.fromhex(key).decode() for key in server.buckets[NAMES_BUCKET.name].entries}


async def rename(bus: Bus, seed: int, name: str, command: Command | None = None) -> StatusReply:
    return await bus.call(RENAME, RenameContainer(id=container_id(seed), name=name), command=command)


async def test_the_new_name_holds_and_the_old_one_is_free(node: Node, fake_bus: Bus, fake_server: FakeServer) -> None:
    identifier = await node.make(1)
    await rename(fake_bus, 1, "new")
    found = await fake_bus.call(GET_CONTAINER, ResolveContainer(ref="new"))
    assert (found.id, found.spec.name) == (identifier, "new")
    assert await names(fake_server) == {"new"}
    with pytest.raises(SeawayError, match="No such container: box1"):
        await fake_bus.call(GET_CONTAINER, ResolveContainer(ref="box1"))


async def test_a_taken_name_is_refused_before_the_node_is_asked(node: Node, fake_bus: Bus) -> None:
    await node.make(1)
    await node.make(2)
    with pytest.raises(SeawayError, match='The container name "/box2" is already in use') as caught:
        await rename(fake_bus, 1, "box2")
    assert (caught.value.code, node.asked) == (Code.CONFLICT, [])


@pytest.mark.parametrize("error", [conflict("it is marked for removal"), unavailable("away")])
async def test_a_failure_takes_the_reservation_back(
    node: Node, fake_bus: Bus, fake_server: FakeServer, error: SeawayError
) -> None:
    await node.make(1)
    node.refusal = error
    with pytest.raises(SeawayError, match=error.message):
        await rename(fake_bus, 1, "new")
    assert await names(fake_server) == {"box1"}


async def test_after_a_time_out_both_names_stay(node: Node, fake_bus: Bus, fake_server: FakeServer) -> None:
    """Nobody knows which one it has. What it doesn't have lapses."""
    await node.make(1)
    node.refusal = SeawayError(Code.TIMEOUT, "no answer")
    with pytest.raises(SeawayError, match="no answer"):
        await rename(fake_bus, 1, "new")
    assert await names(fake_server) == {"box1", "new"}


async def test_a_repeat_and_the_present_name_change_nothing(node: Node, fake_bus: Bus, fake_server: FakeServer) -> None:
    await node.make(1)
    command = Command.new()
    await rename(fake_bus, 1, "new", command)
    await rename(fake_bus, 1, "new", command)
    await rename(fake_bus, 1, "new")
    assert (await names(fake_server), node.seqs[container_id(1)]) == ({"new"}, 2)


async def test_there_and_back(node: Node, fake_bus: Bus, fake_server: FakeServer, metadata: Metadata) -> None:
    await node.make(1)
    for name in ("new", "box1", "new", "box1"):
        await rename(fake_bus, 1, name)
        assert await names(fake_server) == {name}
    await metadata.containers.behind.flush()
    assert await names(fake_server) == {"box1"}


async def test_racing_renames_end_in_one_name_each(node: Node, fake_bus: Bus, fake_server: FakeServer) -> None:
    for seed in range(1, 5):
        await node.make(seed)
    outcomes = await asyncio.gather(*(rename(fake_bus, seed, "new") for seed in range(1, 5)), return_exceptions=True)
    assert sum(isinstance(outcome, StatusReply) for outcome in outcomes) == 1
    await asyncio.gather(*(rename(fake_bus, 1, f"n{number}") for number in range(5)))
    held = await names(fake_server)
    assert held == {one.name for one in node.specs.values()}
    assert len(held) == 4


async def test_an_event_alone_frees_the_old_name(node: Node, fake_server: FakeServer) -> None:
    """As after a time-out, when the node has carried it out all the same."""
    identifier = await node.make(1)
    await node.rename(RenameContainer(id=identifier, name="new"), Command.new())
    await until(lambda: not fake_server.buckets[NAMES_BUCKET.name].entries.keys() & {b"box1".hex()})


async def test_a_name_that_no_bucket_takes(node: Node, fake_bus: Bus) -> None:
    identifier = await node.make(1)
    with pytest.raises(SeawayError) as refused:
        await fake_bus.call(RENAME, RenameContainer(id=identifier, name="a" * 256))
    assert refused.value.code is Code.BAD_REQUEST and refused.value.message.endswith("must have 1 to 255 bytes")
    assert node.asked == []
