import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from seaway_agent.archive.extract import Extractor, Target
from seaway_archive.entries import Kind, TarEntry
from seaway_contracts.errors import SeawayError
from seaway_testing.descriptors import none_left_open

TIME = 1_600_000_000_000_000_000


def entry(name: str, kind: Kind = Kind.FILE, mode: int = 0o640, link: str = "", size: int = 0) -> TarEntry:
    uid, gid = os.getuid(), os.getgid()
    return TarEntry(name.encode(), kind, mode, uid, gid, size, TIME, link.encode())


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "d").mkdir()
    fd = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def extract(target: Target, *entries: tuple[TarEntry, bytes] | TarEntry) -> None:
    extractor = Extractor(target)
    try:
        for one in entries:
            found, data = one if isinstance(one, tuple) else (one, b"")
            extractor.write(found, [(0, memoryview(data))] if data else [])
        extractor.finish()
    finally:
        extractor.close()


def test_every_kind(root: int, tmp_path: Path) -> None:
    extract(
        Target(root, "/d"),
        entry("sub/", Kind.DIRECTORY, 0o750),
        (entry("sub/f", size=2), b"hi"),
        entry("implied/g"),
        entry("sub/link", Kind.SYMLINK, link="/d/sub/f"),
        entry("hard", Kind.HARDLINK, link="sub/f"),
        entry("fifo", Kind.FIFO),
    )
    d = tmp_path / "d"
    assert (d / "sub/f").read_text() == "hi" and (d / "hard").samefile(d / "sub/f")
    assert (d / "sub").stat().st_mode & 0o7777 == 0o750
    assert (d / "sub").stat().st_mtime_ns == (d / "sub/f").stat().st_mtime_ns == TIME
    assert (d / "sub/link").readlink() == Path("/d/sub/f")
    assert (d / "fifo").is_fifo() and (d / "fifo").stat().st_mode & 0o777 == 0o640
    assert (d / "implied").is_dir()


def test_what_stood_there_is_replaced(root: int, tmp_path: Path) -> None:
    d = tmp_path / "d"
    (d / "file").write_text("old")
    (d / "full/of").mkdir(parents=True)
    (d / "kept").mkdir()
    (d / "kept/f").touch()
    (d / "link").symlink_to("/outside")
    extract(
        Target(root, "/d"),
        entry("file", Kind.DIRECTORY, 0o700),
        (entry("full", size=1), b"x"),
        entry("kept", Kind.DIRECTORY, 0o711),
        (entry("link", size=1), b"y"),
    )
    assert (d / "file").is_dir() and (d / "full").read_text() == "x" and (d / "kept/f").exists()
    assert not (d / "link").is_symlink() and (d / "link").read_text() == "y"


def test_kinds_can_be_kept(root: int, tmp_path: Path) -> None:
    (tmp_path / "d/file").touch()
    (tmp_path / "d/dir").mkdir()
    target = Target(root, "/d", keep_kinds=True)
    with pytest.raises(SeawayError, match='cannot overwrite directory "/d/dir" with non-directory "/d"'):
        extract(target, entry("dir"))
    with pytest.raises(SeawayError, match='cannot overwrite non-directory "/d/file" with directory "/d"'):
        extract(target, entry("file", Kind.DIRECTORY))
    extract(target, entry("file"), entry("dir", Kind.DIRECTORY))


def test_links_lead_through_the_root_and_no_farther(root: int, tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "d/abs").symlink_to("/inside")
    (tmp_path / "d/out").symlink_to("../../../../inside")
    extract(Target(root, "/d"), entry("abs/one"), entry("out/two"))
    assert sorted(os.listdir(tmp_path / "inside")) == ["one", "two"]


def test_the_directory_itself_is_left_as_it_is(root: int, tmp_path: Path) -> None:
    mode = (tmp_path / "d").stat().st_mode
    extract(Target(root, "/d"), entry("./", Kind.DIRECTORY, 0o777))
    assert (tmp_path / "d").stat().st_mode == mode


def test_overlay_marks_are_dropped(root: int, tmp_path: Path) -> None:
    marked = replace(entry("f"), xattrs={"trusted.overlay.opaque": b"y", "user.overlay.x": b"y", "user.mine": b"v"})
    extract(Target(root, "/d"), marked)
    assert set(os.listxattr(tmp_path / "d/f")) <= {"user.mine"}


def test_descriptors_are_given_back(root: int) -> None:
    with none_left_open():
        extract(Target(root, "/d"), *(entry(f"{n}/f") for n in range(20)))
