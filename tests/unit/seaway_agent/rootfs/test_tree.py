"""Removal and walks of trees."""

import os
from pathlib import Path

import pytest

from seaway_agent.rootfs import tree
from seaway_testing.descriptors import none_left_open


def nest(top: Path, depth: int) -> None:
    """`depth` directories in each other, far beyond PATH_MAX."""
    fd = os.open(top, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("directory", dir_fd=fd)
        child = os.open("directory", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = child
    os.close(os.open("file", os.O_CREAT, dir_fd=fd))
    os.close(fd)


def test_removes_trees_deeper_than_any_path(tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    nest(top, 1500)
    (top / "file").write_text("x")
    tree.remove(top)
    assert list(tmp_path.iterdir()) == []


def test_removes_links_and_not_what_they_point_to(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    top = tmp_path / "top"
    top.mkdir()
    (top / "link").symlink_to(outside)
    tree.remove(top)
    assert (outside / "precious").read_text() == "x"
    (tmp_path / "direct").symlink_to(outside)
    tree.remove(tmp_path / "direct")
    assert (outside / "precious").read_text() == "x"


def test_removing_nothing_is_fine(tmp_path: Path) -> None:
    tree.remove(tmp_path / "missing")


def test_walk_follows_no_link_and_survives_depth(tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    (top / "loop").symlink_to(top)
    nest(top, 300)
    assert len(list(tree.walk(top))) == 202  # the link and 201 directories
    tree.remove(top)


def test_walk_leaks_no_descriptor(tmp_path: Path) -> None:
    nest(tmp_path, 20)
    with none_left_open():
        walk = tree.walk(tmp_path)
        next(walk)
        walk.close()  # type: ignore[attr-defined]


def test_a_link_is_not_opened_as_a_directory(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/")
    with pytest.raises(OSError, match="link"):
        tree.open_directory(tmp_path / "link")
