"""Feeds beats and time to the node table, stores its changes, and publishes nodes' events."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from typing import Final

from seaway_bus.bus import Bus, Command
from seaway_bus.node_facts import FactsOfNodes
from seaway_bus.outbox import Outbox
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import BEAT, NODE_DOWN, NODE_JOIN, NODE_UP
from seaway_contracts.channels import EventChannel
from seaway_contracts.node_settings import ClusterSettings, NodeSettings
from seaway_contracts.nodes import Beat, NodeEvent, NodeList, NodeRecord
from seaway_kit.tasks import Tasks
from seaway_metadata.kinds.nodes import Action, NodeChange, NodeTable
from seaway_metadata.store.tables import Table

log = logging.getLogger(__name__)
_TICK_S: Final = 0.5
_CHANNELS: Final[dict[Action, EventChannel[NodeEvent]]] = {"join": NODE_JOIN, "up": NODE_UP, "down": NODE_DOWN}


class NodeWatch:
    """All nodes of the cluster."""

    def __init__(
        self,
        bus: Bus,
        stored: Table[NodeRecord],
        outbox: Outbox,
        tasks: Tasks,
        settings: Callable[[str], NodeSettings | None],
        cluster: Callable[[], ClusterSettings],
    ) -> None:
        """`settings` returns what operators have set for a node, `cluster` the cluster's settings."""
        self._settings = settings
        self._cluster = cluster
        self._facts = FactsOfNodes(bus, tasks, self._beat)
        self._bus = bus
        self._stored = stored
        self._tasks = tasks
        self._listeners: list[Callable[[Beat], None]] = []
        self._table = NodeTable(stored.index)
        self._outbox = outbox
        self._stopped = False
        self._ended: dict[str, str] = {}
        self._removed: dict[str, str] = {}
        # both: epochs by node

    async def start(self) -> None:
        """Begin with the stored records, and listen for beats."""
        self._table.begin(time.monotonic())
        self._facts.load(self._table.records)
        self._bus.transport.on_reconnect(lambda: self._table.excuse(time.monotonic()))
        await self._bus.on_message(BEAT, self._receive)
        self._tasks.eternal("node-tick", self._tick())

    def on_beat(self, listener: Callable[[Beat], None]) -> None:
        """Have `listener` called with each beat of a node that lives."""
        self._listeners.append(listener)

    def stop(self) -> None:
        """Ignore further beats."""
        self._stopped = True

    async def list_nodes(self, request: Empty, command: Command) -> NodeList:
        """All nodes, by name, with their settings."""
        ordered = sorted(self._table.records, key=lambda record: record.node)
        return NodeList(nodes=tuple(map(self._with_settings, ordered)), cluster=self._cluster())

    def _with_settings(self, record: NodeRecord) -> NodeRecord:
        settings = self._settings(record.node) or NodeSettings(node=record.node)
        return record.model_copy(update={"settings": settings})

    def records(self) -> Iterator[NodeRecord]:
        """The records of all nodes."""
        return iter(self._table.records)

    def record(self, node: str) -> NodeRecord | None:
        """The record of the node, if there is one."""
        return self._table.records.get(node)

    def known(self, node: str) -> bool:
        """Whether there is a record of the node."""
        return self.record(node) is not None

    def remove(self, node: str) -> None:
        """Forget the node. The beats of its last agent are ignored from now on, as that agent is losing its access."""
        record = self._table.records.get(node)
        if record is not None:
            self._removed[node] = record.beat.epoch
        self._table.remove(node)
        self._facts.forget(node)
        self._mark(node)

    def was_removed(self, node: str, time_ns: int) -> None:
        """Another copy has removed the node at that time. A node that joined after that time stays."""
        record = self._table.records.get(node)
        if record is not None and record.since_ns <= time_ns:
            self.remove(node)

    def up(self, node: str) -> bool:
        """Whether a node beats."""
        return node in self._table.up

    def all_up(self) -> set[str]:
        """The nodes that beat."""
        return set(self._table.up)

    def count_up(self) -> int:
        """How many nodes beat."""
        return len(self._table.up)

    def _receive(self, beat: Beat) -> None:
        if not self._stopped and self._removed.get(beat.node) != beat.epoch:
            self._facts.receive(beat)

    def _beat(self, beat: Beat) -> None:
        """A beat came, with its node's facts."""
        old = self._table.records.get(beat.node)
        if old is not None and old.beat.epoch != beat.epoch:
            self._check_sole(beat, old.beat)
        change = self._table.beat(beat, time.monotonic(), time.time_ns())
        if change is not None:
            self._publish([change])
        elif old is not None and _written(old.beat) != _written(beat):
            self._mark(beat.node)
        if not beat.leaving:
            for listener in self._listeners:
                listener(beat)

    def _check_sole(self, beat: Beat, before: Beat) -> None:
        """Log an error if an earlier epoch beats again: then two agents use this node's name."""
        if self._ended.get(beat.node) == beat.epoch:
            log.error("two agents run as node %s, and both carry out its commands: stop one of them", beat.node)
        self._ended[beat.node] = before.epoch

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            if self._bus.connected:
                self._publish(self._table.tick(time.monotonic(), time.time_ns()))
            else:
                self._table.excuse(time.monotonic())

    def _publish(self, changes: list[NodeChange]) -> None:
        for change in changes:
            log.info("node %s: %s (%s)", change.record.node, change.action, change.reason)
            self._mark(change.record.node)
            envelope, body = change.event(time.time_ns())
            self._outbox.tell(_CHANNELS[change.action], envelope, body)

    def _mark(self, node: str) -> None:
        """The bucket is kept up to date at changes, not at each beat."""
        self._stored.behind.changed(node)


def _written(beat: Beat) -> tuple[str, str, bool]:
    """The part of a beat whose changes are written to the bucket."""
    return beat.epoch, beat.facts_id, beat.has_facts
