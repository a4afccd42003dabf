"""All that runs on a node is stopped, the longest stop time-out first, and what is started meanwhile too."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from seaway_bus.bus import Bus, Command
from seaway_cluster.drain import AT_ONCE, in_order, noticing_its_end, stop_all
from seaway_contracts import catalogue as cat
from seaway_contracts.commands import Inventory, InventoryItem, ListInventory, StatusReply, StopContainer
from seaway_contracts.containers import Command as Program
from seaway_contracts.containers import ContainerSpec, State
from seaway_contracts.errors import Code, SeawayError, conflict, not_found
from seaway_contracts.lifecycle import Envelope
from seaway_contracts.nodes import NodeEvent
from seaway_kit.tasks import Tasks
from seaway_testing import builders
from seaway_testing.clock import START_NS
from seaway_testing.fake_transport import FakeServer, FakeTransport
from seaway_testing.waiting import until


def box(seed: int, stop_timeout: int | None = None) -> ContainerSpec:
    return builders.spec(seed, command=Program(cmd=("sh",), stop_timeout=stop_timeout))


class Node:
    """Plays the agent of n1, with two containers on each page of its inventory."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.containers: dict[str, tuple[ContainerSpec, State]] = {}
        self.stopped: list[str] = []
        self.refused: dict[str, SeawayError] = {}
        self.meanwhile: dict[str, Callable[[], None]] = {}
        self.hold: asyncio.Event | None = None
        self.in_hand = 0

    async def serve(self) -> None:
        await self._bus.serve(cat.INVENTORY, self._inventory, node="n1")
        await self._bus.serve(cat.STOP, self._stop, node="n1")

    def run(self, spec: ContainerSpec, state: State = State.RUNNING) -> None:
        self.containers[spec.id] = (spec, state)

    async def _inventory(self, request: ListInventory, command: Command) -> Inventory:
        rest = sorted(identifier for identifier in self.containers if identifier > request.after)
        items = [
            InventoryItem(spec=spec, status=builders.status(state))
            for spec, state in (self.containers[identifier] for identifier in rest[:2])
        ]
        following = rest[1] if len(rest) > 2 else ""
        return Inventory(node="n1", epoch="e", revision=1, containers=tuple(items), next=following)

    async def _stop(self, request: StopContainer, command: Command) -> StatusReply:
        assert (request.timeout_s, request.signal, command.actor) == (None, "", "tester")
        self.stopped.append(self.containers[request.id][0].name)
        self.in_hand += 1
        if self.hold is not None:
            await self.hold.wait()
        self.in_hand -= 1
        if request.id in self.refused:
            raise self.refused[request.id]
        spec, _ = self.containers[request.id]
        self.containers[request.id] = (spec, State.EXITED)
        self.meanwhile.pop(request.id, lambda: None)()
        return StatusReply(status=builders.status(State.EXITED))


@pytest.fixture
async def node(fake_server: FakeServer) -> Any:
    bus = Bus(FakeTransport(fake_server))
    played = Node(bus)
    await played.serve()
    yield played
    await bus.close()


async def stopped_of(bus: Bus) -> dict[str, str]:
    noted: dict[str, str] = {}
    await stop_all(bus, "tester", "n1", lambda spec, error: noted.update({spec.name: error}))
    return noted


def test_the_longest_time_out_goes_first() -> None:
    given = [box(1), box(2, 0), box(3, 60), box(4, -1), box(5, 11)]
    assert [spec.name for spec in in_order(given)] == ["box4", "box3", "box5", "box1", "box2"]


async def test_what_is_up_is_stopped_in_order_and_nothing_else(fake_bus: Bus, node: Node) -> None:
    node.run(box(1, 5))
    node.run(box(2, 50), State.PAUSED)
    node.run(box(3, 500), State.RESTARTING)
    node.run(box(4), State.CREATED)
    node.run(box(5), State.EXITED)
    assert await stopped_of(fake_bus) == {"box1": "", "box2": "", "box3": ""}
    assert node.stopped == ["box3", "box2", "box1"]


async def test_so_many_at_once(fake_bus: Bus, node: Node) -> None:
    for seed in range(AT_ONCE + 3):
        node.run(box(seed))
    node.hold = asyncio.Event()
    draining = asyncio.create_task(stopped_of(fake_bus))
    await until(lambda: node.in_hand == AT_ONCE)
    assert len(node.stopped) == AT_ONCE
    node.hold.set()
    assert len(await draining) == AT_ONCE + 3


async def test_what_is_started_meanwhile_is_stopped_too_but_nothing_twice(fake_bus: Bus, node: Node) -> None:
    node.run(box(1))
    node.run(box(2))
    node.meanwhile[box(1).id] = lambda: node.run(box(3))
    node.meanwhile[box(2).id] = lambda: node.run(box(2))
    assert await stopped_of(fake_bus) == {"box1": "", "box2": "", "box3": ""}
    assert sorted(node.stopped) == ["box1", "box2", "box3"]


async def test_what_has_ended_by_itself_counts_as_stopped_and_a_refusal_does_not(fake_bus: Bus, node: Node) -> None:
    for seed, error in ((1, SeawayError(Code.NOT_MODIFIED, "")), (2, not_found("gone")), (3, conflict("it won't"))):
        node.run(box(seed))
        node.refused[box(seed).id] = error
    assert await stopped_of(fake_bus) == {"box1": "", "box2": "", "box3": "it won't"}


async def test_a_node_that_goes_down_meanwhile_ends_it(
    fake_server: FakeServer, fake_bus: Bus, node: Node, tasks: Tasks
) -> None:
    """Not after the week that a container without a time-out may have."""
    node.run(box(1, -1))
    node.hold = asyncio.Event()
    bus = Bus(FakeTransport(fake_server), patience_s=0.01)
    async with noticing_its_end(bus, tasks, "n1"):
        draining = asyncio.create_task(stopped_of(bus))
        await until(lambda: node.stopped)
        envelope = Envelope("down-1", "n1", "node", "down", "n1", START_NS)
        body = cat.NODE_DOWN.encode(NodeEvent(node="n1", reason="no beat for 6 s"))
        await fake_bus.transport.store(cat.NODE_DOWN.subject("n1", "n1"), body, envelope.headers())
        with pytest.raises(SeawayError, match="node n1 is down: no beat for 6 s"):
            await draining
    node.hold.set()
    await bus.close()
