"""Choose a bridge's subnet, from Docker's pools, beside the host's own networks. Pure.

Docker's local address pools are 172.17.0.0/16 … 172.31.0.0/16 and 192.168.0.0/20 … 192.168.240.0/20; its own
first bridge usually sits on 172.17.0.0/16, so that one is left out.
"""

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network, collapse_addresses

from seaway_agent.network.errors import SubnetError


def candidates() -> Iterator[IPv4Network]:
    """The subnets to try, in order."""
    for second in range(18, 32):
        yield IPv4Network(f"172.{second}.0.0/16")
    yield from IPv4Network("192.168.0.0/16").subnets(new_prefix=20)


def choose(occupied: Iterable[IPv4Network | IPv6Network]) -> IPv4Network:
    """The first candidate that overlaps none of the host's networks; raises SubnetError if all do.

    Ignores default routes (prefix length 0), which don't claim addresses.
    """
    taken = [network for network in occupied if network.prefixlen > 0]
    for candidate in candidates():
        if not any(candidate.overlaps(network) for network in taken):
            return candidate
    raise SubnetError(
        "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the"
        " network: configure a subnet"
    )


def destinations(routes: Iterable[IPv4Network | IPv6Network]) -> tuple[str, ...]:
    """The private networks among the destinations of routes, joined, in order and without default routes.

    A network of containers gets no public addresses, of which a router may have routes by the hundred thousand.
    """
    found = {network for network in routes if network.prefixlen > 0 and network.is_private and _is_routed(network)}
    four = collapse_addresses(network for network in found if isinstance(network, IPv4Network))
    six = collapse_addresses(network for network in found if isinstance(network, IPv6Network))
    return tuple(map(str, (*four, *six)))


def _is_routed(network: IPv4Network | IPv6Network) -> bool:
    return not (network.is_link_local or network.is_loopback or network.is_multicast)


def check(subnet: IPv4Network | IPv6Network, occupied: Iterable[IPv4Network | IPv6Network]) -> None:
    """Raise SubnetError if a configured subnet overlaps one of the host's networks."""
    for network in occupied:
        if network.prefixlen > 0 and subnet.overlaps(network):
            raise SubnetError(f"subnet {subnet} overlaps the host's network {network}: configure another subnet")
