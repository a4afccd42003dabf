"""The exit watch on a real inotify."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from seaway_agent.runtime.exits import ExitWatch
from seaway_testing import builders
from seaway_testing.descriptors import none_left_open
from seaway_testing.waiting import until

ONE, TWO = builders.container_id(1), builders.container_id(2)


@pytest.fixture
async def seen(tmp_path: Path) -> "Iterator[list[str]]":
    """The ids that the watch calls back with."""
    found: list[str] = []
    watch = ExitWatch(tmp_path, found.append)
    watch.start()
    yield found
    watch.close()


def conmon_writes(directory: Path, name: str, text: str = "0") -> None:
    """As conmon does: a file beside it, then a rename."""
    draft = directory / f".{name}.tmp"
    draft.write_text(text)
    draft.rename(directory / name)


async def test_each_renamed_file_is_seen_by_its_name(tmp_path: Path, seen: list[str]) -> None:
    conmon_writes(tmp_path, ONE)
    conmon_writes(tmp_path, TWO)
    await until(lambda: set(seen) == {ONE, TWO})


async def test_other_files_are_left_alone(tmp_path: Path, seen: list[str]) -> None:
    (tmp_path / "stranger").write_text("x")
    conmon_writes(tmp_path, ONE)
    await until(lambda: seen)
    assert set(seen) == {ONE}


async def test_a_thousand_at_once_are_all_seen(tmp_path: Path, seen: list[str]) -> None:
    """More than one read takes."""
    ids = {builders.container_id(f"many {n}") for n in range(1000)}
    for name in ids:
        (tmp_path / name).touch()
    await until(lambda: ids <= set(seen))


def test_after_an_overflow_the_whole_directory_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / ONE).touch()
    (tmp_path / TWO).touch()
    overflow = (-1).to_bytes(4, "little", signed=True) + (0x4000).to_bytes(4, "little") + bytes(8)
    assert set(ExitWatch(tmp_path, print)._names(overflow)) == {ONE, TWO}


async def test_a_missing_directory_is_an_error_that_names_it_and_leaks_nothing(tmp_path: Path) -> None:
    with none_left_open(), pytest.raises(OSError, match="missing"):
        ExitWatch(tmp_path / "missing", print).start()


async def test_close_twice_and_then_nothing_is_seen(tmp_path: Path) -> None:
    with none_left_open():
        watch = ExitWatch(tmp_path, print)
        watch.start()
        watch.close()
        watch.close()
