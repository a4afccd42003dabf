"""The end of a run, with processes that play conmon and the container's first process."""

import logging
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from seaway_agent.core.instructions import Exit
from seaway_agent.runtime.run import ContainerRun
from seaway_agent.runtime.run_watch import RunWatch, exit_code_of_orphan
from seaway_agent.runtime.shim import ExitFiles, wait_and_reap
from seaway_testing.descriptors import none_left_open
from seaway_testing.waiting import until


def child(script: str) -> int:
    return os.posix_spawn("/bin/sh", ["sh", "-c", script], {"PATH": "/bin:/usr/bin"})


class Stage:
    """A watch over a run of two children, and the exits that it reported."""

    def __init__(self, directory: Path, *, shim_there: bool = True) -> None:
        for name in ("exits", "persist", "bundle"):
            (directory / name).mkdir()
        self.files = ExitFiles.of(directory / "exits", directory / "persist", directory / "bundle", "abc")
        self.init, self.shim = child("exec sleep 60"), child("exec sleep 60")
        conmon_fd = os.pidfd_open(self.shim) if shim_there else -1
        self.run = ContainerRun(self.init, os.pidfd_open(self.init), conmon_fd, child=True)
        self.watch = RunWatch("abc", self.run, self.files)
        self.reported: list[Exit] = []

    def begin(self) -> None:
        self.watch.begin(self.reported.append)

    def kill(self, pid: int) -> None:
        os.kill(pid, 9)

    def write(self, code: int) -> None:
        self.files.exit.write_text(str(code))

    async def close(self) -> None:
        self.watch.close()
        for pid in (self.init, self.shim):
            try:
                os.kill(pid, 9)
                await until(lambda pid=pid: os.waitpid(pid, os.WNOHANG) != (0, 0))  # type: ignore[misc]
            except (ProcessLookupError, ChildProcessError):
                continue


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    with none_left_open():
        made = Stage(tmp_path)
        yield made
        await made.close()


async def test_the_exit_file_is_reported_once(stage: Stage) -> None:
    stage.begin()
    stage.watch.check()
    assert stage.reported == []
    stage.write(7)
    stage.watch.check()
    stage.watch.check()
    stage.kill(stage.shim)
    assert await stage.watch.shim_gone(5)
    assert [how.code for how in stage.reported] == [7]
    assert stage.watch.reported


async def test_nothing_is_reported_before_the_beginning(stage: Stage) -> None:
    stage.write(7)
    stage.watch.check()
    stage.kill(stage.shim)
    assert await stage.watch.shim_gone(5)
    assert not stage.watch.reported
    stage.begin()
    assert [how.code for how in stage.reported] == [7]


async def test_a_shims_normal_end_is_reported_without_a_check(stage: Stage) -> None:
    stage.begin()
    stage.write(3)
    stage.kill(stage.shim)
    await until(lambda: stage.reported)
    assert stage.reported[0].code == 3


async def test_a_killed_shim_leaves_the_kernels_exit_code(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    stage.begin()
    with caplog.at_level(logging.WARNING):
        stage.kill(stage.shim)
        await until(lambda: caplog.records)
    assert stage.reported == []
    stage.kill(stage.init)
    await until(lambda: stage.reported)
    assert [how.code for how in stage.reported] == [137]


async def test_an_exit_file_beats_the_kernels_exit_code(stage: Stage) -> None:
    stage.kill(stage.shim)
    assert await stage.watch.shim_gone(5)
    stage.begin()
    stage.write(5)
    stage.kill(stage.init)
    await until(lambda: stage.reported)
    assert [how.code for how in stage.reported] == [5]


async def test_a_shim_that_does_not_end_is_killed(stage: Stage) -> None:
    assert not await stage.watch.shim_gone(0.01)
    stage.watch.kill_shim()
    assert await stage.watch.shim_gone(5)
    assert not Path(f"/proc/{stage.shim}").exists()


async def test_a_closed_watch_reports_nothing(stage: Stage) -> None:
    stage.begin()
    stage.watch.close()
    stage.watch.close()
    stage.write(1)
    stage.watch.check()
    assert stage.reported == []
    assert stage.run.pidfd == -1


async def test_without_a_shim_and_without_a_process_the_code_is_unknown(tmp_path: Path) -> None:
    stage = Stage(tmp_path, shim_there=False)
    os.close(stage.run.pidfd)
    stage.run.pidfd = -1
    stage.begin()
    assert [how.code for how in stage.reported] == [-1]
    await stage.close()


async def test_the_code_of_a_zombie_and_of_one_that_runs() -> None:
    pid = child("exit 9")
    pidfd = os.pidfd_open(pid)
    try:
        await until(lambda: exit_code_of_orphan(pid, pidfd) is not None)
        assert exit_code_of_orphan(pid, pidfd) == 9
        assert await wait_and_reap(os.dup(pidfd)) == 9
        assert exit_code_of_orphan(pid, pidfd) in (9, None)
    finally:
        os.close(pidfd)
    own = os.pidfd_open(os.getpid())
    assert exit_code_of_orphan(os.getpid(), own) is None
    os.close(own)
