"""Serves what is asked about networks of users: creating, finding, listing and removing them."""

import logging
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_network

from seaway_bus.bus import Bus, Command
from seaway_bus.outbox import Outbox
from seaway_contracts import catalogue
from seaway_contracts.base import Empty
from seaway_contracts.channels import EventChannel
from seaway_contracts.containers import ContainerRecord
from seaway_contracts.docker_errors import network_in_use, no_such_plugin
from seaway_contracts.errors import Code, SeawayError, bad_request
from seaway_contracts.ids import is_network_id
from seaway_contracts.lifecycle import Envelope
from seaway_contracts.networks import (
    DRIVERS,
    CreateNetwork,
    ListNetworks,
    NetworkEvent,
    NetworkList,
    NetworkRecord,
    NetworkRef,
    NetworkReply,
    RemoveHeldNetwork,
)
from seaway_contracts.nodes import NodeRecord
from seaway_kit.failpoints import Failpoint, reach
from seaway_metadata.commands.pruning import CLUSTER
from seaway_metadata.commands.reachable import reachable
from seaway_metadata.kinds.networks import NETWORK_NAMES, predefined
from seaway_metadata.kinds.subnet_record import SubnetRecord
from seaway_metadata.kinds.subnets import Subnet
from seaway_metadata.store.index import Index
from seaway_metadata.store.written import WrittenTable

log = logging.getLogger(__name__)


class NetworkCommands:
    """Serves `network.create`, `get`, `list` and `remove`."""

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
        serve = self._bus.serve
        await serve(catalogue.CREATE_NETWORK, self.create)
        await serve(catalogue.GET_NETWORK, self.get)
        await serve(catalogue.LIST_NETWORKS, self.list_networks)
        await serve(catalogue.REMOVE_NETWORK, self.remove)

    # --- creating

    async def create(self, request: CreateNetwork, command: Command) -> NetworkReply:
        """Subnets first, then name and record; the same again does nothing."""
        asked = request.network
        _check(asked)
        with reachable(self._missing):
            known = await self._table.read(asked.id)
            if known is not None:
                return NetworkReply(network=known)
            asked = await self._with_config(asked)
            if await self._table.records.claims.holder(NETWORK_NAMES.claim(asked.name)) is None:
                pools = await self._subnets.reserve(asked, self._taken_on_nodes(asked))
                reach(Failpoint.NETWORK_SUBNETS)
                asked = asked.model_copy(update={"pools": pools})
            network = await self._register(asked)
        reach(Failpoint.NETWORK_RECORDED)
        self._tell(catalogue.NETWORK_CREATE, network, command)
        return NetworkReply(network=network)

    async def _with_config(self, asked: NetworkRecord) -> NetworkRecord:
        """With what its configuration network says."""
        if not asked.config_from:
            return asked
        try:
            found = await self._table.find(asked.config_from)
        except SeawayError:
            raise _no_config(asked.config_from) from None
        if not found.config_only:
            raise _no_config(asked.config_from)
        taken = ("pools", "ipv6", "options", "ipam_options")
        labels = {**found.labels, **asked.labels}
        return asked.model_copy(update={**{name: getattr(found, name) for name in taken}, "labels": labels})

    async def _register(self, network: NetworkRecord) -> NetworkRecord:
        try:
            return await self._table.register(network)
        except SeawayError:
            await self._subnets.release(network.id)
            raise

    def _taken_on_nodes(self, network: NetworkRecord) -> Iterator[Subnet]:
        """The hosts' routes, and the subnets of their default bridges.

        None for a macvlan whose subnet the user gives: it is that of the hosts' own segment.
        """
        if network.driver == "macvlan" and any(pool.subnet for pool in network.pools):
            return
        for node in self._nodes():
            facts = node.beat.facts
            for text in (*facts.routes, facts.bridge.subnet):
                if text:
                    yield ip_network(text, strict=False)

    # --- reading

    async def get(self, request: NetworkRef, command: Command) -> NetworkReply:
        """One network."""
        with reachable(self._missing):
            await self._table.current(request.basis)
            return NetworkReply(network=await self._table.find(request.ref))

    async def list_networks(self, request: ListNetworks, command: Command) -> NetworkList:
        """All networks, in order of creation."""
        with reachable(self._missing):
            await self._table.current(request.basis)
        return NetworkList(networks=tuple(sorted(self._table.index, key=lambda one: (one.created_ns, one.id))))

    # --- removing

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
            if marked is not None:
                await self._remove_from_nodes(marked)
                await self.finish(marked, command)
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
        held = await self._bus.call(catalogue.NETWORK_INVENTORY, Empty(), node=node)
        return network.id in held.used

    async def _remove_from_nodes(self, network: NetworkRecord) -> None:
        """Where a node refuses, it stays as it was; where none answered, it is removed later. Raises SeawayError."""
        try:
            await self.tell_nodes(network)
        except SeawayError as error:
            if not error.retryable:
                await self._table.change(network.id, _restored)
            if error.code is Code.CONFLICT:
                raise network_in_use(network.name, network.id) from error
            raise

    async def tell_nodes(self, network: NetworkRecord) -> None:
        """Have its nodes remove it; one that is down does so when it is back. Raises SeawayError."""
        up = {record.node for record in self._nodes() if record.state == "up"}
        for node in network.nodes:
            if node in up:
                await self._bus.call(
                    catalogue.REMOVE_HELD_NETWORK, RemoveHeldNetwork(id=network.id, version=network.version), node=node
                )

    async def finish(self, network: NetworkRecord, command: Command) -> None:
        """Tell of its end, free name and subnets, and remove its record. Raises TransportError.

        The record stays, without a name, while one of its nodes is still to be told.
        """
        self._tell(catalogue.NETWORK_DESTROY, network, command)
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
        for network in [*self._table.given_up.values()]:
            if self._waits_for_node(network) and not network.name:
                continue
            try:
                await self.tell_nodes(network)
            except SeawayError as error:
                log.debug("network %s is removed later: %s", network.name, error)
                if error.code is Code.CONFLICT and network.name:  # whoever asked for the removal was never answered
                    await self._table.change(network.id, _restored)
                continue
            await self.finish(network, Command.new("metadata"))

    # --- events

    def _tell(self, channel: EventChannel[NetworkEvent], network: NetworkRecord, command: Command) -> None:
        envelope = Envelope(
            id=f"network-{channel.action}-{network.id}",
            node=CLUSTER,
            noun=channel.noun,
            action=channel.action,
            subject_id=network.id,
            time_ns=time.time_ns(),
            cause=command.id,
            actor=command.actor,
        )
        attributes = {"name": network.name, "type": "null" if network.config_only else network.driver}
        if not network.name:  # it was told before
            return
        self._outbox.tell(channel, envelope, NetworkEvent(network_id=network.id, attributes=attributes))


def _check(network: NetworkRecord) -> None:
    """Refuse what no caller should send."""
    if not is_network_id(network.id):
        raise bad_request(f"{network.id!r} is no network id: use 64 hex digits")
    if not NETWORK_NAMES.fits(network.name):
        raise bad_request(f"the network name must have 1 to {NETWORK_NAMES.most_bytes} bytes")
    if predefined(network.name) == network.name:
        text = f"operation is not permitted on predefined {network.name} network"
        raise SeawayError(Code.FORBIDDEN, text)
    if network.driver not in DRIVERS:
        raise no_such_plugin(network.driver)


def _uses(container: ContainerRecord, network: NetworkRecord) -> bool:
    status = container.status
    return bool(status.pid) and any(one.network_id == network.id for one in status.endpoints)


def _no_config(name: str) -> SeawayError:
    return SeawayError(Code.NOT_FOUND, f'configuration network "{name}" does not exist')


def _removed(network: NetworkRecord) -> NetworkRecord:
    return network.model_copy(update={"removed": True, "version": network.version + 1})


def _nameless(network: NetworkRecord) -> NetworkRecord:
    return network.model_copy(update={"name": "", "version": network.version + 1})


def _restored(network: NetworkRecord) -> NetworkRecord:
    return network.model_copy(update={"removed": False, "version": network.version + 1})
