"""The port of the node's networking: networks, sandboxes, endpoints, as in libnetwork. Pure.

A sandbox is a container's network namespace. Endpoints connect it to any number of networks, and come and go while
the container runs. `networks.NodeNetworks` implements the port on the kernel, `fake.FakeNetworks` in memory; both pass
tests/conformance/network. A driver (`driver.Driver`) makes one kind of network.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Final, NamedTuple, Protocol

from seaway_contracts.networks import NetworkRecord

DEFAULT_NETWORK: Final = "bridge"
"""The network whose addresses the node allocates itself; a ready sandbox has its first endpoint there."""


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """A network to make on this node.

    `id` is hexadecimal. `subnet` None: the node chooses (the default network alone). `gateway` None: the first address.
    """

    id: str
    name: str
    driver: str = "bridge"
    subnet: IPv4Network | None = None
    gateway: IPv4Address | None = None
    subnet6: IPv6Network | None = None
    gateway6: IPv6Address | None = None
    internal: bool = False
    mtu: int = 1500
    options: Mapping[str, str] = field(default_factory=dict, hash=False)


def network_spec(record: NetworkRecord) -> NetworkSpec:
    """The network to make for a record, whose pools are complete."""
    subnets: dict[str, IPv4Network | IPv6Network] = {}
    gateways: dict[str, IPv4Address | IPv6Address] = {}
    for pool in record.pools:
        subnet = ip_network(pool.subnet)
        family = "6" if subnet.version == 6 else ""
        subnets.setdefault(f"subnet{family}", subnet)
        if pool.gateway:
            gateways.setdefault(f"gateway{family}", ip_address(pool.gateway))
    places: dict[str, Any] = {**subnets, **gateways}
    return NetworkSpec(
        record.id, record.name, record.driver, internal=record.internal, options=record.options, **places
    )


@dataclass(frozen=True, slots=True)
class EndpointRequest:
    """A requested endpoint in the network of that name.

    `address` None: the node chooses, on the default network alone. `mac` None: made from the address, as Docker does.
    """

    network: str
    address: IPv4Address | None = None
    address6: IPv6Address | None = None
    mac: str | None = None
    gateway_priority: int = 0


@dataclass(frozen=True, slots=True)
class EndpointInfo:
    """An existing endpoint. `interface`: its name in the sandbox; `host_interface`: its host end ("": none)."""

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
        """Make a network; returns it with subnet and gateway. Idempotent for the same spec.

        Raises SubnetError: it overlaps a network of the host, or exists with another subnet.
        """

    async def remove(self, name: str) -> None:
        """Remove a network. Harmless if there is none.

        Raises NetworkError if a container has an endpoint in it, and for the default network.
        """

    def present(self) -> tuple[NetworkSpec, ...]:
        """The networks that were made, in that order."""

    async def join(self, container: str, requests: Sequence[EndpointRequest]) -> SandboxHandle:
        """Make a sandbox with these endpoints, ``eth0`` first; without requests it has only loopback.

        The first endpoint whose network has a gateway gets the default route. Raises AddressError: an address is
        taken or none of that network's; NetworkError: no such network, or the container has a sandbox.
        """

    def hand_over(self, container: str, pid: int) -> None:
        """Leave the namespace to the container's process: it ends with that."""

    async def connect(self, container: str, request: EndpointRequest) -> EndpointInfo:
        """Add an endpoint to the running container. A cancelled caller calls ``disconnect``.

        Raises AddressError; SandboxGone: its process has ended; NetworkError: it has an endpoint there, or no sandbox.
        """

    async def disconnect(self, container: str, network: str) -> None:
        """Remove an endpoint from the running container; the next one with a gateway gets the default route.

        Harmless if there is no endpoint. Raises NetlinkError.
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
