"""The interface of network drivers, each of which makes one kind of network. `networks.DRIVERS` lists them.

A driver runs in the network's own thread, in the host's namespace, and may block there. It makes and removes
kernel objects; `networks.NodeNetworks` tracks addresses and the containers' sandboxes.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from seaway_agent.network.netlink import NetlinkSocket
from seaway_agent.network.port import EndpointInfo, InterfaceCounters, NetworkSpec
from seaway_agent.network.rtnl import Link


@dataclass(frozen=True, slots=True)
class EndpointPlan:
    """An endpoint to make. ``gateway``: set if it gets the sandbox's default route."""

    network: NetworkSpec
    interface: str
    address: IPv4Address
    prefix_len: int
    mac: str
    gateway: IPv4Address | None = None

    def info(self, host_interface: str = "") -> EndpointInfo:
        """The endpoint as planned, with its host interface."""
        network = self.network
        return EndpointInfo(
            network.name, self.interface, self.address, self.prefix_len, network.gateway, self.mac, host_interface
        )


@dataclass(frozen=True, slots=True)
class PluggedEndpoint:
    """An existing endpoint, and the interface index of its host end (0: none)."""

    info: EndpointInfo
    host_index: int = 0


class Driver(ABC):
    """One suite's networks of one kind. Every method raises NetworkError or OSError, and leaves nothing half made."""

    def __init__(self, suite: str) -> None:
        self.suite = suite

    @abstractmethod
    def make(self, spec: NetworkSpec) -> NetworkSpec:
        """Make the missing parts of a network; returns it with subnet and gateway. Raises SubnetError."""

    @abstractmethod
    def remove(self, spec: NetworkSpec) -> None:
        """Remove a network without endpoints."""

    @abstractmethod
    def plug(self, plan: EndpointPlan, netns_fd: int) -> PluggedEndpoint:
        """Put an endpoint into a namespace in which programs run."""

    def plug_at_start(self, plan: EndpointPlan, netns_fd: int, inner: NetlinkSocket) -> PluggedEndpoint:
        """Put an endpoint into a new namespace, quickly. ``inner`` speaks rtnetlink there.

        On error parts may be left: the caller removes the namespace.
        """
        return self.plug(plan, netns_fd)

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

    def sweep(self, live: Collection[str], networks: Iterable[NetworkSpec]) -> list[str]:
        """Remove interfaces of the suite that are neither ``live`` nor of these networks; returns their names."""
        return []

    def counters(self, endpoints: Iterable[PluggedEndpoint]) -> Mapping[str, InterfaceCounters]:
        """The endpoints' counters, by host interface."""
        return {}

    def refresh(self, networks: Iterable[NetworkSpec]) -> None:  # noqa: B027
        """Restore what another program removed of these networks."""

    def teardown(self) -> None:  # noqa: B027
        """Remove all of this suite's networks from the host, including those of earlier agents."""

    def close(self) -> None:  # noqa: B027
        """Close what is open; networks stay."""
