"""Local volumes: directories below the node's root, named or anonymous."""

import contextlib
import os
import shutil
from pathlib import Path

from seaway_agent.oci.spec import HostMount
from seaway_agent.runtime.bundle import VolumeMount
from seaway_contracts.containers import ContainerSpec, Mount
from seaway_contracts.errors import bad_request, internal


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

    def mounts(self, spec: ContainerSpec) -> tuple[VolumeMount, ...]:
        """The container's volumes, ready to be mounted."""
        found = []
        for mount in spec.mounts:
            if mount.type == "volume":
                source = self.path(mount.source)
                source.mkdir(parents=True, exist_ok=True)
                empty = not mount.no_copy and not any(os.scandir(source))
                found.append(VolumeMount(source, mount.target, mount.read_only, empty))
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


def bind_mounts(spec: ContainerSpec) -> tuple[HostMount, ...]:
    """The user's binds in the runtime's words."""
    return tuple(_bind(mount) for mount in spec.mounts if mount.type == "bind")


def _bind(mount: Mount) -> HostMount:
    options = ["rbind", mount.propagation or "rprivate", *mount.options]
    if mount.read_only:
        options.append("ro")
    source = mount.source
    with contextlib.suppress(OSError):
        source = os.path.realpath(mount.source)
    return HostMount(source, mount.target, tuple(dict.fromkeys(options)))
