"""Which mounts land at or below /proc, by links of the image and of other mounts."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from seaway_agent.runtime.proc_mounts import ALLOWED, check_proc_mounts
from seaway_contracts.errors import Code, SeawayError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An image's root, with links that lead to /proc."""
    path = tmp_path / "rootfs"
    for directory in ("proc", "etc", "data"):
        (path / directory).mkdir(parents=True)
    for name, target in {
        "absolute": "/proc",
        "relative": "../../proc/sys",
        "chain": "/absolute",
        "data/up": "../proc",
        "to-data": "/data",
        "loop": "/loop",
    }.items():
        (path / name).symlink_to(target)
    return path


@pytest.fixture
def root_fd(root: Path) -> Iterator[int]:
    fd = os.open(root, os.O_PATH | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def mount(target: str, source: str = "/tmp", kind: str = "bind") -> dict[str, Any]:
    return {"destination": target, "type": kind, "source": source, "options": []}


def check(root_fd: int, *mounts: dict[str, Any]) -> None:
    kernels = [mount("/dev", "tmpfs", "tmpfs"), mount("/proc", "proc", "proc")]
    check_proc_mounts(root_fd, [*kernels, *mounts], {one["destination"]: one["source"] for one in mounts})


@pytest.mark.parametrize(
    "target",
    [
        *("/proc/sys", "/proc/self", "/proc/nope", "/proc/net/dev", "/proc/1/x", "//proc//sys", "/data/../proc/./sys"),
        *("/absolute/sys", "/relative", "/relative/kernel", "/chain/sys", "/data/up/sys", "/to-data/up/sys"),
        *("/absolute/cpuinfo", "/x/../../proc/sys"),
    ],
)
def test_what_lands_below_proc_is_refused(root_fd: int, target: str) -> None:
    with pytest.raises(SeawayError) as caught:
        check(root_fd, mount(target, "/tmp"))
    assert caught.value.code is Code.INTERNAL
    assert f'error mounting "/tmp" to rootfs at "{target}"' in str(caught.value)
    assert "cannot be mounted because it is inside /proc" in str(caught.value)


@pytest.mark.parametrize("target", ["/proc", "/absolute", "/chain", "/data/up"])
def test_only_a_proc_filesystem_stands_at_proc(root_fd: int, target: str) -> None:
    check(root_fd, mount(target, "/proc"))
    for source, kind in (("/tmp", "bind"), ("tmpfs", "tmpfs")):
        with pytest.raises(SeawayError, match='"/proc" cannot be mounted because it is not of type proc'):
            check(root_fd, mount(target, source, kind))


def test_a_tmpfs_below_proc_is_refused(root_fd: int) -> None:
    with pytest.raises(SeawayError, match='error mounting "tmpfs" to rootfs at "/relative"'):
        check(root_fd, mount("/relative", "tmpfs", "tmpfs"))


@pytest.mark.parametrize(
    "target", [*sorted(ALLOWED), "/procs", "/data/proc", "/to-data/x", "/etc/proc/sys", "/proc2/a"]
)
def test_what_lxcfs_shows_and_what_only_looks_like_proc_is_allowed(root_fd: int, target: str) -> None:
    check(root_fd, mount(target))


def test_links_of_what_is_mounted_before_are_followed(root_fd: int, tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    (volume / "deep").mkdir(parents=True)
    (volume / "deep/link").symlink_to("/proc")
    with pytest.raises(SeawayError, match="inside /proc"):
        check(root_fd, mount("/data", str(volume)), mount("/data/deep/link/sys"))
    with pytest.raises(SeawayError, match="inside /proc"):
        check(root_fd, mount("/to-data", str(volume)), mount("/data/deep/link/sys"))


def test_links_that_a_mount_hides_are_not_followed(root_fd: int, tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir()
    check(root_fd, mount("/data", str(tmp_path / "volume")), mount("/data/up/sys"))
    check(root_fd, mount("/data", "tmpfs", "tmpfs"), mount("/data/up/sys"))


def test_a_loop_of_links_is_an_error(root_fd: int) -> None:
    with pytest.raises(OSError, match="symbolic links"):
        check(root_fd, mount("/loop/x"))
