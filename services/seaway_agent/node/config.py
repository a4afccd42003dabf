"""The configuration that metadata gives this node's agent: its settings, the cluster's, the interval of beats."""

import asyncio
import logging
import sqlite3
from typing import Final

from seaway_agent.state.database import Store
from seaway_bus.bus import Bus
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import NODE_CONFIG, TO_NODES
from seaway_contracts.errors import Code, Reason, SeawayError, conflict
from seaway_contracts.node_settings import NodeConfig, NodeSettings, ToNodes

log = logging.getLogger(__name__)
_RETRY_S: Final = 5.0
_STORED: Final = "config"
_CLOSED: Final = {"pause": "it is paused", "drain": "it is being drained"}


class ReceivedConfig:
    """The last known configuration. The agent asks for it at its start, after a reconnection and after changes.

    It is stored: an agent that starts while metadata is away begins with the last one that this node had.
    """

    def __init__(self, bus: Bus, node: str, store: Store) -> None:
        self._bus = bus
        self._node = node
        self._store = store
        self._due = asyncio.Event()
        self._is_current = False
        """Whether metadata has answered since the start, or the last reconnection."""
        stored = store.fact(_STORED)
        known = NodeConfig.model_validate_json(stored) if stored else NodeConfig(settings=NodeSettings(node=node))
        self._use(known)

    async def run(self) -> None:
        """Keep it up to date; never returns."""
        self._bus.transport.on_reconnect(self._reconnected)
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
                if self._due.is_set():  # the node's settings may have changed since
                    answer = answer.model_copy(update={"settings": self.settings})
                self._keep(answer.model_copy(update={"to_nodes": self._newest(answer.to_nodes)}))
                self._is_current = True

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

    def _reconnected(self) -> None:
        """The server, and what it stores, may be another one."""
        self._is_current = False
        self._due.set()

    def _hear(self, body: ToNodes) -> None:
        """Settings of this node are used at once: they are in force for what asks this agent later."""
        known = self._known.model_copy(update={"to_nodes": self._newest(body)})
        if body.changed is not None and body.changed.node == self._node:
            known = known.model_copy(update={"settings": body.changed})
            self._due.set()
        self._keep(known)

    def _newest(self, body: ToNodes) -> ToNodes:
        """The message for all nodes, without older settings of the cluster: a copy of metadata may not have heard of a
        change yet.
        """
        older = self._is_current and body.cluster.version < self.cluster.version
        return body.model_copy(update={"changed": None, "cluster": self.cluster if older else body.cluster})

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
