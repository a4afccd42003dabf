"""gRPC over HTTP/2: messages in their frames, answers and errors (grpc/doc/PROTOCOL-HTTP2.md of the gRPC project)."""

import struct
from enum import IntEnum
from typing import Final
from urllib.parse import quote_from_bytes, unquote_to_bytes

from seaway_api.buildkit.http2 import Headers, Http2, Stream

MOST_MESSAGE: Final = 16 << 20
"""The largest message that is read whole; BuildKit's own limit."""
_PREFIX: Final = struct.Struct(">BI")
_PLAIN: Final = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")
_MOST_TEXT: Final = 4096
_MOST_ANSWERS: Final = 100_000
_TYPE: Final = (b"content-type", b"application/grpc")
_HEAD: Final[Headers] = [(b":status", b"200"), _TYPE]


class Code(IntEnum):
    """The status codes of gRPC that are used here."""

    OK = 0
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14


class GrpcError(Exception):
    """A call failed, or is to fail, with this code and text."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


def frame(message: bytes) -> bytes:
    """A message as it goes on the wire."""
    return _PREFIX.pack(0, len(message)) + message


class Messages:
    """The messages of one stream, each whole."""

    def __init__(self, stream: Stream, limit: int = MOST_MESSAGE) -> None:
        self._stream = stream
        self._limit = limit
        self._buffer = bytearray()

    async def next(self) -> bytes | None:
        """The next message, None behind the last.

        Raises GrpcError for what can't be read, StreamBroken, ConnectionEnded.
        """
        while True:
            if len(self._buffer) >= _PREFIX.size:
                compressed, size = _PREFIX.unpack_from(self._buffer)
                if compressed:
                    raise GrpcError(Code.UNIMPLEMENTED, "compressed messages are not taken here")
                if size > self._limit:
                    text = f"a message has {size} bytes, more than the {self._limit} that are taken"
                    raise GrpcError(Code.RESOURCE_EXHAUSTED, text)
                if len(self._buffer) >= _PREFIX.size + size:
                    message = bytes(self._buffer[_PREFIX.size : _PREFIX.size + size])
                    del self._buffer[: _PREFIX.size + size]
                    return message
            data = await self._stream.read()
            if not data:
                if self._buffer:
                    raise GrpcError(Code.INTERNAL, "the stream ends in the middle of a message")
                return None
            self._buffer += data

    async def only(self) -> bytes:
        """The one message of a unary request. Raises as `next`."""
        message = await self.next()
        if message is None:
            raise GrpcError(Code.INTERNAL, "the request has no message")
        return message


class Answer:
    """What is sent to the caller of one method."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    async def message(self, message: bytes) -> None:
        """One message."""
        if not self._stream.begun:
            await self._stream.send_headers(_HEAD)
        await self._stream.send(frame(message))

    async def end(self, code: int = Code.OK, text: str = "") -> None:
        """The status: in one frame with the headers if nothing has been sent."""
        await self._stream.send_headers([*([] if self._stream.begun else _HEAD), *_status(code, text)], end=True)


def _status(code: int, text: str) -> Headers:
    trailers: Headers = [(b"grpc-status", str(int(code)).encode())]
    if text:
        shown = text if len(text) <= _MOST_TEXT else text[: _MOST_TEXT - 1] + "…"
        trailers.append((b"grpc-message", quote_from_bytes(shown.encode("utf-8", "replace"), safe=_PLAIN).encode()))
    return trailers


async def call(connection: Http2, path: str, request: bytes) -> list[bytes]:
    """A call of our own with one request; the answers. Raises GrpcError, StreamBroken, ConnectionEnded."""
    stream = await connection.open(request_headers(path))
    try:
        await stream.send(frame(request))
        await stream.end()
        head = await stream.head()
        messages = Messages(stream)
        answers: list[bytes] = []
        while (answer := await messages.next()) is not None:
            answers.append(answer)
            if len(answers) > _MOST_ANSWERS:
                raise GrpcError(Code.RESOURCE_EXHAUSTED, f"more than {_MOST_ANSWERS} answers came")
        if (error := error_of(stream.trailers or head)) is not None:
            raise error
        return answers
    finally:
        stream.reset()


def request_headers(path: str, metadata: Headers | None = None) -> Headers:
    """The headers of a request of our own."""
    return [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path.encode()),
        (b":authority", b"localhost"),
        _TYPE,
        (b"te", b"trailers"),
        (b"user-agent", b"seaway"),
        *(metadata or []),
    ]


def error_of(headers: Headers | None) -> GrpcError | None:
    """The error that trailers tell of; None where all went well."""
    found = dict(headers or [])
    status = found.get(b"grpc-status", b"")
    if status == b"0":
        return None
    text = unquote_to_bytes(found.get(b"grpc-message", b"")).decode("utf-8", "replace")
    if not status.isdigit():
        return GrpcError(Code.UNKNOWN, text or "the call ended without a status")
    return GrpcError(int(status), text)
