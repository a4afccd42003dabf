"""The node's networks, each with its driver and addresses. Belongs to the network's thread."""

import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from seaway_agent.network.driver import Driver, PluggedEndpoint
from seaway_agent.network.errors import AddressError, NetworkError, SubnetError
from seaway_agent.network.ipam import AddressPool
from seaway_agent.network.port import DEFAULT_NETWORK, InterfaceCounters, NetworkSpec

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Network:
    """A network, and the holder of each of its addresses: any object, by identity."""

    spec: NetworkSpec
    driver: Driver
    addresses: AddressPool
    _holders: dict[IPv4Address, object] = field(default_factory=dict)

    def take(self, wanted: IPv4Address | None, holder: object) -> IPv4Address:
        """Allocate the wanted address, or one that the node chooses. Raises AddressError, NetworkError."""
        if wanted is not None:
            self.addresses.reserve(wanted)
        elif self.spec.name == DEFAULT_NETWORK:
            wanted = self.addresses.allocate()
        else:
            raise NetworkError(f"an endpoint in network {self.spec.name} needs an address: none was told")
        self._holders[wanted] = holder
        return wanted

    def restore(self, address: IPv4Address, holder: object) -> None:
        """Mark the address of a live sandbox as its own. Raises AddressError if another sandbox has it."""
        if address in self.addresses:
            raise AddressError("it belongs to another sandbox already")
        self.addresses.restore([address])
        self._holders[address] = holder

    def is_held_by(self, address: IPv4Address, holder: object) -> bool:
        """Whether the address is that holder's alone."""
        return self._holders.get(address) is holder

    def free(self, address: IPv4Address, holder: object) -> None:
        """Free an address, unless another holder has it."""
        if self.is_held_by(address, holder):
            del self._holders[address]
            self.addresses.release(address)


class NetworkTable:
    """The networks by name. ``by_name`` is replaced, never mutated, so that any thread may read it."""

    def __init__(self, drivers: Mapping[str, Driver]) -> None:
        self.by_name: Mapping[str, Network] = {}
        self._drivers = drivers

    def make(self, spec: NetworkSpec) -> NetworkSpec:
        """See `port.Networks`."""
        driver, there = self._drivers.get(spec.driver), self.by_name.get(spec.name)
        if driver is None:
            raise NetworkError(f"no network driver {spec.driver!r} on this node: use {' or '.join(self._drivers)}")
        if there is not None:
            _check_same(spec, there.spec)
            return driver.make(there.spec)
        if spec.subnet is None and spec.name != DEFAULT_NETWORK:
            raise SubnetError(f"network {spec.name} has no subnet: the node chooses that of {DEFAULT_NETWORK} alone")
        made = driver.make(spec)
        assert made.subnet is not None
        network = Network(made, driver, AddressPool(made.subnet, made.gateway))
        self.by_name = {**self.by_name, spec.name: network}
        return made

    def remove(self, name: str, *, in_use: bool) -> None:
        """See `port.Networks`."""
        network = self.by_name.get(name)
        if network is None:
            return
        if name == DEFAULT_NETWORK:
            raise NetworkError(f"network {name} is the node's own and can't be removed")
        if in_use:
            raise NetworkError(f"network {name} has active endpoints: disconnect its containers first")
        network.driver.remove(network.spec)
        self.by_name = {other: kept for other, kept in self.by_name.items() if other != name}

    def named(self, name: str) -> Network:
        """A network. Raises NetworkError."""
        if name not in self.by_name:
            raise NetworkError(f"network {name} is not on this node")
        return self.by_name[name]

    def of(self, plugged: PluggedEndpoint) -> Network:
        """The network of an endpoint, which always exists: it is removed after its endpoints."""
        return self.by_name[plugged.info.network]

    def refresh(self) -> None:
        """Restore what another program removed of the networks."""
        for driver in self._drivers.values():
            driver.refresh(self._specs(driver))

    def sweep(self, live: Collection[str]) -> list[str]:
        """Remove the host's interfaces that are neither live nor a network's; returns their names."""
        return [name for driver in self._drivers.values() for name in driver.sweep(live, self._specs(driver))]

    def counters(self, endpoints: Iterable[PluggedEndpoint]) -> dict[str, InterfaceCounters]:
        """The endpoints' counters, by host interface."""
        theirs: dict[Driver, list[PluggedEndpoint]] = {}
        for plugged in endpoints:
            theirs.setdefault(self.of(plugged).driver, []).append(plugged)
        return {name: one for driver, some in theirs.items() for name, one in driver.counters(some).items()}

    def teardown(self) -> None:
        """Remove all networks from the host."""
        for driver in self._drivers.values():
            driver.teardown()
        self.by_name = {}

    def close(self) -> None:
        """Close what the drivers have open; networks stay."""
        for driver in self._drivers.values():
            driver.close()

    def _specs(self, driver: Driver) -> list[NetworkSpec]:
        return [network.spec for network in self.by_name.values() if network.driver is driver]


def _check_same(asked: NetworkSpec, there: NetworkSpec) -> None:
    if (there.id, there.driver) != (asked.id, asked.driver):
        raise NetworkError(f"network {asked.name} is there already, as {there.id[:12]}: remove it first")
    if asked.subnet not in (None, there.subnet):
        raise SubnetError(f"network {asked.name} has subnet {there.subnet}, not {asked.subnet}: remove it first")
