"""What a slow client has not read yet."""

import asyncio
import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaway_agent.streams.backlog import Backlog
from seaway_agent.streams.spill import SpillStore
from seaway_testing.descriptors import open_descriptors
from seaway_testing.waiting import until


@pytest.fixture
def spill(tmp_path: Path) -> Iterator[SpillStore]:
    made = SpillStore(tmp_path, disk=1000, segment=6)
    yield made
    made.close()


@pytest.fixture
async def small(spill: SpillStore) -> Backlog:
    """Four bytes in memory, eight on disk, in files of about six."""
    return Backlog(spill, in_memory=4, on_disk=8)


async def drain(backlog: Backlog) -> bytes:
    """All that is in it, until its end."""
    taken = b""
    while data := await backlog.get():
        taken += data
    return taken


async def test_bytes_come_in_order_and_then_the_end(small: Backlog) -> None:
    small.put(b"ab")
    small.put(b"cd")
    small.end()
    assert await drain(small) == b"abcd"
    assert await small.get() == b""


async def test_what_memory_can_not_hold_goes_to_an_unlinked_file(tmp_path: Path, small: Backlog) -> None:
    before = open_descriptors()
    for piece in (b"abcd", b"ef", b"g"):
        assert small.put(piece)
    await until(lambda: open_descriptors() == before + 1)
    assert list(tmp_path.iterdir()) == []
    small.end()
    assert await drain(small) == b"abcdefg"
    assert open_descriptors() == before


async def test_behind_what_is_on_disk_everything_goes_to_disk(small: Backlog) -> None:
    small.put(b"abcd")
    small.put(b"ef")
    assert await small.get() == b"abcd"
    small.put(b"g")
    small.end()
    assert await drain(small) == b"efg"


async def test_beyond_the_bound_bytes_are_refused(small: Backlog) -> None:
    assert small.put(b"abcd")
    assert small.put(b"12345678")
    assert not small.put(b"x")


async def test_the_bound_is_open_again_once_all_was_read(small: Backlog) -> None:
    small.put(b"abcd")
    small.put(b"12345678")
    await small.get()
    await small.get()
    assert small.put(b"efgh")
    assert small.put(b"12345678")


async def test_read_files_are_given_back_while_there_are_more(spill: SpillStore) -> None:
    backlog, before = Backlog(spill, in_memory=0, on_disk=100), open_descriptors()
    for _ in range(10):
        backlog.put(b"123456")
        await until(lambda: not backlog._writing)
    assert open_descriptors() == before + 10
    for left in range(9, -1, -1):
        assert await backlog.get() == b"123456"
        assert open_descriptors() == before + left


# --- bounds over all clients


async def test_disk_is_bounded_over_all_clients(tmp_path: Path) -> None:
    spill = SpillStore(tmp_path, disk=10)
    one, two = Backlog(spill, in_memory=0), Backlog(spill, in_memory=0)
    assert one.put(b"123456") and not two.put(b"12345") and two.put(b"1234")
    assert not one.put(b"7")
    await until(lambda: not one.congested and not one._writing and not two._writing)
    one.close()
    assert two.put(b"567890")
    two.end()
    assert await drain(two) == b"1234567890"
    spill.close()


async def test_memory_is_bounded_over_all_clients_and_each_has_some(tmp_path: Path) -> None:
    spill, before = SpillStore(tmp_path, memory=1 << 20), open_descriptors()
    one, two = Backlog(spill), Backlog(spill)
    assert one.put(bytes(1 << 20)) and two.put(bytes(128 << 10))
    assert open_descriptors() == before
    assert two.put(b"x")
    await until(lambda: open_descriptors() == before + 1)
    one.close()
    assert Backlog(spill).put(bytes(1 << 20))
    two.close()
    spill.close()


# --- the disk


async def test_a_directory_that_can_not_be_written_is_a_failure(tmp_path: Path) -> None:
    told: list[str] = []
    backlog = Backlog(SpillStore(tmp_path / "missing"), in_memory=1, on_disk=10, on_change=lambda: told.append("x"))
    assert backlog.put(b"a") and backlog.put(b"bc")
    await until(lambda: backlog.failed is not None)
    assert told and not backlog.put(b"d")
    assert await backlog.get() == b"a"
    with pytest.raises(FileNotFoundError):
        await backlog.get()


async def test_the_last_twentieth_of_a_disk_is_left_alone(spill: SpillStore, monkeypatch: pytest.MonkeyPatch) -> None:
    free = {"blocks": 51}
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_blocks=1000, f_bavail=free["blocks"]))
    roomy, late = (Backlog(spill, in_memory=0, on_disk=100) for _ in range(2))
    assert roomy.put(b"123456")
    await until(lambda: not roomy._writing)
    assert roomy.failed is None
    free["blocks"] = 49
    assert late.put(b"123456")
    await until(lambda: late.failed is not None)
    assert late.failed is not None and late.failed.errno == errno.ENOSPC
    for one in (roomy, late):
        one.close()


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """A disk with room for so much in a file: the last write before the end of it is a short one."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_short_write_is_no_success(tmp_path: Path) -> None:
    spill = SpillStore(tmp_path)
    backlog = Backlog(spill, in_memory=0)
    with files_of_at_most(1_000_000):
        backlog.put(b"x" * 900_000)
        await until(lambda: not backlog._writing)
        backlog.put(b"y" * 200_000)
        await until(lambda: backlog.failed is not None)
    taken = b""
    with pytest.raises(OSError, match="File too large"):
        while True:
            taken += await backlog.get()
    assert taken == b"x" * 900_000
    spill.close()


async def test_it_says_when_the_disk_is_behind(tmp_path: Path) -> None:
    spill, told = SpillStore(tmp_path), asyncio.Event()
    backlog = Backlog(spill, in_memory=0, on_change=told.set)
    backlog.put(bytes(800_000))
    assert not backlog.congested
    backlog.put(bytes(800_000))
    assert backlog.congested
    while backlog.congested:
        told.clear()
        await told.wait()
    spill.close()


async def test_closing_amid_reads_and_writes_leaves_nothing_open(spill: SpillStore) -> None:
    before = open_descriptors()
    backlog = Backlog(spill, in_memory=0, on_disk=100)
    backlog.put(b"123456")
    await until(lambda: not backlog._writing)
    reading = asyncio.ensure_future(backlog.get())
    await asyncio.sleep(0)
    backlog.put(b"abcdef")
    reading.cancel()
    backlog.close()
    await until(lambda: open_descriptors() == before)
    assert spill.reserve_disk(1000)
    assert await backlog.get() == b""


# --- waiting


async def test_get_waits_for_more(small: Backlog) -> None:
    waiting = asyncio.ensure_future(small.get())
    await asyncio.sleep(0)
    assert not waiting.done()
    small.put(b"x")
    assert await waiting == b"x"


async def test_the_end_wakes_who_waits(small: Backlog) -> None:
    waiting = asyncio.ensure_future(small.get())
    await asyncio.sleep(0)
    small.end()
    assert await waiting == b""


@given(steps=st.lists(st.one_of(st.binary(min_size=1, max_size=6), st.none()), max_size=40))
def test_nothing_is_lost_doubled_or_out_of_order(
    tmp_path_factory: pytest.TempPathFactory, steps: list[bytes | None]
) -> None:
    """`None` takes one piece where there is one."""

    async def run() -> None:
        spill = SpillStore(tmp_path_factory.getbasetemp(), disk=1000, segment=8)
        backlog = Backlog(spill, in_memory=5, on_disk=1000)
        put, taken = b"", b""
        for step in steps:
            if step is not None:
                assert backlog.put(step)
                put += step
            elif len(taken) < len(put):
                taken += await backlog.get()
        backlog.end()
        taken += await drain(backlog)
        backlog.close()
        assert taken == put
        assert spill.reserve_disk(1000)
        spill.close()

    asyncio.run(run())
