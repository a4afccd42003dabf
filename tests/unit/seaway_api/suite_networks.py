"""The part of metadata that keeps networks, as far as the API asks it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from seaway_bus.bus import Bus
from seaway_contracts import catalogue as cat
from seaway_contracts.base import Empty
from seaway_contracts.commands import StatusReply
from seaway_contracts.containers import ContainerRecord, EndpointSpec
from seaway_contracts.errors import Code, Reason, SeawayError, conflict, not_found
from seaway_contracts.networks import (
    ConnectContainer,
    CreateNetwork,
    DisconnectContainer,
    LeaseAddresses,
    LeasedEndpoint,
    ListNetworks,
    NetworkList,
    NetworkRecord,
    NetworkRef,
    NetworkReply,
    ReturnAddresses,
)

Handlers = Callable[[str, Callable[[Any], Awaitable[Any]]], Any]


@dataclass
class SuiteNetworks:
    """`records` are the containers."""

    records: dict[str, ContainerRecord]
    networks: dict[str, NetworkRecord] = field(default_factory=dict)

    async def serve(self, bus: Bus, handler: Handlers) -> None:
        await bus.serve(cat.CREATE_NETWORK, handler("network.create", self._create))
        await bus.serve(cat.GET_NETWORK, handler("network.get", self._get))
        await bus.serve(cat.LIST_NETWORKS, handler("network.list", self._list))
        await bus.serve(cat.REMOVE_NETWORK, handler("network.remove", self._remove))
        await bus.serve(cat.CONNECT, handler("network.connect", self._connect))
        await bus.serve(cat.LEASE_ADDRESSES, handler("network.lease", self._lease))
        await bus.serve(cat.RETURN_ADDRESSES, handler("network.unlease", self._give_back))
        await bus.serve(cat.DISCONNECT, handler("network.disconnect", self._disconnect))

    def add(self, network: NetworkRecord) -> NetworkRecord:
        self.networks[network.id] = network
        return network

    def _find(self, ref: str) -> NetworkRecord:
        for network in self.networks.values():
            if ref in (network.id, network.name) or network.id.startswith(ref):
                return network
        raise not_found(f"network {ref} not found")

    async def _create(self, request: CreateNetwork) -> NetworkReply:
        if any(one.name == request.network.name for one in self.networks.values()):
            raise conflict(f"network with name {request.network.name} already exists")
        return NetworkReply(network=self.add(request.network))

    async def _get(self, request: NetworkRef) -> NetworkReply:
        return NetworkReply(network=self._find(request.ref))

    async def _list(self, request: ListNetworks) -> NetworkList:
        """Two at a time, the last first."""
        start = int(request.after or 0)
        networks = [*self.networks.values()][::-1]
        following = str(start + 2) if start + 2 < len(networks) else ""
        return NetworkList(networks=tuple(networks[start : start + 2]), next=following)

    async def _remove(self, request: NetworkRef) -> NetworkReply:
        return NetworkReply(network=self.networks.pop(self._find(request.ref).id))

    async def _connect(self, request: ConnectContainer) -> StatusReply:
        return self._answer(request.id)

    async def _disconnect(self, request: DisconnectContainer) -> StatusReply:
        return self._answer(request.id)

    async def _lease(self, request: LeaseAddresses) -> LeasedEndpoint:
        """A network with a node is there alone."""
        network = self._find(request.network)
        if network.nodes and request.node not in network.nodes:
            facts = {"node": network.nodes[0]}
            raise SeawayError(Code.CONFLICT, "network back is elsewhere", Reason.OTHER_NODE, facts)
        asked = EndpointSpec(network=network.name, network_id=network.id, claimed_ipv4="10.1.0.7")
        return LeasedEndpoint(network=network, endpoint=request.endpoint or asked)

    async def _give_back(self, request: ReturnAddresses) -> Empty:
        return Empty()

    def _answer(self, identifier: str) -> StatusReply:
        """The container's next status."""
        record = self.records[identifier]
        status = record.status.model_copy(update={"seq": record.status.seq + 1})
        self.records[identifier] = record.model_copy(update={"status": status})
        return StatusReply(status=status)
