"""Receives conmon's packets from its attach socket, many at a time, and frames them in place.

A packet is one byte for its stream (2 stdout, 3 stderr) and up to 8192 bytes of data. That byte is received into the
last byte of a stdcopy header, so the frame is made without moving the data.
"""

import socket
from typing import Final

from seaway_docker.stdcopy import HEADER_LENGTH, put_header

STDOUT, STDERR = 2, 3
PACKET: Final = 8192 + 1
_BATCH: Final = 32
_BUFFER: Final = _BATCH * (PACKET + HEADER_LENGTH)
_AHEAD: Final = HEADER_LENGTH - 1


class Batch:
    """Successive packets as stdcopy frames, with the stream and the end of each."""

    __slots__ = ("_ends", "_framed", "_kinds")

    def __init__(self, framed: bytes, kinds: list[int], ends: list[int]) -> None:
        self._framed = framed
        self._kinds = kinds
        self._ends = ends

    def chosen(self, *, stdout: bool, stderr: bool, raw: bool) -> bytes:
        """The frames of these streams; their data alone where `raw` (a terminal)."""
        wanted = {kind for kind, yes in ((STDOUT, stdout), (STDERR, stderr)) if yes}
        if not raw and wanted.issuperset(self._kinds):
            return self._framed
        skip = HEADER_LENGTH if raw else 0
        starts = [0, *self._ends[:-1]]
        found = zip(self._kinds, starts, self._ends, strict=True)
        return b"".join([self._framed[start + skip : end] for kind, start, end in found if kind in wanted])


class PacketSocket:
    """The receiving half of an attach socket. All consoles share one buffer: nothing stays in it."""

    _buffer: Final = bytearray(_BUFFER)

    def __init__(self, inner: socket.socket) -> None:
        self._inner = inner
        self.closed = False
        self.reset = False
        self.unaccepted = True
        """Whether neither a packet nor an end without a reset has arrived: conmon may never have accepted."""

    def receive(self) -> Batch | None:
        """The packets that are there, up to a bound; None where there are none. Sets `closed` at the end."""
        buffer = memoryview(self._buffer)
        kinds: list[int] = []
        ends: list[int] = []
        position = 0
        for _ in range(_BATCH):
            begin = position + _AHEAD
            size = self._receive_into(buffer[begin : begin + PACKET])
            if size <= 0:
                break
            kind = buffer[begin]
            if size > 1 and kind in (STDOUT, STDERR):
                put_header(buffer, position, kind - 1, size - 1)
                position = begin + size
                kinds.append(kind)
                ends.append(position)
        return Batch(bytes(buffer[:position]), kinds, ends) if kinds else None

    def _receive_into(self, buffer: memoryview) -> int:
        try:
            size = self._receive_past_reset(buffer)
        except BlockingIOError:
            return -1
        except OSError:
            size = 0
        if not size:
            self.closed = True
        if not (size == 0 and self.reset):
            self.unaccepted = False
        return size

    def _receive_past_reset(self, buffer: memoryview) -> int:
        """Receive a packet, behind a reset too.

        Where conmon ends without having read all input, Linux reports a reset of the SEQPACKET socket once, before the
        packets that conmon has sent (`__skb_try_recv_datagram` checks the error first).
        """
        try:
            return self._inner.recv_into(buffer)
        except ConnectionResetError:
            self.reset = True
            return self._inner.recv_into(buffer)
