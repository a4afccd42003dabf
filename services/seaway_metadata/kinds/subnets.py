"""Subnets of networks: which are free, and what a network gets that leaves its pools open. Pure.

Docker's rules: libnetwork's `ipam` and `ipamutils`. Its IPv6 pool is a unique local one (RFC 4193), as since Docker 27.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from seaway_contracts.errors import Code, SeawayError, bad_request
from seaway_contracts.networks import NetworkRecord, Pool

Subnet = IPv4Network | IPv6Network


@dataclass(frozen=True)
class DefaultPool:
    """Addresses of which networks without subnets of their own get parts of `size` bits."""

    base: Subnet
    size: int

    def first_free(self, taken: Iterable[Subnet]) -> Subnet | None:
        """Its first part that overlaps none of these."""
        step = 1 << self.base.max_prefixlen - self.size
        start, end = _range(self.base)
        same = [other for other in taken if other.version == self.base.version and other.prefixlen]
        for first, last in sorted(map(_range, same)):
            if first >= start + step:
                break
            if last >= start:  # go on with the first part behind it
                start += (last - start) // step * step + step
        return type(self.base)((start, self.size)) if start <= end else None


def _range(subnet: Subnet) -> tuple[int, int]:
    """Its first and its last address."""
    return int(subnet.network_address), int(subnet.broadcast_address)


def _pools(*texts: tuple[str, int]) -> tuple[DefaultPool, ...]:
    return tuple(DefaultPool(ip_network(base), size) for base, size in texts)


DEFAULT_POOLS: Final = _pools(
    ("172.17.0.0/16", 16),
    ("172.18.0.0/16", 16),
    ("172.19.0.0/16", 16),
    ("172.20.0.0/14", 16),
    ("172.24.0.0/14", 16),
    ("172.28.0.0/14", 16),
    ("192.168.0.0/16", 20),
)
"""Docker's."""


def parse_pool(text: str) -> DefaultPool:
    """A default pool as dockerd's `--default-address-pool` takes it: `base=10.10.0.0/16,size=24`.

    Raises ValueError.
    """
    words = dict(part.partition("=")[::2] for part in text.split(","))
    if words.keys() != {"base", "size"} or not words["size"].isdigit():
        raise ValueError(f"{text!r} is no address pool: write it as base=10.10.0.0/16,size=24")
    base, size = ip_network(words["base"]), int(words["size"])
    if not base.prefixlen <= size <= base.max_prefixlen:
        raise ValueError(f"{text!r} is no address pool: the size must be {base.prefixlen} to {base.max_prefixlen} bits")
    return DefaultPool(base, size)


def overlapping(subnet: Subnet, taken: Iterable[Subnet]) -> Subnet | None:
    """The first of these that overlaps the subnet. A default route (no bits) claims no addresses."""
    for other in taken:
        if other.version == subnet.version and other.prefixlen and subnet.overlaps(other):
            return other
    return None


def complete(network: NetworkRecord, taken: Iterable[Subnet], defaults: Sequence[DefaultPool]) -> tuple[Pool, ...]:
    """The pools of a network, with subnets and gateways for what was left open.

    Raises SeawayError: FORBIDDEN where a subnet overlaps one of `taken`, or none is free; BAD_REQUEST for what is no
    subnet, and for addresses outside of it.
    """
    busy, pools = [*taken], []

    def add(pool: Pool, subnet: Subnet, *, asked: bool) -> None:
        if not subnet.prefixlen or overlapping(subnet, busy) is not None:
            raise SeawayError(Code.FORBIDDEN, "Pool overlaps with other one on this address space")
        busy.append(subnet)
        pools.append(_with_gateway(pool, subnet, asked=asked))

    for pool in network.pools:
        add(pool, parse_subnet(pool.subnet) if pool.subnet else _free(busy, defaults), asked=bool(pool.subnet))
    if network.config_only:
        return tuple(pools)
    versions = {ip_network(pool.subnet).version for pool in pools}
    if 4 not in versions:
        add(Pool(subnet=""), _free(busy, defaults), asked=False)
    if network.ipv6 and 6 not in versions:
        configured = any(default.base.version == 6 for default in defaults)
        add(Pool(subnet=""), _free(busy, defaults, 6) if configured else _unique_local(network.id), asked=False)
    return tuple(pools)


def parse_subnet(text: str) -> Subnet:
    """Raises BAD_REQUEST for what is no subnet, and for one whose addresses no interface can have."""
    try:
        loose = ip_network(text, strict=False)
    except ValueError:
        raise bad_request(f"invalid network config:\ninvalid subnet {text}: invalid CIDR block notation") from None
    if loose.is_loopback or loose.is_multicast:
        raise bad_request(f"invalid subnet {text}: loopback and multicast addresses are not for containers")
    try:
        return ip_network(text)
    except ValueError:
        raise bad_request(f"invalid network config:\ninvalid subnet {text}: it should be {loose}") from None


def _free(busy: Iterable[Subnet], defaults: Iterable[DefaultPool], version: int = 4) -> Subnet:
    """The first subnet of the default pools that overlaps nothing."""
    for default in defaults:
        if default.base.version == version and (subnet := default.first_free(busy)) is not None:
            return subnet
    raise SeawayError(
        Code.FORBIDDEN,
        f"could not find an available, non-overlapping IPv{version} address pool "
        "among the defaults to assign to the network",
    )


def _unique_local(identifier: str) -> IPv6Network:
    """A /64 with 40 random bits (RFC 4193), the same for the same network."""
    bits = hashlib.sha256(identifier.encode()).digest()[:5]
    return IPv6Network((b"\xfd" + bits + bytes(10), 64))


def _with_gateway(pool: Pool, subnet: Subnet, *, asked: bool) -> Pool:
    """The pool with its subnet, and by default the first address of its range as gateway."""
    inside = _inside(pool.range, subnet, "range") if pool.range else subnet
    for address in pool.auxiliary.values():
        _check_inside(address, subnet, "aux-address")
    if pool.gateway:
        _check_inside(pool.gateway, subnet, "gateway")
    gateway = pool.gateway or str(_first(inside, subnet))
    for name, address in pool.auxiliary.items():
        if ip_address(address) == ip_address(gateway):
            text = f"failed to allocate secondary ip address ({name}:{address}): Address already in use"
            raise SeawayError(Code.FORBIDDEN, text)
    changes = {
        "subnet": str(subnet),
        "gateway": gateway,
        "subnet_asked": asked,
        "gateway_asked": bool(pool.gateway) or not asked,
    }
    return pool.model_copy(update=changes)


def _first(inside: Subnet, subnet: Subnet) -> IPv4Address | IPv6Address:
    """The first address of a range; the first one of a subnet is the subnet's own."""
    first = inside.network_address
    return first + 1 if first == subnet.network_address and subnet.prefixlen < subnet.max_prefixlen - 1 else first


def _inside(text: str, subnet: Subnet, what: str) -> Subnet:
    try:
        inside = ip_network(text, strict=False)
    except ValueError:
        raise bad_request(f"invalid network config:\ninvalid ip-range {text}: invalid CIDR block notation") from None
    if inside.version != subnet.version or not inside.subnet_of(subnet):  # type: ignore[arg-type]
        raise bad_request(f"no matching subnet for {what} {text}")
    return inside


def _check_inside(text: str, subnet: Subnet, what: str) -> None:
    try:
        address = ip_address(text)
    except ValueError:
        raise bad_request(f"invalid network config:\ninvalid {what} {text}: it is no IP address") from None
    if address not in subnet:
        raise bad_request(f"no matching subnet for {what} {text}")
