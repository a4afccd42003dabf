"""One copy of metadata on the in-memory bus."""

import asyncio
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.seaway_metadata.rig import Node, known, publish, ref, register

from seaway_bus import feed as feed_module
from seaway_bus.bus import Bus, Command
from seaway_bus.events import Event
from seaway_bus.feed import EventFeed
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import (
    BEAT,
    CONTAINERS_BUCKET,
    EVENT_STREAM,
    FORGET,
    GET_CONTAINER,
    LIST_CONTAINERS,
    LIST_NODES,
    NAMES_BUCKET,
    REGISTER,
    RENAME,
    RESOLVE,
    event_channel,
)
from seaway_contracts.commands import InventoryItem, RenameContainer
from seaway_contracts.containers import State
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.records import GONE, ForgetContainer, ListContainers, RegisterContainer, ResolveContainer
from seaway_kit.tasks import Tasks
from seaway_metadata.main import main
from seaway_metadata.service import Metadata, running
from seaway_metadata.settings import MetadataSettings
from seaway_metadata.store import freshness as freshness_module
from seaway_metadata.store.stored import HORIZON_KEY, Horizon, encode
from seaway_testing.builders import beat, container_event, container_id, record, spec, status
from seaway_testing.fake_transport import FakeServer, FakeTransport
from seaway_testing.waiting import until


async def test_a_container_from_registration_to_its_end(metadata: Metadata, fake_bus: Bus) -> None:
    await register(fake_bus, 1)
    assert (await fake_bus.call(GET_CONTAINER, ref("box1"))).status.seq == 0
    assert (await fake_bus.call(LIST_CONTAINERS, ListContainers())).containers == ()
    await publish(fake_bus, "create", status(State.CREATED, 1))
    assert (await fake_bus.call(GET_CONTAINER, ref("box1"))).status.seq == 1
    await publish(fake_bus, "start", status(State.RUNNING, 2, pid=5))
    await publish(fake_bus, "die", status(State.EXITED, 3, exit_code=4))
    found = await fake_bus.call(GET_CONTAINER, ref(container_id(1)[:12]))
    assert (found.spec, found.node, found.status) == (spec(1), "n1", status(State.EXITED, 3, exit_code=4))
    where = await fake_bus.call(RESOLVE, ref("/box1"))
    assert (where.id, where.node, where.name) == (container_id(1), "n1", "box1")
    await publish(fake_bus, "destroy", status(State.REMOVING, 4))
    for text in ("box1", container_id(1)):
        with pytest.raises(SeawayError, match=f"No such container: {text}"):
            await fake_bus.call(GET_CONTAINER, ref(text))


async def test_events_twice_and_in_any_order_come_to_the_same(
    metadata: Metadata, fake_bus: Bus, fake_server: FakeServer
) -> None:
    """What comes before its container's `create` is asked of the node, at its next beat."""
    life = {"create": State.CREATED, "start": State.RUNNING, "die": State.EXITED, "destroy": State.REMOVING}
    orders = [order for length in (3, 4) for order in itertools.permutations(list(life)[:length])]
    stay = {container_id(seed): spec(seed) for seed, order in enumerate(orders) if "destroy" not in order}
    node, ended = await Node(fake_bus).serve(), status(State.EXITED, 3)
    await node.beat()
    await until(lambda: node.asked)
    node.items = [InventoryItem(spec=one, status=ended) for one in stay.values()]
    for seed, order in enumerate(orders):
        await register(fake_bus, seed)
        fake_server.deliver_twice = True
        for action in order:
            await publish(fake_bus, action, status(life[action], list(life).index(action) + 1), seed)
        fake_server.deliver_twice = False
    await known(metadata)
    await node.beat()
    await until(lambda: [one.status for one in metadata.containers.view.index] == [ended] * len(stay))
    listed = (await fake_bus.call(LIST_CONTAINERS, ListContainers(all=True))).containers
    assert {one.id: (one.spec, one.status) for one in listed} == {key: (one, ended) for key, one in stay.items()}


async def test_a_read_right_after_a_lost_connection_sees_what_was_missed(metadata: Metadata, fake_bus: Bus) -> None:
    await publish(fake_bus, "create", status(State.CREATED, 1), 1)
    await publish(fake_bus, "create", status(State.CREATED, 1), 2)
    for seq in range(2, 6):
        metadata._bus.transport.cut()  # type: ignore[attr-defined]
        await publish(fake_bus, "start", status(State.RUNNING, seq), 1)
        metadata._bus.transport.mend()  # type: ignore[attr-defined]
        assert (await fake_bus.call(GET_CONTAINER, ref("box1"))).status.seq == seq
        metadata._bus.transport.cut()  # type: ignore[attr-defined]
        await publish(fake_bus, "start", status(State.RUNNING, seq), 2)
        metadata._bus.transport.mend()  # type: ignore[attr-defined]
        assert {one.status.seq for one in (await fake_bus.call(LIST_CONTAINERS, ListContainers())).containers} == {seq}


async def test_where_the_stream_cannot_be_read_the_nodes_tell_what_was_missed(
    metadata: Metadata, fake_bus: Bus, fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what comes live is seen at once."""
    monkeypatch.setattr(feed_module, "_CURRENT_S", 0.05)
    node = await Node(fake_bus).serve()
    await publish(fake_bus, "create", status(State.CREATED, 1), 1)
    node.holds(1, seq=1)
    await node.beat()
    await until(lambda: node.asked)
    metadata._bus.transport.cut()  # type: ignore[attr-defined]
    await publish(fake_bus, "start", status(State.RUNNING, 2), 1)
    node.holds(1, 2)
    fake_server.leaderless.add(EVENT_STREAM.name)
    metadata._bus.transport.mend()  # type: ignore[attr-defined]
    asking = asyncio.ensure_future(fake_bus.call(GET_CONTAINER, ref("box1")))
    await fake_bus.transport.flush()
    await node.beat()
    assert (await asking).status.seq == 2
    assert (await fake_bus.call(GET_CONTAINER, ref("box2"))).status.seq == 2

    envelope, event = container_event("die", status(State.EXITED, 3))
    channel = event_channel("container", "die")
    subject = channel.told_subject("n1", envelope.subject_id)
    await fake_bus.transport.publish(subject, channel.encode(event), envelope.headers())
    assert (await fake_bus.call(GET_CONTAINER, ref("box1"))).status.seq == 3


async def test_a_read_waits_for_what_its_asker_knows_of(metadata: Metadata, fake_bus: Bus) -> None:
    """With several NATS servers an event may be behind a request that was sent after it."""
    await publish(fake_bus, "create", status(State.CREATED, 1))
    identifier = container_id(1)
    later: list[asyncio.Future[Any]] = [
        asyncio.ensure_future(fake_bus.call(GET_CONTAINER, ResolveContainer(ref="box1", basis={identifier: 2}))),
        asyncio.ensure_future(fake_bus.call(LIST_CONTAINERS, ListContainers(basis={identifier: GONE}))),
        asyncio.ensure_future(fake_bus.call(LIST_CONTAINERS, ListContainers(basis={container_id(2): 1}))),
    ]
    await known(metadata)
    assert not any(one.done() for one in later)
    await publish(fake_bus, "start", status(State.RUNNING, 2))
    assert (await later[0]).status.state is State.RUNNING
    await publish(fake_bus, "create", status(State.CREATED, 1), 2)
    assert len((await later[2]).containers) == 2
    await publish(fake_bus, "destroy", status(seq=3))
    assert [one.id for one in (await later[1]).containers] == [container_id(2)]


async def test_what_does_not_come_is_asked_of_the_node(
    metadata: Metadata, fake_bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its event is on its way, or it was missed with a connection."""
    monkeypatch.setattr(freshness_module, "_BASIS_S", 0.05)
    await register(fake_bus, 3)
    for seed in (1, 2):
        await publish(fake_bus, "create", status(State.CREATED, 1), seed)
    node = await Node(fake_bus).serve()
    node.holds(1, 3)
    basis = {container_id(1): 2, container_id(2): GONE, container_id(3): 2}
    listed = (await fake_bus.call(LIST_CONTAINERS, ListContainers(all=True, basis=basis))).containers
    assert {(one.id, one.status.seq) for one in listed} == {(container_id(1), 2), (container_id(3), 2)}
    assert node.asked == 1


@pytest.mark.parametrize("action", ["rename", "update"])
async def test_a_change_of_a_spec_that_was_told_to_nobody_here_is_asked_of_the_node(
    metadata: Metadata, fake_bus: Bus, action: str
) -> None:
    """A copy that was killed has heard it; the stream has only what is public."""
    await publish(fake_bus, "create", status(State.CREATED, 1))
    node = await Node(fake_bus).serve()
    changed = spec(1, name="new", labels={"changed": "yes"})
    node.items = [InventoryItem(spec=changed, status=status(State.CREATED, 2))]
    envelope, body = container_event(action, status(State.CREATED, 2))
    channel = event_channel("container", action)
    data = channel.published(body.model_dump())
    await fake_bus.transport.store(channel.subject("n1", envelope.subject_id), data, envelope.headers())
    await known(metadata)
    request = ResolveContainer(ref=container_id(1), basis={container_id(1): 2})
    found = await asyncio.gather(*(fake_bus.call(GET_CONTAINER, request) for _ in range(3)))
    assert [one.spec for one in found] == [changed] * 3
    assert node.asked == 1


async def test_what_never_comes_is_waited_for_a_moment_only(
    metadata: Metadata, fake_bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freshness_module, "_BASIS_S", 0.05)
    await publish(fake_bus, "create", status(State.CREATED, 1))
    found = await fake_bus.call(GET_CONTAINER, ResolveContainer(ref="box1", basis={container_id(1): 9}))
    assert found.status.seq == 1


@pytest.mark.parametrize(("seed", "seq", "what"), [(1, GONE, "removed"), (2, 1, "made")])
async def test_what_is_there_or_gone_is_not_told_otherwise(
    metadata: Metadata, fake_bus: Bus, monkeypatch: pytest.MonkeyPatch, seed: int, seq: int, what: str
) -> None:
    """Its node can't be asked just now."""
    monkeypatch.setattr(freshness_module, "_BASIS_S", 0.05)
    await publish(fake_bus, "create", status(State.CREATED, 1))
    with pytest.raises(SeawayError, match=f"{container_id(seed)[:12]} was {what}; try again") as caught:
        await fake_bus.call(LIST_CONTAINERS, ListContainers(basis={container_id(seed): seq}))
    assert caught.value.code is Code.UNAVAILABLE


async def test_a_name_is_free_right_after_destroy(metadata: Metadata, fake_bus: Bus) -> None:
    for seed in range(5):
        await register(fake_bus, seed, name="web")
        await publish(fake_bus, "create", status(seq=1), seed)
        await publish(fake_bus, "destroy", status(seq=2), seed)


async def test_statuses_are_written_behind(metadata: Metadata, fake_bus: Bus, fake_server: FakeServer) -> None:
    await register(fake_bus, 1)
    for seq in range(1, 20):
        await publish(fake_bus, "create" if seq == 1 else "status", status(seq=seq))
    containers = fake_server.buckets[CONTAINERS_BUCKET.name].entries
    await until(lambda: b'"seq":19' in containers[container_id(1)].value)
    assert containers[container_id(1)].revision <= 4, "many changes become few writes"
    await publish(fake_bus, "destroy", status(seq=20))
    await until(lambda: container_id(1) not in containers)
    await until(lambda: fake_server.buckets[NAMES_BUCKET.name].entries == {})  # its name goes after its record


async def test_a_record_that_is_too_large_holds_up_no_other(
    metadata: Metadata, fake_bus: Bus, fake_server: FakeServer
) -> None:
    metadata.containers.view.load(record(1))
    metadata.containers.view.apply(
        *container_event("create", status(seq=1, error="x" * fake_server.max_payload), seed=1)
    )
    for seed in range(2, 40):
        await publish(fake_bus, "create", status(seq=1), seed)
    kept = fake_server.buckets[CONTAINERS_BUCKET.name].entries
    await until(lambda: {container_id(seed) for seed in range(2, 40)} <= kept.keys())
    for seed in itertools.count(40):
        if HORIZON_KEY in kept:  # written with what is written next
            break
        await publish(fake_bus, "create", status(seq=1), seed)
        await until(lambda: container_id(seed) in kept)  # noqa: B023
    assert container_id(1) not in kept
    assert metadata.containers.view.index.get(container_id(1)) is not None


async def test_forget(metadata: Metadata, fake_bus: Bus) -> None:
    await register(fake_bus, 1)
    await fake_bus.call(FORGET, ForgetContainer(id=container_id(1)))
    await fake_bus.call(FORGET, ForgetContainer(id=container_id(1)))
    await register(fake_bus, 2, name="box1")
    await publish(fake_bus, "create", status(seq=1), 2)
    with pytest.raises(SeawayError) as caught:
        await fake_bus.call(FORGET, ForgetContainer(id=container_id(2)))
    assert caught.value.code == Code.CONFLICT


async def test_the_stream_brings_registrations_to_what_became_of_them(
    fake_bus: Bus, fake_server: FakeServer, tmp_path: Path
) -> None:
    for seed in range(10):
        await publish(fake_bus, "create", status(seq=1), seed)
        await publish(fake_bus, "start", status(State.RUNNING, 2), seed)
    await publish(fake_bus, "destroy", status(seq=3), 0)
    async with running(fake_bus, Tasks("metadata"), MetadataSettings(root=tmp_path)):
        found = await fake_bus.call(LIST_CONTAINERS, ListContainers())
        assert [one.id for one in found.containers] == [container_id(seed) for seed in range(9, 0, -1)]
        assert {one.status.state for one in found.containers} == {State.RUNNING}
        await until(lambda: len(fake_server.buckets[NAMES_BUCKET.name].entries) == 9)
        with pytest.raises(SeawayError, match='name "/box3" is already in use'):
            await register(fake_bus, 99, name="box3")


async def test_a_restart_takes_up_where_it_was(fake_bus: Bus, fake_server: FakeServer, tmp_path: Path) -> None:
    settings = MetadataSettings(root=tmp_path)
    async with running(Bus(FakeTransport(fake_server)), Tasks("first"), settings):
        for seed in range(3):
            await register(fake_bus, seed)
            await publish(fake_bus, "create", status(seq=1), seed)
    await publish(fake_bus, "start", status(State.RUNNING, 2), 1)
    await publish(fake_bus, "destroy", status(seq=2), 2)
    for stream in fake_server.streams.values():
        stream.messages = stream.messages[-2:]  # the past is not needed: it is in the bucket
    bus = Bus(FakeTransport(fake_server))
    async with running(bus, Tasks("second"), settings):
        found = await bus.call(LIST_CONTAINERS, ListContainers())
        assert [(one.id, one.status.seq) for one in found.containers] == [(container_id(1), 2), (container_id(0), 1)]


async def test_after_a_restart_an_asker_who_knew_of_a_container_that_was_removed_is_not_kept_waiting(
    fake_bus: Bus, fake_server: FakeServer, tmp_path: Path
) -> None:
    settings = MetadataSettings(root=tmp_path)
    async with running(Bus(FakeTransport(fake_server)), Tasks("first"), settings):
        await register(fake_bus, 1)
        await publish(fake_bus, "create", status(seq=1), 1)
        await publish(fake_bus, "destroy", status(seq=2), 1)
        await until(lambda: container_id(1) not in fake_server.buckets[CONTAINERS_BUCKET.name].entries)
    horizon = await fake_bus.transport.last_sequence(EVENT_STREAM.name)
    fake_server.buckets[CONTAINERS_BUCKET.name].write(HORIZON_KEY, encode(Horizon(seq=horizon)), None)
    async with running(Bus(FakeTransport(fake_server)), Tasks("second"), settings) as metadata:
        with pytest.raises(SeawayError) as caught:  # UNAVAILABLE, if it were waited for
            await metadata.commands.get(ResolveContainer(ref="box1", basis={container_id(1): 1}), Command.new())
        assert caught.value.code is Code.NOT_FOUND


@pytest.mark.parametrize("told", [False, True])
async def test_what_comes_back_into_a_bucket_with_a_killed_server_has_ended_all_the_same(
    fake_bus: Bus, fake_server: FakeServer, tmp_path: Path, told: bool
) -> None:
    """As it was registered, or with a status of before its end; the horizon is behind both."""
    settings = MetadataSettings(root=tmp_path)
    containers = fake_server.buckets[CONTAINERS_BUCKET.name].entries
    async with running(Bus(FakeTransport(fake_server)), Tasks("first"), settings):
        await register(fake_bus, 1)
        before = containers[container_id(1)]
        await publish(fake_bus, "create", status(seq=1), 1)
        if told:
            await until(lambda: containers[container_id(1)] != before)
            before = containers[container_id(1)]
        await publish(fake_bus, "destroy", status(seq=2), 1)
        await until(lambda: container_id(1) not in containers)
        horizon = await fake_bus.transport.last_sequence(EVENT_STREAM.name)
    fake_server.buckets[CONTAINERS_BUCKET.name].write(HORIZON_KEY, encode(Horizon(seq=horizon)), None)
    containers[container_id(1)] = before
    bus = Bus(FakeTransport(fake_server))
    async with running(bus, Tasks("second"), settings) as metadata:
        with pytest.raises(SeawayError) as caught:
            await metadata.commands.get(ref(container_id(1)), Command.new())
        assert caught.value.code is Code.NOT_FOUND
        await until(lambda: container_id(1) not in containers)


async def test_wiped_buckets_are_written_again(metadata: Metadata, fake_bus: Bus, fake_server: FakeServer) -> None:
    for seed in range(3):
        await publish(fake_bus, "create", status(seq=1), seed)
    containers = fake_server.buckets[CONTAINERS_BUCKET.name].entries
    await until(lambda: all(b'"seq":1' in containers[container_id(seed)].value for seed in range(3)))
    fake_server.stop()
    fake_server.wipe()
    fake_server.start()
    entries = fake_server.buckets[CONTAINERS_BUCKET.name].entries
    await until(lambda: {container_id(seed) for seed in range(3)} <= set(entries))
    await until(lambda: len(fake_server.buckets[NAMES_BUCKET.name].entries) == 3)


async def test_a_name_is_its_containers_though_the_buckets_were_lost(
    metadata: Metadata, fake_bus: Bus, fake_server: FakeServer
) -> None:
    """Before they are written again, which takes a moment."""
    for seed in (1, 2):
        await publish(fake_bus, "create", status(seq=1), seed)
    names = fake_server.buckets[NAMES_BUCKET.name]
    await until(lambda: len(names.entries) == 2)
    names.entries.clear()
    with pytest.raises(SeawayError, match='name "/box1" is already in use'):
        await register(fake_bus, 9, name="box1")
    with pytest.raises(SeawayError, match='name "/box2" is already in use'):
        await fake_bus.call(RENAME, RenameContainer(id=container_id(1), name="box2"))
    assert len(names.entries) == 2
    await register(fake_bus, 9)


async def test_a_name_that_another_copy_has_freed_is_waited_for(
    metadata: Metadata, fake_bus: Bus, fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits, wait = asyncio.Event(), metadata.containers.freshness.until

    async def waited(holds: Callable[[], bool]) -> None:
        waits.set()
        await wait(holds)

    monkeypatch.setattr(metadata.containers.freshness, "until", waited)
    await publish(fake_bus, "create", status(seq=1), 1)
    names = fake_server.buckets[NAMES_BUCKET.name]
    await until(lambda: len(names.entries) == 1)
    names.entries.clear()
    registering = asyncio.ensure_future(register(fake_bus, 9, name="box1"))
    await waits.wait()
    await publish(fake_bus, "destroy", status(seq=2), 1)
    await registering


async def test_an_empty_handed_copy_asks_the_nodes_before_it_gives_names(
    fake_bus: Bus, fake_server: FakeServer, tmp_path: Path
) -> None:
    node = await Node(fake_bus).serve()
    node.items = [InventoryItem(spec=spec(1), status=status(State.EXITED, 3))]
    async with running(Bus(FakeTransport(fake_server)), Tasks("m"), MetadataSettings(root=tmp_path)):
        node.gate.clear()
        await node.beat()
        registering = asyncio.ensure_future(register(fake_bus, 9, name="box1"))
        await until(lambda: node.asked)
        node.gate.set()
        with pytest.raises(SeawayError, match='name "/box1" is already in use'):
            await registering


async def test_the_bus_is_away(metadata: Metadata, fake_server: FakeServer) -> None:
    fake_server.stop()
    for call in (
        metadata.commands.register(RegisterContainer(spec=spec(1), node="n1"), Command.new()),
        metadata.commands.forget(ForgetContainer(id=container_id(1)), Command.new()),
        metadata.commands.get(ref("unknown"), Command.new()),
    ):
        with pytest.raises(SeawayError) as caught:
            await call
        assert caught.value.code == Code.UNAVAILABLE
    fake_server.start()


# --- nodes and inventories


async def test_nodes_join_and_are_remembered(fake_bus: Bus, fake_server: FakeServer, tmp_path: Path) -> None:
    heard: list[Event] = []
    tasks = Tasks("test")
    await EventFeed(fake_bus.transport, heard.append, tasks).start()
    settings = MetadataSettings(root=tmp_path)
    async with running(Bus(FakeTransport(fake_server)), Tasks("first"), settings):
        await fake_bus.publish(BEAT, beat("n1"), node="n1")
        await until(lambda: [event.envelope.action for event in heard] == ["join"])
        (node,) = (await fake_bus.call(LIST_NODES, Empty())).nodes
        assert (node.node, node.state) == ("n1", "up")
        await until(lambda: fake_server.buckets["seaway_nodes"].entries)
    bus = Bus(FakeTransport(fake_server))
    async with running(bus, Tasks("second"), settings):
        assert [one.node for one in (await bus.call(LIST_NODES, Empty())).nodes] == ["n1"]
        await fake_bus.publish(BEAT, beat("n1"), node="n1")
        await fake_bus.transport.flush()
    assert len(heard) == 1
    await tasks.close()


def test_wrong_settings_end_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--replicas", "many"])
    assert caught.value.code == 2
    assert "--replicas" in capsys.readouterr().err


async def test_an_old_name_is_not_found_though_it_still_stands_in_the_bucket(
    metadata: Metadata, fake_bus: Bus, fake_server: FakeServer
) -> None:
    """The name is freed, and the record written, a moment after the rename is answered."""
    await register(fake_bus, 1)
    await publish(fake_bus, "create", status(seq=1))
    names = fake_server.buckets[NAMES_BUCKET.name]
    entry = dict(names.entries)
    envelope, body = container_event("rename", status(seq=2))
    metadata.containers.view.apply(envelope, body.model_copy(update={"spec": spec(1, name="moved")}))
    names.entries.update(entry)
    assert (await fake_bus.call(GET_CONTAINER, ref("moved"))).id == container_id(1)
    with pytest.raises(SeawayError, match="No such container: box1"):
        await fake_bus.call(GET_CONTAINER, ref("box1"))


async def test_a_container_that_one_node_has_refused_is_registered_for_another(
    metadata: Metadata, fake_bus: Bus
) -> None:
    for node in ("n1", "n2"):
        await fake_bus.call(REGISTER, RegisterContainer(spec=spec(1), node=node))
        assert (await fake_bus.call(RESOLVE, ref("box1"))).node == node
        await fake_bus.call(FORGET, ForgetContainer(id=container_id(1), name="box1"))
    await fake_bus.call(REGISTER, RegisterContainer(spec=spec(1), node="n2"))
    await publish(fake_bus, "create", status(seq=1), 1, node="n2")
    await known(metadata)
    assert (await fake_bus.call(GET_CONTAINER, ref("box1"))).node == "n2"
