"""Where a stored message stands, read from its reply subject."""

import pytest

from seaway_bus.nats_replay import _left_after, stored
from seaway_bus.transport import Message


@pytest.mark.parametrize(
    "reply",
    [
        "$JS.ACK.S.consumer.1.42.7.1700000000123456789.5",
        "$JS.ACK.domain.account.S.consumer.1.42.7.1700000000123456789.5.token",
    ],
)
def test_both_forms_of_reply_subjects(reply: str) -> None:
    found = stored(Message("t", b"x", {"a": "b"}, reply))
    assert (found.stream_seq, found.stored_ns) == (42, 1700000000123456789)
    assert (found.subject, found.data, found.headers, found.reply) == ("t", b"x", {"a": "b"}, "")


def message(reply: str = "", **headers: str) -> Message:
    return Message("t", b"", headers, reply)


@pytest.mark.parametrize(
    ("msg", "left"),
    [
        (message("$JS.ACK.S.c.1.42.7.1700000000123456789.5"), 9),
        (message("$JS.ACK.S.c.1.42.7.1700000000123456789.50"), 9),
        (message("$JS.ACK.S.c.1.42.7.1700000000123456789.0"), 9),
        (message("$JS.FC.S.c.x"), 10),
        (message(**{"Nats-Consumer-Stalled": "$JS.FC.S.c.x"}), 10),
        (message(**{"Nats-Last-Stream": "42"}), 0),
    ],
    ids=["server says fewer", "server says more", "server says none", "flow control", "stalled", "idle"],
)
def test_when_the_past_ends(msg: Message, left: int) -> None:
    assert _left_after(msg, 10) == left
