"""Tar headers as Docker writes them: ustar, with a pax header before what ustar can't hold (POSIX.1-2017). Pure."""

from typing import Final

from seaway_archive.entries import Kind, TarEntry
from seaway_archive.headers import BLOCK, LAYOUT, PAX, TYPES, USTAR
from seaway_archive.pax import XATTR

END: Final = bytes(2 * BLOCK)
_PAX_NAME: Final = b"PaxHeaders.0/"
_SUM_AT: Final = 148
_MOST_ID: Final = 0o7777777
_MOST_NUMBER: Final = 0o77777777777


def encode(entry: TarEntry) -> bytes:
    """The header blocks of an entry; its data follows, filled up to whole blocks. Times are kept in seconds."""
    records = _records(entry)
    header = _header(entry)
    if not records:
        return header
    name = (_PAX_NAME + entry.name.rstrip(b"/").rpartition(b"/")[2])[:100]
    about = _header(TarEntry(name, Kind.FILE, size=len(records)), type_=PAX)
    return about + records + padding(len(records)) + header


def padding(size: int) -> bytes:
    """What fills the last block after `size` bytes."""
    return bytes(-size % BLOCK)


def _records(entry: TarEntry) -> bytes:
    """The records for what a ustar header can't hold of an entry; empty if it holds everything."""
    return b"".join(_record(key, value) for key, value in _beyond_ustar(entry).items())


def _beyond_ustar(entry: TarEntry) -> dict[bytes, bytes]:
    records: dict[bytes, bytes] = {}
    seconds = entry.mtime_ns // 1_000_000_000
    if len(entry.name) > 100 or not entry.name.isascii():
        records[b"path"] = entry.name
    if len(entry.link) > 100 or not entry.link.isascii():
        records[b"linkpath"] = entry.link
    if entry.uid > _MOST_ID:
        records[b"uid"] = b"%d" % entry.uid
    if entry.gid > _MOST_ID:
        records[b"gid"] = b"%d" % entry.gid
    if entry.size > _MOST_NUMBER:
        records[b"size"] = b"%d" % entry.size
    if not 0 <= seconds <= _MOST_NUMBER:
        records[b"mtime"] = b"%d" % seconds
    for key in sorted(entry.xattrs):
        records[XATTR + key.encode(errors="surrogateescape")] = entry.xattrs[key]
    return records


def _record(key: bytes, value: bytes) -> bytes:
    """`<length> <key>=<value>\\n`, whose length counts its own digits."""
    rest = len(key) + len(value) + 3
    size = rest + len(str(rest))
    if len(str(size)) != len(str(rest)):
        size = rest + len(str(size))
    return b"%d %s=%s\n" % (size, key, value)


def _header(entry: TarEntry, *, type_: bytes = b"") -> bytes:
    """A ustar header for an entry, or for one of the format's own types; what doesn't fit is cut off."""
    seconds = entry.mtime_ns // 1_000_000_000
    block = LAYOUT.pack(
        entry.name[:100],
        b"%07o\0" % (entry.mode & 0o7777),
        b"%07o\0" % min(entry.uid, _MOST_ID),
        b"%07o\0" % min(entry.gid, _MOST_ID),
        b"%011o\0" % min(entry.size, _MOST_NUMBER),
        b"%011o\0" % min(max(seconds, 0), _MOST_NUMBER),
        b" " * 8,
        type_ or TYPES[entry.kind],
        entry.link[:100],
        USTAR,
        b"00",
        b"",
        b"",
        b"%07o\0" % (entry.device[0] & _MOST_ID),
        b"%07o\0" % (entry.device[1] & _MOST_ID),
        b"",
        b"",
    )
    return block[:_SUM_AT] + b"%06o\0 " % sum(block) + block[_SUM_AT + 8 :]
