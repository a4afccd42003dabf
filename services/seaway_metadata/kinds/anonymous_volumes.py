"""Records of anonymous volumes, made of what their nodes report: they are in memory at once, and written behind.

A node may only report volumes of its own, with random names, and so many at most.
"""

import logging
from collections import Counter, OrderedDict
from typing import Final

from seaway_bus.events import Event
from seaway_bus.judging import FOREIGN
from seaway_contracts.catalogue import VOLUME_DESTROY
from seaway_contracts.containers import ContainerRecord
from seaway_contracts.ids import is_volume_id
from seaway_contracts.lifecycle import CLUSTER, volume_subject
from seaway_contracts.volumes import VolumeEvent, VolumeRecord
from seaway_metadata.kinds.volumes import anonymous_volume, named
from seaway_metadata.store.written import WrittenTable

log = logging.getLogger(__name__)
MOST: Final = 1 << 16
"""So many anonymous volumes may a node have."""

_REMEMBERED: Final = 1 << 13


class AnonymousVolumes:
    """One copy's."""

    def __init__(self, table: WrittenTable[VolumeRecord], most: int = MOST) -> None:
        self._table = table
        self._most = most
        self._ended_unknown: OrderedDict[tuple[str, str], None] = OrderedDict()
        """Names of volumes whose end came before anything else was heard of them, each with the node that told."""
        self._counted: Counter[str] = Counter()
        """How many each node had when they were counted last, and those that came since."""

    # --- events

    def heard(self, event: Event) -> None:
        """Apply an event `volume.create` or `volume.destroy`. Raises SeawayError for one that can't be read."""
        body, envelope = event.body(), event.envelope
        if not isinstance(body, VolumeEvent):
            return
        ended = event.channel is VOLUME_DESTROY
        if envelope.node == CLUSTER:
            self._read(body, ended=ended)
        elif envelope.subject_id != volume_subject(body.name):
            log.warning("node %s speaks of two volumes in one event; it is left alone", envelope.node)
        elif not body.anonymous:
            self._read(body, ended=False)  # a container's create has made it: its record is stored
        elif ended:
            self._ended(body.name, envelope.node)
        else:
            self.take(anonymous_volume(body.name, envelope.node, envelope.time_ns, body.labels, body.options))

    def _read(self, body: VolumeEvent, *, ended: bool) -> None:
        """What metadata, or another copy of it, has written."""
        known = self._table.index.get(body.id)
        if is_volume_id(body.id) and (ended or known is None or known.made_for):
            self._table.heard(body.id, ended=ended)

    def _ended(self, name: str, node: str) -> None:
        record = self._table.index.get(name)
        if record is None:
            self._ended_unknown[name, node] = None
            if len(self._ended_unknown) > _REMEMBERED:
                self._ended_unknown.popitem(last=False)
        elif record.node != node or not record.anonymous:
            _foreign(node, name)
        else:
            self._table.drop(name, for_good=True)

    # --- records

    def take(self, volume: VolumeRecord) -> bool:
        """Take in an anonymous volume that its node reports; False where that can't be."""
        known = named(self._table.index, volume.name) or self._table.index.get(volume.id)
        if known is not None:
            if known.node == volume.node and known.anonymous:
                return True
            _foreign(volume.node, volume.name)
            return False
        if (volume.name, volume.node) in self._ended_unknown:
            return False
        if not is_volume_id(volume.name) or volume.id != volume.name or not self._has_room(volume.node):
            log.warning("node %s may not have the anonymous volume %.64r", volume.node, volume.name)
            return False
        self._counted[volume.node] += 1
        self._table.put(volume)
        return True

    def take_mounted(self, container: ContainerRecord) -> None:
        """Take in those that a container mounts: the event of the volume's creation may come after the container's."""
        for mount in container.spec.mounts:
            if mount.type == "volume" and mount.anonymous and self._table.index.get(mount.source) is None:
                labels, options = mount.volume_labels, mount.volume_options
                self.take(anonymous_volume(mount.source, container.node, container.spec.created_ns, labels, options))

    def of_node(self, node: str) -> list[VolumeRecord]:
        """Those of a node."""
        return [one for one in self._table.index if one.anonymous and one.node == node]

    def forget(self, node: str) -> None:
        """The node was removed from the cluster. If it comes back it reports them again."""
        for volume in self.of_node(node):
            self._table.drop(volume.id, for_good=False)

    def _has_room(self, node: str) -> bool:
        if self._counted[node] >= self._most:
            self._counted[node] = len(self.of_node(node))
        return self._counted[node] < self._most


def _foreign(node: str, name: str) -> None:
    FOREIGN.labels(node, "volume").inc()
    log.warning("node %s speaks of volume %.12r, which is not its own: dropped", node, name)
