"""What conmon is told of a terminal's size."""

import os
from pathlib import Path

import pytest

from seaway_agent.runtime.terminal import resize


def test_each_size_fills_one_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "winsz")
    reader = os.open(tmp_path / "winsz", os.O_RDONLY | os.O_NONBLOCK)
    try:
        resize(tmp_path, 20, 70)
        resize(tmp_path, 65_535, 65_535)
        assert [os.read(reader, 199).split() for _ in range(2)] == [[b"20", b"70"], [b"65535", b"65535"]]
    finally:
        os.close(reader)


def test_without_a_terminal_there_is_nothing_to_size(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "ctl")
    reader = os.open(tmp_path / "ctl", os.O_RDONLY | os.O_NONBLOCK)
    resize(tmp_path, 20, 70)
    assert os.read(reader, 10) == b""
    os.close(reader)


@pytest.mark.parametrize("name", ["winsz", "ctl", "neither"])
def test_a_shim_that_is_gone(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(OSError, match="No such"):
        resize(tmp_path, 20, 70)
