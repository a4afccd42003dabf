"""Names of kernel objects, derived from a node's suite token, so that several nodes can share a machine. Pure.

The token is 1 to 6 lower-case letters or digits. Interface names have at most 15 characters (IFNAMSIZ).
"""

import re
from ipaddress import IPv4Address

_INTERFACE = "eth"
_TOKEN = re.compile(r"[0-9a-z]{1,6}")
_SERIALS = 1 << 32
_ID_DIGITS = 7


def check_suite(suite: str) -> str:
    """The token itself. Raises ValueError if it can't be part of interface names."""
    if not _TOKEN.fullmatch(suite):
        raise ValueError(f"network suite {suite!r} must be 1 to 6 lower-case letters or digits")
    return suite


def interface(number: int) -> str:
    """The name of an endpoint's interface in its sandbox, counted from 0."""
    return f"{_INTERFACE}{number}"


def bridge_name(suite: str, network_id: str = "") -> str:
    """The default network's bridge, or that of the network with this id."""
    return f"sw{suite}{network_id[:_ID_DIGITS] or 0}"


def is_bridge(suite: str, name: str) -> bool:
    """Whether an interface was named by ``bridge_name`` for this suite."""
    return re.fullmatch(f"sw{suite}(0|[0-9a-f]{{{_ID_DIGITS}}})", name) is not None


def table_name(suite: str) -> str:
    return f"seaway_{suite}"


def host_veth(suite: str, serial: int) -> str:
    """The host's end of a sandbox's veth; serials wrap at 32 bits."""
    return f"v{suite}{serial % _SERIALS:08x}"


def is_host_veth(suite: str, name: str) -> bool:
    """Whether an interface was named by ``host_veth`` for this suite."""
    return re.fullmatch(f"v{suite}[0-9a-f]{{8}}", name) is not None


def stale_group(suite: str) -> int:
    """The link group of a suite's stale veths, by which the sweep deletes them in one request."""
    return 0x40000000 | int(suite, 36) & 0x3FFFFFFF


def mac_of(address: IPv4Address) -> str:
    """The MAC address that Docker derives from an IPv4 address: 02:42 and its four bytes."""
    return ":".join(f"{byte:02x}" for byte in b"\x02\x42" + address.packed)
