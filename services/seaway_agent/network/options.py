"""The options of network drivers, as Docker's (`docker network create -o`). Pure.

A driver ignores those that it doesn't know, as Docker's do. The API has checked the others, but a record may come from
elsewhere: no value gets into a path, a netlink attribute or a rule of nftables unchecked.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, TypeVar

BRIDGE_NAME: Final = "com.docker.network.bridge.name"
ENABLE_ICC: Final = "com.docker.network.bridge.enable_icc"
ENABLE_MASQUERADE: Final = "com.docker.network.bridge.enable_ip_masquerade"
INHIBIT_IPV4: Final = "com.docker.network.bridge.inhibit_ipv4"
HOST_BINDING: Final = "com.docker.network.bridge.host_binding_ipv4"
HOST_IPV4: Final = "com.docker.network.host_ipv4"
HOST_IPV6: Final = "com.docker.network.host_ipv6"
MTU: Final = "com.docker.network.driver.mtu"
INTERFACE_PREFIX: Final = "com.docker.network.container_iface_prefix"
PARENT: Final = "parent"
MACVLAN_MODE: Final = "macvlan_mode"
MACVLAN_MODES: Final = ("bridge", "private", "vepa", "passthru")

_TRUE: Final = ("1", "t", "T", "TRUE", "true", "True")
_FALSE: Final = ("0", "f", "F", "FALSE", "false", "False")
_HIGHEST_VLAN: Final = 4094
_LONGEST_NAME, _LONGEST_PREFIX = 15, 11  # IFNAMSIZ without its end, and room for a number
_NOT_IN_NAMES: Final = re.compile(r"""[\s/:%*"\\]""")
_MTUS: Final = range(68, 65536)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class BridgeOptions:
    """`name` "": one made from the network's id. `icc`: whether its containers reach each other.

    `inhibit_ipv4`: the bridge gets no IPv4 address. `host_binding`: the host's address for published ports that name
    none; "": all of them. `source`, `source6`: the host's address with which containers leave; None: any.
    """

    name: str = ""
    icc: bool = True
    masquerade: bool = True
    inhibit_ipv4: bool = False
    host_binding: str = ""
    source: IPv4Address | None = None
    source6: IPv6Address | None = None


@dataclass(frozen=True, slots=True)
class MacvlanOptions:
    """`parent` "": an interface made for this network, which leads nowhere."""

    parent: str = ""
    mode: str = "bridge"

    @property
    def vlan(self) -> tuple[str, int] | None:
        """Interface and VLAN of a parent such as `eth0.50`."""
        interface, _, number = self.parent.rpartition(".")
        if not interface or not number.isascii() or not number.isdigit() or not 1 <= int(number) <= _HIGHEST_VLAN:
            return None
        return interface, int(number)


def bridge_options(options: Mapping[str, str]) -> BridgeOptions:
    """What a bridge network's options mean. Raises ValueError."""
    binding = _value(options, HOST_BINDING, ip_address, None)
    return BridgeOptions(
        name=_value(options, BRIDGE_NAME, _interface, ""),
        icc=_value(options, ENABLE_ICC, _boolean, True),
        masquerade=_value(options, ENABLE_MASQUERADE, _boolean, True),
        inhibit_ipv4=_value(options, INHIBIT_IPV4, _boolean, False),
        host_binding=str(binding) if binding is not None and not binding.is_unspecified else "",
        source=_value(options, HOST_IPV4, IPv4Address, None),
        source6=_value(options, HOST_IPV6, _ipv6, None),
    )


def macvlan_options(options: Mapping[str, str]) -> MacvlanOptions:
    """What a macvlan network's options mean. Raises ValueError."""
    return MacvlanOptions(_value(options, PARENT, _interface, ""), _value(options, MACVLAN_MODE, _mode, "bridge"))


def mtu(options: Mapping[str, str]) -> int:
    """The MTU of its interfaces; 0: the driver's own choice. Raises ValueError."""
    return _value(options, MTU, _mtu, 0)


def interface_prefix(options: Mapping[str, str]) -> str:
    """What the names of its interfaces in containers begin with. Raises ValueError."""
    return _value(options, INTERFACE_PREFIX, _prefix, "eth")


def _value(options: Mapping[str, str], name: str, read: Callable[[str], T], otherwise: T) -> T:
    """The value of an option; ``otherwise`` if it is missing or empty."""
    text = options.get(name, "")
    if not text:
        return otherwise
    try:
        return read(text)
    except ValueError as error:
        raise ValueError(f"invalid value for {name}: {error}") from error


def _boolean(text: str) -> bool:
    if text not in (*_TRUE, *_FALSE):
        raise ValueError(f"{text!r} is neither true nor false")
    return text in _TRUE


def _interface(text: str) -> str:
    """The name of an interface. The kernel takes a few more, which are patterns elsewhere."""
    is_name = text.isprintable() and not _NOT_IN_NAMES.search(text) and text not in (".", "..")
    if not is_name or len(text.encode()) > _LONGEST_NAME:
        raise ValueError(f"{text!r} is no name of an interface: at most {_LONGEST_NAME} bytes, no spaces and /:%*")
    return text


def _prefix(text: str) -> str:
    if len(_interface(text).encode()) > _LONGEST_PREFIX:
        raise ValueError(f"{text!r} is too long to begin a name of an interface: at most {_LONGEST_PREFIX} bytes")
    return text


def _mtu(text: str) -> int:
    number = int(text)
    if number not in (0, *_MTUS):
        raise ValueError(f"{number} is not from {_MTUS[0]} to {_MTUS[-1]}")
    return number


def _ipv6(text: str) -> IPv6Address:
    address = IPv6Address(text)
    if address.scope_id is not None:
        raise ValueError(f"{text!r} has a zone")
    return address


def _mode(text: str) -> str:
    if text not in MACVLAN_MODES:
        raise ValueError(f"{text!r} is none of {', '.join(MACVLAN_MODES)}")
    return text
