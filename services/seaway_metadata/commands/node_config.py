"""Sends agents the interval of their beats, the cluster's settings, and their node's settings."""

from collections.abc import Callable

from seaway_bus.bus import Bus, Command
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import NODE_CONFIG, TO_NODES
from seaway_contracts.node_settings import ClusterSettings, NodeConfig, NodeSettings, ToNodes
from seaway_metadata.commands.reachable import reachable
from seaway_metadata.kinds.nodes import beat_interval_ns
from seaway_metadata.store.written import WrittenTable


class NodeConfigs:
    """Serves `node.config`, and publishes changes to all agents."""

    def __init__(
        self,
        bus: Bus,
        settings: WrittenTable[NodeSettings],
        nodes_up: Callable[[], int],
        missing: Callable[[], None],
        cluster: Callable[[], ClusterSettings],
    ) -> None:
        """`cluster` returns the cluster's settings, `nodes_up` how many nodes beat; `missing` is called when the
        buckets are not there.
        """
        self._bus = bus
        self._settings = settings
        self._nodes_up = nodes_up
        self._missing = missing
        self._cluster = cluster
        self._published: ToNodes | None = None

    async def serve(self) -> None:
        """Begin to answer."""
        await self._bus.serve(NODE_CONFIG, self.config)

    async def config(self, request: Empty, command: Command) -> NodeConfig:
        """The configuration of the node that asks. Its settings are read from the bucket: another copy may have made
        them.
        """
        node = command.node
        with reachable(self._missing):
            settings = await self._settings.read(node)
        return NodeConfig(settings=settings or NodeSettings(node=node), to_nodes=self._to_nodes())

    async def publish_changes(self) -> None:
        """Publish what all agents must know if it has changed, and at the start: it may have changed before that.

        Raises TransportError.
        """
        present = self._to_nodes()
        if present != self._published:
            await self._bus.publish(TO_NODES, present)
            self._published = present

    async def changed(self, settings: NodeSettings) -> None:
        """The settings of a node have changed: hand them to its agent. Raises TransportError."""
        await self._bus.publish(TO_NODES, self._to_nodes().model_copy(update={"changed": settings}))

    def _to_nodes(self) -> ToNodes:
        return ToNodes(beat_interval_ns=beat_interval_ns(self._nodes_up()), cluster=self._cluster())
