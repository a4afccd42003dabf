"""What earlier releases have left, read by this one: nothing of it is lost or misunderstood."""

import contextlib
import json
import shutil
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.upgrade.make_data import DISCONNECT, NAMELESS, NETWORK, STATES, VOLUME, spec, status

from seaway_agent.state.database import Store, open_database
from seaway_bus.bus import Bus, Command
from seaway_bus.event_sender import of_node
from seaway_bus.events import Event, history, read_event
from seaway_bus.outbox import Outbox, open_outbox
from seaway_bus.transport import Message
from seaway_cli import suite
from seaway_cli.suite import Suite
from seaway_contracts import catalogue
from seaway_contracts.base import Empty
from seaway_contracts.commands import RemoveContainer, StatusReply
from seaway_contracts.containers import ContainerSpec, State
from seaway_contracts.errors import SeawayError, not_found
from seaway_contracts.lifecycle import ContainerEvent, Envelope
from seaway_contracts.networks import CreateNetwork, ListNetworks, NetworkRecord
from seaway_contracts.records import ForgetContainer, ListContainers, RegisterContainer, ResolveContainer
from seaway_contracts.volumes import CreateVolume, ListVolumes, VolumeRecord
from seaway_image.store.image_store import ImageStore
from seaway_image.store.names import resolve
from seaway_kit.tasks import Tasks
from seaway_metadata.events.history_share import MARK_BYTES, Mark, Marks
from seaway_metadata.kinds import registrations
from seaway_metadata.kinds.containers import address_claim
from seaway_metadata.service import running
from seaway_metadata.settings import MetadataSettings
from seaway_metadata.store import write_behind
from seaway_metadata.store.stored import NewerSchema, decode
from seaway_testing import builders
from seaway_testing.fake_server import FakeBucketData
from seaway_testing.fake_transport import FakeServer, FakeTransport
from seaway_testing.waiting import until

RELEASES = sorted((Path(__file__).parent / "data").iterdir())


@pytest.fixture(params=RELEASES, ids=lambda path: path.name)
def data(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


def restored(dump: Path, path: Path) -> Path:
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript(dump.read_text())
    return path


def filled(server: FakeServer, data: Path) -> None:
    for name, entries in json.loads((data / "buckets.json").read_text()).items():
        bucket = server.buckets.setdefault(name, FakeBucketData())
        for key, value in entries.items():
            bucket.write(key, value.encode(), None)


@pytest.fixture
async def bus(fake_server: FakeServer) -> AsyncIterator[Bus]:
    made = Bus(FakeTransport(fake_server))
    yield made
    await made.close()


def test_the_agents_memory(data: Path, tmp_path: Path) -> None:
    with contextlib.closing(open_database(restored(data / "agent.sql", tmp_path / "agent.db"))) as db:
        store = Store(db)
        found = {stored.spec.id: stored for stored in store.containers()}
        assert [found[builders.container_id(seed)].spec for seed in STATES] == [spec(seed) for seed in STATES]
        assert [found[builders.container_id(seed)].status for seed in STATES] == [status(seed) for seed in STATES]
        assert {stored.lowers for stored in found.values()} == {("/layers/top", "/layers/bottom")}
        (info,) = store.execs()[builders.container_id(2)]
        assert (info.spec.args, info.status.exit_code) == (("ls",), 3)
        assert store.outcome("c7") == status(2)
        assert store.networks() == {NETWORK.id: NETWORK}
        assert store.pending_disconnects() == {builders.container_id(2): DISCONNECT}
        assert [store.fact(name) for name in ("boot", "suite", "subnet")] == ["b-1", "a1b2c3", "172.18.0.0/16"]
        store.set_status(builders.container_id(1), status(2))
        assert int(db.execute("PRAGMA user_version").fetchone()[0]) >= 1


async def test_events_that_wait_at_a_service(data: Path, tmp_path: Path, fake_bus: Bus, tasks: Tasks) -> None:
    with contextlib.closing(open_outbox(restored(data / "outbox.sql", tmp_path / "outbox.db"))) as db:
        outbox = Outbox(db, fake_bus.transport, tasks)
        outbox.start()
        assert await outbox.flush(5)
        events = [event async for event in history(fake_bus.transport, start_ns=0)]
        assert [event.channel for event in events] == [catalogue.IMAGE_PULL, catalogue.NODE_JOIN]
        for event in events:
            event.body()
        await tasks.close()


async def test_events_that_wait_at_an_agent(
    data: Path, tmp_path: Path, fake_server: FakeServer, fake_bus: Bus, bus: Bus, tasks: Tasks
) -> None:
    """They are told whole, and metadata, which has that release's records, stores what is public of them."""
    filled(fake_server, data)
    heard: list[Message] = []
    await bus.transport.subscribe(catalogue.ALL_TOLD, heard.append)
    with contextlib.closing(open_database(restored(data / "agent.sql", tmp_path / "agent.db"))) as db:
        async with running(bus, Tasks("metadata"), MetadataSettings(root=tmp_path)):
            outbox = Outbox(db, fake_bus.transport, tasks, of_node(fake_bus, "n1"), tells=True)
            outbox.start()
            assert await outbox.flush(5)
            await tasks.close()
    told = [event for message in heard if (event := read_event(message)) is not None]
    stored = [event async for event in history(fake_bus.transport, start_ns=0)]
    assert [event.envelope.action for event in told] == [*["create"] * 4, "rename", "die"]
    assert sorted(event.envelope.id for event in stored) == sorted(event.envelope.id for event in told)
    assert [spec_in(event) for event in told] == [None] * 4 + [spec(2), None]
    assert {spec_in(event) for event in stored} == {None}


def spec_in(event: Event) -> ContainerSpec | None:
    body = event.body()
    assert isinstance(body, ContainerEvent)
    return body.spec


async def test_the_buckets(data: Path, tmp_path: Path, fake_server: FakeServer, bus: Bus) -> None:
    filled(fake_server, data)
    async with running(bus, Tasks("metadata"), MetadataSettings(root=tmp_path)) as service:
        found = await bus.call(catalogue.LIST_CONTAINERS, ListContainers())
        assert {one.id: (one.spec, one.status) for one in found.containers} == {
            builders.container_id(seed): (spec(seed), status(seed)) for seed in STATES
        }
        record = await bus.call(catalogue.GET_CONTAINER, ResolveContainer(ref="box3"))
        assert (record.status.exit_code, record.status.oom_killed) == (137, True)
        assert (await bus.call(catalogue.LIST_NETWORKS, ListNetworks())).networks == (NETWORK,)
        for taken in ({"name": NETWORK.name}, {"name": "other", "pools": NETWORK.pools}):
            again = CreateNetwork(network=NetworkRecord(id="c" * 64, created_ns=1, **taken))  # type: ignore[arg-type]
            with pytest.raises(SeawayError, match=r"network with name back already exists|Pool overlaps"):
                await bus.call(catalogue.CREATE_NETWORK, again)
        holder = await service.containers.records.claims.holder(address_claim(NETWORK.id, "10.1.0.2"))
        assert holder == builders.container_id(2)
        volumes = (await bus.call(catalogue.LIST_VOLUMES, ListVolumes())).volumes
        assert set(map(repr, volumes)) == {repr(VOLUME), repr(NAMELESS)}
        again = VolumeRecord(id="c" * 64, name=VOLUME.name, created_ns=1)
        assert (await bus.call(catalogue.CREATE_VOLUME, CreateVolume(volume=again))).volume == VOLUME
        (node,) = (await bus.call(catalogue.LIST_NODES, Empty())).nodes
        assert node.node == "n1"
        shares = fake_server.buckets[catalogue.SHARES_BUCKET.name].entries
        assert decode(Marks, shares["n1"].value).marks == (Mark(seq=40, size=MARK_BYTES),)
        service.containers.view.remove(builders.container_id(3))
        entries = fake_server.buckets[catalogue.CONTAINERS_BUCKET.name].entries
        await until(lambda: builders.container_id(3) not in entries)


async def test_the_image_table(data: Path, tmp_path: Path) -> None:
    (tmp_path / "image").mkdir()
    shutil.copy(data / "names.json", tmp_path / "image" / "names.json")
    store = ImageStore(tmp_path / "image")
    store.open()
    assert resolve(store.table, "busybox") == builders.digest("config")
    (image,) = store.table.images.values()
    assert (image.layers[0].size, image.layers[0].diff_size, image.last_tag_ns > 0) == (1234, 9, True)
    assert [str(name.familiar) for name in store.table.tags_of(image.id)] == ["busybox:latest"]


def test_the_suite(data: Path, tmp_path: Path) -> None:
    assert suite.load(data / "suite.json") == Suite("a1b2c3", 14222)


# --- what a later release has written: one clear error, and not a byte is changed


_READ_LATER = (
    catalogue.NAMES_BUCKET,
    catalogue.ADDRESSES_BUCKET,
    catalogue.NETWORK_NAMES_BUCKET,
    catalogue.SUBNETS_BUCKET,
    catalogue.VOLUME_NAMES_BUCKET,
    catalogue.SHARES_BUCKET,
    catalogue.TOKENS_BUCKET,
    catalogue.IDENTITIES_BUCKET,
    catalogue.USERS_BUCKET,
)
"""Buckets that are not read at the start."""


@pytest.mark.parametrize("bucket", [bucket.name for bucket in catalogue.BUCKETS])
async def test_buckets_of_a_later_release(bucket: str, fake_server: FakeServer, bus: Bus, tmp_path: Path) -> None:
    filled(fake_server, RELEASES[-1])
    later = {
        key: entry.value.replace(b'{"v":1,', b'{"v":99,"what":"else",')
        for key, entry in fake_server.buckets[bucket].entries.items()
    }
    for key, value in later.items():
        fake_server.buckets[bucket].write(key, value, None)
    if bucket in {one.name for one in _READ_LATER}:
        async with running(bus, Tasks("metadata"), MetadataSettings(root=tmp_path)):
            pass
    else:
        with pytest.raises(NewerSchema, match="of schema 99: this release knows 1; update it"):
            async with running(bus, Tasks("metadata"), MetadataSettings(root=tmp_path)):
                pass
    assert {key: entry.value for key, entry in fake_server.buckets[bucket].entries.items()} == later


async def test_a_record_that_a_newer_copy_has_written_meanwhile(
    fake_server: FakeServer, bus: Bus, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Old and new copies of metadata at once, in the middle of an upgrade."""
    filled(fake_server, RELEASES[-1])
    entries = fake_server.buckets[catalogue.CONTAINERS_BUCKET.name].entries
    async with running(bus, Tasks("metadata"), MetadataSettings(root=tmp_path)) as service:
        identifier = builders.container_id(2)
        newer = entries[identifier].value.replace(b'{"v":1,', b'{"v":99,')
        fake_server.buckets[catalogue.CONTAINERS_BUCKET.name].write(identifier, newer, None)
        envelope, body = builders.container_event("die", builders.status(State.EXITED, 50), seed=2)
        service.containers.view.apply(envelope, body)
        service.store.doubt()
        await until(lambda: caplog.text.count("of schema 99") >= 2)
        found = await bus.call(catalogue.GET_CONTAINER, ResolveContainer(ref="box2"))
        assert found.status.seq == 50
    assert entries[identifier].value == newer


async def test_whatever_a_newer_copy_has_written_meanwhile_is_left_alone(
    fake_server: FakeServer, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All buckets at once: the older copy goes on with what it knows, and none of its tasks ends."""
    monkeypatch.setattr(registrations, "COMING_S", 0.0)
    monkeypatch.setattr(write_behind, "_HORIZON_EVERY", 1)
    filled(fake_server, RELEASES[-1])
    bus, failures = Bus(FakeTransport(fake_server), patience_s=0.01), list[BaseException]()
    async with running(bus, Tasks("metadata", failures.append), MetadataSettings(root=tmp_path)) as service:
        await bus.call(catalogue.REGISTER, RegisterContainer(spec=builders.spec(9), node="n1"))
        await bus.call(catalogue.REGISTER, RegisterContainer(spec=builders.spec(8), node="n1"))
        await bus.call(catalogue.FORGET, ForgetContainer(id=builders.container_id(8), unheard=True))
        await bus.serve(catalogue.REMOVE, not_there, node="n1")
        written = {name: newer(fake_server, name) for name in fake_server.buckets}
        for seed in (2, 4):
            envelope, body = builders.container_event("die", builders.status(State.EXITED, 50), seed=seed)
            await store(bus, envelope, body)
            service.store.feed._wake.set()
            await until(lambda seed=seed: service.store.feed.horizon == seed // 2)  # type: ignore[misc]
        await bus.publish(catalogue.BEAT, builders.beat("n1", epoch="another"), node="n1")
        await until(lambda: "how far the records go is not written down just now: a Horizon of" in caplog.text)
        unwritten = "the record n1 can't be written, and is kept in memory only: a NodeRecord of schema 99"
        await until(lambda: unwritten in caplog.text)
        service._history.stored("n1", MARK_BYTES)
        await until(lambda: not service._history._due)
        await service.registrations.sweep(lambda _: True)
        assert "which was given up, can't be removed: a ContainerRecord of schema 99" in caplog.text
        service.store.doubt()
        await until(lambda: "records of a later release are left alone" in caplog.text)
        with pytest.raises(SeawayError, match="a NameHolder of schema 99: this release knows 1; update it"):
            await bus.call(catalogue.REGISTER, RegisterContainer(spec=builders.spec(7, name="box3"), node="n1"))
        found = await bus.call(catalogue.LIST_CONTAINERS, ListContainers(all=True))
        assert {one.status.seq for one in found.containers if one.spec.name in ("box2", "box4")} == {50}
    assert failures == []
    assert "Traceback" not in caplog.text
    assert {name: values(fake_server, name) for name in written} == written
    await bus.close()


async def not_there(request: RemoveContainer, command: Command) -> StatusReply:
    raise not_found(f"No such container: {request.id}")


async def store(bus: Bus, envelope: Envelope, body: ContainerEvent) -> None:
    channel = catalogue.event_channel(envelope.noun, envelope.action)
    subject = channel.subject(envelope.node, envelope.subject_id)
    await bus.transport.store(subject, channel.encode(body), envelope.headers())


def values(server: FakeServer, bucket: str) -> dict[str, bytes]:
    return {key: entry.value for key, entry in server.buckets[bucket].entries.items()}


def newer(server: FakeServer, bucket: str) -> dict[str, bytes]:
    """Have a release that this one doesn't know write all that stands there."""
    for key, value in values(server, bucket).items():
        server.buckets[bucket].write(key, value.replace(b'{"v":1,', b'{"v":99,"what":"else",'), None)
    return values(server, bucket)


async def test_events_of_a_later_release_are_left_alone(
    fake_server: FakeServer, bus: Bus, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Words that this one doesn't know; what comes behind them is taken."""
    filled(fake_server, RELEASES[-1])
    identifier = builders.container_id(2)
    async with running(bus, Tasks("metadata"), MetadataSettings(root=tmp_path)):
        envelope, _ = builders.container_event("status", builders.status(State.RUNNING, 50), seed=2)
        unknown = replace(envelope, action="teleport")
        subject = f"seaway.v1.event.n1.container.teleport.{identifier}"
        await bus.transport.store(subject, b'{"status":{"state":"running","seq":50}}', unknown.headers())
        later = replace(envelope, id="another")
        subject = catalogue.CONTAINER_STATUS.subject("n1", identifier)
        await bus.transport.store(subject, b'{"status":{"state":"teleporting","seq":51}}', later.headers())
        await store(bus, *builders.container_event("die", builders.status(State.EXITED, 52), seed=2))
        found = await bus.call(catalogue.GET_CONTAINER, ResolveContainer(ref="box2"))
        assert (found.status.state, found.status.seq) == (State.EXITED, 52)
    assert f"an event of {identifier} is left alone: event container.teleport: a later release's" in caplog.text
    assert f"an event of {identifier} is left alone: event container.status: status.state: " in caplog.text
    assert "Traceback" not in caplog.text


def test_an_image_table_of_a_later_release(tmp_path: Path) -> None:
    path = tmp_path / "image" / "names.json"
    path.parent.mkdir()
    path.write_text('{"version": 2, "images": {"box": "what this release would not take for one"}, "more": 1}')
    with pytest.raises(SeawayError, match=r"names.json was written by a later release \(schema 2, this one knows 1\)"):
        ImageStore(tmp_path / "image").open()
    assert '"more": 1' in path.read_text()
