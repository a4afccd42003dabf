"""What metadata tells this node's agent: its settings, the cluster's, and the interval of beats."""

import asyncio
import logging
import sqlite3
from typing import Final

from seaway_agent.state.database import Store
from seaway_bus.bus import Bus
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import NODE_CONFIG, TO_NODES
from seaway_contracts.errors import SeawayError
from seaway_contracts.node_settings import NodeConfig, NodeSettings, ToNodes

log = logging.getLogger(__name__)
_RETRY_S: Final = 5.0
_STORED: Final = "config"


class ReceivedConfig:
    """The configuration as far as it is known; asked for at the start, after a reconnection and after changes.

    It is stored: an agent that starts while metadata is away begins with the last one that this node had.
    """

    def __init__(self, bus: Bus, node: str, store: Store) -> None:
        self._bus = bus
        self._node = node
        self._store = store
        self._due = asyncio.Event()
        stored = store.fact(_STORED)
        known = NodeConfig.model_validate_json(stored) if stored else NodeConfig(settings=NodeSettings(node=node))
        self._use(known)

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
                self._keep(answer)

    def _told(self, body: ToNodes) -> None:
        """Take it, unless a copy of metadata has sent it that has not heard of the last change yet."""
        if body.cluster.version >= self.cluster.version:
            self._keep(self._known.model_copy(update={"to_nodes": body}))
        if body.changed == self._node:
            self._due.set()

    def _keep(self, config: NodeConfig) -> None:
        if config == self._known:
            return
        self._use(config)
        try:
            self._store.put_fact(_STORED, config.model_dump_json(exclude_defaults=True))
        except sqlite3.Error as error:
            log.warning("this node's settings can't be stored, so the next agent asks for them: %s", error)

    def _use(self, config: NodeConfig) -> None:
        self._known = config
        self.settings = config.settings
        self.cluster = config.to_nodes.cluster
        self.beat_interval_s = config.to_nodes.beat_interval_ns / 1e9
        """At least this much between two beats."""
