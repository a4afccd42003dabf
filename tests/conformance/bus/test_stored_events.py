"""Events from the stream alone: past and present without a gap, each once, whatever the connection does."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

from tests.conformance.bus.heard import send

from seaway_bus.events import Event
from seaway_bus.stored_events import StoredEvents
from seaway_bus.transport import Transport
from seaway_contracts.catalogue import CONTAINER_STATUS, EVENT_STREAM
from seaway_testing.builders import container_event, status
from seaway_testing.waiting import until
from seaway_testing.wire import FakeWire, Wire


@contextlib.asynccontextmanager
async def followed(
    reading: StoredEvents, end_ns: int | None = None
) -> AsyncIterator[tuple[list[Event], asyncio.Future[None]]]:
    """The list to which what is read gets appended."""
    found: list[Event] = []

    async def follow() -> None:
        async for event in reading.until(end_ns):
            found.append(event)

    task = asyncio.ensure_future(follow())
    try:
        yield found, task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def seqs(events: list[Event]) -> list[int]:
    return [event.envelope.seq for event in events]


async def test_past_and_present(transport: Transport, other: Transport) -> None:
    await transport.ensure_stream(EVENT_STREAM)
    for seq in range(1, 51):
        await send(other, seq)
    async with followed(StoredEvents(transport)) as (found, _):
        for seq in range(51, 101):
            await send(other, seq)
        await until(lambda: len(found) >= 100)
        assert seqs(found) == list(range(1, 101))
        assert [event.stream_seq for event in found] == list(range(1, 101))
    async with followed(StoredEvents(transport, after=97)) as (found, _):
        await until(lambda: len(found) == 3)
        await send(other, 101)
        await until(lambda: len(found) == 4)
        assert seqs(found) == [98, 99, 100, 101]


async def test_more_than_the_server_sends_at_once(transport: Transport, other: Transport) -> None:
    await transport.ensure_stream(EVENT_STREAM)
    async with followed(StoredEvents(transport)) as (found, _):
        for seq in range(1, 501):
            envelope, body = container_event("status", status(seq=seq))
            body = body.model_copy(update={"attributes": {"padding": "x" * 15_000}})
            subject = CONTAINER_STATUS.subject(envelope.node, envelope.subject_id)
            await other.store(subject, CONTAINER_STATUS.encode(body), envelope.headers())
        await until(lambda: len(found) >= 500)
        assert seqs(found) == list(range(1, 501))


async def test_up_to_now(transport: Transport, other: Transport) -> None:
    await transport.ensure_stream(EVENT_STREAM)
    reading = StoredEvents(transport)
    assert [event async for event in reading.now()] == []
    for seq in (1, 2, 3):
        await send(other, seq)
    assert seqs([event async for event in reading.now()]) == [1, 2, 3]
    assert [event async for event in reading.now()] == []


async def test_until_a_time(transport: Transport, other: Transport) -> None:
    await transport.ensure_stream(EVENT_STREAM)
    await send(other, 1)
    past = StoredEvents(transport)
    assert seqs([event async for event in past.until(time.time_ns() - 1)]) == [1]
    clock_ns = 0
    async with followed(StoredEvents(transport, now_ns=lambda: clock_ns), end_ns=300_000_000) as (found, task):
        await until(lambda: len(found) == 1)
        await send(other, 2)
        await until(task.done)
        assert seqs(found) == [1, 2]


async def test_a_reader_goes_on_behind_what_it_has_read(wire: Wire, transport: Transport, other: Transport) -> None:
    await transport.ensure_stream(EVENT_STREAM)
    async with followed(StoredEvents(transport)) as (found, _):
        total = 0
        for _ in range(3):
            await send(other, total := total + 1)
            await until(lambda: len(found) == total)
            await wire.stop()
            await wire.start()
            for _ in range(5):
                await send(other, total := total + 1)
            await until(lambda: len(found) >= total)
        assert seqs(found) == list(range(1, total + 1))


async def test_a_stream_that_was_begun_anew_is_read_from_its_beginning() -> None:
    wire = FakeWire()
    transport, other = await wire.connect(), await wire.connect()
    await transport.ensure_stream(EVENT_STREAM)
    for seq in (1, 2, 3):
        await send(other, seq)
    async with followed(StoredEvents(transport)) as (found, _):
        await until(lambda: len(found) == 3)
        await wire.stop()
        wire.server.wipe()
        await wire.start()
        await send(other, 4)
        await until(lambda: len(found) == 4)
        assert [(event.envelope.seq, event.stream_seq) for event in found[3:]] == [(4, 1)]
