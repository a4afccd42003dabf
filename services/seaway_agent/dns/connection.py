"""The agent's connection to the resolver's process, and the process itself: found, started, ended."""

import array
import asyncio
import contextlib
import os
import select
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import orjson

from seaway_agent.dns.orders import FORM, HELLO, HOME_FD, LISTENER_FD, MOST
from seaway_agent.dns.port import ResolverError
from seaway_agent.dns.resolver import process
from seaway_agent.kernel import procs
from seaway_agent.kernel.procs import Process
from seaway_agent.kernel.spawn import Spawned, spawn

SOCKET: Final = "dns.sock"
_PROGRAM: Final = Path(process.__file__).resolve()
_ENVIRONMENT: Final = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TZ": "UTC"}
_SO_SNDBUFFORCE: Final = 32  # linux/asm-generic/socket.h; root may exceed net.core.wmem_max
_BUFFER: Final = 4 * MOST
_LONGEST_REPLY: Final = 65536
REPLIES_S: Final = 10.0
_ENDS_S: Final = 5.0


class ResolverGone(Exception):
    """The process ended, or does not reply, before it carried out a request."""


class Connection:
    """A connection to the process. `gone` is called once, when the process has ended or doesn't reply."""

    def __init__(self, stream: socket.socket, gone: Callable[[], None]) -> None:
        self._socket: socket.socket | None = stream
        self._gone = gone
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._last = 0
        stream.setblocking(False)
        stream.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _BUFFER)
        asyncio.get_running_loop().add_reader(stream.fileno(), self._receive)

    async def speaks_our_form(self) -> bool:
        """Whether the process understands our requests. Raises ResolverGone."""
        return (await self.call(HELLO)).get("form") == FORM

    async def call(self, do: str, fd: int = -1, **words: object) -> dict[str, Any]:
        """Send a request, with a copy of a descriptor; returns the reply. Raises ResolverGone, ResolverError."""
        reply = self.send(do, fd, **words)
        try:
            async with asyncio.timeout(REPLIES_S):
                answer = await reply
        except TimeoutError:
            self._lose()
            raise ResolverGone from None
        if "error" in answer:
            raise ResolverError(answer["error"])
        return answer

    def send(self, do: str, fd: int = -1, **words: object) -> asyncio.Future[dict[str, Any]]:
        """Send a request; the future gets the reply, or ResolverGone. Raises ResolverGone, ResolverError."""
        if self._socket is None:
            raise ResolverGone
        self._last += 1
        data = orjson.dumps({"id": self._last, "do": do, **words})
        if len(data) > MOST:
            raise ResolverError(f"a container's names, aliases and links take {len(data)} bytes; {MOST} at most")
        fds = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", (fd,)))] if fd >= 0 else []
        try:
            self._socket.sendmsg([data], fds)
        except BlockingIOError:
            raise ResolverError("the node's resolver takes no requests: too many wait") from None
        except OSError:
            raise ResolverGone from None
        reply: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[self._last] = reply
        return reply

    def close(self) -> None:
        """Close the socket: sandboxes that are handed over are served still. Safe to call twice."""
        if self._socket is None:
            return
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._socket.close()
        self._socket = None
        waiting, self._waiting = self._waiting, {}
        for reply in waiting.values():
            if not reply.done():
                reply.set_exception(ResolverGone())
                reply.exception()  # retrieved, so that asyncio logs nothing where nobody waits for it

    def _lose(self) -> None:
        if self._socket is not None:
            self.close()
            self._gone()

    def _receive(self) -> None:
        while self._socket is not None:
            try:
                data = self._socket.recv(_LONGEST_REPLY)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._lose()
                return
            words = orjson.loads(data)
            reply = self._waiting.pop(words["id"], None)
            if reply is not None and not reply.done():
                reply.set_result(words)


def connect(run: Path) -> socket.socket | None:
    """A connection to the process that an earlier agent started; None where it has ended."""
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        stream.connect(str(run / SOCKET))
    except OSError:
        stream.close()
        return None
    return stream


def start(run: Path, home: int, output_fd: int) -> tuple[socket.socket, Spawned]:
    """Start the process in the namespace `home`; returns a connection to it. Blocks for milliseconds."""
    path = run / SOCKET
    path.unlink(missing_ok=True)
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen()
        ours = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            ours.connect(str(path))
            argv = [sys.executable, "-I", str(_PROGRAM), str(path)]
            fds = {LISTENER_FD: listener.fileno(), HOME_FD: home, 1: output_fd, 2: output_fd}
            return ours, spawn(argv, env=_ENVIRONMENT, fds=fds)
        except BaseException:
            ours.close()
            raise


def end_all(run: Path) -> None:
    """Kill the processes of this agent and of former agents of the node with that run directory; wait for their end."""
    for resolver in resolvers_below(run):
        with contextlib.suppress(ProcessLookupError):
            pidfd = procs.open_process(resolver)
            try:
                procs.send_signal(pidfd, signal.SIGKILL)
                select.select([pidfd], [], [], _ENDS_S)
            finally:
                os.close(pidfd)


def resolvers_below(run: Path) -> list[Process]:
    """The processes of this agent and of former agents of the node with that run directory."""
    return procs.with_argument(str(run / SOCKET))
