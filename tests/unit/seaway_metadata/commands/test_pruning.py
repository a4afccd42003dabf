from pathlib import Path

from seaway_bus.bus import Bus, Command
from seaway_bus.events import Event
from seaway_bus.feed import EventFeed
from seaway_contracts.catalogue import TELL_PRUNE
from seaway_contracts.commands import Pruned
from seaway_contracts.lifecycle import PruneEvent
from seaway_kit.tasks import Tasks
from seaway_metadata.service import running
from seaway_metadata.settings import MetadataSettings
from seaway_testing.fake_transport import FakeServer, FakeTransport
from seaway_testing.waiting import until


async def test_a_prune_is_told_once_however_often_it_is_asked_for(fake_server: FakeServer, tmp_path: Path) -> None:
    told: list[Event] = []
    tasks, bus = Tasks("test"), Bus(FakeTransport(fake_server))
    async with running(bus, Tasks("metadata"), MetadataSettings(root=tmp_path)):
        feed = EventFeed(bus.transport, told.append, tasks)
        await feed.start()
        command = Command.new("someone")
        for _ in range(2):
            await bus.call(TELL_PRUNE, Pruned(kind="container", reclaimed=42), command=command)
        await bus.call(TELL_PRUNE, Pruned(kind="image"), command=Command.new(""))
        await until(lambda: len(told) >= 2)
        await feed.close()
    await bus.close()
    bodies = [event.channel.decode(event.data) for event in told]
    assert [event.envelope.actor for event in told] == ["someone", ""]
    assert bodies == [
        PruneEvent(kind="container", attributes={"reclaimed": "42"}),
        PruneEvent(kind="image", attributes={"reclaimed": "0"}),
    ]
