"""The options of network drivers, as Docker's (`docker network create -o`). Pure."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final, TypeVar

BRIDGE_NAME: Final = "com.docker.network.bridge.name"
ENABLE_ICC: Final = "com.docker.network.bridge.enable_icc"
ENABLE_MASQUERADE: Final = "com.docker.network.bridge.enable_ip_masquerade"
HOST_BINDING: Final = "com.docker.network.bridge.host_binding_ipv4"
MTU: Final = "com.docker.network.driver.mtu"
INTERFACE_PREFIX: Final = "com.docker.network.container_iface_prefix"
PARENT: Final = "parent"
MACVLAN_MODE: Final = "macvlan_mode"
MACVLAN_MODES: Final = ("bridge", "private", "vepa", "passthru")

_TRUE: Final = ("1", "t", "T", "TRUE", "true", "True")
_FALSE: Final = ("0", "f", "F", "FALSE", "false", "False")
_SMALLEST_MTU, _LARGEST_MTU = 68, 65535
_LONGEST_NAME: Final = 15
_LONGEST_PREFIX: Final = 11  # leaves four digits
_HIGHEST_VLAN: Final = 4094
_NAME: Final = re.compile(r"[^\s/:]+")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class BridgeOptions:
    """`name` "": one made from the network's id. `icc`: whether its containers reach each other.

    `host_binding`: the host's address for published ports that name none; "": all of them.
    """

    name: str = ""
    icc: bool = True
    masquerade: bool = True
    host_binding: str = ""


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


def check_options(driver: str, options: Mapping[str, str]) -> None:
    """Raise ValueError if the driver doesn't know an option, or its value is invalid."""
    readers = _READERS.get(driver)
    if readers is None:
        raise ValueError(f"there is no network driver {driver}: use {' or '.join(_READERS)}")
    for name, value in options.items():
        if name not in readers:
            raise ValueError(f"the network driver {driver} has no option {name}: it has {', '.join(readers)}")
        if value:
            readers[name](name, value)


def bridge_options(options: Mapping[str, str]) -> BridgeOptions:
    """What a bridge network's options mean. Raises ValueError."""
    return BridgeOptions(
        name=_value(options, BRIDGE_NAME, _interface, ""),
        icc=_value(options, ENABLE_ICC, _boolean, True),
        masquerade=_value(options, ENABLE_MASQUERADE, _boolean, True),
        host_binding=_value(options, HOST_BINDING, _address, ""),
    )


def macvlan_options(options: Mapping[str, str]) -> MacvlanOptions:
    """What a macvlan network's options mean. Raises ValueError."""
    return MacvlanOptions(_value(options, PARENT, _interface, ""), _value(options, MACVLAN_MODE, _mode, "bridge"))


def mtu(options: Mapping[str, str]) -> int:
    """The network's MTU; 0: the driver's own choice. Raises ValueError."""
    return _value(options, MTU, _mtu, 0)


def interface_prefix(options: Mapping[str, str]) -> str:
    """What the names of its interfaces in containers begin with. Raises ValueError."""
    return _value(options, INTERFACE_PREFIX, _prefix, "eth")


def _value(options: Mapping[str, str], name: str, read: Callable[[str, str], T], otherwise: T) -> T:
    return read(name, options[name]) if options.get(name) else otherwise


def _boolean(name: str, text: str) -> bool:
    if text not in (*_TRUE, *_FALSE):
        raise ValueError(f"invalid value for {name}: {text!r} is neither true nor false")
    return text in _TRUE


def _interface(name: str, text: str) -> str:
    if len(text.encode()) > _LONGEST_NAME or text in (".", "..") or not _NAME.fullmatch(text):
        raise ValueError(
            f"invalid value for {name}: {text!r} can't be an interface's name:"
            f" use at most {_LONGEST_NAME} characters, without spaces, '/' and ':'"
        )
    return text


def _prefix(name: str, text: str) -> str:
    if len(text.encode()) > _LONGEST_PREFIX:
        raise ValueError(f"invalid value for {name}: {text!r} is longer than {_LONGEST_PREFIX} characters")
    return _interface(name, text)


def _address(name: str, text: str) -> str:
    try:
        address = IPv4Address(text)
    except ValueError:
        raise ValueError(f"invalid value for {name}: {text!r} is no IPv4 address") from None
    return "" if address.is_unspecified else str(address)


def _mtu(name: str, text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(_LARGEST_MTU)) else -1
    if number != 0 and not _SMALLEST_MTU <= number <= _LARGEST_MTU:
        raise ValueError(f"invalid value for {name}: {text!r} is no MTU from {_SMALLEST_MTU} to {_LARGEST_MTU}")
    return number


def _mode(name: str, text: str) -> str:
    if text not in MACVLAN_MODES:
        raise ValueError(f"invalid value for {name}: {text!r}: use {', '.join(MACVLAN_MODES)}")
    return text


_COMMON: Final[Mapping[str, Callable[[str, str], object]]] = {MTU: _mtu, INTERFACE_PREFIX: _prefix}
_READERS: Final[Mapping[str, Mapping[str, Callable[[str, str], object]]]] = {
    "bridge": {
        BRIDGE_NAME: _interface,
        ENABLE_ICC: _boolean,
        ENABLE_MASQUERADE: _boolean,
        HOST_BINDING: _address,
        **_COMMON,
    },
    "macvlan": {PARENT: _interface, MACVLAN_MODE: _mode, **_COMMON},
}
