"""What any transport must do with what is stored: the stream and the buckets."""

import asyncio
import time
import tracemalloc

import pytest

from seaway_bus.transport import Bucket, Message, NoResponders, TooLarge, Transport, WrongRevision
from seaway_contracts.channels import BucketConfig, StreamConfig
from seaway_testing.wire import Wire

STREAM = StreamConfig("TEST", ("t.>",), max_age_s=3600, max_bytes=1 << 30, duplicate_window_s=600)
BUCKET = BucketConfig("test_bucket", "A test's.")


async def numbers(transport: Transport, subject: str = "t.>", **start: int) -> list[int]:
    return [int(m.data) async for m in transport.replay("TEST", subject, **start)]


async def store_has(transport: Transport, last: int) -> None:
    """The server stores what is published without asking a little later than it confirms it."""
    async with asyncio.timeout(10):
        while await transport.last_sequence("TEST") < last:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_store_counts_and_drops_repeats(transport: Transport) -> None:
    await transport.ensure_stream(STREAM)
    assert await transport.last_sequence("TEST") == 0
    assert await transport.store("t.a", b"1", {"Nats-Msg-Id": "one"}) == 1
    assert await transport.store("t.a", b"1", {"Nats-Msg-Id": "one"}) == 1
    assert await transport.store("t.a", b"2", {"Nats-Msg-Id": "two"}) == 2
    assert await transport.last_sequence("TEST") == 2
    assert await numbers(transport) == [1, 2]


async def test_what_is_purged_is_gone_and_nothing_else(transport: Transport) -> None:
    await transport.ensure_stream(STREAM)
    for number in range(1, 7):
        await transport.store("t.a" if number % 2 else "t.b", b"%d" % number, {"Nats-Msg-Id": str(number)})
    before = await transport.stream_size("TEST")
    assert (before.first, before.last) == (1, 6) and before.size > 0
    assert await transport.purge("TEST", "t.a", 3) == 2
    assert await numbers(transport) == [2, 4, 5, 6]
    after = await transport.stream_size("TEST")
    assert (after.first, after.last) == (2, 6) and after.size < before.size
    assert await transport.store("t.a", b"7", {"Nats-Msg-Id": "7"}) == 7


async def test_repeats_are_known_after_a_restart(wire: Wire, transport: Transport) -> None:
    await transport.ensure_stream(STREAM)
    await transport.store("t.a", b"1", {"Nats-Msg-Id": "one"})
    await wire.stop()
    await wire.start()
    assert await transport.store("t.a", b"1", {"Nats-Msg-Id": "one"}) == 1
    assert await numbers(transport) == [1]


async def test_stored_messages_are_heard_live(transport: Transport, other: Transport) -> None:
    await transport.ensure_stream(STREAM)
    got: list[Message] = []
    await other.subscribe("t.*", got.append)
    await other.flush()
    await transport.store("t.a", b"1", {"Nats-Msg-Id": "one"})
    await other.flush()
    assert [(m.data, m.stream_seq) for m in got] == [(b"1", 0)]


async def test_no_stream_takes_the_subject(transport: Transport) -> None:
    with pytest.raises(NoResponders):
        await transport.store("elsewhere", b"", {})


async def test_ensure_again_and_with_changes(transport: Transport) -> None:
    await transport.ensure_stream(STREAM)
    await transport.store("t.a", b"1", {})
    await transport.ensure_stream(STREAM)
    wider = StreamConfig("TEST", ("t.>", "u.>"), max_age_s=7200, max_bytes=1 << 30, duplicate_window_s=600)
    await transport.ensure_stream(wider)
    assert await transport.store("u.a", b"2", {}) == 2
    assert await numbers(transport) == [1]


async def test_replay_from_a_sequence_number(transport: Transport) -> None:
    await transport.ensure_stream(STREAM)
    for number in range(1, 301):
        await transport.publish("t.even" if number % 2 == 0 else "t.odd", str(number).encode())
    await store_has(transport, 300)
    assert await numbers(transport) == list(range(1, 301))
    assert await numbers(transport, start_seq=250) == list(range(250, 301))
    assert await numbers(transport, "t.even", start_seq=291) == [292, 294, 296, 298, 300]
    assert await numbers(transport, "t.none") == []
    assert await numbers(transport, start_seq=301) == []
    found = [m async for m in transport.replay("TEST", "t.>", start_seq=299)]
    assert [m.stream_seq for m in found] == [299, 300]
    assert all(abs(m.stored_ns - time.time_ns()) < 60e9 for m in found)


async def test_replay_from_a_time(transport: Transport) -> None:
    await transport.ensure_stream(STREAM)
    await transport.store("t.a", b"1", {})
    between = time.time_ns()
    await transport.store("t.a", b"2", {})
    assert await numbers(transport, start_ns=between) == [2]
    assert await numbers(transport, start_ns=between - 60_000_000_000) == [1, 2]
    assert await numbers(transport, start_ns=time.time_ns() + 5_000_000_000) == []


async def test_replay_of_an_empty_stream(transport: Transport) -> None:
    await transport.ensure_stream(STREAM)
    assert await numbers(transport) == []


async def test_replay_ends_though_the_stream_is_written_to(transport: Transport, other: Transport) -> None:
    await transport.ensure_stream(STREAM)
    for number in range(50):
        await transport.store("t.a", str(number).encode(), {})
    stopped = asyncio.Event()

    async def write_on() -> None:
        number = 50
        while not stopped.is_set():
            await other.store("t.a", str(number).encode(), {})
            number += 1

    writer = asyncio.ensure_future(write_on())
    found = await asyncio.wait_for(numbers(transport), 10)
    stopped.set()
    await writer
    assert found == list(range(len(found))) and len(found) >= 50


async def test_replay_left_halfway(transport: Transport) -> None:
    await transport.ensure_stream(STREAM)
    for number in range(20):
        await transport.store("t.a", str(number).encode(), {})
    async for message in transport.replay("TEST", "t.>"):
        if message.data == b"3":
            break
    assert await numbers(transport) == list(range(20))


async def filled(transport: Transport, count: int, size: int) -> None:
    await transport.ensure_stream(STREAM)
    body = b"x" * size
    for _ in range(count):
        await transport.publish("t.a", body)
    await store_has(transport, count)


async def test_replay_larger_than_the_flow_control_window(transport: Transport) -> None:
    await filled(transport, 200, 100_000)
    assert sum([len(m.data) async for m in transport.replay("TEST", "t.>")]) == 20_000_000


async def test_what_a_slow_reader_has_not_read_stays_with_the_server(transport: Transport) -> None:
    await filled(transport, 1000, 50_000)
    read = 0
    tracemalloc.start()
    try:
        async for _ in transport.replay("TEST", "t.>"):
            read += 1
            await transport.flush()
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    assert read == 1000


async def test_create_update_delete(transport: Transport) -> None:
    bucket = await transport.bucket(BUCKET)
    assert await bucket.get("k") is None
    first = await bucket.create("k", b"1")
    with pytest.raises(WrongRevision):
        await bucket.create("k", b"again")
    entry = await bucket.get("k")
    assert entry is not None and (entry.key, entry.value, entry.revision) == ("k", b"1", first)
    second = await bucket.update("k", b"2", first)
    assert second > first
    with pytest.raises(WrongRevision):
        await bucket.update("k", b"3", first)
    with pytest.raises(WrongRevision):
        await bucket.delete("k", first)
    await bucket.delete("k", second)
    assert await bucket.get("k") is None
    await bucket.delete("k", second)
    await bucket.delete("k")


async def test_create_after_delete(transport: Transport) -> None:
    bucket = await transport.bucket(BUCKET)
    for value in (b"1", b"2", b"3"):
        revision = await bucket.create("k", value)
        await bucket.delete("k", revision)
    last = await bucket.create("k", b"4")
    await bucket.delete("k")
    newer = await bucket.create("k", b"5")
    with pytest.raises(WrongRevision):
        await bucket.update("k", b"6", last)
    entry = await bucket.get("k")
    assert entry is not None and (entry.value, entry.revision) == (b"5", newer)


async def test_update_of_an_absent_key(transport: Transport) -> None:
    bucket = await transport.bucket(BUCKET)
    with pytest.raises(WrongRevision):
        await bucket.update("k", b"1", 7)


async def test_only_one_of_many_creates_wins(transport: Transport, other: Transport) -> None:
    buckets = [await transport.bucket(BUCKET), await other.bucket(BUCKET)]
    tries = [buckets[n % 2].create("k", str(n).encode()) for n in range(20)]
    outcomes = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(outcome, int) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, WrongRevision) for outcome in outcomes) == 19


async def test_entries_and_put(transport: Transport) -> None:
    bucket = await transport.bucket(BUCKET)
    assert [entry async for entry in bucket.entries()] == []
    for number in range(20):
        await bucket.put(f"k{number}", b"old")
        await bucket.put(f"k{number}", str(number).encode())
    await bucket.delete("k0")
    found = {entry.key: entry async for entry in bucket.entries()}
    assert {key: entry.value for key, entry in found.items()} == {f"k{n}": str(n).encode() for n in range(1, 20)}
    await bucket.update("k1", b"new", found["k1"].revision)


async def test_entries_end_though_keys_are_deleted_meanwhile(transport: Transport, other: Transport) -> None:
    bucket, same = await transport.bucket(BUCKET), await other.bucket(BUCKET)
    for number in range(50):
        await bucket.put(f"k{number}", b"")
    for last in range(49, 29, -1):
        reading = asyncio.ensure_future(_keys(bucket))
        await same.delete(f"k{last}")
        found = await asyncio.wait_for(reading, 10)
        assert found - {f"k{last}"} == {f"k{number}" for number in range(last)}


async def _keys(bucket: Bucket) -> set[str]:
    return {entry.key async for entry in bucket.entries()}


async def test_bucket_survives_a_restart(wire: Wire, transport: Transport) -> None:
    bucket = await transport.bucket(BUCKET)
    kept = await bucket.create("kept", b"1")
    gone = await bucket.create("gone", b"1")
    await bucket.delete("gone", gone)
    await wire.stop()
    await wire.start()
    assert {entry.key: entry.revision async for entry in bucket.entries()} == {"kept": kept}
    await bucket.create("gone", b"2")
    await bucket.update("kept", b"2", kept)


async def test_too_large_a_value(transport: Transport) -> None:
    bucket = await transport.bucket(BUCKET)
    with pytest.raises(TooLarge):
        await bucket.create("k", b"x" * (transport.max_payload + 1))
    assert await bucket.get("k") is None
