"""Addresses of a network's pools: which one is next, and whether one may be asked for. Pure.

Docker's order: each address follows the one before it, so that a freed one is used again as late as possible; at the
end the search begins anew. Network and broadcast addresses, gateway and auxiliary addresses are never given.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

from seaway_contracts.errors import Code, SeawayError, bad_request
from seaway_contracts.networks import NetworkRecord, Pool

Address = IPv4Address | IPv6Address
_NETWORKS: Final = 4096
_MOST_STEPS: Final = 1 << 17


@dataclass(frozen=True, slots=True)
class _Range:
    """The addresses that a pool gives, by number, but for `reserved` ones."""

    make: Callable[[int], Address]
    first: int
    last: int
    reserved: frozenset[int]

    def after(self, previous: int) -> Iterator[int]:
        """All of them, from the one behind `previous` on."""
        size = self.last - self.first + 1
        start = previous + 1 if self.first <= previous < self.last else self.first
        for step in range(min(size, _MOST_STEPS)):
            number = self.first + (start - self.first + step) % size
            if number not in self.reserved:
                yield number


def _range(pool: Pool) -> _Range:
    subnet = ip_network(pool.subnet)
    inside = ip_network(pool.range, strict=False) if pool.range else subnet
    first, last = int(inside[0]), int(inside[-1])
    edges = {int(subnet[0])} if subnet.num_addresses > 2 else set()
    if subnet.version == 4 and subnet.num_addresses > 2:
        edges.add(int(subnet[-1]))
    reserved = {int(ip_address(text)) for text in (pool.gateway, *pool.auxiliary.values()) if text}
    make: Callable[[int], Address] = IPv4Address if subnet.version == 4 else IPv6Address
    return _Range(make, first, last, frozenset(edges | reserved))


def pool_size(pool: Pool) -> int:
    """How many addresses containers can have in a pool."""
    range_ = _range(pool)
    return range_.last - range_.first + 1 - sum(range_.first <= number <= range_.last for number in range_.reserved)


class AddressBook:
    """Chooses addresses. It remembers what it has given last in each network, and what it has just promised."""

    def __init__(self) -> None:
        self._previous: OrderedDict[tuple[str, int], int] = OrderedDict()
        self._promised: set[tuple[str, str]] = set()

    def choose(self, network: NetworkRecord, version: int, taken: Callable[[str], bool]) -> str:
        """The next free address of a family, promised until `settled`; empty where the network has none of that family.

        `taken` tells whether a container has an address. Raises FORBIDDEN where all are taken.
        """
        pools = [pool for pool in network.pools if ip_network(pool.subnet).version == version]
        previous = self._previous.get((network.id, version), 0)
        for pool in pools:
            range_ = _range(pool)
            for number in range_.after(previous):
                address = str(range_.make(number))
                if not taken(address) and (network.id, address) not in self._promised:
                    self._remember(network.id, version, number)
                    self._promised.add((network.id, address))
                    return address
        if not pools:
            return ""
        text = f"no available IPv{version} addresses on this network's address pools: {network.name} ({network.id})"
        raise SeawayError(Code.FORBIDDEN, text)

    def _remember(self, network: str, version: int, number: int) -> None:
        self._previous[network, version] = number
        self._previous.move_to_end((network, version))
        if len(self._previous) > _NETWORKS:
            self._previous.popitem(last=False)

    def settled(self, network: str, address: str) -> None:
        """The address is claimed by now, or will not be."""
        self._promised.discard((network, address))


def check_asked(network: NetworkRecord, text: str, head: str = "") -> None:
    """Whether a container may ask for this address. Raises BAD_REQUEST behind `head`, FORBIDDEN, in Docker's words."""
    address = ip_address(text)
    pools = [pool for pool in network.pools if ip_network(pool.subnet).version == address.version]
    if not any(pool.subnet_asked for pool in pools):
        raise _invalid(
            head,
            "user specified IP address is supported only when connecting to networks with user configured subnets",
        )
    for pool in pools:
        if address in ip_network(pool.subnet):
            reserved = _range(pool).reserved
            if int(address) in reserved:
                raise SeawayError(Code.FORBIDDEN, "Address already in use")
            return
    raise _invalid(head, f"no configured subnet or ip-range contain the IP address {address}")


def _invalid(head: str, text: str) -> SeawayError:
    return bad_request(f"{head}invalid endpoint settings:\n{text}")
