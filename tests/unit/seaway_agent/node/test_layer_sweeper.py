"""When unpacked layers are swept, and which."""

from types import SimpleNamespace
from typing import cast

import pytest

from seaway_agent.inventory.inventory import Inventory
from seaway_agent.node import layer_sweeper
from seaway_agent.node.layer_sweeper import LayerSweeper
from seaway_agent.rootfs.layers import LayerStore
from seaway_agent.rootfs.names import chain_ids
from seaway_bus.bus import Bus, Command
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import IMAGES_DELETED, NODE_IMAGES
from seaway_contracts.errors import SeawayError
from seaway_contracts.images import ImageList, ListImages
from seaway_kit.tasks import Tasks
from seaway_testing import builders
from seaway_testing.fake_transport import FakeServer, FakeTransport
from seaway_testing.waiting import until


class Counting(LayerSweeper):
    """Counts its sweeps."""

    swept = 0

    async def sweep(self) -> int:
        self.swept += 1
        return 0


async def test_many_deletions_make_one_sweep_and_a_lost_connection_one_more(
    fake_bus: Bus, fake_server: FakeServer, tasks: Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layer_sweeper, "_SETTLE_S", 0.05)
    fake_server.deliver_twice = True
    transport = FakeTransport(fake_server)
    sweeper = Counting(Bus(transport), cast(Inventory, None), cast(LayerStore, None))
    tasks.spawn("sweeper", sweeper.run())
    await fake_bus.transport.flush()
    for _ in range(3):
        await fake_bus.publish(IMAGES_DELETED, Empty())
    await until(lambda: sweeper.swept == 1)
    transport.cut()
    await fake_bus.publish(IMAGES_DELETED, Empty())
    transport.mend()
    await until(lambda: sweeper.swept == 2)
    assert not sweeper._due.is_set()


async def test_a_sweep_keeps_what_images_and_containers_need(fake_bus: Bus, fake_server: FakeServer) -> None:
    """The images come by page."""
    kept: list[set[str]] = []
    pages = {"": ImageList(images=(builders.image(1),), next="2"), "2": ImageList(images=(builders.image(2),))}

    async def drop(chains: set[str]) -> int:
        kept.append(chains)
        return 7

    async def list_images(request: ListImages, command: Command) -> ImageList:
        assert command.node == "n1"
        return pages[request.after]

    service = Bus(FakeTransport(fake_server))
    await service.serve(NODE_IMAGES, list_images)
    inventory = cast(Inventory, SimpleNamespace(node="n1", kept_chains=lambda: {"container's"}))
    layers = cast(LayerStore, SimpleNamespace(drop=drop))
    assert await LayerSweeper(fake_bus, inventory, layers).sweep() == 7
    diff_ids = [[layer.diff_id for layer in builders.image(seed).layers] for seed in (1, 2)]
    assert kept == [{"container's", *(chain for ids in diff_ids for chain in chain_ids(ids))}]
    await service.close()


async def test_where_the_image_service_is_away_nothing_is_dropped(fake_server: FakeServer) -> None:
    bus = Bus(FakeTransport(fake_server), patience_s=0.01)
    inventory = cast(Inventory, SimpleNamespace(node="n1"))
    with pytest.raises(SeawayError, match="the image service is not there"):
        await LayerSweeper(bus, inventory, cast(LayerStore, None)).sweep()
    await bus.close()
