"""Metadata's processes on a real nats-server: two copies at once, killed and started again."""

import asyncio
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

from seaway_bus.bus import Bus
from seaway_bus.events import Event, history
from seaway_bus.feed import EventFeed
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import (
    BEAT,
    BUCKETS,
    CONTAINERS_BUCKET,
    EVENT_STREAM,
    LIST_CONTAINERS,
    LIST_NODES,
    NAMES_BUCKET,
)
from seaway_contracts.containers import State
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.records import ListContainers
from seaway_kit.tasks import Tasks
from seaway_testing.builders import beat, container_id, status
from seaway_testing.nats_server import NatsServer
from seaway_testing.waiting import until


@pytest.fixture
async def bus(connect_bus: Connect) -> Bus:
    return await connect_bus()


@pytest.fixture
async def agent(bus: Bus, tmp_path: Path, tasks: Tasks) -> AsyncIterator[Agent]:
    """Node n1's."""
    made = Agent(bus, tmp_path / "n1", tasks)
    yield made
    await tasks.close()
    made.close()


@pytest.fixture
async def copies(nats: NatsServer, bus: Bus, tmp_path: Path) -> AsyncIterator[list[Copy]]:
    made = [Copy(nats, tmp_path, number) for number in (1, 2)]
    async with running(made) as copies:
        yield copies


async def test_every_copy_sees_what_was_done(bus: Bus, agent: Agent, copies: list[Copy]) -> None:
    for seed in range(20):
        await register(bus, seed)
        assert await seen_by_all(bus, f"box{seed}") == {0}
        await agent.publish("create", status(seq=1), seed)
        assert await seen_by_all(bus, container_id(seed)) == {1}
    await agent.publish("start", status(State.RUNNING, 2), 3)
    assert await seen_by_all(bus, "box3") == {2}
    listed = [[one.id for one in await everything(bus)] for _ in range(10)]
    assert listed == [[container_id(seed) for seed in range(19, -1, -1)]] * 10


async def test_repeats_and_disorder(bus: Bus, agent: Agent, copies: list[Copy]) -> None:
    await register(bus, 1)
    await agent.publish("create", status(seq=1))
    for seq in (4, 2, 3, 2, 4, 1):
        await agent.publish("status", status(State.RUNNING, seq, exit_code=seq))
        await agent.publish("status", status(State.RUNNING, seq), event_id=f"{seq:024x}")
    assert await seen_by_all(bus, "box1") == {4}
    await agent.publish("destroy", status(seq=5))
    await agent.publish("create", status(seq=1), event_id="f" * 24)
    await agent.publish("status", status(seq=6))
    for _ in range(20):
        with pytest.raises(SeawayError, match="No such container"):
            await get(bus, "box1")
    await settled(bus, set(), set())


async def test_a_name_is_reused_right_after_destroy(bus: Bus, agent: Agent, copies: list[Copy]) -> None:
    for seed in range(30):
        await register(bus, seed, "web")
        with pytest.raises(SeawayError, match='name "/web" is already in use') as caught:
            await register(bus, 1000 + seed, "web")
        assert caught.value.code == Code.CONFLICT
        await agent.publish("create", status(seq=1), seed)
        await agent.publish("destroy", status(seq=2), seed)
    await register(bus, 99, "web")
    await settled(bus, {container_id(99)}, {"web"})


async def test_killed_during_registrations(bus: Bus, agent: Agent, copies: list[Copy]) -> None:
    """A command in flight gets a clear error or succeeds when repeated; none is lost or done twice."""

    async def until_done(seed: int) -> None:
        for _ in range(50):
            try:
                await register(bus, seed)
                return
            except SeawayError as error:
                assert error.retryable, error
                await asyncio.sleep(0.05)
        raise AssertionError("never registered")

    async def lives(first: int) -> None:
        for seed in range(first, 60, 6):
            await until_done(seed)
            await agent.publish("create", status(seq=1), seed)
            await agent.publish("start", status(State.RUNNING, 2), seed)

    work = asyncio.gather(*(lives(first) for first in range(6)))
    for number in (0, 1, 0):
        await asyncio.sleep(0.05)
        copies[number].kill()
        await copies[number].start()
    await work
    await agent.stored()
    assert {one.id: one.status.seq for one in await everything(bus)} == {container_id(s): 2 for s in range(60)}
    await settled(bus, {container_id(seed) for seed in range(60)}, {f"box{seed}" for seed in range(60)})
    for _ in range(2):
        copies[0].kill()
        await copies[0].start()
        assert await seen_by_all(bus, "box7") == {2}


async def _noticed(bus: Bus) -> None:
    """What the server still hands to a copy that is dead, as it has not noticed, is not answered."""
    try:
        await get(bus, "box1")
    except SeawayError as error:
        if error.code is not Code.TIMEOUT:
            raise


async def test_all_copies_gone_and_back(bus: Bus, agent: Agent, copies: list[Copy]) -> None:
    await register(bus, 1)
    await agent.publish("create", status(seq=1))
    await register(bus, 2)
    for copy in copies:
        copy.kill()
    with pytest.raises(SeawayError, match="the metadata service is not there") as caught:
        while True:
            await _noticed(bus)
    assert caught.value.code == Code.UNAVAILABLE
    await agent.publish("start", status(State.RUNNING, 2))
    await agent.publish("create", status(seq=1), 2)
    await asyncio.gather(*(copy.start() for copy in copies))
    await agent.stored()
    assert await seen_by_all(bus, "box1") == {2}
    assert await seen_by_all(bus, "box2") == {1}
    assert [copy.stop() for copy in copies] == [0, 0]


async def test_nats_restarts(nats: NatsServer, bus: Bus, agent: Agent, copies: list[Copy]) -> None:
    await register(bus, 1)
    await agent.publish("create", status(seq=1))
    await register(bus, 2)
    nats.kill()
    await until(lambda: not bus.connected)
    nats.start()
    await until(lambda: bus.connected)
    await agent.publish("start", status(State.RUNNING, 2))
    await agent.publish("create", status(seq=1), 2)

    async def right() -> bool:
        try:
            return await seen_by_all(bus, "box1") == {2} and await seen_by_all(bus, "box2") == {1}
        except SeawayError:
            return False

    for _ in range(100):
        if await right():
            break
        await asyncio.sleep(0.05)
    assert await right()
    await register(bus, 3)


async def test_wiped_buckets_and_stream_are_rebuilt_from_inventories(
    nats: NatsServer, bus: Bus, connect_bus: Connect, copies: list[Copy]
) -> None:
    for copy in copies:
        copy.kill()
    for name in (EVENT_STREAM.name, *(f"KV_{bucket.name}" for bucket in BUCKETS)):
        await bus.transport.request(f"$JS.API.STREAM.DELETE.{name}", b"", {}, 5)
    await asyncio.gather(*(copy.start() for copy in copies))
    node = await Node(await connect_bus()).serve()
    assert await everything(bus) == []
    await node.bus.publish(BEAT, beat("n1", epoch="e1"), node="n1")
    ids = {container_id(seed) for seed in range(25)}
    await settled(bus, ids, {f"box{seed}" for seed in range(25)})
    for _ in range(10):
        assert {one.id for one in await everything(bus)} == ids
    with pytest.raises(SeawayError, match='name "/box3" is already in use'):
        await register(bus, 99, "box3")


async def test_buckets_wiped_under_running_copies_are_written_again(bus: Bus, agent: Agent, copies: list[Copy]) -> None:
    for seed in range(5):
        await register(bus, seed)
        await agent.publish("create", status(seq=1), seed)
    ids, names = {container_id(seed) for seed in range(5)}, {f"box{seed}" for seed in range(5)}
    await settled(bus, ids, names)
    assert [{one.id for one in await everything(bus)} for _ in range(20)] == [ids] * 20, "every copy knows them"
    for bucket in (CONTAINERS_BUCKET, NAMES_BUCKET):
        await bus.transport.request(f"$JS.API.STREAM.DELETE.KV_{bucket.name}", b"", {}, 5)
    with pytest.raises(SeawayError) as caught:
        await register(bus, 7)
    assert caught.value.retryable
    for _ in range(100):
        try:
            await register(bus, 7)
            break
        except SeawayError as error:
            assert error.retryable
            await asyncio.sleep(0.02)
    await settled(bus, ids | {container_id(7)}, names | {"box7"})


async def test_a_node_that_goes_silent_is_told_of_once(bus: Bus, agent: Agent, copies: list[Copy]) -> None:
    heard: list[Event] = []
    tasks = Tasks("test")
    await EventFeed(bus.transport, heard.append, tasks).start()
    for number in range(3):
        await agent.beat(time_ns=number, interval_ns=100_000_000)
    await until(lambda: len(heard) == 2, what="join and down")
    await agent.beat(time_ns=9)
    await until(lambda: len(heard) == 3)
    assert [event.envelope.action for event in heard] == ["join", "down", "up"]
    stored = [event.envelope.action async for event in history(bus.transport, start_ns=0)]
    assert stored == ["join", "down", "up"]
    (known,) = (await bus.call(LIST_NODES, Empty())).nodes
    assert (known.node, known.state) == ("n1", "up")
    await tasks.close()


async def test_a_listing_of_many_pages(bus: Bus, agent: Agent, copies: list[Copy]) -> None:
    """A page stays below what the bus takes."""
    big = "x" * 20_000
    for seed in range(120):
        await register(bus, seed, labels={"big": big})
        await agent.publish("create", status(seq=1), seed)
    first = await bus.call(LIST_CONTAINERS, ListContainers())
    assert first.next and len(first.containers) > 40
    assert [one.id for one in await everything(bus)] == [container_id(seed) for seed in range(119, -1, -1)]
