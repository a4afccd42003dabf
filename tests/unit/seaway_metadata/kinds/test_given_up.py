"""Containers that were given up before their node told of them."""

from pathlib import Path

import pytest
from tests.unit.seaway_metadata.rig import Node, known, publish, ref, register

from seaway_bus.bus import Bus
from seaway_contracts.catalogue import (
    CONTAINERS_BUCKET,
    FORGET,
    GET_CONTAINER,
    NAMES_BUCKET,
    RESOLVE,
)
from seaway_contracts.containers import State
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.records import ForgetContainer
from seaway_kit.tasks import Tasks
from seaway_metadata import service as service_module
from seaway_metadata.kinds.container_registering import ContainerRegistering
from seaway_metadata.service import Metadata, running
from seaway_metadata.settings import MetadataSettings
from seaway_testing.builders import container_id, status
from seaway_testing.fake_transport import FakeServer, FakeTransport
from seaway_testing.waiting import until


async def test_what_was_given_up_is_gone_for_whoever_asks(metadata: Metadata, fake_bus: Bus) -> None:
    await register(fake_bus, 1)
    await fake_bus.call(FORGET, ForgetContainer(id=container_id(1), unheard=True))
    for text in ("box1", container_id(1)):
        with pytest.raises(SeawayError) as caught:
            await fake_bus.call(GET_CONTAINER, ref(text))
        assert caught.value.code is Code.NOT_FOUND
    await register(fake_bus, 2, name="box1")
    assert (await fake_bus.call(RESOLVE, ref("box1"))).id == container_id(2)


@pytest.mark.parametrize("made", [True, False])
async def test_what_was_given_up_is_removed_when_its_node_is_back(
    metadata: Metadata, fake_bus: Bus, fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch, made: bool
) -> None:
    """Its copy of then may be gone: the next one knows it from the bucket."""
    monkeypatch.setattr(service_module, "_SWEEP_S", 0.01)
    kept = fake_server.buckets[CONTAINERS_BUCKET.name].entries
    await register(fake_bus, 1)
    await fake_bus.call(FORGET, ForgetContainer(id=container_id(1), unheard=True))
    metadata.registrations._discarded.clear()
    metadata.store.doubt()
    node = await Node(fake_bus).serve()
    if made:
        node.holds(1)
        await publish(fake_bus, "create", status(seq=1))
    await node.beat()
    await until(lambda: container_id(1) not in kept)
    assert [(request.id, request.force, request.volumes) for request in node.removed] == [(container_id(1), True, True)]
    await known(metadata)
    assert metadata.containers.view.index.get(container_id(1)) is None


@pytest.mark.parametrize("state", [State.CREATED, State.RUNNING])
async def test_what_is_given_up_just_after_its_event_came_is_removed_unless_it_was_used(
    metadata: Metadata, fake_bus: Bus, monkeypatch: pytest.MonkeyPatch, state: State
) -> None:
    monkeypatch.setattr(service_module, "_SWEEP_S", 0.01)
    node = await Node(fake_bus).serve()
    node.holds(1)
    await register(fake_bus, 1)
    await publish(fake_bus, "create", status(state, seq=2))
    given_up = ForgetContainer(id=container_id(1), unheard=True)
    if state is State.RUNNING:
        with pytest.raises(SeawayError, match="was made"):
            await fake_bus.call(FORGET, given_up)
        return
    await fake_bus.call(FORGET, given_up)
    await node.beat()
    await until(lambda: metadata.containers.view.index.get(container_id(1)) is None)


async def test_a_copy_that_hears_of_what_another_gave_up_has_it_removed(
    metadata: Metadata, fake_bus: Bus, fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_module, "_SWEEP_S", 0.01)
    await register(fake_bus, 1)
    await ContainerRegistering(metadata.containers.records).forget(container_id(1), unheard=True)
    node = await Node(fake_bus).serve()
    node.holds(1)
    await publish(fake_bus, "create", status(seq=1))
    await node.beat()
    await until(lambda: len(node.removed) == 1)
    await until(lambda: not fake_server.buckets[NAMES_BUCKET.name].entries)
    await known(metadata)
    assert metadata.containers.view.index.get(container_id(1)) is None


async def test_what_was_given_up_just_after_its_event_came_outlives_its_copy(
    fake_bus: Bus, fake_server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy that was told so dies before the node is asked."""
    monkeypatch.setattr(service_module, "_SWEEP_S", 1e9)
    settings = MetadataSettings(root=tmp_path)
    node = await Node(fake_bus).serve()
    node.holds(1)
    async with running(Bus(FakeTransport(fake_server)), Tasks("first"), settings) as first:
        await register(fake_bus, 1)
        await publish(fake_bus, "create", status(seq=1))
        await known(first)
        await fake_bus.call(FORGET, ForgetContainer(id=container_id(1), unheard=True))
    assert node.removed == []
    monkeypatch.setattr(service_module, "_SWEEP_S", 0.01)
    async with running(Bus(FakeTransport(fake_server)), Tasks("second"), settings) as second:
        await node.beat()
        await until(lambda: second.containers.view.index.get(container_id(1)) is None and len(node.removed) == 1)
        await until(lambda: not fake_server.buckets[NAMES_BUCKET.name].entries)
        assert container_id(1) not in fake_server.buckets[CONTAINERS_BUCKET.name].entries
