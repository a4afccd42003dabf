"""What metadata tells this node's agent: its settings, the cluster's, and the interval of beats."""

import asyncio
import logging
from typing import Final

from seaway_bus.bus import Bus
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import NODE_CONFIG, TO_NODES
from seaway_contracts.errors import Code, Reason, SeawayError, conflict
from seaway_contracts.node_settings import ClusterSettings, NodeSettings, ToNodes

log = logging.getLogger(__name__)
_RETRY_S: Final = 5.0
_CLOSED: Final = {"pause": "it is paused", "drain": "it is being drained"}


class ReceivedConfig:
    """The configuration as far as it is known; asked for at the start, after a reconnection and after changes."""

    def __init__(self, bus: Bus, node: str) -> None:
        self._bus = bus
        self._node = node
        self._due = asyncio.Event()
        self.settings = NodeSettings(node=node)
        self.cluster = ClusterSettings()
        self.beat_interval_s = 0.0
        """At least this much between two beats."""

    async def run(self) -> None:
        """Keep it up to date; never returns."""
        self._bus.transport.on_reconnect(self._due.set)
        await self._bus.on_message(TO_NODES, self._told)
        self._due.set()
        while True:
            await self._due.wait()
            self._due.clear()
            try:
                answer = await self._bus.call(NODE_CONFIG, Empty(), node=self._node)
            except SeawayError as error:
                log.info("metadata can't tell this node's settings: %s; asking again", error)
                await asyncio.sleep(_RETRY_S)
                self._due.set()
            else:
                if not self._due.is_set():  # else the settings may have changed since
                    self.settings = answer.settings
                self._apply(answer.to_nodes)

    def check_takes_new(self) -> None:
        """Raise SeawayError (CONFLICT, NO_ROOM) where no new container may come; schedulers may hear of that later."""
        if self.settings.availability != "active":
            text = f"node {self._node} gets no new containers: {_CLOSED[self.settings.availability]}"
            raise SeawayError(Code.CONFLICT, text, Reason.NO_ROOM, {"node": self._node, "lacks": "availability"})

    def check_starts_new(self) -> None:
        """Raise SeawayError (CONFLICT) where no container may have its first run: one that was made before a drain."""
        if self.settings.availability == "drain":
            raise conflict(
                f"node {self._node} is drained, so a container that has not run yet is not started there: "
                f"`seaway node activate {self._node}` ends that"
            )

    def _told(self, body: ToNodes) -> None:
        self._apply(body)
        if body.changed is not None and body.changed.node == self._node:
            self.settings = body.changed  # at once: what asks this agent later finds them in force
            self._due.set()

    def _apply(self, body: ToNodes) -> None:
        self.cluster = body.cluster
        self.beat_interval_s = body.beat_interval_ns / 1e9
