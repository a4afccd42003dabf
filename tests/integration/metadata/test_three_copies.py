"""Three copies of metadata at once: whoever has an answer finds its effect through each of them, whatever is lost."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.integration.metadata.rig import (
    Agent,
    Connect,
    Copy,
    Node,
    everything,
    get,
    register,
    running,
    seen_by_all,
    settled,
)

from seaway_bus.bus import Bus, Command
from seaway_bus.events import history
from seaway_contracts import catalogue
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import BEAT, BUCKETS, EVENT_STREAM
from seaway_contracts.commands import (
    ContainerId,
    CreateContainer,
    RemoveContainer,
    RenameContainer,
    StatusReply,
)
from seaway_contracts.containers import ContainerSpec, ContainerStatus, State
from seaway_contracts.errors import SeawayError
from seaway_contracts.nodes import RemoveNode
from seaway_kit.tasks import Tasks
from seaway_testing.builders import beat, container_id, spec, status
from seaway_testing.nats_server import NatsServer
from seaway_testing.waiting import until

READS = 24


@pytest.fixture
async def bus(connect_bus: Connect) -> Bus:
    return await connect_bus()


@pytest.fixture
async def agent(connect_bus: Connect, tmp_path: Path, tasks: Tasks) -> AsyncIterator[Agent]:
    """Node n1's."""
    made = Agent(await connect_bus(), tmp_path / "n1", tasks)
    yield made
    await tasks.close()
    made.close()


@pytest.fixture
async def copies(nats: NatsServer, bus: Bus, tmp_path: Path) -> AsyncIterator[list[Copy]]:
    made = [Copy(nats, tmp_path / str(number), number) for number in (1, 2, 3)]
    for number in (1, 2, 3):
        (tmp_path / str(number)).mkdir()
    async with running(made) as copies:
        yield copies


class Answering:
    """A node that answers behind its events, as a real agent does, and on a connection of its own."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.bus = agent.bus
        self.statuses: dict[str, ContainerStatus] = {}

    async def serve(self) -> "Answering":
        await self.bus.serve(catalogue.CREATE, self.create, node="n1")
        await self.bus.serve(catalogue.START, self.start, node="n1")
        await self.bus.serve(catalogue.RENAME_HELD, self.rename, node="n1")
        await self.bus.serve(catalogue.REMOVE, self.remove, node="n1")
        return self

    async def tell(
        self, identifier: str, action: str, state: State, changed: ContainerSpec | None = None
    ) -> StatusReply:
        now = self.statuses[identifier] = status(state, self.statuses.get(identifier, status(seq=0)).seq + 1)
        await self.agent.tell(action, now, identifier, changed)
        return StatusReply(status=now)

    async def create(self, asked: CreateContainer, command: Command) -> StatusReply:
        return await self.tell(asked.spec.id, "create", State.CREATED)

    async def start(self, asked: ContainerId, command: Command) -> StatusReply:
        return await self.tell(asked.id, "start", State.RUNNING)

    async def rename(self, asked: RenameContainer, command: Command) -> StatusReply:
        record = await get(self.bus, asked.id)
        return await self.tell(
            asked.id, "rename", record.status.state, record.spec.model_copy(update={"name": asked.name})
        )

    async def remove(self, asked: RemoveContainer, command: Command) -> StatusReply:
        return await self.tell(asked.id, "destroy", State.REMOVING)


async def patiently(bus: Bus, ref: str) -> int:
    """The status number, asked until a copy gets the question that goes on."""
    for _ in range(10):
        try:
            return (await get(bus, ref)).status.seq
        except SeawayError as error:
            assert error.retryable, error
    raise AssertionError("no copy answers")


async def found_by_none(bus: Bus, ref: str) -> None:
    for _ in range(READS):
        with pytest.raises(SeawayError, match="No such container"):
            await get(bus, ref)


async def test_who_has_an_answer_finds_its_effect_through_every_copy(
    bus: Bus, agent: Agent, copies: list[Copy]
) -> None:
    await Answering(agent).serve()
    for seed in range(15):
        name, identifier = f"box{seed}", container_id(seed)
        await register(bus, seed)
        await bus.call(catalogue.CREATE, CreateContainer(spec=spec(seed)), node="n1")
        assert {(await get(bus, name)).status.seq for _ in range(READS)} == {1}
        await bus.call(catalogue.START, ContainerId(id=identifier), node="n1")
        assert {(await get(bus, name)).status.state for _ in range(READS)} == {State.RUNNING}
        await bus.call(catalogue.RENAME, RenameContainer(id=identifier, name="moved"))
        assert {(await get(bus, "moved")).id for _ in range(READS)} == {identifier}
        await found_by_none(bus, name)
        await bus.call(catalogue.REMOVE, RemoveContainer(id=identifier, force=True), node="n1")
        await found_by_none(bus, "moved")
        assert [await everything(bus) for _ in range(6)] == [[]] * 6
        await register(bus, 1000 + seed, name)  # the old name is free at once, whichever copy is asked
    await settled(bus, {container_id(1000 + seed) for seed in range(15)}, {f"box{seed}" for seed in range(15)})


async def test_only_one_of_many_gets_a_name(bus: Bus, copies: list[Copy]) -> None:
    for number in range(10):
        tries = [register(bus, number * 100 + seed, f"name{number}") for seed in range(12)]
        outcomes = await asyncio.gather(*tries, return_exceptions=True)
        refused = [outcome for outcome in outcomes if isinstance(outcome, SeawayError)]
        assert len(refused) == 11
        assert all("already in use" in str(error) or "at the same time" in str(error) for error in refused), refused


async def test_a_copy_that_stood_still_is_right_when_it_goes_on(bus: Bus, agent: Agent, copies: list[Copy]) -> None:
    for seed in range(5):
        await register(bus, seed)
        await agent.publish("create", status(seq=1), seed)
    copies[0].send(signal.SIGSTOP)
    try:
        for seq in range(2, 60):
            for seed in range(5):
                await agent.publish("status", status(State.RUNNING, seq), seed)
        await agent.publish("destroy", status(seq=60), 4)
        assert await patiently(bus, "box1") == 59
    finally:
        copies[0].send(signal.SIGCONT)
    assert await seen_by_all(bus, "box1") == {59}
    await found_by_none(bus, "box4")


async def _wiped(bus: Bus) -> None:
    for name in (EVENT_STREAM.name, *(f"KV_{bucket.name}" for bucket in BUCKETS)):
        await bus.transport.request(f"$JS.API.STREAM.DELETE.{name}", b"", {}, 5)


async def test_all_is_wiped_under_running_copies(bus: Bus, agent: Agent, copies: list[Copy]) -> None:
    """Stream and buckets at once: the copies still know everything, and write it again."""
    for seed in range(6):
        await register(bus, seed)
        await agent.publish("create", status(seq=1), seed)
    ids, names = {container_id(seed) for seed in range(6)}, {f"box{seed}" for seed in range(6)}
    await settled(bus, ids, names)
    assert [{one.id for one in await everything(bus)} for _ in range(READS)] == [ids] * READS, "every copy knows them"
    await _wiped(bus)
    assert {one.id for one in await everything(bus)} == ids
    for _ in range(100):
        try:
            await register(bus, 7)
            break
        except SeawayError as error:
            assert error.retryable
            await asyncio.sleep(0.02)
    await settled(bus, ids | {container_id(7)}, names | {"box7"})
    await agent.publish("start", status(State.RUNNING, 2), 3)
    assert await seen_by_all(bus, "box3") == {2}


async def test_the_servers_disk_is_lost(nats: NatsServer, bus: Bus, copies: list[Copy], connect_bus: Connect) -> None:
    """The server comes back empty. What happened to a node meanwhile, and was told to nobody, its inventory tells."""
    node = await Node(await connect_bus()).serve()
    await bus.publish(BEAT, beat("n1", epoch="e1"), node="n1")
    ids, names = {container_id(seed) for seed in range(25)}, {f"box{seed}" for seed in range(25)}
    await settled(bus, ids, names)
    nats.kill()
    nats.wipe()
    node.items = [item.model_copy(update={"status": status(State.EXITED, 9)}) for item in node.items[5:]]
    nats.start()
    await until(lambda: bus.connected and node.bus.connected)
    gone = {container_id(seed) for seed in range(5)}
    for number in range(400):
        await bus.publish(BEAT, beat("n1", epoch="e1", time_ns=number), node="n1")
        try:
            if [{one.id for one in await everything(bus)} for _ in range(6)] == [ids - gone] * 6:
                break
        except SeawayError as error:
            assert error.retryable, error
        await asyncio.sleep(0.02)
    assert await seen_by_all(bus, "box7") == {9}
    await settled(bus, ids - gone, names - {f"box{seed}" for seed in range(5)})


async def test_a_node_that_is_removed_is_forgotten_by_every_copy(
    bus: Bus, agent: Agent, copies: list[Copy], connect_bus: Connect
) -> None:
    """One copy is asked; the others hear of it, and don't bring anything back that is still on its way."""
    for seed in range(12):
        await register(bus, seed)
        if seed < 9:
            await agent.publish("create", status(seq=1), seed)
    ids = {container_id(seed) for seed in range(9)}
    assert [{one.id for one in await everything(bus)} for _ in range(READS)] == [ids] * READS
    await agent.stored()
    await agent.beat()
    for _ in range(READS):
        assert [record.node for record in (await bus.call(catalogue.LIST_NODES, Empty())).nodes] == ["n1"]
    removed = await bus.call(catalogue.REMOVE_NODE, RemoveNode(node="n1", force=True))
    assert removed.containers >= 9, "those that are only registered the copy may not know that is asked"
    await settled(bus, set(), set())
    for number in range(5):
        await agent.beat(time_ns=number)
        await agent.publish("status", status(State.RUNNING, number + 2), number)
    for _ in range(READS):
        assert await everything(bus) == []
        assert (await bus.call(catalogue.LIST_NODES, Empty())).nodes == ()
    for seed in range(12):
        await register(bus, 100 + seed, f"box{seed}")
    stored = [event.envelope.action async for event in history(bus.transport, start_ns=0)]
    assert 9 <= stored.count("destroy") <= 12 and stored.count("remove") == 1
