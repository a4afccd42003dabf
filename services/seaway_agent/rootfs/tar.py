"""Strict streaming reader of tar archives as container layers use them. Pure: it only calls `read(n)`.

Read: v7, ustar, star, GNU (long names, old sparse, base-256) and pax (with GNU sparse and SCHILY.xattr).
Global pax headers are skipped, as Docker does. Everything unknown is rejected rather than guessed at.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from seaway_agent.rootfs.errors import LayerRejected, LayerTooLarge, shown
from seaway_agent.rootfs.limits import KIB, Limits
from seaway_agent.rootfs.tar_header import BLOCK, Header, parse_header
from seaway_agent.rootfs.tar_pax import Pax, parse_pax
from seaway_agent.rootfs.tar_sparse import Extent, Sparse, gnu_sparse, pax_sparse

Read = Callable[[int], bytes]
"""`read(n)` gives 1 to n bytes, or b"" at the end."""

CHUNK: Final = 256 * KIB
_ZEROS: Final = bytes(BLOCK)
_MOST_IDS: Final = 2**32 - 1
_META_IN_A_ROW: Final = 16


class Kind(Enum):
    """What an entry makes."""

    FILE = "file"
    HARDLINK = "hard link"
    SYMLINK = "symbolic link"
    CHARACTER = "character device"
    BLOCK = "block device"
    DIRECTORY = "directory"
    FIFO = "FIFO"


_KINDS: Final = {
    b"0": Kind.FILE,
    b"\0": Kind.FILE,
    b"7": Kind.FILE,
    b"S": Kind.FILE,
    b"1": Kind.HARDLINK,
    b"2": Kind.SYMLINK,
    b"3": Kind.CHARACTER,
    b"4": Kind.BLOCK,
    b"5": Kind.DIRECTORY,
    b"6": Kind.FIFO,
}


@dataclass(slots=True)
class TarEntry:
    """One member. Names are bytes exactly as stored; `size` is the file's size in bytes, holes included."""

    name: bytes
    kind: Kind
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    size: int
    link: bytes
    device: tuple[int, int]
    xattrs: dict[str, bytes]
    extents: tuple[Extent, ...] | None


@dataclass(slots=True)
class _Meta:
    """What the headers before an entry said about it."""

    pax: Pax = field(default_factory=Pax)
    name: bytes = b""
    link: bytes = b""
    headers: int = 0


class TarReader:
    """Iterates over the entries; between two of them `pieces()` gives the data of the last one."""

    def __init__(self, read: Read, limits: Limits) -> None:
        self._read = read
        self._limits = limits
        self._buffer = b""
        self._position = 0
        self._stored = 0
        self._padding = 0
        self._extents: tuple[Extent, ...] = ()
        self._entries = 0
        self._total = 0

    def __iter__(self) -> Iterator[TarEntry]:
        """Entries in archive order. Raises `LayerRejected` or `LayerTooLarge`."""
        while (entry := self._next()) is not None:
            yield entry

    def pieces(self) -> Iterator[tuple[int, memoryview]]:
        """The data of the current file as `(offset in the file, bytes)`."""
        for offset, length in self._extents:
            end = offset + length
            while offset < end:
                view = self._view(end - offset)
                self._stored -= len(view)
                yield offset, view
                offset += len(view)

    def drain(self) -> None:
        """Read what follows the end mark, so that digests cover it; archives are often padded."""
        while self._read(CHUNK):
            pass

    def _next(self) -> TarEntry | None:
        self._skip(self._stored + self._padding)
        meta = _Meta()
        while (block := self._header_block()) is not None:
            header = parse_header(block)
            self._count()
            if not self._absorb(header, meta):
                return self._entry(header, meta)
            meta.headers += 1
            if meta.headers > _META_IN_A_ROW:
                raise LayerTooLarge(f"the layer has more than {_META_IN_A_ROW} extension headers for one entry")
        if meta.headers and (meta.name or meta.link or meta.pax != Pax()):
            raise LayerRejected("the layer is truncated: it ends after an extension header")
        return None

    def _header_block(self) -> bytes | None:
        """The next header, or None at the end mark or, as some writers leave that out, at the end of the stream."""
        if self._position == len(self._buffer) and not self._refill():
            return None
        block = self._take(BLOCK)
        return None if block == _ZEROS else block

    def _count(self) -> None:
        self._entries += 1
        if self._entries > self._limits.entries:
            raise LayerTooLarge(f"the layer has more than {self._limits.entries} entries")

    def _absorb(self, header: Header, meta: _Meta) -> bool:
        """Whether `header` was an extension, now in `meta`."""
        if header.type == b"x":
            meta.pax = parse_pax(self._meta_data(header))
        elif header.type == b"g":
            parse_pax(self._meta_data(header))
        elif header.type == b"L":
            meta.name = _terminated(self._meta_data(header))
        elif header.type == b"K":
            meta.link = _terminated(self._meta_data(header))
        else:
            return False
        return True

    def _meta_data(self, header: Header) -> bytes:
        if header.size > self._limits.metadata:
            raise LayerTooLarge(f"an extension header of the layer has {header.size} bytes")
        data = self._take(header.size)
        self._skip(-header.size % BLOCK)
        return data

    def _entry(self, header: Header, meta: _Meta) -> TarEntry:
        kind = _kind(header)
        name = meta.pax.names.get(b"path") or meta.name or header.name
        stored = meta.pax.numbers.get(b"size", header.size) if kind is Kind.FILE else 0
        self._stored, self._padding = stored, -stored % BLOCK
        sparse = self._sparse(header, meta.pax) if kind is Kind.FILE else None
        size = sparse.size if sparse else self._stored
        self._extents = sparse.extents if sparse else ((0, size),)
        self._bound(name, size)
        return TarEntry(
            name=sparse.name or name if sparse else name,
            kind=kind,
            mode=header.mode & 0o7777,
            uid=_owner(meta.pax.numbers.get(b"uid", header.uid), name),
            gid=_owner(meta.pax.numbers.get(b"gid", header.gid), name),
            mtime_ns=header.mtime * 1_000_000_000 if meta.pax.mtime_ns is None else meta.pax.mtime_ns,
            size=size,
            link=meta.pax.names.get(b"linkpath") or meta.link or header.link,
            device=header.device,
            xattrs=meta.pax.xattrs,
            extents=sparse.extents if sparse else None,
        )

    def _bound(self, name: bytes, size: int) -> None:
        self._total += size
        if self._total > self._limits.total:
            raise LayerTooLarge(f"the layer has more than {self._limits.total} bytes at {shown(name)!r} ({size} bytes)")

    def _sparse(self, header: Header, pax: Pax) -> Sparse | None:
        most = self._limits.metadata // 24
        if header.type == b"S":
            sparse = gnu_sparse(header.block, lambda: self._take(BLOCK), most)
        elif pax.sparse:
            sparse, taken = pax_sparse(pax.sparse, lambda: self._take(BLOCK), most)
            self._stored -= taken
        else:
            return None
        if sum(length for _, length in sparse.extents) != self._stored:
            raise LayerRejected("the layer is malformed: the map of a sparse file doesn't fit its data")
        return sparse

    def _take(self, size: int) -> bytes:
        start = self._position
        if start + size <= len(self._buffer):
            self._position = start + size
            return self._buffer[start : start + size]
        parts = []
        while size:
            view = self._view(size)
            parts.append(bytes(view))
            size -= len(view)
        return b"".join(parts)

    def _skip(self, size: int) -> None:
        while size:
            size -= len(self._view(size))
        self._stored = self._padding = 0

    def _view(self, most: int) -> memoryview:
        """At least one byte and at most `most`, without a copy."""
        if self._position == len(self._buffer) and not self._refill():
            raise LayerRejected("the layer is truncated: the tar archive ends within an entry")
        start = self._position
        self._position = min(start + most, len(self._buffer))
        return memoryview(self._buffer)[start : self._position]

    def _refill(self) -> bool:
        self._buffer = self._read(CHUNK)
        self._position = 0
        return bool(self._buffer)


def _kind(header: Header) -> Kind:
    kind = _KINDS.get(header.type)
    if kind is None:
        raise LayerRejected(f"the layer has an entry of the unknown type {shown(header.type)!r}")
    # Before POSIX a directory was a file whose name ends in a slash.
    return Kind.DIRECTORY if header.type == b"\0" and header.name.endswith(b"/") else kind


def _terminated(data: bytes) -> bytes:
    name = data.rstrip(b"\0")
    if b"\0" in name:
        raise LayerRejected(f"the layer is malformed: the name {shown(name)!r} contains NUL")
    return name


def _owner(value: int, name: bytes) -> int:
    """`value` as a uid or gid. 2**32-1 is the kernel's "leave unchanged", never an owner."""
    if value >= _MOST_IDS:
        raise LayerRejected(f"the layer gives {shown(name)!r} to the owner {value}, beyond 32 bits")
    return value
