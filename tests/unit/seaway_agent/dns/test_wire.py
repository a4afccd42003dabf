"""Packed messages say what dnspython reads in them, and the other way round."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rdataclass
import dns.rdatatype
import dns.reversename
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaway_agent.dns.resolver import wire

LABELS = st.binary(min_size=1, max_size=63)
NAMES = st.lists(LABELS, min_size=0, max_size=5).filter(lambda labels: sum(len(one) + 1 for one in labels) < 255)
TEXTS = st.text("abcXYZ019-_é", min_size=1, max_size=20)
ADDRESSES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))


def query_of(labels: list[bytes], kind: int, *, edns: bool = False, **named: int) -> dns.message.Message:
    name = dns.name.Name([*labels, b""])
    query = dns.message.make_query(name, dns.rdatatype.RdataType.make(kind))
    if edns:
        query.use_edns(
            0,
            named.get("flags", 0),
            named.get("size", 1232),
            options=[dns.edns.GenericOption(dns.edns.OptionType.COOKIE, b"12345678")],
        )
    return query


@given(NAMES, st.integers(1, 65535).filter(lambda kind: kind not in (41, 250)), st.booleans(), st.integers(0, 65535))
def test_a_question_is_what_dnspython_asks(labels: list[bytes], kind: int, edns: bool, size: int) -> None:
    query = query_of(labels, kind, edns=edns, size=size)
    packed = query.to_wire()
    question = wire.parse(packed)
    assert question is not None
    assert (question.id, question.flags, question.type) == (query.id, query.flags, kind)
    assert question.name == packed[12 : question.end - 4].lower()
    assert question.name == dns.name.Name([label.lower() for label in [*labels, b""]]).to_wire()
    assert question.size == max(512, size if edns else 0)


@given(NAMES.filter(bool), st.lists(ADDRESSES, max_size=8, unique=True), st.booleans(), st.booleans())
def test_an_answer_is_what_dnspython_would_answer(
    labels: list[bytes], addresses: list[IPv4Address | IPv6Address], edns: bool, tcp: bool
) -> None:
    addresses = [address for address in addresses if address.version == 4]
    query = query_of(labels, wire.A, edns=edns)
    packed = query.to_wire()
    question = wire.parse(packed)
    assert question is not None
    records = [wire.pack_address(address) for address in addresses]
    found = dns.message.from_wire(wire.answer(packed, question, records, wire.MOST if tcp else question.size))
    wanted = dns.message.make_response(query, recursion_available=True, our_payload=1232)
    if addresses:
        rrset = wanted.find_rrset(
            wanted.answer, query.question[0].name, dns.rdataclass.IN, dns.rdatatype.A, create=True
        )
        for address in addresses:
            rrset.add(dns.rdata.from_text("IN", "A", str(address)), ttl=0)
    assert (found.id, found.flags, found.question, found.answer) == (
        query.id,
        wanted.flags,
        query.question,
        wanted.answer,
    )
    assert (found.edns, found.payload) == ((0, 1232) if edns else (-1, 0))
    assert all(rrset.ttl == 0 for rrset in found.answer)


@given(ADDRESSES.filter(lambda address: getattr(address, "ipv4_mapped", None) is None))  # which dnspython unmaps
def test_a_reverse_look_up_is_as_dnspython_makes_it(address: IPv4Address | IPv6Address) -> None:
    assert wire.reverse_name(address) == dns.reversename.from_address(str(address)).to_wire()


@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_a_name_is_packed_as_dnspython_does(labels: list[str]) -> None:
    packed = wire.pack_name(".".join(labels))
    assert packed == dns.name.Name([*(label.encode() for label in labels), b""]).to_wire()


@pytest.mark.parametrize("name", ["", ".", "a..b", "a" * 64, ".".join(["a" * 60] * 5), ".a"])
def test_what_is_no_name_is_not_packed(name: str) -> None:
    assert wire.pack_name(name) is None


@pytest.mark.parametrize("kind", [wire.A, wire.AAAA])
def test_an_answer_that_is_too_long_for_udp_is_cut_and_says_so(kind: int) -> None:
    first = ip_address("10.0.0.1") if kind == wire.A else ip_address("fd00::1")
    records = [wire.pack_address(first + number) for number in range(100)]
    packed = query_of([b"web"], kind).to_wire()
    question = wire.parse(packed)
    assert question is not None
    response = wire.answer(packed, question, records, question.size)
    assert len(response) <= 512
    found = dns.message.from_wire(response)
    assert found.flags & dns.flags.TC
    assert len(found.answer[0]) == (512 - len(packed)) // len(records[0])
    assert len(dns.message.from_wire(wire.answer(packed, question, records, wire.MOST)).answer[0]) == 100


def test_the_asker_s_wish_for_dnssec_is_repeated() -> None:
    packed = query_of([b"web"], wire.A, edns=True, flags=dns.flags.DO).to_wire()
    question = wire.parse(packed)
    assert question is not None
    assert dns.message.from_wire(wire.failure(packed, question, wire.SERVFAIL)).ednsflags & dns.flags.DO


@given(st.binary(max_size=80))
def test_any_bytes_are_parsed_or_refused(data: bytes) -> None:
    question = wire.parse(data)
    assert question is None or dns.message.from_wire(data).question[0].rdtype == question.type


@given(st.binary(min_size=1, max_size=40), st.integers(0, 60))
def test_a_query_with_a_change_is_parsed_or_refused(change: bytes, at: int) -> None:
    packed = query_of([b"web", b"example"], wire.A, edns=True).to_wire()
    wire.parse(packed[:at] + change + packed[at + len(change) :])
    wire.parse(packed[:at])


def test_a_reply_belongs_to_its_query() -> None:
    packed = query_of([b"web"], wire.A).to_wire()
    question = wire.parse(packed)
    assert question is not None
    response = wire.answer(packed, question, (), wire.MOST)
    assert wire.is_reply(response, packed, question)
    assert wire.is_reply(response.replace(b"web", b"WEB"), packed, question)
    assert not wire.is_reply(response.replace(b"web", b"wev"), packed, question)
    assert not wire.is_reply(wire.with_id(response, question.id ^ 1), packed, question)
    assert not wire.is_reply(packed, packed, question)
    assert not wire.is_reply(response[:11], packed, question)
    assert wire.is_reply(wire.bare_failure(packed, wire.SERVFAIL), packed, question)
    assert not wire.is_reply(wire.bare_failure(packed, wire.NOERROR), packed, question)
