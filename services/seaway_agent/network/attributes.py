"""Netlink attributes and message headers, packed and parsed by hand. Pure. See RFC 3549 and linux/netlink.h."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

REQUEST, ACK = 0x1, 0x4
DUMP = 0x300
REPLACE, EXCL, CREATE = 0x100, 0x200, 0x400
NESTED = 0x8000
NLMSG_ERROR, NLMSG_DONE = 2, 3

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_ERROR = struct.Struct("=i")
_U32 = struct.Struct("=I")
_TYPE_MASK = 0x3FFF
_CAPPED, _ACK_TLVS = 0x100, 0x200
_ERROR_TEXT = 1


@dataclass(frozen=True, slots=True)
class Message:
    """A netlink message without its sequence number."""

    kind: int
    flags: int
    body: bytes

    def pack(self, sequence: int) -> bytes:
        length = _HEADER.size + len(self.body)
        header = _HEADER.pack(length, self.kind, self.flags | REQUEST, sequence, 0)
        return header + self.body + bytes(-length % 4)


@dataclass(frozen=True, slots=True)
class Reply:
    """A message from the kernel; ``error`` is a positive errno, 0 for an acknowledgement, None otherwise."""

    kind: int
    sequence: int
    body: bytes
    error: int | None = None
    explanation: str = ""


def attribute(kind: int, payload: bytes) -> bytes:
    length = _ATTRIBUTE.size + len(payload)
    return _ATTRIBUTE.pack(length, kind) + payload + bytes(-length % 4)


def nested(kind: int, *children: bytes) -> bytes:
    return attribute(kind | NESTED, b"".join(children))


def u32(kind: int, value: int) -> bytes:
    """An attribute holding a 32-bit number in the host's byte order."""
    return attribute(kind, _U32.pack(value))


def text(kind: int, value: str) -> bytes:
    return attribute(kind, value.encode() + b"\0")


def parse_attributes(data: bytes) -> dict[int, bytes]:
    """Attribute type → payload; the last one of repeated types. Stops at a malformed attribute."""
    found: dict[int, bytes] = {}
    at = 0
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < _ATTRIBUTE.size:
            break
        found[kind & _TYPE_MASK] = data[at + _ATTRIBUTE.size : at + length]
        at += length + 3 & ~3
    return found


def parse_replies(data: bytes) -> Iterator[Reply]:
    """The messages of one datagram."""
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, flags, sequence, _ = _HEADER.unpack_from(data, at)
        if length < _HEADER.size:
            return
        body = data[at + _HEADER.size : at + length]
        if kind == NLMSG_ERROR:
            yield Reply(kind, sequence, body, -_ERROR.unpack_from(body)[0], _explanation(flags, body))
        else:
            yield Reply(kind, sequence, body)
        at += length + 3 & ~3


def _explanation(flags: int, body: bytes) -> str:
    """The kernel's message on an error (NETLINK_EXT_ACK), if there is one."""
    if not flags & _ACK_TLVS:
        return ""
    refused = _HEADER.size if flags & _CAPPED else _HEADER.unpack_from(body, _ERROR.size)[0]
    found = parse_attributes(body[_ERROR.size + (refused + 3 & ~3) :])
    return found.get(_ERROR_TEXT, b"").rstrip(b"\0").decode(errors="replace")
