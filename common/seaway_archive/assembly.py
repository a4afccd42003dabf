"""Makes entries out of tar headers, strictly. Pure: it is sent the bytes that it asks for.

Read: v7, ustar, star, GNU (long names, old sparse, base-256) and pax (with GNU sparse and SCHILY.xattr).
Global pax headers are skipped, as Docker does. Everything unknown is rejected rather than guessed at.
"""

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from seaway_archive.entries import Extent, Kind, TarEntry
from seaway_archive.errors import ArchiveRejected, ArchiveTooLarge, ArchiveTruncated, malformed, shown
from seaway_archive.headers import BLOCK, PAX, Header, Steps, exactly, kind_of, parse_header
from seaway_archive.pax import Pax, parse_pax
from seaway_archive.sparse import Sparse, gnu_sparse, pax_sparse

_GLOBAL_PAX: Final = b"g"
_LONG_NAME: Final = b"L"
_LONG_LINK: Final = b"K"
_GNU_SPARSE: Final = b"S"
_ZEROS: Final = bytes(BLOCK)
_MOST_IDS: Final = 2**32 - 1
_META_IN_A_ROW: Final = 16
_LEAST_PER_EXTENT: Final = 24


@dataclass(frozen=True, slots=True)
class TarLimits:
    """Bounds for one archive: the sum of its files' sizes (holes included) and one extension header, in bytes.

    `entries` counts all headers, so that endless extension headers end as well.
    """

    total: int = 64 << 30
    entries: int = 1_000_000
    metadata: int = 1 << 20


class Member(NamedTuple):
    """An entry and its data: how many bytes are stored in the archive, and where in the file they belong."""

    entry: TarEntry
    stored: int
    extents: tuple[Extent, ...]


@dataclass(slots=True)
class _Meta:
    """What the headers before an entry said about it."""

    pax: Pax = field(default_factory=Pax)
    name: bytes = b""
    link: bytes = b""
    headers: int = 0


class Assembler:
    """Makes one member after another; the caller passes over the data between them."""

    def __init__(self, limits: TarLimits, *, end_mark: bool) -> None:
        self._limits = limits
        self._end_mark = end_mark
        self._entries = 0
        self._total = 0

    def member(self) -> Steps[Member | None]:
        """The next member, None at the end. Raises `ArchiveRejected`, `ArchiveTooLarge`."""
        meta = _Meta()
        while (block := (yield from self._header_block())) is not None:
            header = parse_header(block)
            self._count()
            if not (yield from self._absorb(header, meta)):
                return (yield from self._member(header, meta))
            meta.headers += 1
            if meta.headers > _META_IN_A_ROW:
                raise ArchiveTooLarge(f"the archive has more than {_META_IN_A_ROW} extension headers for one entry")
        if meta.headers and (meta.name or meta.link or meta.pax != Pax()):
            raise ArchiveTruncated("the archive is truncated: it ends after an extension header")
        return None

    def _header_block(self) -> Steps[bytes | None]:
        """The next header; None at the end mark or, as some writers leave that out, at the end of the bytes."""
        block = yield BLOCK
        if block == _ZEROS or (not block and not self._end_mark):
            return None
        if len(block) < BLOCK:
            where = "within a header" if block else "without an end mark"
            raise ArchiveTruncated(f"the archive is truncated: it ends {where}")
        return block

    def _count(self) -> None:
        self._entries += 1
        if self._entries > self._limits.entries:
            raise ArchiveTooLarge(f"the archive has more than {self._limits.entries} entries")

    def _absorb(self, header: Header, meta: _Meta) -> Steps[bool]:
        """Whether `header` was an extension, now in `meta`."""
        if header.type == PAX:
            meta.pax = parse_pax((yield from self._meta_data(header)))
        elif header.type == _GLOBAL_PAX:
            parse_pax((yield from self._meta_data(header)))
        elif header.type == _LONG_NAME:
            meta.name = _terminated((yield from self._meta_data(header)))
        elif header.type == _LONG_LINK:
            meta.link = _terminated((yield from self._meta_data(header)))
        else:
            return False
        return True

    def _meta_data(self, header: Header) -> Steps[bytes]:
        if header.size > self._limits.metadata:
            raise ArchiveTooLarge(f"an extension header of the archive has {header.size} bytes")
        padded = yield from exactly(header.size + -header.size % BLOCK)
        return padded[: header.size]

    def _member(self, header: Header, meta: _Meta) -> Steps[Member]:
        kind = kind_of(header)
        name = meta.pax.names.get(b"path") or meta.name or header.name
        stored = meta.pax.numbers.get(b"size", header.size) if kind is Kind.FILE else 0
        sparse = None
        if kind is Kind.FILE and (header.type == _GNU_SPARSE or meta.pax.sparse):
            sparse, taken = yield from self._sparse(header, meta.pax)
            stored -= taken
            if sum(length for _, length in sparse.extents) != stored:
                raise malformed("the map of a sparse file doesn't fit its data")
        size = sparse.size if sparse else stored
        self._bound(name, size)
        entry = TarEntry(
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
        return Member(entry, stored, sparse.extents if sparse else ((0, size),))

    def _sparse(self, header: Header, pax: Pax) -> Steps[tuple[Sparse, int]]:
        most = self._limits.metadata // _LEAST_PER_EXTENT
        if header.type == _GNU_SPARSE:
            return (yield from gnu_sparse(header.block, most)), 0
        return (yield from pax_sparse(pax.sparse, most))

    def _bound(self, name: bytes, size: int) -> None:
        self._total += size
        if self._total > self._limits.total:
            raise ArchiveTooLarge(
                f"the archive has more than {self._limits.total} bytes at {shown(name)!r} ({size} bytes)"
            )


def _terminated(data: bytes) -> bytes:
    name = data.rstrip(b"\0")
    if b"\0" in name:
        raise malformed(f"the name {shown(name)!r} contains NUL")
    return name


def _owner(value: int, name: bytes) -> int:
    """`value` as a uid or gid. 2**32-1 is the kernel's "leave unchanged", never an owner."""
    if value >= _MOST_IDS:
        raise ArchiveRejected(f"the archive gives {shown(name)!r} to the owner {value}, beyond 32 bits")
    return value
