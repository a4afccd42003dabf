"""The pin that keeps a rootfs mounted beyond the end of its run."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from seaway_agent.runtime.rootfs_pin import RootfsPin
from seaway_testing.descriptors import none_left_open

pytestmark = pytest.mark.root


@pytest.fixture(autouse=True)
def nothing_is_left_open() -> Iterator[None]:
    with none_left_open():
        yield


@pytest.fixture
def jailed(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process with a root of its own."""
    (tmp_path / "busybox").write_bytes(Path("/bin/busybox").read_bytes())
    (tmp_path / "busybox").chmod(0o755)
    with subprocess.Popen(["chroot", str(tmp_path), "/busybox", "sh", "-c", "echo; read x"], stdin=-1, stdout=-1) as it:
        assert it.stdout is not None
        it.stdout.readline()
        yield it
        it.kill()


def roots() -> list[set[str]]:
    """What is in each directory of which this process has a descriptor, if that is a jail."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            found.append(set(os.listdir(f"/proc/self/fd/{name}")))
        except OSError:
            continue
    return [names for names in found if "busybox" in names]


def test_it_pins_until_it_is_released(jailed: subprocess.Popen[bytes]) -> None:
    pidfd = os.pidfd_open(jailed.pid)
    pin = RootfsPin(jailed.pid, pidfd)
    jailed.kill()
    jailed.wait()
    assert roots() == [{"busybox"}]
    pin.release()
    pin.release()
    assert roots() == []
    os.close(pidfd)


def test_nothing_of_a_process_that_has_ended(jailed: subprocess.Popen[bytes]) -> None:
    pidfd = os.pidfd_open(jailed.pid)
    jailed.kill()
    for wait in (lambda: os.waitid(os.P_PID, jailed.pid, os.WEXITED | os.WNOWAIT), jailed.wait):
        wait()
        RootfsPin(jailed.pid, pidfd).release()
    os.close(pidfd)


def test_nothing_of_another_process_under_its_number(jailed: subprocess.Popen[bytes]) -> None:
    with subprocess.Popen(["true"]) as gone:
        pidfd = os.pidfd_open(gone.pid)
    RootfsPin(jailed.pid, pidfd)
    assert roots() == []
    os.close(pidfd)


def test_nothing_where_nobody_knows_the_process(jailed: subprocess.Popen[bytes]) -> None:
    RootfsPin(jailed.pid, -1)
    assert roots() == []
