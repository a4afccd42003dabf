"""Names of kernel objects, derived from a node's suite token, so that several nodes can share a machine. Pure.

The token is 1 to 6 lower-case letters or digits. Interface names have at most 15 characters (IFNAMSIZ).
"""

import itertools
import re
from collections.abc import Collection
from ipaddress import IPv4Address

_TOKEN = re.compile(r"[0-9a-z]{1,6}")
_SERIALS = 1 << 32
_ID_DIGITS, _SHORT_ID_DIGITS = 12, 7
_ALIAS = re.compile(r"seaway ([0-9a-z]{1,6}) ([0-9a-f]+)")


def check_suite(suite: str) -> str:
    """The token itself. Raises ValueError if it can't be part of interface names."""
    if not _TOKEN.fullmatch(suite):
        raise ValueError(f"network suite {suite!r} must be 1 to 6 lower-case letters or digits")
    return suite


def free_interface(prefix: str, taken: Collection[str]) -> str:
    """The name of a new interface in a sandbox: the prefix and the lowest free number."""
    return next(name for number in itertools.count() if (name := f"{prefix}{number}") not in taken)


def default_bridge(suite: str) -> str:
    """The default network's bridge."""
    return f"sw{suite}0"


def bridge_names(suite: str, network_id: str) -> tuple[str, str]:
    """The bridge of a network: Docker's name, and another one where another suite of the host has the first."""
    return f"br-{network_id[:_ID_DIGITS]}", f"sw{suite}{network_id[:_SHORT_ID_DIGITS]}"


def parent_names(suite: str, network_id: str) -> tuple[str, str]:
    """The parent of a macvlan network that has none of its own, as in `bridge_names`."""
    return f"dm-{network_id[:_ID_DIGITS]}", f"dm{suite}{network_id[:_SHORT_ID_DIGITS]}"


def peer_of_parent(parent: str) -> str:
    """The other end of a parent that is a veth."""
    return f"dp{parent[2:]}"


def alias(suite: str, network_id: str) -> str:
    """The alias of an interface that a network's driver made on the host: it tells whose it is."""
    return f"seaway {suite} {network_id}"


def alias_owner(text: str) -> tuple[str, str] | None:
    """Suite and network id of an alias; None for those of other programs."""
    found = _ALIAS.fullmatch(text)
    return (found[1], found[2]) if found is not None else None


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
