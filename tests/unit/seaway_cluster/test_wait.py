"""Wait for a container's end, with each event twice."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from seaway_bus.bus import Bus
from seaway_cluster.records import metadata_records
from seaway_cluster.wait import Condition, Ended, FedWatches, waiting
from seaway_contracts.containers import ContainerStatus, State
from seaway_contracts.errors import SeawayError
from seaway_kit.tasks import Tasks
from seaway_testing import builders
from seaway_testing.fake_transport import FakeServer, FakeTransport

ID = builders.container_id(1)
DIED = builders.status(State.EXITED, 3, exit_code=7)
GONE = builders.status(State.REMOVING, 4, exit_code=7)


@pytest.fixture
async def watches(fake_server: FakeServer, fake_bus: Bus, tasks: Tasks, suite: Any) -> AsyncIterator[FedWatches]:
    fake_server.deliver_twice = True
    made = FedWatches(FakeTransport(fake_server), tasks)
    await made.start()
    yield made
    await made.close()


@pytest.mark.parametrize(
    ("condition", "ended"),
    [
        (Condition.NOT_RUNNING, Ended(DIED)),
        (Condition.NEXT_EXIT, Ended(DIED)),
        (Condition.REMOVED, Ended(GONE, removed=True)),
    ],
)
async def test_an_end(fake_bus: Bus, watches: FedWatches, suite: Any, condition: Condition, ended: Ended) -> None:
    suite.add(builders.record(1, state=State.RUNNING, seq=2))
    async with waiting(watches, metadata_records(fake_bus), ID) as container:
        await suite.emit("die", ID, DIED)
        await suite.emit("destroy", ID, GONE)
        assert await container.end(condition) == ended
    assert len(watches) == 0


@pytest.mark.parametrize("condition", list(Condition))
async def test_a_removal_ends_each_wait(fake_bus: Bus, watches: FedWatches, suite: Any, condition: Condition) -> None:
    suite.add(builders.record(1, state=State.RUNNING, seq=2))
    async with waiting(watches, metadata_records(fake_bus), ID) as container:
        await suite.emit("start", ID, ContainerStatus(state=State.RUNNING, seq=3))
        await suite.emit("destroy", ID, GONE)
        assert await container.end(condition) == Ended(GONE, removed=True)


async def test_one_that_does_not_run(fake_bus: Bus, watches: FedWatches, suite: Any) -> None:
    record = suite.add(builders.record(1, state=State.EXITED, seq=3))
    async with waiting(watches, metadata_records(fake_bus), ID) as container:
        assert await container.end() == Ended(record.status)


async def test_others_and_the_past_do_not_matter(fake_bus: Bus, watches: FedWatches, suite: Any) -> None:
    suite.add(builders.record(1, seq=1))
    await suite.emit("die", ID, builders.status(State.EXITED, 1, exit_code=1))
    async with waiting(watches, metadata_records(fake_bus), ID) as container:
        await suite.emit("die", builders.container_id(2), builders.status(State.EXITED, 2, exit_code=2))
        await suite.emit("die", ID, DIED)
        assert await container.end(Condition.NEXT_EXIT) == Ended(DIED)


async def test_one_that_is_not_there_leaves_no_watch(fake_bus: Bus, watches: FedWatches) -> None:
    with pytest.raises(SeawayError, match="No such container"):
        async with waiting(watches, metadata_records(fake_bus), ID):
            pass
    assert len(watches) == 0
