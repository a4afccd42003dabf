"""What the API knows of nodes, from lists and from events."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from seaway_api.cache.nodes import KnownNodes, is_of_this_machine
from seaway_bus.bus import Bus, Command
from seaway_bus.down_nodes import DownNodes
from seaway_bus.events import Event
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import LIST_NODES, event_channel
from seaway_contracts.errors import SeawayError, unavailable
from seaway_contracts.lifecycle import Envelope
from seaway_contracts.nodes import NodeEvent, NodeFacts, NodeList
from seaway_kit.tasks import Tasks
from seaway_testing.builders import START_NS, node_record
from seaway_testing.clock import FakeClock
from seaway_testing.waiting import until


class Metadata:
    """Serves the list of nodes."""

    def __init__(self) -> None:
        self.nodes = NodeList(nodes=(node_record("n1"), node_record("n2", up=False)))
        self.error: SeawayError | None = None
        self.reads = 0

    async def answer(self, request: Empty, command: Command) -> NodeList:
        self.reads += 1
        if self.error is not None:
            raise self.error
        return self.nodes


@pytest.fixture
async def metadata(fake_bus: Bus) -> Metadata:
    made = Metadata()
    await fake_bus.serve(LIST_NODES, made.answer)
    return made


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def down() -> AsyncIterator[DownNodes]:
    yield DownNodes()


@pytest.fixture
def known(down: DownNodes, clock: FakeClock) -> KnownNodes:
    return KnownNodes(down, is_local=lambda address: address == "192.0.2.1", now=clock.monotonic)


def event(action: str, node: str = "n1", time_ns: int = START_NS) -> Event:
    envelope = Envelope(f"node-{node}-{action}-{time_ns}", node, "node", action, node, time_ns)
    return Event(envelope, event_channel("node", action).encode(NodeEvent(node=node)))


async def test_a_process_that_starts_learns_who_is_down(
    known: KnownNodes, metadata: Metadata, fake_bus: Bus, tasks: Tasks, down: DownNodes
) -> None:
    await known.refresh(fake_bus, tasks)
    assert (known.view("n1").up, known.view("n2").up) == (True, False)
    assert (down.is_down("n1"), down.is_down("n2")) == (False, True)


async def test_events_say_who_is_up_whatever_the_list_says(
    known: KnownNodes, metadata: Metadata, fake_bus: Bus, tasks: Tasks
) -> None:
    await known.refresh(fake_bus, tasks)
    known.receive(event("down", "n1"))
    known.receive(event("up", "n2"))
    assert (known.view("n1").up, known.view("n2").up) == (False, True)
    await known.refresh(fake_bus, tasks)
    assert (known.view("n1").up, known.view("n2").up) == (False, True)


async def test_the_list_is_read_again_after_an_event_and_when_it_is_old(
    known: KnownNodes, metadata: Metadata, fake_bus: Bus, tasks: Tasks, clock: FakeClock
) -> None:
    async def reads() -> int:
        await known.refresh(fake_bus, tasks)
        await until(lambda: not len(tasks))
        return metadata.reads

    assert [await reads(), await reads()] == [1, 1]
    known.receive(event("join", "n3"))
    assert [await reads(), await reads()] == [2, 2]
    clock.advance(31)
    assert [await reads(), await reads()] == [3, 3]


async def test_requests_at_the_same_time_read_the_list_once(
    known: KnownNodes, metadata: Metadata, fake_bus: Bus, tasks: Tasks
) -> None:
    await asyncio.gather(*(known.refresh(fake_bus, tasks) for _ in range(8)))
    assert metadata.reads == 1


async def test_without_metadata_what_is_known_stays(
    known: KnownNodes, metadata: Metadata, fake_bus: Bus, tasks: Tasks
) -> None:
    await known.refresh(fake_bus, tasks)
    metadata.error = unavailable("away")
    known.receive(event("down", "n1"))
    await known.refresh(fake_bus, tasks)
    assert (known.view("n1").cpus, known.view("n1").up) == (4, False)
    assert (known.view("n9").name, known.view("n9").up) == ("n9", True)


async def test_a_node_elsewhere_lends_its_address_to_ports(known: KnownNodes) -> None:
    addresses = {"n1": "192.0.2.1", "n2": "192.0.2.2", "n3": ""}
    known.learn(node_record(node, facts=NodeFacts(address=address)) for node, address in addresses.items())
    assert [known.view(node).ports_address for node in addresses] == ["", "192.0.2.2", ""]


def test_what_is_of_this_machine() -> None:
    assert [is_of_this_machine(one) for one in ("", "127.0.0.1", "192.0.2.7", "2001:db8::7")] == [
        True,
        True,
        False,
        False,
    ]
