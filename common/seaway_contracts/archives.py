"""Payloads about the files of containers: paths copied in and out, whole filesystems, changes, new images, sizes."""

from typing import Literal

from pydantic import Field

from seaway_contracts.base import Payload
from seaway_contracts.images import BlobEndpoint, ImageConfig

ChangeKind = Literal["modified", "added", "deleted"]


class StatPath(Payload):
    """Ask what is at `path` in a container; a last symbolic link is not followed."""

    id: str
    path: str


class PathStat(Payload):
    """lstat of a path: `mode` as st_mode, `size` in bytes. `link_target`: where a link finally leads."""

    name: str
    size: int
    mode: int
    mtime_ns: int
    link_target: str = ""


class ReadPath(Payload):
    """Send `path` as a tar through the byte stream `stream`. The answer is the path's `PathStat`."""

    id: str
    path: str
    stream: str


class WritePath(Payload):
    """Unpack the archive that comes through the byte stream `stream` in the directory `path`.

    The agent ends its side of the stream when all is written, or fails it. `keep_kinds`: no directory is replaced by
    something else, nor the other way round. `chown`: all files get the container's own user as owner.
    """

    id: str
    path: str
    stream: str
    keep_kinds: bool = False
    chown: bool = False


class ExportContainer(Payload):
    """Send the whole root filesystem, without volumes, as a tar through the byte stream `stream`."""

    id: str
    stream: str


class ListChanges(Payload):
    """Send the differences from the image through the byte stream `stream`, a line of JSON for each (`Change`)."""

    id: str
    stream: str


class Change(Payload):
    """A path that differs from the image."""

    path: str
    kind: ChangeKind


class ImageOrder(Payload):
    """The description of an image to make of a container.

    `config` takes precedence over `container`, `changes` over both. `image` is the base image; `created_by` is for the
    history.
    """

    image: str
    config: ImageConfig = Field(default_factory=ImageConfig)
    container: ImageConfig = Field(default_factory=ImageConfig)
    changes: tuple[str, ...] = ()
    target: str = ""
    author: str = ""
    comment: str = ""
    created_by: str = ""
    cause: str = ""
    actor: str = ""


class GrantCommit(Payload):
    """Allow that node to send the layer of an image with this order."""

    node: str
    order: ImageOrder


class CommitContainer(Payload):
    """Make an image of a container's writable layer; `pause` freezes a running container meanwhile.

    `upload`: where to send the layer, once, as the image service has granted. `comment`: the image's, for the event.
    """

    id: str
    upload: BlobEndpoint
    comment: str = ""
    pause: bool = True


class Committed(Payload):
    """The new image's id, and its name where it got one."""

    id: str
    ref: str = ""


class MeasureContainers(Payload):
    """Ask for the sizes of these containers."""

    ids: tuple[str, ...]


class ContainerSize(Payload):
    """The bytes that a container has written (`rw`), and those of all its files (`root_fs`)."""

    id: str
    rw: int
    root_fs: int


class ContainerSizes(Payload):
    """The sizes of those containers that still exist."""

    sizes: tuple[ContainerSize, ...] = ()
