"""Copies of trees with all that a disk can hold."""

import os
import socket
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from seaway_agent.archive.copying import copy_tree
from seaway_contracts.errors import SeawayError, unavailable

pytestmark = pytest.mark.root
# cap_net_bind_service=ep, as revision 2 stands on the disk (linux/capability.h).
CAPABILITY = bytes.fromhex("0100000200040000" + "00" * 12)
TIME_NS = 1_600_000_000_123_456_789


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.mkdir()
    return path


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "target"
    path.mkdir()
    return path


def copy(source: Path, target: Path, check: Callable[[], None] = lambda: None) -> None:
    fds = [os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in (source, target)]
    try:
        copy_tree(*fds, check)
    finally:
        for fd in fds:
            os.close(fd)


def facts(path: Path) -> tuple[int, ...]:
    found = os.lstat(path)
    return found.st_mode, found.st_uid, found.st_gid, found.st_mtime_ns


def test_owners_modes_times_and_capabilities(source: Path, target: Path) -> None:
    (source / "sub/deep").mkdir(parents=True)
    (source / "sub/deep/program").write_bytes(b"x" * 100_000)
    (source / "sub/tool").touch()
    (source / "link").symlink_to("/etc/shadow")
    os.mkfifo(source / "fifo")
    for name, owner, mode in (
        ("sub/deep/program", 1000, 0o4750), ("sub/deep", 1001, 0o1777), ("sub", 1002, 0o2500), (".", 1003, 0o700),
        ("sub/tool", 1004, 0o755), ("fifo", 1005, 0o620),
    ):  # fmt: skip
        os.chown(source / name, owner, owner + 1)
        (source / name).chmod(mode)
    os.chown(source / "link", 1006, 1006, follow_symlinks=False)
    os.setxattr(source / "sub/tool", "security.capability", CAPABILITY)
    os.setxattr(source / "sub", "user.colour", b"green")
    names = ("link", "fifo", "sub/tool", "sub/deep/program", "sub/deep", "sub", ".")
    for name in names:
        os.utime(source / name, ns=(TIME_NS, TIME_NS), follow_symlinks=False)
    copy(source, target)
    for name in names:
        assert facts(target / name) == facts(source / name), name
    assert (target / "sub/deep/program").read_bytes() == b"x" * 100_000
    assert os.readlink(target / "link") == "/etc/shadow"
    assert os.getxattr(target / "sub/tool", "security.capability") == CAPABILITY
    assert os.getxattr(target / "sub", "user.colour") == b"green"


def test_devices_and_sockets_are_never_opened_and_left_out(source: Path, target: Path) -> None:
    """/dev/full, read, would fill the disk; a FIFO without a writer would hold the reader for ever."""
    os.mknod(source / "full", stat.S_IFCHR | 0o666, os.makedev(1, 7))
    os.mknod(source / "disk", stat.S_IFBLK | 0o666, os.makedev(7, 0))
    os.mkfifo(source / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(source / "socket"))
        copy(source, target)
    assert os.listdir(target) == ["fifo"]
    assert stat.S_ISFIFO(os.lstat(target / "fifo").st_mode)


def test_hard_links_stay_so_and_holes_too(source: Path, target: Path) -> None:
    (source / "a").mkdir()
    (source / "z").mkdir()
    with open(source / "a/sparse", "wb") as file:
        file.write(b"begin")
        file.seek(1 << 40)
        file.write(b"middle")
        file.truncate(3 << 40)
    os.link(source / "a/sparse", source / "z/again")
    (source / "a/soft").symlink_to("x")
    os.link(source / "a/soft", source / "z/soft", follow_symlinks=False)
    copy(source, target)
    assert os.lstat(target / "a/sparse").st_ino == os.lstat(target / "z/again").st_ino
    assert os.lstat(target / "a/soft").st_ino == os.lstat(target / "z/soft").st_ino
    found = os.lstat(target / "a/sparse")
    assert (found.st_size, found.st_blocks * 512 < 1 << 20) == (3 << 40, True)
    with open(target / "a/sparse", "rb") as file:
        assert file.read(6) == b"begin\0"
        file.seek(1 << 40)
        assert file.read(7) == b"middle\0"


def test_as_deep_as_walks_go(source: Path, target: Path) -> None:
    at = os.open(source, os.O_RDONLY)
    for _ in range(900):
        os.mkdir("d" * 100, dir_fd=at)
        below = os.open("d" * 100, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(os.open("first", os.O_CREAT, dir_fd=at))
    os.link("first", "second", src_dir_fd=at, dst_dir_fd=at)
    os.close(at)
    copy(source, target)
    found = subprocess.run(["find", ".", "-type", "f"], cwd=target, capture_output=True, text=True, check=True).stdout
    assert len(found.splitlines()) == 2
    for path in (source, target):
        subprocess.run(["rm", "-r", path], check=True)


def test_it_can_be_ended(source: Path, target: Path) -> None:
    for number in range(10):
        (source / str(number)).touch()
    left = iter(range(5))

    def check() -> None:
        if next(left, None) is None:
            raise unavailable("the agent is ending")

    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(SeawayError, match="the agent is ending"):
        copy(source, target, check)
    assert 0 < len(os.listdir(target)) < 10
    assert len(os.listdir("/proc/self/fd")) == before
