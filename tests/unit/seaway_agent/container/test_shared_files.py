"""Files that a container has written: read whole or not at all, written in place."""

import resource
from pathlib import Path

import pytest

from seaway_agent.container import shared_files


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "hosts"


@pytest.mark.parametrize("data", [b"", b"1.2.3.4\tx\r\n", b"\xff\n\xc3\xa4\0", b"x" * shared_files.MOST])
def test_any_bytes_are_kept(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    inode = path.stat().st_ino
    text = shared_files.read(path)
    shared_files.write(path, text[: len(text) // 2])
    shared_files.write(path, text)
    assert (path.read_bytes(), path.stat().st_ino) == (data, inode)


def test_too_large_a_file_is_not_read(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(OSError, match="it has more than 1048576 bytes"):
        shared_files.read(path)


def test_a_write_that_breaks_off_has_cut_nothing(path: Path) -> None:
    path.write_bytes(b"old" * 10)
    _, most = before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (6, most))
    try:
        with pytest.raises(OSError):
            shared_files.write(path, "new" * 10)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_bytes() == b"new" * 2 + b"old" * 8
