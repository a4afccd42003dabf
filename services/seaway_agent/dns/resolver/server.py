"""The resolver's process: takes an agent's orders, one agent after the other, and serves the sandboxes.

It imports little, as it is small. While no agent is there it answers with what it knows; it ends when no agent and no
sandbox is left.
"""

import array
import asyncio
import contextlib
import json
import logging
import os
import socket
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import uvloop

from seaway_agent.dns.orders import (
    ATTACH,
    COUNTS,
    DETACH,
    FORM,
    HAND_OVER,
    HOME_FD,
    LISTENER_FD,
    MOST,
    SWEEP,
    names_from_json,
)
from seaway_agent.dns.resolver.forward import Forwards
from seaway_agent.dns.resolver.sandbox import SandboxServer
from seaway_agent.dns.resolver.zone import Zone
from seaway_agent.network import netns
from seaway_agent.network.errors import NetworkError
from seaway_kit.tasks import Tasks

log = logging.getLogger(__name__)
_NO_FD: Final = -1


class ResolverServer:
    """Carries out the orders of the agent that has connected last."""

    def __init__(self, listener: socket.socket, home: int) -> None:
        self._listener = listener
        self._home = home
        self._loop = asyncio.get_running_loop()
        self._agent: socket.socket | None = None
        self._zone = Zone()
        self._sandboxes: dict[str, SandboxServer] = {}
        self._forwards = Forwards()
        self._outcomes: Counter[str] = Counter()
        self._tasks = Tasks("resolver")
        self._done = asyncio.Event()

    async def run(self) -> None:
        """Serve until no agent and no sandbox is left."""
        self._listener.setblocking(False)
        self._loop.add_reader(self._listener.fileno(), self._accept)
        await self._done.wait()
        self._loop.remove_reader(self._listener.fileno())
        Path(self._listener.getsockname()).unlink(missing_ok=True)
        await self._tasks.close()

    # --- the agent

    def _accept(self) -> None:
        try:
            agent, _ = self._listener.accept()
        except OSError:
            return
        self._left()
        agent.setblocking(False)
        self._agent = agent
        self._loop.add_reader(agent.fileno(), self._receive, agent)

    def _receive(self, agent: socket.socket) -> None:
        try:
            data, ancillary, _, _ = agent.recvmsg(MOST, socket.CMSG_SPACE(4), socket.MSG_CMSG_CLOEXEC)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data, ancillary = b"", []
        if not data:
            self._left()
            self._end_if_idle()
            return
        fds = array.array("i")
        for _, _, sent in ancillary:
            fds.frombytes(sent)
        words = json.loads(data)
        reply = self._obey(words, fds[0] if fds else _NO_FD)
        with contextlib.suppress(OSError):  # whether the agent has ended shows at the next read
            agent.send(json.dumps(reply).encode())

    def _left(self) -> None:
        """The agent has gone. A sandbox that no process had yet is never started, or is adopted by the next agent."""
        if self._agent is None:
            return
        self._loop.remove_reader(self._agent.fileno())
        self._agent.close()
        self._agent = None
        for container, sandbox in list(self._sandboxes.items()):
            if not sandbox.is_handed_over:
                self._drop(container, sandbox)

    def _end_if_idle(self) -> None:
        if self._agent is None and not self._sandboxes:
            self._done.set()

    # --- orders

    def _obey(self, words: Mapping[str, Any], fd: int) -> dict[str, Any]:
        try:
            self._carry_out(words, fd)
        except (NetworkError, OSError) as error:
            return {"id": words["id"], "error": str(error)}
        counts = {"counts": self._outcomes} if words["do"] == COUNTS else {}
        return {"id": words["id"], "form": FORM, **counts}

    def _carry_out(self, words: Mapping[str, Any], fd: int) -> None:
        do = words["do"]
        if do == ATTACH:
            self._attach(words, fd)
        elif do == HAND_OVER:
            self._hand_over(words["container"], words["pid"])
        elif do == DETACH:
            self._drop(words["container"], self._sandboxes.get(words["container"]))
        elif do == SWEEP:
            for container in set(self._sandboxes) - set(words["known"]):
                self._drop(container, self._sandboxes[container])

    def _attach(self, words: Mapping[str, Any], fd: int) -> None:
        """Serve a sandbox, or only bring up to date what its container finds, if it is the one that we have."""
        container, names = words["container"], names_from_json(words["names"])
        sandbox = self._sandboxes.get(container)
        if fd == _NO_FD:
            if words["with_namespace"]:  # the kernel drops descriptors that exceed the limit
                raise OSError("the resolver has no descriptors left: too many sandboxes")
        elif sandbox is not None and sandbox.inode == os.fstat(fd).st_ino:
            os.close(fd)
        else:
            self._drop(container, sandbox)
            sandbox = self._sandboxes[container] = SandboxServer(
                fd, self._home, self._forwards, self._tasks, self._outcomes
            )
        if sandbox is None:
            return
        sandbox.use(names, self._zone.put(container, names.endpoints))
        if words["pid"]:
            self._hand_over(container, words["pid"])

    def _hand_over(self, container: str, pid: int) -> None:
        sandbox = self._sandboxes.get(container)
        if sandbox is not None and not sandbox.watch(pid, lambda: self._ended(container, sandbox)):
            self._drop(container, sandbox)
            raise ProcessLookupError(f"process {pid} has ended, and its network sandbox with it")

    def _ended(self, container: str, sandbox: SandboxServer) -> None:
        self._drop(container, sandbox)
        self._end_if_idle()

    def _drop(self, container: str, sandbox: SandboxServer | None) -> None:
        if sandbox is None:
            return
        sandbox.close()
        if self._sandboxes.get(container) is sandbox:
            del self._sandboxes[container]
            self._zone.remove(container)


async def _serve() -> None:
    await ResolverServer(socket.socket(fileno=LISTENER_FD), HOME_FD).run()


def main() -> None:
    """Serve the agent that connects to the socket at LISTENER_FD, from the namespace at HOME_FD."""
    logging.basicConfig(level=logging.WARNING, format="resolver: %(message)s")
    for fd in (LISTENER_FD, HOME_FD):
        os.set_inheritable(fd, False)
    netns.enter(HOME_FD)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve())
