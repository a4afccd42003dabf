"""What tests of a copy of metadata work with: its bus, events, registrations, and a node's agent."""

import asyncio
import contextlib

from seaway_bus.bus import Bus, Command
from seaway_bus.transport import WrongRevision
from seaway_contracts.catalogue import (
    BEAT,
    CONTAINERS_BUCKET,
    CREATE,
    INVENTORY,
    NAMES_BUCKET,
    REGISTER,
    REMOVE,
    event_channel,
)
from seaway_contracts.commands import (
    CreateContainer,
    Inventory,
    InventoryItem,
    ListInventory,
    RemoveContainer,
    StatusReply,
)
from seaway_contracts.containers import ContainerRecord, ContainerStatus, State
from seaway_contracts.errors import SeawayError, not_found, unavailable
from seaway_contracts.lifecycle import ContainerEvent, Envelope, public_body
from seaway_contracts.records import RegisterContainer, ResolveContainer
from seaway_metadata.kinds.container_registering import ContainerRegistering
from seaway_metadata.kinds.containers import NAMES, NameHolder
from seaway_metadata.service import Metadata
from seaway_metadata.store.records import Records
from seaway_metadata.store.stored import encode
from seaway_testing.builders import beat, container_event, container_id, spec, status


async def publish(bus: Bus, action: str, body: ContainerStatus, seed: int = 1, node: str = "n1") -> None:
    """An event as its node tells it, and as it stands in the stream; before `create` somebody has registered it."""
    if action == "create":
        await registered(bus, seed, node)
    await tell(bus, *container_event(action, body, seed=seed, node=node))


async def tell(bus: Bus, envelope: Envelope, event: ContainerEvent) -> None:
    channel = event_channel("container", envelope.action)
    node, identifier, body = envelope.node, envelope.subject_id, channel.encode(event)
    bus.transport.send(channel.told_subject(node, identifier), body, envelope.headers())
    published = channel.published(public_body("container", body))
    await bus.transport.store(channel.subject(node, identifier), published, envelope.headers())


async def registered(bus: Bus, seed: int, node: str = "n1") -> None:
    """Another copy has registered the container, if this one hasn't."""
    containers, names = [await bus.transport.bucket(config) for config in (CONTAINERS_BUCKET, NAMES_BUCKET)]
    with contextlib.suppress(WrongRevision):
        await containers.create(container_id(seed), encode(ContainerRecord(spec=spec(seed), node=node)))
        await names.create(NAMES.key(spec(seed).name), encode(NameHolder(id=container_id(seed), since_ns=1)))


async def known(metadata: Metadata) -> None:
    """Until what has been published is applied."""
    await metadata._bus.transport.flush()
    await metadata.store.feed.current()
    await metadata.containers.holders.settled()


def ref(text: str) -> ResolveContainer:
    return ResolveContainer(ref=text)


async def register(bus: Bus, seed: int, **changes: str) -> None:
    await bus.call(REGISTER, RegisterContainer(spec=spec(seed, **changes), node="n1"))


class Copy(ContainerRegistering):
    """What one copy of metadata does with its buckets."""

    def __init__(self, records: Records[ContainerRecord]) -> None:
        super().__init__(records)
        self.records = records
        self.claims = records.claims


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
        self.lost_memory = False
        self.gate = asyncio.Event()
        """It tells what it holds while this is set."""
        self.gate.set()
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
        seed = held[0].spec.name.removeprefix("box")
        await tell(self.bus, *container_event("destroy", status(seq=9), seed=seed, node=self.name))
        return StatusReply(status=status(seq=9))

    async def create(self, request: CreateContainer, command: Command) -> StatusReply:
        self.made.append(request)
        if self.refusal is not None:
            raise self.refusal
        return StatusReply(status=status(State.EXITED, 9))

    async def inventory(self, request: ListInventory, command: Command) -> Inventory:
        self.asked += 1
        await self.gate.wait()
        if self.fails:
            self.fails -= 1
            raise unavailable("the agent is busy")
        asked_for = [item for item in self.items if not request.ids or item.spec.id in request.ids]
        start = int(request.after or 0)
        end = start + self.page
        following = str(end) if end < len(asked_for) else ""
        items = tuple(asked_for[start:end])
        return Inventory(
            node=self.name,
            epoch=self.epoch,
            revision=1,
            containers=items,
            next=following,
            lost_memory=self.lost_memory,
        )

    async def beat(self) -> None:
        await self.bus.publish(BEAT, beat(self.name, epoch=self.epoch), node=self.name)

    def holds(self, *seeds: int, seq: int = 2) -> None:
        self.items = [InventoryItem(spec=spec(seed), status=status(State.RUNNING, seq)) for seed in seeds]
