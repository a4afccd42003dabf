import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from seaway_agent.kernel import cgroups
from seaway_agent.kernel.cgroup_limits import Limits
from seaway_agent.kernel.cgroup_text import CgroupLayout, CgroupMode
from seaway_agent.kernel.launcher import Launcher
from seaway_agent.kernel.spawn import Spawned, spawn

pytestmark = pytest.mark.root


@pytest.fixture
def busy(parent: str, layout: CgroupLayout) -> Iterator[tuple[str, Spawned]]:
    """A cgroup with a shell and its child, which use memory and CPU."""
    if layout.mode is CgroupMode.V2:
        pytest.skip("moves a thread between cgroups, which v2 doesn't allow")
    thread = Launcher()
    thread.start()
    path = f"{parent}/c1"
    thread.call(cgroups.enter, layout, path).result()
    script = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; sleep 60 & echo; wait"
    reader, writer = os.pipe()
    child = thread.call(spawn, ["/bin/sh", "-c", script], env=dict(os.environ), fds={1: writer}).result()
    os.close(writer)
    os.read(reader, 1)
    thread.close()
    while os.getpid() in cgroups.procs(f"{layout.directory('pids', path)}"):
        time.sleep(0.001)  # before Python 3.13 a joined thread may live on for a moment
    yield path, child
    cgroups.kill_all(layout, path)
    os.waitpid(child.pid, 0)
    os.close(child.pidfd)
    os.close(reader)
    cgroups.remove(layout.directories(path))


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_children_of_a_thread_in_a_cgroup_are_in_it(busy: tuple[str, Spawned], layout: CgroupLayout) -> None:
    path, child = busy
    assert child.pid in cgroups.procs(f"{layout.directory('memory', path)}")
    assert len(cgroups.procs(f"{layout.directory('pids', path)}")) == 2


def test_samples(busy: tuple[str, Spawned], layout: CgroupLayout) -> None:
    path, _ = busy
    with cgroups.Sampler(layout, path) as sampler:
        sample = sampler.sample()
    assert sample.cpu_usage_ns > 1_000_000
    assert (len(sample.processes), sample.pids_current) == (2, 2)
    assert 0 < sample.memory_working_set <= sample.memory_usage
    assert (sample.memory_limit, sample.pids_limit, sample.oom_kills) == (None, None, 0)


def test_threads_are_no_processes(layout: CgroupLayout, parent: str) -> None:
    path = f"{parent}/threads"
    for directory in layout.directories(path):
        os.makedirs(directory)
    threads = "import threading, time; [threading.Thread(target=time.sleep, args=(60,)).start() for _ in range(3)]"
    child = subprocess.Popen([sys.executable, "-c", f"{threads}; print(flush=True)"], stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        child.stdout.readline()
        Path(f"{layout.directory('pids', path)}/cgroup.procs").write_text(str(child.pid))
        with cgroups.Sampler(layout, path) as sampler:
            sample = sampler.sample()
        assert (len(sample.processes), sample.pids_current) == (1, 4)
    finally:
        child.kill()
        child.wait()
        cgroups.remove(layout.directories(path))


def test_limits_can_be_changed_up_and_down(busy: tuple[str, Spawned], layout: CgroupLayout) -> None:
    path, _ = busy
    mib = 1 << 20
    for memory, swap in ((64, 128), (256, 512), (32, 32), (128, -1)):
        limits = Limits(memory=memory * mib, memory_swap=swap if swap < 0 else swap * mib, pids=memory)
        cgroups.update_limits(layout, path, limits)
        with cgroups.Sampler(layout, path) as sampler:
            assert (sampler.sample().memory_limit, sampler.sample().pids_limit) == (memory * mib, memory)
    cgroups.update_limits(layout, path, Limits(cpu_quota_us=20_000, cpu_period_us=50_000, cpu_shares=256))
    cpu = Path(f"{layout.directory('cpu', path)}")
    assert (cpu / "cpu.cfs_quota_us").read_text() == "20000\n"
    with pytest.raises(OSError, match=r"cannot write '4096'.*memory.limit_in_bytes|cannot write '4096'.*memsw"):
        cgroups.update_limits(layout, path, Limits(memory=8 * mib, memory_swap=4096))


def test_frozen_processes_stand_still_and_can_be_killed(busy: tuple[str, Spawned], layout: CgroupLayout) -> None:
    path, child = busy
    cgroups.freeze(layout, path)
    cgroups.freeze(layout, path)
    assert Path(f"{layout.directory('freezer', path)}/freezer.state").read_text() == "FROZEN\n"
    cgroups.thaw(layout, path)
    assert Path(f"{layout.directory('freezer', path)}/freezer.state").read_text() == "THAWED\n"
    cgroups.freeze(layout, path)
    cgroups.kill_all(layout, path)
    assert cgroups.procs(f"{layout.directory('freezer', path)}") == []
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert state_of(child.pid) == "Z"


def test_a_cgroup_in_use_is_not_removed_and_says_by_whom(busy: tuple[str, Spawned], layout: CgroupLayout) -> None:
    path, child = busy
    with pytest.raises(OSError, match=rf"still has processes \[{child.pid}"):
        cgroups.remove(layout.directories(path))


def test_samples_after_the_cgroup_is_gone_are_zeros(layout: CgroupLayout, parent: str) -> None:
    for directory in layout.directories(f"{parent}/c2/nested"):
        os.makedirs(directory)
    with cgroups.Sampler(layout, f"{parent}/c2") as sampler:
        cgroups.remove(layout.directories(f"{parent}/c2"))
        assert sampler.sample().memory_usage == 0
        assert sampler.sample().pids_current == 0


def test_out_of_memory_is_counted(parent: str, layout: CgroupLayout) -> None:
    if layout.mode is CgroupMode.V2:
        pytest.skip("writes cgroup v1 files")
    path = f"{parent}/oom"
    memory = f"{layout.directory('memory', path)}"
    os.makedirs(memory)
    cgroups.update_limits(layout, path, Limits(memory=8 << 20, memory_swap=8 << 20))
    script = f"echo $$ > {memory}/tasks; exec tail /dev/zero"
    assert subprocess.run(["sh", "-c", script], check=False).returncode == -9
    assert cgroups.oom_kills(layout, path) == 1
    with cgroups.Sampler(layout, path) as sampler:
        assert sampler.sample().oom_kills == 1


@pytest.fixture
def pure_v2(layout: CgroupLayout) -> CgroupLayout:
    """The cgroup2 mount of this host alone; on a hybrid host it has all but the resource controllers."""
    if layout.unified is None:
        pytest.skip("no cgroup2 mount")
    return CgroupLayout(CgroupMode.V2, {}, layout.unified)


def test_v2_freeze_sample_kill_remove(pure_v2: CgroupLayout, parent: str) -> None:
    path = f"{parent}/v2"
    directory = f"{pure_v2.unified}{path}"
    os.makedirs(f"{directory}/nested")
    child = spawn(["/bin/sh", "-c", "while :; do :; done"])
    try:
        cgroups.write_text(f"{directory}/nested/cgroup.procs", str(child.pid))
        assert cgroups.procs(directory) == [child.pid]
        with pytest.raises(OSError, match=rf"still has processes \[{child.pid}"):
            cgroups.remove([directory])
        cgroups.freeze(pure_v2, path)
        assert "frozen 1" in cgroups.read_text(f"{directory}/cgroup.events")
        cgroups.thaw(pure_v2, path)
        with cgroups.Sampler(pure_v2, path) as sampler:
            first = sampler.sample().cpu_usage_ns
            assert cgroups._until(lambda: sampler.sample().cpu_usage_ns > first, 5)
        cgroups.freeze(pure_v2, path)
        cgroups.kill_all(pure_v2, path)
    finally:
        os.kill(child.pid, signal.SIGKILL)
        os.waitpid(child.pid, 0)
        os.close(child.pidfd)
    cgroups.remove([directory])
    assert not os.path.exists(directory)
