"""The host's sysctls that networks depend on. In the network namespace of the calling thread."""

from pathlib import Path
from typing import Final

_NET: Final = Path("/proc/sys/net")
_CALLS: Final = ("bridge-nf-call-iptables", "bridge-nf-call-ip6tables")
_IPV4, _IPV6, _BRIDGE = _NET / "ipv4", _NET / "ipv6", _NET / "bridge"


def has_ipv6() -> bool:
    """Whether the kernel has IPv6."""
    return _IPV6.exists()


def filters_bridges() -> bool:
    """Whether nftables' IP tables see packets that a bridge forwards: br_netfilter is loaded and on."""
    try:
        return all((_BRIDGE / name).read_text().strip() == "1" for name in _CALLS)
    except FileNotFoundError:
        return False


def forward_ipv4(bridge: str) -> None:
    """Forward IPv4, and route replies to the host's loopback over this bridge, as Docker does."""
    _set(_IPV4 / "conf" / bridge / "route_localnet", "1")
    _set(_IPV4 / "ip_forward", "1")


def forward_ipv6(bridge: str) -> None:
    """Forward IPv6, and have IPv6 on this bridge without router advertisements, as dockerd does.

    The bridge's link-local address, which no container can have, must not wait for duplicates (DAD): until then the
    host finds no container for a packet that it forwards. Other interfaces that take their default route from router
    advertisements need ``accept_ra=2`` from then on.
    """
    _set(_IPV6 / "conf" / bridge / "disable_ipv6", "0")
    _set(_IPV6 / "conf" / bridge / "accept_ra", "0")
    _set(_IPV6 / "conf" / bridge / "accept_dad", "0")
    for scope in ("default", "all"):
        _set(_IPV6 / "conf" / scope / "forwarding", "1")


def _set(path: Path, value: str) -> None:
    """Write a sysctl only if it differs: /proc/sys may be read-only where the value is preset."""
    if path.read_text().strip() != value:
        path.write_text(value)
