"""The network of a build's steps: one sandbox for all of them, in the default network or in one of users."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Final

from seaway_agent.dns.port import ContainerNames, NamedEndpoint, Resolver
from seaway_agent.dns.upstreams import resolver_config
from seaway_agent.network import resolvconf
from seaway_agent.network.port import DEFAULT_NETWORK, EndpointInfo, EndpointRequest, Networks
from seaway_contracts.errors import bad_request
from seaway_contracts.networks import LeasedEndpoint, NetworkRecord

_RESOLV: Final = Path("/etc/resolv.conf")
MakeNetwork = Callable[[NetworkRecord], Awaitable[None]]
"""Makes the network of a record on this node if it isn't there yet. Raises SeawayError."""


@dataclass(frozen=True)
class StepNetwork:
    """`path`: see `StepRules.network`. `gateway`: the host's address towards the steps.

    `resolves`: the node's resolver serves them, as it does containers in networks of users.
    """

    path: str | None
    addresses: tuple[str, ...] = ()
    gateway: str = ""
    resolves: bool = False

    def resolv_conf(self) -> str:
        """The steps' resolv.conf, from the host's as it is now."""
        text = _resolv()
        if self.resolves:
            return resolver_config(text).resolv_conf
        return resolvconf.on_host(text) if self.path is None else resolvconf.for_container(text)


class StepNetworks:
    """Puts builds into networks."""

    def __init__(self, networks: Networks, make: MakeNetwork, resolver: Resolver) -> None:
        self._networks = networks
        self._make = make
        self._resolver = resolver

    async def join(self, stack: AsyncExitStack, build: str, network: str, joins: LeasedEndpoint | None) -> StepNetwork:
        """A sandbox in the default network, or with that endpoint in the network of that id; left with the stack.

        Raises SeawayError, NetworkError, ResolverError, OSError.
        """
        if not network:
            return await self._join(stack, build, EndpointRequest(DEFAULT_NETWORK))
        if joins is None or joins.network.id != network:
            raise bad_request("a build in a network of users needs an endpoint of its own there")
        request = _request(joins)
        await self._make(joins.network)
        found = await self._join(stack, build, request)
        stack.push_async_callback(self._resolver.detach, build)
        await self._resolver.attach(build, found.path or "", _names(joins.network, request))
        return found

    async def _join(self, stack: AsyncExitStack, build: str, request: EndpointRequest) -> StepNetwork:
        sandbox = await self._networks.join(build, [request])
        stack.push_async_callback(self._networks.leave, build)
        own = sandbox.endpoints[0]
        return StepNetwork(sandbox.path, _addresses(own), str(own.gateway or ""), request.network != DEFAULT_NETWORK)


def _request(joins: LeasedEndpoint) -> EndpointRequest:
    """Raises SeawayError."""
    ipv4, ipv6 = joins.endpoint.claimed_ipv4, joins.endpoint.claimed_ipv6
    try:
        return EndpointRequest(
            joins.network.id, IPv4Address(ipv4) if ipv4 else None, IPv6Address(ipv6) if ipv6 else None
        )
    except ValueError as error:
        raise bad_request(f"what the build has leased is no address: {error}") from None


def _names(network: NetworkRecord, request: EndpointRequest) -> ContainerNames:
    """The steps find the network's containers by their names, and have none themselves."""
    endpoint = NamedEndpoint(
        network.id,
        network.name,
        address=request.address,
        address6=request.address6,
        internal=network.internal,
    )
    config = resolver_config(_resolv(), ipv6=request.address6 is not None)
    return ContainerNames((endpoint,), config.upstreams, config.dotless_stay)


def _addresses(own: EndpointInfo) -> tuple[str, ...]:
    return tuple(str(address) for address in (own.address, own.address6) if address)


def _resolv() -> str:
    try:
        return _RESOLV.read_text(errors="replace")
    except OSError:
        return ""
