"""Copies of mounts, on this host's kernel: of another namespace, and of what lies inside a directory."""

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from seaway_agent.kernel import launcher, syscalls
from seaway_agent.kernel.clones import clone_below, clone_in_namespace_of, detach_clone

pytestmark = pytest.mark.root


def apart(work: Callable[[], None]) -> None:
    """In a thread with a mount namespace of its own, as the launcher is one."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            launcher.enter_private_mounts()
            work()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


@pytest.fixture
def other(tmp_path: Path) -> Iterator[int]:
    """A process with a tmpfs at `there` that only its own mount namespace shows, with another one below."""
    there = tmp_path / "there"
    there.mkdir()
    script = f"mount -t tmpfs a {there}; mkdir {there}/b; mount -t tmpfs b {there}/b; touch {there}/b/deep; echo; cat"
    words = ["unshare", "--mount", "sh", "-c", script]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline()
    yield process.pid
    process.communicate()


@pytest.mark.parametrize("recursive", [False, True])
def test_what_only_another_namespace_shows(tmp_path: Path, other: int, recursive: bool) -> None:
    place = tmp_path / "place"
    place.mkdir()
    seen: list[list[str]] = []

    def work() -> None:
        fd = clone_in_namespace_of(other, str(tmp_path / "there"), recursive=recursive)
        try:
            syscalls.attach_mount(fd, str(place))
        finally:
            os.close(fd)
        seen.append(os.listdir(place / "b"))
        (place / "written").touch()
        detach_clone(str(place))
        seen.append(os.listdir(place))

    apart(work)
    assert seen == [["deep"] if recursive else [], []]
    assert sorted(os.listdir(f"/proc/{other}/root{tmp_path}/there")) == ["b", "written"]
    assert os.listdir(f"/proc/{other}/root{tmp_path}/there/b") == ["deep"]


def test_a_process_that_is_gone(tmp_path: Path) -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    with pytest.raises(ProcessLookupError):
        clone_in_namespace_of(process.pid, str(tmp_path))


def test_letting_go_of_a_shared_copy_leaves_the_original(tmp_path: Path) -> None:
    """What is unmounted in one member of a peer group goes away in all: so a copy is cut off first."""
    (tmp_path / "place").mkdir()
    shared = tmp_path / "shared"
    shared.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "a", shared], check=True)
    try:
        subprocess.run(["mount", "--make-shared", shared], check=True)
        (shared / "below").mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "b", shared / "below"], check=True)

        def work() -> None:
            fd = clone_in_namespace_of(os.getpid(), str(shared), recursive=True, own=False)
            try:
                syscalls.attach_mount(fd, str(tmp_path / "place"))
            finally:
                os.close(fd)
            detach_clone(str(tmp_path / "place"))

        apart(work)
        assert os.path.ismount(shared / "below")
    finally:
        subprocess.run(["umount", "-R", shared], check=True)


def test_nothing_leads_out_of_a_directory(tmp_path: Path) -> None:
    (tmp_path / "volume/in").mkdir(parents=True)
    (tmp_path / "secret").touch()
    for name, target in (("up", "../.."), ("root", "/"), ("sideways", "../secret")):
        (tmp_path / "volume" / name).symlink_to(target)
    place = tmp_path / "place"
    place.mkdir()
    seen: dict[str, list[str]] = {}

    def work() -> None:
        for name in ("in", "up", "root", "../.."):
            fd = clone_below(str(tmp_path / "volume"), name)
            try:
                syscalls.attach_mount(fd, str(place))
            finally:
                os.close(fd)
            seen[name] = sorted(os.listdir(place))
            detach_clone(str(place))

    apart(work)
    everything = ["in", "root", "sideways", "up"]
    assert seen == {"in": [], "up": everything, "root": everything, "../..": everything}
    with pytest.raises(FileNotFoundError):
        clone_below(str(tmp_path / "volume"), "sideways")
