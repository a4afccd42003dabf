"""Detach keys."""

import pytest

from seaway_api.routes.detach import DetachScanner, parse_detach_keys
from seaway_docker.errors import InvalidParameter


@pytest.mark.parametrize(
    ("text", "keys"), [("", b"\x10\x11"), ("ctrl-a,b", b"\x01b"), ("x", b"x"), ("ctrl-[,ctrl-_", b"\x1b\x1f")]
)
def test_parsing(text: str, keys: bytes) -> None:
    assert parse_detach_keys(text) == keys


@pytest.mark.parametrize("text", ["ctrl-", "ctrl-aa", "ab", ",", "ctrl-1", "é"])
def test_what_is_no_key(text: str) -> None:
    with pytest.raises(InvalidParameter):
        parse_detach_keys(text)


def test_keys_may_come_in_pieces() -> None:
    scanner = DetachScanner(b"\x10\x11")
    assert scanner.feed(b"ls\x10") == (b"ls", False)
    assert scanner.feed(b"\x11rest") == (b"", True)


def test_keys_begun_and_not_ended_are_input() -> None:
    scanner = DetachScanner(b"\x10\x11")
    assert scanner.feed(b"\x10") == (b"", False)
    assert scanner.feed(b"x") == (b"\x10x", False)
    assert scanner.feed(b"\x10\x10") == (b"\x10", False)
    assert scanner.feed(b"\x11") == (b"", True)
