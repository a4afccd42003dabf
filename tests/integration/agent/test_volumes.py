"""Volumes that metadata makes and removes on a node: a real agent, killed at each step."""

import asyncio
import signal
from pathlib import Path

import pytest
from tests.integration.agent.rig import AgentRig

from seaway_bus.bus import Command
from seaway_contracts import catalogue
from seaway_contracts.containers import Mount
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.lifecycle import volume_subject
from seaway_contracts.volumes import (
    ListHeldVolumes,
    MakeHeldVolume,
    RemoveHeldVolume,
    VolumeEvent,
    VolumeRecord,
)
from seaway_kit.failpoints import Failpoint

pytestmark = pytest.mark.root
RECORD = VolumeRecord(id="ab" * 32, name="users", created_ns=7, labels={"a": "b"})
ANONYMOUS = "cd" * 32


async def make(rig: AgentRig, record: VolumeRecord = RECORD) -> None:
    await rig.bus.call(catalogue.MAKE_HELD_VOLUME, MakeHeldVolume(volume=record), node=rig.node, command=Command.new())


async def remove(rig: AgentRig, record: VolumeRecord = RECORD) -> None:
    asked = RemoveHeldVolume(id=record.id, name=record.name)
    await rig.bus.call(catalogue.REMOVE_HELD_VOLUME, asked, node=rig.node, command=Command.new())


async def listed(rig: AgentRig) -> dict[str, VolumeRecord]:
    reply = await rig.bus.call(catalogue.VOLUME_INVENTORY, ListHeldVolumes(), node=rig.node)
    return {one.id: one for one in reply.volumes}


def places(rig: AgentRig) -> list[str]:
    """The entries among the node's volumes, with those that are about to be removed."""
    return sorted(path.name for path in (rig.root / "agent" / rig.node / "volumes").iterdir())


async def killed_while(rig: AgentRig, work: asyncio.Future[None]) -> None:
    """The agent is killed over this; the next one takes over."""
    await rig.until(rig.ended)
    work.cancel()
    rig.end(signal.SIGKILL)
    await rig.start()


async def test_one_that_was_made_is_there_after_a_kill(rig: AgentRig, tmp_path: Path) -> None:
    armed = await rig.start_armed(tmp_path / "failpoints")
    (armed / Failpoint.VOLUME_HELD).touch()
    await killed_while(rig, asyncio.ensure_future(make(rig)))
    kept = RECORD.model_copy(update={"node": rig.node})
    assert await listed(rig) == {RECORD.id: kept}
    await make(rig)
    assert await listed(rig) == {RECORD.id: kept} and places(rig) == ["users"]
    await remove(rig)


@pytest.mark.parametrize("point", [Failpoint.VOLUME_FORGOTTEN, Failpoint.VOLUME_REMOVED])
async def test_a_removal_is_finished_after_a_kill(rig: AgentRig, tmp_path: Path, point: Failpoint) -> None:
    armed = await rig.start_armed(tmp_path / "failpoints")
    await make(rig)
    (rig.root / "agent" / rig.node / "volumes/users/_data/file").touch()
    (armed / point).touch()
    await killed_while(rig, asyncio.ensure_future(remove(rig)))
    assert await listed(rig) == {}
    await rig.until(lambda: places(rig) == [])
    await remove(rig)
    with pytest.raises(SeawayError, match="get users: no such volume") as refused:
        await make(rig)
    assert refused.value.code is Code.NOT_FOUND
    await make(rig, RECORD.model_copy(update={"id": "ef" * 32}))
    assert places(rig) == ["users"]


async def test_one_that_a_container_has_stays(rig: AgentRig) -> None:
    """Also one that has never been started; and what a volume has is there for the next container."""
    mount = Mount(type="volume", source="used", target="/v")
    container = await rig.ran("sh", "-c", "echo hi > /v/f", mounts=(mount,))
    (record,) = (await listed(rig)).values()
    created = await rig.create(rig.spec("cat", "/v/f", mounts=(mount,)))
    await rig.remove(container)
    with pytest.raises(SeawayError, match=rf"remove used: volume is in use - \[{created}\]") as refused:
        await remove(rig, record)
    assert refused.value.code is Code.CONFLICT
    await rig.start_container(created)
    await rig.died(created)
    assert rig.output(created) == "hi\n"
    await rig.remove(created)
    await remove(rig, record)
    await rig.until(lambda: places(rig) == [])


async def test_events_name_the_volume(rig: AgentRig) -> None:
    mounts = (
        Mount(type="volume", source="own", target="/own"),
        Mount(type="volume", source=ANONYMOUS, target="/anonymous", anonymous=True),
        Mount(type="volume", source=RECORD.name, target="/users"),
    )
    await make(rig)
    spec = rig.spec("true", mounts=mounts)
    await rig.create(
        spec, volumes=[RECORD, RECORD.model_copy(update={"id": "12" * 32, "name": "own", "made_for": spec.id})]
    )
    await rig.remove(spec.id)
    await rig.wait_for(spec.id, "destroy")

    def told(name: str) -> list[tuple[str, str, bool]]:
        found = [(e.envelope.action, e.body()) for e in rig.events if e.envelope.subject_id == volume_subject(name)]
        return [(action, body.id, body.anonymous) for action, body in found if isinstance(body, VolumeEvent)]

    assert told("own") == [("create", "12" * 32, False)]
    assert told(ANONYMOUS) == [("create", ANONYMOUS, True), ("destroy", ANONYMOUS, True)]
    assert told(RECORD.name) == [], "metadata tells of one that a user makes"
