"""DNS messages, packed and parsed by hand where they are common: one question of class IN, EDNS or none. Pure.

All other messages are left to ``unusual``. See RFC 1035 and RFC 6891.
"""

import struct
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Final, NamedTuple

A, PTR, AAAA = 1, 12, 28
IN = 1
NOERROR, FORMERR, SERVFAIL, NOTIMP, REFUSED = 0, 1, 2, 4, 5
HEADER: Final = struct.Struct("!6H")
QUESTION: Final = struct.Struct("!HH")
"""Type and class, behind the name."""
MOST: Final = 65535
"""Bytes of the longest message."""

_OPT: Final = struct.Struct("!BHHBBHH")
_OPTION: Final = struct.Struct("!HH")
_RECORD: Final = struct.Struct("!HHHIH")
_RESPONSE, _OPCODE, _TRUNCATED, _RECURSION_DESIRED = 0x8000, 0x7800, 0x0200, 0x0100
_RECURSION_AVAILABLE, _CHECKING_DISABLED, _DNSSEC_OK = 0x0080, 0x0010, 0x8000
_CODE: Final = 0x000F
_OPT_TYPE = 41
_LABEL, _NAME = 63, 255
_SMALLEST: Final = 512
_OUR_SIZE: Final = 1232
"""What we accept and send over UDP at least: no fragments with any MTU (dnsflagday.net/2020)."""
_QNAME: Final = 0xC000 | HEADER.size
"""A pointer to the question's name."""


class Question(NamedTuple):
    """The only question of a query. `name`: in wire form, lower case. `end`: where it ends in the message.

    `size`: how many bytes the asker takes over UDP. `opt`: the OPT record for the response, empty without EDNS.
    """

    id: int
    flags: int
    name: bytes
    type: int
    end: int
    size: int
    opt: bytes


def parse(query: bytes) -> Question | None:
    """The question of a common query; None for any other message."""
    if len(query) < HEADER.size:
        return None
    ident, flags, questions, answers, authorities, additionals = HEADER.unpack_from(query)
    if flags & (_RESPONSE | _OPCODE | _TRUNCATED) or questions != 1 or answers or authorities or additionals > 1:
        return None
    at = name_end(query)
    if at < 0 or at + QUESTION.size > len(query):
        return None
    kind, of_class = QUESTION.unpack_from(query, at)
    end = at + QUESTION.size
    if of_class != IN:
        return None
    size, opt = _SMALLEST, b""
    if additionals:
        if (edns := _edns(query, end)) is None:
            return None
        size, opt = edns
    elif end != len(query):
        return None
    return Question(ident, flags, query[HEADER.size : at].lower(), kind, end, size, opt)


def name_end(query: bytes) -> int:
    """Where the question's name ends; -1 if it is no plain name."""
    at, last = HEADER.size, len(query) - 1
    while at <= last and (length := query[at]):
        if length > _LABEL:
            return -1
        at += length + 1
    return at + 1 if at <= last and at + 1 - HEADER.size <= _NAME else -1


def _edns(query: bytes, at: int) -> tuple[int, bytes] | None:
    """(The asker's size, the OPT record of the response) if an OPT record of version 0 is the rest of the query."""
    if at + _OPT.size > len(query):
        return None
    name, kind, size, code, version, flags, length = _OPT.unpack_from(query, at)
    at += _OPT.size
    if name or kind != _OPT_TYPE or code or version or at + length != len(query):
        return None
    while at < len(query):
        if at + _OPTION.size > len(query):
            return None
        at += _OPTION.size + _OPTION.unpack_from(query, at)[1]
    return (max(size, _SMALLEST), pack_opt(flags)) if at == len(query) else None


def pack_opt(flags: int, code: int = NOERROR) -> bytes:
    """The OPT record of a response to a query with these flags in its own; `code`: the upper bits of the code."""
    return _OPT.pack(0, _OPT_TYPE, _OUR_SIZE, code, 0, flags & _DNSSEC_OK, 0)


def pack_query(message: bytes, question: Question, edns: bytes) -> bytes:
    """The common query with a message's question, and its OPT record if that is not empty."""
    header = HEADER.pack(question.id, question.flags & ~_TRUNCATED, 1, 0, 0, 1 if edns else 0)
    return header + message[HEADER.size : question.end] + edns


def answer(query: bytes, question: Question, records: Sequence[bytes], most: int) -> bytes:
    """The response with these packed records; with as many as fit, and the flag for it, where `most` bytes are few."""
    fixed = query[HEADER.size : question.end], question.opt
    room = most - HEADER.size - sum(map(len, fixed))
    flags = 0
    if sum(map(len, records)) > room:
        flags = _TRUNCATED
        records = records[: room // max(map(len, records))]
    return b"".join((_header(question, flags, len(records)), fixed[0], *records, fixed[1]))


def failure(query: bytes, question: Question, code: int) -> bytes:
    """The response that only has a code."""
    return _header(question, code, 0) + query[HEADER.size : question.end] + question.opt


def truncated(query: bytes, question: Question) -> bytes:
    """The response that sends the asker to TCP."""
    return failure(query, question, _TRUNCATED)


def bare_failure(query: bytes, code: int) -> bytes:
    """The response to a message of which only the header can be read."""
    ident, flags = struct.unpack_from("!HH", query)
    kept = flags & (_OPCODE | _RECURSION_DESIRED | _CHECKING_DISABLED)
    return HEADER.pack(ident, _RESPONSE | _RECURSION_AVAILABLE | kept | code, 0, 0, 0, 0)


def is_response(message: bytes) -> bool:
    """Whether a message with a whole header is a response."""
    return bool(message[2] & 0x80)


def opcode(message: bytes) -> int:
    """What a message with a whole header is: 0 is a query."""
    return message[2] >> 3 & 0xF


def code_of(response: bytes) -> int:
    """The response's code."""
    return response[3] & _CODE


def with_id(message: bytes, ident: int) -> bytes:
    """The message with another id."""
    return struct.pack("!H", ident) + message[2:]


def is_reply(response: bytes, query: bytes, question: Question) -> bool:
    """Whether a message from an upstream server belongs to the query that was sent there."""
    if len(response) < HEADER.size or response[:2] != query[:2] or not is_response(response):
        return False
    if response[4:6] == b"\0\0":  # some servers fail without the question
        return code_of(response) != NOERROR
    end = question.end
    return response[HEADER.size : end].lower() == query[HEADER.size : end].lower()


def _header(question: Question, flags: int, answers: int) -> bytes:
    flags |= _RESPONSE | _RECURSION_AVAILABLE | question.flags & (_RECURSION_DESIRED | _CHECKING_DISABLED)
    return HEADER.pack(question.id, flags, 1, answers, 0, 1 if question.opt else 0)


# --- names and records


def pack_name(name: str) -> bytes | None:
    """A name in wire form; None if it can't be one."""
    labels = [label.encode() for label in name.removesuffix(".").split(".")]
    if not all(0 < len(label) <= _LABEL for label in labels):
        return None
    packed = b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
    return packed if len(packed) <= _NAME else None


def reverse_name(address: IPv4Address | IPv6Address) -> bytes:
    """The name by which an address's own name is asked for."""
    packed = pack_name(address.reverse_pointer)
    assert packed is not None
    return packed


def pack_address(address: IPv4Address | IPv6Address) -> bytes:
    """An answer to the question's name: an address that is not to be cached."""
    return _record(A if address.version == 4 else AAAA, address.packed)


def pack_pointer(name: bytes) -> bytes:
    """An answer to the question's name: a name in wire form that is not to be cached."""
    return _record(PTR, name)


def _record(kind: int, data: bytes) -> bytes:
    return _RECORD.pack(_QNAME, kind, IN, 0, len(data)) + data


def data_of(record: bytes) -> bytes:
    """The data of a packed record: an address, or a name in wire form."""
    return record[_RECORD.size :]
