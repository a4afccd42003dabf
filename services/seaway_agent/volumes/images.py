"""Mounts of images: read-only overlays of their layers, without the init layer that a root filesystem has.

An overlay is made in a mount namespace that ends with its thread, and handed on as a descriptor. So only the namespace
of the container keeps it, and nothing is left to unmount, however the agent ends.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from seaway_agent.archive.view import Place, apart
from seaway_agent.kernel import launcher, mount_trees, overlay, syscalls
from seaway_agent.kernel.clones import clone_below
from seaway_agent.layout import Layout
from seaway_agent.oci.mounts import HostMount
from seaway_agent.rootfs.layers import Fetch, LayerStore
from seaway_agent.runtime.contribution import Attachment
from seaway_agent.volumes.binds import attachment_name
from seaway_agent.volumes.mounts import VolumeMounts
from seaway_contracts.containers import ContainerSpec, ImageUse, Mount
from seaway_contracts.errors import not_found
from seaway_kit.failpoints import Failpoint, reach


class ImageMounts:
    """Describes the mounts of images in containers; `fetch` gets layers that the node lacks."""

    def __init__(self, layers: LayerStore, fetch: Fetch, layout: Layout) -> None:
        self._layers = layers
        self._fetch = fetch
        self._layout = layout

    async def ensure(self, spec: ContainerSpec) -> None:
        """Have the layers of all that a container mounts. Raises what `LayerStore.ensure` raises."""
        for _, image in _image_mounts(spec):
            await self._layers.ensure_alone(image.layers, self._fetch)

    def mounts(self, spec: ContainerSpec) -> tuple[HostMount, ...]:
        """The mounts for `config.json`, from the attachments in the bundle."""
        bundle = self._layout.bundle(spec.id)
        return tuple(
            HostMount(str(bundle / attachment_name(mount)), mount.target, ("rbind", "rprivate", "ro"))
            for mount, _ in _image_mounts(spec)
        )

    def attachments(self, spec: ContainerSpec) -> tuple[Attachment, ...]:
        """What the launcher attaches in the bundle: an image, or a directory or file in it. Needs `ensure`."""
        return tuple(
            Attachment(
                attachment_name(mount), partial(_clone, self._mounting(image), self._layout.image_scratch, mount)
            )
            for mount, image in _image_mounts(spec)
        )

    def places(self, spec: ContainerSpec) -> tuple[Place, ...]:
        """The images, for a view of a container's files while it doesn't run. Raises KeyError without their layers."""
        return tuple(
            Place(mount.target, self._layout.image_scratch, read_only=True, subpath=mount.subpath, mount=mounting)
            for mount, image in _image_mounts(spec)
            for mounting in (self._mounting(image),)
        )

    def _mounting(self, image: ImageUse) -> Callable[[], None]:
        return partial(_mount, self._layers.lowers(image.layers), self._layout.image_scratch, self._layout.empty)


def all_places(volumes: VolumeMounts, images: ImageMounts, spec: ContainerSpec) -> tuple[Place, ...]:
    """A container's volumes and images, for a view of its files. Raises SeawayError."""
    return (*volumes.places(spec), *images.places(spec))


def _image_mounts(spec: ContainerSpec) -> Iterator[tuple[Mount, ImageUse]]:
    return ((mount, mount.image) for mount in spec.mounts if mount.image is not None)


def _clone(mounting: Callable[[], None], scratch: Path, mount: Mount) -> int:
    """A descriptor of the image's mount, or of that of what is at the subpath, which no link leads out of the image."""

    def cloned() -> int:
        launcher.enter_private_mounts()
        mounting()
        reach(Failpoint.IMAGE_MOUNTED)
        if mount.subpath:
            tree = clone_below(str(scratch), mount.subpath)
        else:
            tree = mount_trees.copy_tree(str(scratch), recursive=False)
        mount_trees.make_own(tree, read_only=True)
        return tree

    try:
        return apart(cloned)
    except (FileNotFoundError, NotADirectoryError):
        path = f"{mount.source}/{mount.subpath}"
        raise not_found(f"cannot access path {path}: lstat {path}: no such file or directory") from None


def _mount(lowers: tuple[str, ...], scratch: Path, empty: Path) -> None:
    """An overlay without an upper directory needs two lower ones; an image may have no layer at all."""
    if lowers:
        overlay.mount_overlay(str(scratch), (*lowers, str(empty)), None, None, read_only=True)
    else:
        syscalls.mount(str(empty), str(scratch), None, syscalls.MS_BIND)
