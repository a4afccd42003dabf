"""The standard streams of a run, as a console uses them: a shim's attach socket, or the pipes of an exec (`pipes`)."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from seaway_agent.streams.packets import Batch, PacketSocket

_SOCKETS: Final = Path("/proc/net/unix")
_POLL_S: Final = 0.001
_PATIENCE_S: Final = 2.0


class Stdio(Protocol):
    """stdin, stdout and stderr of one run."""

    @property
    def discards_unread(self) -> bool:
        """Whether the other side discards output that is not read, instead of blocking the program."""

    @property
    def closed(self) -> bool:
        """Whether the other side has closed the streams."""

    @property
    def unaccepted(self) -> bool:
        """Whether the other side may never have accepted: it sent nothing, and closed by a reset."""

    def watch(self, readable: Callable[[], object]) -> None:
        """Call `readable` when there is output."""

    def unwatch(self) -> None:
        """Stop the calls, until the next `watch`."""

    def receive(self) -> Batch | None:
        """The output that is there, up to a bound; None where there is none."""

    def finish(self) -> None:
        """Limit reading to the output that is there now: the program has ended."""

    def send(self, data: bytes | memoryview) -> int:
        """Write what the program accepts now; the number of bytes. Raises BlockingIOError, OSError."""

    async def writable(self) -> None:
        """Wait until the program accepts more, or the streams are closed."""

    def end_input(self) -> None:
        """End the program's input; its output continues."""

    def close(self) -> None:
        """Close the streams."""


class InputWait:
    """Waits until a descriptor is writable, for one caller at a time."""

    def __init__(self) -> None:
        self._fd = -1
        self._ready: asyncio.Event = asyncio.Event()

    async def wait(self, fd: int) -> None:
        """Wait until the descriptor is writable, or until `end`."""
        self._fd = fd
        self._ready.clear()
        asyncio.get_running_loop().add_writer(fd, self._ready.set)
        try:
            await self._ready.wait()
        finally:
            self.end()

    def end(self) -> None:
        """Stop watching. Call this before the descriptor is closed.

        Otherwise libuv aborts the process when the number is reused, as it still watches it for the former owner.
        """
        fd, self._fd = self._fd, -1
        if fd >= 0:
            asyncio.get_running_loop().remove_writer(fd)
            self._ready.set()


class AttachSocket:
    """conmon's attach socket. conmon discards output that no client reads."""

    discards_unread: Final = True

    def __init__(self, bundle: Path) -> None:
        """Attach to the shim of a run. Raises OSError where the shim isn't there."""
        directory = os.open(bundle, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        try:
            sock.connect(f"/proc/self/fd/{directory}/attach")
        except BaseException:
            sock.close()
            raise
        finally:
            os.close(directory)
        self._socket = sock
        self._packets = PacketSocket(sock)
        self._input = InputWait()

    @property
    def closed(self) -> bool:
        """See `Stdio`."""
        return self._packets.closed

    @property
    def unaccepted(self) -> bool:
        """See `Stdio`. conmon closes the connections that it has accepted before it writes the exit file."""
        return self._packets.unaccepted

    def watch(self, readable: Callable[[], object]) -> None:
        """See `Stdio`."""
        asyncio.get_running_loop().add_reader(self._socket.fileno(), readable)

    def unwatch(self) -> None:
        """See `Stdio`."""
        with contextlib.suppress(ValueError):
            asyncio.get_running_loop().remove_reader(self._socket.fileno())

    def receive(self) -> Batch | None:
        """See `Stdio`."""
        return self._packets.receive()

    def finish(self) -> None:
        """See `Stdio`: conmon, which alone writes here, has ended as well."""

    def send(self, data: bytes | memoryview) -> int:
        """See `Stdio`."""
        try:
            return self._socket.send(data)
        except ConnectionResetError:  # the kernel reports it once: to `recv` or to `send`
            self._packets.reset = True
            raise

    async def writable(self) -> None:
        """See `Stdio`."""
        await self._input.wait(self._socket.fileno())

    def end_input(self) -> None:
        """See `Stdio`."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """See `Stdio`."""
        self._input.end()
        self.unwatch()
        self._socket.close()


async def all_accepted() -> bool:
    """Wait until shims have accepted all connections to attach sockets; False after a time-out.

    A connection stands before its listener knows of it. What conmon reads meanwhile it writes to the log alone: so a
    client that gets the log up to a mark, and all output after it, must be accepted before the mark is set.
    """
    loop = asyncio.get_running_loop()
    limit = loop.time() + _PATIENCE_S
    while any_unaccepted(_SOCKETS.read_bytes()):
        if loop.time() > limit:
            return False
        await asyncio.sleep(_POLL_S)
    return True


def any_unaccepted(sockets: bytes) -> bool:
    """Whether /proc/net/unix (`Num RefCount Protocol Flags Type St Inode Path`) lists an unaccepted attach connection.

    That is a sequential-packet connection to a socket named `attach` which belongs to no process, so has no inode.
    """
    for line in sockets.splitlines():
        if line.endswith(b"/attach"):
            fields = line.split()
            if fields[4] == b"0005" and fields[5] == b"02" and fields[6] == b"0":
                return True
    return False
