"""What a slow client has not read yet."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaway_agent.streams.backlog import Backlog


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Backlog]:
    """Four bytes in memory, eight on disk."""
    backlog = Backlog(tmp_path, in_memory=4, on_disk=8)
    yield backlog
    backlog.close()


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
    fds = len(os.listdir("/proc/self/fd"))
    for piece in (b"abcd", b"ef", b"g"):
        assert small.put(piece)
    assert len(os.listdir("/proc/self/fd")) == fds + 1
    assert list(tmp_path.iterdir()) == []
    assert (await small.get(), await small.get()) == (b"abcd", b"efg")
    assert len(os.listdir("/proc/self/fd")) == fds


async def test_behind_what_is_on_disk_everything_goes_to_disk(small: Backlog) -> None:
    small.put(b"abcd")
    small.put(b"ef")
    assert await small.get() == b"abcd"
    small.put(b"g")
    small.end()
    assert await drain(small) == b"efg"


def test_beyond_the_bound_bytes_are_refused(small: Backlog) -> None:
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


def test_a_directory_that_can_not_be_written_refuses(tmp_path: Path) -> None:
    backlog = Backlog(tmp_path / "missing", in_memory=1, on_disk=10)
    assert not backlog.put(b"ab")


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
        backlog = Backlog(tmp_path_factory.getbasetemp(), in_memory=5, on_disk=1000)
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

    asyncio.run(run())
