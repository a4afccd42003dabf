"""Bytes of the NATS protocol, read and written."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaway_bus.nats_protocol import (
    Parser,
    Unreadable,
    end_of_subscription,
    header_block,
    publication,
    read_headers,
    subscription,
)
from seaway_bus.transport import Message, wire_size

_SENT = (
    b"PING\r\n"
    b"MSG a.b 7 5\r\nhello\r\n"
    b"MSG a.b 8 _INBOX.x.1 0\r\n\r\n"
    b"-ERR 'Permissions Violation for Publish to \"x\"'\r\n"
    b"HMSG a.c 9 23 25\r\nNATS/1.0\r\nName: v:1\r\n\r\n\r\n\r\n"
    b"HMSG a.c 10 _INBOX.x.2 16 16\r\nNATS/1.0 503\r\n\r\n\r\n"
    b"PONG\r\n"
)
_READ = [
    b"PING",
    (7, Message("a.b", b"hello")),
    (8, Message("a.b", b"", reply="_INBOX.x.1")),
    b"-ERR 'Permissions Violation for Publish to \"x\"'",
    (9, Message("a.c", b"\r\n", {"Name": "v:1"})),
    (10, Message("a.c", b"", {"Status": "503"}, "_INBOX.x.2")),
    b"PONG",
]


def read(*pieces: bytes) -> list[bytes | tuple[int, Message]]:
    found: list[bytes | tuple[int, Message]] = []
    parser = Parser(lambda number, message: found.append((number, message)), found.append)
    for piece in pieces:
        parser.feed(piece)
    return found


@given(st.sets(st.integers(0, len(_SENT))))
def test_however_the_bytes_come(cuts: set[int]) -> None:
    edges = [0, *sorted(cuts), len(_SENT)]
    assert read(*(_SENT[start:end] for start, end in itertools.pairwise(edges))) == _READ


@pytest.mark.parametrize(
    "sent",
    [
        b"MSG a 1 2 3 4\r\nabcd\r\n",
        b"MSG a 4\r\nabcd\r\n",
        b"MSG a one 4\r\nabcd\r\n",
        b"MSG a 1 many\r\nabcd\r\n",
        b"MSG \xff 1 4\r\nabcd\r\n",
        b"HMSG a 1 4\r\nabcd\r\n",
        b"x" * 70_000,
    ],
)
def test_what_is_not_nats(sent: bytes) -> None:
    with pytest.raises(Unreadable):
        read(sent)


@pytest.mark.parametrize(
    ("block", "headers"),
    [
        (b"NATS/1.0\r\na: b\r\nc:d\r\nEmpty: \r\n\r\n", {"a": "b", "c": "d", "Empty": ""}),
        (b"NATS/1.0 404 Message Not Found\r\n\r\n", {"Status": "404", "Description": "Message Not Found"}),
        (
            b"NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Stream: 4\r\n\r\n",
            {"Status": "100", "Description": "Idle Heartbeat", "Nats-Last-Stream": "4"},
        ),
        (b"NATS/1.0\r\nname: \xc3\xa9\xff\r\n\r\n", {"name": "é\ufffd"}),
    ],
)
def test_headers_that_come(block: bytes, headers: dict[str, str]) -> None:
    assert read_headers(block) == headers


@given(st.dictionaries(st.from_regex(r"[A-Za-z][A-Za-z0-9-]*", fullmatch=True), st.text(), min_size=1))
def test_headers_that_go_come_back_as_one_line_each(headers: dict[str, str]) -> None:
    block = header_block({name: value.encode("utf-8", "replace").decode() for name, value in headers.items()})
    assert read_headers(block).keys() == headers.keys()
    assert block.count(b"\n") == block.count(b"\r") == len(headers) + 2


def test_a_line_feed_begins_no_other_header() -> None:
    assert header_block({"a": "b\r\nc: d"}) == b"NATS/1.0\r\na: b  c: d\r\n\r\n"


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\r\nb", "é"])
def test_names_that_no_header_has(name: str) -> None:
    with pytest.raises(ValueError, match="no name of a header"):
        header_block({name: "x"})


def test_what_is_sent() -> None:
    block = header_block({"a": "b"})
    assert publication("s", b"data") == b"PUB s 4\r\ndata\r\n"
    assert publication("s", b"data", reply="r") == b"PUB s r 4\r\ndata\r\n"
    assert publication("s", b"data", block, "r") == b"HPUB s r 18 22\r\n" + block + b"data\r\n"
    assert len(block) + 4 == wire_size(b"data", {"a": "b"})
    assert subscription("s.>", "", 3) == b"SUB s.>  3\r\n"
    assert subscription("s.>", "q", 3) == b"SUB s.> q 3\r\n"
    assert end_of_subscription(3) == b"UNSUB 3\r\n"


@pytest.mark.parametrize("subject", ["", "a b", "a\r\nPUB b 0\r\n", "a\tb"])
def test_subjects_that_would_say_something_else(subject: str) -> None:
    for make in (lambda: publication(subject, b""), lambda: subscription(subject, "", 1)):
        with pytest.raises(ValueError, match="is no subject"):
            make()
    with pytest.raises(ValueError, match="is no subject"):
        publication("a", b"", reply=subject or " ")
