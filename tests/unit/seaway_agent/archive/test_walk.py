import io
import os
import socket
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from seaway_agent.archive import walk
from seaway_agent.archive.walk import TarWriter, tar_tree
from seaway_contracts.errors import SeawayError
from seaway_testing.descriptors import none_left_open


@pytest.fixture
def top(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def tarred(top: int, prefix: bytes = b"") -> tarfile.TarFile:
    pieces: list[bytes] = []
    writer = TarWriter(pieces.append)
    tar_tree(writer, top, prefix)
    writer.finish()
    return tarfile.open(fileobj=io.BytesIO(b"".join(pieces)))


def test_a_tree(top: int, tmp_path: Path) -> None:
    (tmp_path / "b" / "c").mkdir(parents=True)
    (tmp_path / "b" / "f").write_bytes(b"x" * 3_000_000)
    (tmp_path / "b" / "f").chmod(0o640)
    os.link(tmp_path / "b" / "f", tmp_path / "z")
    (tmp_path / "a").symlink_to("/nowhere")
    os.mkfifo(tmp_path / "fifo")
    with tarred(top, b"p/") as found:
        assert found.getnames() == ["p/a", "p/b", "p/b/c", "p/b/f", "p/fifo", "p/z"]
        file, link = found.getmember("p/b/f"), found.getmember("p/z")
        assert (file.size, file.mode, file.mtime) == (3_000_000, 0o640, int((tmp_path / "z").stat().st_mtime))
        assert link.islnk() and link.linkname == "p/b/f"
        assert found.getmember("p/a").linkname == "/nowhere"
        assert found.getmember("p/fifo").isfifo()
        data = found.extractfile("p/b/f")
        assert data is not None and data.read() == b"x" * 3_000_000


def test_sockets_are_left_out(top: int, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"/proc/self/fd/{top}/s")
        with tarred(top) as found:
            assert found.getnames() == []


def test_names_are_bytes(top: int, tmp_path: Path) -> None:
    name = b"\xff\xfe odd " + b"n" * 150
    (tmp_path / os.fsdecode(name)).touch()
    with tarred(top) as found:
        assert [os.fsencode(one) for one in found.getnames()] == [name]


def test_a_file_that_shrinks_is_filled_up(tmp_path: Path, top: int, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "f").write_bytes(b"x" * 1000)
    fstat = os.fstat

    def shrunk(fd: int) -> os.stat_result:
        found = fstat(fd)
        (tmp_path / "f").write_bytes(b"y" * 10)
        return found

    monkeypatch.setattr(walk.os, "fstat", shrunk)
    with tarred(top) as found:
        data = found.extractfile("f")
        assert data is not None and data.read() == b"y" * 10 + bytes(990)


def test_what_vanishes_or_is_swapped_is_left_out(top: int, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "f").touch()
    seen = []
    for step in walk.walk(top, b""):
        seen.append(step.title)
        if step.title == b"a":
            (tmp_path / "a" / "f").unlink()
            (tmp_path / "b" / "f").unlink()
            (tmp_path / "b").rmdir()
            (tmp_path / "b").symlink_to("/etc")
    assert seen == [b"a", b"b", b"c", b"c/f"]


def test_depth_is_bounded(top: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "DEEPEST", 5)
    (tmp_path / "/".join("abcdef")).mkdir(parents=True)
    with none_left_open(), pytest.raises(SeawayError, match="nested more than 5 deep"):
        list(walk.walk(top, b""))
