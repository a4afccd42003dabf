"""How things are now, as lines among events, and which later events that does not include yet.

First the newest events are read. Then metadata is asked for the records, with what these events say as a basis: no
container that they name is missing. A status may still be a bit older, if its node does not answer, or newer than the
stream. So the same events are read again afterwards, and the numbers of containers' events decide.
"""

import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final

from seaway_bus.bus import Bus
from seaway_bus.stored_events import StoredEvents
from seaway_bus.transport import Transport
from seaway_cli.event_view import STATE, Shown
from seaway_cluster.records import all_containers
from seaway_contracts import catalogue as cat
from seaway_contracts.base import Empty
from seaway_contracts.containers import ContainerRecord
from seaway_contracts.images import ListImages
from seaway_contracts.lifecycle import CLUSTER, Envelope, PublicHealth, PublicStatus, volume_subject
from seaway_contracts.masking import masked
from seaway_contracts.networks import ListNetworks
from seaway_contracts.records import GONE
from seaway_contracts.volumes import ListVolumes
from seaway_docker.event_filters import EventFacts

_MARGIN: Final = 1024
"""So many of the newest events are read first; metadata has applied older ones for certain."""


class Image:
    """What was read of the records.

    `start`: where reading begins again; `place`: what is not a container's is included up to this number in the stream.
    `basis`: as in ListContainers.
    """

    def __init__(self, start: int, place: int, basis: Mapping[str, int]) -> None:
        self.start = start
        self.place = place
        self.basis = basis
        self._containers: dict[str, int] = {}
        self._others: set[tuple[str, str]] = set()
        self._new: set[str] = set()

    def add_container(self, identifier: str, seq: int) -> None:
        """The image has this container as it was after its event of that number."""
        self._containers[identifier] = seq

    def add(self, noun: str, identifier: str) -> None:
        """The image has this network or volume."""
        self._others.add((noun, identifier))

    def lacks(self, event: Shown) -> bool:
        """Whether the image does not include this event of the stream."""
        envelope = event.envelope
        known = self._containers.get(envelope.subject_id)
        if known is not None:
            return envelope.seq > known
        if event.seq <= self.place:
            return False
        if envelope.noun == "container":
            return self._lacks_of_container(envelope)
        return not (envelope.action == "create" and (envelope.noun, envelope.subject_id) in self._others)

    def _lacks_of_container(self, envelope: Envelope) -> bool:
        """A container that is neither in the image nor new was removed before the image was read."""
        identifier = envelope.subject_id
        if envelope.action == "create":
            self._new.add(identifier)
            return True
        if identifier not in self._new:
            return False
        if envelope.action == "destroy":
            self._new.discard(identifier)
        return True


async def newest(transport: Transport, last: int) -> Image:
    """An image that is still empty, and that must include what is stored now. `last`: the end of the stream."""
    basis: dict[str, int] = {}
    start = max(0, last - _MARGIN)
    reading = StoredEvents(transport, after=start)
    async for event in reading.now():
        envelope = event.envelope
        if envelope.noun == "container":
            basis[envelope.subject_id] = GONE if envelope.action == "destroy" else envelope.seq
    return Image(start, max(last, reading.last), basis)


async def read_image(bus: Bus, image: Image, now_ns: Callable[[], int] = time.time_ns) -> AsyncIterator[Shown]:
    """A line for each node, network, volume, image and container, and one for the end. Raises SeawayError."""
    counts: dict[str, int] = {}
    async for noun, node, identifier, attributes, status in _records(bus, image):
        counts[noun] = counts.get(noun, 0) + 1
        yield _line(image.place, now_ns(), noun, node, identifier, attributes, status)
    numbers = {f"{noun}s": str(number) for noun, number in sorted(counts.items())}
    yield _line(image.place, now_ns(), CLUSTER, CLUSTER, "", numbers)


_Line = tuple[str, str, str, Mapping[str, str], Mapping[str, Any] | None]


async def _records(bus: Bus, image: Image) -> AsyncIterator[_Line]:
    for node in (await bus.call(cat.LIST_NODES, Empty())).nodes:
        about = {"name": node.node, STATE: node.state, "availability": node.settings.availability}
        yield "node", node.node, node.node, about, None
    after, more = "", True
    while more:
        networks = await bus.call(cat.LIST_NETWORKS, ListNetworks(after=after))
        for network in networks.networks:
            image.add("network", network.id)
            node_of = network.nodes[0] if network.nodes else CLUSTER
            yield "network", node_of, network.id, {"name": network.name, "type": network.driver}, None
        after, more = networks.next, bool(networks.next)
    after, more = "", True
    while more:
        volumes = await bus.call(cat.LIST_VOLUMES, ListVolumes(after=after))
        for volume in volumes.volumes:
            image.add("volume", volume_subject(volume.name))
            yield "volume", volume.node or CLUSTER, volume.name, {"driver": volume.driver}, None
        after, more = volumes.next, bool(volumes.next)
    async for line in _images_and_containers(bus, image):
        yield line


async def _images_and_containers(bus: Bus, image: Image) -> AsyncIterator[_Line]:
    after, more = "", True
    while more:
        images = await bus.call(cat.LIST_IMAGES, ListImages(after=after))
        for one in images.images:
            yield "image", CLUSTER, one.id, {"name": one.repo_tags[0]} if one.repo_tags else {}, None
        after, more = images.next, bool(images.next)
    async for record in all_containers(bus, basis=image.basis):
        image.add_container(record.id, record.status.seq)
        yield "container", record.node, record.id, public_attributes(record), public_status(record)


def public_attributes(record: ContainerRecord) -> dict[str, str]:
    """Docker's attributes of a container as events have them, without the values of secret labels."""
    return {**masked(record.spec.labels), "image": record.spec.image.ref, "name": record.spec.name}


def public_status(record: ContainerRecord) -> dict[str, Any]:
    """The part of a container's status that events have, too."""
    found = record.status.model_dump(mode="json", include=set(PublicStatus.model_fields), exclude_defaults=True)
    if record.status.health is not None:
        found["health"] = record.status.health.model_dump(mode="json", include=set(PublicHealth.model_fields))
    return {STATE: record.status.state.value} | found


def _line(
    place: int,
    now_ns: int,
    noun: str,
    node: str,
    identifier: str,
    attributes: Mapping[str, str],
    status: Mapping[str, Any] | None = None,
) -> Shown:
    envelope = Envelope("", node, noun, STATE, identifier, now_ns)
    return Shown(envelope, EventFacts(noun, STATE, identifier, attributes), place, status)
