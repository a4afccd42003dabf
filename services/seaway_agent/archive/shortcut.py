"""A unix socket for callers on the same machine: the bytes of files need not go through the bus there.

The socket is in the agent's run directory, which is root's alone; a connection begins with the name of the byte stream
that it stands in for, which nobody can guess.
"""

import asyncio
import contextlib
import socket
from pathlib import Path
from typing import Final

from seaway_agent.kernel.procs import boot_id
from seaway_contracts.errors import unavailable
from seaway_kit.tasks import Tasks

_BACKLOG: Final = 64
_HELLO_S: Final = 5.0
_MOST_HELLO: Final = 128
_BUFFER: Final = 1 << 20
_LONGEST_PATH: Final = 107


class Shortcut:
    """Hands connections to the transfers that wait for them. Belongs to the event loop."""

    def __init__(self, path: Path, tasks: Tasks) -> None:
        self._path = path
        self._tasks = tasks
        self._listener: socket.socket | None = None
        self._wanted: dict[str, asyncio.Future[socket.socket]] = {}

    def open(self) -> None:
        """Listen, in place of an earlier agent's socket. A path that is too long for a socket means: no shortcut."""
        if len(bytes(self._path)) > _LONGEST_PATH:
            return
        self._path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        listener.bind(str(self._path))
        self._path.chmod(0o600)
        listener.listen(_BACKLOG)
        self._listener = listener
        asyncio.get_running_loop().add_reader(listener.fileno(), self._accept, listener)

    def close(self) -> None:
        """Stop listening."""
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener.fileno())
            self._listener.close()
            self._listener = None

    def offer(self, name: str, boot: str) -> str:
        """The socket's path for a caller of this machine, whose stream is awaited from now on; empty for others."""
        if self._listener is None or boot != boot_id():
            return ""
        self._wanted[name] = asyncio.get_running_loop().create_future()
        return str(self._path)

    async def connection(self, name: str) -> socket.socket:
        """The connection, which its caller says to have made. It is blocking, for a thread."""
        try:
            async with asyncio.timeout(_HELLO_S):
                return await self._wanted[name]
        except TimeoutError:
            raise unavailable("the connection for the bytes of a file has not come") from None
        finally:
            self.forget(name)

    def forget(self, name: str) -> None:
        """It won't come."""
        self._wanted.pop(name, None)

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            connection.setblocking(False)
            self._tasks.spawn("bytes-hello", self._greet(connection))

    async def _greet(self, connection: socket.socket) -> None:
        """Read the name, byte by byte, as what follows belongs to the transfer."""
        name = b""
        try:
            async with asyncio.timeout(_HELLO_S):
                while not name.endswith(b"\n") and len(name) < _MOST_HELLO:
                    byte = await asyncio.get_running_loop().sock_recv(connection, 1)
                    if not byte:
                        break
                    name += byte
            wanted = self._wanted.get(name.rstrip(b"\n").decode("ascii", "replace"))
            if wanted is not None and not wanted.done():
                connection.setblocking(True)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
                wanted.set_result(connection)
                return
        except (OSError, TimeoutError):
            pass
        connection.close()
