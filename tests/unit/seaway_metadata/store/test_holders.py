"""Whose word of a container counts: what another copy has registered is looked up, what nobody has is asked for."""

from collections.abc import AsyncIterator

import pytest
from tests.unit.seaway_metadata.rig import Node, known, ref, register, registered

from seaway_bus.bus import Bus
from seaway_bus.judging import FOREIGN, Verdict
from seaway_bus.transport import NotConnected
from seaway_contracts.catalogue import GET_CONTAINER, event_channel
from seaway_contracts.containers import ContainerRecord, ContainerStatus, State
from seaway_contracts.lifecycle import public_body
from seaway_contracts.volumes import VolumeEvent
from seaway_kit.tasks import Tasks
from seaway_metadata.kinds.containers import CONTAINERS
from seaway_metadata.service import Metadata
from seaway_metadata.store.holders import RecordHolders
from seaway_metadata.store.records import Buckets, Records
from seaway_metadata.store.stored import encode
from seaway_metadata.store.view import View
from seaway_testing.builders import container_event, container_id, spec, status
from seaway_testing.fake_transport import FakeServer, FakeTransport
from seaway_testing.waiting import until


class Rig:
    """Holders over buckets into which other copies write."""

    def __init__(self, buckets: Buckets, tasks: Tasks) -> None:
        self.buckets = buckets
        self.view = View(CONTAINERS, lambda identifier: None)
        self.found: list[str] = []
        self.unclaimed: list[str] = []
        self.holders = RecordHolders(
            self.view, Records(CONTAINERS, buckets, self.view.destroyed), tasks, self.found.append
        )
        self.holders.unclaimed = self.unclaimed.append

    async def stored(self, seed: int, node: str = "n1", **changes: object) -> str:
        record = ContainerRecord(spec=spec(seed), node=node).model_copy(update=changes)
        await self.buckets.records.put(record.id, encode(record))
        return record.id


@pytest.fixture
def transport(fake_server: FakeServer) -> FakeTransport:
    return FakeTransport(fake_server)


@pytest.fixture
async def rig(fake_bus: Bus, transport: FakeTransport, tasks: Tasks) -> AsyncIterator[Rig]:
    yield Rig(await Buckets.open(transport, CONTAINERS), tasks)
    await transport.close()


# --- by themselves


async def test_what_is_in_memory_is_known_at_once(rig: Rig) -> None:
    rig.view.load(ContainerRecord(spec=spec(1), node="n1"))
    one = container_id(1)
    assert (rig.holders.verdict("n1", one), rig.holders.verdict("n2", one)) == (Verdict.OWN, Verdict.FOREIGN)
    rig.view.remove(one)
    assert rig.holders.verdict("n2", one) is Verdict.FOREIGN, "its node held it until its end"
    assert (await rig.holders.holder(one), rig.found) == ("n1", [])


@pytest.mark.parametrize("seq", [0, 5])
async def test_what_another_copy_has_registered_is_looked_up(rig: Rig, seq: int) -> None:
    one = await rig.stored(1, status=status(seq=seq))
    assert rig.holders.verdict("n2", one) is Verdict.UNKNOWN
    assert rig.holders.verdict("n1", one) is Verdict.UNKNOWN
    await rig.holders.settled()
    assert rig.found == [one], "two nodes that speak of it lead to one look"
    assert (rig.holders.verdict("n1", one), rig.holders.verdict("n2", one)) == (Verdict.OWN, Verdict.FOREIGN)
    record = rig.view.record(one)
    assert record is not None and record.spec == spec(1)


async def test_what_was_given_up_is_its_nodes_and_is_not_shown(rig: Rig) -> None:
    one = await rig.stored(1, discarded=True)
    assert await rig.holders.holder(one) == "n1"
    assert rig.view.record(one) is None


async def test_an_event_in_the_stream_shows_the_holder(rig: Rig) -> None:
    one = container_id(1)
    rig.holders.note(one, "n1")
    assert (rig.holders.verdict("n1", one), rig.holders.verdict("n2", one)) == (Verdict.OWN, Verdict.FOREIGN)
    assert await rig.holders.holder(one) == "n1"
    rig.view.load(ContainerRecord(spec=spec(1), node="n2"))
    assert await rig.holders.holder(one) == "n2", "a record weighs more"


async def test_what_nobody_has_registered_is_unclaimed(rig: Rig) -> None:
    assert rig.holders.verdict("n2", container_id(9)) is Verdict.UNKNOWN
    await rig.holders.settled()
    assert (rig.unclaimed, rig.found) == (["n2"], [])
    assert await rig.holders.holder(container_id(9)) is None


async def test_what_can_not_be_read_is_left_alone(rig: Rig, transport: FakeTransport) -> None:
    one = container_id(1)
    await rig.buckets.records.put(one, b"no record")
    assert rig.holders.verdict("n1", one) is Verdict.UNKNOWN
    transport.cut()
    with pytest.raises(NotConnected):
        await rig.holders.holder(container_id(2))
    assert rig.holders.verdict("n1", container_id(2)) is Verdict.UNKNOWN
    await rig.holders.settled()
    transport.mend()
    assert rig.found == []
    assert set(rig.unclaimed) <= {"n1"}
    await rig.stored(1)
    assert rig.holders.verdict("n1", one) is Verdict.UNKNOWN
    await rig.holders.settled()
    assert rig.found == [one]


async def test_who_speaks_without_end_of_unknown_containers_delays_nobody(rig: Rig) -> None:
    """What is looked up at a time is bounded, and who waits waits for that alone."""
    seeds = iter(range(1_000_000))

    def speak(container: str = "") -> None:
        for _ in range(1000):
            rig.holders.verdict("n2", container_id(next(seeds)))
        assert len(rig.holders._looking) <= 256

    rig.holders.unclaimed = lambda node: speak()
    speak()
    await rig.holders.settled()
    assert rig.holders._looking, "it still speaks"
    rig.holders.unclaimed = lambda node: None


# --- in a copy of metadata


async def told(bus: Bus, action: str, body: ContainerStatus, seed: int = 1, node: str = "n1") -> None:
    """As its node tells it, and not in the stream."""
    envelope, event = container_event(
        action, body, seed=seed, node=node, event_id=f"{int(node[1:]):04x}{seed:010x}{body.seq:010x}"
    )
    channel = event_channel("container", action)
    bus.transport.send(channel.told_subject(node, envelope.subject_id), channel.encode(event), envelope.headers())


async def test_what_was_told_is_applied_when_its_holder_is_known(metadata: Metadata, fake_bus: Bus) -> None:
    await registered(fake_bus, 1)
    await told(fake_bus, "create", status(State.CREATED, 1))
    await told(fake_bus, "start", status(State.RUNNING, 2, pid=7))
    await told(fake_bus, "die", status(State.EXITED, 9), node="n2")
    found = await fake_bus.call(GET_CONTAINER, ref("box1"))
    assert (found.node, found.spec, found.status) == ("n1", spec(1), status(State.RUNNING, 2, pid=7))


async def test_what_comes_by_the_stream_alone_finds_the_record_that_another_copy_has_made(
    metadata: Metadata, fake_bus: Bus
) -> None:
    """Also before what its node told could be judged: as while a copy that has just started reads the stream."""
    for seed in range(1, 6):
        await registered(fake_bus, seed)
        envelope, event = container_event("create", status(seq=1), seed=seed)
        channel = event_channel("container", "create")
        published = channel.published(public_body("container", channel.encode(event)))
        await fake_bus.transport.store(channel.subject("n1", envelope.subject_id), published, envelope.headers())
        await told(fake_bus, "create", status(seq=1), seed)
        await metadata.store.feed._catch_up(metadata.store.feed._losses)
        assert (await fake_bus.call(GET_CONTAINER, ref(f"box{seed}"))).status.seq == 1
    assert len(metadata.containers.view.index) == 5


async def test_a_read_waits_until_what_was_told_can_be_judged(metadata: Metadata, fake_bus: Bus) -> None:
    await registered(fake_bus, 1)
    await told(fake_bus, "start", status(State.RUNNING, 2))
    await fake_bus.transport.flush()
    assert (await fake_bus.call(GET_CONTAINER, ref(container_id(1)[:12]))).status.seq == 2


async def test_what_another_node_tells_is_dropped_and_counted(metadata: Metadata, fake_bus: Bus) -> None:
    counted = FOREIGN.labels("n2", "destroy")._value
    before = counted.get()
    await register(fake_bus, 1)
    await told(fake_bus, "create", status(seq=1))
    for seq, action in ((8, "status"), (9, "die"), (10, "destroy")):
        await told(fake_bus, action, status(State.EXITED, seq), node="n2")
    await known(metadata)
    assert (await fake_bus.call(GET_CONTAINER, ref("box1"))).status == status(seq=1)
    assert counted.get() == before + 1


async def test_whose_container_nobody_knows_is_asked_what_it_holds(metadata: Metadata, fake_bus: Bus) -> None:
    """The buckets were lost: the node brings its container back."""
    node = await Node(fake_bus).serve()
    await node.beat()
    await until(lambda: node.asked)
    await fake_bus.transport.flush()
    asked = node.asked
    node.holds(1, seq=3)
    await told(fake_bus, "start", status(State.RUNNING, 3))
    await known(metadata)
    await node.beat()
    await until(lambda: node.asked > asked)
    await until(lambda: metadata.containers.view.index.get(container_id(1)))
    assert (await fake_bus.call(GET_CONTAINER, ref("box1"))).status.seq == 3


async def test_an_unclaimed_container_of_one_node_lets_no_other_be_asked_again(
    metadata: Metadata, fake_bus: Bus
) -> None:
    """However often one node speaks of containers that nobody knows."""
    node = await Node(fake_bus).serve()
    node.gate.clear()
    await node.beat()
    await until(lambda: node.asked)
    await told(fake_bus, "start", status(State.RUNNING, 2), seed=50, node="n2")
    await known(metadata)
    node.gate.set()
    await until(lambda: metadata.containers.reconciler._epochs.get("n1") == "e1")
    await node.beat()
    await fake_bus.transport.flush()
    assert node.asked == 1


async def test_words_about_no_container_need_no_holder(metadata: Metadata, fake_bus: Bus) -> None:
    channel = event_channel("volume", "create")
    body = VolumeEvent(name="data", attributes={"driver": "local"}).model_dump_json().encode()
    envelope, _ = container_event("create", status())
    headers = envelope.headers() | {"ce-type": "io.seaway.v1.volume.create", "ce-subject": "ab" * 32}
    fake_bus.transport.send(channel.told_subject("n1", "ab" * 32), body, headers)
    await known(metadata)
    assert (len(metadata.containers.view.index), metadata.containers.holders._looking) == (0, {})
