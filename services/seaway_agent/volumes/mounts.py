"""The mounts of a container's volumes: for the runtime, and for a view of its files."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from seaway_agent.archive.view import Place
from seaway_agent.kernel.clones import clone_below
from seaway_agent.runtime.contribution import Attachment
from seaway_agent.volumes.binds import attachment_name, read_only_option
from seaway_agent.volumes.volumes import Volumes, volume_mounts
from seaway_contracts.containers import ContainerSpec
from seaway_contracts.errors import not_found


@dataclass(frozen=True)
class VolumeMount:
    """A local volume: its data directory on the host.

    `recursively`: read-only with all mounts below. With a `subpath` only that is mounted, from the attachment of the
    bundle named `attachment`.
    """

    source: Path
    target: str
    read_only: bool
    recursively: bool = False
    subpath: str = ""
    attachment: str = ""


class VolumeMounts:
    """Describes the mounts of containers' volumes. A missing data directory is made anew."""

    def __init__(self, volumes: Volumes) -> None:
        self._volumes = volumes

    def of(self, spec: ContainerSpec, *, rro: bool = False) -> tuple[VolumeMount, ...]:
        """The container's volumes as mounts. Raises SeawayError."""
        found = []
        for mount in volume_mounts(spec):
            source = self._volumes.ready(mount.source)
            attachment = attachment_name(mount) if mount.subpath else ""
            below = read_only_option(mount, rro=rro) == "rro"
            found.append(VolumeMount(source, mount.target, mount.read_only, below, mount.subpath, attachment))
        return tuple(found)

    def places(self, spec: ContainerSpec) -> tuple[Place, ...]:
        """The container's volumes, for a view of its files. Raises SeawayError."""
        return tuple(Place(one.target, one.source, one.read_only, one.subpath) for one in self.of(spec))

    def attachments(self, spec: ContainerSpec) -> tuple[Attachment, ...]:
        """The subpaths of volumes, which the launcher attaches in the bundle."""
        return tuple(
            Attachment(
                attachment_name(mount), partial(_clone_subpath, str(self._volumes.path(mount.source)), mount.subpath)
            )
            for mount in volume_mounts(spec)
            if mount.subpath
        )


def _clone_subpath(volume: str, subpath: str) -> int:
    try:
        return clone_below(volume, subpath)
    except FileNotFoundError:
        raise not_found(
            f"cannot access path {volume}/{subpath}: lstat {volume}/{subpath}: no such file or directory"
        ) from None
