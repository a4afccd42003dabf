"""A resolver's process, a namespace that plays the host, and servers to forward to."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import dns.message
import dns.query
import pytest
from tests.conformance.dns.worlds import ProcessWorld, ask
from tests.integration.dns.upstream import Upstream
from tests.namespaces import call_in

from seaway_agent.dns import port
from seaway_agent.dns.port import ADDRESS, ContainerNames, NamedEndpoint
from seaway_testing.waiting import GUARD_S

ON_HOST = port.Upstream("127.0.0.53", True)
WEB = NamedEndpoint("id of front", "front", ("web",), IPv4Address("10.1.0.2"))


class Node(ProcessWorld):
    """A node with one resolver, and what a container's programs ask it."""

    async def attach(self, container: str, *upstreams: port.Upstream, **named: object) -> None:
        """A container in the network `front`, whose other names are asked at these servers."""
        endpoints = named.pop("endpoints", (WEB,))
        names = ContainerNames(endpoints, upstreams, **named)  # type: ignore[arg-type]
        await self.resolver.attach(container, await self.sandbox(container), names)

    async def query(
        self, container: str, name: str, kind: str = "A", *, tcp: bool = False, again_s: float = 1.0, **options: object
    ) -> dns.message.Message:
        """The response to a query of one container."""
        query = dns.message.make_query(name, kind, **options)  # type: ignore[arg-type]
        return await self.exchange(container, query, tcp=tcp, again_s=again_s)

    async def exchange(
        self, container: str, query: dns.message.Message, *, tcp: bool = False, again_s: float = 1.0
    ) -> dns.message.Message:
        fd = self.sandboxes[container].fd
        work = partial(dns.query.tcp, query, ADDRESS, GUARD_S) if tcp else partial(ask, query, again_s)
        return await asyncio.to_thread(call_in, fd, work)

    async def dig(self, container: str, *words: str) -> list[str]:
        """The lines of ``dig +short``."""
        command = ("dig", f"@{ADDRESS}", "+time=10", *words)
        shown = await asyncio.to_thread(self.sandboxes[container].run, *command)
        return shown.splitlines()


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    made = Node(tmp_path)
    try:
        yield made
    finally:
        await made.close()


@pytest.fixture
def serve(node: Node) -> Iterator[Callable[..., Upstream]]:
    """``serve(fd, host, address)``: a nameserver that ends with the test; by default at 127.0.0.53 of the host."""
    servers: list[Upstream] = []

    def start(fd: int | None = None, **named: Any) -> Upstream:
        servers.append(Upstream(node.host.fd if fd is None else fd, **named))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def answers(response: dns.message.Message) -> list[str]:
    return [item.to_text() for rrset in response.answer for item in rrset]
