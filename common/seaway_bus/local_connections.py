"""Byte streams between two processes of one machine: a unix socket in place of the bus.

The process that opens streams has a listener: a socket in the suite's run directory. The name of each of its streams
begins with the socket's name. The serving side connects to that socket and sends the stream's name. On another
machine, or with another run directory, there is no such socket, and the bytes go over the bus. The kernel blocks a
writer that is faster than its reader, and reports at once when the other end has closed.

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


class FrameReceiver(Protocol):
    """The stream at one end of a local connection."""

    def local_received(self, kind: int, payload: bytes) -> None:
        """Take a frame. The bytes of a data frame come in as many pieces as the kernel gives."""

    def local_lost(self) -> None:
        """The other end has closed; nothing more comes."""


class LocalConnection(asyncio.Protocol):
    """One end of a connection between two processes."""

    def __init__(self, listener: "LocalListener | None" = None, receiver: FrameReceiver | None = None) -> None:
        self._listener = listener
        self._receiver = receiver
        self._transport: asyncio.Transport | None = None
        self._partial = b""
        self._left = 0
        self._paused = False
        self._closing_timer: asyncio.TimerHandle | None = None
        self._drained = asyncio.Event()
        self._drained.set()
        self._lost = asyncio.Event()

    # --- used by the stream

    async def send(self, kind: int, payload: bytes = b"") -> None:
        """Send a frame: data once the other side has taken most of the data before it, other kinds at once."""
        if kind == _DATA:
            await self._drained.wait()
            if self._is_ending():
                await (
                    self._lost.wait()
                )  # uvloop reports the end a turn later; without this wait a busy writer would block it
        if (transport := self._in_use()) is not None:
            head = _HEAD.pack(kind, len(payload))
            transport.writelines((head, payload) if payload else (head,))  # asyncio never sends an empty one

    def pause(self) -> None:
        """Stop reading."""
        if not self._paused and (transport := self._in_use()) is not None:
            self._paused = True
            transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        if self._paused and (transport := self._in_use()) is not None:
            self._paused = False
            transport.resume_reading()

    def close(self) -> None:
        """Send what is buffered and end this direction; close when the other side has closed, or after `_LINGER_S`.

        Not at once: a peer that still writes to a closed socket loses what it has not read yet, such as our last frame.
        """
        self._receiver = None
        if (transport := self._in_use()) is not None:
            transport.resume_reading()
            transport.write_eof()
            self._closing_timer = asyncio.get_running_loop().call_later(_LINGER_S, transport.close)

    def _is_ending(self) -> bool:
        """Whether the connection is closing, and not because of `close`."""
        return self._closing_timer is None and self._transport is not None and self._transport.is_closing()

    def _in_use(self) -> asyncio.Transport | None:
        """The socket's transport; None when the connection has ended or this side has closed it."""
        transport = self._transport
        return None if transport is None or transport.is_closing() or self._closing_timer is not None else transport

    def send_name(self, name: str, kind: int) -> None:
        """Send the stream's name and an empty frame, which shows the opener at once that this side is connected."""
        assert self._transport is not None
        self._transport.write(name.encode() + b"\n" + _HEAD.pack(kind, 0))

    # --- called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name

    def connection_lost(self, exc: Exception | None) -> None:
        self._drained.set()
        self._lost.set()
        if self._closing_timer is not None:
            self._closing_timer.cancel()
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.local_lost()

    def pause_writing(self) -> None:
        self._drained.clear()

    def resume_writing(self) -> None:
        self._drained.set()

    def data_received(self, data: bytes) -> None:
        if self._partial:
            data = self._partial + data
            self._partial = b""
        if self._listener is not None:
            data = self._name_in(data)
        position = self._frames_in(data)
        if position < len(data):
            self._partial = data[position:]

    def _name_in(self, data: bytes) -> bytes:
        """What follows the first line, the stream's name. Close the connection if nobody expects that stream."""
        name, end, rest = data.partition(b"\n")
        if not end and len(data) <= _MOST_NAME:
            self._partial = data
            return b""
        assert self._listener is not None
        self._receiver = self._listener.claim(name.decode("ascii", "replace"), self) if end else None
        self._listener = None
        if self._receiver is None:
            self.close()
            return b""
        return rest

    def _frames_in(self, data: bytes) -> int:
        """Pass on all whole frames, and the data that is there; the position after them."""
        position, size = 0, len(data)
        while position < size and self._receiver is not None:
            if self._left:
                piece = data[position : position + self._left]
                self._left -= len(piece)
                position += len(piece)
                self._receiver.local_received(_DATA, piece)
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
            self._receiver.local_received(kind, data[position + _HEAD.size : end])
            position = end
        return position if self._receiver is not None else size

    def _refuse(self) -> None:
        if self._transport is not None:
            self._transport.abort()


def _remove_dead_sockets(directory: Path) -> None:
    """Remove the sockets of killed processes, which nobody listens on."""
    for path in filter(Path.is_socket, directory.iterdir()):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as client:
            try:
                client.connect(str(path))
            except ConnectionRefusedError:
                path.unlink(missing_ok=True)
            except OSError:
                continue  # it is gone already, or its owner is too busy to accept


class LocalListener:
    """This process's socket, and connections to those of others.

    Without `open`, and where the socket can't be made, nobody can connect here; `connect` works all the same.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._name = ""
        self._server: asyncio.Server | None = None
        self._expected: dict[str, FrameReceiver] = {}
        self._connections: dict[str, LocalConnection] = {}

    async def open(self) -> None:
        """Listen on a socket in the directory; log it if that is impossible."""
        name = secrets.token_hex(6)
        path = self._directory / name
        if len(os.fsencode(path)) > _LONGEST_PATH:
            return
        try:
            self._directory.mkdir(mode=0o755, exist_ok=True)
            _remove_dead_sockets(self._directory)
            loop = asyncio.get_running_loop()
            self._server = await loop.create_unix_server(lambda: LocalConnection(self), str(path))
            path.chmod(0o600)
        except OSError as error:
            log.info("streams of this machine go over the bus: %s can't be a socket: %s", path, error.strerror)
            return
        self._name = name

    async def close(self) -> None:
        """Stop listening and remove the socket."""
        if self._server is not None:
            self._server.close()
            self._server = None
            (self._directory / self._name).unlink(missing_ok=True)

    def new_name(self) -> str:
        """A new stream's name, which nobody can guess. It begins with the socket's name if there is one."""
        token = secrets.token_hex(12)
        return f"{self._name}{_SEPARATOR}{token}" if self._server is not None else token

    def expect(self, name: str, receiver: FrameReceiver) -> None:
        """Accept one connection for that stream; its frames go to `receiver`."""
        if self._server is not None:
            self._expected[name] = receiver

    def forget(self, name: str) -> None:
        """Accept no connection for that stream, and drop the one that it has."""
        self._expected.pop(name, None)
        self._connections.pop(name, None)

    def connection(self, name: str) -> LocalConnection | None:
        """The connection that the serving side of that stream has made, if any."""
        return self._connections.get(name)

    def claim(self, name: str, connection: LocalConnection) -> FrameReceiver | None:
        """The receiver of that stream, the first time only; None if nobody expects it. Called by the connection."""
        receiver = self._expected.pop(name, None)
        if receiver is not None:
            self._connections[name] = connection
        return receiver

    async def connect(self, name: str, receiver: FrameReceiver, kind: int) -> LocalConnection | None:
        """Connect to the opener of that stream and send an empty frame; None if it isn't on this machine."""
        socket_name, found, _ = name.rpartition(".")[2].partition(_SEPARATOR)
        if not found:
            return None
        path = self._directory / socket_name
        with contextlib.suppress(OSError):
            _, connection = await asyncio.get_running_loop().create_unix_connection(
                lambda: LocalConnection(receiver=receiver), str(path)
            )
            connection.send_name(name, kind)
            return connection
        return None
