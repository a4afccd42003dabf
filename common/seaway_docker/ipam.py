"""The address pools of a network: what dockerd 26.1 refuses in them without a look at other networks. Pure.

Docker answers 500 where a gateway or an auxiliary address can't be had; here what the user got wrong is a 400.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from itertools import pairwise
from typing import Final

from seaway_docker.errors import InvalidParameter
from seaway_docker.model_network import IPAM, IPAMPool

Subnet = IPv4Network | IPv6Network
_BITS: Final = re.compile(r"0|[1-9][0-9]{0,2}")
_NO_CIDR: Final = "invalid CIDR block notation"


def check_ipam(ipam: IPAM, *, ipv6: bool) -> None:
    """Raise InvalidParameter for pools that can't be; those of IPv6 are only read if the network has it."""
    wrong = [text for pool in ipam.config or () for text in _wrong_pool(pool, ipv6=ipv6)]
    if wrong:
        text = wrong[0] if len(wrong) == 1 else "\n".join(f"* {line}" for line in wrong)
        raise InvalidParameter(f"invalid network config:\n{text}")


def check_addresses(ipam: IPAM, *, ipv6: bool) -> None:
    """Raise InvalidParameter for a gateway or an auxiliary address that nobody can have, or that two would have."""
    for pool in ipam.config or ():
        if ipv6 or _prefix(pool.subnet)[1].version == 4:
            _check_addresses(pool)


def subnets(ipam: IPAM, *, ipv6: bool = True) -> list[Subnet]:
    """The subnets of the pools that the network has, once they were checked."""
    found = [_prefix(pool.subnet)[1] for pool in ipam.config or ()]
    return [subnet for subnet in found if ipv6 or subnet.version == 4]


def are_overlapping(found: Sequence[Subnet]) -> bool:
    """Whether two of these have addresses in common."""
    ordered = sorted(found, key=lambda one: (one.version, int(one.network_address)))
    return any(one.version == after.version and one.overlaps(after) for one, after in pairwise(ordered))


def _prefix(text: str) -> tuple[str, Subnet]:
    """A prefix as Go prints it, and the block that it is in. Raises ValueError."""
    address, slash, bits = text.partition("/")
    host = ip_address(address)
    mapped = isinstance(host, IPv6Address) and host.ipv4_mapped is not None
    if not slash or "%" in address or mapped or not _BITS.fullmatch(bits):
        raise ValueError(text)
    return f"{host}/{bits}", ip_network(f"{host}/{bits}", strict=False)


def _wrong_pool(pool: IPAMPool, *, ipv6: bool) -> Iterator[str]:
    try:
        given, subnet = _prefix(pool.subnet)
    except ValueError:
        yield f"invalid subnet {pool.subnet}: {_NO_CIDR}"
        return
    if subnet.version == 6 and not ipv6:
        return
    if given != str(subnet):
        yield f"invalid subnet {given}: it should be {subnet}"
    if pool.ip_range:
        for text in _wrong_range(pool.ip_range, given, subnet):
            yield f"invalid ip-range {pool.ip_range}: {text}"
    if pool.gateway and (text := _wrong_address(pool.gateway, given, subnet)):
        yield f"invalid gateway {pool.gateway}: {text}"
    for name, address in sorted((pool.auxiliary or {}).items()):
        if text := _wrong_address(address, given, subnet):
            yield f"invalid auxiliary address {name}: {text}"


def _wrong_range(text: str, parent: str, subnet: Subnet) -> Iterable[str]:
    try:
        given, block = _prefix(text)
    except ValueError:
        yield _NO_CIDR
        return
    if block.version != subnet.version:
        yield f"parent subnet is an IPv{subnet.version} block"
        return
    if block.prefixlen < subnet.prefixlen:
        yield f"CIDR block is bigger than its parent subnet {parent}"
    if given != str(block):
        yield f"it should be {block}"
    if not block.overlaps(subnet):
        yield f"parent subnet {parent} doesn't contain ip-range"


def _wrong_address(text: str, parent: str, subnet: Subnet) -> str:
    try:
        address = ip_address(text)
    except ValueError:
        return "invalid address"
    if address.version != subnet.version:
        return f"parent subnet is an IPv{subnet.version} block"
    if address not in subnet or "%" in text:
        return f"parent subnet {parent} doesn't contain this address"
    return ""


def _check_addresses(pool: IPAMPool) -> None:
    _, subnet = _prefix(pool.subnet)
    taken = _reserved(subnet)
    if subnet.version == 6 and subnet.num_addresses == 1:
        raise InvalidParameter("failed to allocate gateway (): no available addresses on this pool")
    if pool.gateway:
        gateway = ip_address(pool.gateway)
        if gateway in taken:
            raise InvalidParameter(f"failed to allocate gateway ({pool.gateway}): Address already in use")
        taken.add(gateway)
    for name, text in sorted((pool.auxiliary or {}).items()):
        address = ip_address(text)
        if address in taken:
            raise InvalidParameter(f"failed to allocate secondary ip address ({name}:{text}): Address already in use")
        taken.add(address)


def _reserved(subnet: Subnet) -> set[IPv4Address | IPv6Address]:
    """The addresses of the subnet itself, and IPv4's broadcast address."""
    if subnet.version == 6:
        return {subnet[0]}
    return {subnet[0], subnet[-1]} if subnet.num_addresses > 2 else set()
