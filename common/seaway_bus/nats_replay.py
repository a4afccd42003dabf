"""Reading a stored stream: an ephemeral push consumer with flow control.

A pull consumer's fetch can stall on newer servers; a push consumer without flow control would send the
whole stream into this process's memory, however slowly it is read.
"""

import asyncio
import contextlib
import datetime
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
_STALLED: Final = "Nats-Consumer-Stalled"

_BEGINS_S: Final = (1.0, 1.0, 2.0, 4.0, 6.0)
"""A consumer has one copy, on a server by chance, which may be one that was just cut off and is not missed yet."""

Api = Callable[[str, dict[str, Any], float], Awaitable[dict[str, Any]]]


class Replay:
    """One reading of a stream, up to the newest message at the time of asking."""

    def __init__(self, client: LastingClient, api: Api, stream: str) -> None:
        self._client = client
        self._api = api
        self._stream = stream
        self._queue: asyncio.Queue[Message | None] = asyncio.Queue()
        self._number = 0

    def lost(self) -> None:
        """The connection is gone, and the consumer with it."""
        self._queue.put_nowait(None)

    async def messages(self, subject: str, start_seq: int, start_ns: int) -> AsyncGenerator[Message, None]:
        """The stored messages that match, from a sequence number or a time on."""
        try:
            info = await self._begun(subject, start_seq, start_ns)
            left = int(info.get("num_pending", 0)) + int(info.get("delivered", {}).get("consumer_seq", 0))
            while left > 0:
                msg = await self._next()
                left = _left_after(msg, left)
                if _is_stored(msg) and (message := stored(msg)).stored_ns >= start_ns:
                    yield message
            with contextlib.suppress(TransportError):
                await self._api(f"CONSUMER.DELETE.{self._stream}.{info['name']}", {}, _ENDS_S)
        finally:
            self._client.unlisten(self._number)  # a consumer that nobody hears is removed by the server

    async def _begun(self, subject: str, start_seq: int, start_ns: int) -> dict[str, Any]:
        """A consumer that answers; what one sends that came too late nobody hears."""
        for limit_s in _BEGINS_S[:-1]:
            with contextlib.suppress(RequestTimeout):
                return await self._consumer(subject, start_seq, start_ns, limit_s)
            self._client.unlisten(self._number)
            while not self._queue.empty():
                if self._queue.get_nowait() is None:
                    raise RequestTimeout(_BROKEN)
        return await self._consumer(subject, start_seq, start_ns, _BEGINS_S[-1])

    async def _consumer(self, subject: str, start_seq: int, start_ns: int, limit_s: float) -> dict[str, Any]:
        inbox = self._client.new_inbox()
        self._number = self._client.listen(inbox, self._queue.put_nowait)
        config = _config(subject, inbox, start_seq, start_ns)
        body = {"stream_name": self._stream, "config": config}
        return await self._api(f"CONSUMER.CREATE.{self._stream}", body, limit_s)

    async def _next(self) -> Message:
        """The next stored message or sign of life; the latter is answered where it asks for that."""
        try:
            async with asyncio.timeout(_SILENCE_S):
                msg = await self._queue.get()
        except TimeoutError:
            raise RequestTimeout("no answer in time") from None
        if msg is None:
            raise RequestTimeout(_BROKEN)
        if not _is_stored(msg) and (ask := msg.reply or msg.headers.get(_STALLED, "")):
            self._client.send(ask, b"")
        return msg


def _is_stored(msg: Message) -> bool:
    return msg.reply.startswith("$JS.ACK.")


def _left_after(msg: Message, left: int) -> int:
    """How many messages are still to come, at most.

    Messages that are deleted while we read never come. So the reading also ends at the server's word that it has
    nothing more to send (a heartbeat that isn't about flow control). Its own count of what is pending is no such
    word: a deletion in between can make it 0 one message too early (nats-server 2.10).
    """
    if _is_stored(msg):
        return left - 1
    idle = not msg.reply and _STALLED not in msg.headers
    return 0 if idle else left


def _shift(msg: Message) -> int:
    """The newer form of the reply subject has two tokens more in front."""
    return 0 if msg.reply.count(".") == 8 else 2


def stored(msg: Message) -> Message:
    """A message that a consumer delivered. Its reply subject tells place and time (`$JS.ACK.…`, ADR-15)."""
    tokens = msg.reply.split(".")
    shift = _shift(msg)
    return Message(
        msg.subject, msg.data, msg.headers, stream_seq=int(tokens[5 + shift]), stored_ns=int(tokens[7 + shift])
    )


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
