"""A node that was taken over claims names and records of others: they stay whose they are."""

import asyncio
import secrets
import time
from pathlib import Path

import pytest
from tests.integration.hostile.taken_over import (
    SECRET,
    Suite,
    commands,
    inspect,
    taken_over,
    works,
)

from seaway_bus.bus import Bus, Command
from seaway_contracts import catalogue
from seaway_contracts.commands import Inventory, InventoryItem, ListInventory
from seaway_contracts.containers import State
from seaway_contracts.errors import SeawayError
from seaway_contracts.lifecycle import StoreEvents
from seaway_contracts.nodes import Capacity
from seaway_testing.builders import beat, spec, status
from seaway_testing.waiting import GUARD_S, until

pytestmark = [pytest.mark.root, pytest.mark.timeout(240)]


class Liar:
    """Beats as a node without room, and says that it holds what it doesn't."""

    def __init__(self, bus: Bus, node: str, items: list[InventoryItem]) -> None:
        self.bus = bus
        self.node = node
        self.items = items
        self.asked = 0
        self.epoch = 0

    async def start(self) -> None:
        await self.bus.serve(catalogue.INVENTORY, self.inventory, node=self.node)
        await self.bus.flush()

    async def inventory(self, request: ListInventory, command: Command) -> Inventory:
        self.asked += 1
        return Inventory(node=self.node, epoch=str(self.epoch), revision=1, containers=tuple(self.items))

    async def lie(self) -> None:
        """Until metadata has asked it anew."""
        self.epoch += 1
        asked = self.asked
        limit = time.monotonic() + GUARD_S
        none = Capacity(nano_cpus=0, memory=0)
        while self.asked == asked:
            assert time.monotonic() < limit, "metadata asks nothing"
            one = beat(self.node, epoch=str(self.epoch), capacity=none, free=none, time_ns=time.time_ns())
            await self.bus.publish(catalogue.BEAT, one, node=self.node)
            await self.bus.publish(catalogue.BEAT, one.model_copy(update={"node": "n1"}), node=self.node)
            await asyncio.sleep(0.1)


async def test_names_and_records_stay_with_the_node_that_has_them(suite: Suite, victim: str, tmp_path: Path) -> None:
    """n3 claims the container itself, a second `victim`, and some of its own invention; then it is removed."""
    assert suite.seaway("node", "add", "n3").returncode == 0
    claimed = spec(1).model_copy(update={"id": victim, "name": "victim"})
    second = spec(2).model_copy(update={"id": secrets.token_hex(32), "name": "victim"})
    invented = spec(3).model_copy(update={"id": secrets.token_hex(32), "name": "invented"})
    running = status(State.RUNNING, 1 << 40, run=9, started_ns=time.time_ns())
    items = [InventoryItem(spec=one, status=running) for one in (claimed, second, invented)]
    truth = inspect(suite, victim)
    async with taken_over(suite, "n3") as hostile:
        liar = Liar(hostile.bus, "n3", items)
        await liar.start()
        for _ in range(3):
            await liar.lie()
            await hostile.tell("rename", victim)
            await hostile.tell("create", second.id)
        await until(lambda: "invented" in suite.docker("ps", "-a", "--format", "{{.Names}}"))
        shown = dict(
            line.split()
            for line in suite.docker("ps", "-a", "--no-trunc", "--format", "{{.Names}} {{.ID}}").splitlines()
        )
        assert shown == {"victim": victim, "invented": invented.id}
        for name in (victim, "victim"):
            assert inspect(suite, name) == truth
        works(suite, victim, tmp_path)
        assert commands(hostile) != [], "metadata has asked what it holds"
        assert not any(SECRET.encode() in message.data for message in hostile.heard)

        removed = await asyncio.to_thread(suite.seaway, "node", "rm", "n3", "--force")
        assert removed.returncode == 0, removed.stderr
        assert suite.docker("ps", "-aq", "--no-trunc") == victim
        with pytest.raises(SeawayError):
            await hostile.bus.call(catalogue.STORE_EVENTS, StoreEvents(), node="n3", timeout_s=1)
    named = suite.docker("create", "--network", "none", "--name", "invented", "busybox", "true")
    assert set(suite.docker("ps", "-aq", "--no-trunc").splitlines()) == {victim, named}
    assert inspect(suite, "invented")["Node"]["Name"] == "n1"
    assert [action for action, subject in await suite.stored("n3") if subject == invented.id][-1] == "destroy"


async def test_a_name_that_is_just_being_given_is_not_taken(suite: Suite, victim: str) -> None:
    """A container comes and goes by one name, and n4 claims that without end: no command meant for it goes to n4."""
    assert suite.seaway("node", "add", "n4").returncode == 0
    async with taken_over(suite, "n4") as hostile:
        invented = spec(5).model_copy(update={"id": secrets.token_hex(32), "name": "again"})
        liar = Liar(hostile.bus, "n4", [InventoryItem(spec=invented, status=status(State.RUNNING, 9))])
        await liar.start()
        suite.docker("run", "-d", "--network", "none", "--name", "again", "busybox", "sleep", "1000")
        for _ in range(5):
            await liar.lie()
            assert suite.docker("exec", "-e", f"TOKEN={SECRET}", "again", "sh", "-c", "echo $TOKEN") == SECRET
        suite.docker("rm", "-f", "again")
        removed = await asyncio.to_thread(suite.seaway, "node", "rm", "n4", "--force")
        assert removed.returncode == 0, removed.stderr
        assert not any(SECRET.encode() in message.data for message in hostile.heard)
    suite.docker("run", "-d", "--network", "none", "--name", "again", "busybox", "sleep", "1000")
    assert suite.docker("exec", "again", "echo", "well") == "well"
