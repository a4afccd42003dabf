"""The next agent after a reboot, and after a power cut that took the last transactions."""

import contextlib
import signal
import sqlite3
from pathlib import Path

import pytest
from tests.integration.agent.rig import AgentRig, numbered

from seaway_contracts import catalogue
from seaway_contracts.commands import (
    CreateContainer,
    ListInventory,
    UpdateContainer,
)
from seaway_contracts.containers import (
    ContainerNetworking,
    EndpointSpec,
    Link,
    RestartPolicy,
    State,
)

pytestmark = pytest.mark.root


async def test_after_a_reboot_who_needs_another_one_is_started_behind_it(rig: AgentRig) -> None:
    always = RestartPolicy(name="always")
    host = await rig.create(numbered(rig.spec("sleep", "600", net="bridge", restart=always), "22"))
    guest = await rig.create(numbered(rig.spec("sleep", "600", net=f"container:{host}", restart=always), "11"))
    link = Link(container=host, name="host", alias="h")
    network = ContainerNetworking(endpoints=(EndpointSpec(network="bridge", links=(link,)),))
    linked = await rig.create(numbered(rig.spec("sleep", "600", network=network, restart=always), "00"))
    for container in (host, guest, linked):
        await rig.start_container(container)
    rig.cut_power()
    await rig.start()
    for container in (host, guest, linked):
        assert (await rig.died(container)).status.exit_code == 255
        await rig.until(lambda: rig.told(container).count("start") == 2, lambda: rig.story(container))  # noqa: B023
        assert (await rig.inventory())[container].status.state is State.RUNNING


async def test_what_a_power_cut_took_from_the_database_is_known_from_metadata(rig: AgentRig, tmp_path: Path) -> None:
    """An older copy of the database plays the part of commits that never reached the disk."""
    database, copy = rig.root / "agent" / rig.node / "agent.db", tmp_path / "copy.db"
    ran, removed, changed = [await rig.create(rig.spec("sleep", "600")) for _ in range(3)]
    with contextlib.closing(sqlite3.connect(database)) as db, contextlib.closing(sqlite3.connect(copy)) as kept:
        db.backup(kept)
    await rig.start_container(ran)
    await rig.remove(removed)
    asked = UpdateContainer(id=changed, restart=RestartPolicy(name="on-failure"))
    await rig.bus.call(catalogue.UPDATE, asked, node=rig.node)
    for container, action in ((ran, "start"), (removed, "destroy"), (changed, "update")):
        await rig.wait_for(container, action)
    await rig.all_stored()

    rig.cut_power()
    for path in database.parent.glob("agent.db*"):
        path.unlink()
    copy.rename(database)
    await rig.start()
    assert (await rig.died(ran)).status.exit_code == 255
    held = await rig.inventory()
    assert set(held) == {ran, changed}
    assert held[changed].spec.restart.name == "on-failure"
    await rig.start_container(ran)
    await rig.until(lambda: rig.told(ran) == ["create", "start", "die", "start"])
    numbers = [event.envelope.seq for event in rig.events if event.envelope.subject_id == ran]
    assert numbers == sorted(set(numbers)), "what is told later counts as newer"


@pytest.mark.parametrize("policy", ["no", "always"])
async def test_a_container_that_a_power_cut_took_from_the_database_comes_back_from_its_record(
    rig: AgentRig, tmp_path: Path, policy: str
) -> None:
    """The test plays metadata, which finds a record that the node doesn't know any more."""
    database, copy = rig.root / "agent" / rig.node / "agent.db", tmp_path / "copy.db"
    with contextlib.closing(sqlite3.connect(database)) as db, contextlib.closing(sqlite3.connect(copy)) as kept:
        db.backup(kept)
    spec = rig.spec("sleep", "600", restart=RestartPolicy.model_validate({"name": policy}))
    await rig.create(spec)
    former = (await rig.start_container(spec.id)).status
    await rig.wait_for(spec.id, "start")
    await rig.all_stored()
    rig.cut_power()
    for path in database.parent.glob("agent.db*"):
        path.unlink()
    copy.rename(database)
    await rig.start()
    held = await rig.bus.call(catalogue.INVENTORY, ListInventory(), node=rig.node)
    assert held.lost_memory and not held.containers
    await rig.bus.call(catalogue.CREATE, CreateContainer(spec=spec, former=former), node=rig.node)
    assert (await rig.died(spec.id)).status.exit_code == 255
    if policy == "no":
        await rig.start_container(spec.id)
    await rig.until(lambda: rig.told(spec.id) == ["create", "start", "die", "start"])
    numbers = [event.envelope.seq for event in rig.events if event.envelope.subject_id == spec.id]
    assert numbers == sorted(set(numbers))
    rig.end(signal.SIGKILL)
    await rig.start()
    assert (await rig.inventory())[spec.id].status.state is State.RUNNING, "it was written down"
