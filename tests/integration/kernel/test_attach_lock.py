"""The idle write into the agent's own cgroup, on this host's kernel."""

import asyncio
import os
import threading
from pathlib import Path

import pytest

from seaway_agent.kernel import cgroups
from seaway_agent.kernel.attach_lock import AttachLock
from seaway_agent.kernel.cgroup_text import CgroupLayout, own_cgroup
from seaway_testing.waiting import until

pytestmark = pytest.mark.root


def _threads() -> set[str]:
    return {thread.name for thread in threading.enumerate()}


def test_a_process_stays_in_its_cgroup() -> None:
    before = Path("/proc/self/cgroup").read_text()
    lock = AttachLock(cgroups.host_layout())
    lock.start()
    for _ in range(50):
        lock.warm()
    lock.close()
    lock.close()
    assert Path("/proc/self/cgroup").read_text() == before


def test_its_own_cgroup_is_found() -> None:
    path = own_cgroup(cgroups.host_layout(), Path("/proc/self/cgroup").read_text())
    assert path is not None
    assert str(os.getpid()) in Path(path, "cgroup.procs").read_text().split()


async def test_the_write_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: written.append(data) or real(fd, data))
    lock = AttachLock(cgroups.host_layout())
    lock.start()
    lock.warm()
    await until(lambda: b"0" in written)
    lock.close()
    assert "attach-lock" not in _threads()


async def test_what_is_warm_is_not_warmed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []
    clock = [100.0]
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: written.append(data) or real(fd, data))
    lock = AttachLock(cgroups.host_layout(), lambda: clock[0])
    lock.start()
    for now, writes in ((100.0, 1), (100.004, 1), (100.01, 2), (100.03, 2)):
        if now > 100.02:
            clock[0] = 100.025
            lock.used()
        clock[0] = now
        lock.warm()
        await until(lambda writes=writes: written.count(b"0") >= writes)
        await asyncio.sleep(0.05)
        assert written.count(b"0") == writes
    lock.close()


def test_nothing_happens_where_the_cgroup_cannot_be_written(tmp_path: Path) -> None:
    host = cgroups.host_layout()
    nowhere = CgroupLayout(host.mode, {name: str(tmp_path) for name in host.controllers}, str(tmp_path))
    lock = AttachLock(nowhere)
    lock.start()
    lock.warm()
    lock.close()
    assert "attach-lock" not in _threads()
