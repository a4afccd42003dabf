"""Endpoints of containers in networks of users: which network is meant, on which node it is, which address is next."""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Final

from seaway_contracts.containers import ContainerRecord, ContainerSpec, EndpointSpec
from seaway_contracts.errors import Code, Reason, SeawayError, bad_request
from seaway_contracts.networks import NetworkRecord, network_id
from seaway_metadata.kinds.addresses import AddressBook, check_asked
from seaway_metadata.kinds.containers import ContainerView, address_claim
from seaway_metadata.kinds.networks import bound, home, kept_bound, predefined, released
from seaway_metadata.store.written import WrittenTable

_FAMILIES: Final = ((4, "ipv4_address", "claimed_ipv4"), (6, "ipv6_address", "claimed_ipv6"))


@dataclass(frozen=True)
class ResolvedEndpoint:
    """An endpoint with its network; None for a network of every node, and where there is no such network.

    `claims`: whether addresses are claimed for it now.
    """

    spec: EndpointSpec
    network: NetworkRecord | None = None
    claims: bool = True


class Endpoints:
    """One copy's."""

    def __init__(self, networks: WrittenTable[NetworkRecord], containers: ContainerView) -> None:
        self._networks = networks
        self._containers = containers
        self._book = AddressBook()

    async def resolve(
        self, endpoints: Sequence[EndpointSpec], node: str, *, of_new: str = ""
    ) -> list[ResolvedEndpoint]:
        """Find the networks, as they are stored now, and bind each to the node of its first container.

        `of_new`: the id of a container that is to be made, or of a build's lease; then refusals name the network, as
        Docker's do.

        Raises TransportError; SeawayError: CONFLICT, with the reason OTHER_NODE, for a network of another node;
        BAD_REQUEST for two endpoints in one network; FORBIDDEN for a configuration network.
        """
        resolved = [await self._resolve(endpoint, node, of_new) for endpoint in endpoints]
        named = {one.spec.network_id: one.spec.network for one in resolved if one.spec.network_id}
        for identifier, name in named.items():
            if [one.spec.network_id for one in resolved].count(identifier) > 1:
                raise bad_request(f"a container can have only one endpoint in network {name}")
        return resolved

    async def _resolve(self, endpoint: EndpointSpec, node: str, of_new: str) -> ResolvedEndpoint:
        if name := predefined(endpoint.network):
            return ResolvedEndpoint(endpoint.model_copy(update={"network": name, "network_id": network_id(name)}))
        network = await self._stored(endpoint.network)
        if network is None:
            return ResolvedEndpoint(endpoint.model_copy(update={"network_id": ""}))
        if network.config_only:
            raise SeawayError(Code.FORBIDDEN, "cannot create endpoint on configuration-only network")
        for asked in (endpoint.ipv4_address, endpoint.ipv6_address):
            if asked:
                check_asked(network, asked, f"invalid config for network {network.name}: " if of_new else "")
        if home(network) != node or network.bound_for not in ("", of_new):
            network = await self._bind(network, node, of_new)
        named = endpoint.model_copy(update={"network": network.name, "network_id": network.id})
        return ResolvedEndpoint(named, network)

    async def find(self, ref: str) -> NetworkRecord:
        """The network of users that somebody means. Raises SeawayError, TransportError."""
        return await self._networks.find(ref)

    async def _stored(self, ref: str) -> NetworkRecord | None:
        """Another copy may have removed it just now."""
        try:
            found = await self._networks.find(ref)
        except SeawayError as error:
            if error.code is Code.NOT_FOUND:
                return None
            raise
        return await self._networks.read(found.id)

    async def release(self, spec: ContainerSpec) -> None:
        """Free the networks that were bound for this new container, which was not made. Raises TransportError."""
        for identifier in {one.network_id for one in spec.network.endpoints if one.network_id}:
            await self.release_network(identifier, spec.id)

    async def release_network(self, identifier: str, holder: str) -> None:
        """Free a network that was bound for this container or build. Raises TransportError."""
        if self._networks.index.get(identifier) is not None:
            await self._networks.change(identifier, lambda found: released(found, holder))

    async def keep_bound(self, network: NetworkRecord, node: str) -> NetworkRecord:
        """Keep a network where a build uses it, of which no container's record tells. Raises TransportError."""
        return await self._networks.change(network.id, lambda found: kept_bound(found, node, time.time_ns())) or network

    async def _bind(self, network: NetworkRecord, node: str, new: str) -> NetworkRecord:
        is_used = any(
            endpoint.network_id == network.id
            for record in self._containers.all()
            for endpoint in record.spec.network.endpoints
        )

        def changed(found: NetworkRecord) -> NetworkRecord:
            return bound(found, node, time.time_ns(), used=is_used, new=new)

        found = await self._networks.change(network.id, changed)
        if found is None or home(found) != node:
            at = home(found or network)
            text = f"network {network.name} is on node {at}: containers in it can't be on node {node}"
            raise SeawayError(Code.CONFLICT, text, Reason.OTHER_NODE, {"node": at, "thing": f"network {network.name}"})
        return found

    def choose(self, resolved: Sequence[ResolvedEndpoint], refused: Collection[str] = ()) -> tuple[EndpointSpec, ...]:
        """The endpoints with the addresses to be claimed for them; call `settled` when they are, or won't be.

        `refused`: the words of claims that others have, though no container does as far as is known here. Raises
        SeawayError: FORBIDDEN where a network has no address left.
        """
        chosen: list[EndpointSpec] = []
        try:
            for one in resolved:
                if one.network is not None and one.claims:
                    chosen.append(self._chosen(one.spec, one.network, refused))
                else:
                    chosen.append(one.spec)
        except SeawayError:
            self.settled(chosen)
            raise
        return tuple(chosen)

    def _chosen(self, endpoint: EndpointSpec, network: NetworkRecord, refused: Collection[str]) -> EndpointSpec:
        addresses = {}
        for version, asked, claimed in _FAMILIES:
            text = getattr(endpoint, asked)
            addresses[claimed] = (
                str(ip_address(text))
                if text
                else self._book.choose(network, version, lambda address: self._is_taken(network, address, refused))
            )
        return endpoint.model_copy(update=addresses)

    def _is_taken(self, network: NetworkRecord, address: str, refused: Collection[str]) -> bool:
        claim = address_claim(network.id, address)
        return claim.word in refused or bool(self._containers.index.bearers(claim))

    def settled(self, endpoints: Sequence[EndpointSpec]) -> None:
        """Their addresses are claimed by now, or won't be."""
        for endpoint in endpoints:
            for _, _, claimed in _FAMILIES:
                self._book.settled(endpoint.network_id, getattr(endpoint, claimed))


def may_choose_again(error: SeawayError, endpoints: Sequence[EndpointSpec]) -> bool:
    """Whether another address may be free where this one was taken: unless the user asked for this one."""
    if error.reason is not Reason.ADDRESS_TAKEN:
        return False
    return not any(_asks(one, error.facts.get("claim", "")) for one in endpoints)


def _asks(endpoint: EndpointSpec, word: str) -> bool:
    """Whether the user asked for the address of that claim."""
    network, _, address = word.partition("/")
    asked = [getattr(endpoint, name) for _, name, _ in _FAMILIES]
    return endpoint.network_id == network and any(text and str(ip_address(text)) == address for text in asked)


def without_taken(error: SeawayError, resolved: Sequence[ResolvedEndpoint]) -> list[ResolvedEndpoint]:
    """The endpoints of a new container after one of their addresses was refused; raises the error if none was.

    One that was asked for is claimed at the container's start, as in Docker: until then its holder may go. Compose
    makes a service's new container before it removes the old one.
    """
    if error.reason is not Reason.ADDRESS_TAKEN:
        raise error
    return [replace(one, claims=one.claims and not _asks(one.spec, error.facts.get("claim", ""))) for one in resolved]


def with_endpoints(spec: ContainerSpec, endpoints: Sequence[EndpointSpec]) -> ContainerSpec:
    """The spec with these endpoints."""
    return spec.model_copy(update={"network": spec.network.model_copy(update={"endpoints": tuple(endpoints)})})


def endpoint_in(record: ContainerRecord, network: str) -> EndpointSpec | None:
    """A container's endpoint in the network of that id."""
    return next((one for one in record.spec.network.endpoints if one.network_id == network), None)
