"""What an agent says while its disk is full."""

import asyncio
from pathlib import Path

import pytest

from seaway_agent.node import disk_space
from seaway_agent.node.disk_space import NEEDED, free_bytes, wait_for_disk_space
from seaway_bus.bus import Bus
from seaway_contracts import catalogue
from seaway_contracts.commands import ContainerId, ListInventory
from seaway_contracts.errors import Code, SeawayError
from seaway_testing.fake_transport import FakeServer, FakeTransport
from seaway_testing.waiting import until


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_space, "_LOOK_S", 0.001)


async def test_with_room_nothing_is_said(fake_server: FakeServer, fake_bus: Bus, tmp_path: Path) -> None:
    before = len(fake_server.subscribers)
    await wait_for_disk_space(fake_bus, "n1", tmp_path, lambda _: NEEDED)
    assert len(fake_server.subscribers) == before


async def test_commands_are_refused_with_the_reason_until_there_is_room(
    fake_server: FakeServer, fake_bus: Bus, tmp_path: Path
) -> None:
    free = [0]
    caller = Bus(FakeTransport(fake_server), patience_s=0.01)
    before = len(fake_server.subscribers)
    waiting = asyncio.ensure_future(wait_for_disk_space(fake_bus, "n1", tmp_path, lambda _: free[0]))
    agents = sum(channel.to_node for channel in catalogue.CALLS)
    await until(lambda: len(fake_server.subscribers) == before + agents)
    for channel, request in ((catalogue.START, ContainerId(id="x")), (catalogue.INVENTORY, ListInventory())):
        with pytest.raises(SeawayError, match="node n1 has no space left on the disk of") as caught:
            await caller.call(channel, request, node="n1")
        assert caught.value.code is Code.NO_SPACE
    free[0] = NEEDED
    await waiting
    assert len(fake_server.subscribers) == before
    with pytest.raises(SeawayError, match="is not there just now"):
        await caller.call(catalogue.START, ContainerId(id="x"), node="n1")


async def test_the_wait_ends(fake_server: FakeServer, fake_bus: Bus, tmp_path: Path) -> None:
    before = len(fake_server.subscribers)
    with pytest.raises(SeawayError, match="free space there"):
        await wait_for_disk_space(fake_bus, "n1", tmp_path, lambda _: 0, limit_s=0.01)
    assert len(fake_server.subscribers) == before


def test_room_is_that_of_the_file_system_where_the_directory_will_be(tmp_path: Path) -> None:
    assert free_bytes(tmp_path / "not" / "yet") > 0
