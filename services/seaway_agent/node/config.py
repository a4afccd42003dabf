"""The configuration that metadata gives this node's agent: its settings, the cluster's, the interval of beats."""

import asyncio
import logging
from typing import Final

from seaway_bus.bus import Bus
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import NODE_CONFIG, TO_NODES
from seaway_contracts.errors import SeawayError, unavailable
from seaway_contracts.node_settings import ClusterSettings, NodeSettings, ToNodes

log = logging.getLogger(__name__)
_RETRY_S: Final = 5.0
_FIRST_S: Final = 5.0


class ReceivedConfig:
    """The last known configuration. The agent asks for it at its start, after a reconnection and after changes."""

    def __init__(self, bus: Bus, node: str) -> None:
        self._bus = bus
        self._node = node
        self._due = asyncio.Event()
        self._received = asyncio.Event()
        self.settings = NodeSettings(node=node)
        self.cluster = ClusterSettings()
        self.beat_interval_s = 0.0
        """At least this much between two beats."""

    async def run(self) -> None:
        """Keep it up to date; never returns."""
        self._bus.transport.on_reconnect(self._due.set)
        await self._bus.on_message(TO_NODES, self._hear)
        self._due.set()
        while True:
            await self._due.wait()
            self._due.clear()
            try:
                answer = await self._bus.call(NODE_CONFIG, Empty(), node=self._node)
            except SeawayError as error:
                log.info("metadata does not send this node's settings: %s; asking again", error)
                await asyncio.sleep(_RETRY_S)
                self._due.set()
            else:
                if answer.settings.version >= self.settings.version:
                    self.settings = answer.settings
                self._apply(answer.to_nodes)
                self._received.set()

    async def received(self) -> None:
        """Return once metadata has answered since the agent's start. Raises SeawayError (UNAVAILABLE) after a while."""
        try:
            async with asyncio.timeout(_FIRST_S):
                await self._received.wait()
        except TimeoutError:
            raise unavailable(
                f"node {self._node} has just started and does not know yet how much may be reserved; try again"
            ) from None

    def _hear(self, body: ToNodes) -> None:
        self._apply(body)
        if body.changed == self._node:
            self._due.set()

    def _apply(self, body: ToNodes) -> None:
        """A copy of metadata may not have heard yet of the cluster's last change."""
        if body.cluster.version >= self.cluster.version:
            self.cluster = body.cluster
        self.beat_interval_s = body.beat_interval_ns / 1e9
