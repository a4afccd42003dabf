"""Commands about volumes, on a real directory and the bus in memory."""

import asyncio
import errno
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from tests.unit.seaway_agent.runner_bench import Bench

from seaway_agent.commands import volumes as commands
from seaway_agent.commands.volumes import VolumeCommands
from seaway_agent.inventory.inventory import Inventory
from seaway_agent.volumes import directories
from seaway_agent.volumes.volumes import Volumes
from seaway_contracts import catalogue
from seaway_contracts.containers import Mount
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.volumes import (
    ListHeldVolumes,
    MakeHeldVolume,
    MeasureVolumes,
    RemoveHeldVolume,
    VolumeRecord,
)
from seaway_testing import builders
from seaway_testing.waiting import until


class Node:
    """A node's volumes, and commands to it."""

    def __init__(self, bench: Bench, root: Path) -> None:
        self.root = root
        self.bench = bench
        self.inventory = Inventory("n1", bench.journal, "e1")
        self.volumes = Volumes(root, "n1", bench.journal.was_volume_removed)
        self.commands = VolumeCommands(self.inventory, bench.journal, self.volumes)

    async def make(self, record: VolumeRecord) -> None:
        await self.bench.bus.call(catalogue.MAKE_HELD_VOLUME, MakeHeldVolume(volume=record), node="n1")

    async def remove(self, record: VolumeRecord) -> None:
        asked = RemoveHeldVolume(id=record.id, name=record.name)
        await self.bench.bus.call(catalogue.REMOVE_HELD_VOLUME, asked, node="n1")

    async def listed(self) -> dict[str, VolumeRecord]:
        reply = await self.bench.bus.call(catalogue.VOLUME_INVENTORY, ListHeldVolumes(), node="n1")
        return {one.id: one for one in reply.volumes}

    async def sizes(self, *ids: str) -> dict[str, int]:
        return (await self.bench.bus.call(catalogue.MEASURE_VOLUMES, MeasureVolumes(ids=ids), node="n1")).sizes


@pytest.fixture
async def node(bench: Bench, tmp_path: Path) -> AsyncIterator[Node]:
    root = tmp_path / "of-the-test"
    root.mkdir()
    node = Node(bench, root)
    await node.commands.serve(bench.bus)
    yield node
    node.commands.close()
    node.volumes.close()


def record(number: int, **more: object) -> VolumeRecord:
    return VolumeRecord.model_validate({"id": f"{number:064x}", "name": f"v{number}", "created_ns": number, **more})


async def test_made_listed_removed(node: Node) -> None:
    await node.make(record(1))
    await node.make(record(1))
    await node.make(record(2, labels={"a": "b"}))
    assert sorted(path.name for path in node.root.iterdir()) == ["v1", "v2"]
    listed = await node.bench.bus.call(catalogue.VOLUME_INVENTORY, ListHeldVolumes(), node="n1")
    ours = [one.model_copy(update={"node": "n1"}) for one in (record(1), record(2, labels={"a": "b"}))]
    assert (listed.node, listed.epoch, list(listed.volumes), listed.next) == ("n1", "e1", ours, "")
    some = ListHeldVolumes(ids=(record(2).id, "unknown"))
    listed = await node.bench.bus.call(catalogue.VOLUME_INVENTORY, some, node="n1")
    assert list(listed.volumes) == ours[1:]
    await node.remove(record(1))
    await node.remove(record(1))
    await node.remove(record(3))
    assert [path.name for path in node.root.iterdir() if path.name[0] != "."] == ["v2"]
    for gone in (record(1), record(3)):
        with pytest.raises(SeawayError, match=f"get {gone.name}: no such volume") as refused:
            await node.make(gone)
        assert refused.value.code is Code.NOT_FOUND


async def test_one_that_a_container_has_is_refused_and_stays(node: Node) -> None:
    spec = builders.spec(1, mounts=(Mount(type="volume", source="v1", target="/v"),))
    node.volumes.reserve(spec, [record(1)])
    node.volumes.commit(spec)
    with pytest.raises(SeawayError, match=rf"remove v1: volume is in use - \[{spec.id}\]") as refused:
        await node.remove(record(1))
    assert refused.value.code is Code.CONFLICT
    node.volumes.reserve(spec, [record(1)])
    assert (node.root / "v1/_data").is_dir()


async def test_a_removal_that_fails_can_be_tried_again(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_: str) -> None:
        raise OSError("device is busy")

    await node.make(record(1))
    with monkeypatch.context() as patched:
        patched.setattr(node.volumes, "remove", busy)
        with pytest.raises(SeawayError, match="v1 can't be removed from node n1: device is busy; try again") as refused:
            await node.remove(record(1))
        assert refused.value.retryable
    await node.remove(record(1))
    assert await node.listed() == {}


async def test_a_new_one_is_synced_before_the_answer(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(directories, "_sync", synced.append)
    await node.make(record(1))
    place = node.root / "v1"
    assert synced == [place / "volume.json", place, node.root]
    await node.make(record(1))
    assert len(synced) == 3, "once"


async def test_one_that_can_not_be_synced_is_refused(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(directories, "_sync", broken)
        for _ in range(2):
            with pytest.raises(SeawayError, match="volume v1 can't be made: Input/output error"):
                await node.make(record(1))
    await node.make(record(1))


async def test_an_inventory_comes_in_pages(node: Node) -> None:
    for number in range(450):
        await node.make(record(number))
    found, after, count = [], "", 0
    while count == 0 or after:
        page = await node.bench.bus.call(catalogue.VOLUME_INVENTORY, ListHeldVolumes(after=after), node="n1")
        found += [one.id for one in page.volumes]
        after, count = page.next, count + 1
    assert (found, count) == ([record(number).id for number in range(450)], 3)


async def test_sizes(node: Node) -> None:
    await node.make(record(1))
    await node.make(record(2, options={"type": "tmpfs", "device": "tmpfs"}))
    (node.root / "v1/_data/file").write_bytes(b"x" * 1234)
    sizes = await node.sizes(record(1).id, record(2).id, "unknown")
    assert sizes == {record(1).id: 1234, record(2).id: -1, "unknown": -1}


async def test_a_measurement_ends_with_the_agent(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    await node.make(record(1))
    began = threading.Event()
    real = commands.size_of

    def slow(data: Path, cancelled: Callable[[], bool]) -> int:
        began.set()
        while not cancelled():
            threading.Event().wait(0.01)
        return real(data, cancelled)

    monkeypatch.setattr(commands, "size_of", slow)
    asked = asyncio.create_task(node.sizes(record(1).id))
    await until(began.is_set)
    await asyncio.to_thread(node.commands.close)
    assert list((await asked).values()) == [0]
