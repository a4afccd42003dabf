"""A container's sandbox and its endpoints in networks."""

import secrets
from collections.abc import Collection, Iterable
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from seaway_agent.container.hook import Hook, RunRequest
from seaway_agent.core.events import JOINED
from seaway_agent.network.errors import NetworkError
from seaway_agent.network.port import EndpointInfo, EndpointRequest, Networks
from seaway_agent.runtime.contribution import Contribution
from seaway_agent.runtime.run import ContainerRun
from seaway_contracts.containers import ContainerNetworking, ContainerSpec, Endpoint, EndpointSpec
from seaway_contracts.docker_errors import no_such_network
from seaway_contracts.errors import internal
from seaway_contracts.networks import network_id
from seaway_kit.failpoints import Failpoint, reach


class NetworkHook(Hook):
    """Makes a sandbox, unless the container has the host's or another container's."""

    def __init__(self, networks: Networks) -> None:
        self._networks = networks

    async def prepare(self, request: RunRequest, before: Contribution) -> Contribution:
        """See the base."""
        spec = request.spec
        if spec.network.sandbox:
            return Contribution(endpoints=endpoints_of(spec.network))
        _check(spec, {network.id for network in self._networks.present()})
        try:
            sandbox = await self._networks.join(spec.id, requests_of(spec.network))
        except (NetworkError, OSError) as error:
            raise internal(f"no network for container {spec.name}: {error}") from error
        reach(Failpoint.START_CONNECTED)
        return Contribution(
            namespaces={"network": sandbox.path}, endpoints=endpoints_of(spec.network, sandbox.endpoints)
        )

    def created(self, container: str, run: ContainerRun) -> None:
        """See the base."""
        self._networks.hand_over(container, run.pid)

    async def undo(self, container: str) -> None:
        """See the base. A killed agent leaves nothing: namespace and interfaces end with their processes."""
        await self._networks.leave(container)


def _check(spec: ContainerSpec, there: Collection[str]) -> None:
    """Refuse a network that this node doesn't have: at the start, as a 404 at create makes Docker's CLI pull."""
    for endpoint in spec.network.endpoints:
        if _id(endpoint) not in there:
            raise no_such_network(endpoint.network)


def requests_of(network: ContainerNetworking) -> list[EndpointRequest]:
    """What a start asks of the networks. The default network's addresses are the node's to choose."""
    return [
        EndpointRequest(
            _id(endpoint),
            IPv4Address(endpoint.claimed_ipv4) if endpoint.claimed_ipv4 else None,
            IPv6Address(endpoint.claimed_ipv6) if endpoint.claimed_ipv6 else None,
            endpoint.mac_address or None,
            endpoint.gateway_priority,
        )
        for endpoint in network.endpoints
    ]


def requests_again(endpoints: Iterable[Endpoint]) -> list[EndpointRequest]:
    """What a running container has of the networks, to be taken over from the agent that gave it."""
    return [
        EndpointRequest(
            endpoint.network_id,
            IPv4Address(endpoint.address),
            IPv6Address(endpoint.ipv6_address) if endpoint.ipv6_address else None,
            endpoint.mac_address or None,
        )
        for endpoint in endpoints
        if endpoint.address
    ]


def endpoints_of(network: ContainerNetworking, made: Iterable[EndpointInfo] = ()) -> tuple[Endpoint, ...]:
    """The endpoints for the status: one in each network that Docker shows, JOINED in another container's sandbox."""
    given = {endpoint.network: _given(endpoint) for endpoint in made}
    ids = {endpoint.network: _id(endpoint) for endpoint in network.endpoints}
    return tuple(
        Endpoint(
            network=name,
            network_id=ids.get(name, network_id(name)),
            endpoint_id=secrets.token_hex(32),
            **given.get(ids.get(name, ""), {}),
        )
        for name in network.networks or (JOINED,)
    )


def _id(endpoint: EndpointSpec) -> str:
    """The id of an endpoint's network: that of a network of users, or of one that every node has."""
    return endpoint.network_id or network_id(endpoint.network)


def _given(endpoint: EndpointInfo) -> dict[str, Any]:
    return {
        "address": str(endpoint.address),
        "prefix_len": endpoint.prefix_len,
        "gateway": str(endpoint.gateway or ""),
        "mac_address": endpoint.mac,
        "ipv6_address": str(endpoint.address6 or ""),
        "ipv6_prefix_len": endpoint.prefix_len6,
        "ipv6_gateway": str(endpoint.gateway6 or ""),
    }
