"""Which events of volumes metadata stores for a node: those of its own volumes."""

import pytest
from tests.unit.seaway_metadata.commands.test_volumes import node as node
from tests.unit.seaway_metadata.commands.test_volumes import second as second
from tests.unit.seaway_metadata.commands.volume_node import VolumeNode, anonymous, create, volume_id
from tests.unit.seaway_metadata.rig import known

from seaway_bus.bus import Bus
from seaway_contracts.catalogue import STORE_EVENTS
from seaway_contracts.lifecycle import EventToStore, StoreEvents, volume_subject
from seaway_contracts.volumes import PublicVolumeEvent
from seaway_metadata.service import Metadata

A, ID = "a" * 64, "0123456789abcdef01234567"
DATA = {"name": "data", "id": volume_id("data")}
NAMELESS = {"name": A, "id": A, "anonymous": True}


async def refusal(bus: Bus, node: str, action: str, name: str, body: PublicVolumeEvent) -> str:
    """Why metadata doesn't store this event; empty where it does."""
    told = EventToStore(
        id=ID,
        key="k",
        noun="volume",
        action=action,
        subject_id=volume_subject(name),
        time_ns=1,
        body=body.model_dump(mode="json"),
    )
    return (await bus.call(STORE_EVENTS, StoreEvents(events=(told,)), node=node)).refused.get(ID, "")


@pytest.mark.parametrize(
    ("teller", "action", "body", "text"),
    [
        ("n1", "mount", DATA, ""),
        ("n2", "mount", DATA, "the volume is another node's"),
        ("n2", "create", DATA | {"id": "f" * 64}, "the volume is another node's"),
        ("n1", "destroy", DATA, "the end of a volume with a name is not its node's to tell"),
        ("n2", "mount", {"name": "unbound"}, "the volume is another node's"),
        ("n2", "unmount", {"name": "gone", "id": "f" * 64}, ""),
        ("n1", "destroy", NAMELESS, ""),
        ("n1", "unmount", NAMELESS, ""),
        ("n2", "destroy", NAMELESS, "the volume is another node's"),
        ("n2", "create", {"name": "b" * 64, "id": "b" * 64, "anonymous": True}, ""),
        ("n2", "create", {"name": "new", "anonymous": True}, "an anonymous volume has 64 hex digits for a name"),
        ("n1", "create", {"name": DATA["id"], "anonymous": True}, "the volume is another node's"),
    ],
)
async def test_who_may_tell_what(
    node: VolumeNode,
    second: VolumeNode,
    metadata: Metadata,
    fake_bus: Bus,
    teller: str,
    action: str,
    body: dict[str, object],
    text: str,
) -> None:
    await create(fake_bus, "data", node="n1")
    await create(fake_bus, "unbound")
    await node.make(1, anonymous("a"))
    await known(metadata)
    event = PublicVolumeEvent.model_validate(body)
    assert await refusal(fake_bus, teller, action, event.name, event) == text
    assert await refusal(fake_bus, "n1", action, "another", event) == "the event speaks of two volumes"


async def test_another_copy_has_bound_it(
    node: VolumeNode, second: VolumeNode, metadata: Metadata, fake_bus: Bus
) -> None:
    made = await create(fake_bus, "data")
    await second.register(1, "data")
    metadata.volumes.table.index.put(made)
    event = PublicVolumeEvent(name="data", id=made.id)
    assert await refusal(fake_bus, "n2", "mount", "data", event) == ""
    assert await refusal(fake_bus, "n1", "mount", "data", event) == "the volume is another node's"
