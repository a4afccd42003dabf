"""The cluster's settings: kept, listed by each copy, published, told to agents."""

from typing import Any

import pytest
from tests.unit.seaway_metadata.rig import known

from seaway_bus.bus import Bus, Command
from seaway_bus.events import read_event
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import EVENT_STREAM, NODE_CONFIG, TO_NODES, UPDATE_CLUSTER
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.node_settings import ClusterSettings, ClusterUpdated, ToNodes, UpdateCluster
from seaway_metadata.service import Metadata
from seaway_testing.fake_transport import FakeServer
from seaway_testing.waiting import until


async def update(bus: Bus, **changes: Any) -> ClusterSettings:
    return (await bus.call(UPDATE_CLUSTER, UpdateCluster(**changes))).settings


async def listed(metadata: Metadata) -> ClusterSettings:
    return (await metadata._nodes.list_nodes(Empty(), Command.new("test"))).cluster


def published(server: FakeServer) -> list[ClusterUpdated]:
    found = map(read_event, server.streams[EVENT_STREAM.name].messages)
    bodies = [event.body() for event in found if event is not None]
    return [body for body in bodies if isinstance(body, ClusterUpdated)]


async def test_settings_are_listed_and_published(
    metadata: Metadata, other: Metadata, fake_bus: Bus, fake_server: FakeServer
) -> None:
    assert await listed(metadata) == ClusterSettings()
    await update(fake_bus, strategy="binpack")
    settings = await update(fake_bus, memory_overcommit=1.5)
    assert await update(fake_bus, strategy="binpack") == settings
    assert (settings.strategy, settings.memory_overcommit, settings.version) == ("binpack", 1.5, 2)
    await until(lambda: len(published(fake_server)) == 2)
    first, second = published(fake_server)
    assert (first.attributes, second.attributes) == ({"strategy": "binpack"}, {"memory_overcommit": "1.5"})
    assert second.settings == settings
    await known(metadata)
    await known(other)
    for copy in (metadata, other):
        await until(lambda copy=copy: copy.cluster.known() == settings)  # type: ignore[misc]
        assert await listed(copy) == settings


async def test_agents_are_told(metadata: Metadata, fake_bus: Bus) -> None:
    told: list[ToNodes] = []
    await fake_bus.on_message(TO_NODES, told.append)
    settings = await update(fake_bus, cpu_overcommit=2)
    await metadata._node_configs.publish_changes()
    await until(lambda: told and told[-1].cluster == settings)
    assert (await fake_bus.call(NODE_CONFIG, Empty(), node="n1")).to_nodes.cluster == settings


@pytest.mark.parametrize("number", [0, -1, 101])
async def test_an_overcommit_that_makes_no_sense(
    metadata: Metadata, fake_bus: Bus, fake_server: FakeServer, number: float
) -> None:
    with pytest.raises(SeawayError) as caught:
        await update(fake_bus, memory_overcommit=number)
    assert caught.value.code is Code.BAD_REQUEST
    assert await listed(metadata) == ClusterSettings()
    assert published(fake_server) == []
