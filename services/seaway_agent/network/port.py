"""The port of the node's networking: networks, sandboxes, endpoints, in libnetwork's words. Pure.

A sandbox is a container's network namespace. Endpoints tie it to networks: none, one or many, and they come and go
while the container runs. `networks.NodeNetworks` is the kernel's, `fake.FakeNetworks` its twin in memory; both pass
tests/conformance/network. How one kind of network is made is a driver's concern (`driver.Driver`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import Final, NamedTuple, Protocol

DEFAULT_NETWORK: Final = "bridge"
"""The network whose addresses the node chooses itself; a ready sandbox has its first endpoint there."""


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """A network as this node has to make it.

    `id` is hexadecimal. `subnet` None: the node chooses (the default network alone). `gateway` None: the first address.
    """

    id: str
    name: str
    driver: str = "bridge"
    subnet: IPv4Network | None = None
    gateway: IPv4Address | None = None
    mtu: int = 1500
    options: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class EndpointRequest:
    """A container's place in a network, named by its name, as asked for.

    `address` None: the node chooses, on the default network alone. `mac` None: made from the address, as Docker does.
    """

    network: str
    address: IPv4Address | None = None
    mac: str | None = None


@dataclass(frozen=True, slots=True)
class EndpointInfo:
    """An endpoint as it was made: `interface` is its name in the sandbox, `host_interface` its other end ("": none)."""

    network: str
    interface: str
    address: IPv4Address
    prefix_len: int
    gateway: IPv4Address | None
    mac: str
    host_interface: str = ""


class SandboxHandle(NamedTuple):
    """A sandbox that was made: the namespace's path, good until `hand_over`, and its endpoints in the order asked."""

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
    """One node's networks, and the sandboxes of its containers, which are known by the container's id.

    After a start: ``make`` each network; ``adopt`` each live container; ``sweep``. Every method raises NetworkError
    (or a subclass that is named here) or OSError, with nothing left half made.
    """

    async def make(self, spec: NetworkSpec) -> NetworkSpec:
        """The network, with what was chosen for it. Again with the same spec it changes nothing; what runs stays.

        Raises SubnetError: it overlaps a network of the host, or is there with another subnet.
        """

    async def remove(self, name: str) -> None:
        """Take a network away. Harmless where there is none.

        Raises NetworkError where a container has an endpoint in it, and for the default network.
        """

    def present(self) -> tuple[NetworkSpec, ...]:
        """The networks that were made, in that order."""

    async def join(self, container: str, requests: Sequence[EndpointRequest]) -> SandboxHandle:
        """A new sandbox with all its endpoints, ``eth0`` first; without requests one with nothing but loopback.

        The first endpoint whose network has a gateway gets the default route. Raises AddressError: an address is
        taken or none of that network's; NetworkError: no such network, or the container has a sandbox.
        """

    def hand_over(self, container: str, pid: int) -> None:
        """The container's process holds the namespace from now on, and the namespace ends with it."""

    async def connect(self, container: str, request: EndpointRequest) -> EndpointInfo:
        """A further endpoint, in the running container. A caller who is cancelled meanwhile calls ``disconnect``.

        Raises AddressError; SandboxGone: its process has ended; NetworkError: it has one there, or no sandbox.
        """

    async def disconnect(self, container: str, network: str) -> None:
        """Take an endpoint from the running container; the next one with a gateway gets the default route.

        Harmless where it has none there. Raises NetlinkError.
        """

    async def leave(self, container: str) -> None:
        """Give back the sandbox and all endpoints. Harmless where there is none, and twice."""

    def endpoints(self, container: str) -> tuple[EndpointInfo, ...]:
        """The endpoints of a container's sandbox; none where it has no sandbox."""

    async def adopt(self, container: str, pid: int, requests: Sequence[EndpointRequest]) -> tuple[EndpointInfo, ...]:
        """Take over the sandbox of a container that outlived an earlier agent, whatever its process has done to it.

        The addresses in the requests are taken from now on. Raises SandboxGone: the process has ended.
        """

    async def sweep(self) -> list[str]:
        """Remove the interfaces and networks that belong to nobody; gives their names."""

    async def counters(self) -> Mapping[str, Mapping[str, InterfaceCounters]]:
        """The counters of all endpoints that have any, by container and interface."""
