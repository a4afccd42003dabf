"""The interface of network drivers, each of which makes one kind of network. `networks.DRIVERS` lists them.

A driver runs in the network's own thread, in the host's namespace, and may block there. It makes and removes
kernel objects; `networks.NodeNetworks` tracks addresses and the containers' sandboxes.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface

from seaway_agent.network.netlink import NetlinkSocket
from seaway_agent.network.port import EndpointInfo, InterfaceCounters, NetworkSpec
from seaway_agent.network.rtnl import Link


@dataclass(frozen=True, slots=True)
class EndpointPlan:
    """An endpoint to make. ``gateway``, ``gateway6``: set if it gets that default route. ``rank``: its `route_rank`."""

    network: NetworkSpec
    interface: str
    address: IPv4Address
    mac: str
    address6: IPv6Address | None = None
    gateway: IPv4Address | None = None
    gateway6: IPv6Address | None = None
    rank: tuple[int, str] = (0, "")

    @property
    def addresses(self) -> list[IPv4Interface | IPv6Interface]:
        """Its addresses, with the prefix lengths of the network's subnets."""
        subnet, subnet6 = self.network.subnet, self.network.subnet6
        found: list[IPv4Interface | IPv6Interface] = []
        if subnet is not None:
            found.append(IPv4Interface((self.address, subnet.prefixlen)))
        if subnet6 is not None and self.address6 is not None:
            found.append(IPv6Interface((self.address6, subnet6.prefixlen)))
        return found

    @property
    def gateways(self) -> list[IPv4Address | IPv6Address]:
        """The next hops of the default routes to set."""
        return [gateway for gateway in (self.gateway, self.gateway6) if gateway is not None]

    def plugged(self, host_interface: str = "", host_index: int = 0) -> "PluggedEndpoint":
        """The endpoint as planned, with its host end."""
        network = self.network
        info = EndpointInfo(
            network=network.id,
            interface=self.interface,
            address=self.address,
            prefix_len=network.subnet.prefixlen if network.subnet is not None else 0,
            gateway=network.way_out,
            mac=self.mac,
            host_interface=host_interface,
            address6=self.address6,
            prefix_len6=network.subnet6.prefixlen if network.subnet6 is not None and self.address6 is not None else 0,
            gateway6=network.way_out6 if self.address6 is not None else None,
        )
        return PluggedEndpoint(info, host_index, self.rank)


@dataclass(frozen=True, slots=True)
class PluggedEndpoint:
    """An existing endpoint, the interface index of its host end (0: none), and its `route_rank`."""

    info: EndpointInfo
    host_index: int = 0
    rank: tuple[int, str] = (0, "")


class Driver(ABC):
    """One suite's networks of one kind. Every method raises NetworkError or OSError, and leaves nothing half made.

    ``capacity``: the most endpoints of a network on one node.
    """

    capacity: int | None = None

    def __init__(self, suite: str) -> None:
        self.suite = suite

    @abstractmethod
    def make(self, spec: NetworkSpec) -> NetworkSpec:
        """Make the missing parts of a network; returns it with subnets and gateways. Raises SubnetError."""

    @abstractmethod
    def remove(self, spec: NetworkSpec) -> None:
        """Remove a network without endpoints."""

    @abstractmethod
    def plug(self, plan: EndpointPlan, netns_fd: int, inner: NetlinkSocket) -> PluggedEndpoint:
        """Put an endpoint into a namespace in which programs run. ``inner`` speaks rtnetlink there."""

    def plug_at_start(self, plan: EndpointPlan, netns_fd: int, inner: NetlinkSocket) -> PluggedEndpoint:
        """Put an endpoint into a new namespace, quickly. ``inner`` speaks rtnetlink there.

        On error parts may be left: the caller removes the namespace.
        """
        return self.plug(plan, netns_fd, inner)

    @abstractmethod
    def unplug(self, plugged: PluggedEndpoint, netns_fd: int) -> None:
        """Take an endpoint out of a namespace that stays."""

    def release(self, plugged: PluggedEndpoint) -> None:  # noqa: B027 - optional
        """Release the host's state of an endpoint whose namespace ends, and with it the endpoint."""

    @abstractmethod
    def adopt(self, plan: EndpointPlan, inside: Sequence[Link]) -> PluggedEndpoint:
        """Find an earlier agent's endpoint among the interfaces of its namespace.

        Returns the planned one, without a host end, if it is gone.
        """

    def made_of(self, inside: Sequence[Link]) -> list[Link]:
        """Those of a container's interfaces that this driver made, as far as it can tell."""
        return []

    def sweep(self, live: Collection[str], networks: Iterable[NetworkSpec]) -> list[str]:
        """Remove interfaces of the suite that are neither ``live`` nor of these networks; returns their names.

        The networks are those that this driver has made.
        """
        return []

    def counters(self, endpoints: Iterable[PluggedEndpoint]) -> Mapping[str, InterfaceCounters]:
        """The endpoints' counters, by host interface."""
        return {}

    def interfaces(self) -> Collection[int]:
        """The indexes of its networks' interfaces on the host."""
        return ()

    def warnings(self) -> list[str]:
        """What keeps its networks from working, and how to change that."""
        return []

    def refresh(self, networks: Iterable[NetworkSpec]) -> None:  # noqa: B027
        """Restore what another program removed of these networks. One that can't be restored is logged."""

    def teardown(self) -> None:  # noqa: B027
        """Remove all of this suite's networks from the host, including those of earlier agents."""

    def close(self) -> None:  # noqa: B027
        """Close what is open; networks stay."""
