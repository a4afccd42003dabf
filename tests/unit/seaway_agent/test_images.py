"""When unpacked layers are swept."""

from typing import cast

import pytest

from seaway_agent import images
from seaway_agent.images import LayerSweeper
from seaway_agent.node import Node
from seaway_bus.bus import Bus
from seaway_contracts.catalogue import IMAGE_DELETE
from seaway_contracts.images import ImageEvent
from seaway_contracts.lifecycle import Envelope
from seaway_kit.tasks import Tasks
from seaway_testing.builders import digest
from seaway_testing.fake_transport import FakeServer, FakeTransport
from seaway_testing.waiting import until


class Counting(LayerSweeper):
    """Counts its sweeps."""

    swept = 0

    async def sweep(self) -> int:
        self.swept += 1
        return 0


async def delete(bus: Bus, number: int) -> None:
    image = digest(number).removeprefix("sha256:")
    envelope = Envelope(f"e{number}", "n1", "image", "delete", image, number)
    body = IMAGE_DELETE.encode(ImageEvent(image_id=digest(number)))
    await bus.transport.store(IMAGE_DELETE.subject("n1", image), body, envelope.headers())


async def test_deletions_twice_and_out_of_order_make_one_sweep_and_a_lost_connection_one_more(
    fake_bus: Bus, fake_server: FakeServer, tasks: Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "_SETTLE_S", 0.05)
    fake_server.deliver_twice = True
    transport = FakeTransport(fake_server)
    sweeper = Counting(Bus(transport), cast(Node, None))
    tasks.spawn("sweeper", sweeper.run())
    await fake_bus.transport.flush()
    for number in (2, 1, 3):
        await delete(fake_bus, number)
    await until(lambda: sweeper.swept == 1)
    transport.cut()
    await delete(fake_bus, 4)
    transport.mend()
    await until(lambda: sweeper.swept == 2)
    assert not sweeper._due.is_set()
