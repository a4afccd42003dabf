"""Devices of a container: the nodes to make and the cgroup rules that allow them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from seaway_contracts.containers import ContainerSpec

Json = dict[str, Any]
_RULE: Final = re.compile(r"([acb]) (\d+|\*):(\d+|\*) ([rwm]{1,3})")
# Docker's list: null, zero, full, random, urandom, tty, console, ptmx, pts, and mknod of anything.
_DEFAULT: Final = (
    ("c", -1, -1, "m"), ("b", -1, -1, "m"), ("c", 1, 3, "rwm"), ("c", 1, 5, "rwm"), ("c", 1, 7, "rwm"),
    ("c", 1, 8, "rwm"), ("c", 1, 9, "rwm"), ("c", 5, 0, "rwm"), ("c", 5, 1, "rwm"), ("c", 5, 2, "rwm"),
    ("c", 136, -1, "rwm"),
)  # fmt: skip


class BadDeviceRule(ValueError):
    """A `--device-cgroup-rule` that can't be read."""


@dataclass(frozen=True)
class HostDevice:
    """A device node of the host, as found there; `permissions` as the user asked."""

    path: str
    kind: Literal["c", "b"]
    major: int
    minor: int
    mode: int
    uid: int
    gid: int
    permissions: str = "rwm"


def nodes(spec: ContainerSpec, found: Sequence[HostDevice]) -> list[Json]:
    """The nodes for `linux.devices`; the runtime makes Docker's defaults by itself."""
    return [
        {
            "path": device.path,
            "type": device.kind,
            "major": device.major,
            "minor": device.minor,
            "fileMode": device.mode & 0o777,
            "uid": device.uid,
            "gid": device.gid,
        }
        for device in found
    ]


def rules(spec: ContainerSpec, found: Sequence[HostDevice]) -> list[Json]:
    """The device cgroup's rules: everything when privileged, else nothing but the list."""
    if spec.security.privileged:
        return [{"allow": True, "access": "rwm"}]
    table = default_rules()
    table += [
        _rule(one.kind, one.major, one.minor, access)
        for one in found
        if (access := _kernel_permissions(one.permissions))
    ]
    table += [_parsed(text) for text in spec.resources.device_cgroup_rules]
    return table


def default_rules() -> list[Json]:
    """Docker's rules for a container that was given no device."""
    table: list[Json] = [{"allow": False, "access": "rwm"}]
    return table + [_rule(kind, major, minor, access) for kind, major, minor, access in _DEFAULT]


def _kernel_permissions(permissions: str) -> str:
    """The permissions that the kernel knows: others grant nothing, as with runc; crun would refuse them."""
    return "".join(letter for letter in "rwm" if letter in permissions)


def _rule(kind: str, major: int, minor: int, access: str) -> Json:
    rule: Json = {"allow": True, "type": kind, "access": access}
    if major >= 0:
        rule["major"] = major
    if minor >= 0:
        rule["minor"] = minor
    return rule


def _parsed(text: str) -> Json:
    match = _RULE.fullmatch(text)
    if match is None:
        raise BadDeviceRule(f"invalid device cgroup rule format: '{text}'")
    kind, major, minor, access = match.groups()
    return _rule(kind, -1 if major == "*" else int(major), -1 if minor == "*" else int(minor), access)
