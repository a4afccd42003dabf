"""The node's networks, each with its driver and addresses. Belongs to the network's thread."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from seaway_agent.network import host_network
from seaway_agent.network.driver import Driver, EndpointPlan, PluggedEndpoint
from seaway_agent.network.errors import NetworkError, SubnetError
from seaway_agent.network.ipam import AddressPool, NetworkAddresses
from seaway_agent.network.netlink import ROUTE, NetlinkSocket
from seaway_agent.network.port import (
    DEFAULT_NAME,
    DEFAULT_NETWORK,
    EndpointInfo,
    EndpointRequest,
    InterfaceCounters,
    NetworkSpec,
)
from seaway_agent.network.rtnl import Link
from seaway_agent.network.subnets import destinations


@dataclass(frozen=True, slots=True)
class Network:
    """A network, with its driver and addresses."""

    spec: NetworkSpec
    driver: Driver
    addresses: NetworkAddresses

    def take(self, request: EndpointRequest, holder: object) -> tuple[IPv4Address, IPv6Address | None]:
        """Allocate an endpoint's addresses. Raises AddressError, NetworkError."""
        most = self.driver.capacity
        if most is not None and self.addresses.endpoints >= most:
            raise NetworkError(
                f"network {self.spec.name} has {most} endpoints on this node, and a {self.spec.driver} can't have more:"
                " disconnect a container, or use another network"
            )
        return self.addresses.take(request.address, request.address6, holder)

    def free(self, endpoint: EndpointInfo | EndpointPlan, holder: object) -> None:
        """Free an endpoint's addresses, except those of another holder."""
        self.addresses.free((endpoint.address, endpoint.address6), holder)


class NetworkTable:
    """The networks by id. ``by_id`` is replaced, never mutated, so that any thread may read it."""

    def __init__(self, drivers: Mapping[str, Driver]) -> None:
        self.by_id: Mapping[str, Network] = {}
        self._drivers = drivers

    def make(self, spec: NetworkSpec) -> NetworkSpec:
        """See `port.Networks`."""
        driver, there = self._drivers.get(spec.driver), self.by_id.get(spec.id)
        if driver is None:
            raise NetworkError(f"no network driver {spec.driver!r} on this node: use {' or '.join(self._drivers)}")
        if there is not None:
            _check_same(spec, there.spec)
            return driver.make(there.spec)
        if spec.subnet is None and spec.id != DEFAULT_NETWORK:
            raise SubnetError(f"network {spec.name} has no subnet: the node chooses that of {DEFAULT_NAME} alone")
        made = driver.make(spec)
        assert made.subnet is not None
        pool = AddressPool(made.subnet, made.gateway) if made.id == DEFAULT_NETWORK else None
        self.by_id = {**self.by_id, spec.id: Network(made, driver, NetworkAddresses(made, pool))}
        return made

    def remove(self, network_id: str, *, in_use: bool) -> None:
        """See `port.Networks`."""
        network = self.by_id.get(network_id)
        if network is None:
            return
        name = network.spec.name
        if network_id == DEFAULT_NETWORK:
            raise NetworkError(f"network {name} is the node's own and can't be removed")
        if in_use:
            raise NetworkError(f"network {name} has active endpoints: disconnect its containers first")
        network.driver.remove(network.spec)
        self.by_id = {other: kept for other, kept in self.by_id.items() if other != network_id}

    def get(self, network_id: str) -> Network:
        """A network. Raises NetworkError."""
        if network_id not in self.by_id:
            raise NetworkError(f"network {network_id} is not on this node")
        return self.by_id[network_id]

    def of(self, plugged: PluggedEndpoint) -> Network:
        """The network of an endpoint, which always exists: it is removed after its endpoints."""
        return self.by_id[plugged.info.network]

    def refresh(self) -> None:
        """Restore what another program removed of the networks."""
        for driver in self._drivers.values():
            driver.refresh(self._specs(driver))

    def sweep(self, live: Collection[str]) -> list[str]:
        """Remove the host's interfaces that are neither live nor a network's; returns their names."""
        return [name for driver in self._drivers.values() for name in driver.sweep(live, self._specs(driver))]

    def left_inside(self, inside: Sequence[Link]) -> list[str]:
        """The names of those interfaces of a container that the drivers made. Raises NetlinkError, OSError."""
        return [link.name for driver in self._drivers.values() for link in driver.made_of(inside)]

    def counters(self, endpoints: Iterable[PluggedEndpoint]) -> dict[str, InterfaceCounters]:
        """The endpoints' counters, by host interface."""
        theirs: dict[Driver, list[PluggedEndpoint]] = {}
        for plugged in endpoints:
            theirs.setdefault(self.of(plugged).driver, []).append(plugged)
        return {name: one for driver, some in theirs.items() for name, one in driver.counters(some).items()}

    def routes(self) -> tuple[str, ...]:
        """The destinations of the host's routes, except those over the interfaces of these networks."""
        own = {index for driver in self._drivers.values() for index in driver.interfaces()}
        with NetlinkSocket(ROUTE) as host:
            return destinations(host_network.routes(host, own))

    def warnings(self) -> tuple[str, ...]:
        """What keeps networks from working, and how to change that."""
        return tuple(text for driver in self._drivers.values() for text in driver.warnings())

    def teardown(self) -> None:
        """Remove all networks from the host."""
        for driver in self._drivers.values():
            driver.teardown()
        self.by_id = {}

    def close(self) -> None:
        """Close what the drivers have open; networks stay."""
        for driver in self._drivers.values():
            driver.close()

    def _specs(self, driver: Driver) -> list[NetworkSpec]:
        return [network.spec for network in self.by_id.values() if network.driver is driver]


def _check_same(asked: NetworkSpec, there: NetworkSpec) -> None:
    for wanted, present in ((asked.subnet, there.subnet), (asked.subnet6, there.subnet6)):
        if wanted not in (None, present):
            raise SubnetError(f"network {asked.name} has subnet {present}, not {wanted}: remove it first")
