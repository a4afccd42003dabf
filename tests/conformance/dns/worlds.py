"""What the one suite runs on: the fake resolver, and the real one with its process and sandboxes in this kernel."""

import asyncio
import contextlib
import itertools
import os
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Protocol

import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
from tests.namespaces import Namespace, Process, call_in, end, start_container

from seaway_agent.dns import connection
from seaway_agent.dns.fake import FakeProcess, FakeResolver
from seaway_agent.dns.node_resolver import NodeResolver
from seaway_agent.dns.port import ADDRESS, Resolver
from seaway_kit.tasks import Tasks
from seaway_testing.descriptors import open_descriptors

_TRIES = 60


class World(Protocol):
    """A node with one resolver."""

    @property
    def resolver(self) -> Resolver:
        """The present agent's."""

    async def sandbox(self, container: str) -> str:
        """A new sandbox of a container; returns its namespace's path."""

    async def start(self, container: str) -> int:
        """Start a process in the container's sandbox; returns its pid."""

    async def end(self, pid: int) -> None:
        """Kill it."""

    async def restart_agent(self) -> None:
        """The agent is killed, and another one begins."""

    async def kill_resolver(self) -> None:
        """Whatever answers is killed."""

    async def ask(self, container: str, name: str, kind: str = "A") -> list[str] | None:
        """What a container is answered. None: no answer from our names."""

    def left(self) -> list[str]:
        """What there is of the resolver."""


class FakeWorld:
    """In memory."""

    def __init__(self) -> None:
        self._process = FakeProcess()
        self._pids: dict[int, str] = {}
        self._next = itertools.count(1000)
        self.resolver = FakeResolver(self._process, self._pids.__contains__)

    async def sandbox(self, container: str) -> str:
        return f"/sandboxes/{container}"

    async def start(self, container: str) -> int:
        pid = next(self._next)
        self._pids[pid] = container
        return pid

    async def end(self, pid: int) -> None:
        container = self._pids.pop(pid)
        if self._process.pids.get(container) == pid:
            self._process.drop(container)

    async def restart_agent(self) -> None:
        self.resolver.close()
        self.resolver = FakeResolver(self._process, self._pids.__contains__)

    async def kill_resolver(self) -> None:
        """It is started again with all that the agent knows: nothing to see from outside."""

    async def ask(self, container: str, name: str, kind: str = "A") -> list[str] | None:
        found = self._process.find(container, name, dns.rdatatype.from_text(kind))
        return None if found is None else [_text(kind, data) for data in found]

    def left(self) -> list[str]:
        return [*self._process.views, *self._process.zone.networks]

    async def close(self) -> None:
        self.resolver.close()


class ProcessWorld:
    """A process that answers, in a namespace that plays the host."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self._tasks = Tasks("dns")
        self._output = os.open(run / "resolver.log", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.sandboxes: dict[str, Namespace] = {}
        self._processes: dict[int, Process] = {}
        self.host = Namespace.make()
        self.resolver = self._agent()
        self._before = open_descriptors()

    def _agent(self) -> NodeResolver:
        return NodeResolver(self.run, self._tasks, self._output, self.host.fd, lingers_s=0)

    async def sandbox(self, container: str) -> str:
        made = await asyncio.to_thread(Namespace.make)
        self._before += 1
        self._discard(container)
        self.sandboxes[container] = made
        return f"/proc/self/fd/{made.fd}"

    def _discard(self, container: str) -> None:
        if (former := self.sandboxes.pop(container, None)) is not None:
            former.close()
            self._before -= 1

    async def start(self, container: str) -> int:
        process = await asyncio.to_thread(start_container, self.sandboxes[container].fd)
        self._processes[process.pid] = process
        return process.pid

    async def end(self, pid: int) -> None:
        await asyncio.to_thread(end, self._processes.pop(pid))

    async def restart_agent(self) -> None:
        self.resolver.close()
        self.resolver = self._agent()

    async def kill_resolver(self) -> None:
        await asyncio.to_thread(connection.end_all, self.run)

    async def ask(self, container: str, name: str, kind: str = "A") -> list[str] | None:
        query = dns.message.make_query(name.removesuffix(".") + ".", kind)
        return await asyncio.to_thread(self._exchange, self.sandboxes[container].fd, query)

    def _exchange(self, fd: int, query: dns.message.Message) -> list[str] | None:
        response = call_in(fd, lambda: ask(query))
        if response.rcode() != dns.rcode.NOERROR:
            return None
        assert all(rrset.ttl == 0 for rrset in response.answer)
        return [item.to_text().removesuffix(".") for rrset in response.answer for item in rrset]

    def left(self) -> list[str]:
        found = [f"process {process.pid}" for process in connection.resolvers_below(self.run)]
        more = open_descriptors() - self._before
        sockets = [connection.SOCKET] * (self.run / connection.SOCKET).exists()
        return found + sockets + [f"{more} descriptors"] * (more > 0)

    async def close(self) -> None:
        self.resolver.close()
        for pid in list(self._processes):
            await self.end(pid)
        connection.end_all(self.run)
        for container in list(self.sandboxes):
            self._discard(container)
        self.host.close()
        os.close(self._output)
        await self._tasks.close()


def ask(query: dns.message.Message, again_s: float = 1.0) -> dns.message.Message:
    """Ask the resolver over UDP, and again when nothing comes, as each stub resolver does."""
    for _ in range(_TRIES):
        with contextlib.suppress(dns.exception.Timeout):
            return dns.query.udp(query, ADDRESS, again_s)
    raise AssertionError(f"no response to {query.question[0]}")


def _text(kind: str, data: bytes) -> str:
    if kind == "A":
        return str(IPv4Address(data))
    if kind == "AAAA":
        return str(IPv6Address(data))
    assert kind == "PTR"
    return dns.name.from_wire(data, 0)[0].to_text(omit_final_dot=True)
