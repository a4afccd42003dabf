"""Options of network drivers that can't be (`docker network create -o`), in the words of dockerd 26.1. Pure.

An option that the driver doesn't know is kept and has no effect, as in Docker.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

from seaway_docker.errors import InvalidParameter
from seaway_docker.ports import is_ip_address

_BRIDGE: Final = "com.docker.network.bridge."
_PREFIX: Final = "com.docker.network.container_iface_prefix"
_BOOLEANS: Final = frozenset(["1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False"])
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,18}")
_INTERFACE: Final = re.compile(r"[^\s/:]{1,15}")
_LONGEST_PREFIX: Final = 11
_MTU: Final = range(68, 65536)
_MACVLAN_MODES: Final = ("bridge", "private", "vepa", "passthru")


def check_options(driver: str, options: Mapping[str, str]) -> None:
    """Raise InvalidParameter for a value that the driver can't use."""
    for name, value in options.items():
        if (check := _CHECKS[driver].get(name)) is not None:
            check(name, value)


def parse_bool(text: str) -> bool:
    """A boolean as Go reads it. Raises ValueError in its words."""
    if text not in _BOOLEANS:
        raise ValueError(f'strconv.ParseBool: parsing "{text}": invalid syntax')
    return text in ("1", "t", "T", "TRUE", "true", "True")


def _wrong(name: str, value: str, reason: str) -> InvalidParameter:
    return InvalidParameter(f"failed to parse {name} value: {value} ({reason})")


def _boolean(name: str, value: str) -> None:
    try:
        parse_bool(value)
    except ValueError as error:
        raise _wrong(name, value, str(error)) from error


def _address(name: str, value: str) -> None:
    if not is_ip_address(value):
        raise _wrong(name, value, "nil ip")


def _mtu(name: str, value: str) -> None:
    """0: the driver's own choice."""
    if not _INTEGER.fullmatch(value):
        raise _wrong(name, value, f'strconv.Atoi: parsing "{value}": invalid syntax')
    if int(value) not in (0, *_MTU):
        raise InvalidParameter(f"invalid MTU number: {int(value)}")


def _interface(name: str, value: str) -> None:
    """Docker finds that only when it makes the interface. Empty: the driver's own choice."""
    if value and (value in (".", "..") or not _INTERFACE.fullmatch(value) or len(value.encode()) > 15):
        raise _wrong(name, value, "an interface's name has at most 15 bytes, without spaces, slashes and colons")


def _prefix(name: str, value: str) -> None:
    _interface(name, value)
    if len(value.encode()) > _LONGEST_PREFIX:
        raise _wrong(name, value, f"the names would be too long: at most {_LONGEST_PREFIX} bytes")


def _parent(name: str, value: str) -> None:
    if value == "lo":
        raise InvalidParameter("loopback interface is not a valid macvlan parent link")
    _interface(name, value)


def _macvlan_mode(_: str, value: str) -> None:
    if value and value not in _MACVLAN_MODES:
        raise InvalidParameter(
            f"requested macvlan mode '{value}' is not valid, 'bridge' mode is the macvlan driver default"
        )


_COMMON: Final[Mapping[str, Callable[[str, str], None]]] = {
    "com.docker.network.driver.mtu": _mtu,
    _PREFIX: _prefix,
}
_CHECKS: Final[Mapping[str, Mapping[str, Callable[[str, str], None]]]] = {
    "bridge": {
        **_COMMON,
        _BRIDGE + "name": _interface,
        _BRIDGE + "enable_icc": _boolean,
        _BRIDGE + "enable_ip_masquerade": _boolean,
        _BRIDGE + "inhibit_ipv4": _boolean,
        _BRIDGE + "default_bridge": _boolean,
        _BRIDGE + "host_binding_ipv4": _address,
        "com.docker.network.enable_ipv6": _boolean,
        "com.docker.network.host_ipv4": _address,
        "com.docker.network.host_ipv6": _address,
    },
    "macvlan": {**_COMMON, "parent": _parent, "macvlan_mode": _macvlan_mode},
}
