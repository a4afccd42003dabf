"""A container that swaps directories for links while files are copied: nothing outside of its root is touched."""

import io
import itertools
import os
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import pytest

from seaway_agent.archive import reading, writing
from seaway_agent.archive.extract import Target
from seaway_agent.rootfs import tree
from seaway_contracts.containers import Command, ContainerSpec, ImageUse
from seaway_contracts.errors import SeawayError

TRIES: Final = 10_000
SECRET: Final = b"the host's secret"
SPEC: Final = ContainerSpec(id="0" * 64, name="c", created_ns=0, image=ImageUse(ref="i", id="i"), command=Command())


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A directory outside, which holds a secret; beside it the container's root."""
    (tmp_path / "host").mkdir()
    (tmp_path / "host" / "f").write_bytes(SECRET)
    for name in ("a/b/c", "etc", "other/b/c"):
        (tmp_path / "root" / name).mkdir(parents=True)
    (tmp_path / "root" / "a/b/c/f").write_bytes(b"of the container")
    return tmp_path / "host"


@pytest.fixture
def root(host: Path) -> Iterator[int]:
    fd = os.open(host.parent / "root", os.O_PATH | os.O_DIRECTORY)
    yield fd
    os.close(fd)


@contextmanager
def swapping(root: int, host: Path) -> Iterator[list[int]]:
    """Turn /a/b into links outside, and back, as fast as it goes."""
    stop, swaps = threading.Event(), [0]
    parent = os.open("a", os.O_RDONLY | os.O_DIRECTORY, dir_fd=root)
    targets = itertools.cycle([str(host), "../../host", f"/proc/self/cwd/..{host}", "/proc/1/root"])

    def run() -> None:
        while not stop.is_set():
            os.rename("b", "kept", src_dir_fd=parent, dst_dir_fd=parent)
            with suppress(FileExistsError):  # a copy has made the directory that was missing
                os.symlink(next(targets), "b", dir_fd=parent)
            while True:
                with suppress(OSError):
                    tree.remove_at(parent, b"b")
                with suppress(OSError):
                    os.rename("kept", "b", src_dir_fd=parent, dst_dir_fd=parent)
                    break
            swaps[0] += 1

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield swaps
    finally:
        stop.set()
        thread.join()
        os.close(parent)


def archive() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as made:
        for name in ("f", "b/f", "b/c/f", "b/c/d/f"):
            info = tarfile.TarInfo(name)
            info.size = 4
            made.addfile(info, io.BytesIO(b"mine"))
        link = tarfile.TarInfo("b/hard")
        link.type, link.linkname = tarfile.LNKTYPE, "b/f"
        made.addfile(link)
    return buffer.getvalue()


def inventory(host: Path) -> list[tuple[str, bytes, int]]:
    return [(path.name, path.read_bytes(), path.stat().st_nlink) for path in sorted(host.iterdir())]


def test_copies_in(root: int, host: Path) -> None:
    data, written = archive(), 0
    before = inventory(host)
    with swapping(root, host) as swaps:
        for _ in range(TRIES // 2):
            with suppress(SeawayError, OSError):
                target = writing.target_of(root, "/a", SPEC, running=True, keep_kinds=False, chown=False)
                writing.extract(io.BytesIO(data).read, target)
                written += 1
            with suppress(SeawayError, OSError):
                target = writing.target_of(root, "/a/b/c", SPEC, running=True, keep_kinds=False, chown=False)
                writing.extract(io.BytesIO(data).read, target)
                written += 1
    assert inventory(host) == before
    assert written and swaps[0]


def test_copies_out(root: int, host: Path) -> None:
    read = 0
    with swapping(root, host) as swaps:
        for path in itertools.islice(itertools.cycle(["/a", "/a/b/f", "/a/b/c/f", "/a/b/", "/"]), TRIES):
            pieces: list[bytes] = []
            with suppress(SeawayError, OSError):
                reading.stat_path(root, path)
                reading.tar_path(root, path, pieces.append)
                read += 1
            assert SECRET not in b"".join(pieces)
    assert read and swaps[0]


def test_links_of_the_container_stay_in_it(root: int, host: Path) -> None:
    """What its own processes would reach, an archive reaches too, and no more."""
    for name, target in (("abs", "/etc"), ("up", "../../../../../etc"), ("out", str(host))):
        os.symlink(target, name, dir_fd=root)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as made:
        for name in ("abs/one", "up/two", "out/three"):
            made.addfile(tarfile.TarInfo(name))
    writing.extract(io.BytesIO(buffer.getvalue()).read, Target(root, "/"))
    assert sorted(os.listdir(host.parent / "root" / "etc")) == ["one", "two"]
    assert inventory(host) == [("f", SECRET, 1)]
    assert (host.parent / "root" / str(host).lstrip("/") / "three").exists()
