"""Local volumes: directories below the node's root, named or anonymous."""

import hashlib
import os
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from seaway_agent.kernel.clones import clone_below, clone_in_namespace_of
from seaway_agent.kernel.mountinfo import Mount as HostEntry
from seaway_agent.kernel.mountinfo import parse_mountinfo
from seaway_agent.oci.mounts import HostMount
from seaway_agent.runtime.bundle import Attachment, VolumeMount
from seaway_contracts.containers import ContainerSpec, Mount
from seaway_contracts.errors import bad_request, internal, not_found


class Volumes:
    """The volumes of one node."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, name: str) -> Path:
        """A volume's data directory. Raises SeawayError for a name that isn't one."""
        if not name or name.startswith(".") or "/" in name or "\0" in name:
            raise bad_request(f"{name!r} is no volume name: use [a-zA-Z0-9][a-zA-Z0-9_.-]")
        return self._root / name / "_data"

    def make(self, spec: ContainerSpec) -> None:
        """Make the volumes that a container names and that aren't there."""
        for mount in spec.mounts:
            if mount.type == "volume":
                try:
                    self.path(mount.source).mkdir(parents=True, exist_ok=True)
                except OSError as error:
                    raise internal(f"volume {mount.source} can't be made: {error.strerror}") from error

    def mounts(self, spec: ContainerSpec, *, rro: bool = False) -> tuple[VolumeMount, ...]:
        """The container's volumes, ready to be mounted; pieces of volumes from where `attachments` hangs them."""
        found = []
        for mount in spec.mounts:
            if mount.type == "volume":
                source = self.path(mount.source)
                source.mkdir(parents=True, exist_ok=True)
                copied = not mount.no_copy and not mount.subpath and not any(os.scandir(source))
                piece = _piece(mount) if mount.subpath else ""
                below = _read_only(mount, rro=rro) == "rro"
                found.append(VolumeMount(source, mount.target, mount.read_only, copied, below, mount.subpath, piece))
        return tuple(found)

    def attachments(self, spec: ContainerSpec) -> tuple[Attachment, ...]:
        """What the launcher must hang into the bundle: pieces of volumes, and binds as the host has them now, as mounts
        of the host reach the launcher's namespace only where the host shares them.
        """
        found = []
        for mount in spec.mounts:
            if mount.type == "volume" and mount.subpath:
                piece = partial(_clone_piece, str(self.path(mount.source)), mount.subpath)
                found.append(Attachment(_piece(mount), piece))
            elif mount.type == "bind":
                found.append(Attachment(_piece(mount), partial(_clone_bind, mount)))
        return tuple(found)

    def remove_anonymous(self, spec: ContainerSpec) -> None:
        """Remove what belongs to this container alone."""
        for mount in spec.mounts:
            if mount.type == "volume" and mount.anonymous:
                shutil.rmtree(self._root / mount.source, ignore_errors=True)


def check_binds(spec: ContainerSpec) -> None:
    """Make missing host directories where the user asked by `-v`; refuse a missing one asked by `--mount`."""
    for mount in spec.mounts:
        if mount.type != "bind" or Path(mount.source).exists():
            continue
        if not mount.create_source:
            text = f'invalid mount config for type "bind": bind source path does not exist: {mount.source}'
            raise bad_request(text)
        try:
            Path(mount.source).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise bad_request(f"error while creating mount source path '{mount.source}': {error.strerror}") from error


def check_propagation(spec: ContainerSpec) -> None:
    """Refuse a shared or slave bind of what the host doesn't share, as Docker does at the start."""
    if not any(mount.type == "bind" and mount.propagation.lstrip("r") in ("shared", "slave") for mount in spec.mounts):
        return
    table = list(parse_mountinfo(Path("/proc/self/mountinfo").read_text()))
    for mount in spec.mounts:
        kind = mount.propagation.lstrip("r")
        if mount.type != "bind" or kind not in ("shared", "slave"):
            continue
        source = os.path.realpath(mount.source)
        held = _holding(source, table)
        shared = any(tag.startswith("shared:") for tag in held.tags)
        if not shared and (kind == "shared" or not any(tag.startswith("master:") for tag in held.tags)):
            wanted = "a shared" if kind == "shared" else "a shared or slave"
            raise internal(f"path {mount.source} is mounted on {held.target} but it is not {wanted} mount")


def _holding(path: str, table: Sequence[HostEntry]) -> HostEntry:
    """The mount that a path is on: the deepest, and of these the latest."""
    above = [entry for entry in table if f"{path}/".startswith(f"{entry.target.rstrip('/')}/")]
    return max(enumerate(above), key=lambda pair: (len(pair[1].target), pair[0]))[1]


def bind_mounts(spec: ContainerSpec, bundle: Path, *, rro: bool) -> tuple[HostMount, ...]:
    """The user's binds in the runtime's words; `rro`: kernel and runtime know recursive read-only."""
    return tuple(_bind(mount, bundle, rro=rro) for mount in spec.mounts if mount.type == "bind")


def _bind(mount: Mount, bundle: Path, *, rro: bool) -> HostMount:
    if mount.recursive_read_only == "always" and not rro:
        raise bad_request(f"mount {mount.target}: recursive read-only needs a runtime that knows it, crun or runc")
    options = ["rbind" if mount.recursive else "bind", mount.propagation or "rprivate", *mount.options]
    options += [word for word in (_read_only(mount, rro=rro),) if word]
    return HostMount(str(bundle / _piece(mount)), mount.target, tuple(dict.fromkeys(options)))


def _read_only(mount: Mount, *, rro: bool) -> str:
    """The runtime's word: like Docker since 25, for all mounts below too where that can be had."""
    if not mount.read_only:
        return ""
    return "rro" if rro and mount.recursive and mount.recursive_read_only != "never" else "ro"


def _piece(mount: Mount) -> str:
    """A name below the bundle that no other mount of the container has."""
    return f"piece-{hashlib.sha256(mount.target.encode()).hexdigest()[:16]}"


def _clone_bind(mount: Mount) -> int:
    passes = mount.propagation.lstrip("r") in ("shared", "slave")
    return clone_in_namespace_of(os.getpid(), mount.source, recursive=mount.recursive, own=not passes)


def _clone_piece(volume: str, subpath: str) -> int:
    try:
        return clone_below(volume, subpath)
    except FileNotFoundError:
        raise not_found(
            f"cannot access path {volume}/{subpath}: lstat {volume}/{subpath}: no such file or directory"
        ) from None
