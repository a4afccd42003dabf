"""Allocate the addresses of one subnet in Docker's order. Pure.

The gateway is the first host address by default; each allocation follows the last one, so that a freed address is
reused as late as possible; at the end the search wraps around. Network and broadcast addresses are never allocated.
The search costs one step per taken neighbour.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network

from seaway_agent.network.errors import AddressError, SubnetError

_SMALLEST_PREFIX = 30


class AddressPool:
    """Which addresses of a subnet are in use, the gateway included."""

    def __init__(self, subnet: IPv4Network, gateway: IPv4Address | None = None) -> None:
        if subnet.prefixlen > _SMALLEST_PREFIX:
            raise SubnetError(f"subnet {subnet} has no room for a gateway and a container: use a /30 or larger")
        self.subnet = subnet
        self._first = int(subnet.network_address) + 1
        self._last = int(subnet.broadcast_address) - 1
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
