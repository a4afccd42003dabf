"""Compares what nodes have of networks with the records: after lost buckets, and after a removal that they missed."""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

from seaway_bus.bus import Bus
from seaway_bus.transport import TransportError
from seaway_contracts.catalogue import NETWORK_INVENTORY, REMOVE_HELD_NETWORK
from seaway_contracts.errors import SeawayError, bad_request
from seaway_contracts.ids import is_network_id
from seaway_contracts.networks import ListHeldNetworks, NetworkRecord, RemoveHeldNetwork
from seaway_contracts.nodes import Beat, NodeRecord
from seaway_kit.tasks import Tasks
from seaway_metadata.kinds.containers import ADDRESSES
from seaway_metadata.kinds.network_checks import check_held, taken_on_hosts
from seaway_metadata.kinds.subnet_record import SubnetRecord
from seaway_metadata.store.kind import Claim
from seaway_metadata.store.written import WrittenTable

log = logging.getLogger(__name__)
_MOST: Final = 4096
"""So many networks may a node say that it has."""
_MOST_RESTORED: Final = 256
"""So many networks are made again from what one node has."""
_TOLD_S: Final = 2.0


class NetworkInventories:
    """Asks each node once in each life of its agent."""

    def __init__(
        self,
        bus: Bus,
        table: WrittenTable[NetworkRecord],
        subnets: SubnetRecord,
        tasks: Tasks,
        nodes: Callable[[], Iterable[NodeRecord]],
    ) -> None:
        self._bus = bus
        self._table = table
        self._subnets = subnets
        self._tasks = tasks
        self._nodes = nodes
        self._epochs: dict[str, str] = {}
        self._asking: set[str] = set()
        self._answered = asyncio.Event()
        self._brought_back: dict[str, int] = {}
        """The networks whose records were lost, and the highest version that a node has of each."""
        self._doubts = 0
        """How often records may have been lost. Networks that have none are made again only after that."""
        self._heard: dict[str, int] = {}
        """The doubt after which each node has told last."""
        self._restored: Counter[str] = Counter()
        """How many networks were made again from what each node has, since the last doubt."""

    def beat(self, beat: Beat) -> None:
        """A node lives."""
        if self._epochs.get(beat.node) != beat.epoch and beat.node not in self._asking:
            self._asking.add(beat.node)
            self._tasks.spawn(f"networks-{beat.node}", self._compare(beat.node))

    def doubt(self) -> None:
        """Records may have been lost: ask all nodes at their next beats."""
        self._doubts += 1
        self._epochs.clear()
        self._restored.clear()

    async def _compare(self, node: str) -> None:
        doubts = self._doubts
        try:
            epoch = await self._compare_all(node)
            if doubts == self._doubts:
                self._heard[node] = doubts
                self._epochs[node] = epoch
                self._answered.set()
        except (SeawayError, TransportError) as error:
            log.info("node %s can't tell which networks it has: %s; asking again at its next beat", node, error)
        finally:
            self._asking.discard(node)

    async def _compare_all(self, node: str) -> str:
        """Ask for the node's networks by page; the epoch of the agent that told of the last. Raises as `Bus.call`."""
        told, page = 0, ListHeldNetworks()
        while True:
            held = await self._bus.call(NETWORK_INVENTORY, page, node=node)
            for network in held.networks[: _MOST - told]:
                await self._compare_safely(network, node)
            told += len(held.networks)
            if not held.next or not held.networks or told >= _MOST:
                return held.epoch
            page = ListHeldNetworks(after=held.next)

    async def _compare_safely(self, network: NetworkRecord, node: str) -> None:
        """What is wrong with one network says nothing of the others. Raises TransportError."""
        try:
            if not is_network_id(network.id):
                raise bad_request(f"{network.id!r} is no network id")
            await self._compare_one(network, node)
        except (SeawayError, ValueError) as error:
            log.warning("the network %.64r, which node %s has, is left alone: %s", network.id, node, error)

    async def _compare_one(self, network: NetworkRecord, node: str) -> None:
        if await self._table.is_gone(network.id):
            await self._remove(network, node)
        elif not await self._table.is_stored(network.id):
            await self._restore(network, node)
        elif network.id in self._brought_back:
            await self._add_node(network, node)
        elif self._table.index.get(network.id) is None:  # another copy has made its record again
            await self._table.read(network.id)

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
        """Make its record again if that may have been lost. Raises SeawayError for what no user's network can be.

        A node is not to make up networks: it is heard once after records may have been lost.
        """
        if self._heard.get(node, 0) == self._doubts:
            log.warning("node %s has network %s, of which there is no record", node, network.id)
            return
        if self._restored[node] >= _MOST_RESTORED:
            raise bad_request(f"{_MOST_RESTORED} networks were made again from what the node has")
        check_held(network)
        self._restored[node] += 1
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
        if nodes is None or network in self._brought_back:
            await self._told()
            nodes = await self._nodes_of(network)
        return nodes is None or node in nodes

    async def _nodes_of(self, network: str) -> tuple[str, ...] | None:
        """The nodes of a network as they are stored; None where there is no record of it."""
        try:
            found = await self._table.records.stored(network)
        except ValueError:  # nobody can say where it is
            return ()
        return found.record.nodes if found is not None else None

    async def _told(self) -> None:
        """Wait, for a moment at most, until all nodes have said which networks they have."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_TOLD_S):
                while not self._epochs.keys() >= {record.node for record in self._nodes() if record.state == "up"}:
                    self._answered.clear()
                    await self._answered.wait()
