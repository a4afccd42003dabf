"""One 512-byte tar header: POSIX ustar, GNU, star and v7, strictly parsed. Pure."""

import struct
from collections.abc import Generator
from typing import Final, NamedTuple, TypeVar

from seaway_archive.entries import Kind
from seaway_archive.errors import ArchiveRejected, ArchiveTruncated, malformed, shown

T = TypeVar("T")
Steps = Generator[int, bytes, T]
"""A part of a parser: it yields how many bytes it needs next, and is sent them; fewer only at the archive's end."""

BLOCK: Final = 512
PAX: Final = b"x"
TYPES: Final = {
    Kind.FILE: b"0",
    Kind.HARDLINK: b"1",
    Kind.SYMLINK: b"2",
    Kind.CHARACTER: b"3",
    Kind.BLOCK: b"4",
    Kind.DIRECTORY: b"5",
    Kind.FIFO: b"6",
}
_KINDS: Final = {type_: kind for kind, type_ in TYPES.items()} | dict.fromkeys((b"\0", b"7", b"S"), Kind.FILE)
LAYOUT: Final = struct.Struct("100s8s8s8s12s12s8sc100s6s2s32s32s8s8s155s12s")
_BLANK_SUM: Final = 8 * ord(" ")
USTAR: Final = b"ustar\0"
_GNU: Final = b"ustar "
_STAR_TRAILER: Final = b"tar\0"
_DEVICE_TYPES: Final = b"34"


def exactly(size: int) -> Steps[bytes]:
    """The next `size` bytes, in the middle of an entry's headers."""
    data = yield size
    if len(data) < size:
        raise ArchiveTruncated("the archive is truncated: it ends within an entry")
    return data


class Header(NamedTuple):
    """The fields of a header. Names are bytes as stored; `block` is kept for the formats' own extensions."""

    name: bytes
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    type: bytes
    link: bytes
    device: tuple[int, int]
    block: bytes


def parse_header(block: bytes) -> Header:
    """The header in `block`. Raises `ArchiveRejected` for a wrong checksum or a field that isn't a number."""
    fields = LAYOUT.unpack(block)
    _verify_checksum(block, fields[6])
    magic = fields[9]
    type_ = fields[7]
    device = (0, 0)
    if type_ in _DEVICE_TYPES and magic in (USTAR, _GNU):
        device = (parse_number(fields[13], "device number"), parse_number(fields[14], "device number"))
    return Header(
        name=_name(fields, magic, block),
        mode=parse_number(fields[1], "mode"),
        uid=parse_number(fields[2], "uid"),
        gid=parse_number(fields[3], "gid"),
        size=parse_number(fields[4], "size"),
        mtime=parse_number(fields[5], "mtime", signed=True),
        type=type_,
        link=until_nul(fields[8]),
        device=device,
        block=block,
    )


def kind_of(header: Header) -> Kind:
    """What the entry makes. Raises `ArchiveRejected` for an unknown type."""
    kind = _KINDS.get(header.type)
    if kind is None:
        raise ArchiveRejected(f"the archive has an entry of the unknown type {shown(header.type)!r}")
    # Before POSIX a directory was a file whose name ends in a slash.
    return Kind.DIRECTORY if header.type == b"\0" and header.name.endswith(b"/") else kind


def parse_number(field: bytes, what: str, *, signed: bool = False) -> int:
    """An octal or base-256 number. Negative ones are rejected unless `signed`."""
    if field[0] & 0x80:
        value = _base256(field)
    else:
        digits = field.strip(b" \0")
        if digits.strip(b"01234567"):
            raise malformed(f"{what} {shown(digits)!r} in a tar header is no number")
        value = int(digits, 8) if digits else 0
    if value < 0 and not signed:
        raise malformed(f"negative {what} in a tar header")
    return value


def until_nul(field: bytes) -> bytes:
    """The part of `field` before its first NUL."""
    end = field.find(b"\0")
    return field if end < 0 else field[:end]


def _base256(field: bytes) -> int:
    if field[0] == 0xFF:
        return int.from_bytes(field, "big", signed=True)
    return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")


def _name(fields: tuple[bytes, ...], magic: bytes, block: bytes) -> bytes:
    name = until_nul(fields[0])
    if magic != USTAR:
        return name
    prefix = fields[15][:131] if block[508:512] == _STAR_TRAILER else fields[15]
    prefix = until_nul(prefix)
    return prefix + b"/" + name if prefix else name


def _verify_checksum(block: bytes, field: bytes) -> None:
    digits = field.strip(b" \0")
    if digits and not digits.strip(b"01234567"):
        stored = int(digits, 8)
        total = sum(block) - sum(field) + _BLANK_SUM
        # Some historic writers summed signed characters.
        if stored == total or stored == total - 256 * (_high(block) - _high(field)):
            return
    raise ArchiveRejected("the archive is no tar, or it is damaged: a header has a wrong checksum")


def _high(data: bytes) -> int:
    return sum(b >= 0x80 for b in data)
