"""The mounts of a container's volumes: for the runtime, and for a view of its files."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from seaway_agent.archive.view import Place
from seaway_agent.kernel.clones import clone_below, clone_in_namespace_of
from seaway_agent.runtime.contribution import Attachment
from seaway_agent.volumes.binds import attachment_name, flags_of, read_only_option
from seaway_agent.volumes.mounted import flags_of_mount, mount_in_time, mount_refusal
from seaway_agent.volumes.options import MountOptions, mount_options
from seaway_agent.volumes.volumes import Volumes, volume_mounts
from seaway_contracts.containers import ContainerSpec, Mount
from seaway_contracts.errors import SeawayError, not_found


@dataclass(frozen=True)
class VolumeMount:
    """A local volume: its data directory on the host.

    `recursively`: read-only with all mounts below. With a `subpath` only that is mounted. With an `attachment` it is
    mounted from the bundle's attachment of that name. `options`: those that the mount of its data has, such as `ro`.
    """

    source: Path
    target: str
    read_only: bool
    recursively: bool = False
    subpath: str = ""
    attachment: str = ""
    options: tuple[str, ...] = ()


class VolumeMounts:
    """Describes the mounts of containers' volumes. A missing data directory is made anew."""

    def __init__(self, volumes: Volumes) -> None:
        self._volumes = volumes

    def of(self, spec: ContainerSpec, *, rro: bool = False) -> tuple[VolumeMount, ...]:
        """The container's volumes as mounts. Raises SeawayError."""
        found = []
        for mount in volume_mounts(spec):
            source = self._volumes.ready(mount.source)
            mounted = self._options(mount) is not None
            attachment = attachment_name(mount) if mount.subpath or mounted else ""
            below = read_only_option(mount, rro=rro) == "rro"
            flags = flags_of_mount(source) if mounted else flags_of(source)
            found.append(VolumeMount(source, mount.target, mount.read_only, below, mount.subpath, attachment, flags))
        return tuple(found)

    def places(self, spec: ContainerSpec) -> tuple[Place, ...]:
        """The container's volumes, for a view of its files while it doesn't run. Raises SeawayError."""
        return tuple(self._place(mount) for mount in volume_mounts(spec))

    def attachments(self, spec: ContainerSpec) -> tuple[Attachment, ...]:
        """The subpaths of volumes, and volumes with options, which the launcher attaches in the bundle.

        What the agent mounts doesn't reach the launcher's own namespace unless the host shares its mounts.
        """
        wanted = [mount for mount in volume_mounts(spec) if mount.subpath or self._options(mount)]
        return tuple(Attachment(attachment_name(mount), self._clone(mount)) for mount in wanted)

    def _clone(self, mount: Mount) -> Callable[[], int]:
        data = str(self._volumes.path(mount.source))
        if self._options(mount) is None:
            return partial(_clone_subpath, data, mount.subpath, clone_below)
        clone = partial(clone_in_namespace_of, os.getpid(), recursive=True)
        if mount.subpath:
            return partial(_clone_subpath, data, mount.subpath, lambda path, subpath: clone(path, subpath=subpath))
        return partial(clone, data)

    def _place(self, mount: Mount) -> Place:
        source, options = self._volumes.ready(mount.source), self._options(mount)
        mounting = None if options is None else partial(_mount, source, options)
        return Place(mount.target, source, mount.read_only, mount.subpath, mounting)

    def _options(self, mount: Mount) -> MountOptions | None:
        return mount_options(self._volumes.record(mount))


def _clone_subpath(volume: str, subpath: str, clone: Callable[[str, str], int]) -> int:
    try:
        return clone(volume, subpath)
    except FileNotFoundError:
        raise not_found(
            f"cannot access path {volume}/{subpath}: lstat {volume}/{subpath}: no such file or directory"
        ) from None


def _mount(data: Path, options: MountOptions) -> None:
    try:
        mount_in_time(data, options)
    except SeawayError as error:
        raise mount_refusal(data, error) from error
