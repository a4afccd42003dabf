"""The other containers with which one is made."""

from typing import Any

import pytest

from seaway_bus.bus import Bus
from seaway_cluster.records import FindRecord, find_companions, metadata_records
from seaway_cluster.request import CompanionRefs, Companions
from seaway_contracts.containers import ContainerRecord, Mount
from seaway_contracts.errors import Code, SeawayError
from seaway_testing import builders


@pytest.fixture
def find(fake_bus: Bus, suite: Any) -> FindRecord:
    suite.add(builders.record(1))
    suite.add(builders.record(2))
    suite.add(builders.record(3, node="n2"))
    return metadata_records(fake_bus)


async def test_none(find: FindRecord, suite: Any) -> None:
    assert await find_companions(find, CompanionRefs()) == Companions()
    assert suite.calls == []


async def test_they_bind_to_their_node(find: FindRecord) -> None:
    found = await find_companions(find, CompanionRefs(joined=("box1",), linked=(builders.container_id(2),)))
    second = builders.container_id(2)
    assert found == Companions({"box1": builders.container_id(1), second: second}, {second: "box2"}, (), "n1")


async def test_on_different_nodes(find: FindRecord) -> None:
    with pytest.raises(SeawayError, match="the containers box1, box3 are on different nodes") as caught:
        await find_companions(find, CompanionRefs(joined=("box1", "box3")))
    assert caught.value.code is Code.BAD_REQUEST


@pytest.mark.parametrize(
    ("refs", "text"),
    [
        (CompanionRefs(joined=("x",)), "No such container: x"),
        (CompanionRefs(mounted=(("x", True),)), "No such container: x"),
        (CompanionRefs(linked=("x",)), "could not get container for x: No such container: x"),
    ],
)
async def test_one_that_is_not_there_is_no_404(find: FindRecord, refs: CompanionRefs, text: str) -> None:
    with pytest.raises(SeawayError) as caught:
        await find_companions(find, refs)
    assert (caught.value.code, caught.value.message) == (Code.BAD_REQUEST, text)


async def test_another_failure_stays_what_it_is(find: FindRecord, suite: Any) -> None:
    suite.fail["container.get"] = SeawayError(Code.UNAVAILABLE, "away")
    with pytest.raises(SeawayError) as caught:
        await find_companions(find, CompanionRefs(joined=("box1",)))
    assert caught.value.code is Code.UNAVAILABLE


async def test_mounts_are_taken_over(find: FindRecord, suite: Any) -> None:
    volume = Mount(type="volume", target="/data", source="v", anonymous=True, shown_mode="z")
    mounts = (volume, Mount(type="tmpfs", target="/t"), Mount(type="bind", target="/b", source="/x", read_only=True))
    suite.add(ContainerRecord(spec=builders.spec(1, mounts=mounts), node="n1"))
    writable = (await find_companions(find, CompanionRefs(mounted=(("box1", False),)))).mounts
    assert [(mount.target, mount.read_only) for mount in writable] == [("/data", False), ("/b", True)]
    data, _ = (await find_companions(find, CompanionRefs(mounted=(("box1", True),)))).mounts
    assert data == volume.model_copy(update={"read_only": True, "no_copy": True, "shown_mode": ""})
