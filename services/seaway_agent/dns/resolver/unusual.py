"""Queries that ``wire.parse`` doesn't read: their common form, or the response that they deserve. Pure.

A container may send anything, and one event loop answers for all containers. So a query's cost is bounded: only header,
question and EDNS record are read, and the one record that may stand beside them is stepped over.
"""

import struct
from typing import Final

from seaway_agent.dns.resolver import wire
from seaway_agent.dns.resolver.wire import Question

_MOST_ADDITIONALS: Final = 2
_OPT: Final = 41
_TSIG: Final = 250
_BADVERS: Final = 1
"""The upper bits of the code, which stand in the EDNS record. The lower ones are 0."""
_RECORD: Final = struct.Struct("!HHBBHH")
"""A record behind its owner: type, class, TTL in three parts (EDNS has code, version and flags there), length."""
_LABEL, _POINTER, _NAME = 63, 0xC0, 255


class _Malformed(Exception):
    pass


def read(message: bytes) -> tuple[bytes | None, bytes | None]:
    """(the query in common form, the response at once): one of both, or none for what deserves no response."""
    if len(message) < wire.HEADER.size or wire.is_response(message):
        return None, None
    if wire.opcode(message):
        return None, wire.bare_failure(message, wire.NOTIMP)
    try:
        return _read(message)
    except (_Malformed, struct.error):  # the latter: the message ends too early
        return None, wire.bare_failure(message, wire.FORMERR)


def _read(message: bytes) -> tuple[bytes | None, bytes | None]:
    ident, flags, questions, answers, authorities, additionals = wire.HEADER.unpack_from(message)
    name_end = wire.name_end(message)
    if questions != 1 or answers or authorities or additionals > _MOST_ADDITIONALS or name_end < 0:
        raise _Malformed
    kind, of_class = wire.QUESTION.unpack_from(message, name_end)
    end = name_end + wire.QUESTION.size
    edns, is_signed = _additionals(message, end, additionals)
    version, edns_flags = _version_and_flags(edns)
    opt = wire.pack_opt(edns_flags, _BADVERS if version else wire.NOERROR) if edns else b""
    question = Question(ident, flags, message[wire.HEADER.size : name_end], kind, end, 0, opt)
    if version:
        return None, wire.failure(message, question, wire.NOERROR)
    if is_signed or of_class != wire.IN:
        return None, wire.failure(message, question, wire.REFUSED)
    common = wire.pack_query(message, question, edns)
    if wire.parse(common) is None:
        raise _Malformed  # the EDNS options are
    return common, None


def _additionals(message: bytes, at: int, count: int) -> tuple[bytes, bool]:
    """(The EDNS record or nothing, whether the message is signed). Raises _Malformed, struct.error."""
    edns, is_signed = b"", False
    for _ in range(count):
        fields = _owner_end(message, at)
        kind, _, _, _, _, length = _RECORD.unpack_from(message, fields)
        end = fields + _RECORD.size + length
        if kind == _OPT:
            if edns or fields != at + 1:
                raise _Malformed
            edns = message[at:end]
        is_signed = is_signed or kind == _TSIG
        at = end
    if at != len(message):
        raise _Malformed
    return edns, is_signed


def _owner_end(message: bytes, start: int) -> int:
    """Where a record's owner ends. A pointer is not followed. Raises _Malformed."""
    at = start
    while at < min(len(message), start + _NAME):
        length = message[at]
        if length >= _POINTER:
            return at + 2
        if length > _LABEL:
            break
        at += 1 + length
        if not length:
            return at
    raise _Malformed


def _version_and_flags(edns: bytes) -> tuple[int, int]:
    if not edns:
        return 0, 0
    _, _, _, version, flags, _ = _RECORD.unpack_from(edns, 1)
    return version, flags
