"""Byte streams over the bus, both ways, with credit: a slow reader blocks its own writer and nobody else.

Subjects: `…stream.<name>.in` carries frames to the serving side, `…out` to the opening side. The name is `<node>.<id>`
where a node's agent serves, so that no other node's agent can subscribe. Each side has one subscription, as a
subscription costs more than a short stream's bytes.

A frame is one kind byte, a sequence number (uint32) and the payload. A missing number breaks the stream with an error:
no reader gets bytes with a gap. A credit frame has no sequence number. It says how many bytes its sender accepts in
all, counted from the stream's beginning; a later one replaces it.
"""

import asyncio
import contextlib
import logging
import secrets
import struct
from collections import deque
from enum import IntEnum
from typing import Final, Literal

from seaway_bus import metrics
from seaway_bus.local_connections import LocalConnection, LocalListener
from seaway_bus.stream_subscriptions import OpeningSubscription, StreamSubscription
from seaway_bus.transport import Message, Transport, TransportError
from seaway_contracts.catalogue import FROM_SERVER, TO_SERVER, stream_subject
from seaway_contracts.errors import Code, ErrorBody, SeawayError, unavailable
from seaway_kit.tasks import Tasks

log = logging.getLogger(__name__)
WINDOW: Final = 2 << 20
CHUNK: Final = 32_000
"""Bytes of a data frame: one that fits into the server's 64 KiB read buffer costs it half as much per byte."""
MOST_WORDS: Final = 32_000
_TOGETHER: Final = 256 * 1024
PING_S: Final = 2.0
SILENCE_S: Final = 8.0
_HEAD: Final = struct.Struct("!BI")
_COUNT: Final = struct.Struct("!Q")
Side = Literal["opening", "serving"]


class Kind(IntEnum):
    """The kinds of frames."""

    DATA = 0
    END = 1
    FAILED = 2
    PING = 3
    GONE = 4
    CREDIT = 5


def new_stream_id() -> str:
    """A fresh, unguessable stream id."""
    return secrets.token_hex(12)


class ByteStream:
    """One end of a stream. `read` returns b"" once the other side has ended; `write` waits for credit.

    Both raise SeawayError once the stream is broken or the other side has gone.
    """

    def __init__(
        self,
        transport: Transport,
        stream_id: str,
        side: Side,
        tasks: Tasks,
        local_listener: LocalListener | None = None,
        other: str = "the other end of the stream",
        subscription: OpeningSubscription | None = None,
    ) -> None:
        """`other`: the other side, as errors name it. `subscription`: one of that stream, to release at the end."""
        self.id = stream_id
        self._other = other
        self._side = side
        self._local_listener = local_listener
        self._connection: LocalConnection | None = None
        self._peer_there = asyncio.Event()
        self._unread = 0
        self._transport = transport
        self._tasks = tasks
        directions = (TO_SERVER, FROM_SERVER)
        sends, gets = directions if side == "opening" else reversed(directions)
        self._out = stream_subject(stream_id, sends)
        self._reusable = subscription
        self._subscription = subscription or StreamSubscription(transport, stream_subject(stream_id, gets))
        self._buffer: deque[bytes] = deque()
        self._readable = asyncio.Event()
        self._writable = asyncio.Event()
        self._broken = asyncio.Event()
        self._sent = self._taken = self._acknowledged = 0
        self._granted = WINDOW
        self._next_out = self._next_in = 0
        self._ended = self._finished = self._gone = self._closed = False
        self.last_words = b""
        """The payload of the other side's END frame; empty until it comes."""
        self._error: SeawayError | None = None
        self._unwritable: SeawayError | None = None
        self._heard = False
        self._pinging: asyncio.Task[None] | None = None

    async def open(self) -> "ByteStream":
        """Subscribe or connect. The opening side calls this before it asks the other side to serve."""
        metrics.STREAMS_OPEN.inc()
        if self._side == "serving":
            self._peer_there.set()
            if self._local_listener is not None:
                self._connection = await self._local_listener.connect(self.id, self, Kind.CREDIT)
            if self._connection is not None:
                return self
        elif self._local_listener is not None:
            self._local_listener.expect(self.id, self)
        await self._subscription.open(self._frame)
        if self._side == "serving":
            self._start_pinging()
            await self._send_credit()
        return self

    # --- reading

    async def read(self) -> bytes:
        """The next bytes; b"" at the end. Raises SeawayError if the stream broke."""
        while not self._buffer:
            if self._error is not None:
                raise self._error
            if self._ended:
                return b""
            self._readable.clear()
            await self._readable.wait()
        data = self._take()
        self._taken += len(data)
        if self._connection is not None:
            self._taken_from_connection(self._connection, len(data))
        elif self._taken - self._acknowledged >= WINDOW // 4:
            await self._send_credit()
        return data

    def _take(self) -> bytes:
        """The bytes that have come, at most `_TOGETHER` or one piece."""
        pieces = [self._buffer.popleft()]
        size = len(pieces[0])
        while self._buffer and size + len(self._buffer[0]) <= _TOGETHER:
            pieces.append(self._buffer.popleft())
            size += len(pieces[-1])
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _taken_from_connection(self, connection: LocalConnection, size: int) -> None:
        self._unread -= size
        if self._unread < WINDOW // 2 <= self._unread + size:
            connection.resume()

    async def wait_broken(self) -> None:
        """Return when the stream breaks or the other side closes it."""
        await self._broken.wait()

    async def _send_credit(self) -> None:
        self._acknowledged = self._taken
        with contextlib.suppress(TransportError):
            frame = _HEAD.pack(Kind.CREDIT, 0) + _COUNT.pack(self._taken + WINDOW)
            await self._transport.publish(self._out, frame)

    # --- writing

    async def write(self, data: bytes) -> None:
        """Send bytes, in pieces, as credit allows."""
        if not self._peer_there.is_set():
            await self._peer_there.wait()
        if self._connection is not None:
            await self._write_to_connection(self._connection, data)
            return
        position = 0
        while position < len(data):
            room = await self._room()
            piece = data[position : position + min(room, CHUNK)]
            position += len(piece)
            await self._send(Kind.DATA, piece)
            self._sent += len(piece)
            metrics.STREAM_BYTES.inc(len(piece))

    async def _write_to_connection(self, connection: LocalConnection, data: bytes) -> None:
        if (error := self._error or self._unwritable) is not None:
            raise error
        await connection.send(Kind.DATA, data)
        metrics.STREAM_BYTES.inc(len(data))

    async def end(self, words: bytes = b"") -> None:
        """End this direction; the other one continues.

        `words`: a payload for the other side, at most `MOST_WORDS` bytes.
        """
        if not self._finished:
            self._finished = True
            await self._peer_there.wait()
            await self._send(Kind.END, words)

    async def fail(self, error: SeawayError) -> None:
        """End this side with an error that the other's `read` raises."""
        if not self._finished:
            self._finished = True
            await self._peer_there.wait()
            await self._send(Kind.FAILED, error.body().model_dump_json(exclude_defaults=True).encode())

    async def close(self) -> None:
        """Close both directions. The other side sees a break unless this one has called `end`."""
        if self._closed:
            return
        self._closed = True
        if self._pinging is not None:
            self._pinging.cancel()
        if self._local_listener is not None and self._side == "opening":
            self._local_listener.forget(self.id)
        if self._connection is not None:
            self._connection.close()
        elif not self._gone and not (self._finished and self._ended and self._error is None):
            with contextlib.suppress(SeawayError):
                await self._send(Kind.GONE)
        if self._reusable is not None and self._connection is not None and self._ended and self._error is None:
            await self._reusable.release()
        else:
            await self._subscription.close()
        metrics.STREAMS_OPEN.dec()

    async def __aenter__(self) -> "ByteStream":
        return await self.open()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _room(self) -> int:
        """Wait for credit; how many bytes may be sent now."""
        while True:
            if (error := self._error or self._unwritable) is not None:
                raise error
            if self._sent < self._granted:
                return self._granted - self._sent
            self._writable.clear()
            await self._writable.wait()

    async def _send(self, kind: Kind, payload: bytes = b"") -> None:
        if self._connection is not None:
            await self._connection.send(kind, payload)
            return
        number = self._next_out
        self._next_out += 1
        try:
            await self._transport.publish(self._out, _HEAD.pack(kind, number) + payload)
        except TransportError as error:
            self._break(unavailable(f"the stream broke: {error}"))
            raise unavailable(f"the stream broke: {error}") from error

    # --- what the other side sends

    def _credit(self, payload: bytes) -> None:
        if len(payload) == _COUNT.size:
            self._granted = max(self._granted, _COUNT.unpack(payload)[0])
            self._writable.set()

    def _frame(self, message: Message) -> None:
        if len(message.data) < _HEAD.size:
            return
        self._heard = True
        if not self._peer_there.is_set():
            self._peer_there.set()
            self._start_pinging()
        kind, number = _HEAD.unpack_from(message.data)
        if kind == Kind.CREDIT:
            self._credit(message.data[_HEAD.size :])
            return
        if number != self._next_in:
            self._break(unavailable("bytes were lost on the bus; open the stream again"))
            return
        self._next_in += 1
        self._take_in(kind, message.data[_HEAD.size :])

    def _take_in(self, kind: int, payload: bytes) -> None:
        if kind == Kind.DATA:
            self._buffer.append(payload)
        elif kind == Kind.END:
            self._ended, self.last_words = True, payload
        elif kind == Kind.FAILED:
            self._ended = True
            self._error = SeawayError.from_body(ErrorBody.model_validate_json(payload))
        elif kind == Kind.GONE:
            self._other_gone()
        self._readable.set()

    # --- called by the local connection

    def local_received(self, kind: int, payload: bytes) -> None:
        """See `local_connections.FrameReceiver`."""
        if not self._peer_there.is_set():
            self._use_connection()
        if kind == Kind.DATA:
            before, self._unread = self._unread, self._unread + len(payload)
            if before < WINDOW <= self._unread and self._connection is not None:
                self._connection.pause()
        if kind != Kind.CREDIT:
            self._take_in(kind, payload)

    def local_lost(self) -> None:
        """See `local_connections.FrameReceiver`."""
        if not self._gone:
            self._other_gone()
            self._readable.set()

    def _use_connection(self) -> None:
        """The serving side has connected on this machine: use that in place of the bus."""
        assert self._local_listener is not None
        self._connection = self._local_listener.connection(self.id)
        self._peer_there.set()

    def _other_gone(self) -> None:
        """The other side has closed: writes fail. What it sent can still be read if it has ended in order."""
        self._gone = True
        gone = SeawayError(Code.UNAVAILABLE, f"{self._other} has gone; try again when it is back")
        if not self._ended:
            self._break(gone)
        self._unwritable = gone
        self._broken.set()
        self._writable.set()

    def _break(self, error: SeawayError) -> None:
        if self._error is None:
            self._error = error
        self._ended = True
        self._broken.set()
        self._peer_there.set()
        self._readable.set()
        self._writable.set()

    def _start_pinging(self) -> None:
        """Called once the other side is there. Until then the call that asks it to serve has a time-out of its own."""
        self._pinging = self._tasks.spawn(f"stream-{self.id}", self._ping())

    async def _ping(self) -> None:
        """Ping the other side, and break the stream when it has been silent for `SILENCE_S`.

        A ping has a number: with it the other side notices that frames (or the end) before it were lost. Credit is sent
        again with each ping, in case that it was lost.
        """
        silent = 0.0
        while not self._closed:
            self._heard = False
            await asyncio.sleep(PING_S)
            silent = 0.0 if self._heard else silent + PING_S
            if silent >= SILENCE_S and not (self._ended and self._finished):
                self._break(unavailable(f"{self._other} has been silent for too long; try again"))
                return
            with contextlib.suppress(SeawayError):
                await self._send(Kind.PING)
            await self._send_credit()
