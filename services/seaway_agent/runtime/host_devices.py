"""Devices of the host: nodes for `--device` and `--privileged`, and the CDI files that describe others."""

import logging
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import orjson

from seaway_agent.oci.devices import HostDevice
from seaway_contracts.containers import Device
from seaway_contracts.errors import Reason, internal

log = logging.getLogger(__name__)
CDI_DIRECTORIES: Final = (Path("/etc/cdi"), Path("/var/run/cdi"))
_LEFT_OUT: Final = frozenset({"pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev"})
_MADE_BY_RUNTIME: Final = frozenset({"console", "null", "zero", "full", "random", "urandom", "tty", "ptmx"})


def requested_devices(devices: Iterable[Device]) -> tuple[HostDevice, ...]:
    """The devices of `--device` and of CDI files. Raises SeawayError with Docker's text for a missing one."""
    found: list[HostDevice] = []
    for device in devices:
        path = Path(device.host_path)
        if path.is_dir() and (inside := list(_walk(path, device.container_path, device.permissions))):
            found += inside
            continue
        one = _node(path, device.container_path, device.permissions)
        if one is None:
            head = f'error gathering device information while adding custom device "{path}"'
            if path.exists():
                raise internal(f"{head}: not a device node")
            raise internal(f"{head}: no such file or directory", Reason.NO_SUCH_FILE)
        found.append(one)
    return tuple(found)


def all_devices() -> tuple[HostDevice, ...]:
    """Every device node below /dev, as a privileged container sees them."""
    return tuple(
        device for device in _walk(Path("/dev"), "/dev", "rwm") if Path(device.path).name not in _MADE_BY_RUNTIME
    )


def _walk(directory: Path, target: str, permissions: str) -> Iterator[HostDevice]:
    try:
        entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        path = f"{target}/{entry.name}"
        if entry.is_dir(follow_symlinks=False):
            if entry.name not in _LEFT_OUT:
                yield from _walk(Path(entry.path), path, permissions)
        elif not entry.is_symlink() and (found := _node(Path(entry.path), path, permissions)) is not None:
            yield found


def _node(path: Path, target: str, permissions: str) -> HostDevice | None:
    try:
        found = path.stat()
    except OSError:
        return None
    kind = "c" if stat.S_ISCHR(found.st_mode) else "b" if stat.S_ISBLK(found.st_mode) else None
    if kind is None:
        return None
    major, minor = os.major(found.st_rdev), os.minor(found.st_rdev)
    return HostDevice(
        target, "c" if kind == "c" else "b", major, minor, found.st_mode, found.st_uid, found.st_gid, permissions
    )


def cdi_specs(directories: tuple[Path, ...] = CDI_DIRECTORIES) -> list[dict[str, Any]]:
    """The node's CDI files; a later directory overrides an earlier one. Logs the files that it can't read."""
    found = []
    for directory in reversed(directories):
        for path in sorted((*directory.glob("*.json"), *directory.glob("*.yaml"))):
            try:
                body = _document(path)
            except (OSError, ValueError) as error:
                log.warning("the CDI file %s can't be read: %s", path, error)
                continue
            if isinstance(body, dict):
                found.append(body)
    return found


def _document(path: Path) -> object:
    """The parsed file. Raises OSError, ValueError."""
    if path.suffix == ".json":
        return orjson.loads(path.read_bytes())
    import yaml  # only here: few nodes have such a file

    try:
        return yaml.safe_load(path.read_bytes())
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
