"""The size of a volume, as moby counts it."""

import os
from pathlib import Path

from seaway_agent.volumes.measuring import size_of


def size(data: Path) -> int:
    return size_of(data, lambda: False)


def test_files_count_and_directories_do_not(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "one").write_bytes(b"x" * 1000)
    (tmp_path / "a/b/two").write_bytes(b"x" * 234)
    (tmp_path / "empty").touch()
    assert size(tmp_path) == 1234


def test_a_hole_counts_by_its_length_and_a_link_by_its_text(tmp_path: Path) -> None:
    (tmp_path / "hole").touch()
    os.truncate(tmp_path / "hole", 1 << 30)
    (tmp_path / "link").symlink_to("/etc/passwd")
    assert size(tmp_path) == (1 << 30) + len("/etc/passwd")


def test_hard_links_count_once(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "one").write_bytes(b"x" * 1000)
    os.link(tmp_path / "one", tmp_path / "two")
    os.link(tmp_path / "one", tmp_path / "a/three")
    assert size(tmp_path) == 1000


def test_what_can_not_be_read_has_no_size(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    assert (size(tmp_path / "gone"), size(tmp_path / "link")) == (-1, -1)


def test_it_ends_when_it_is_cancelled(tmp_path: Path) -> None:
    for number in range(10):
        (tmp_path / str(number)).touch()
    looks = iter([False, False, True])
    assert size_of(tmp_path, lambda: next(looks)) == -1
