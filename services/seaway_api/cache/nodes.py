"""The nodes, as this process knows them: from metadata's list, and from their events since.

Events say at once who is up and who is down. Everything else comes from the list, which is read again after an event
and when it is old.
"""

import asyncio
import logging
import math
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from seaway_api.translate.nodes import NodeView, node_view
from seaway_bus.bus import Bus
from seaway_bus.down_nodes import DownNodes
from seaway_bus.events import Event
from seaway_contracts import catalogue as cat
from seaway_contracts.base import Empty
from seaway_contracts.errors import SeawayError
from seaway_contracts.nodes import NodeEvent, NodeRecord
from seaway_docker.timestamps import rfc3339nano
from seaway_kit.addresses import ip_of
from seaway_kit.tasks import Tasks

log = logging.getLogger(__name__)
_FRESH_S: Final = 30.0
"""No event tells that an agent was started again with other labels, or that a node has another address."""
_AGAIN_S: Final = 5.0
_READ_S: Final = 2.0
_OF_JOINING: Final = frozenset({"add", "admit", "refuse"})
_LATE_NS: Final = 300_000_000_000


def is_of_this_machine(address: str) -> bool:
    """Whether a process here could listen at that IP address; true for an empty one."""
    if not address:
        return True
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


class KnownNodes:
    """What this process knows of nodes. `down`: the bus's list of nodes that are down, which this keeps."""

    def __init__(
        self,
        down: DownNodes | None = None,
        *,
        is_local: Callable[[str], bool] = is_of_this_machine,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._down = down or DownNodes()
        self._is_local = is_local
        self._now = now
        self._views: dict[str, NodeView] = {}
        self._told: set[str] = set()
        self._back_ns: dict[str, int] = {}
        self.is_read = False
        """Whether the list was read at all."""
        self._read_at = -math.inf
        self._outdated = True
        self._reading = asyncio.Lock()

    def view(self, node: str) -> NodeView:
        """A node; of one that isn't known only its name."""
        return self._views.get(node) or NodeView(node, up=not self.is_down(node))

    @property
    def names(self) -> list[str]:
        """The names of all nodes, up or down."""
        return sorted(self._views)

    def is_down(self, node: str) -> bool:
        """Whether a node is known to be down."""
        return self._down.is_down(node)

    # --- the list

    async def refresh(self, bus: Bus, tasks: Tasks) -> None:
        """Read the list if an event has outdated it; if it is only old, read it in the background. Logs a failure."""
        if self._outdated:
            await self._read(bus)
        elif self._now() >= self._read_at + _FRESH_S and not self._reading.locked():
            tasks.spawn("nodes", self._read(bus, again=True))

    async def _read(self, bus: Bus, *, again: bool = False) -> None:
        async with self._reading:
            if not (again or self._outdated):
                return  # while this one waited, another has read it
            self._outdated = False
            try:
                nodes = (await bus.call(cat.LIST_NODES, Empty(), timeout_s=_READ_S)).nodes
            except SeawayError as error:
                log.info("the list of nodes can't be read: %s", error)
                self._read_at = self._now() - _FRESH_S + _AGAIN_S
                return
            self.learn(nodes)

    def learn(self, records: Iterable[NodeRecord]) -> None:
        """Take the list over. Who is up is an event's to say, once there was one."""
        self._views = {record.node: self._viewed(record) for record in records}
        self.is_read = True
        self._read_at = self._now()

    def _viewed(self, record: NodeRecord) -> NodeView:
        node = record.node
        if node not in self._told and (record.state == "up") == self.is_down(node):
            if record.state == "up":
                self._down.back(node)
            else:
                self._down.gone(node, f"no beat since {rfc3339nano(record.last_beat_ns)}")
        address = record.beat.facts.address
        remote = ip_of(address) is not None and not self._is_local(address)
        return node_view(record, up=not self.is_down(node), remote=remote)

    # --- events

    def receive(self, event: Event) -> None:
        """A node's event. A `down` that comes behind the `up` after it is past; but one that seems much older comes
        from a clock that was set back.
        """
        envelope = event.envelope
        node, action = envelope.node, envelope.action
        if action in _OF_JOINING:
            return  # its first beat is what counts
        self._outdated = True
        if action == "update":
            return
        self._told.add(node)
        if action == "remove":
            self._down.gone(node, "it was removed")
        elif action != "down":
            self._down.back(node)
            self._back_ns[node] = max(envelope.time_ns, self._back_ns.get(node, 0))
        elif not 0 < self._back_ns.get(node, 0) - envelope.time_ns < _LATE_NS:
            body = event.body()
            self._down.gone(node, body.reason if isinstance(body, NodeEvent) else "")
        if node in self._views:
            self._views[node] = replace(self._views[node], up=not self.is_down(node))
