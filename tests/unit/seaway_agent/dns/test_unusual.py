"""Messages that no resolver of a library sends: each has the right response, or none."""

import struct

import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaway_agent.dns.resolver import unusual, wire

QUERY = dns.message.make_query("web.example.", "A", id=1234).to_wire()
WITH_EDNS = dns.message.make_query("web.example.", "A", use_edns=0, payload=1400, id=1234).to_wire()

RECORD = struct.pack("!HHHIH", 0xC00C, 15, 1, 0, 4) + b"\0\1\xc0\x0c"
LONG_NAME = b"\x01a" * 126 + b"\0"


def header(flags: int = 0x100, questions: int = 1, answers: int = 0, additionals: int = 0) -> bytes:
    return struct.pack("!6H", 1234, flags, questions, answers, 0, additionals)


def code_of(message: bytes) -> dns.rcode.Rcode:
    assert wire.parse(message) is None, "a common message"
    common, response = unusual.read(message)
    assert common is None
    assert response is not None
    found = dns.message.from_wire(response)
    assert found.id == 1234
    assert found.flags & dns.flags.QR
    return found.rcode()


@pytest.mark.parametrize(
    "message",
    [
        QUERY[:-1],
        QUERY[:14],
        QUERY[:12],
        QUERY + b"more",
        WITH_EDNS[:-1],
        header() + b"\xc0\x0c" + QUERY[-4:],  # the name is a pointer to itself
        header() + b"\x01a\xc0\x0c" + QUERY[-4:],
        header() + b"\x40" + b"a" * 64 + b"\0" + QUERY[-4:],
        header() + b"\x3f" + b"a" * 70,
        header() + (b"\x3f" + b"a" * 63) * 5 + b"\0" + QUERY[-4:],
        header(questions=2) + QUERY[12:] * 2,
        header(questions=0),
        header(questions=65535) + QUERY[12:],
        header(additionals=2) + QUERY[12:] + WITH_EDNS[-11:] * 2,
        header(additionals=1) + QUERY[12:] + b"\x01a" + WITH_EDNS[-11:],  # an EDNS record with an owner
        header(additionals=1) + QUERY[12:] + WITH_EDNS[-11:-2] + b"\0\5\0\x0a\0\2x",  # a cut EDNS option
        header(additionals=2) + QUERY[12:] + RECORD,
        header(additionals=2) + QUERY[12:] + RECORD[:-1],
        header(additionals=1) + QUERY[12:] + b"\x40" + RECORD,
        header(additionals=1) + QUERY[12:] + b"\x01a" * 130 + b"\0" + RECORD[2:],
        header(answers=1) + QUERY[12:] + RECORD,
        header(additionals=3) + QUERY[12:] + RECORD * 3,
        header(additionals=239) + LONG_NAME + QUERY[-4:] + RECORD * 239,  # dnspython takes half a second
    ],
)
def test_what_has_no_single_question_is_a_format_error(message: bytes) -> None:
    assert code_of(message) == dns.rcode.FORMERR


@pytest.mark.parametrize("opcode", [1, 2, 4, 5, 6, 15])
def test_other_operations_are_not_implemented(opcode: int) -> None:
    assert code_of(header(flags=opcode << 11) + QUERY[12:]) == dns.rcode.NOTIMP


@pytest.mark.parametrize("of_class", ["CH", "HS", "ANY", "NONE"])
def test_other_classes_are_refused(of_class: str) -> None:
    assert code_of(dns.message.make_query("web.", "A", of_class, id=1234).to_wire()) == dns.rcode.REFUSED


def test_a_later_version_of_edns_is_refused_with_ours() -> None:
    query = dns.message.make_query("web.", "A", use_edns=1, id=1234).to_wire()
    assert code_of(query) == dns.rcode.BADVERS


@pytest.mark.parametrize("message", [b"", b"\0" * 11, header(flags=0x8180) + QUERY[12:], header(flags=0x8000)])
def test_responses_and_crumbs_get_no_response(message: bytes) -> None:
    assert wire.parse(message) is None
    assert unusual.read(message) == (None, None)


def test_a_signed_query_is_refused() -> None:
    query = dns.message.make_query("web.", "A", id=1234)
    query.use_tsig({"key.": b"secret"})
    assert code_of(query.to_wire()) == dns.rcode.REFUSED


@pytest.mark.parametrize("edns", [b"", WITH_EDNS[-11:]])
@pytest.mark.parametrize("first", [True, False])
def test_a_question_with_another_record_is_understood(edns: bytes, first: bool) -> None:
    message = header(additionals=1 + bool(edns)) + QUERY[12:] + (RECORD + edns if first else edns + RECORD)
    assert wire.parse(message) is None
    assert unusual.read(message) == (WITH_EDNS if edns else QUERY, None)


def test_a_query_that_says_it_is_truncated_is_understood() -> None:
    assert unusual.read(header(flags=0x300) + QUERY[12:]) == (QUERY, None)


@given(st.binary(max_size=120))
def test_any_bytes_get_a_response_or_none(data: bytes) -> None:
    check(data)


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=6), st.integers(0, 60))
def test_a_broken_query_gets_a_response_or_none(changes: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(WITH_EDNS)
    for at, value in changes:
        data[at % len(data)] = value
    check(bytes(data[: len(data) - cut] if cut < 20 else data))


def check(data: bytes) -> None:
    if wire.parse(data) is not None:
        return
    common, response = unusual.read(data)
    assert common is None or wire.parse(common) is not None
    assert response is None or dns.message.from_wire(response).flags & dns.flags.QR
