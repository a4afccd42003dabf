"""Metadata's processes on a real nats-server: two copies at once, killed and started again."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.integration.metadata.rig import (
    Connect,
    Copy,
    Node,
    everything,
    get,
    publish,
    register,
    running,
    seen_by_all,
    settled,
)

from seaway_bus.bus import Bus
from seaway_bus.feed import Event, EventFeed, history
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import (
    BEAT,
    BUCKETS,
    CONTAINERS_BUCKET,
    EVENT_STREAM,
    LIST_CONTAINERS,
    LIST_NODES,
    NAMES_BUCKET,
    event_channel,
)
from seaway_contracts.commands import (
    ListContainers,
)
from seaway_contracts.containers import State
from seaway_contracts.errors import Code, SeawayError
from seaway_kit.tasks import Tasks
from seaway_testing.builders import beat, container_event, container_id, status
from seaway_testing.nats_server import NatsServer
from seaway_testing.waiting import until


@pytest.fixture
async def bus(connect_bus: Connect) -> Bus:
    return await connect_bus()


@pytest.fixture
async def copies(nats: NatsServer, bus: Bus, tmp_path: Path) -> AsyncIterator[list[Copy]]:
    made = [Copy(nats, tmp_path, number) for number in (1, 2)]
    async with running(made) as copies:
        yield copies


async def test_every_copy_sees_what_was_done(bus: Bus, copies: list[Copy]) -> None:
    for seed in range(20):
        await register(bus, seed)
        assert await seen_by_all(bus, f"box{seed}") == {0}
        await publish(bus, "create", status(seq=1), seed)
        assert await seen_by_all(bus, container_id(seed)) == {1}
    await publish(bus, "start", status(State.RUNNING, 2), 3)
    assert await seen_by_all(bus, "box3") == {2}
    listed = [[one.id for one in await everything(bus)] for _ in range(10)]
    assert listed == [[container_id(seed) for seed in range(19, -1, -1)]] * 10


async def test_repeats_and_disorder(bus: Bus, copies: list[Copy]) -> None:
    await publish(bus, "create", status(seq=1))
    for seq in (4, 2, 3, 2, 4, 1):
        await publish(bus, "status", status(State.RUNNING, seq, exit_code=seq))
        await publish(bus, "status", status(State.RUNNING, seq), event_id=f"another-{seq}")
    assert await seen_by_all(bus, "box1") == {4}
    await publish(bus, "destroy", status(seq=5))
    await publish(bus, "create", status(seq=1), event_id="late")
    await publish(bus, "status", status(seq=6))
    for _ in range(20):
        with pytest.raises(SeawayError, match="No such container"):
            await get(bus, "box1")
    await settled(bus, set(), set())


async def test_a_name_is_reused_right_after_destroy(bus: Bus, copies: list[Copy]) -> None:
    for seed in range(30):
        await register(bus, seed, "web")
        with pytest.raises(SeawayError, match='name "/web" is already in use') as caught:
            await register(bus, 1000 + seed, "web")
        assert caught.value.code == Code.CONFLICT
        await publish(bus, "create", status(seq=1), seed)
        await publish(bus, "destroy", status(seq=2), seed)
    await register(bus, 99, "web")
    await settled(bus, {container_id(99)}, {"web"})


async def test_killed_during_registrations(bus: Bus, copies: list[Copy]) -> None:
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
            await publish(bus, "create", status(seq=1), seed)
            await publish(bus, "start", status(State.RUNNING, 2), seed)

    work = asyncio.gather(*(lives(first) for first in range(6)))
    for number in (0, 1, 0):
        await asyncio.sleep(0.05)
        copies[number].kill()
        await copies[number].start()
    await work
    assert {one.id: one.status.seq for one in await everything(bus)} == {container_id(s): 2 for s in range(60)}
    await settled(bus, {container_id(seed) for seed in range(60)}, {f"box{seed}" for seed in range(60)})
    for _ in range(2):
        copies[0].kill()
        await copies[0].start()
        assert await seen_by_all(bus, "box7") == {2}


async def test_all_copies_gone_and_back(bus: Bus, copies: list[Copy]) -> None:
    await register(bus, 1)
    await publish(bus, "create", status(seq=1))
    for copy in copies:
        copy.kill()
    with pytest.raises(SeawayError, match="the metadata service is not there") as caught:
        await get(bus, "box1")
    assert caught.value.code == Code.UNAVAILABLE
    await publish(bus, "start", status(State.RUNNING, 2))
    await publish(bus, "create", status(seq=1), 2)
    await asyncio.gather(*(copy.start() for copy in copies))
    assert await seen_by_all(bus, "box1") == {2}
    assert await seen_by_all(bus, "box2") == {1}
    assert [copy.stop() for copy in copies] == [0, 0]


async def test_nats_restarts(nats: NatsServer, bus: Bus, copies: list[Copy]) -> None:
    await register(bus, 1)
    await publish(bus, "create", status(seq=1))
    nats.kill()
    await until(lambda: not bus.connected)
    nats.start()
    await until(lambda: bus.connected)
    await publish(bus, "start", status(State.RUNNING, 2))
    await publish(bus, "create", status(seq=1), 2)

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
    await node.bus.beat(BEAT, "n1", beat("n1", epoch="e1"))
    ids = {container_id(seed) for seed in range(25)}
    await settled(bus, ids, {f"box{seed}" for seed in range(25)})
    for _ in range(10):
        assert {one.id for one in await everything(bus)} == ids
    with pytest.raises(SeawayError, match='name "/box3" is already in use'):
        await register(bus, 99, "box3")


async def test_buckets_wiped_under_running_copies_are_written_again(bus: Bus, copies: list[Copy]) -> None:
    for seed in range(5):
        await register(bus, seed)
        await publish(bus, "create", status(seq=1), seed)
    ids, names = {container_id(seed) for seed in range(5)}, {f"box{seed}" for seed in range(5)}
    await settled(bus, ids, names)
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


async def test_a_node_that_goes_silent_is_told_of_once(bus: Bus, copies: list[Copy]) -> None:
    heard: list[Event] = []
    tasks = Tasks("test")
    await EventFeed(bus.transport, heard.append, tasks).start()
    for number in range(3):
        await bus.beat(BEAT, "n1", beat("n1", time_ns=number, interval_ns=100_000_000))
    await until(lambda: len(heard) == 2, what="join and down")
    await bus.beat(BEAT, "n1", beat("n1", time_ns=9))
    await until(lambda: len(heard) == 3)
    assert [event.envelope.action for event in heard] == ["join", "down", "up"]
    stored = [event.envelope.action async for event in history(bus.transport, start_ns=0)]
    assert stored == ["join", "down", "up"]
    (known,) = (await bus.call(LIST_NODES, Empty())).nodes
    assert (known.node, known.state) == ("n1", "up")
    await tasks.close()


async def test_a_listing_of_many_pages(bus: Bus, copies: list[Copy]) -> None:
    """A page stays below what the bus takes."""
    big = "x" * 20_000
    for seed in range(120):
        envelope, body = container_event("create", status(seq=1), seed=seed)
        assert body.spec is not None
        body = body.model_copy(update={"spec": body.spec.model_copy(update={"labels": {"big": big}})})
        channel = event_channel("container", "create")
        await bus.transport.store(channel.subject("n1", envelope.subject_id), channel.encode(body), envelope.headers())
    first = await bus.call(LIST_CONTAINERS, ListContainers())
    assert first.next and len(first.containers) > 40
    assert [one.id for one in await everything(bus)] == [container_id(seed) for seed in range(119, -1, -1)]
