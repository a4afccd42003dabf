"""A log's files: numbers, rotation, compression, what is kept."""

import gzip
import os
from pathlib import Path

import pytest

from seaway_agent.streams.log_files import LogFiles
from seaway_docker.log_options import LogPolicy
from seaway_testing.descriptors import open_descriptors


def files_at(tmp_path: Path, max_files: int = 3, held: int = 0) -> LogFiles:
    """A log that keeps so many files."""
    return LogFiles(tmp_path / "ctr.log", LogPolicy(10, max_files, True), held=held)


def write(files: LogFiles, text: bytes) -> None:
    """As conmon does."""
    with open(files.path, "ab") as log:
        log.write(text)


def turn(files: LogFiles, *texts: bytes) -> None:
    """Write and rotate each."""
    for text in texts:
        write(files, text)
        files.rename_current()


def text_of(files: LogFiles, number: int) -> bytes:
    """All that is in one file."""
    fd = files.open(number)
    try:
        return os.pread(fd, 1 << 20, 0)
    finally:
        os.close(fd)


def names(tmp_path: Path) -> list[str]:
    """What is in the directory."""
    return sorted(entry.name for entry in tmp_path.iterdir())


def test_rotated_files_are_numbered_upwards(tmp_path: Path) -> None:
    files = files_at(tmp_path)
    turn(files, b"1", b"2")
    write(files, b"3")
    assert list(files.rotated()) == [1, 2] and (files.first, files.current) == (1, 3)
    assert [text_of(files, number) for number in (1, 2, 3)] == [b"1", b"2", b"3"]


def test_the_next_agent_goes_on_counting(tmp_path: Path) -> None:
    turn(files_at(tmp_path), b"1", b"2")
    assert files_at(tmp_path).current == 3


def test_the_directory_may_hold_other_things(tmp_path: Path) -> None:
    for name in ("ctr.log.x", "ctr.log.0", "ctr.log.tmp", "upper", "ctr.log.9.gz.tmp", "xctr.log.4"):
        (tmp_path / name).touch()
    assert files_at(tmp_path).rotated() == {}
    assert LogFiles(tmp_path / "nowhere" / "ctr.log", LogPolicy()).current == 1


def test_a_file_is_sealed_when_the_next_is_written(tmp_path: Path) -> None:
    files = files_at(tmp_path)
    turn(files, b"1")
    assert not files.sealed(1)  # conmon has not reopened yet
    write(files, b"2")
    assert files.sealed(1) and not files.sealed(2)
    turn(files, b"2")
    assert files.sealed(1) and not files.sealed(2)


def test_the_oldest_beyond_the_number_go(tmp_path: Path) -> None:
    files = files_at(tmp_path)
    turn(files, b"1", b"2", b"3")
    files.prune()
    assert list(files.rotated()) == [2, 3]
    single = files_at(tmp_path, max_files=1)
    single.prune()
    assert single.rotated() == {}


def test_what_a_reader_has_still_to_open_is_held_up_to_a_bound(tmp_path: Path) -> None:
    files = files_at(tmp_path, held=4)
    turn(files, b"11", b"22", b"33", b"44", b"55", b"66")
    files.readers["slow"] = 1
    files.prune()
    assert list(files.rotated()) == [3, 4, 5, 6]
    files.readers["slow"] = 3
    files.prune()
    assert list(files.rotated()) == [4, 5, 6]
    del files.readers["slow"]
    files.prune()
    assert list(files.rotated()) == [5, 6]


def test_compressed_files_read_the_same(tmp_path: Path) -> None:
    files = files_at(tmp_path)
    text = bytes(range(256)) * 4000
    turn(files, text, b"2")
    files.compress(1)
    assert names(tmp_path) == ["ctr.log.1.gz", "ctr.log.2"]
    assert (tmp_path / "ctr.log.1.gz").stat().st_mode & 0o777 == 0o600
    assert gzip.decompress((tmp_path / "ctr.log.1.gz").read_bytes()) == text
    fd = files.open(1)
    try:
        assert os.pread(fd, 2 << 20, 0) == text
    finally:
        os.close(fd)
    assert files.uncompressed() == [2]
    assert names(tmp_path) == ["ctr.log.1.gz", "ctr.log.2"]


def test_a_file_that_goes_while_it_is_compressed_leaves_nothing(tmp_path: Path) -> None:
    files = files_at(tmp_path)
    turn(files, b"1")
    files.compress(7)
    files.compress(1, cancelled=lambda: True)
    assert names(tmp_path) == ["ctr.log.1"]


def test_a_broken_compressed_file_leaks_no_descriptor(tmp_path: Path) -> None:
    files = files_at(tmp_path)
    turn(files, b"1")
    (tmp_path / "ctr.log.1").rename(tmp_path / "ctr.log.1.gz")
    before = open_descriptors()
    with pytest.raises(OSError, match=r"ctr\.log\.1\.gz"):
        files.open(1)
    assert open_descriptors() == before


def test_the_next_file_skips_those_that_are_gone(tmp_path: Path) -> None:
    files = files_at(tmp_path)
    turn(files, b"1", b"2", b"3")
    (tmp_path / "ctr.log.2").unlink()
    assert [files.next_after(number) for number in (1, 3, 4)] == [3, 4, 4]


def test_the_reopened_file_is_made_before_the_rename(tmp_path: Path) -> None:
    files = files_at(tmp_path)
    write(files, b"1")
    files.prepare()
    assert names(tmp_path) == ["ctr.log", "ctr.log.tmp"]


def test_what_was_kept_for_a_reader_goes_with_it(tmp_path: Path) -> None:
    """Also when the container has ended, and nobody rotates any more."""
    files = files_at(tmp_path, held=100)
    reader = object()
    files.readers[reader] = 0
    turn(files, b"one", b"two", b"three", b"four")
    files.prune()
    assert list(files.rotated()) == [1, 2, 3, 4]
    files.remove_reader(reader)
    assert list(files.rotated()) == [3, 4]
