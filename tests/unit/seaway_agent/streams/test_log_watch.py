"""Growth of files, by inotify."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from seaway_agent.streams.log_watch import LogWatch, wait_for_change
from seaway_testing.waiting import GUARD_S


@pytest.fixture
async def watch() -> AsyncIterator[LogWatch]:
    """Closed at the end."""
    made = LogWatch()
    yield made
    made.close()


async def test_growth_is_told_once(watch: LogWatch, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.touch()
    first, second = watch.arm(path), watch.arm(path)
    assert first is not None and first is second and not first.is_set()
    path.write_bytes(b"x")
    await asyncio.wait_for(first.wait(), GUARD_S)
    again = watch.arm(path)
    assert again is not None and again is not first and not again.is_set()


async def test_a_rename_is_told(watch: LogWatch, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.touch()
    armed = watch.arm(path)
    assert armed is not None
    path.rename(tmp_path / "log.1")
    await asyncio.wait_for(armed.wait(), GUARD_S)


async def test_those_who_wait_can_be_stirred(watch: LogWatch, tmp_path: Path) -> None:
    path, other = tmp_path / "log", tmp_path / "other"
    path.touch()
    other.touch()
    armed, untouched = watch.arm(path), watch.arm(other)
    assert armed is not None and untouched is not None
    watch.notify(path)
    assert armed.is_set() and not untouched.is_set()
    watch.notify(tmp_path / "nobody waits for it")


async def test_a_file_that_is_not_there(watch: LogWatch, tmp_path: Path) -> None:
    assert watch.arm(tmp_path / "log") is None
    await asyncio.wait_for(wait_for_change(None, 3600), GUARD_S)


async def test_waiting_ends_by_itself(watch: LogWatch, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.touch()
    await asyncio.wait_for(wait_for_change(watch.arm(path), 0.001), GUARD_S)


async def test_closing_wakes_everybody(tmp_path: Path) -> None:
    watch, path = LogWatch(), tmp_path / "log"
    path.touch()
    armed = watch.arm(path)
    assert armed is not None
    watch.close()
    assert armed.is_set() and watch.closed and watch.arm(path) is None
