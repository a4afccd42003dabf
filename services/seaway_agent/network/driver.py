"""What makes one kind of network: a driver. `networks.DRIVERS` names them all.

A driver runs in the network's own thread, in the host's namespace, and may block there. It makes and removes what the
kernel has; which addresses are taken and which container has which sandbox is kept by `networks.NodeNetworks`.
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
    """What an endpoint is to be. ``gateway`` is told where it gets the sandbox's default route."""

    network: NetworkSpec
    interface: str
    address: IPv4Address
    prefix_len: int
    mac: str
    gateway: IPv4Address | None = None

    def info(self, host_interface: str = "") -> EndpointInfo:
        """The endpoint, made as planned."""
        network = self.network
        return EndpointInfo(
            network.name, self.interface, self.address, self.prefix_len, network.gateway, self.mac, host_interface
        )


@dataclass(frozen=True, slots=True)
class PluggedEndpoint:
    """An endpoint that is there, and the number of its host's end (0: it has none)."""

    info: EndpointInfo
    host_index: int = 0


class Driver(ABC):
    """One suite's networks of one kind. Everything raises NetworkError or OSError, with nothing left half made."""

    def __init__(self, suite: str) -> None:
        self.suite = suite

    @abstractmethod
    def make(self, spec: NetworkSpec) -> NetworkSpec:
        """Make all of a network that isn't there yet; gives it with subnet and gateway. Raises SubnetError."""

    @abstractmethod
    def remove(self, spec: NetworkSpec) -> None:
        """Remove what ``make`` has made, in which no endpoint is left."""

    @abstractmethod
    def plug(self, plan: EndpointPlan, netns_fd: int) -> PluggedEndpoint:
        """Put an endpoint into a namespace in which programs run."""

    def plug_at_start(self, plan: EndpointPlan, netns_fd: int, inner: NetlinkSocket) -> PluggedEndpoint:
        """Put an endpoint into a new namespace, quickly. ``inner`` speaks rtnetlink there.

        What is made may stay behind on error: the namespace goes then.
        """
        return self.plug(plan, netns_fd)

    @abstractmethod
    def unplug(self, plugged: PluggedEndpoint, netns_fd: int) -> None:
        """Take an endpoint out of a namespace that stays."""

    def release(self, plugged: PluggedEndpoint) -> None:  # noqa: B027 - there may be nothing to do
        """Forget an endpoint whose namespace ends, which removes what is in it."""

    @abstractmethod
    def adopt(self, plan: EndpointPlan, inside: Sequence[Link]) -> PluggedEndpoint:
        """Find again an endpoint of an earlier agent, among the interfaces of its namespace.

        Gives the plan's, without a host's end, where it isn't there any more.
        """

    def sweep(self, live: Collection[str], networks: Iterable[NetworkSpec]) -> list[str]:
        """Remove interfaces of the suite that are neither ``live`` nor of these networks; gives their names."""
        return []

    def counters(self, endpoints: Iterable[PluggedEndpoint]) -> Mapping[str, InterfaceCounters]:
        """What these endpoints have received and sent, by their host's end."""
        return {}

    def refresh(self, networks: Iterable[NetworkSpec]) -> None:  # noqa: B027
        """Make again what somebody else has removed of these networks."""

    def teardown(self) -> None:  # noqa: B027
        """Remove all that this suite's networks have on the host, made by this driver or one before it."""

    def close(self) -> None:  # noqa: B027
        """Close what is open; networks stay."""
