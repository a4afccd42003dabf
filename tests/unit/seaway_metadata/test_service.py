"""One copy of metadata on the in-memory bus."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from seaway_bus.bus import Bus, Command
from seaway_bus.feed import Event, EventFeed
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import (
    BEAT,
    CONTAINERS_BUCKET,
    CREATE,
    FORGET,
    GET_CONTAINER,
    INVENTORY,
    LIST_CONTAINERS,
    LIST_NODES,
    NAMES_BUCKET,
    REGISTER,
    REMOVE,
    RESOLVE,
    event_channel,
)
from seaway_contracts.commands import (
    GONE,
    CreateContainer,
    ForgetContainer,
    Inventory,
    InventoryItem,
    ListContainers,
    ListInventory,
    RegisterContainer,
    RemoveContainer,
    ResolveContainer,
    StatusReply,
)
from seaway_contracts.containers import ContainerStatus, State
from seaway_contracts.errors import Code, SeawayError, conflict, not_found, unavailable
from seaway_kit.tasks import Tasks
from seaway_metadata import service as service_module
from seaway_metadata.main import main
from seaway_metadata.service import Metadata, running
from seaway_metadata.settings import MetadataSettings
from seaway_metadata.stored import HORIZON_KEY
from seaway_testing.builders import beat, container_event, container_id, spec, status
from seaway_testing.fake_transport import FakeServer, FakeTransport
from seaway_testing.waiting import until


@pytest.fixture
async def metadata(fake_server: FakeServer, tmp_path: Path) -> AsyncIterator[Metadata]:
    bus = Bus(FakeTransport(fake_server))
    async with running(bus, Tasks("metadata"), MetadataSettings(root=tmp_path)) as service:
        yield service
    await bus.close()


async def publish(bus: Bus, action: str, body: ContainerStatus, seed: int = 1, node: str = "n1") -> None:
    envelope, event = container_event(action, body, seed=seed, node=node)
    channel = event_channel("container", action)
    await bus.transport.store(
        channel.subject(node, envelope.subject_id), channel.encode(event), envelope.headers()
    )


async def known(metadata: Metadata) -> None:
    """Until what has been published is applied."""
    await metadata._bus.transport.flush()
    await metadata._feed.current()


def ref(text: str) -> ResolveContainer:
    return ResolveContainer(ref=text)


async def register(bus: Bus, seed: int, **changes: str) -> None:
    await bus.call(REGISTER, RegisterContainer(spec=spec(seed, **changes), node="n1"))


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


async def test_a_read_right_after_a_lost_connection_sees_what_was_missed(
    metadata: Metadata, fake_bus: Bus
) -> None:
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


async def test_a_read_waits_for_what_its_asker_knows_of(metadata: Metadata, fake_bus: Bus) -> None:
    """With several NATS servers an event may be behind a request that was sent after it."""
    await publish(fake_bus, "create", status(State.CREATED, 1))
    identifier = container_id(1)
    later = [
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


async def test_what_never_comes_is_waited_for_a_moment_only(
    metadata: Metadata, fake_bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_module, "_BASIS_S", 0.05)
    await publish(fake_bus, "create", status(State.CREATED, 1))
    found = await fake_bus.call(GET_CONTAINER, ResolveContainer(ref="box1", basis={container_id(1): 9}))
    assert found.status.seq == 1


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
    assert fake_server.buckets[NAMES_BUCKET.name].entries == {}


async def test_a_record_that_is_too_large_holds_up_no_other(
    metadata: Metadata, fake_bus: Bus, fake_server: FakeServer
) -> None:
    metadata.view.apply(*container_event("create", status(seq=1, error="x" * fake_server.max_payload), seed=1))
    for seed in range(2, 40):
        await publish(fake_bus, "create", status(seq=1), seed)
    kept = fake_server.buckets[CONTAINERS_BUCKET.name].entries
    await until(lambda: {container_id(seed) for seed in range(2, 40)} <= kept.keys())
    await until(lambda: HORIZON_KEY in kept)
    assert container_id(1) not in kept
    assert metadata.view.index.get(container_id(1)) is not None


async def test_forget(metadata: Metadata, fake_bus: Bus) -> None:
    await register(fake_bus, 1)
    await fake_bus.call(FORGET, ForgetContainer(id=container_id(1)))
    await fake_bus.call(FORGET, ForgetContainer(id=container_id(1)))
    await register(fake_bus, 2, name="box1")
    await publish(fake_bus, "create", status(seq=1), 2)
    with pytest.raises(SeawayError) as caught:
        await fake_bus.call(FORGET, ForgetContainer(id=container_id(2)))
    assert caught.value.code == Code.CONFLICT


async def test_the_stream_alone_rebuilds_the_records(
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


async def test_wiped_buckets_are_written_again(metadata: Metadata, fake_bus: Bus, fake_server: FakeServer) -> None:
    for seed in range(3):
        await publish(fake_bus, "create", status(seq=1), seed)
    containers = fake_server.buckets[CONTAINERS_BUCKET.name].entries
    await until(lambda: {container_id(seed) for seed in range(3)} <= set(containers))
    fake_server.stop()
    fake_server.wipe()
    fake_server.start()
    entries = fake_server.buckets[CONTAINERS_BUCKET.name].entries
    await until(lambda: {container_id(seed) for seed in range(3)} <= set(entries))
    await until(lambda: len(fake_server.buckets[NAMES_BUCKET.name].entries) == 3)


async def test_the_bus_is_away(metadata: Metadata, fake_server: FakeServer) -> None:
    fake_server.stop()
    for call in (
        metadata.register(RegisterContainer(spec=spec(1), node="n1"), Command.new()),
        metadata.forget(ForgetContainer(id=container_id(1)), Command.new()),
        metadata.get(ref("unknown"), Command.new()),
    ):
        with pytest.raises(SeawayError) as caught:
            await call
        assert caught.value.code == Code.UNAVAILABLE
    fake_server.start()


# --- nodes and inventories


class Node:
    """A node's agent, as far as metadata meets it."""

    def __init__(self, bus: Bus, name: str = "n1") -> None:
        self.bus = bus
        self.name = name
        self.epoch = "e1"
        self.items: list[InventoryItem] = []
        self.asked = 0
        self.page = 2
        self.fails = 0
        self.forgetful = False
        self.made: list[CreateContainer] = []
        self.removed: list[RemoveContainer] = []
        self.refusal: SeawayError | None = None

    async def serve(self) -> "Node":
        await self.bus.serve(INVENTORY, self.inventory, node=self.name)
        await self.bus.serve(CREATE, self.create, node=self.name)
        await self.bus.serve(REMOVE, self.remove, node=self.name)
        return self

    async def remove(self, request: RemoveContainer, command: Command) -> StatusReply:
        self.removed.append(request)
        held = [item for item in self.items if item.spec.id == request.id]
        if not held:
            raise not_found("No such container")
        self.items.remove(held[0])
        envelope, event = container_event("destroy", status(seq=9), seed=held[0].spec.name.removeprefix("box"))
        channel = event_channel("container", "destroy")
        data = channel.encode(event)
        await self.bus.transport.store(channel.subject("n1", request.id), data, envelope.headers())
        return StatusReply(status=status(seq=9))

    async def create(self, request: CreateContainer, command: Command) -> StatusReply:
        self.made.append(request)
        if self.refusal is not None:
            raise self.refusal
        return StatusReply(status=status(State.EXITED, 9))

    async def inventory(self, request: ListInventory, command: Command) -> Inventory:
        self.asked += 1
        if self.fails:
            self.fails -= 1
            raise unavailable("the agent is busy")
        start = int(request.after or 0)
        end = start + self.page
        following = str(end) if end < len(self.items) else ""
        items = tuple(self.items[start:end])
        return Inventory(
            node=self.name,
            epoch=self.epoch,
            revision=1,
            containers=items,
            next=following,
            forgetful=self.forgetful,
        )

    async def beat(self) -> None:
        await self.bus.beat(BEAT, self.name, beat(self.name, epoch=self.epoch))

    def holds(self, *seeds: int, seq: int = 2) -> None:
        self.items = [InventoryItem(spec=spec(seed), status=status(State.RUNNING, seq)) for seed in seeds]


async def test_an_inventory_rebuilds_and_removes(metadata: Metadata, fake_bus: Bus) -> None:
    await publish(fake_bus, "create", status(seq=1), 1)
    await publish(fake_bus, "create", status(seq=1), 9)
    await publish(fake_bus, "create", status(seq=1), 8, node="n2")
    node = await Node(fake_bus).serve()
    await known(metadata)
    node.holds(1, 2, 3, 4, 5)
    await node.beat()
    await until(lambda: len(metadata.view.index) == 6)
    assert metadata.view.index.get(container_id(9)) is None
    assert metadata.view.index.get(container_id(8)) is not None, "another node's"
    first = metadata.view.index.get(container_id(1))
    assert first is not None and first.status.seq == 2
    asked = node.asked
    await node.beat()
    await fake_bus.transport.flush()
    assert node.asked == asked == 3


async def test_a_new_epoch_is_asked_again(metadata: Metadata, fake_bus: Bus) -> None:
    node = await Node(fake_bus).serve()
    node.holds(1)
    await node.beat()
    await until(lambda: len(metadata.view.index) == 1)
    node.epoch = "e2"
    node.holds()
    await node.beat()
    await until(lambda: len(metadata.view.index) == 0)


async def test_a_node_that_has_forgotten_a_container_is_told_to_make_it_again(
    metadata: Metadata, fake_bus: Bus
) -> None:
    """An acknowledged container outlives a power cut of its node."""
    await publish(fake_bus, "create", status(seq=1), 1)
    await publish(fake_bus, "start", status(State.RUNNING, 2, pid=5), 1)
    node = await Node(fake_bus).serve()
    node.forgetful = True
    await known(metadata)
    await node.beat()
    await until(lambda: node.made)
    assert node.made == [CreateContainer(spec=spec(1), former=status(State.RUNNING, 2, pid=5))]
    await publish(fake_bus, "die", status(State.EXITED, 3, exit_code=255), 1)
    await known(metadata)
    found = metadata.view.index.get(container_id(1))
    assert found is not None and found.status.exit_code == 255


@pytest.mark.parametrize(
    ("refusal", "asked", "kept"),
    [
        (not_found("no such image"), 1, False),
        (unavailable("the agent is being started anew"), 2, True),
        (conflict("events that tell of its end are on their way"), 2, True),
    ],
)
async def test_what_can_t_be_made_again_is_removed_unless_that_may_change(
    metadata: Metadata, fake_bus: Bus, refusal: SeawayError, asked: int, kept: bool
) -> None:
    await publish(fake_bus, "create", status(seq=1), 1)
    node = await Node(fake_bus).serve()
    node.forgetful, node.refusal = True, refusal
    await known(metadata)

    for times in range(1, asked + 1):
        await until(lambda: "n1" not in metadata._reconciler._epochs)
        await node.beat()
        await until(lambda: len(node.made) == times)  # noqa: B023
    if not kept:
        await until(lambda: metadata.view.index.get(container_id(1)) is None)
    assert (metadata.view.index.get(container_id(1)) is not None) == kept


async def test_two_agents_of_one_name_are_told_of(
    metadata: Metadata, fake_bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    for epoch in ("e1", "e2", "e3"):
        await fake_bus.beat(BEAT, "n1", beat("n1", epoch=epoch))
    await fake_bus.transport.flush()
    assert "two agents" not in caplog.text
    await fake_bus.beat(BEAT, "n1", beat("n1", epoch="e2"))
    await until(lambda: "two agents call themselves n1" in caplog.text)


async def test_a_node_that_cannot_answer_is_asked_at_its_next_beat(metadata: Metadata, fake_bus: Bus) -> None:
    node = await Node(fake_bus).serve()
    node.holds(1)
    node.fails = 1
    await publish(fake_bus, "create", status(seq=1), 2)
    await node.beat()
    await until(lambda: node.asked == 1)
    await fake_bus.transport.flush()
    assert metadata.view.index.get(container_id(2)) is not None, "no answer is no reason to remove anything"

    async def beaten() -> bool:
        await node.beat()
        return metadata.view.index.get(container_id(1)) is not None

    while not await beaten():
        await fake_bus.transport.flush()
    await until(lambda: metadata.view.index.get(container_id(2)) is None)


async def test_an_event_without_a_record_raises_doubt(metadata: Metadata, fake_bus: Bus) -> None:
    node = await Node(fake_bus).serve()
    await node.beat()
    await until(lambda: node.asked == 1)
    node.holds(5)
    await publish(fake_bus, "start", status(State.RUNNING, 2), 5)
    await known(metadata)
    await node.beat()
    await until(lambda: metadata.view.index.get(container_id(5)) is not None)


async def test_what_was_given_up_is_gone_for_whoever_asks(metadata: Metadata, fake_bus: Bus) -> None:
    await register(fake_bus, 1)
    await fake_bus.call(FORGET, ForgetContainer(id=container_id(1), unheard=True))
    for text in ("box1", container_id(1)):
        with pytest.raises(SeawayError) as caught:
            await fake_bus.call(GET_CONTAINER, ref(text))
        assert caught.value.code is Code.NOT_FOUND
    await register(fake_bus, 2, name="box1")
    assert (await fake_bus.call(RESOLVE, ref("box1"))).id == container_id(2)


@pytest.mark.parametrize("made", [True, False])
async def test_what_was_given_up_is_removed_when_its_node_is_back(
    metadata: Metadata, fake_bus: Bus, fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch, made: bool
) -> None:
    """Its copy of then may be gone: the next one knows it from the bucket."""
    monkeypatch.setattr(service_module, "_SWEEP_S", 0.01)
    kept = fake_server.buckets[CONTAINERS_BUCKET.name].entries
    await register(fake_bus, 1)
    await fake_bus.call(FORGET, ForgetContainer(id=container_id(1), unheard=True))
    metadata._registrations._discarded.clear()
    metadata._doubt.set()
    node = await Node(fake_bus).serve()
    if made:
        node.holds(1)
        await publish(fake_bus, "create", status(seq=1))
    await node.beat()
    await until(lambda: container_id(1) not in kept)
    assert [(request.id, request.force, request.volumes) for request in node.removed] == [(container_id(1), True, True)]
    await known(metadata)
    assert metadata.view.index.get(container_id(1)) is None


@pytest.mark.parametrize("state", [State.CREATED, State.RUNNING])
async def test_what_is_given_up_just_after_its_event_came_is_removed_unless_it_was_used(
    metadata: Metadata, fake_bus: Bus, monkeypatch: pytest.MonkeyPatch, state: State
) -> None:
    monkeypatch.setattr(service_module, "_SWEEP_S", 0.01)
    node = await Node(fake_bus).serve()
    node.holds(1)
    await register(fake_bus, 1)
    await publish(fake_bus, "create", status(state, seq=2))
    given_up = ForgetContainer(id=container_id(1), unheard=True)
    if state is State.RUNNING:
        with pytest.raises(SeawayError, match="was made"):
            await fake_bus.call(FORGET, given_up)
        return
    await fake_bus.call(FORGET, given_up)
    await node.beat()
    await until(lambda: metadata.view.index.get(container_id(1)) is None)


async def test_a_copy_that_hears_of_what_another_gave_up_has_it_removed(
    metadata: Metadata, fake_bus: Bus, fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_module, "_SWEEP_S", 0.01)
    await register(fake_bus, 1)
    await metadata._records.forget(container_id(1), unheard=True)
    node = await Node(fake_bus).serve()
    node.holds(1)
    await publish(fake_bus, "create", status(seq=1))
    await node.beat()
    await until(lambda: len(node.removed) == 1)
    await until(lambda: not fake_server.buckets[NAMES_BUCKET.name].entries)
    await known(metadata)
    assert metadata.view.index.get(container_id(1)) is None


async def test_nodes_join_and_are_remembered(fake_bus: Bus, fake_server: FakeServer, tmp_path: Path) -> None:
    heard: list[Event] = []
    tasks = Tasks("test")
    await EventFeed(fake_bus.transport, heard.append, tasks).start()
    settings = MetadataSettings(root=tmp_path)
    async with running(Bus(FakeTransport(fake_server)), Tasks("first"), settings):
        await fake_bus.beat(BEAT, "n1", beat("n1"))
        await until(lambda: [event.envelope.action for event in heard] == ["join"])
        (node,) = (await fake_bus.call(LIST_NODES, Empty())).nodes
        assert (node.node, node.state) == ("n1", "up")
        await until(lambda: fake_server.buckets["seaway_nodes"].entries)
    bus = Bus(FakeTransport(fake_server))
    async with running(bus, Tasks("second"), settings):
        assert [one.node for one in (await bus.call(LIST_NODES, Empty())).nodes] == ["n1"]
        await fake_bus.beat(BEAT, "n1", beat("n1"))
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
    metadata.view.apply(envelope, body.model_copy(update={"spec": spec(1, name="moved")}))
    names.entries.update(entry)
    assert (await fake_bus.call(GET_CONTAINER, ref("moved"))).id == container_id(1)
    with pytest.raises(SeawayError, match="No such container: box1"):
        await fake_bus.call(GET_CONTAINER, ref("box1"))
