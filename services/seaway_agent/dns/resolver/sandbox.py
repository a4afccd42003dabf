"""One sandbox: its listeners at 127.0.0.11, and how a question of its container is answered."""

import asyncio
import contextlib
import os
import socket
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, Final

from seaway_agent.dns.port import ADDRESS, ContainerNames
from seaway_agent.dns.resolver import forward, unusual, wire
from seaway_agent.dns.resolver.forward import Forwards
from seaway_agent.dns.resolver.redirect import redirect
from seaway_agent.dns.resolver.wire import AAAA, A, Question
from seaway_agent.dns.resolver.zone import View
from seaway_agent.network import netns
from seaway_agent.network.netlink import NetlinkSocket
from seaway_kit.tasks import Tasks

_BURST: Final = 32
"""Datagrams in a row, before another sandbox has its turn."""
_LONGEST_QUERY: Final = 4096
"""Bytes. A longer one is cut over UDP, and ends the connection over TCP."""
_BACKLOG: Final = 64
CONNECTIONS: Final = 64
"""TCP connections of one sandbox."""
_IDLE_S: Final = 10.0
_SETTLES_S: Final = 1.0


class SandboxServer:
    """Answers a container's questions from its view of the names, and forwards others.

    `netns_fd` is ours from now on. `home`: the namespace that we are in. `outcomes` counts what becomes of questions
    (`port.OUTCOMES`). Raises OSError, NetlinkError; nothing is left open then.
    """

    def __init__(self, netns_fd: int, home: int, forwards: Forwards, tasks: Tasks, outcomes: Counter[str]) -> None:
        self._spaces = netns_fd, home
        self._outcomes = outcomes
        self._forwards = forwards
        self._tasks = tasks
        self._loop = asyncio.get_running_loop()
        self._forwarding = 0
        self._running: set[asyncio.Task[None]] = set()
        self._connections = 0
        self._unusual = asyncio.Lock()
        self._pidfd = -1
        self._view = View(())
        self._names = ContainerNames()
        self._closed = False
        try:
            self._udp, self._tcp, used = _listen(netns_fd, home)
        except BaseException:
            os.close(netns_fd)
            raise
        if used is not None:
            self._loop.call_later(_SETTLES_S, used.close)
        self._loop.add_reader(self._udp.fileno(), self._datagrams)
        self._loop.add_reader(self._tcp.fileno(), self._accept)

    @property
    def inode(self) -> int:
        """The namespace's identity."""
        return os.fstat(self._spaces[0]).st_ino

    @property
    def is_handed_over(self) -> bool:
        """Whether a process has the namespace, with whose end this sandbox ends."""
        return self._pidfd >= 0

    def use(self, names: ContainerNames, view: View) -> None:
        """Answer from these from now on."""
        self._names, self._view = names, view

    def watch(self, pid: int, ended: Callable[[], None]) -> bool:
        """Call `ended` when the process ends. False: it has ended, or is not in this namespace."""
        self._unwatch()
        try:
            self._pidfd = os.pidfd_open(pid)
            is_here = os.stat(f"/proc/{pid}/ns/net").st_ino == self.inode  # noqa: PTH116
        except OSError:
            is_here = False
        if not is_here:
            self._unwatch()
            return False
        self._loop.add_reader(self._pidfd, ended)
        return True

    def close(self) -> None:
        """Close all descriptors: nothing of ours keeps the namespace. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        self._unwatch()
        for listener in (self._udp, self._tcp):
            self._loop.remove_reader(listener.fileno())
            listener.close()
        for task in self._running:
            task.cancel()  # before the descriptors that it uses are closed, and their numbers taken again
        os.close(self._spaces[0])

    def _unwatch(self) -> None:
        if self._pidfd >= 0:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1

    # --- questions

    def _at_once(
        self, message: bytes, question: Question | None, *, tcp: bool
    ) -> tuple[bytes | None, tuple[bytes, Question] | None]:
        """(the response, what must be forwarded for it): one of both, or none for what deserves no response.

        `question`: the message's, None for an unusual message.
        """
        if question is None:
            common, response = unusual.read(message)
            question = None if common is None else wire.parse(common)
            if common is None or question is None:
                self._outcomes["refused"] += 1
                return response, None
            message = common
        records = self._view.find(question.name, question.type)
        if records is not None:
            self._outcomes["answered"] += 1
            return wire.answer(message, question, records, wire.MOST if tcp else question.size), None
        if not self._names.forwards or not self._names.upstreams:
            self._outcomes["failed"] += 1
            return wire.failure(message, question, wire.SERVFAIL), None
        if self._names.dotless_stay and question.type in (A, AAAA) and _is_dotless(question.name):
            self._outcomes["answered"] += 1
            return wire.answer(message, question, (), wire.MOST), None
        if not self._forwards.admit(self._forwarding):
            self._outcomes["refused"] += 1
            return wire.failure(message, question, wire.REFUSED), None
        self._forwarding += 1
        return None, (message, question)

    # --- UDP

    def _datagrams(self) -> None:
        for _ in range(_BURST):
            try:
                message, asker = self._udp.recvfrom(_LONGEST_QUERY)
            except OSError:
                return
            question = wire.parse(message)
            response, forwarded = self._at_once(message, question, tcp=False)
            if forwarded is not None:
                self._begin("datagram", self._forward_datagram(*forwarded, asker), self._release)
            elif response is not None:
                self._send(response, asker)
            if question is None:  # it costs more: other sandboxes have their turn
                return

    async def _forward_datagram(self, query: bytes, question: Question, asker: Any) -> None:
        self._send(await self._ask(query, question, tcp=False), asker)

    async def _ask(self, query: bytes, question: Question, *, tcp: bool) -> bytes:
        response = await forward.ask(query, question, self._names.upstreams, self._spaces, tcp=tcp)
        self._outcomes["failed" if wire.code_of(response) == wire.SERVFAIL else "forwarded"] += 1
        return response

    def _send(self, response: bytes, asker: Any) -> None:
        with contextlib.suppress(OSError):  # its buffer is full, or its own firewall refuses
            self._udp.sendto(response, asker)

    # --- TCP

    def _accept(self) -> None:
        try:
            connection, _ = self._tcp.accept()
        except OSError:
            return
        if self._connections >= CONNECTIONS:
            connection.close()
            return
        connection.setblocking(False)
        self._connections += 1
        self._begin("connection", self._serve(connection), lambda: self._disconnected(connection))

    async def _serve(self, connection: socket.socket) -> None:
        """Answer the questions of one connection, one after another."""
        with contextlib.suppress(OSError, EOFError):  # among them TimeoutError
            while True:
                async with asyncio.timeout(_IDLE_S):
                    message = await forward.receive_framed(connection, _LONGEST_QUERY)
                question = wire.parse(message)
                if question is None:  # it costs more: other sandboxes have their turn before another connection's
                    async with self._unusual:
                        await asyncio.sleep(0)
                response, forwarded = self._at_once(message, question, tcp=True)
                if forwarded is not None:
                    try:
                        response = await self._ask(*forwarded, tcp=True)
                    finally:
                        self._release()
                if response is None:
                    return
                async with asyncio.timeout(_IDLE_S):
                    await forward.send_framed(connection, response)
                await asyncio.sleep(
                    0
                )  # where the next one has arrived already, nothing above lets others have their turn

    def _disconnected(self, connection: socket.socket) -> None:
        connection.close()
        self._connections -= 1

    # --- tasks

    def _begin(self, name: str, work: Coroutine[Any, Any, None], ended: Callable[[], None]) -> None:
        """Run `work`, and call `ended` after it, even if it is cancelled before it begins."""
        task = self._tasks.spawn(name, work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        task.add_done_callback(lambda _: ended())

    def _release(self) -> None:
        self._forwarding -= 1
        self._forwards.release()


def _is_dotless(name: bytes) -> bool:
    return len(name) == name[0] + 2


def _listen(netns_fd: int, home: int) -> tuple[socket.socket, socket.socket, NetlinkSocket | None]:
    """The listeners, and what `redirect` returns."""
    with contextlib.ExitStack() as stack, netns.inside(netns_fd, home):
        udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK))
        tcp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK))
        udp.bind((ADDRESS, 0))
        tcp.bind((ADDRESS, 0))
        tcp.listen(_BACKLOG)
        used = redirect(udp.getsockname()[1], tcp.getsockname()[1])
        stack.pop_all()
        return udp, tcp, used
