"""Byte streams over the bus, both ways, with credit: a slow reader holds back its own writer and nobody else.

Subjects: `…stream.<name>.in` carries frames to the serving side, `…out` to the opening side; the name is `<node>.<id>`
where a node's agent serves, so that no other node's agent can listen: one subscription each, as
a subscription costs more than a short stream's bytes. A frame is one kind byte, a sequence number (uint32) and the
payload. A missing number breaks the stream with an error instead of handing on bytes with a hole in them. Credit, how
much its sender has taken and is ready to take in all, has no number: the latest counts.
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
from seaway_bus.ears import Ear, OpeningEar
from seaway_bus.local_links import Doors, Link
from seaway_bus.transport import Message, Transport, TransportError
from seaway_contracts.catalogue import FROM_SERVER, TO_SERVER, stream_subject
from seaway_contracts.errors import Code, ErrorBody, SeawayError, unavailable
from seaway_kit.tasks import Tasks

log = logging.getLogger(__name__)
WINDOW: Final = 2 << 20
CHUNK: Final = 32_000
"""A message that fits well into the server's 64 KiB read buffer costs it half as much per byte as a larger one."""
MOST_WORDS: Final = 32_000
_TOGETHER: Final = 256 * 1024
PING_S: Final = 2.0
SILENCE_S: Final = 8.0
_HEAD: Final = struct.Struct("!BI")
_COUNT: Final = struct.Struct("!Q")
Side = Literal["opening", "serving"]


class Kind(IntEnum):
    """What a frame is."""

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
    """One end of a stream. `read` gives b"" at the other side's end; `write` waits for credit.

    Both raise SeawayError once the stream is broken or the other side has gone.
    """

    def __init__(
        self,
        transport: Transport,
        stream_id: str,
        side: Side,
        tasks: Tasks,
        doors: Doors | None = None,
        other: str = "the other end of the stream",
        ear: OpeningEar | None = None,
    ) -> None:
        """`other`: what errors call the other side. `ear`: of that name, to be kept."""
        self.id = stream_id
        self._other = other
        self._side = side
        self._doors = doors
        self._link: Link | None = None
        self._met = asyncio.Event()
        self._waiting = 0
        self._transport = transport
        self._tasks = tasks
        directions = (TO_SERVER, FROM_SERVER)
        sends, gets = directions if side == "opening" else reversed(directions)
        self._out = stream_subject(stream_id, sends)
        self._kept_ear = ear
        self._ear = ear or Ear(transport, stream_subject(stream_id, gets))
        self._buffer: deque[bytes] = deque()
        self._readable = asyncio.Event()
        self._writable = asyncio.Event()
        self._broken = asyncio.Event()
        self._sent = self._taken = self._told = 0
        self._granted = WINDOW
        self._next_out = self._next_in = 0
        self._ended = self._finished = self._gone = self._closed = False
        self.last_words = b""
        """What the other side has ended with; none where it has not ended."""
        self._error: SeawayError | None = None
        self._unwritable: SeawayError | None = None
        self._heard = False
        self._keeper: asyncio.Task[None] | None = None

    async def open(self) -> "ByteStream":
        """Listen. The opening side does so before it asks the other to serve."""
        metrics.STREAMS_OPEN.inc()
        if self._side == "serving":
            self._met.set()
            if self._doors is not None:
                self._link = await self._doors.dial(self.id, self, Kind.CREDIT)
            if self._link is not None:
                return self
        elif self._doors is not None:
            self._doors.expect(self.id, self)
        await self._ear.open(self._frame)
        if self._side == "serving":
            self._begin_to_keep()
            await self._tell_taken()
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
        if self._link is not None:
            self._taken_from_link(self._link, len(data))
        elif self._taken - self._told >= WINDOW // 4:
            await self._tell_taken()
        return data

    def _take(self) -> bytes:
        """What has come, up to a bound."""
        pieces = [self._buffer.popleft()]
        size = len(pieces[0])
        while self._buffer and size + len(self._buffer[0]) <= _TOGETHER:
            pieces.append(self._buffer.popleft())
            size += len(pieces[-1])
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _taken_from_link(self, link: Link, size: int) -> None:
        self._waiting -= size
        if self._waiting < WINDOW // 2 <= self._waiting + size:
            link.go_on()

    async def wait_broken(self) -> None:
        """Return when the stream breaks or the other side goes: how a silent stream notices."""
        await self._broken.wait()

    async def _tell_taken(self) -> None:
        self._told = self._taken
        with contextlib.suppress(TransportError):
            frame = _HEAD.pack(Kind.CREDIT, 0) + _COUNT.pack(self._taken + WINDOW)
            await self._transport.publish(self._out, frame)

    # --- writing

    async def write(self, data: bytes) -> None:
        """Send bytes, in pieces, as credit allows."""
        if not self._met.is_set():
            await self._met.wait()
        if self._link is not None:
            await self._write_to_link(self._link, data)
            return
        position = 0
        while position < len(data):
            room = await self._room()
            piece = data[position : position + min(room, CHUNK)]
            position += len(piece)
            await self._send(Kind.DATA, piece)
            self._sent += len(piece)
            metrics.STREAM_BYTES.inc(len(piece))

    async def _write_to_link(self, link: Link, data: bytes) -> None:
        if (error := self._error or self._unwritable) is not None:
            raise error
        await link.send(Kind.DATA, data)
        metrics.STREAM_BYTES.inc(len(data))

    async def end(self, words: bytes = b"") -> None:
        """No more bytes from this side; the other direction goes on. `words`: what is to be known of it, no more than
        `MOST_WORDS`.
        """
        if not self._finished:
            self._finished = True
            await self._met.wait()
            await self._send(Kind.END, words)

    async def fail(self, error: SeawayError) -> None:
        """End this side with an error that the other's `read` raises."""
        if not self._finished:
            self._finished = True
            await self._met.wait()
            await self._send(Kind.FAILED, error.body().model_dump_json(exclude_defaults=True).encode())

    async def close(self) -> None:
        """Let go. The other side sees a break unless this one has ended well."""
        if self._closed:
            return
        self._closed = True
        if self._keeper is not None:
            self._keeper.cancel()
        if self._doors is not None and self._side == "opening":
            self._doors.forget(self.id)
        if self._link is not None:
            self._link.close()
        elif not self._gone and not (self._finished and self._ended and self._error is None):
            with contextlib.suppress(SeawayError):
                await self._send(Kind.GONE)
        if self._kept_ear is not None and self._link is not None and self._ended and self._error is None:
            await self._kept_ear.keep()
        else:
            await self._ear.close()
        metrics.STREAMS_OPEN.dec()

    async def __aenter__(self) -> "ByteStream":
        return await self.open()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _room(self) -> int:
        """How many bytes may be sent now, once there are any."""
        while True:
            if (error := self._error or self._unwritable) is not None:
                raise error
            if self._sent < self._granted:
                return self._granted - self._sent
            self._writable.clear()
            await self._writable.wait()

    async def _send(self, kind: Kind, payload: bytes = b"") -> None:
        if self._link is not None:
            await self._link.send(kind, payload)
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
        if not self._met.is_set():
            self._met.set()
            self._begin_to_keep()
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

    # --- what comes by a link

    def link_heard(self, kind: int, payload: bytes) -> None:
        """See `local_links.Listener`."""
        if not self._met.is_set():
            self._met_at_the_door()
        if kind == Kind.DATA:
            before, self._waiting = self._waiting, self._waiting + len(payload)
            if before < WINDOW <= self._waiting and self._link is not None:
                self._link.hold()
        if kind != Kind.CREDIT:
            self._take_in(kind, payload)

    def link_lost(self) -> None:
        """See `local_links.Listener`."""
        if not self._gone:
            self._other_gone()
            self._readable.set()

    def _met_at_the_door(self) -> None:
        """The serving side has come in: the bus isn't needed."""
        assert self._doors is not None
        self._link = self._doors.link(self.id)
        self._met.set()

    def _other_gone(self) -> None:
        """The other side has let go: no more can be written; what it sent and ended well can still be read."""
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
        self._met.set()
        self._readable.set()
        self._writable.set()

    def _begin_to_keep(self) -> None:
        """Until the serving side has been heard, the call that asks for it has its own time-out."""
        self._keeper = self._tasks.spawn(f"stream-{self.id}", self._keep())

    async def _keep(self) -> None:
        """Show the other side that this one lives; break when it has long been silent.

        A ping has a number, so it also shows that frames (or the end) before it were lost; credit is told
        again in case that it was.
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
            await self._tell_taken()
