"""The addresses of networks on this node, and their allocation in Docker's order. Pure.

The gateway is the first host address by default; each allocation follows the last one, so that a freed address is
reused as late as possible; at the end the search wraps around. Network and broadcast addresses are never allocated. A
/31 and a /32 have none: a /31 has room for one container, a /32 for the gateway alone. The search costs one step per
taken neighbour.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from seaway_agent.network.errors import AddressError, NetworkError
from seaway_agent.network.port import NetworkSpec

_LONGEST_WITH_EDGES = 30


class AddressPool:
    """Which addresses of a subnet are in use, the gateway included."""

    def __init__(self, subnet: IPv4Network, gateway: IPv4Address | None = None) -> None:
        self.subnet = subnet
        edge = int(subnet.prefixlen <= _LONGEST_WITH_EDGES)
        self._first = int(subnet.network_address) + edge
        self._last = int(subnet.broadcast_address) - edge
        self.gateway = gateway if gateway is not None else IPv4Address(self._first)
        self._check_inside(self.gateway)
        self._used = {int(self.gateway)}
        self._previous = int(self.gateway)

    def __contains__(self, address: IPv4Address) -> bool:
        """Whether an address is in use."""
        return int(address) in self._used

    @property
    def free(self) -> int:
        """How many addresses are free."""
        return self._last - self._first + 1 - len(self._used)

    def allocate(self) -> IPv4Address:
        """Allocate the next free address. Raises AddressError if there is none."""
        if self.free <= 0:
            raise AddressError(f"no available IPv4 addresses on this network's address pools: {self.subnet} is full")
        candidate = self._after(self._previous)
        while candidate in self._used:
            candidate = self._after(candidate)
        self._used.add(candidate)
        self._previous = candidate
        return IPv4Address(candidate)

    def reserve(self, address: IPv4Address) -> None:
        """Allocate one particular address; the order of the others doesn't change. Raises AddressError."""
        self._check_inside(address)
        if int(address) in self._used:
            raise AddressError("Address already in use")
        self._used.add(int(address))

    def release(self, address: IPv4Address) -> None:
        """Free an address. Harmless when repeated; the gateway stays allocated."""
        if address != self.gateway:
            self._used.discard(int(address))

    def restore(self, addresses: Iterable[IPv4Address]) -> None:
        """Mark the addresses of live containers after a restart; the order continues after the highest one."""
        for address in addresses:
            self._check_inside(address)
            self._used.add(int(address))
            self._previous = max(self._previous, int(address))

    def _after(self, address: int) -> int:
        return self._first if address >= self._last else address + 1

    def _check_inside(self, address: IPv4Address) -> None:
        if not self._first <= int(address) <= self._last:
            raise AddressError(
                f"Invalid address {address}: It does not belong to any of this network's subnets"
                f" (hosts of {self.subnet})"
            )


Address = IPv4Address | IPv6Address


class NetworkAddresses:
    """A network's addresses that are in use on this node, each with its holder: any object, by identity.

    With a ``pool`` the node chooses addresses that nobody asked for, as it does on the default network.
    """

    def __init__(self, spec: NetworkSpec, pool: AddressPool | None = None) -> None:
        self._spec = spec
        self._pool = pool
        self._holders: dict[Address, object] = {}
        self.endpoints = 0

    def take(
        self, address: IPv4Address | None, address6: IPv6Address | None, holder: object
    ) -> tuple[IPv4Address, IPv6Address | None]:
        """Allocate the wanted addresses, or one that the node chooses. Raises AddressError, NetworkError."""
        self._check_given(address, address6)
        for wanted in (address, address6):
            if wanted is not None:
                self._check_free(wanted)
        if self._pool is not None:
            if address is not None:
                self._pool.reserve(address)
            else:
                address = self._pool.allocate()
        assert address is not None
        self._hold(address, holder)
        if address6 is not None:
            self._hold(address6, holder)
        return address, address6

    def restore(self, address: Address, holder: object) -> None:
        """Mark the address of a live sandbox as its own. Raises AddressError if another sandbox has it."""
        if address in self._holders:
            raise AddressError("it belongs to another sandbox already")
        self._check_inside(address)
        if self._pool is not None and isinstance(address, IPv4Address):
            self._pool.restore([address])
        self._hold(address, holder)

    def is_held_by(self, address: Address, holder: object) -> bool:
        """Whether the address is that holder's alone."""
        return self._holders.get(address) is holder

    def free(self, addresses: Iterable[Address | None], holder: object) -> None:
        """Free addresses, except those of another holder."""
        for address in addresses:
            if address is None or not self.is_held_by(address, holder):
                continue
            del self._holders[address]
            if isinstance(address, IPv4Address):
                self.endpoints -= 1
                if self._pool is not None:
                    self._pool.release(address)

    def _hold(self, address: Address, holder: object) -> None:
        self._holders[address] = holder
        self.endpoints += isinstance(address, IPv4Address)

    def _check_given(self, address: IPv4Address | None, address6: IPv6Address | None) -> None:
        name = self._spec.name
        if address is None and self._pool is None:
            raise NetworkError(f"an endpoint in network {name} needs an address: none was given")
        if address6 is None and self._spec.subnet6 is not None:
            raise NetworkError(f"an endpoint in network {name} needs an IPv6 address: none was given")

    def _check_free(self, address: Address) -> None:
        self._check_inside(address)
        if address in self._holders or address in (self._spec.gateway, self._spec.gateway6):
            raise AddressError("Address already in use")

    def _check_inside(self, address: Address) -> None:
        subnet = self._spec.subnet if isinstance(address, IPv4Address) else self._spec.subnet6
        if subnet is None or address not in subnet:
            raise AddressError(f"Invalid address {address}: It does not belong to any of this network's subnets")


def first_host(subnet: IPv6Network) -> IPv6Address:
    """The address that a bridge gets where no gateway is given."""
    return subnet[1] if subnet.num_addresses > 1 else subnet[0]
