"""The past that is read from the stream: from a time on, and over a server that is away for a moment."""

import asyncio

import pytest
from tests.conformance.bus.heard import send

from seaway_bus import events as events_module
from seaway_bus.events import history
from seaway_bus.transport import Transport, TransportError
from seaway_contracts.catalogue import EVENT_STREAM
from seaway_testing.wire import Wire


async def test_history_from_a_time(transport: Transport) -> None:
    await transport.ensure_stream(EVENT_STREAM)
    for seq in (1, 2, 3):
        await send(transport, seq)
    stored = [m.stored_ns async for m in transport.replay(EVENT_STREAM.name, "seaway.v1.event.>")]
    assert [e.envelope.seq async for e in history(transport, start_ns=stored[1])] == [2, 3]


async def test_history_waits_for_a_server_that_is_away(wire: Wire, transport: Transport) -> None:
    """At its beginning and in its middle; nothing comes twice."""
    await transport.ensure_stream(EVENT_STREAM)
    for seq in range(1, 41):
        await send(transport, seq)
    await wire.stop()
    asyncio.get_running_loop().call_later(0.2, lambda: back.append(asyncio.ensure_future(wire.start())))
    back: list[asyncio.Future[None]] = []
    got = []
    async for event in history(transport, start_ns=1):
        got.append(event.envelope.seq)
        if event.envelope.seq == 20:
            await wire.stop()
            await wire.start()
    assert got == list(range(1, 41))
    await asyncio.gather(*back)


async def test_history_does_not_wait_for_ever(
    wire: Wire, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_module, "_AWAY_S", 0.2)
    await transport.ensure_stream(EVENT_STREAM)
    await wire.stop()
    with pytest.raises(TransportError):
        await anext(history(transport, start_ns=0))
    await wire.start()
