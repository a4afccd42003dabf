"""Reading a stream: where a stored message stands, when the past ends, what is done where no answer comes."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from seaway_bus.nats_client import LastingClient
from seaway_bus.nats_replay import _ENDLESS, Replay, _Part, stored
from seaway_bus.transport import Message, RequestTimeout


@pytest.mark.parametrize(
    "reply",
    [
        "$JS.ACK.S.consumer.1.42.7.1700000000123456789.5",
        "$JS.ACK.domain.account.S.consumer.1.42.7.1700000000123456789.5.token",
    ],
)
def test_both_forms_of_reply_subjects(reply: str) -> None:
    found, number = stored(Message("t", b"x", {"a": "b"}, reply))
    assert (found.stream_seq, found.stored_ns, number) == (42, 1700000000123456789, 7)
    assert (found.subject, found.data, found.headers, found.reply) == ("t", b"x", {"a": "b"}, "")


def message(reply: str = "", **headers: str) -> Message:
    return Message("t", b"", headers, reply)


def sent(number: int, seq: int = 42, pending: int = 5, data: bytes = b"") -> Message:
    return Message("t", data, {}, f"$JS.ACK.S.c.1.{seq}.{number}.1700000000123456789.{pending}")


@pytest.mark.parametrize(
    ("msg", "left", "ended", "full"),
    [
        (sent(2), 8, False, False),
        (sent(2, pending=50), 8, False, False),
        (sent(2, pending=0), 8, False, False),
        (sent(3), 9, True, False),
        (message("$JS.FC.S.c.x"), 9, False, True),
        (message(**{"Nats-Consumer-Stalled": "$JS.FC.S.c.x"}), 9, False, True),
        (message(**{"Nats-Last-Stream": "42"}), 0, True, False),
        (message(**{"Nats-Last-Consumer": "1", "Nats-Last-Stream": "42"}), 0, True, False),
        (message(**{"Nats-Last-Consumer": "2", "Nats-Last-Stream": "43"}), 9, True, False),
    ],
    ids=["fewer", "more", "none", "gap", "flow control", "stalled", "idle", "idle, all came", "idle, not all came"],
)
def test_what_a_message_says_of_the_rest(msg: Message, left: int, ended: bool, full: bool) -> None:
    part = _Part(10)
    assert part.take(sent(1)) is not None
    part.take(msg)
    assert (part.left, part.ended, part.full) == (left, ended, full)


def test_a_reading_that_follows_ends_only_where_its_consumer_fails() -> None:
    part = _Part(_ENDLESS)
    for number in (1, 2):
        assert part.take(sent(number)) is not None
    part.take(message(**{"Nats-Last-Consumer": "2", "Nats-Last-Stream": "42"}))
    assert not part.ended
    part.take(sent(4))
    assert part.ended and part.left == _ENDLESS


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
        hear(sent(1, data=str(len(self.asked)).encode()))
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


class Stream:
    """Sends what it has from the number on that is asked for, as `sends` says for each consumer in turn."""

    def __init__(self, client: Listeners, size: int, sends: Callable[[int, int], list[Message]]) -> None:
        self._client = client
        self._size = size
        self._sends = sends
        self.begun: list[int] = []

    async def api(self, call: str, body: dict[str, Any], limit_s: float) -> dict[str, Any]:
        if "DELETE" in call:
            return {}
        first = body["config"].get("opt_start_seq", 1)
        self.begun.append(first)
        for msg in self._sends(len(self.begun), first):
            self._client.heard[body["config"]["deliver_subject"]](msg)
        return {"num_pending": self._size - first + 1, "name": "c"}

    async def read(self) -> list[int]:
        return [found.stream_seq async for found in Replay(self._client, self.api, "S").messages(">", 0, 0)]


def part_of(first: int, last: int) -> list[Message]:
    return [sent(seq - first + 1, seq) for seq in range(first, last + 1)]


async def test_the_server_is_never_given_leave_to_send_more() -> None:
    """The next consumer begins behind what came; what the server asked before it sent all of that is no end."""

    def sends(turn: int, first: int) -> list[Message]:
        part = part_of(first, min(first + 3, 10))
        ask = message("$JS.FC.S.c.x") if turn == 1 else message(**{"Nats-Consumer-Stalled": "$JS.FC.S.c.x"})
        return [*part[:2], ask, *part[2:]]

    stream = Stream(Listeners(), 10, sends)
    assert await stream.read() == list(range(1, 11))
    assert stream.begun == [1, 5, 9]


@pytest.mark.parametrize("told_by", ["message", "heartbeat"])
async def test_what_was_lost_on_its_way_is_read_again(told_by: str) -> None:
    def sends(turn: int, first: int) -> list[Message]:
        part = part_of(first, 6)
        if turn > 1:
            return part
        return [part[0], *part[3:]] if told_by == "message" else [part[0], message(**{"Nats-Last-Consumer": "6"})]

    stream = Stream(Listeners(), 6, sends)
    assert await stream.read() == [1, 2, 3, 4, 5, 6]
    assert stream.begun == [1, 2]


async def test_a_way_on_which_all_is_lost() -> None:
    client = Listeners()
    stream = Stream(client, 6, lambda turn, first: part_of(first, 6)[1:])
    with pytest.raises(RequestTimeout, match="does not come whole"):
        await stream.read()
    assert len(stream.begun) == 4
    assert client.heard == {}


async def test_what_is_stored_while_it_reads_is_left_out() -> None:
    """A reader that is slower than those who write comes to an end, too."""
    stream = Stream(Listeners(), 6, lambda turn, first: [*part_of(first, first + 1), message("$JS.FC.S.c.x")])
    later = stream.api

    async def growing(call: str, body: dict[str, Any], limit_s: float) -> dict[str, Any]:
        return await later(call, body, limit_s) | {"num_pending": 6 if len(stream.begun) == 1 else 100}

    stream.api = growing  # type: ignore[method-assign]
    assert await stream.read() == [1, 2, 3, 4, 5, 6]
