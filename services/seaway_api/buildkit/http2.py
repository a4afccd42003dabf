"""One HTTP/2 connection (RFC 9113) over a pipe: h2 frames it, this moves its bytes and holds them within bounds.

What arrives is kept until its stream's reader takes it, and only then given back to the peer's windows. What is sent
waits for the peer's windows and for room in the buffer. A peer that makes us buffer anything else, or keeps us busy
with frames that lead nowhere, loses its connection.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, Protocol

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    PingReceived,
    PriorityUpdated,
    RemoteSettingsChanged,
    RequestReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
    UnknownFrameReceived,
    WindowUpdated,
)
from h2.exceptions import H2Error
from h2.settings import SettingCodes

from seaway_kit.tasks import Tasks

log = logging.getLogger(__name__)
Headers = list[tuple[bytes, bytes]]
STREAM_WINDOW: Final = 1 << 20
CONNECTION_WINDOW: Final = 8 << 20
"""The most bytes that one connection keeps for its readers."""
MOST_STREAMS: Final = 128
MOST_IDLE_FRAMES: Final = 10_000
"""How many frames in a row may bring nothing forward (PING, SETTINGS, resets, empty DATA)."""
MOST_UNSENT: Final = 1 << 20
_ROOM: Final = 256 * 1024
_PIECE: Final = 256 * 1024
_FIRST_WINDOW: Final = 65_535
_LAST_WORDS_S: Final = 1.0
_IDLE: Final = (PingReceived, RemoteSettingsChanged, StreamReset, PriorityUpdated, UnknownFrameReceived)


class Pipe(Protocol):
    """Bytes both ways."""

    async def read(self) -> bytes:
        """The next bytes, b"" at the end. Raises ConnectionError."""

    async def write(self, data: bytes) -> None:
        """Send, waiting while the peer takes nothing. Raises ConnectionError."""

    def close(self) -> None:
        """End both directions."""


class ConnectionEnded(ConnectionError):
    """The HTTP/2 connection has ended, and all its streams with it."""


class StreamBroken(Exception):
    """The peer has reset a stream, with this code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"the stream was reset with code {code}")
        self.code = code


class Stream:
    """One stream: of the request that came in, or of the one that was sent."""

    def __init__(self, connection: "Http2", number: int, headers: Headers) -> None:
        """`headers` are the request's."""
        self.headers = headers
        self.number = number
        self.trailers: Headers | None = None
        """What the peer sent behind its data; known when `read` has given b""."""
        self._connection = connection
        self._head: Headers | None = None
        self._data = bytearray()
        self._ended = False
        self._sent_end = False
        self.begun = False
        """Whether an answer's headers have been sent."""
        self._broken: Exception | None = None
        self._dropped = False
        self._changed = asyncio.Event()

    @property
    def path(self) -> str:
        """The request's path: for gRPC, service and method."""
        return next((value.decode("latin-1") for name, value in self.headers if name == b":path"), "")

    def values(self, name: bytes) -> list[bytes]:
        """The values of a header of the request."""
        return [value for key, value in self.headers if key == name]

    # --- receiving

    async def head(self) -> Headers:
        """The headers of the answer. Raises StreamBroken, ConnectionEnded."""
        while self._head is None:
            await self._wait()
        return self._head

    @property
    def complete(self) -> bool:
        """Whether all that the peer sends is here, and nothing is left to be read."""
        return self._ended and not self._data

    async def read(self) -> bytes:
        """The next data; b"" at the end. Raises StreamBroken, ConnectionEnded."""
        while not self._data:
            if self._ended:
                return b""
            await self._wait()
        piece = bytes(self._data[:_PIECE])
        del self._data[:_PIECE]
        self._connection.give_back(self.number, len(piece))
        return piece

    async def gone(self) -> Exception:
        """Wait until the stream is broken; why."""
        while self._broken is None:
            self._changed.clear()
            await self._changed.wait()
        return self._broken

    async def _wait(self) -> None:
        if self._broken is not None:
            raise self._broken
        self._changed.clear()
        await self._changed.wait()

    # --- sending

    async def send_headers(self, headers: Headers, *, end: bool = False) -> None:
        """An answer's headers, or trailers (`end`). Raises StreamBroken, ConnectionEnded."""
        await self._connection.room()
        self._check()
        self._sent_end, self.begun = end, True
        self._connection.command(lambda h2: h2.send_headers(self.number, headers, end_stream=end))

    async def send(self, data: bytes) -> None:
        """Data, as the peer's windows allow. Raises StreamBroken, ConnectionEnded."""
        view = memoryview(data)
        while view:
            await self._connection.room()
            self._check()
            size = self._connection.sendable(self.number)
            if size <= 0:
                await self._connection.changed()
                continue
            piece, view = view[:size].tobytes(), view[size:]
            self._connection.command(partial(H2Connection.send_data, stream_id=self.number, data=piece))

    async def end(self) -> None:
        """Nothing more follows. Raises StreamBroken, ConnectionEnded."""
        await self._connection.room()
        self._check()
        if not self._sent_end:
            self._sent_end = True
            self._connection.command(lambda h2: h2.end_stream(self.number))

    def reset(self, code: int = ErrorCodes.CANCEL) -> None:
        """End the stream at once, if it has not ended both ways. Whoever has opened or served it calls this last."""
        if not self._dropped:
            self._dropped = True
            is_over = self._broken is not None or (self._ended and self._sent_end)
            self.broken(StreamBroken(code))
            self._connection.drop(self, None if is_over else code)

    def _check(self) -> None:
        if self._broken is not None:
            raise self._broken

    # --- fed by the connection

    def take(self, event: Event) -> None:
        """What the peer has sent."""
        match event:
            case ResponseReceived():
                self._head = event.headers
            case DataReceived():
                self._data += event.data
            case TrailersReceived():
                self.trailers = event.headers
            case StreamEnded():
                self._ended = True
            case StreamReset():
                self.broken(StreamBroken(event.error_code))
        self._changed.set()

    def broken(self, error: Exception) -> None:
        """Nothing goes on this stream any more."""
        self._broken = self._broken or error
        self._changed.set()

    def unread(self) -> int:
        """The bytes that nobody has read, which are now forgotten."""
        size = len(self._data)
        self._data.clear()
        return size


Serve = Callable[[Stream], Awaitable[None]]


class Http2:
    """One side of a connection: the client's, or the server's, which serves each request by `serve`."""

    def __init__(self, pipe: Pipe, *, serve: Serve | None = None) -> None:
        self._pipe = pipe
        self._serve = serve
        self._h2 = H2Connection(
            H2Configuration(
                client_side=serve is None,
                header_encoding=None,
                validate_inbound_headers=False,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        self._tasks = Tasks("http2")
        self._streams: dict[int, Stream] = {}
        self._outgoing = bytearray()
        self._sending = 0
        self._unsent = asyncio.Event()
        self._waiting: list[asyncio.Future[None]] = []
        self._idle_frames = 0
        self._ended: Exception | None = None
        self._greeted = False
        self._begin()

    def _begin(self) -> None:
        """Settings go out after the connection's preface: set before, the peer's acknowledgement is not understood."""
        self._h2.initiate_connection()
        settings: dict[SettingCodes | int, int] = {
            SettingCodes.INITIAL_WINDOW_SIZE: STREAM_WINDOW,
            SettingCodes.MAX_CONCURRENT_STREAMS: MOST_STREAMS,
        }
        if self._serve is None:
            settings[SettingCodes.ENABLE_PUSH] = 0
        self._h2.update_settings(settings)
        self._h2.increment_flow_control_window(CONNECTION_WINDOW - _FIRST_WINDOW)
        self._collect()

    async def run(self) -> None:
        """Carry the connection until one side ends it. The pipe is closed, all streams are broken then."""
        reading = self._tasks.spawn("read", self._read())
        writing = self._tasks.spawn("write", self._write())
        try:
            await asyncio.wait((reading, writing), return_when=asyncio.FIRST_COMPLETED)
            await self._say_last_words(writing)
        finally:
            self._end(ConnectionEnded("the HTTP/2 connection has ended"))
            self._pipe.close()
            await self._tasks.close()

    async def _say_last_words(self, writing: asyncio.Task[None]) -> None:
        """A GOAWAY that says what was wrong, for a peer that reads."""
        if self._h2.state_machine.state.name == "CLOSED" and not writing.done():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LAST_WORDS_S):
                    while self._outgoing or self._sending:
                        await self.changed()

    def _end(self, error: Exception) -> None:
        self._ended = self._ended or error
        for stream in list(self._streams.values()):
            stream.broken(self._ended)
        self._wake()

    @property
    def ended(self) -> bool:
        """Whether one side has ended it."""
        return self._ended is not None

    async def greeted(self) -> None:
        """Wait until the peer has begun to speak HTTP/2. Raises ConnectionEnded."""
        while not self._greeted:
            if self._ended is not None:
                raise self._ended
            await self.changed()

    # --- for streams

    async def open(self, headers: Headers, *, end: bool = False) -> Stream:
        """Send a request, when the peer takes one more. Raises ConnectionEnded."""
        while True:
            await self.room()
            if self._h2.open_outbound_streams < self._h2.remote_settings.max_concurrent_streams:
                break
            await self.changed()
        number = self._h2.get_next_available_stream_id()
        stream = self._streams[number] = Stream(self, number, headers)
        await stream.send_headers(headers, end=end)
        return stream

    async def room(self) -> None:
        """Wait until what is to be sent is little. Raises ConnectionEnded."""
        while len(self._outgoing) + self._sending >= _ROOM and self._ended is None:
            await self.changed()
        if self._ended is not None:
            raise self._ended

    async def changed(self) -> None:
        """Wait until something has been sent, a window has grown, or a stream has ended."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        await future

    def sendable(self, number: int) -> int:
        """How many bytes of data may be sent on a stream at once."""
        try:
            return min(self._h2.local_flow_control_window(number), self._h2.max_outbound_frame_size, _ROOM)
        except H2Error as error:
            raise ConnectionEnded(f"the stream has ended: {error}") from None

    def command(self, act: Callable[[H2Connection], object]) -> None:
        """Have h2 make frames. Raises ConnectionEnded."""
        try:
            act(self._h2)
        except H2Error as error:
            raise ConnectionEnded(f"the stream takes nothing: {error}") from None
        self._idle_frames = 0
        self._collect()

    def give_back(self, number: int, size: int) -> None:
        """Let the peer send as many bytes again."""
        if self._ended is None and size:
            with contextlib.suppress(H2Error):
                self._h2.acknowledge_received_data(size, number)
            self._collect()

    def drop(self, stream: Stream, code: int | None) -> None:
        """Forget a stream; with a code, tell the peer."""
        self._streams.pop(stream.number, None)
        if self._ended is None:
            if code is not None:
                with contextlib.suppress(H2Error):
                    self._h2.reset_stream(stream.number, code)
            self.give_back(stream.number, stream.unread())
            self._collect()
        self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    # --- sending

    def _collect(self) -> None:
        self._outgoing += self._h2.data_to_send()
        if self._outgoing:
            self._unsent.set()

    async def _write(self) -> None:
        try:
            while True:
                while not self._outgoing:
                    self._unsent.clear()
                    await self._unsent.wait()
                data = bytes(self._outgoing)
                self._outgoing.clear()
                self._sending = len(data)
                await self._pipe.write(data)
                self._sending = 0
                self._wake()
        except ConnectionError as error:
            self._end(ConnectionEnded(str(error)))

    # --- receiving

    async def _read(self) -> None:
        try:
            while data := await self._pipe.read():
                for event in self._h2.receive_data(data):
                    self._take(event)
                self._collect()
                self._check_peer()
        except H2Error as error:
            log.warning("an HTTP/2 connection is closed: %s", error)
            self._collect()
        except ConnectionError as error:
            log.info("an HTTP/2 connection is closed: %s", error)
            self._end(ConnectionEnded(str(error)))

    def _check_peer(self) -> None:
        """Raise ConnectionEnded for a peer that wastes memory or time."""
        if len(self._outgoing) + self._sending > MOST_UNSENT:
            raise ConnectionEnded("the peer doesn't read the answers to what it sends")
        if self._idle_frames > MOST_IDLE_FRAMES:
            raise ConnectionEnded(f"the peer has sent more than {MOST_IDLE_FRAMES} frames that bring nothing forward")

    def _take(self, event: Event) -> None:
        if isinstance(event, RequestReceived):
            self._take_request(event)
        elif isinstance(event, DataReceived):
            self._take_data(event)
        elif isinstance(event, ResponseReceived | TrailersReceived | StreamEnded | StreamReset):
            stream = self._streams.get(event.stream_id or 0)
            if stream is not None:
                stream.take(event)
        elif isinstance(event, ConnectionTerminated):
            log.info("the peer ends an HTTP/2 connection: code %s, %r", event.error_code, event.additional_data)
        self._greeted = self._greeted or isinstance(event, RemoteSettingsChanged)
        if isinstance(event, WindowUpdated | RemoteSettingsChanged | StreamReset | StreamEnded):
            self._wake()
        if isinstance(event, _IDLE):
            self._idle_frames += 1

    def _take_data(self, event: DataReceived) -> None:
        """Padding, and data of a stream that was dropped, is given back at once."""
        size, stream = len(event.data), self._streams.get(event.stream_id or 0)
        if stream is not None:
            stream.take(event)
        self.give_back(event.stream_id or 0, event.flow_controlled_length - (size if stream is not None else 0))
        self._idle_frames = 0 if size else self._idle_frames + 1

    def _take_request(self, event: RequestReceived) -> None:
        """A stream counts until its handler has ended, whatever the peer does with it meanwhile."""
        number = event.stream_id or 0
        if len(self._streams) >= MOST_STREAMS:
            self._h2.reset_stream(number, ErrorCodes.REFUSED_STREAM)
            self._idle_frames += 1
            return
        stream = self._streams[number] = Stream(self, number, event.headers)
        self._tasks.spawn(f"stream {number}", self._served(stream))

    async def _served(self, stream: Stream) -> None:
        assert self._serve is not None
        code = ErrorCodes.NO_ERROR
        try:
            await self._serve(stream)
        except StreamBroken as error:
            code = ErrorCodes(error.code) if error.code in list(ErrorCodes) else ErrorCodes.CANCEL
        except ConnectionError:
            code = ErrorCodes.CANCEL
        except BaseException:
            code = ErrorCodes.INTERNAL_ERROR
            raise
        finally:
            stream.reset(code)
