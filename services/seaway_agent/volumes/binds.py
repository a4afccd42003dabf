"""Bind mounts: directories and files of the host in a container."""

import hashlib
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

from seaway_agent.kernel.clones import clone_in_namespace_of
from seaway_agent.kernel.mountinfo import Mount as HostEntry
from seaway_agent.kernel.mountinfo import parse_mountinfo
from seaway_agent.oci.mounts import HostMount
from seaway_agent.runtime.contribution import Attachment
from seaway_contracts.containers import ContainerSpec, Mount
from seaway_contracts.docker_errors import bind_source_missing
from seaway_contracts.errors import bad_request, internal, reason_of

FLAGS: Final = {
    "ro": os.ST_RDONLY,
    "nosuid": os.ST_NOSUID,
    "nodev": os.ST_NODEV,
    "noexec": os.ST_NOEXEC,
    "noatime": os.ST_NOATIME,
    "nodiratime": os.ST_NODIRATIME,
}


def check_binds(spec: ContainerSpec) -> None:
    """Make missing host directories of `-v`; refuse missing ones of `--mount`. Raises SeawayError."""
    for mount in spec.mounts:
        if mount.type != "bind" or Path(mount.source).exists():
            continue
        if not mount.create_source:
            raise bind_source_missing(mount.source)
        try:
            Path(mount.source).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            text = f"error while creating mount source path '{mount.source}': {error.strerror}"
            raise bad_request(text, reason_of(error)) from error


def check_propagation(spec: ContainerSpec) -> None:
    """Refuse a shared or slave bind whose source isn't shared on the host, as Docker does at the start."""
    if not any(mount.type == "bind" and mount.propagation.lstrip("r") in ("shared", "slave") for mount in spec.mounts):
        return
    table = list(parse_mountinfo(Path("/proc/self/mountinfo").read_text()))
    for mount in spec.mounts:
        kind = mount.propagation.lstrip("r")
        if mount.type != "bind" or kind not in ("shared", "slave"):
            continue
        source = os.path.realpath(mount.source)
        mounted = _mount_of(source, table)
        shared = any(tag.startswith("shared:") for tag in mounted.tags)
        if not shared and (kind == "shared" or not any(tag.startswith("master:") for tag in mounted.tags)):
            wanted = "a shared" if kind == "shared" else "a shared or slave"
            raise internal(f"path {mount.source} is mounted on {mounted.target} but it is not {wanted} mount")


def _mount_of(path: str, table: Sequence[HostEntry]) -> HostEntry:
    """The mount that a path is on: the deepest, and of several the latest."""
    above = [entry for entry in table if f"{path}/".startswith(f"{entry.target.rstrip('/')}/")]
    return max(enumerate(above), key=lambda pair: (len(pair[1].target), pair[0]))[1]


def attachments(spec: ContainerSpec) -> tuple[Attachment, ...]:
    """The bind mounts' sources as mount descriptors, which the launcher attaches in the bundle.

    New mounts of the host don't reach the launcher's own namespace unless the host shares them.
    """
    found = [mount for mount in spec.mounts if mount.type == "bind"]
    return tuple(Attachment(attachment_name(mount), partial(_clone_bind, mount)) for mount in found)


def bind_mounts(spec: ContainerSpec, bundle: Path, *, rro: bool) -> tuple[HostMount, ...]:
    """The bind mounts for `config.json`; `rro`: kernel and runtime support recursive read-only."""
    return tuple(_bind(mount, bundle, rro=rro) for mount in spec.mounts if mount.type == "bind")


def flags_of(path: str | Path) -> tuple[str, ...]:
    """The options that the mount at a path has itself, such as `ro`: crun clears those that aren't asked for."""
    try:
        flags = os.statvfs(path).f_flag
    except OSError:
        return ()
    return tuple(word for word, flag in FLAGS.items() if flags & flag)


def _bind(mount: Mount, bundle: Path, *, rro: bool) -> HostMount:
    if mount.recursive_read_only == "always" and not rro:
        raise bad_request(f"mount {mount.target}: recursive read-only needs a runtime that knows it, crun or runc")
    options = ["rbind" if mount.recursive else "bind", mount.propagation or "rprivate", *mount.options]
    options += flags_of(mount.source)
    options += [option for option in (read_only_option(mount, rro=rro),) if option]
    return HostMount(str(bundle / attachment_name(mount)), mount.target, tuple(dict.fromkeys(options)))


def read_only_option(mount: Mount, *, rro: bool) -> str:
    """The mount option: `rro` (with all mounts below) where it is supported, as in Docker since 25; `ro`; or ""."""
    if not mount.read_only:
        return ""
    return "rro" if rro and mount.recursive and mount.recursive_read_only != "never" else "ro"


def attachment_name(mount: Mount) -> str:
    """The name of a mount's attachment in the bundle, unique in the container."""
    return f"piece-{hashlib.sha256(mount.target.encode()).hexdigest()[:16]}"


def _clone_bind(mount: Mount) -> int:
    passes = mount.propagation.lstrip("r") in ("shared", "slave")
    return clone_in_namespace_of(os.getpid(), mount.source, recursive=mount.recursive, own=not passes)
