"""Reads a stored stream with ephemeral push consumers with flow control, one after another.

A pull consumer's fetch can stall on newer servers. A push consumer without flow control would send the whole stream
into this process's memory, however slowly it is read.
"""

import asyncio
import contextlib
import datetime
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Final

from seaway_bus.nats_client import LastingClient
from seaway_bus.transport import Message, RequestTimeout, TransportError

_NS: Final = 1_000_000_000
_HEARTBEAT_NS: Final = 1 * _NS
_INACTIVE_NS: Final = 30 * _NS
_SILENCE_S: Final = 5.0
_ENDS_S: Final = 5.0
_BROKEN: Final = "the connection was lost while the past was being read"
_GAPS: Final = "what is sent of the past does not come whole"
_STALLED: Final = "Nats-Consumer-Stalled"
_LAST: Final = "Nats-Last-Consumer"
_MOST_FRUITLESS: Final = 3
_ENDLESS: Final = sys.maxsize
"""The number of messages that are still to come of a reading that also follows what is stored from now on."""

_BEGINS_S: Final = (1.0, 1.0, 2.0, 4.0, 6.0)
"""Limits of the attempts: a consumer has one replica, perhaps on a server that is cut off and not missed yet."""

Api = Callable[[str, dict[str, Any], float], Awaitable[dict[str, Any]]]


class Replay:
    """One reading of a stream, up to the newest message at the call.

    It replaces its consumer with one behind the last message that came in two cases: the server asks for permission to
    send more, or the messages' numbers have a gap (a lost route between servers loses what it carried).
    """

    def __init__(self, client: LastingClient, api: Api, stream: str) -> None:
        self._client = client
        self._api = api
        self._stream = stream
        self._queue: asyncio.Queue[Message | None] = asyncio.Queue()
        self._sign_waits = False
        self._number = 0

    def lost(self) -> None:
        """End the reading: the consumer is lost with the connection."""
        self._queue.put_nowait(None)

    async def messages(
        self, subject: str, start_seq: int, start_ns: int, *, follow: bool = False
    ) -> AsyncGenerator[Message, None]:
        """The matching stored messages, from a sequence number or a time on.

        `follow`: then each new one as it is stored, without an end.
        """
        left, fruitless = _ENDLESS if follow else None, 0
        while left is None or left > 0:
            if fruitless > _MOST_FRUITLESS:
                raise RequestTimeout(_GAPS)
            fruitless += 1
            try:
                info = await self._begun(subject, start_seq, 0 if start_seq else start_ns)
                pending = int(info.get("num_pending", 0)) + int(info.get("delivered", {}).get("consumer_seq", 0))
                part = _Part(_left(left, pending))
                while not part.ended and not (part.full and self._queue.empty()):
                    message = part.take(await self._next())
                    if message is None:
                        continue
                    start_seq, fruitless = message.stream_seq + 1, 0
                    if message.stored_ns >= start_ns:
                        yield message
                left = part.left
                with contextlib.suppress(TransportError):
                    await self._api(f"CONSUMER.DELETE.{self._stream}.{info['name']}", {}, _ENDS_S)
            finally:
                self._unlisten()  # the server removes a consumer without a subscriber

    def _unlisten(self) -> None:
        """Drop what came from that consumer and was not read, but not the mark of a lost connection."""
        self._client.unlisten(self._number)
        lost = False
        while not self._queue.empty():
            lost = self._queue.get_nowait() is None or lost
        if lost:
            self.lost()

    async def _begun(self, subject: str, start_seq: int, start_ns: int) -> dict[str, Any]:
        """Make a consumer, in several attempts. Nobody is subscribed to one that is made too late."""
        for limit_s in _BEGINS_S[:-1]:
            with contextlib.suppress(RequestTimeout):
                return await self._consumer(subject, start_seq, start_ns, limit_s)
            self._unlisten()
            if not self._queue.empty():
                raise RequestTimeout(_BROKEN)
        return await self._consumer(subject, start_seq, start_ns, _BEGINS_S[-1])

    async def _consumer(self, subject: str, start_seq: int, start_ns: int, limit_s: float) -> dict[str, Any]:
        inbox = self._client.new_inbox()
        self._number = self._client.listen(inbox, self._hear)
        config = _config(subject, inbox, start_seq, start_ns)
        body = {"stream_name": self._stream, "config": config}
        return await self._api(f"CONSUMER.CREATE.{self._stream}", body, limit_s)

    def _hear(self, msg: Message) -> None:
        """Queue a message; of several signs of life that wait for a slow reader, only the first."""
        sign = not _is_stored(msg)
        if not (sign and self._sign_waits and not self._queue.empty()):
            self._queue.put_nowait(msg)
        self._sign_waits = sign

    async def _next(self) -> Message:
        """The next stored message or sign of life."""
        try:
            async with asyncio.timeout(_SILENCE_S):
                msg = await self._queue.get()
        except TimeoutError:
            raise RequestTimeout("no answer in time") from None
        if msg is None:
            raise RequestTimeout(_BROKEN)
        return msg


class _Part:
    """What one consumer delivers. Pure.

    Messages that are deleted during the reading never come. So the reading also ends when a heartbeat says that the
    server has nothing more to send (one that isn't about flow control). The server's count of pending messages does not
    show that: a deletion can make it 0 one message too early (nats-server 2.10).
    """

    def __init__(self, left: int) -> None:
        self.left = left
        """How many messages are still to come, at most; `_ENDLESS`: all that are ever stored."""
        self.full = False
        """Whether the server waits for permission to send more. It never gets it here.

        It would double the amount with each permission, up to 32 MiB in this process for a slow reader.
        """
        self.gap = False
        self._last = 0

    @property
    def ended(self) -> bool:
        """Whether this consumer has nothing more to deliver."""
        return self.gap or self.left <= 0

    def take(self, msg: Message) -> Message | None:
        """The stored message; None if the message is a sign of life."""
        if not _is_stored(msg):
            self._sign(msg)
            return None
        found, number = stored(msg)
        if number != self._last + 1:
            self.gap = True
            return None
        self._last = number
        if self.left != _ENDLESS:
            self.left -= 1
        return found

    def _sign(self, msg: Message) -> None:
        if msg.reply or _STALLED in msg.headers:
            self.full = True
        elif int(msg.headers.get(_LAST, "") or self._last) > self._last:
            self.gap = True
        elif self.left != _ENDLESS:
            self.left = 0


def _left(left: int | None, pending: int) -> int:
    """How many messages a new consumer is to deliver: of a reading with so many left, None at its start."""
    if left is None:
        return pending
    return left if left == _ENDLESS else min(left, pending)


def _is_stored(msg: Message) -> bool:
    return msg.reply.startswith("$JS.ACK.")


def _shift(msg: Message) -> int:
    """How many tokens more the newer form of the reply subject has in front."""
    return 0 if msg.reply.count(".") == 8 else 2


def stored(msg: Message) -> tuple[Message, int]:
    """A message that a consumer delivered, and its number there.

    Sequence number and time are in its reply subject (`$JS.ACK.…`, ADR-15).
    """
    tokens = msg.reply.split(".")
    shift = _shift(msg)
    place, number, time_ns = (int(tokens[at + shift]) for at in (5, 6, 7))
    return Message(msg.subject, msg.data, msg.headers, stream_seq=place, stored_ns=time_ns), number


def _config(subject: str, inbox: str, start_seq: int, start_ns: int) -> dict[str, Any]:
    config: dict[str, Any] = {
        "filter_subject": subject,
        "deliver_subject": inbox,
        "deliver_policy": "all",
        "ack_policy": "none",
        "flow_control": True,
        "idle_heartbeat": _HEARTBEAT_NS,
        "inactive_threshold": _INACTIVE_NS,
        "mem_storage": True,
        "num_replicas": 1,
    }
    if start_seq:
        config |= {"deliver_policy": "by_start_sequence", "opt_start_seq": start_seq}
    elif start_ns:
        start = datetime.datetime.fromtimestamp(start_ns // _NS, datetime.UTC).isoformat()
        config |= {"deliver_policy": "by_start_time", "opt_start_time": start}
    return config
