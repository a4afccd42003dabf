"""A node's agent, as far as volumes go: it makes containers with their volumes, and tells of both."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.unit.seaway_metadata.rig import Node, tell

from seaway_bus.bus import Bus, Command
from seaway_contracts import catalogue as cat
from seaway_contracts.base import Empty
from seaway_contracts.commands import InventoryItem
from seaway_contracts.containers import ContainerSpec, ContainerStatus, Mount
from seaway_contracts.docker_errors import volume_in_use
from seaway_contracts.errors import SeawayError, not_found
from seaway_contracts.lifecycle import ContainerEvent, Envelope, volume_subject
from seaway_contracts.records import ForgetContainer, RegisterContainer, RegisteredContainer
from seaway_contracts.volumes import (
    CreateVolume,
    ListHeldVolumes,
    ListVolumes,
    MakeHeldVolume,
    RemoveHeldVolume,
    RemoveVolume,
    VolumeEvent,
    VolumeInventory,
    VolumeRecord,
    VolumeRef,
)
from seaway_kit.tasks import Tasks
from seaway_metadata.service import Metadata, running
from seaway_metadata.settings import MetadataSettings
from seaway_testing.builders import beat, container_event, container_id, spec, status
from seaway_testing.fake_transport import FakeServer, FakeTransport
from seaway_testing.waiting import until

NOW_NS = 1_700_000_000_000_000_000


def named(name: str, **changes: Any) -> Mount:
    """A mount of the volume of that name."""
    return Mount(type="volume", target=f"/{name}", source=name, **changes)


def anonymous(letter: str) -> Mount:
    """A mount of an anonymous volume, which is called by 64 such letters."""
    return Mount(type="volume", target=f"/{letter}", source=letter * 64, anonymous=True)


def nameless(letter: str, node: str = "n1") -> VolumeRecord:
    """The record of an anonymous volume."""
    name = letter * 64
    return VolumeRecord(id=name, name=name, created_ns=NOW_NS, node=node, anonymous=True)


@dataclass
class VolumeNode:
    """Refuses with `refusal`, where there is one, and to make a volume with `make_refusal`.

    `removed`: the ids of volumes that are not made again.
    """

    bus: Bus
    name: str = "n1"
    epoch: str = "e1"
    specs: dict[str, ContainerSpec] = field(default_factory=dict)
    statuses: dict[str, ContainerStatus] = field(default_factory=dict)
    volumes: dict[str, VolumeRecord] = field(default_factory=dict)
    mounted: dict[str, set[str]] = field(default_factory=dict)
    """The ids of the volumes that each container has."""
    removed: list[str] = field(default_factory=list)
    refusal: SeawayError | None = None
    make_refusal: SeawayError | None = None
    make_gate: asyncio.Event = field(default_factory=asyncio.Event)
    """It answers to what it is to make while this is set."""
    making: int = 0
    lost_memory: bool = False
    tells: bool = True
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    """It says which volumes it has while this is set."""
    asked: int = 0

    def __post_init__(self) -> None:
        self.gate.set()
        self.make_gate.set()
        self.containers = Node(self.bus, self.name)

    async def serve(self) -> "VolumeNode":
        await self.containers.serve()
        await self.bus.serve(cat.MAKE_HELD_VOLUME, self.make_held, node=self.name)
        await self.bus.serve(cat.REMOVE_HELD_VOLUME, self.remove_held, node=self.name)
        await self.bus.serve(cat.VOLUME_INVENTORY, self.inventory, node=self.name)
        await self.beat()
        return self

    async def beat(self) -> None:
        held = self.containers
        held.epoch, held.lost_memory, held.page = self.epoch, self.lost_memory, 1000
        items = [InventoryItem(spec=one, status=self.statuses[key]) for key, one in self.specs.items()]
        held.items = [] if self.lost_memory else items
        await self.bus.publish(cat.BEAT, beat(self.name, epoch=self.epoch), node=self.name)

    # --- containers

    async def register(self, seed: int, *mounts: Mount | str, name: str = "") -> RegisteredContainer:
        wanted = tuple(named(one) if isinstance(one, str) else one for one in mounts)
        asked = spec(seed, mounts=wanted, **({"name": name} if name else {}))
        return await self.bus.call(cat.REGISTER, RegisterContainer(spec=asked, node=self.name))

    async def make(self, seed: int, *mounts: Mount | str) -> RegisteredContainer:
        """Have it registered, make its volumes and it, and tell of them in one go."""
        registered = await self.register(seed, *mounts)
        await self.create(registered, seed)
        return registered

    def has(self, seed: int, *volumes: VolumeRecord) -> None:
        """A container has these volumes, and nobody has heard of it."""
        self.specs[container_id(seed)] = spec(seed, mounts=tuple(named(one.name) for one in volumes))
        self.mounted[container_id(seed)] = {one.id for one in volumes}

    async def create(self, registered: RegisteredContainer, seed: int) -> None:
        self.specs[registered.spec.id] = registered.spec
        ids = {one.id for one in registered.volumes}
        self.mounted[registered.spec.id] = ids | {one.source for one in registered.spec.mounts if one.anonymous}
        self.statuses[registered.spec.id] = status(seq=1)
        for volume in registered.volumes:
            self.volumes[volume.id] = volume
            if volume.made_for == registered.spec.id:
                await self.tell_volume("create", volume)
        for mount in registered.spec.mounts:
            if mount.anonymous and mount.source not in self.volumes:
                self.volumes[mount.source] = nameless(mount.source[0], self.name)
                await self.tell_volume("create", self.volumes[mount.source])
        await self._tell("create", seed)

    async def destroy(self, seed: int, *, volumes: bool = False) -> None:
        """Remove a container, with its anonymous volumes if asked."""
        gone = self.specs.pop(container_id(seed))
        del self.mounted[gone.id]
        for mount in gone.mounts if volumes else ():
            if mount.anonymous:
                await self.tell_volume("destroy", self.volumes.pop(mount.source))
        self.statuses[gone.id] = status(seq=2)
        await self._tell("destroy", seed)
        del self.statuses[gone.id]

    async def _tell(self, action: str, seed: int) -> None:
        if self.tells:
            known = self.statuses[container_id(seed)]
            envelope, body = container_event(action, known, seed=seed, node=self.name)
            told = self.specs.get(container_id(seed))
            await tell(self.bus, envelope, ContainerEvent(status=known, spec=told, attributes=body.attributes))

    async def tell_volume(self, action: str, volume: VolumeRecord, *, twice: bool = False) -> None:
        if self.tells:
            body = VolumeEvent(
                name=volume.name,
                id=volume.id,
                anonymous=volume.anonymous,
                labels=volume.labels,
                options=volume.options,
            )
            for _ in range(2 if twice else 1):
                await tell_volume(self.bus, self.name, action, body)

    # --- what it is told and asked

    async def make_held(self, request: MakeHeldVolume, command: Command) -> Empty:
        self.making += 1
        await self.make_gate.wait()
        if (refusal := self.refusal or self.make_refusal) is not None:
            raise refusal
        self.volumes[request.volume.id] = request.volume
        return Empty()

    async def remove_held(self, request: RemoveHeldVolume, command: Command) -> Empty:
        if self.refusal is not None:
            raise self.refusal
        users = [container for container, ids in self.mounted.items() if request.id in ids]
        if users:
            raise volume_in_use(request.name, users)
        self.removed.append(request.id)
        self.volumes.pop(request.id, None)
        return Empty()

    async def inventory(self, request: ListHeldVolumes, command: Command) -> VolumeInventory:
        """Three at a time, unless some are asked for."""
        self.asked += 1
        await self.gate.wait()
        if not request.ids and self.refusal is not None:
            raise self.refusal
        held = [one for one in self.volumes.values() if not request.ids or one.id in request.ids]
        start = int(request.after or 0)
        following = str(start + 3) if start + 3 < len(held) else ""
        return VolumeInventory(node=self.name, epoch=self.epoch, volumes=tuple(held[start : start + 3]), next=following)

    async def anew(self, copy: Metadata) -> None:
        """Another life of its agent, until the copy has heard which volumes it has."""
        self.epoch += "x"
        await self.beat()
        await self.heard(copy)

    async def heard(self, copy: Metadata) -> None:
        """Until the copy has heard which volumes this life of its agent has."""
        epochs = copy.volumes.inventories._epochs
        await until(lambda: epochs.get(self.name) == self.epoch, what="the node's volumes to be heard")


async def tell_volume(bus: Bus, node: str, action: str, body: VolumeEvent, subject: str = "") -> None:
    """An event as its node tells it, and as it stands in the stream."""
    channel = cat.EVENTS["volume", action]
    identifier = subject or volume_subject(body.name)
    event_id = volume_subject(f"{node} {action} {body.name}")[:24]
    envelope = Envelope(event_id, node, "volume", action, identifier, NOW_NS)
    data = channel.encode(body)
    bus.transport.send(channel.told_subject(node, identifier), data, envelope.headers())
    await bus.transport.store(channel.subject(node, identifier), data, envelope.headers())


# --- what users ask


def volume_id(name: str) -> str:
    return volume_subject(name)


def wanted(name: str, **changes: Any) -> VolumeRecord:
    return VolumeRecord(**{"id": volume_id(name), "name": name, "created_ns": NOW_NS, **changes})


async def create(bus: Bus, name: str, **changes: Any) -> VolumeRecord:
    return (await bus.call(cat.CREATE_VOLUME, CreateVolume(volume=wanted(name, **changes)))).volume


async def inspect(bus: Bus, name: str, basis: dict[str, int] | None = None) -> VolumeRecord:
    return (await bus.call(cat.GET_VOLUME, VolumeRef(name=name, basis=basis or {}))).volume


async def remove(bus: Bus, name: str, **options: Any) -> VolumeRecord:
    return (await bus.call(cat.REMOVE_VOLUME, RemoveVolume(name=name, **options))).volume


async def forget(bus: Bus, seed: int, **options: Any) -> None:
    await bus.call(cat.FORGET, ForgetContainer(id=container_id(seed), **options))


async def listed(bus: Bus, containers: Sequence[int] = (), basis: dict[str, int] | None = None) -> list[str]:
    """The names of all volumes, sorted. `containers`: seeds of those that the asker knows."""
    known = dict.fromkeys(map(container_id, containers), 1)
    page = await bus.call(cat.LIST_VOLUMES, ListVolumes(containers=known, basis=basis or {}))
    names = [one.name for one in page.volumes]
    while page.next:
        page = await bus.call(cat.LIST_VOLUMES, ListVolumes(after=page.next))
        names += [one.name for one in page.volumes]
    return sorted(names)


def stored(server: FakeServer) -> tuple[int, int]:
    """How many records and how many names stand in the buckets."""
    buckets = (cat.VOLUMES_BUCKET, cat.VOLUME_NAMES_BUCKET)
    records, names = (len(server.buckets[one.name].entries) for one in buckets)
    return records, names


def told(server: FakeServer) -> list[str]:
    """The actions of all events of volumes that metadata has published."""
    subjects = [message.subject.split(".") for message in server.streams[cat.EVENT_STREAM.name].messages]
    return [words[5] for words in subjects if words[4] == "volume" and words[3] == "cluster"]


def no_such_container() -> SeawayError:
    return not_found("No such container")


@asynccontextmanager
async def a_copy(server: FakeServer, root: Path, *nodes: VolumeNode) -> AsyncIterator[Metadata]:
    """A copy of metadata that has asked those nodes for their volumes."""
    bus = Bus(FakeTransport(server))
    async with running(bus, Tasks("copy"), MetadataSettings(root=root)) as copy:
        for node in nodes:
            await node.beat()
            await node.heard(copy)
        yield copy
    await bus.close()
