"""Requests over several nodes while one of them is down: what is known is answered, without a call to it."""

import asyncio
from typing import Any

import pytest

from seaway_api.routes.silent_nodes import unless_silent
from seaway_bus.bus import Command
from seaway_contracts import catalogue as cat
from seaway_contracts.archives import ContainerSize, ContainerSizes, MeasureContainers
from seaway_contracts.containers import ContainerRecord, Health, State
from seaway_contracts.errors import unavailable
from seaway_contracts.nodes import NodeFacts, NodeList
from seaway_contracts.volumes import VolumeRecord
from seaway_testing import builders
from seaway_testing.builders import container_id, node_record


@pytest.fixture
async def rig_of_two(rig: Any) -> Any:
    """n1 is up and measures its containers; n2 is down, and nobody answers for it."""

    async def sizes(request: MeasureContainers, _: Command) -> ContainerSizes:
        return ContainerSizes(sizes=tuple(ContainerSize(id=one, rw=5, root_fs=9) for one in request.ids))

    await rig.suite.bus.serve(cat.SIZES, sizes, node="n1")
    facts = {node: NodeFacts(address=f"192.0.2.{number}") for number, node in enumerate(("n1", "n2"), start=1)}
    rig.suite.nodes = NodeList(
        nodes=(node_record("n1", facts=facts["n1"]), node_record("n2", up=False, facts=facts["n2"]))
    )
    return rig


def box(seed: int, node: str, state: State = State.RUNNING, health: Health | None = None) -> ContainerRecord:
    status = builders.status(state, run=1, started_ns=1, finished_ns=2, health=health)
    return ContainerRecord(spec=builders.spec(seed), node=node, status=status)


async def test_lists_and_disk_usage_mark_what_ran_there(rig_of_two: Any) -> None:
    rig_of_two.suite.add(box(1, "n1"))
    rig_of_two.suite.add(box(2, "n2"))
    rig_of_two.suite.add(box(3, "n2", State.EXITED))
    listed = (await rig_of_two.call("GET", "/containers/json?all=1&size=1")).json
    used = (await rig_of_two.call("GET", "/system/df")).json["Containers"]
    for lines in (listed, used):
        shown = {line["Id"]: (line["State"], line["Status"]) for line in lines}
        assert shown[container_id(2)] == ("running", "Host Down")
        assert shown[container_id(1)][1].startswith("Up ")
        assert shown[container_id(3)][1].startswith("Exited (0) ")
    assert {line["Id"]: line.get("SizeRw") for line in listed} == {
        container_id(1): 5,
        container_id(2): None,
        container_id(3): None,
    }


async def test_inspect_marks_the_node(rig_of_two: Any) -> None:
    health = Health(status="healthy", log=())
    rig_of_two.suite.add(box(2, "n2", health=health))
    for query in ("", "?size=1"):
        shown = (await rig_of_two.call("GET", f"/containers/{container_id(2)}/json{query}")).json
        node = {key: shown["Node"][key] for key in ("Name", "IP", "Status")}
        assert node == {"Name": "n2", "IP": "192.0.2.2", "Status": "Down"}
        assert shown["State"]["Health"]["Status"] == "healthy"


async def test_a_prune_leaves_what_is_there(rig_of_two: Any) -> None:
    for seed, node in ((1, "n1"), (2, "n2"), (3, "n2")):
        rig_of_two.suite.add(box(seed, node, State.EXITED))
    await rig_of_two.call("GET", "/containers/json")  # it learns of the nodes
    done = (await rig_of_two.call("POST", "/containers/prune")).json
    assert done == {"ContainersDeleted": [container_id(1)], "SpaceReclaimed": 5}
    assert set(rig_of_two.suite.records) == {container_id(2), container_id(3)}


async def test_a_node_that_does_not_answer_is_asked_once_by_a_prune(rig_of_two: Any) -> None:
    for seed in (1, 2, 3):
        rig_of_two.suite.add(box(seed, "n1", State.EXITED))
    rig_of_two.suite.fail["remove"] = unavailable("node n1 is not there just now")
    assert (await rig_of_two.call("POST", "/containers/prune")).json["ContainersDeleted"] is None
    assert len(rig_of_two.suite.named("remove")) == 1


async def test_volumes_there_are_neither_measured_nor_pruned(rig_of_two: Any) -> None:
    for name, node in (("near", "n1"), ("far", "n2")):
        record = VolumeRecord(id=f"id of {name}", name=name, created_ns=builders.START_NS, node=node)
        rig_of_two.suite.volumes.add(record)
    await rig_of_two.call("GET", "/containers/json")
    volumes = (await rig_of_two.call("GET", "/system/df")).json["Volumes"]
    assert {one["Name"]: one["UsageData"]["Size"] for one in volumes}["far"] == -1
    await rig_of_two.call("POST", '/volumes/prune?filters={"all":["1"]}')
    assert set(rig_of_two.suite.volumes.volumes) == {"far"}


async def test_a_node_that_lives_may_take_long_and_a_silent_one_may_not(
    rig: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seaway_api.routes.silent_nodes._SILENT_S", 0.5)
    given_up = asyncio.Event()

    async def slow() -> str:
        await given_up.wait()
        return "answered"

    async def never() -> str:
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()
        return ""

    asked = (("n1", slow), ("n2", never))
    found = await asyncio.gather(*(unless_silent(rig.api, node, ask, "unknown") for node, ask in asked))
    assert found == ["answered", "unknown"]
