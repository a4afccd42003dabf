"""Records and what nodes hold, brought together: inventories, epochs, nodes that have forgotten."""

import pytest
from tests.unit.seaway_metadata.rig import Node, known, publish

from seaway_bus.bus import Bus
from seaway_contracts.catalogue import (
    BEAT,
)
from seaway_contracts.commands import (
    CreateContainer,
)
from seaway_contracts.containers import State
from seaway_contracts.errors import SeawayError, conflict, not_found, unavailable
from seaway_metadata.service import Metadata
from seaway_testing.builders import beat, container_id, spec, status
from seaway_testing.waiting import until


async def test_an_inventory_rebuilds_and_removes(metadata: Metadata, fake_bus: Bus) -> None:
    await publish(fake_bus, "create", status(seq=1), 1)
    await publish(fake_bus, "create", status(seq=1), 9)
    await publish(fake_bus, "create", status(seq=1), 8, node="n2")
    node = await Node(fake_bus).serve()
    await known(metadata)
    node.holds(1, 2, 3, 4, 5)
    await node.beat()
    await until(lambda: len(metadata.containers.view.index) == 6)
    assert metadata.containers.view.index.get(container_id(9)) is None
    assert metadata.containers.view.index.get(container_id(8)) is not None, "another node's"
    first = metadata.containers.view.index.get(container_id(1))
    assert first is not None and first.status.seq == 2
    asked = node.asked
    await node.beat()
    await fake_bus.transport.flush()
    assert node.asked == asked == 3


async def test_a_new_epoch_is_asked_again(metadata: Metadata, fake_bus: Bus) -> None:
    node = await Node(fake_bus).serve()
    node.holds(1)
    await node.beat()
    await until(lambda: len(metadata.containers.view.index) == 1)
    node.epoch = "e2"
    node.holds()
    await node.beat()
    await until(lambda: len(metadata.containers.view.index) == 0)


async def test_a_node_that_has_forgotten_a_container_is_told_to_make_it_again(
    metadata: Metadata, fake_bus: Bus
) -> None:
    """An acknowledged container outlives a power cut of its node."""
    await publish(fake_bus, "create", status(seq=1), 1)
    await publish(fake_bus, "start", status(State.RUNNING, 2, pid=5), 1)
    node = await Node(fake_bus).serve()
    node.lost_memory = True
    await known(metadata)
    await node.beat()
    await until(lambda: node.made)
    assert node.made == [CreateContainer(spec=spec(1), former=status(State.RUNNING, 2, pid=5))]
    await publish(fake_bus, "die", status(State.EXITED, 3, exit_code=255), 1)
    await known(metadata)
    found = metadata.containers.view.index.get(container_id(1))
    assert found is not None and found.status.exit_code == 255


@pytest.mark.parametrize(
    ("refusal", "asked", "kept"),
    [
        (not_found("no such image"), 1, False),
        (unavailable("the agent is being started anew"), 2, True),
        (conflict("events that tell of its end are on their way"), 2, True),
    ],
)
async def test_what_can_t_be_made_again_is_removed_unless_that_may_change(
    metadata: Metadata, fake_bus: Bus, refusal: SeawayError, asked: int, kept: bool
) -> None:
    await publish(fake_bus, "create", status(seq=1), 1)
    node = await Node(fake_bus).serve()
    node.lost_memory, node.refusal = True, refusal
    await known(metadata)

    for times in range(1, asked + 1):
        await until(lambda: "n1" not in metadata.containers.reconciler._epochs)
        await node.beat()
        await until(lambda: len(node.made) == times)  # noqa: B023
    if not kept:
        await until(lambda: metadata.containers.view.index.get(container_id(1)) is None)
    assert (metadata.containers.view.index.get(container_id(1)) is not None) == kept


async def test_two_agents_of_one_name_are_told_of(
    metadata: Metadata, fake_bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    for epoch in ("e1", "e2", "e3"):
        await fake_bus.publish(BEAT, beat("n1", epoch=epoch), node="n1")
    await fake_bus.transport.flush()
    assert "two agents" not in caplog.text
    await fake_bus.publish(BEAT, beat("n1", epoch="e2"), node="n1")
    await until(lambda: "two agents run as node n1" in caplog.text)


async def test_a_node_that_cannot_answer_is_asked_at_its_next_beat(metadata: Metadata, fake_bus: Bus) -> None:
    node = await Node(fake_bus).serve()
    node.holds(1)
    node.fails = 1
    await publish(fake_bus, "create", status(seq=1), 2)
    await node.beat()
    await until(lambda: node.asked == 1)
    await known(metadata)
    assert metadata.containers.view.index.get(container_id(2)) is not None, "no answer is no reason to remove anything"

    async def beaten() -> bool:
        await node.beat()
        return metadata.containers.view.index.get(container_id(1)) is not None

    while not await beaten():
        await fake_bus.transport.flush()
    await until(lambda: metadata.containers.view.index.get(container_id(2)) is None)


async def test_an_event_without_a_record_raises_doubt(metadata: Metadata, fake_bus: Bus) -> None:
    node = await Node(fake_bus).serve()
    await node.beat()
    await until(lambda: node.asked == 1)
    node.holds(5)
    await publish(fake_bus, "start", status(State.RUNNING, 2), 5)
    await known(metadata)
    await node.beat()
    await until(lambda: metadata.containers.view.index.get(container_id(5)) is not None)
