"""Starts an exec with a conmon of its own, or leaves nothing of it."""

import asyncio
import contextlib
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from seaway_agent.execs.bundles import ExecBundles
from seaway_agent.execs.plan import ATTACH_FD, START_FD, SYNC_FD, ExecPlan, ExecShim
from seaway_agent.execs.supervisor.supervisor import SupervisedExec
from seaway_agent.kernel import procs
from seaway_agent.kernel.launcher import Launcher
from seaway_agent.kernel.spawn import Spawned, spawn
from seaway_agent.runtime import shim
from seaway_agent.runtime.failures import exec_failure, last_error
from seaway_agent.runtime.shims import end_with_children
from seaway_kit.failpoints import Failpoint, reach

_GO: Final = b"\0"


@dataclass
class ExecRun:
    """A running exec. `pidfd` is its process, `conmon_fd` its conmon (-1: none, or it has ended), a `child` or not.

    `supervised`: this agent's supervisor runs it. `shimless`: a former agent's supervisor started it.
    """

    pid: int
    pidfd: int
    conmon_fd: int
    child: bool
    supervised: SupervisedExec | None = None
    shimless: bool = False


@dataclass(frozen=True)
class _Pipes:
    """`theirs`: conmon's descriptor number → ours to hand over. `attach_fd`, `start_fd`: -1 for a detached exec."""

    theirs: dict[int, int]
    report_fd: int
    attach_fd: int = -1
    start_fd: int = -1


class ExecLaunch:
    """Starts execs that have a conmon each. `output_fd`: where conmon writes what it logs."""

    def __init__(self, bundles: ExecBundles, launcher: Launcher, workers: ThreadPoolExecutor, output_fd: int) -> None:
        self._bundles = bundles
        self._launcher = launcher
        self._workers = workers
        self._output_fd = output_fd

    async def run(self, plan: ExecPlan, join: Callable[[Path], None]) -> ExecRun:
        """Start an exec. `join` is called with its bundle when its streams can be joined, before the program starts.

        Raises SeawayError (in Docker's words where the runtime refused), OSError; nothing is left then.
        """
        with contextlib.ExitStack() as ours:
            try:
                return await self._run(plan, join, ours)
            except BaseException:
                shutil.rmtree(plan.shim.bundle, ignore_errors=True)
                raise

    async def _run(self, plan: ExecPlan, join: Callable[[Path], None], ours: contextlib.ExitStack) -> ExecRun:
        with contextlib.ExitStack() as theirs:
            pipes = self._pipes(plan.shim, ours, theirs)
            spawning = self._launcher.call(self._make_and_spawn, plan, pipes.theirs)
            spawned = await asyncio.shield(asyncio.wrap_future(spawning))
        reach(Failpoint.EXEC_SPAWNED)
        try:
            if plan.shim.attached:
                await shim.read_report(pipes.attach_fd)
                join(plan.shim.bundle)
                os.write(pipes.start_fd, _GO)
            report = await shim.read_report(pipes.report_fd)
        except BaseException:
            await self._end_shim(spawned)
            raise
        if report.pid <= 0:
            await shim.wait_and_reap(spawned.pidfd)
            raise exec_failure(_logged(plan.shim) or report.message)
        return ExecRun(report.pid, pidfd_of(report.pid), spawned.pidfd, child=True)

    def _make_and_spawn(self, plan: ExecPlan, fds: dict[int, int]) -> Spawned:
        """In the launcher's thread: the runtime needs its mount namespace."""
        conmon = plan.shim
        self._bundles.make(plan)
        with procs.oom_score(plan.container.resources.oom_score_adj):  # crun leaves it as it is
            return spawn(conmon.argv(), env=conmon.env(), cwd=str(conmon.bundle), fds=fds)

    def _pipes(self, conmon: ExecShim, ours: contextlib.ExitStack, theirs: contextlib.ExitStack) -> _Pipes:
        """conmon's pipes; the stacks close their ends. conmon reads its start pipe twice: before anything else, for
        which the first byte is written here, and before it starts the program.
        """
        report_fd, sync = pipe(ours, theirs)
        fds = {SYNC_FD: sync, 1: self._output_fd, 2: self._output_fd}
        if not conmon.attached:
            return _Pipes(fds, report_fd)
        attach_fd, ready = pipe(ours, theirs)
        start, start_fd = pipe(theirs, ours)
        os.write(start_fd, _GO)
        return _Pipes({**fds, START_FD: start, ATTACH_FD: ready}, report_fd, attach_fd, start_fd)

    async def _end_shim(self, spawned: Spawned) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._workers, end_with_children, procs.find(spawned.pid))
        os.close(spawned.pidfd)


def _logged(conmon: ExecShim) -> str:
    try:
        return last_error(conmon.log_file.read_bytes())
    except FileNotFoundError:
        return ""


def pipe(reading: contextlib.ExitStack, writing: contextlib.ExitStack) -> tuple[int, int]:
    """A pipe: the reading end, the writing end; each is closed with its stack."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    reading.callback(os.close, reader)
    writing.callback(os.close, writer)
    return reader, writer


def pidfd_of(pid: int) -> int:
    """A pidfd of a process that has just started; -1 where it has ended already."""
    try:
        return procs.open_pidfd(pid)
    except ProcessLookupError:
        return -1
