"""Tar headers as Docker writes them: ustar, with a pax header before what ustar can't hold (POSIX.1-2017). Pure."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

BLOCK: Final = 512
END: Final = bytes(2 * BLOCK)
REGULAR: Final = b"0"
HARDLINK: Final = b"1"
SYMLINK: Final = b"2"
CHARACTER: Final = b"3"
BLOCK_DEVICE: Final = b"4"
DIRECTORY: Final = b"5"
FIFO: Final = b"6"
_LAYOUT: Final = struct.Struct("100s8s8s8s12s12s8s1s100s8s32s32s8s8s155s12s")
_MAGIC: Final = b"ustar\x0000"
_SUM_AT: Final = 148
_BLANK: Final = b" " * 8
_MOST_ID: Final = 0o7777777
_MOST_SIZE: Final = 0o77777777777
_PAX_NAME: Final = b"PaxHeaders.0/"


@dataclass(frozen=True, slots=True)
class Entry:
    """One member: `mode` as st_mode, `size` of a regular file's data, times in nanoseconds (kept in seconds)."""

    name: bytes
    type: bytes
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime_ns: int = 0
    link: bytes = b""
    device: tuple[int, int] = (0, 0)
    xattrs: Mapping[str, bytes] = field(default_factory=dict)


def encode(entry: Entry) -> bytes:
    """The header blocks of an entry; its data follows, filled up to whole blocks."""
    mtime = entry.mtime_ns // 1_000_000_000
    records = _records(entry, mtime)
    if not records:
        return _header(entry, mtime)
    data = b"".join(_record(key, value) for key, value in records.items())
    name = (_PAX_NAME + entry.name.rstrip(b"/").rpartition(b"/")[2])[:100]
    about = Entry(name=name, type=b"x", size=len(data))
    return _header(about, 0) + data + padding(len(data)) + _header(entry, mtime)


def padding(size: int) -> bytes:
    """What fills the last block after `size` bytes."""
    return bytes(-size % BLOCK)


def _records(entry: Entry, mtime: int) -> dict[bytes, bytes]:
    records: dict[bytes, bytes] = {}
    if len(entry.name) > 100 or not entry.name.isascii():
        records[b"path"] = entry.name
    if len(entry.link) > 100 or not entry.link.isascii():
        records[b"linkpath"] = entry.link
    if entry.uid > _MOST_ID:
        records[b"uid"] = b"%d" % entry.uid
    if entry.gid > _MOST_ID:
        records[b"gid"] = b"%d" % entry.gid
    if entry.size > _MOST_SIZE:
        records[b"size"] = b"%d" % entry.size
    if not 0 <= mtime <= _MOST_SIZE:
        records[b"mtime"] = b"%d" % mtime
    for key in sorted(entry.xattrs):
        records[b"SCHILY.xattr." + key.encode(errors="surrogateescape")] = entry.xattrs[key]
    return records


def _record(key: bytes, value: bytes) -> bytes:
    """`<length> <key>=<value>\\n`, whose length counts its own digits."""
    rest = len(key) + len(value) + 3
    size = rest + len(str(rest))
    if len(str(size)) != len(str(rest)):
        size = rest + len(str(size))
    return b"%d %s=%s\n" % (size, key, value)


def _header(entry: Entry, mtime: int) -> bytes:
    block = _LAYOUT.pack(
        entry.name[:100],
        b"%07o\0" % (entry.mode & 0o7777),
        b"%07o\0" % min(entry.uid, _MOST_ID),
        b"%07o\0" % min(entry.gid, _MOST_ID),
        b"%011o\0" % min(entry.size, _MOST_SIZE),
        b"%011o\0" % min(max(mtime, 0), _MOST_SIZE),
        _BLANK,
        entry.type,
        entry.link[:100],
        _MAGIC,
        b"",
        b"",
        b"%07o\0" % (entry.device[0] & _MOST_ID),
        b"%07o\0" % (entry.device[1] & _MOST_ID),
        b"",
        b"",
    )
    total = b"%06o\0 " % sum(block)
    return block[:_SUM_AT] + total + block[_SUM_AT + 8 :]
