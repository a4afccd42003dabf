"""Reading a stream: where a stored message stands, when the past ends, what is done where no answer comes."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from seaway_bus.nats_client import LastingClient
from seaway_bus.nats_replay import Replay, _left_after, stored
from seaway_bus.transport import Message, RequestTimeout


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


class Listeners(LastingClient):
    """Who listens where, without a server."""

    def __init__(self) -> None:
        super().__init__()
        self._inboxes = map("inbox{}".format, itertools.count(1))
        self.heard: dict[str, Callable[[Message], None]] = {}
        self._numbers: dict[int, str] = {}

    def new_inbox(self) -> str:
        return next(self._inboxes)

    def listen(self, subject: str, callback: Callable[[Message], None], queue: str = "") -> int:
        self.heard[subject] = callback
        self._numbers[len(self._numbers) + 1] = subject
        return len(self._numbers)

    def unlisten(self, number: int) -> None:
        self.heard.pop(self._numbers[number], None)


class Server:
    """Answers the first calls with nothing, as a member of a cluster does that was just cut off."""

    def __init__(self, client: Listeners, silent: int) -> None:
        self._client = client
        self._silent = silent
        self.asked: list[str] = []

    async def api(self, call: str, body: dict[str, Any], limit_s: float) -> dict[str, Any]:
        self.asked.append(call)
        if "DELETE" in call:
            return {}
        hear = self._client.heard[body["config"]["deliver_subject"]]
        hear(Message("t", str(len(self.asked)).encode(), {}, "$JS.ACK.S.c.1.42.7.1700000000123456789.0"))
        if len(self.asked) <= self._silent:
            raise RequestTimeout("no answer in time")
        return {"num_pending": 1, "name": "c"}


async def test_a_consumer_that_does_not_answer_is_made_elsewhere() -> None:
    """What the one sends that did come into being, but answered too late, is not read beside it."""
    client = Listeners()
    server = Server(client, silent=2)
    read = [message.data async for message in Replay(client, server.api, "S").messages(">", 0, 0)]
    assert read == [b"3"]
    assert [call.split(".")[1] for call in server.asked] == ["CREATE", "CREATE", "CREATE", "DELETE"]
    assert client.heard == {}


async def test_a_stream_that_never_answers() -> None:
    client = Listeners()
    server = Server(client, silent=99)
    with pytest.raises(RequestTimeout):
        async for _ in Replay(client, server.api, "S").messages(">", 0, 0):
            pass
    assert len(server.asked) == 5
    assert client.heard == {}


async def test_a_lost_connection_ends_it_at_once() -> None:
    client = Listeners()
    asked = []

    async def lose(call: str, body: dict[str, Any], limit_s: float) -> dict[str, Any]:
        asked.append(call)
        reading.lost()
        raise RequestTimeout("the connection was lost before the answer came")

    reading = Replay(client, lose, "S")
    with pytest.raises(RequestTimeout, match="while the past was being read"):
        async for _ in reading.messages(">", 0, 0):
            pass
    assert len(asked) == 1
