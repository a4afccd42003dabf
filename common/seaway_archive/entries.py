"""The entries of a tar archive, as the reader gives them and the writer takes them. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

Extent = tuple[int, int]
"""`(offset, length)` in bytes within a sparse file."""


class Kind(Enum):
    """What an entry makes."""

    FILE = "file"
    HARDLINK = "hard link"
    SYMLINK = "symbolic link"
    CHARACTER = "character device"
    BLOCK = "block device"
    DIRECTORY = "directory"
    FIFO = "FIFO"


@dataclass(slots=True)
class TarEntry:
    """One entry. Names are bytes exactly as stored; `size` is a file's size in bytes, holes included.

    `device` is major and minor number. `extents` are the parts of a sparse file that have data; None for all others.
    """

    name: bytes
    kind: Kind
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime_ns: int = 0
    link: bytes = b""
    device: tuple[int, int] = (0, 0)
    xattrs: Mapping[str, bytes] = field(default_factory=dict)
    extents: tuple[Extent, ...] | None = None
