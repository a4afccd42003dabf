"""Starts an exec by the supervisor, and watches for its end."""

import asyncio
import contextlib
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import orjson

from seaway_agent.core.instructions import Exit
from seaway_agent.execs.bundles import ExecBundles
from seaway_agent.execs.inherited import begun_alone
from seaway_agent.execs.launch import ExecRun, pidfd_of, pipe
from seaway_agent.execs.plan import ExecPlan, ExecShim
from seaway_agent.execs.supervisor.orders import Order
from seaway_agent.execs.supervisor.supervisor import ExecSupervisor, SupervisedExec, SupervisorGone, begin_by
from seaway_agent.kernel.launcher import Launcher
from seaway_agent.runtime.failures import exec_failure
from seaway_agent.runtime.run_watch import RunWatch
from seaway_agent.runtime.shim import ExitFiles
from seaway_agent.streams.pipes import Pipes
from seaway_agent.streams.stdio import Stdio
from seaway_contracts.errors import SeawayError, internal
from seaway_kit.failpoints import Failpoint, reach

_TRIES: Final = 3


class SupervisedLaunch:
    """Starts execs by the supervisor."""

    def __init__(
        self, bundles: ExecBundles, launcher: Launcher, workers: ThreadPoolExecutor, supervisor: ExecSupervisor
    ) -> None:
        self._bundles = bundles
        self._launcher = launcher
        self._workers = workers
        self._supervisor = supervisor

    async def run(self, plan: ExecPlan, take: Callable[[Stdio], None]) -> ExecRun:
        """Start an exec. `take` is called with its streams when its program runs; before that they carry the
        runtime's errors.

        Raises SeawayError (in Docker's words where the runtime refused), OSError; nothing is left then. It is
        cancelled only when the agent ends: then everything is left to the next agent.
        """
        try:
            return await self._run(plan, take)
        except Exception:
            shutil.rmtree(plan.shim.bundle, ignore_errors=True)
            raise

    async def _run(self, plan: ExecPlan, take: Callable[[Stdio], None]) -> ExecRun:
        for _ in range(_TRIES):
            if (run := await self._begun(plan, take)) is not None:
                return run
            shutil.rmtree(plan.shim.bundle)
        raise internal("the supervisor of execs is ended again and again; see who does that, and try again")

    async def _begun(self, plan: ExecPlan, take: Callable[[Stdio], None]) -> ExecRun | None:
        """None where the supervisor was killed meanwhile, and the program has not run."""
        await self._supervisor.ready()
        await self._bundles.prepare(plan)
        try:
            pipes, supervised = self._order(plan)
        except SupervisorGone:
            return None
        reach(Failpoint.EXEC_SPAWNED)
        try:
            pid = await self._pid(plan.shim, supervised)
            if not pid:
                pipes.close()
                return None
        except SeawayError as error:
            said = pipes.read_stderr()
            pipes.close()
            raise exec_failure(said or error.message) from None
        take(pipes)
        return ExecRun(pid, pidfd_of(pid), -1, child=False, supervised=supervised)

    async def _pid(self, shim: ExecShim, supervised: SupervisedExec) -> int:
        """The program's pid; 0 where the supervisor was killed before it reported one, and the program has not run."""
        try:
            return await self._supervisor.begun(supervised)
        except TimeoutError:
            failure = internal("the supervisor of execs has not begun it for minutes; it won't be begun any more")
        except SeawayError as error:
            if not supervised.orphaned:
                raise
            failure = error
        loop = asyncio.get_running_loop()
        pid = await loop.run_in_executor(self._workers, begun_alone, shim.bundle)
        if pid is None or not (pid or supervised.orphaned):
            raise failure
        return pid

    def _order(self, plan: ExecPlan) -> tuple[Pipes, SupervisedExec]:
        """Order it from the supervisor. Raises SeawayError, OSError, SupervisorGone with no descriptor left open."""
        with contextlib.ExitStack() as theirs, contextlib.ExitStack() as ours:
            stdin, our_stdin = pipe(theirs, ours) if plan.shim.stdin else (self._nothing(theirs), -1)
            (stdout, into_stdout), (stderr, into_stderr) = pipe(ours, theirs), pipe(ours, theirs)
            fds = (stdin, into_stdout, into_stderr, stdout, stderr)
            supervised = self._supervisor.begin(plan.shim.exec_id, _order_of(plan), fds)
            ours.pop_all()
        return Pipes(our_stdin, (stdout, stderr)), supervised

    def _nothing(self, reading: contextlib.ExitStack) -> int:
        """/dev/null, opened anew: a program may change the flags of a descriptor for everybody who shares it."""
        fd = os.open(f"/proc/self/fd/{self._launcher.dev_null}", os.O_RDONLY | os.O_CLOEXEC)
        reading.callback(os.close, fd)
        return fd


def _order_of(plan: ExecPlan) -> bytes:
    shim, score = plan.shim, plan.container.resources.oom_score_adj
    files = str(shim.bundle), shim.pid_file, shim.exit_file
    return orjson.dumps(Order(shim.exec_id, shim.runtime_argv(), *files, begin_by(), score))


class SupervisedWatch:
    """Reports the end of one exec: as the supervisor reports it, and as `RunWatch` does once the supervisor is gone."""

    def __init__(self, container: str, run: ExecRun, supervised: SupervisedExec, bundle: Path) -> None:
        self._container = container
        self._run = run
        self._supervised = supervised
        self._bundle = bundle
        self._ended: Callable[[Exit], None] | None = None
        self._orphan: RunWatch | None = None

    def begin(self, ended: Callable[[Exit], None]) -> None:
        """Call `ended` once, when it ends; maybe from inside this call."""
        self._ended = ended
        self._supervised.listen(ended, self._orphaned)

    async def shim_gone(self, seconds: float) -> bool:
        """True: a supervised exec has no shim."""
        return True

    def kill_shim(self) -> None:
        """Do nothing: a supervised exec has no shim."""

    def close(self) -> None:
        """Stop watching and close all descriptors. Safe to call twice."""
        self._supervised.close()
        self._ended = None
        if self._orphan is not None:
            self._orphan.close()
        elif self._run.pidfd >= 0:
            os.close(self._run.pidfd)
            self._run.pidfd = -1

    def _orphaned(self) -> None:
        if self._ended is not None:
            self._orphan = RunWatch(self._container, self._run, _files(self._bundle, self._container))
            self._orphan.begin(self._ended)


def watch_of(container: str, run: ExecRun, bundle: Path) -> RunWatch | SupervisedWatch:
    """What reports the end of an exec that runs."""
    if run.supervised is not None:
        return SupervisedWatch(container, run, run.supervised, bundle)
    return RunWatch(container, run, _files(bundle, container), shimless=run.shimless)


def _files(bundle: Path, container: str) -> ExitFiles:
    return ExitFiles.of(bundle, bundle, bundle, container)
