"""Byte streams between two processes of one machine: a unix socket in place of the bus.

The process that opens streams has a door, a socket in the suite's run directory; the name of each of its streams
begins with the door's. Whoever is to serve a stream looks whether that door is there, and where it is says the stream's
name and goes through. On another machine, or with another run directory, it isn't, and the bytes go over the bus. The
kernel holds back who writes faster than the other reads, and tells at once when the other has gone.

Frames: one kind byte, the length (uint32) and the payload.
"""

import asyncio
import contextlib
import logging
import os
import secrets
import socket
import struct
from pathlib import Path
from typing import Final, Protocol, cast

log = logging.getLogger(__name__)
_HEAD: Final = struct.Struct("!BI")
_DATA: Final = 0
_MOST_NAME: Final = 128
_MOST_FRAME: Final = 1 << 20
_LONGEST_PATH: Final = 107
_SEPARATOR: Final = "-"
_LINGER_S: Final = 5.0


class Listener(Protocol):
    """The stream at a link's end."""

    def link_heard(self, kind: int, payload: bytes) -> None:
        """A frame came; bytes of data come in as many pieces as the kernel gives."""

    def link_lost(self) -> None:
        """The other end has gone; nothing more comes."""


class Link(asyncio.Protocol):
    """One connection."""

    def __init__(self, doors: "Doors | None" = None, listener: Listener | None = None) -> None:
        self._doors = doors
        self._listener = listener
        self._transport: asyncio.Transport | None = None
        self._partial = b""
        self._left = 0
        self._held = False
        self._patience: asyncio.TimerHandle | None = None
        self._drained = asyncio.Event()
        self._drained.set()
        self._lost = asyncio.Event()

    # --- used by the stream

    async def send(self, kind: int, payload: bytes = b"") -> None:
        """Send a frame; data as soon as the other has taken most of what came before it, the few others at once."""
        if kind == _DATA:
            await self._drained.wait()
            if self._is_ending():
                await self._lost.wait()  # a turn of uvloop later: one who writes for ever would not let it come
        if (transport := self._in_use()) is not None:
            head = _HEAD.pack(kind, len(payload))
            transport.writelines((head, payload) if payload else (head,))  # asyncio never sends an empty one

    def hold(self) -> None:
        """Take nothing more for now."""
        if not self._held and (transport := self._in_use()) is not None:
            self._held = True
            transport.pause_reading()

    def go_on(self) -> None:
        """Take bytes again."""
        if self._held and (transport := self._in_use()) is not None:
            self._held = False
            transport.resume_reading()

    def close(self) -> None:
        """Send what waits, then hang up once the other has: who still writes to a closed socket loses what it has not
        read of it, and that would be our last words.
        """
        self._listener = None
        if (transport := self._in_use()) is not None:
            transport.resume_reading()
            transport.write_eof()
            self._patience = asyncio.get_running_loop().call_later(_LINGER_S, transport.close)

    def _is_ending(self) -> bool:
        """Whether the connection ends, and not by this side's doing."""
        return self._patience is None and self._transport is not None and self._transport.is_closing()

    def _in_use(self) -> asyncio.Transport | None:
        """The connection, unless it has ended or this side has closed it."""
        transport = self._transport
        return None if transport is None or transport.is_closing() or self._patience is not None else transport

    def introduce(self, name: str, kind: int) -> None:
        """Say which stream this is, with a frame by which the other side meets it at once."""
        assert self._transport is not None
        self._transport.write(name.encode() + b"\n" + _HEAD.pack(kind, 0))

    # --- called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name

    def connection_lost(self, exc: Exception | None) -> None:
        self._drained.set()
        self._lost.set()
        if self._patience is not None:
            self._patience.cancel()
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.link_lost()

    def pause_writing(self) -> None:
        self._drained.clear()

    def resume_writing(self) -> None:
        self._drained.set()

    def data_received(self, data: bytes) -> None:
        if self._partial:
            data = self._partial + data
            self._partial = b""
        if self._doors is not None:
            data = self._name_in(data)
        position = self._frames_in(data)
        if position < len(data):
            self._partial = data[position:]

    def _name_in(self, data: bytes) -> bytes:
        """What follows the stream's name, which is the first line; a visitor without a name is sent away."""
        name, end, rest = data.partition(b"\n")
        if not end and len(data) <= _MOST_NAME:
            self._partial = data
            return b""
        assert self._doors is not None
        self._listener = self._doors.claim(name.decode("ascii", "replace"), self) if end else None
        self._doors = None
        if self._listener is None:
            self.close()
            return b""
        return rest

    def _frames_in(self, data: bytes) -> int:
        """Hand on all that is whole; how far that was."""
        position, size = 0, len(data)
        while position < size and self._listener is not None:
            if self._left:
                piece = data[position : position + self._left]
                self._left -= len(piece)
                position += len(piece)
                self._listener.link_heard(_DATA, piece)
                continue
            if size - position < _HEAD.size:
                break
            kind, length = _HEAD.unpack_from(data, position)
            if kind == _DATA:
                self._left = length
                position += _HEAD.size
                continue
            end = position + _HEAD.size + length
            if length > _MOST_FRAME:
                self._refuse()
                break
            if end > size:
                break
            self._listener.link_heard(kind, data[position + _HEAD.size : end])
            position = end
        return position if self._listener is not None else size

    def _refuse(self) -> None:
        if self._transport is not None:
            self._transport.abort()


def _clear_away(directory: Path) -> None:
    """Remove the doors of processes that were killed: nobody listens there."""
    for path in filter(Path.is_socket, directory.iterdir()):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as visitor:
            try:
                visitor.connect(str(path))
            except ConnectionRefusedError:
                path.unlink(missing_ok=True)
            except OSError:
                continue  # it is gone already, or somebody is very busy there


class Doors:
    """This process's own door, and the way to those of others. Without `open`, or where the place can't be had, nobody
    comes in, and `dial` finds what others have opened.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._name = ""
        self._server: asyncio.Server | None = None
        self._expected: dict[str, Listener] = {}
        self._links: dict[str, Link] = {}

    async def open(self) -> None:
        """Let visitors in, if the place can be had."""
        name = secrets.token_hex(6)
        path = self._directory / name
        if len(os.fsencode(path)) > _LONGEST_PATH:
            return
        try:
            self._directory.mkdir(mode=0o755, exist_ok=True)
            _clear_away(self._directory)
            loop = asyncio.get_running_loop()
            self._server = await loop.create_unix_server(lambda: Link(self), str(path))
            path.chmod(0o600)
        except OSError as error:
            log.info("streams of this machine go over the bus: %s can't be a socket: %s", path, error.strerror)
            return
        self._name = name

    async def close(self) -> None:
        """Let nobody in any more."""
        if self._server is not None:
            self._server.close()
            self._server = None
            (self._directory / self._name).unlink(missing_ok=True)

    def new_name(self) -> str:
        """A stream's name that nobody can guess; it says where the door is."""
        token = secrets.token_hex(12)
        return f"{self._name}{_SEPARATOR}{token}" if self._server is not None else token

    def expect(self, name: str, listener: Listener) -> None:
        """The one who serves that stream may come in."""
        if self._server is not None:
            self._expected[name] = listener

    def forget(self, name: str) -> None:
        """Nobody need come in for that stream any more."""
        self._expected.pop(name, None)
        self._links.pop(name, None)

    def link(self, name: str) -> Link | None:
        """The link by which a stream's other end came in."""
        return self._links.get(name)

    def claim(self, name: str, link: Link) -> Listener | None:
        """Called by a link whose visitor has said which stream it comes for; once for each."""
        listener = self._expected.pop(name, None)
        if listener is not None:
            self._links[name] = link
        return listener

    async def dial(self, name: str, listener: Listener, kind: int) -> Link | None:
        """Go to the one who opened that stream, if there is a door on this machine, and say so by an empty frame."""
        door, found, _ = name.rpartition(".")[2].partition(_SEPARATOR)
        if not found:
            return None
        path = self._directory / door
        with contextlib.suppress(OSError):
            _, link = await asyncio.get_running_loop().create_unix_connection(
                lambda: Link(listener=listener), str(path)
            )
            link.introduce(name, kind)
            return link
        return None
