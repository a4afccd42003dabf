"""What a message weighs, and what may be a key."""

import pytest

from seaway_bus.transport import check_key, wire_size


def test_size_counts_headers_as_they_are_sent() -> None:
    assert wire_size(b"12345", None) == wire_size(b"12345", {}) == 5
    sent = "NATS/1.0\r\nName: é\r\n\r\n".encode()
    assert wire_size(b"12345", {"Name": "é"}) == 5 + len(sent)


@pytest.mark.parametrize("key", ["a", "_horizon", "6a-B_9", "x" * 512])
def test_keys(key: str) -> None:
    assert check_key(key) == key


@pytest.mark.parametrize("key", ["", "a.b", "*", ">", "a b", "é", "x" * 513, "a\n"])
def test_no_keys(key: str) -> None:
    with pytest.raises(ValueError, match="is no key"):
        check_key(key)
