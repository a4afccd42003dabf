"""Removes networks of users: from their nodes, and then their records, names and subnets."""

import logging
from collections.abc import Callable, Iterator

from seaway_bus.bus import Bus, Command
from seaway_bus.outbox import Outbox
from seaway_contracts import catalogue
from seaway_contracts.containers import ContainerRecord
from seaway_contracts.docker_errors import network_in_use, no_such_network
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.networks import ListHeldNetworks, NetworkRecord, NetworkRef, NetworkReply, RemoveHeldNetwork
from seaway_contracts.nodes import NodeRecord
from seaway_kit.failpoints import Failpoint, reach
from seaway_metadata.commands.network_events import tell
from seaway_metadata.commands.reachable import reachable
from seaway_metadata.kinds.networks import NETWORK_NAMES, predefined
from seaway_metadata.kinds.subnet_record import SubnetRecord
from seaway_metadata.store.index import Index
from seaway_metadata.store.written import WrittenTable

log = logging.getLogger(__name__)


class NetworkRemoval:
    """Serves `network.remove`, and finishes what was interrupted."""

    def __init__(
        self,
        bus: Bus,
        table: WrittenTable[NetworkRecord],
        subnets: SubnetRecord,
        containers: Index[ContainerRecord],
        nodes: Callable[[], Iterator[NodeRecord]],
        outbox: Outbox,
        missing: Callable[[], None],
    ) -> None:
        """`missing` is called when the buckets are not there."""
        self._bus = bus
        self._table = table
        self._subnets = subnets
        self._containers = containers
        self._nodes = nodes
        self._outbox = outbox
        self._missing = missing

    async def serve(self) -> None:
        """Begin to answer."""
        await self._bus.serve(catalogue.REMOVE_NETWORK, self.remove)

    async def remove(self, request: NetworkRef, command: Command) -> NetworkReply:
        """Mark it, so that nobody uses it any more; remove it from its nodes; then its record, name and subnets."""
        if name := predefined(request.ref):
            raise SeawayError(Code.FORBIDDEN, f"{name} is a pre-defined network and cannot be removed")
        with reachable(self._missing):
            await self._table.current(request.basis)
            network = await self._table.find(request.ref)
            await self._check_unused(network)
            marked = await self._table.change(network.id, _removed)
            reach(Failpoint.NETWORK_MARKED)
            if marked is None:
                raise no_such_network(request.ref)
            await self._remove_from_nodes(marked)
            await self._finish(marked, command)
        return NetworkReply(network=network)

    async def _check_unused(self, network: NetworkRecord) -> None:
        """Raises SeawayError. A node that is up decides: records may be older than what a client has been told."""
        if network.config_only:
            if any(one.config_from == network.name for one in self._table.index):
                text = f'error while removing network: configuration network "{network.name}" is in use'
                raise SeawayError(Code.FORBIDDEN, text)
            return
        users = [record for record in self._containers if _uses(record, network)]
        up = {record.node for record in self._nodes() if record.state == "up"}
        for node in {record.node for record in users}:
            if node not in up or await self._is_used(network, node):
                raise network_in_use(network.name, network.id)

    async def _is_used(self, network: NetworkRecord, node: str) -> bool:
        held = await self._bus.call(catalogue.NETWORK_INVENTORY, ListHeldNetworks(ids=(network.id,)), node=node)
        return network.id in held.used

    async def _remove_from_nodes(self, network: NetworkRecord) -> None:
        """Where a node refuses, it stays as it was; where none answered, it is removed later. Raises SeawayError."""
        try:
            await self._tell_nodes(network)
        except SeawayError as error:
            if not error.retryable:
                await self._restore(network)
            if error.code is Code.CONFLICT:
                raise network_in_use(network.name, network.id) from error
            raise

    async def _restore(self, network: NetworkRecord) -> None:
        """Undo its mark, unless its removal is being finished."""
        await self._table.change(network.id, lambda found: _restored(found) if found == network else found)

    async def _tell_nodes(self, network: NetworkRecord) -> None:
        """Have its nodes remove it; one that is down does so when it is back. Raises SeawayError."""
        up = {record.node for record in self._nodes() if record.state == "up"}
        for node in network.nodes:
            if node in up:
                await self._bus.call(
                    catalogue.REMOVE_HELD_NETWORK, RemoveHeldNetwork(id=network.id, version=network.version), node=node
                )

    async def _finish(self, network: NetworkRecord, command: Command) -> None:
        """Tell of its end, free name and subnets, and remove its record. Raises TransportError.

        Only where it is still stored as it was when its nodes were told: another copy may have restored it, or finish
        this as well. The record stays, without a name, while one of its nodes is still to be told.
        """
        final = _changed(network)
        stored = await self._table.change(network.id, lambda found: final if found == network else found)
        if stored != final:
            return
        tell(self._outbox, catalogue.NETWORK_DESTROY, network, command)
        await self._subnets.release(network.id)
        reach(Failpoint.NETWORK_FREED)
        if not self._waits_for_node(network):
            await self._table.remove(network.id)
        elif network.name:
            await self._table.change(network.id, _nameless)
            await self._table.records.claims.release(NETWORK_NAMES.claim(network.name), network.id)

    def _waits_for_node(self, network: NetworkRecord) -> bool:
        """Whether one of its nodes is down. One that was removed from the cluster is not waited for."""
        down = {record.node for record in self._nodes() if record.state != "up"}
        return any(node in down for node in network.nodes)

    async def sweep(self) -> None:
        """Finish what was interrupted, and what nodes that were down are still to be told. Raises TransportError."""
        for network in await self._table.read_given_up():
            if self._waits_for_node(network) and not network.name:
                continue
            try:
                await self._remove_again(network)
            except (SeawayError, ValueError) as error:
                log.error("network %s is removed later: %s", network.id, error)

    async def _remove_again(self, network: NetworkRecord) -> None:
        try:
            await self._tell_nodes(network)
        except SeawayError as error:
            log.debug("network %s is removed later: %s", network.name, error)
            if error.code is Code.CONFLICT and network.name:  # whoever asked for the removal was never answered
                await self._restore(network)
        else:
            await self._finish(network, Command.new("metadata"))


def _uses(container: ContainerRecord, network: NetworkRecord) -> bool:
    status = container.status
    return bool(status.pid) and any(one.network_id == network.id for one in status.endpoints)


def _changed(network: NetworkRecord, **changes: object) -> NetworkRecord:
    return network.model_copy(update={"version": network.version + 1, **changes})


def _removed(network: NetworkRecord) -> NetworkRecord:
    if network.removed:  # somebody else is removing it
        raise no_such_network(network.name)
    return _changed(network, removed=True)


def _nameless(network: NetworkRecord) -> NetworkRecord:
    return _changed(network, name="") if network.removed else network


def _restored(network: NetworkRecord) -> NetworkRecord:
    return _changed(network, removed=False)
