"""No second agent in the same place or of the same name."""

import os
from pathlib import Path

import pytest

from seaway_agent.node.singleton_lock import check_name, hold
from seaway_bus.bus import Bus, Command
from seaway_contracts.catalogue import INVENTORY
from seaway_contracts.commands import Inventory, ListInventory
from seaway_contracts.errors import Code, SeawayError
from seaway_testing.fake_transport import FakeServer, FakeTransport


def test_a_directory_has_one_holder(tmp_path: Path) -> None:
    place = tmp_path / "agent" / "n1"
    first = hold(place)
    with pytest.raises(SeawayError, match=f"another agent already runs in {place}") as caught:
        hold(place, wait_s=0.05)
    assert caught.value.code is Code.CONFLICT
    os.close(first)
    os.close(hold(place))
    assert not list(place.iterdir())


async def test_a_name_that_nobody_has(fake_bus: Bus) -> None:
    await check_name(fake_bus, "n1")


@pytest.mark.parametrize("full", [False, True])
async def test_a_name_that_an_agent_answers_for(fake_server: FakeServer, fake_bus: Bus, full: bool) -> None:
    async def answer(_: ListInventory, __: Command) -> Inventory:
        if full:
            raise SeawayError(Code.NO_SPACE, "no space")
        return Inventory(node="n1", epoch="e", revision=0)

    other = Bus(FakeTransport(fake_server), patience_s=0.01)
    await other.serve(INVENTORY, answer, node="n1")
    await check_name(fake_bus, "n2")
    with pytest.raises(SeawayError, match="another agent already answers for node n1"):
        await check_name(fake_bus, "n1")
    await other.close()
