"""Compares what nodes have of networks with the records: after lost buckets, and after a removal that they missed."""

import asyncio
import logging
from collections.abc import Callable, Iterable

from seaway_bus.bus import Bus
from seaway_contracts.catalogue import NETWORK_INVENTORY, REMOVE_HELD_NETWORK
from seaway_contracts.errors import SeawayError, bad_request
from seaway_contracts.ids import is_network_id
from seaway_contracts.networks import ListHeldNetworks, NetworkRecord, RemoveHeldNetwork
from seaway_contracts.nodes import NodeRecord
from seaway_kit.tasks import Tasks
from seaway_metadata.kinds.asked_nodes import AskedNodes
from seaway_metadata.kinds.containers import ADDRESSES
from seaway_metadata.kinds.network_checks import check_held, taken_on_hosts
from seaway_metadata.kinds.subnet_record import SubnetRecord
from seaway_metadata.store.inventories import Inventory
from seaway_metadata.store.kind import Claim
from seaway_metadata.store.written import WrittenTable

log = logging.getLogger(__name__)


class NetworkInventories(AskedNodes[NetworkRecord]):
    """Networks that nodes have."""

    noun = "network"
    most = 4096
    most_restored = 256

    def __init__(
        self,
        bus: Bus,
        table: WrittenTable[NetworkRecord],
        subnets: SubnetRecord,
        tasks: Tasks,
        nodes: Callable[[], Iterable[NodeRecord]],
    ) -> None:
        super().__init__(tasks, nodes)
        self._bus = bus
        self._table = table
        self._subnets = subnets
        self._restoring = asyncio.Lock()
        """Of two nodes that have a network, the first one's word makes its record again, the other one is added."""
        self._brought_back: dict[str, int] = {}
        """The networks whose records were lost, and the highest version that a node has of each."""

    async def _page(self, node: str, after: str) -> Inventory[NetworkRecord]:
        held = await self._bus.call(NETWORK_INVENTORY, ListHeldNetworks(after=after), node=node)
        return Inventory(held.epoch, held.networks, held.next)

    def _key(self, item: NetworkRecord) -> str:
        return item.id

    async def _compare_one(self, item: NetworkRecord, node: str) -> None:
        if not is_network_id(item.id):
            raise bad_request(f"{item.id!r} is no network id")
        if await self._table.is_gone(item.id):
            await self._remove(item, node)
            return
        async with self._restoring:
            await self._compare_with_record(item, node)

    async def _compare_with_record(self, item: NetworkRecord, node: str) -> None:
        if not await self._table.is_stored(item.id):
            await self._restore(item, node)
        elif item.id in self._brought_back:
            await self._add_node(item, node)
        elif self._table.index.get(item.id) is None:  # another copy has made its record again
            await self._table.read(item.id)

    async def _remove(self, network: NetworkRecord, node: str) -> None:
        """It was removed while the node was away. One that is in use there stays until its containers have stopped."""
        removed = self._table.given_up.get(network.id)
        asked = RemoveHeldNetwork(id=network.id, version=removed.version if removed is not None else 0)
        try:
            await self._bus.call(REMOVE_HELD_NETWORK, asked, node=node)
        except SeawayError as error:
            log.warning("network %s was removed, and is still on node %s: %s", network.name, node, error)

    # --- lost records

    async def _restore(self, network: NetworkRecord, node: str) -> None:
        """Make its record again if that may have been lost. Raises SeawayError for what no user's network can be."""
        check_held(network)
        if self._may_restore(node, network.id):
            await self._bring_back(network.model_copy(update={"nodes": (node,), "removed": False}), node)

    async def _bring_back(self, network: NetworkRecord, node: str) -> None:
        """Its name or its subnets may be another network's by now."""
        others = (record.beat.facts for record in self._nodes() if record.node != node)
        try:
            await self._subnets.reserve(network, taken_on_hosts(network, others))
            await self._table.register(network)
        except SeawayError as error:
            log.warning("network %s, which node %s has, gets no record: %s", network.name, node, error)
            await self._subnets.take_back(network.id, error)
            if self._table.index.get(network.id) is None:  # another copy may have made its record again just then
                await self._table.read(network.id)
        else:
            self._brought_back[network.id] = network.version
            log.warning("the record of network %s was lost; it is made again from what node %s has", network.name, node)

    async def _add_node(self, network: NetworkRecord, node: str) -> None:
        """Add a node that has the network too. Containers are on the one that knows the highest version."""
        check_held(network)
        first = network.version > self._brought_back[network.id]
        self._brought_back[network.id] = max(network.version, self._brought_back[network.id])

        def added(found: NetworkRecord) -> NetworkRecord:
            if node in found.nodes:
                return found
            nodes = (node, *found.nodes) if first else (*found.nodes, node)
            return found.model_copy(update={"nodes": nodes, "version": max(found.version, network.version) + 1})

        await self._table.change(network.id, added)

    # --- addresses

    async def may_claim(self, node: str, claim: Claim) -> bool:
        """Whether a container of a node may have an address: only in a network that is on the node.

        A network without a record was removed: nobody else gets an address in it. Lost records are back as soon as all
        nodes have said which networks they have. Raises TransportError.
        """
        network = claim.word.partition("/")[0]
        if claim.space != ADDRESSES.bucket.name or not is_network_id(network):
            return True
        known = self._table.index.get(network)
        if known is not None and node in known.nodes:
            return True
        nodes = await self._nodes_of(network)
        if nodes is None or node not in nodes:
            await self.told()
            nodes = await self._nodes_of(network)
        return nodes is None or node in nodes

    async def _nodes_of(self, network: str) -> tuple[str, ...] | None:
        """The nodes of a network as they are stored; None where there is no record of it."""
        try:
            found = await self._table.records.stored(network)
        except ValueError:  # nobody can say where it is
            return ()
        return found.record.nodes if found is not None else None
