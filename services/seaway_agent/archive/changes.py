"""What a container's writable layer changes (`docker diff`), and the layer as a tar (commit), read without a mount.

Docker compares the two merged trees (moby pkg/archive, ChangesDirs); the same comes out of the writable layer alone:
only what is in it can differ. A path is modified if its mode, owner, device or (but for directories) time or size
differ; a directory also if anything below it has changed. Nothing is reported below something deleted.
"""

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from seaway_agent.archive.walk import Step, TarWriter, Write, walk
from seaway_agent.rootfs import merged
from seaway_agent.rootfs.directories import OPAQUE_XATTR
from seaway_agent.rootfs.names import OPAQUE, WHITEOUT
from seaway_agent.rootfs.tree import open_directory
from seaway_archive.entries import Kind, TarEntry
from seaway_contracts.archives import Change, ChangeKind
from seaway_contracts.errors import internal

_SECOND: Final = 1_000_000_000
_Parts = tuple[bytes, ...]


def is_whiteout(status: os.stat_result) -> bool:
    """Whether this is overlayfs's mark for something deleted."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def is_opaque(directory: int) -> bool:
    """Whether nothing of the layers below shows in this open directory of a layer."""
    try:
        return os.getxattr(directory, OPAQUE_XATTR) == b"y"
    except OSError:
        return False


def changes(upper: Path, lowers: Sequence[Path]) -> Iterator[Change]:
    """The changes in `upper` over `lowers` (topmost first), parents before what is below them. Blocks."""
    fd = open_directory(upper)
    try:
        yield from _Comparison(lowers).run(fd)
    finally:
        os.close(fd)


@dataclass
class _Above:
    """A directory above the walk's present entry. `opaque`: nothing of the layers below shows in it."""

    title: bytes
    reported: bool
    opaque: bool


class _Comparison:
    def __init__(self, lowers: Sequence[Path]) -> None:
        self._lowers = lowers
        self._above: list[_Above] = []

    def run(self, top: int) -> Iterator[Change]:
        for step in walk(top, b""):
            while self._above and not step.title.startswith(self._above[-1].title + b"/"):
                self._above.pop()
            parts = tuple(step.title.split(b"/"))
            found = merged.find(self._lowers, parts)
            kind = _kind(step, found)
            if kind is not None:
                yield from self._report(step.title, kind)
            if step.fd >= 0:
                opaque = is_opaque(step.fd) or bool(self._above and self._above[-1].opaque)
                self._above.append(_Above(step.title, kind is not None, opaque))
                if opaque and found is not None and found.is_directory:
                    yield from self._replaced(step, parts)

    def _replaced(self, step: Step, parts: _Parts) -> Iterator[Change]:
        """What the directories below have and this one, which hides them, has not."""
        with os.scandir(step.fd) as entries:
            kept = {os.fsencode(entry.name) for entry in entries}
        for name in sorted(names_below(self._lowers, parts) - kept):
            yield from self._report(step.title + b"/" + name, "deleted")

    def _report(self, title: bytes, kind: ChangeKind) -> Iterator[Change]:
        """The change, after those of the directories above it that are not reported yet."""
        for above in self._above:
            if not above.reported:
                above.reported = True
                yield _change(above.title, "modified")
        yield _change(title, kind)


def _kind(step: Step, found: merged.Found | None) -> ChangeKind | None:
    if is_whiteout(step.status):
        return None if found is None else "deleted"
    if found is None:
        return "added"
    return "modified" if _differs(step.status, found.status) else None


def _differs(ours: os.stat_result, theirs: os.stat_result) -> bool:
    if (ours.st_mode, ours.st_uid, ours.st_gid, ours.st_rdev) != (
        theirs.st_mode, theirs.st_uid, theirs.st_gid, theirs.st_rdev,
    ):  # fmt: skip
        return True
    if stat.S_ISDIR(ours.st_mode):
        return False
    return ours.st_size != theirs.st_size or not _same_time(ours.st_mtime_ns, theirs.st_mtime_ns)


def _same_time(one: int, other: int) -> bool:
    """Whether two times are equal; a time from an archive may have whole seconds only."""
    if one % _SECOND and other % _SECOND:
        return one == other
    return one // _SECOND == other // _SECOND


def names_below(lowers: Sequence[Path], path: _Parts) -> set[bytes]:
    """What the merged `lowers` have in the directory `path`."""
    names: set[bytes] = set()
    hidden: set[bytes] = set()
    for lower in lowers:
        if not _collect(lower, path, names, hidden):
            break
    return names


def _collect(lower: Path, path: _Parts, names: set[bytes], hidden: set[bytes]) -> bool:
    """Add the names of one layer; whether those below it show as well."""
    fd, opaque = open_directory(lower), False
    try:
        for part in path:
            try:
                if not stat.S_ISDIR(os.stat(part, dir_fd=fd, follow_symlinks=False).st_mode):
                    return False
            except FileNotFoundError:
                return not opaque
            parent, fd = fd, open_directory(part, fd)
            os.close(parent)
            opaque |= is_opaque(fd)
        with os.scandir(fd) as entries:
            found = {os.fsencode(entry.name): entry.stat(follow_symlinks=False) for entry in entries}
    finally:
        os.close(fd)
    gone = {name for name, status in found.items() if is_whiteout(status)}
    names |= found.keys() - gone - hidden
    hidden |= gone
    return not opaque


def _change(title: bytes, kind: ChangeKind) -> Change:
    return Change(path="/" + title.decode("utf-8", "replace"), kind=kind)


def tar_layer(upper: Path, write: Write) -> bool:
    """Write the layer as a tar; whether there is anything in it. Blocks."""
    writer = TarWriter(write)
    fd = open_directory(upper)
    found = False
    try:
        for step in walk(fd, b""):
            found = True
            _add(writer, step)
    finally:
        os.close(fd)
    writer.finish()
    return found


def _add(writer: TarWriter, step: Step) -> None:
    if os.fsencode(step.name).startswith(WHITEOUT):
        raise internal(f"the file {step.name[:100]!r} can't be part of an image: names with .wh. mean deletions there")
    if step.fd >= 0:
        writer.add_directory(step.fd, step.title)
        if is_opaque(step.fd):
            writer.add_raw(_mark(step, step.title + b"/" + OPAQUE))
    elif is_whiteout(step.status):
        parent, _, name = step.title.rpartition(b"/")
        writer.add_raw(_mark(step, (parent + b"/" if parent else b"") + WHITEOUT + name))
    else:
        with contextlib.suppress(FileNotFoundError):
            writer.add(step.parent, step.name, step.title, step.status)


def _mark(step: Step, title: bytes) -> TarEntry:
    return TarEntry(title, Kind.FILE, mode=0o600, mtime_ns=step.status.st_mtime_ns)
