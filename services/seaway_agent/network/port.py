"""The port of the node's networking: networks, sandboxes, endpoints, as in libnetwork. Pure.

A sandbox is a container's network namespace. Endpoints connect it to any number of networks, and come and go while
the container runs. `networks.NodeNetworks` implements the port on the kernel, `fake.FakeNetworks` in memory; both pass
tests/conformance/network. A driver (`driver.Driver`) makes one kind of network.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, NamedTuple, Protocol

from seaway_agent.network import options as driver_options
from seaway_agent.network.errors import NetworkError
from seaway_contracts.networks import NetworkRecord, network_id

DEFAULT_NAME: Final = "bridge"
DEFAULT_NETWORK: Final = network_id(DEFAULT_NAME)
"""The id of the network whose addresses the node allocates itself; a ready sandbox has its first endpoint there."""
_DEFAULT_MTU: Final = 1500
_HEXADECIMAL: Final = re.compile("[0-9a-f]+")
_READ_OPTIONS: Final[Mapping[str, Callable[[Mapping[str, str]], object]]] = {
    "bridge": driver_options.bridge_options,
    "macvlan": driver_options.macvlan_options,
}


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """A network to make on this node.

    `id` is hexadecimal. `subnet` None: the node chooses (the default network alone). `gateway` None: a bridge takes the
    first address, other drivers have none. `internal`: it leads nowhere else, so that its gateway is no way out.
    """

    id: str
    name: str
    driver: str = "bridge"
    subnet: IPv4Network | None = None
    gateway: IPv4Address | None = None
    subnet6: IPv6Network | None = None
    gateway6: IPv6Address | None = None
    internal: bool = False
    options: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def mtu(self) -> int:
        """The MTU of its interfaces."""
        return driver_options.mtu(self.options) or _DEFAULT_MTU

    @property
    def way_out(self) -> IPv4Address | None:
        """The next hop of a default route over this network."""
        return None if self.internal else self.gateway

    @property
    def way_out6(self) -> IPv6Address | None:
        """The next hop of an IPv6 default route over this network."""
        return None if self.internal else self.gateway6


def network_spec(record: NetworkRecord) -> NetworkSpec:
    """The network of a record, on its first subnet of each family. Raises NetworkError."""
    try:
        _check(record)
        subnet: IPv4Network | None = None
        subnet6: IPv6Network | None = None
        gateway: IPv4Address | None = None
        gateway6: IPv6Address | None = None
        for pool in record.pools:
            network, hop = ip_network(pool.subnet), ip_address(pool.gateway) if pool.gateway else None
            if isinstance(network, IPv4Network) and subnet is None:
                subnet, gateway = network, hop if isinstance(hop, IPv4Address) else None
            elif isinstance(network, IPv6Network) and subnet6 is None:
                subnet6, gateway6 = network, hop if isinstance(hop, IPv6Address) else None
    except ValueError as error:
        raise NetworkError(f"network {record.name}: {error}") from error
    return NetworkSpec(
        record.id, record.name, record.driver, subnet, gateway, subnet6, gateway6, record.internal, record.options
    )


def _check(record: NetworkRecord) -> None:
    """Raise ValueError for what can't be part of a path, a netlink attribute or a rule: a record may be anyone's."""
    if not _HEXADECIMAL.fullmatch(record.id):
        raise ValueError(f"{record.id!r} is no id")
    driver_options.mtu(record.options)
    driver_options.interface_prefix(record.options)
    if record.driver in _READ_OPTIONS:
        _READ_OPTIONS[record.driver](record.options)
    for text in (text for pool in record.pools for text in (pool.subnet, pool.gateway)):
        if "%" in text:
            raise ValueError(f"{text!r} has a zone")


@dataclass(frozen=True, slots=True)
class EndpointRequest:
    """A requested endpoint in the network of that id.

    `address` None: the node chooses, on the default network alone. `address6` is given if the network has IPv6. `mac`
    None: made from the address, as Docker does. `gateway_priority`: see `route_rank`.
    """

    network: str
    address: IPv4Address | None = None
    address6: IPv6Address | None = None
    mac: str | None = None
    gateway_priority: int = 0


def route_rank(gateway_priority: int, network_name: str) -> tuple[int, str]:
    """Docker's order of endpoints: of those that have a gateway, the first one gets the default route."""
    return -gateway_priority, network_name


@dataclass(frozen=True, slots=True)
class EndpointInfo:
    """An existing endpoint. `network`: its id. `interface`: its name in the sandbox; `host_interface`: its host end.

    `gateway` and `gateway6`: the next hops that it offers, whether or not the default routes lead there.
    """

    network: str
    interface: str
    address: IPv4Address
    prefix_len: int
    gateway: IPv4Address | None
    mac: str
    host_interface: str = ""
    address6: IPv6Address | None = None
    prefix_len6: int = 0
    gateway6: IPv6Address | None = None


class SandboxHandle(NamedTuple):
    """A sandbox: the namespace's path, valid until `hand_over`, and its endpoints in the order of the requests."""

    path: str
    endpoints: tuple[EndpointInfo, ...]


@dataclass(frozen=True, slots=True)
class InterfaceCounters:
    """Bytes and packets as the container sees them: ``rx`` is what it received."""

    rx_bytes: int = 0
    rx_packets: int = 0
    rx_errors: int = 0
    rx_dropped: int = 0
    tx_bytes: int = 0
    tx_packets: int = 0
    tx_errors: int = 0
    tx_dropped: int = 0


class Networks(Protocol):
    """One node's networks, and the sandboxes of its containers, by the container's id.

    After a start: ``make`` each network; ``adopt`` each live container; ``sweep``. Every method raises NetworkError
    (or a subclass that is named here) or OSError, and leaves nothing half made.
    """

    async def make(self, spec: NetworkSpec) -> NetworkSpec:
        """Make a network; returns it with subnets and gateways. Idempotent for the same spec.

        Raises SubnetError: it overlaps a network of the host, or exists with another subnet.
        """

    async def remove(self, network_id: str) -> None:
        """Remove a network. Harmless if there is none.

        Raises NetworkError if a container has an endpoint in it, and for the default network.
        """

    def present(self) -> tuple[NetworkSpec, ...]:
        """The networks that were made, in that order."""

    def is_made(self, network_id: str) -> bool:
        """Whether a network was made, and not removed."""

    async def join(self, container: str, requests: Sequence[EndpointRequest]) -> SandboxHandle:
        """Make a sandbox with these endpoints, ``eth0`` first; without requests it has only loopback.

        The default routes of IPv4 and IPv6 lead to the first endpoint by `route_rank` that has a gateway. Raises
        AddressError: an address is taken or none of that network's; NetworkError: no such network, it has as many
        endpoints as it can have, or the container has a sandbox.
        """

    def hand_over(self, container: str, pid: int) -> None:
        """Leave the namespace to the container's process: it ends with that."""

    async def connect(self, container: str, request: EndpointRequest) -> EndpointInfo:
        """Add an endpoint to the running container; the default routes follow. A cancelled caller calls ``disconnect``.

        Raises AddressError; SandboxGone: its process has ended; NetworkError: it has an endpoint there, or no sandbox.
        """

    async def disconnect(self, container: str, network_id: str) -> None:
        """Remove an endpoint from the running container; the default routes follow.

        Harmless if there is no endpoint. Raises NetlinkError.
        """

    async def share(self, container: str) -> None:
        """Prepare for another container in this one's sandbox: when this one leaves, its endpoints are removed from it.

        Harmless if there is no sandbox. Raises OSError.
        """

    async def leave(self, container: str) -> None:
        """Release the sandbox and all endpoints. Harmless if there is none, and twice."""

    def endpoints(self, container: str) -> tuple[EndpointInfo, ...]:
        """The endpoints of a container's sandbox; empty without a sandbox."""

    async def adopt(self, container: str, pid: int, requests: Sequence[EndpointRequest]) -> tuple[EndpointInfo, ...]:
        """Take over the sandbox of a container that outlived an earlier agent, even if its process has changed it.

        Allocates the addresses in the requests. Raises SandboxGone: the process has ended.
        """

    async def sweep(self) -> list[str]:
        """Remove the interfaces and networks without an owner; returns their names."""

    async def counters(self) -> Mapping[str, Mapping[str, InterfaceCounters]]:
        """The endpoints' counters, by container and interface."""
