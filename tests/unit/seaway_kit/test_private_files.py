"""Files and directories of root alone."""

import stat
from pathlib import Path

from seaway_kit.private_files import make_private_directory, write_private


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file_is_private(tmp_path: Path) -> None:
    path = tmp_path / "key"
    write_private(path, b"first")
    write_private(path, b"2nd")
    assert (path.read_bytes(), mode(path)) == (b"2nd", 0o600)


def test_a_new_directory_and_its_parent_are_private(tmp_path: Path) -> None:
    path = tmp_path / "run" / "agent" / "n1"
    make_private_directory(path)
    assert (mode(path.parent), mode(path)) == (0o700, 0o700)


def test_a_directory_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "n1"
    path.mkdir()
    path.chmod(0o755)
    make_private_directory(path)
    assert mode(path) == 0o755
