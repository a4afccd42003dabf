"""Seaway's own builder, where its node is down: whoever builds hears so at once."""

import pytest

from seaway_api.buildkit.builder import NoBuilder
from seaway_api.buildkit.container import LABEL
from seaway_api.buildkit.own_builder import OwnBuilder
from seaway_bus.bus import Bus, Command
from seaway_contracts import catalogue as cat
from seaway_contracts.containers import ContainerRecord, State
from seaway_contracts.records import ResolveContainer
from seaway_kit.tasks import Tasks
from seaway_testing import builders

IMAGE = "moby/buildkit:v0.13.2"
SENTENCE = "is on node n2, which is down: start that node, or, if it doesn't come back, remove it .*seaway node rm n2"


@pytest.fixture
async def builder(fake_bus: Bus, tasks: Tasks) -> OwnBuilder:
    spec = builders.spec(labels={LABEL: IMAGE})
    record = ContainerRecord(spec=spec, node="n2", status=builders.status(State.RUNNING))

    async def get(_: ResolveContainer, __: Command) -> ContainerRecord:
        return record

    await fake_bus.serve(cat.GET_CONTAINER, get)
    return OwnBuilder(fake_bus, tasks, IMAGE, 10**9)


async def test_on_a_node_that_is_down(fake_bus: Bus, builder: OwnBuilder) -> None:
    fake_bus.down_nodes.gone("n2", "no beat")
    for _ in range(2):
        with pytest.raises(NoBuilder, match=SENTENCE):
            await builder.connect()


async def test_of_another_image_on_a_node_that_is_down(fake_bus: Bus, tasks: Tasks, builder: OwnBuilder) -> None:
    fake_bus.down_nodes.gone("n2", "no beat")
    with pytest.raises(NoBuilder, match=SENTENCE):
        await OwnBuilder(fake_bus, tasks, "moby/buildkit:other", 10**9).connect()
