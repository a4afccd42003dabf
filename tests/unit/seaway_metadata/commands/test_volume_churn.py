"""Many create, use, forget and remove the same few volumes at once, on two nodes, at two copies of metadata."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.unit.seaway_metadata.commands.test_volumes import node as node
from tests.unit.seaway_metadata.commands.test_volumes import second as second
from tests.unit.seaway_metadata.commands.volume_node import (
    VolumeNode,
    a_copy,
    create,
    forget,
    listed,
    remove,
    stored,
    volume_id,
)

from seaway_bus.bus import Bus
from seaway_contracts.catalogue import VOLUMES_BUCKET
from seaway_contracts.errors import Code, SeawayError
from seaway_metadata.commands import volume_book, volume_sweep
from seaway_metadata.service import Metadata
from seaway_testing.builders import container_id
from seaway_testing.fake_transport import FakeServer
from seaway_testing.waiting import until

_NAMES = ("red", "green", "blue")
_EXPECTED = {Code.CONFLICT, Code.NOT_FOUND, Code.UNAVAILABLE}


class Churn:
    """What some clients do. Each container and each volume's id is used once."""

    def __init__(self, seed: int, bus: Bus, nodes: list[VolumeNode]) -> None:
        self.dice = random.Random(seed)
        self.bus = bus
        self.nodes = nodes
        self.count = 0
        self.standing: list[tuple[VolumeNode, int]] = []
        self.lost: list[str] = []

    async def client(self, rounds: int) -> None:
        for _ in range(rounds):
            act = self.dice.choice(
                (self._create, self._run, self._run, self._fail, self._end, self._remove, self._remove)
            )
            try:
                await act(self.dice.choice(_NAMES))
            except SeawayError as error:
                assert error.code in _EXPECTED, error
            await asyncio.sleep(0)

    async def _create(self, name: str) -> None:
        self.count += 1
        await create(self.bus, name, id=volume_id(f"{name} {self.count}"))

    async def _run(self, name: str) -> None:
        node, number = self._next()
        registered = await node.register(number, name)
        await asyncio.sleep(0)
        (volume,) = registered.volumes
        if volume.id in node.removed:  # as the agent answers
            await forget(self.bus, number)
            return
        await node.create(registered, number)
        self.standing.append((node, number))

    async def _fail(self, name: str) -> None:
        node, number = self._next()
        await node.register(number, name)
        await asyncio.sleep(0)
        await forget(self.bus, number, unheard=number % 3 == 0)

    async def _end(self, _: str) -> None:
        if self.standing:
            node, number = self.standing.pop(self.dice.randrange(len(self.standing)))
            await node.destroy(number)

    async def _remove(self, name: str) -> None:
        await remove(self.bus, name, force=self.count % 2 == 0)
        for where in self.nodes:
            self.lost += [name for ids in where.mounted.values() if not ids <= where.volumes.keys()]

    def _next(self) -> tuple[VolumeNode, int]:
        self.count += 1
        return self.dice.choice(self.nodes), self.count


def ids(server: FakeServer) -> set[str]:
    return set(server.buckets[VOLUMES_BUCKET.name].entries)


@pytest.fixture
async def copies(
    node: VolumeNode, second: VolumeNode, metadata: Metadata, fake_server: FakeServer, tmp_path: Path
) -> AsyncIterator[tuple[Metadata, ...]]:
    async with a_copy(fake_server, tmp_path / "2", node, second) as other:
        yield metadata, other


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_is_done_at_once(
    copies: tuple[Metadata, ...],
    node: VolumeNode,
    second: VolumeNode,
    fake_bus: Bus,
    fake_server: FakeServer,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
) -> None:
    monkeypatch.setattr(volume_book, "_PAUSE_S", 0.002)
    churn = Churn(seed, fake_bus, [node, second])
    await asyncio.gather(*(churn.client(30) for _ in range(6)))
    assert churn.lost == [], "a container's volume was removed from under it"
    for copy in (*copies, *copies):  # what the second one finishes the first one sees then
        copy.volumes.sweeper.now_ns = lambda: time.time_ns() + volume_sweep.MADE_NS
        await copy.registrations.sweep(lambda _: True)
        await copy.volumes.sweeper.sweep()
    for copy in copies:
        await until(lambda: {one.id for one in copy.volumes.table.index} <= ids(fake_server), what="ends to be heard")  # noqa: B023
    names = await listed(fake_bus, basis=dict.fromkeys(ids(fake_server), 1))
    assert len(names) == len(set(names)) and stored(fake_server) == (len(names), len(names))
    by_id = {one.id: one for one in copies[0].volumes.table.index} | {
        one.id: one for one in copies[1].volumes.table.index
    }
    for where in (node, second):
        for identifier, volume in where.volumes.items():
            assert by_id[identifier].node == where.name and by_id[identifier].name == volume.name
        for container in where.specs.values():
            assert container.mounts[0].source in {one.name for one in where.volumes.values()}, container.name
    for where, number in churn.standing:
        assert container_id(number) in where.specs
        await where.destroy(number)
    for name in names:
        await remove(fake_bus, name)
    assert stored(fake_server) == (0, 0) and node.volumes == second.volumes == {}
