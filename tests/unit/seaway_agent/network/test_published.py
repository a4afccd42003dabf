"""The facade over a container's ports: which thread is asked, and what is made again; with a table that remembers."""

import errno
from collections.abc import AsyncIterator, Callable, Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import TypeVar

import pytest

from seaway_agent.network.errors import NetlinkError, PortInvalid
from seaway_agent.network.nfnl import Dnat
from seaway_agent.network.nft import NatTable
from seaway_agent.network.ports import PortBinding, PortRequest
from seaway_agent.network.published import PortTarget, PublishedPorts
from seaway_agent.network.publisher import Published
from seaway_testing.ports import free_port

ADDRESS = IPv4Address("172.18.0.2")
LOOPBACK = "127.0.0.1"
T = TypeVar("T")


class Worker:
    """The networks, whose thread is the caller's; their table is there from `refresh` on."""

    suite = "test"

    def __init__(self) -> None:
        self.asked = 0
        self.there = True
        self.target = PortTarget()
        self.elements: set[Dnat] = set()

    async def run(self, work: Callable[[], T]) -> T:
        self.asked += 1
        return work()

    def refresh(self) -> None:
        self.there = True

    def port_target(self, container: str, address: IPv4Address) -> PortTarget:
        return self.target


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Worker:
    made = Worker()

    def add(_: NatTable, elements: Sequence[Dnat]) -> None:
        if not made.there:
            raise NetlinkError(errno.ENOENT, "cannot publish ports: no such table")
        made.elements |= set(elements)

    def discard(_: NatTable, elements: Sequence[Dnat]) -> None:
        made.elements -= set(elements)

    def replace(_: NatTable, elements: Sequence[Dnat]) -> None:
        made.elements = set(elements)

    for method in (add, discard, replace):
        monkeypatch.setattr(NatTable, method.__name__, method)
    return made


@pytest.fixture
async def published(worker: Worker) -> AsyncIterator[PublishedPorts]:
    made = PublishedPorts(worker)
    yield made
    await made.close()


def at_loopback() -> PortRequest:
    return PortRequest(80, host_ip=LOOPBACK, host_port=free_port())


async def test_where_nothing_is_published_no_thread_is_asked(published: PublishedPorts, worker: Worker) -> None:
    await published.unpublish("a")
    with pytest.raises(PortInvalid):
        await published.publish("a", ADDRESS, [PortRequest(80, "icmp")])
    asked = worker.asked
    await published.unpublish("a")
    assert worker.asked == asked
    await published.publish("a", ADDRESS, [at_loopback()])
    await published.unpublish("a")
    asked = worker.asked
    await published.unpublish("a")
    assert (worker.asked, worker.elements) == (asked, set())


async def test_what_was_restored_can_be_withdrawn(published: PublishedPorts, worker: Worker) -> None:
    binding = PortBinding("tcp", LOOPBACK, free_port(), 80)
    assert await published.restore({"a": Published(ADDRESS, (binding,))}) == []
    assert len(worker.elements) == 1
    await published.unpublish("a")
    assert worker.elements == set()


async def test_the_network_says_where_else_ports_lead(published: PublishedPorts, worker: Worker) -> None:
    address6 = IPv6Address("fd00:1::2")
    worker.target = PortTarget(address6, LOOPBACK)
    bindings = await published.publish("a", ADDRESS, [PortRequest(80), PortRequest(80, host_ip="127.0.0.2")])
    assert [binding.host_ip for binding in bindings] == [LOOPBACK, "127.0.0.2"]
    await published.unpublish("a")
    binding = PortBinding("tcp", "::", free_port(), 80)
    assert await published.restore({"a": Published(ADDRESS, (binding,))}) == []
    assert worker.elements == {Dnat("tcp", None, binding.host_port, address6, 80)}


async def test_a_table_that_is_gone_is_made_again_with_all_that_was_in_it(
    published: PublishedPorts, worker: Worker
) -> None:
    [first] = await published.publish("a", ADDRESS, [at_loopback()])
    worker.there = False
    worker.elements.clear()
    [second] = await published.publish("b", ADDRESS, [at_loopback()])
    assert worker.there
    assert {element.host_port for element in worker.elements} == {first.host_port, second.host_port}
