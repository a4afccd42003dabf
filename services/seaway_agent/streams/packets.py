"""Takes conmon's packets off its attach socket, many at a time, and frames them in place.

A packet is one byte that names its stream (2 stdout, 3 stderr) and up to 8192 bytes. Each is received so that this byte
lies where the last one of a stdcopy header belongs: the frame is made without moving the data.
"""

import socket
from typing import Final

from seaway_docker.stdcopy import HEADER_LENGTH, put_header

STDOUT, STDERR = 2, 3
PACKET: Final = 8192 + 1
_BATCH: Final = 32
_ROOM: Final = _BATCH * (PACKET + HEADER_LENGTH)
_AHEAD: Final = HEADER_LENGTH - 1


class Batch:
    """Neighbouring packets. `framed` holds them all as frames; `streams` those of each stream by itself, in order."""

    __slots__ = ("_ends", "_framed", "_kinds")

    def __init__(self, framed: bytes, kinds: list[int], ends: list[int]) -> None:
        self._framed = framed
        self._kinds = kinds
        self._ends = ends

    def chosen(self, *, stdout: bool, stderr: bool, raw: bool) -> bytes:
        """What a client gets that wants these streams; without headers where `raw` (a terminal)."""
        wanted = {kind for kind, yes in ((STDOUT, stdout), (STDERR, stderr)) if yes}
        if not raw and wanted.issuperset(self._kinds):
            return self._framed
        skip = HEADER_LENGTH if raw else 0
        starts = [0, *self._ends[:-1]]
        found = zip(self._kinds, starts, self._ends, strict=True)
        return b"".join([self._framed[start + skip : end] for kind, start, end in found if kind in wanted])


class PacketSocket:
    """The receiving half of an attach socket. `room` is one buffer for all consoles: nothing stays in it."""

    _room: Final = bytearray(_ROOM)

    def __init__(self, inner: socket.socket) -> None:
        self._inner = inner
        self.closed = False
        self.reset = False
        self.unheard = True
        """Whether neither a packet has come nor an end without a reset: perhaps nobody has accepted the connection."""

    def receive(self) -> Batch | None:
        """What has come, up to a bound; None when nothing has. `closed` says that no more will come."""
        room = memoryview(self._room)
        kinds: list[int] = []
        ends: list[int] = []
        position = 0
        for _ in range(_BATCH):
            begin = position + _AHEAD
            size = self._receive_into(room[begin : begin + PACKET])
            if size <= 0:
                break
            kind = room[begin]
            if size > 1 and kind in (STDOUT, STDERR):
                put_header(room, position, kind - 1, size - 1)
                position = begin + size
                kinds.append(kind)
                ends.append(position)
        return Batch(bytes(room[:position]), kinds, ends) if kinds else None

    def _receive_into(self, room: memoryview) -> int:
        try:
            size = self._receive_past_reset(room)
        except BlockingIOError:
            return -1
        except OSError:
            size = 0
        if not size:
            self.closed = True
        if not (size == 0 and self.reset):
            self.unheard = False
        return size

    def _receive_past_reset(self, room: memoryview) -> int:
        """conmon ends without having read all input: of a SEQPACKET socket Linux then tells the reset once, before the
        packets that conmon has sent (`__skb_try_recv_datagram` looks at the error first), and they follow.
        """
        try:
            return self._inner.recv_into(room)
        except ConnectionResetError:
            self.reset = True
            return self._inner.recv_into(room)
