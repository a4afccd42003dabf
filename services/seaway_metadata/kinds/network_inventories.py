"""Compares what nodes have of networks with the records: after lost buckets, and after a removal that they missed."""

import logging
from typing import Final

from seaway_bus.bus import Bus
from seaway_bus.transport import TransportError
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import NETWORK_INVENTORY, REMOVE_HELD_NETWORK
from seaway_contracts.errors import SeawayError
from seaway_contracts.networks import NetworkId, NetworkRecord
from seaway_contracts.nodes import Beat
from seaway_kit.tasks import Tasks
from seaway_metadata.kinds.subnet_record import SubnetRecord
from seaway_metadata.store.written import WrittenTable

log = logging.getLogger(__name__)
_MOST: Final = 4096
"""So many networks may a node say that it has."""


class NetworkInventories:
    """Asks each node once in each life of its agent."""

    def __init__(self, bus: Bus, table: WrittenTable[NetworkRecord], subnets: SubnetRecord, tasks: Tasks) -> None:
        self._bus = bus
        self._table = table
        self._subnets = subnets
        self._tasks = tasks
        self._epochs: dict[str, str] = {}
        self._asking: set[str] = set()

    def beat(self, beat: Beat) -> None:
        """A node lives."""
        if self._epochs.get(beat.node) != beat.epoch and beat.node not in self._asking:
            self._asking.add(beat.node)
            self._tasks.spawn(f"networks-{beat.node}", self._compare(beat.node))

    def doubt(self) -> None:
        """Records may have been lost: ask all nodes at their next beats."""
        self._epochs.clear()

    async def _compare(self, node: str) -> None:
        try:
            held = await self._bus.call(NETWORK_INVENTORY, Empty(), node=node)
            for network in held.networks[:_MOST]:
                await self._compare_one(network, node)
            self._epochs[node] = held.epoch
        except (SeawayError, TransportError) as error:
            log.info("node %s can't tell which networks it has: %s; asking again at its next beat", node, error)
        finally:
            self._asking.discard(node)

    async def _compare_one(self, network: NetworkRecord, node: str) -> None:
        if self._table.is_gone(network.id):
            await self._remove(network, node)
        elif not await self._table.is_stored(network.id):
            await self._bring_back(network, node)

    async def _remove(self, network: NetworkRecord, node: str) -> None:
        """It was removed while the node was away. One that is in use there stays until its containers have stopped."""
        try:
            await self._bus.call(REMOVE_HELD_NETWORK, NetworkId(id=network.id), node=node)
        except SeawayError as error:
            log.warning("network %s was removed, and is still on node %s: %s", network.name, node, error)

    async def _bring_back(self, network: NetworkRecord, node: str) -> None:
        """Its record was lost. Its name or its subnets may be another network's by now."""
        again = network.model_copy(update={"nodes": (node,), "removed": False})
        try:
            await self._subnets.reserve(again, ())
            await self._table.register(again)
        except SeawayError as error:
            log.warning("network %s, which node %s has, gets no record: %s", network.name, node, error)
            if not error.retryable and not await self._table.is_stored(network.id):
                await self._subnets.release(network.id)
        else:
            log.warning("the record of network %s was lost; it is made again from what node %s has", network.name, node)
