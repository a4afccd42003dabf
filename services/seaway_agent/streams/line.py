"""What a console reads from and writes to: the attach socket of a shim, or the pipes of an exec (`pipes`)."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from seaway_agent.streams.packets import Batch, PacketSocket


class Line(Protocol):
    """The streams of one run."""

    @property
    def drains_alone(self) -> bool:
        """Whether the program's output goes on where nobody here reads it."""

    @property
    def closed(self) -> bool:
        """Whether the other side has let go of it."""

    @property
    def unheard(self) -> bool:
        """Whether the other side may never have accepted this line: it has sent nothing and did not end it in order."""

    def watch(self, readable: Callable[[], object]) -> None:
        """Call when something has come."""

    def unwatch(self) -> None:
        """Call no more, for a while."""

    def receive(self) -> Batch | None:
        """What has come, up to a bound; None when nothing has."""

    def finish(self) -> None:
        """The program has ended: only what has come by now is still to be read."""

    def send(self, data: bytes | memoryview) -> int:
        """Write to the program what it takes now. Raises BlockingIOError, OSError."""

    async def writable(self) -> None:
        """Return when the program takes more, or when the line is closed."""

    def end_input(self) -> None:
        """End of input for the program; its output goes on."""

    def close(self) -> None:
        """Let go."""


class InputWait:
    """Waits until a descriptor takes more, for one caller at a time."""

    def __init__(self) -> None:
        self._fd = -1
        self._ready: asyncio.Event = asyncio.Event()

    async def wait(self, fd: int) -> None:
        """Return when the descriptor takes more, or at `end`."""
        self._fd = fd
        self._ready.clear()
        asyncio.get_running_loop().add_writer(fd, self._ready.set)
        try:
            await self._ready.wait()
        finally:
            self.end()

    def end(self) -> None:
        """Stop watching. Needed before the descriptor is closed: its number may soon be another's, and libuv aborts the
        process over a number that it still watches for its former owner.
        """
        fd, self._fd = self._fd, -1
        if fd >= 0:
            asyncio.get_running_loop().remove_writer(fd)
            self._ready.set()


class AttachLine:
    """conmon's attach socket. conmon drops the output that nobody takes."""

    drains_alone: Final = True

    def __init__(self, bundle: Path) -> None:
        """Attach to the shim of a run. Raises OSError where it isn't there."""
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
        """See the protocol."""
        return self._packets.closed

    @property
    def unheard(self) -> bool:
        """See the protocol. conmon closes the connections that it has accepted before it writes the exit file."""
        return self._packets.unheard

    def watch(self, readable: Callable[[], object]) -> None:
        """See the protocol."""
        asyncio.get_running_loop().add_reader(self._socket.fileno(), readable)

    def unwatch(self) -> None:
        """See the protocol."""
        with contextlib.suppress(ValueError):
            asyncio.get_running_loop().remove_reader(self._socket.fileno())

    def receive(self) -> Batch | None:
        """See the protocol."""
        return self._packets.receive()

    def finish(self) -> None:
        """See the protocol: conmon, which alone writes here, has ended as well."""

    def send(self, data: bytes | memoryview) -> int:
        """See the protocol."""
        try:
            return self._socket.send(data)
        except ConnectionResetError:  # which the kernel reports once, to whoever comes first
            self._packets.reset = True
            raise

    async def writable(self) -> None:
        """See the protocol."""
        await self._input.wait(self._socket.fileno())

    def end_input(self) -> None:
        """See the protocol."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """See the protocol."""
        self._input.end()
        self.unwatch()
        self._socket.close()
