"""One 512-byte tar header (POSIX ustar, GNU, star, v7), strictly parsed. Pure."""

import struct
from typing import Final, NamedTuple

from seaway_agent.rootfs.errors import LayerRejected, shown

BLOCK: Final = 512
_LAYOUT: Final = struct.Struct("100s8s8s8s12s12s8sc100s6s2s32s32s8s8s155s12s")
_BLANK_SUM: Final = 8 * ord(" ")
_USTAR: Final = b"ustar\0"
_GNU: Final = b"ustar "
_STAR_TRAILER: Final = b"tar\0"
_DEVICE_TYPES: Final = b"34"


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
    """The header in `block`. Raises `LayerRejected` for a wrong checksum or a field that isn't a number."""
    fields = _LAYOUT.unpack(block)
    _verify_checksum(block, fields[6])
    magic = fields[9]
    type_ = fields[7]
    device = (0, 0)
    if type_ in _DEVICE_TYPES and magic in (_USTAR, _GNU):
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


def parse_number(field: bytes, what: str, *, signed: bool = False) -> int:
    """An octal or base-256 number. Negative ones are rejected unless `signed`."""
    if field[0] & 0x80:
        value = _base256(field)
    else:
        digits = field.strip(b" \0")
        if digits.strip(b"01234567"):
            raise LayerRejected(f"the layer is malformed: {what} {shown(digits)!r} in a tar header is no number")
        value = int(digits, 8) if digits else 0
    if value < 0 and not signed:
        raise LayerRejected(f"the layer is malformed: negative {what} in a tar header")
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
    if magic != _USTAR:
        return name
    prefix = fields[15][:131] if block[508:512] == _STAR_TRAILER else fields[15]
    prefix = until_nul(prefix)
    return prefix + b"/" + name if prefix else name


def _verify_checksum(block: bytes, field: bytes) -> None:
    stored = parse_number(field, "checksum")
    total = sum(block) - sum(field) + _BLANK_SUM
    if stored == total:
        return
    # Some historic writers summed signed characters.
    high = sum(b >= 0x80 for b in block) - sum(b >= 0x80 for b in field)
    if stored != total - 256 * high:
        raise LayerRejected("the layer is malformed: a tar header has a wrong checksum")
