"""The multiplexed stream of attach, exec and logs: frames of `[stream, 0, 0, 0, length as big-endian u32]` and data."""

import struct

STDIN = 0
STDOUT = 1
STDERR = 2
SYSTEM_ERROR = 3
HEADER_LENGTH = 8

_HEADER = struct.Struct(">B3xI")


class BrokenStream(ValueError):
    """The bytes are not a multiplexed stream."""


def header(stream: int, length: int) -> bytes:
    """The 8 bytes in front of `length` bytes of data."""
    return _HEADER.pack(stream, length)


def frame(stream: int, data: bytes) -> bytes:
    """One frame."""
    return _HEADER.pack(stream, len(data)) + data


def put_header(room: memoryview, at: int, stream: int, length: int) -> None:
    """Write a header into a buffer, in front of data that is there already."""
    _HEADER.pack_into(room, at, stream, length)


class FrameTail:
    """Follows frames, at any cut of their bytes, so that one that breaks off can be brought to its end."""

    def __init__(self) -> None:
        self._header = b""
        self._left = 0

    def feed(self, chunk: bytes) -> None:
        """The bytes that come next."""
        position = 0
        while position < len(chunk):
            if self._left:
                step = min(self._left, len(chunk) - position)
                self._left -= step
                position += step
                continue
            missing = HEADER_LENGTH - len(self._header)
            self._header += chunk[position : position + missing]
            position += missing
            if len(self._header) == HEADER_LENGTH:
                self._left = _HEADER.unpack(self._header)[1]
                self._header = b""

    def rest(self) -> bytes:
        """Zeros in place of what the last frame lacks; empty between two frames."""
        if not self._header:
            return bytes(self._left)
        header = self._header.ljust(HEADER_LENGTH, b"\0")
        return header[len(self._header) :] + bytes(_HEADER.unpack(header)[1])


class Decoder:
    """Takes a multiplexed stream apart, at any cut of its bytes.

    Data is handed out as it comes, not held back until its frame is complete, so memory is bounded by the
    chunk that was fed; one frame may come as several pieces.
    """

    def __init__(self) -> None:
        self._header = b""
        self._stream = STDIN
        self._remaining = 0

    @property
    def between_frames(self) -> bool:
        """False when the stream was cut inside a frame."""
        return not self._header and not self._remaining

    def feed(self, chunk: bytes) -> list[tuple[int, bytes]]:
        """The pieces of data in the chunk with their stream. Raises BrokenStream on an unknown stream number."""
        pieces: list[tuple[int, bytes]] = []
        position = 0
        while position < len(chunk):
            if self._remaining:
                piece = chunk[position : position + self._remaining]
                pieces.append((self._stream, piece))
                self._remaining -= len(piece)
                position += len(piece)
            else:
                position = self._take_header(chunk, position)
        return pieces

    def _take_header(self, chunk: bytes, position: int) -> int:
        missing = HEADER_LENGTH - len(self._header)
        self._header += chunk[position : position + missing]
        if len(self._header) == HEADER_LENGTH:
            self._stream, self._remaining = _HEADER.unpack(self._header)
            self._header = b""
            if self._stream > SYSTEM_ERROR:
                raise BrokenStream(f"Unrecognized input header: {self._stream}")
        return position + missing
