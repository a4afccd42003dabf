"""What the agent relies on in crun and runc: which cgroups they make, how to start and remove a container by hand."""

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from seaway_agent.kernel import cgroups, overlay, procs, syscalls
from seaway_agent.kernel.cgroup_text import CgroupLayout, CgroupMode
from seaway_agent.kernel.launcher import Launcher
from seaway_agent.kernel.spawn import spawn

from .conftest import Layers, oci_spec, write_bundle

pytestmark = pytest.mark.root


@pytest.fixture(params=["crun", "runc"])
def runtime(request: pytest.FixtureRequest) -> str:
    found = shutil.which(request.param)
    if found is None:
        pytest.skip(f"needs {request.param}")
    return str(found)


@pytest.fixture
def netns(root_without_leaks: None) -> Iterator[int]:
    """A network namespace that only a descriptor of this process keeps alive."""
    held: list[int] = []

    def make() -> None:
        syscalls.unshare(syscalls.CLONE_NEWNET)
        held.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    yield held[0]
    os.close(held[0])


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "the condition didn't come true within 10 s"
        time.sleep(0.002)


def run(launcher: Launcher, argv: list[str], cwd: str, log: Path) -> str:
    """Run a program in the launcher's namespace to its end; returns what it wrote."""
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        child = launcher.call(spawn, argv, cwd=cwd, env=dict(os.environ), fds={1: out, 2: out}).result()
    finally:
        os.close(out)
    _, status = os.waitpid(child.pid, 0)
    os.close(child.pidfd)
    assert os.waitstatus_to_exitcode(status) == 0, log.read_text()
    return log.read_text()


def start_by_fifo(runtime: str, fifo: str) -> None:
    """crun waits for a byte, runc writes one; both take a missing fifo for "running"."""
    flags = os.O_WRONLY | os.O_NONBLOCK if runtime.endswith("crun") else os.O_RDONLY
    fd = os.open(fifo, flags)
    try:
        if flags == os.O_RDONLY:
            assert os.read(fd, 16) == b"0"
        else:
            os.write(fd, b"0")
    finally:
        os.close(fd)
    os.unlink(fifo)


def test_a_whole_life_without_start_and_delete(
    runtime: str, launcher: Launcher, layers: Layers, layout: CgroupLayout, parent: str, netns: int, tmp_path: Path
) -> None:
    path, log, state = f"{parent}/c1", tmp_path / "log", tmp_path / "state"
    spec = oci_spec(
        layers.merged,
        path,
        f"/proc/{os.getpid()}/fd/{netns}",
        "/bin/sh",
        "-c",
        "readlink /proc/self/ns/net; ls /proc/self/fd; echo up > /file; sleep 60",
    )
    bundle = write_bundle(tmp_path / "bundle", spec)
    launcher.call(overlay.mount_overlay, layers.merged, [layers.lower], layers.upper, layers.work).result()
    create = [runtime, "--root", str(state), "create", "--bundle", bundle, "--pid-file", f"{bundle}/pid", "c1"]
    run(launcher, create, bundle, log)
    launcher.call(overlay.umount, layers.merged).result()
    assert os.listdir(layers.merged) == []

    pid = int(Path(f"{bundle}/pid").read_text())
    pidfd = procs.open_pidfd(pid)
    try:
        made = {directory for directory in layout.directories(path) if os.path.exists(directory)}
        expected = set(layout.directories(path))
        if layout.mode is CgroupMode.HYBRID:
            expected.remove(f"{layout.unified}{path}")
        assert made == expected
        with cgroups.Sampler(layout, path) as sampler:
            assert (sampler.sample().memory_limit, sampler.sample().pids_limit) == (64 << 20, 50)
        assert os.stat(f"/proc/{pid}/ns/net").st_ino == os.fstat(netns).st_ino

        start_by_fifo(runtime, f"{state}/c1/exec.fifo")
        until(lambda: (Path(layers.upper) / "file").exists())
        written = log.read_text().splitlines()
        assert written[0] == f"net:[{os.fstat(netns).st_ino}]"
        assert written[1:] == ["0", "1", "2", "3"], "3 is the directory that ls reads"
        assert '"running"' in run(launcher, [runtime, "--root", str(state), "state", "c1"], "/", tmp_path / "log2")

        assert procs.send_signal(pidfd, signal.SIGKILL)
        cgroups.kill_all(layout, path)
    finally:
        os.close(pidfd)
    cgroups.remove(layout.directories(path))
    shutil.rmtree(state / "c1")
    launcher.remove_crun_directory(path).result()
    assert not any(os.path.exists(directory) for directory in layout.directories(path))
    assert os.listdir(state) == []
    assert not exists_below_covered_mount(layout, path)


def exists_below_covered_mount(layout: CgroupLayout, path: str) -> bool:
    """Whether a plain directory lies under the host's cgroup2 mount point of a hybrid host."""
    if layout.mode is not CgroupMode.HYBRID or layout.unified is None:
        return False
    looker = Launcher()
    looker.start()
    try:
        looker.call(overlay.umount, layout.unified).result()
        return looker.call(os.path.exists, f"{layout.unified}{path}").result()
    finally:
        looker.close()
