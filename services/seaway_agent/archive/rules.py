"""Docker's rules for the paths of `docker cp`, and for what an archive may do in a directory. Pure."""

import posixpath
from collections.abc import Sequence
from typing import Final, NamedTuple

from seaway_contracts.containers import Mount
from seaway_contracts.errors import SeawayError, bad_request, internal

ROOTFS_READ_ONLY: Final = "container rootfs is marked read-only"
VOLUME_READ_ONLY: Final = "mounted volume is marked read-only"
NO_DIRECTORY: Final = "extraction point is not a directory"
_LONGEST: Final = 4096


def absolute(path: str) -> str:
    """A user's path from the root, clean, with a slash or `/.` at its end kept: these ask for what a link leads to.

    Raises SeawayError (400) for what can be no path.
    """
    if "\0" in path or len(path.encode(errors="surrogateescape")) >= _LONGEST:
        raise bad_request("the path contains a NUL, or has more than 4095 bytes")
    clean = "/" + posixpath.normpath("/" + path).lstrip("/")
    if path.endswith("/.") or path == ".":
        return clean.rstrip("/") + "/."
    return clean + "/" if path.endswith("/") and clean != "/" else clean


def base_name(path: str) -> str:
    """The last part of a path that `absolute` made (Go's filepath.Base)."""
    return "/" if path.strip("/") == "" else path.rstrip("/").rpartition("/")[2]


class Source(NamedTuple):
    """What to read: the entry `name` of `directory` (empty: the directory itself), under `title` in the archive.

    Entries below the title are `<title>/<name>`; the title of the root is empty.
    """

    directory: str
    name: str
    title: str


def source_of(path: str, *, directory: bool) -> Source:
    """Where the entries of an absolute path come from, and what they are called."""
    base = base_name(path)
    if directory:
        return Source(path, "", "" if base == "/" else base)
    parent, _, name = path.rpartition("/")
    return Source(parent or "/", name, name)


def mount_of(mounts: Sequence[Mount], path: str, *, running: bool) -> Mount | None:
    """The mount in which an absolute path without links lies; a tmpfs is only there while the container runs."""
    found: Mount | None = None
    for mount in mounts:
        target = absolute(mount.target).rstrip("/.") or "/"
        inside = path == target or path.startswith(target.rstrip("/") + "/")
        if inside and (mount.type != "tmpfs" or running) and (found is None or len(target) >= len(found.target)):
            found = mount
    return found


def check_writable(mounts: Sequence[Mount], path: str, *, read_only_rootfs: bool, running: bool) -> None:
    """Raise SeawayError (500, as Docker) in a read-only place; `path` is absolute and without links."""
    mount = mount_of(mounts, path, running=running)
    if mount is None and read_only_rootfs:
        raise internal(ROOTFS_READ_ONLY)
    if mount is not None and mount.read_only:
        raise internal(VOLUME_READ_ONLY)


def entry_path(name: bytes, top: str) -> bytes:
    """An entry's name, clean and relative to the directory that it goes to; `.` is that directory itself.

    Raises SeawayError (500, as Docker) for one that climbs out.
    """
    clean = posixpath.normpath(name) if name else b"."
    if clean == b".." or clean.startswith(b"../"):
        raise _breakout(f"{_quoted(name)} is outside of {_quoted(top.encode())}")
    return clean.lstrip(b"/") or b"."


def check_symlink(path: bytes, target: bytes, top: str) -> None:
    """Refuse a relative link that would climb out of the directory (Docker's "invalid symlink")."""
    parent = posixpath.dirname(path)
    end = posixpath.normpath(posixpath.join(b"/t", parent) + b"/" + target)
    if end != b"/t" and not end.startswith(b"/t/"):
        where = posixpath.join(top, path.decode(errors="replace"))
        raise _breakout(f"invalid symlink {_quoted(where.encode())} -> {_quoted(target)}")


def link_path(target: bytes) -> bytes:
    """The name of a hard link's target below the directory. Raises SeawayError for one outside of it."""
    clean = posixpath.normpath(b"/t/" + target)
    if not clean.startswith(b"/t/"):
        raise _breakout(f"invalid hardlink -> {_quoted(target)}")
    return clean.removeprefix(b"/t/")


def replaces(path: str, top: str, *, there_is_directory: bool, comes_directory: bool) -> SeawayError:
    """Docker's refusal with noOverwriteDirNonDir."""
    there, comes = ("directory", "non-directory") if there_is_directory else ("non-directory", "directory")
    assert there_is_directory != comes_directory
    return internal(f'cannot overwrite {there} "{path}" with {comes} "{top}"')


def _breakout(text: str) -> SeawayError:
    return internal(text)


def _quoted(name: bytes) -> str:
    return '"' + name[:300].decode("utf-8", "backslashreplace").replace('"', '\\"') + '"'
