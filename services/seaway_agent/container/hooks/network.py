"""A container's sandbox and its endpoints in networks."""

import secrets
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from seaway_agent.container.held_networks import HeldNetworks, id_of
from seaway_agent.container.hook import Hook, RunRequest
from seaway_agent.container.measures import ALLOCATE_SECONDS, RELEASE_SECONDS
from seaway_agent.core.events import JOINED
from seaway_agent.network.errors import NetworkError
from seaway_agent.network.port import EndpointInfo, EndpointRequest, Networks
from seaway_agent.runtime.contribution import Contribution
from seaway_agent.runtime.run import ContainerRun
from seaway_contracts.containers import ContainerNetworking, Endpoint, EndpointSpec
from seaway_contracts.errors import internal
from seaway_contracts.networks import network_id
from seaway_kit.failpoints import Failpoint, reach


class NetworkHook(Hook):
    """Makes a sandbox, unless the container has the host's or another container's."""

    def __init__(self, networks: Networks, held: HeldNetworks) -> None:
        self._networks = networks
        self._held = held

    async def prepare(self, request: RunRequest, before: Contribution) -> Contribution:
        """See the base. Raises SeawayError: 404 for a network that this node doesn't have.

        At the start, as in Docker: its CLI would pull the image after a 404 at create.
        """
        spec = request.spec
        if partner := spec.network.partner:
            await self._share(partner)
        if spec.network.sandbox:
            return Contribution(endpoints=endpoints_of(spec.network))
        for endpoint in spec.network.endpoints:
            await self._held.make(endpoint)
        try:
            with ALLOCATE_SECONDS.time():
                sandbox = await self._networks.join(spec.id, [request_of(one) for one in spec.network.endpoints])
        except (NetworkError, OSError) as error:
            raise internal(f"no network for container {spec.name}: {error}") from error
        reach(Failpoint.START_CONNECTED)
        return Contribution(
            namespaces={"network": sandbox.path}, endpoints=endpoints_of(spec.network, sandbox.endpoints)
        )

    async def _share(self, partner: str) -> None:
        try:
            await self._networks.share(partner)
        except OSError as error:
            raise internal(f"the network of container {partner} can't be shared: {error}") from error

    def created(self, container: str, run: ContainerRun) -> None:
        """See the base."""
        self._networks.hand_over(container, run.pid)

    async def undo(self, container: str) -> None:
        """See the base. A killed agent leaves nothing: namespace and interfaces end with their processes."""
        with RELEASE_SECONDS.time():
            await self._networks.leave(container)


def request_of(endpoint: EndpointSpec) -> EndpointRequest:
    """What an endpoint asks of the port. The default network's addresses are the node's to choose."""
    return EndpointRequest(
        id_of(endpoint),
        _ipv4(endpoint.claimed_ipv4),
        _ipv6(endpoint.claimed_ipv6),
        endpoint.mac_address or None,
        endpoint.gateway_priority,
    )


def requests_again(network: ContainerNetworking, endpoints: Iterable[Endpoint]) -> list[EndpointRequest]:
    """What a running container has of the networks, to be taken over from the agent that gave it."""
    priorities = {id_of(one): one.gateway_priority for one in network.endpoints}
    return [
        EndpointRequest(
            one.network_id,
            _ipv4(one.address),
            _ipv6(one.ipv6_address),
            one.mac_address or None,
            priorities.get(one.network_id, 0),
        )
        for one in endpoints
        if one.address or one.ipv6_address
    ]


def endpoints_of(network: ContainerNetworking, made: Iterable[EndpointInfo] = ()) -> tuple[Endpoint, ...]:
    """The endpoints for the status: one in each network that Docker shows, JOINED in another container's sandbox."""
    given = {info.network: info for info in made}
    if network.endpoints:
        return tuple(endpoint_of(one, given.get(id_of(one))) for one in network.endpoints)
    names = (JOINED,) if network.partner else network.networks
    return tuple(_endpoint(name, network_id(name)) for name in names)


def endpoint_of(asked: EndpointSpec, made: EndpointInfo | None) -> Endpoint:
    """One endpoint for the status."""
    return _endpoint(asked.network, id_of(asked), **(_given(made) if made is not None else {}))


def _endpoint(name: str, identifier: str, **given: Any) -> Endpoint:
    return Endpoint(network=name, network_id=identifier, endpoint_id=secrets.token_hex(32), **given)


def _given(made: EndpointInfo) -> dict[str, Any]:
    return {
        "address": str(made.address or ""),
        "prefix_len": made.prefix_len,
        "gateway": str(made.gateway or ""),
        "mac_address": made.mac,
        "ipv6_address": str(made.address6 or ""),
        "ipv6_prefix_len": made.prefix_len6,
        "ipv6_gateway": str(made.gateway6 or ""),
    }


def _ipv4(text: str) -> IPv4Address | None:
    return IPv4Address(text) if text else None


def _ipv6(text: str) -> IPv6Address | None:
    return IPv6Address(text) if text else None
