"""The options of Docker's volume driver `local`: what `type`, `device` and `o` mean for mount(2). Pure.

As moby's volume/local (local_unix.go) and moby/sys/mount have them, with their sentences.
"""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlsplit

from seaway_agent.kernel import syscalls
from seaway_contracts.errors import bad_request
from seaway_contracts.volumes import VolumeRecord
from seaway_docker.errors import InvalidParameter
from seaway_docker.volumes import check_local_options

_REC: Final = syscalls.MS_REC
_PROPAGATION: Final = syscalls.MS_SHARED | syscalls.MS_PRIVATE | syscalls.MS_SLAVE | syscalls.MS_UNBINDABLE
_READ_ONLY_BIND: Final = syscalls.MS_BIND | syscalls.MS_RDONLY
_SET: Final = {
    "bind": syscalls.MS_BIND,
    "dirsync": syscalls.MS_DIRSYNC,
    "mand": syscalls.MS_MANDLOCK,
    "noatime": syscalls.MS_NOATIME,
    "nodev": syscalls.MS_NODEV,
    "nodiratime": syscalls.MS_NODIRATIME,
    "noexec": syscalls.MS_NOEXEC,
    "nosuid": syscalls.MS_NOSUID,
    "private": syscalls.MS_PRIVATE,
    "rbind": syscalls.MS_BIND | _REC,
    "relatime": syscalls.MS_RELATIME,
    "remount": syscalls.MS_REMOUNT,
    "ro": syscalls.MS_RDONLY,
    "rprivate": syscalls.MS_PRIVATE | _REC,
    "rshared": syscalls.MS_SHARED | _REC,
    "rslave": syscalls.MS_SLAVE | _REC,
    "runbindable": syscalls.MS_UNBINDABLE | _REC,
    "shared": syscalls.MS_SHARED,
    "slave": syscalls.MS_SLAVE,
    "strictatime": syscalls.MS_STRICTATIME,
    "sync": syscalls.MS_SYNCHRONOUS,
    "unbindable": syscalls.MS_UNBINDABLE,
}
_CLEARED: Final = {
    "async": syscalls.MS_SYNCHRONOUS,
    "atime": syscalls.MS_NOATIME,
    "dev": syscalls.MS_NODEV,
    "diratime": syscalls.MS_NODIRATIME,
    "exec": syscalls.MS_NOEXEC,
    "nomand": syscalls.MS_MANDLOCK,
    "norelatime": syscalls.MS_RELATIME,
    "nostrictatime": syscalls.MS_STRICTATIME,
    "rw": syscalls.MS_RDONLY,
    "suid": syscalls.MS_NOSUID,
}
# In the value of a password two commas stand for one, and `sep` may have made the separator another one.
_PASSWORD: Final = re.compile(r"(?<![a-z])(pass(?:word)?2?=)(?:,,|[^,])+", re.IGNORECASE)
_ON_SERVERS: Final = ("nfs", "nfs4", "cifs", "smb3")


@dataclass(frozen=True)
class MountCall:
    """One call of mount(2). `word`: what moby calls it in errors."""

    word: str
    source: str
    fstype: str
    flags: int
    data: str

    def failure(self, target: str, reason: str) -> str:
        """The sentence for a call that failed, without the passwords in its data."""
        source = f"{self.source}:" if self.source else ""
        flags = f", flags: {self.flags:#x}" if self.flags else ""
        data = f", data: {_without_passwords(self.data)}" if self.data else ""
        return f"{self.word} {source}{target}{flags}{data}: {reason}"


@dataclass(frozen=True)
class MountOptions:
    """What is mounted on a volume's data. `address`: the name or address of its server, empty where there is none."""

    fstype: str
    device: str
    options: str

    @property
    def on_server(self) -> bool:
        """Whether the mount waits for another machine, which may be silent."""
        return self.fstype in _ON_SERVERS

    @property
    def server(self) -> str:
        """The name of its server, which must be resolved before the mount; empty where there is none."""
        if self.fstype not in ("nfs", "cifs"):
            return ""
        address = _value(self.options, "addr")
        if address:
            return "" if _is_address(address, 4) else address
        host = _host(self.device) if self.fstype == "cifs" else ""
        return "" if _is_address(host) else host

    def at(self, address: str) -> "MountOptions":
        """With the address of its server in place of the name."""
        if _value(self.options, "addr"):
            return replace(self, options=self.options.replace(f"addr={self.server}", f"addr={address}", 1))
        shown = f"[{address}]" if ":" in address else address
        return replace(self, device=re.sub(r"(?<=//)[^/@]*(?=/|$)", shown, self.device, count=1))

    def calls(self) -> tuple[MountCall, ...]:
        """The calls of mount(2) that make the mount, in order."""
        flags, data = parse(self.options)
        plain, calls = flags & ~_PROPAGATION, []
        remounts = flags & syscalls.MS_REMOUNT or self.device in ("", "none")
        if not remounts or data:
            calls.append(MountCall("mount", self.device, self.fstype, plain, data))
        if flags & _PROPAGATION:
            calls.append(MountCall("remount", "", "", flags & (_PROPAGATION | _REC | syscalls.MS_SILENT), ""))
        if plain & _READ_ONLY_BIND == _READ_ONLY_BIND:
            calls.append(MountCall("remount-ro", "", "", plain | syscalls.MS_REMOUNT, ""))
        return tuple(calls)


def mount_options(record: VolumeRecord) -> MountOptions | None:
    """What is to be mounted on a volume's data; None for a plain volume."""
    options = record.options
    if not options.get("type") and not options.get("device"):
        return None
    return MountOptions(options.get("type", ""), options.get("device", ""), options.get("o", ""))


def parse(options: str) -> tuple[int, str]:
    """The flags of mount(2) in fstab's options, and the rest, which is the file system's."""
    flags, data = 0, []
    for word in options.split(","):
        if word in _SET:
            flags |= _SET[word]
        elif word in _CLEARED:
            flags &= ~_CLEARED[word]
        else:
            data.append(word)
    return flags, ",".join(data)


def check(name: str, options: Mapping[str, str]) -> None:
    """Raise SeawayError (400) for options of a new volume that the driver refuses."""
    try:
        check_local_options(options)
    except InvalidParameter as error:
        raise bad_request(f"create {name}: {error}") from error


def _value(options: str, key: str) -> str:
    found = (word.partition("=")[2] for word in options.split(",") if word.startswith(f"{key}="))
    return next(found, "")


def _without_passwords(data: str) -> str:
    return _PASSWORD.sub(r"\1********", data)


def _host(device: str) -> str:
    """Empty where the device is no URL: then the kernel refuses it."""
    try:
        return urlsplit(device).hostname or ""
    except ValueError:
        return ""


def _is_address(text: str, version: int | None = None) -> bool:
    try:
        return version in (None, ipaddress.ip_address(text).version)
    except ValueError:
        return False
