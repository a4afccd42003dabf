"""Init layers: what an overlay with them shows, and that the host stays as it was."""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from seaway_agent.kernel.overlay import mount_overlay, umount
from seaway_agent.rootfs.initlayer import build_init_layer

pytestmark = pytest.mark.root

DIRECTORIES = ("dev", "dev/pts", "dev/shm", "proc", "sys", "etc")
FILES = ("dev/console", "etc/hosts", "etc/hostname", "etc/resolv.conf", ".dockerenv")


@contextmanager
def mounted(tmp_path: Path, *lowers: Path) -> Iterator[Path]:
    """The overlay of init layer and `lowers`, topmost first."""
    init, merged = tmp_path / "init", tmp_path / "merged"
    init.mkdir()
    merged.mkdir()
    build_init_layer(lowers, init)
    mount_overlay(str(merged), [str(init), *map(str, lowers)], None, None)
    try:
        yield merged
    finally:
        umount(str(merged))


def assert_safe(merged: Path) -> None:
    assert all(stat.S_ISDIR((merged / name).lstat().st_mode) for name in DIRECTORIES)
    assert all(stat.S_ISREG((merged / name).lstat().st_mode) for name in FILES)
    assert (merged / "etc/mtab").is_symlink()
    assert os.readlink(merged / "etc/mtab").endswith("mounts")


def directory(path: Path) -> Path:
    path.mkdir(parents=True)
    return path


def test_an_empty_image_gets_all(tmp_path: Path) -> None:
    with mounted(tmp_path, directory(tmp_path / "lower")) as merged:
        assert_safe(merged)


def test_what_is_right_already_is_left_alone(tmp_path: Path) -> None:
    lower = tmp_path / "lower"
    for name in DIRECTORIES:
        directory(lower / name)
    for name in FILES:
        (lower / name).write_text(name)
    (lower / "etc/mtab").symlink_to("../proc/self/mounts")
    with mounted(tmp_path, lower) as merged:
        assert_safe(merged)
        assert (merged / "etc/hosts").read_text() == "etc/hosts"
    assert os.listdir(tmp_path / "init") == []


def test_copied_parents_keep_their_attributes_and_content(tmp_path: Path) -> None:
    etc = directory(tmp_path / "lower/etc")
    (etc / "passwd").write_text("root")
    os.chown(etc, 12, 34)
    etc.chmod(0o2751)
    os.utime(etc, (1_000_000, 1_000_000))
    with mounted(tmp_path, tmp_path / "lower") as merged:
        status = (merged / "etc").stat()
        assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (12, 34, 0o2751)
        assert status.st_mtime == 1_000_000
        assert (merged / "etc/passwd").read_text() == "root"
        assert_safe(merged)


HOSTILE: dict[str, Callable[[Path, Path], object]] = {
    "dev is a link": lambda lower, host: (lower / "dev").symlink_to(host),
    "etc is a link": lambda lower, host: (lower / "etc").symlink_to(host),
    "proc is a link": lambda lower, host: (lower / "proc").symlink_to(host),
    "sys is a link": lambda lower, host: (lower / "sys").symlink_to("etc"),
    "dev is a file": lambda lower, host: (lower / "dev").write_text("x"),
    "hosts is a link": lambda lower, host: directory(lower / "etc").joinpath("hosts").symlink_to(host / "victim"),
    "hosts is a directory": lambda lower, host: directory(lower / "etc/hosts/deep"),
    "shm is a link": lambda lower, host: directory(lower / "dev").joinpath("shm").symlink_to(host),
    "console is a fifo": lambda lower, host: os.mkfifo(directory(lower / "dev") / "console"),
    "mtab is a link to a file": lambda lower, host: (
        directory(lower / "etc").joinpath("mtab").symlink_to(host / "victim")
    ),
    "mtab is a directory": lambda lower, host: directory(lower / "etc/mtab"),
    "dockerenv is a link": lambda lower, host: (lower / ".dockerenv").symlink_to(host / "victim"),
    "dev is a link to itself": lambda lower, host: (lower / "dev").symlink_to("dev"),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("position", ["alone", "above", "below"])
def test_hostile_images_are_made_safe_and_the_host_unchanged(tmp_path: Path, name: str, position: str) -> None:
    host = directory(tmp_path / "host")
    (host / "victim").write_text("untouched")
    before = host.stat()
    lower = directory(tmp_path / "lower")
    HOSTILE[name](lower, host)
    good = tmp_path / "good"
    for place in ("dev/pts", "etc"):
        directory(good / place)
    (good / "etc/passwd").write_text("root")
    lowers = {"alone": [lower], "above": [lower, good], "below": [good, lower]}[position]
    with mounted(tmp_path, *lowers) as merged:
        assert_safe(merged)
    assert os.listdir(host) == ["victim"]
    assert (host / "victim").read_text() == "untouched"
    assert host.stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.parametrize("hide", ["whiteout", "opaque"])
def test_what_an_upper_layer_hides_counts_as_missing(tmp_path: Path, hide: str) -> None:
    lower, upper = tmp_path / "lower", directory(tmp_path / "upper")
    directory(lower / "etc")
    (lower / "etc/hosts").symlink_to("/outside")
    if hide == "whiteout":
        os.mknod(upper / "etc", stat.S_IFCHR, os.makedev(0, 0))
    else:
        os.setxattr(directory(upper / "etc"), "trusted.overlay.opaque", b"y")
    with mounted(tmp_path, upper, lower) as merged:
        assert_safe(merged)
