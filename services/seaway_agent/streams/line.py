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

    def input_fd(self) -> int:
        """What turns writable when the program takes more."""

    def end_input(self) -> None:
        """End of input for the program; its output goes on."""

    def close(self) -> None:
        """Let go."""


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

    @property
    def closed(self) -> bool:
        """See the protocol."""
        return self._packets.closed

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
        return self._socket.send(data)

    def input_fd(self) -> int:
        """See the protocol."""
        return self._socket.fileno()

    def end_input(self) -> None:
        """See the protocol."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """See the protocol."""
        self.unwatch()
        self._socket.close()
