"""An exec in the supervisor's hands: its launch, its end."""

import asyncio
import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

import orjson

from seaway_agent.core.instructions import Exit
from seaway_agent.execs.inherited import begun_alone
from seaway_agent.execs.launch import ExecPlan, ExecRun, pidfd_of, prepare
from seaway_agent.execs.supervisor.orders import Order
from seaway_agent.execs.supervisor.supervisor import SupervisedExec, SupervisorGone, begin_by
from seaway_agent.plumbing import Plumbing
from seaway_agent.runtime.failures import exec_failure
from seaway_agent.runtime.run_watch import RunWatch
from seaway_agent.runtime.shim import ExitFiles
from seaway_agent.streams.line import Line
from seaway_agent.streams.pipes import Pipes
from seaway_contracts.errors import SeawayError, internal
from seaway_kit.failpoints import Failpoint, reach

_TRIES: Final = 3


class SupervisedLaunch:
    """One launch. `take` is called with its streams, which until then hold what the runtime has to say."""

    def __init__(self, node: Plumbing, plan: ExecPlan, take: Callable[[Line], None]) -> None:
        self._node = node
        self._plan = plan
        self._take = take

    async def run(self) -> ExecRun:
        """Start it. Raises SeawayError (in Docker's words where the runtime refused), OSError; nothing is left then.

        Cancelled, which is only when the agent ends, it leaves all to the successor.
        """
        try:
            return await self._run()
        except Exception:
            shutil.rmtree(self._plan.shim.bundle, ignore_errors=True)
            raise

    async def _run(self) -> ExecRun:
        for _ in range(_TRIES):
            if (run := await self._begun()) is not None:
                return run
            shutil.rmtree(self._plan.shim.bundle)
        raise internal("the supervisor of execs is ended again and again; see who does that, and try again")

    async def _begun(self) -> ExecRun | None:
        """None where the supervisor was killed over it, and nothing has run."""
        node, plan = self._node, self._plan
        node.attach_lock.warm()
        await node.supervisor.ready(node.launcher, node.layout.run, node.output_fd)
        await prepare(node, plan)
        try:
            pipes, supervised = self._order()
        except SupervisorGone:
            return None
        reach(Failpoint.EXEC_SPAWNED)
        try:
            pid = await self._pid(supervised)
            if not pid:
                pipes.close()
                return None
        except SeawayError as error:
            said = pipes.said()
            pipes.close()
            raise exec_failure(said or error.message) from None
        node.attach_lock.used()
        self._take(pipes)
        return ExecRun(pid, pidfd_of(pid), -1, child=False, supervised=supervised)

    async def _pid(self, supervised: SupervisedExec) -> int:
        """The program's; 0 where the supervisor was killed before it could report one, and nothing has come of it."""
        try:
            return await self._node.supervisor.begun(supervised)
        except TimeoutError:
            failure = internal("the supervisor of execs has not begun it for minutes; it won't be begun any more")
        except SeawayError as error:
            if not supervised.orphaned:
                raise
            failure = error
        loop, pid_file = asyncio.get_running_loop(), Path(self._plan.shim.pid_file)
        pid = await loop.run_in_executor(self._node.workers, begun_alone, pid_file)
        if pid is None or not (pid or supervised.orphaned):
            raise failure
        return pid

    def _order(self) -> tuple[Pipes, SupervisedExec]:
        """Raises SeawayError, OSError, SupervisorGone; no descriptor is left open then."""
        shim = self._plan.shim
        with contextlib.ExitStack() as theirs, contextlib.ExitStack() as ours:
            stdin, our_stdin = _pipe(theirs, ours) if shim.stdin else (self._nothing(theirs), -1)
            (stdout, into_stdout), (stderr, into_stderr) = _pipe(ours, theirs), _pipe(ours, theirs)
            fds = (stdin, into_stdout, into_stderr, stdout, stderr)
            supervised = self._node.supervisor.begin(shim.exec_id, self._words(), fds)
            ours.pop_all()
        return Pipes(our_stdin, (stdout, stderr)), supervised

    def _nothing(self, reading: contextlib.ExitStack) -> int:
        """Opened anew, as programs may change how a descriptor is used, and all who share it with them."""
        fd = os.open(f"/proc/self/fd/{self._node.launcher.nothing}", os.O_RDONLY | os.O_CLOEXEC)
        reading.callback(os.close, fd)
        return fd

    def _words(self) -> bytes:
        shim, score = self._plan.shim, self._plan.container.resources.oom_score_adj
        files = str(shim.bundle), shim.pid_file, shim.exit_file
        return orjson.dumps(Order(shim.exec_id, shim.runtime_argv(), *files, begin_by(), score))


def _pipe(reading: contextlib.ExitStack, writing: contextlib.ExitStack) -> tuple[int, int]:
    """A pipe, each of whose ends is closed with its stack."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    reading.callback(os.close, reader)
    writing.callback(os.close, writer)
    return reader, writer


class SupervisedWatch:
    """Hears of the end of one run from the supervisor; once that is gone, as `RunWatch`."""

    def __init__(self, container: str, run: ExecRun, supervised: SupervisedExec, bundle: Path) -> None:
        self._container = container
        self._run = run
        self._supervised = supervised
        self._bundle = bundle
        self._ended: Callable[[Exit], None] | None = None
        self._orphan: RunWatch | None = None

    def begin(self, ended: Callable[[Exit], None]) -> None:
        """From now on `ended` may be called, also from here."""
        self._ended = ended
        self._supervised.listen(ended, self._orphaned)

    async def shim_gone(self, seconds: float) -> bool:
        """There is none."""
        return True

    def kill_shim(self) -> None:
        """There is none."""

    def close(self) -> None:
        """Stop watching, let go of all descriptors. Safe to call twice."""
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
    """Who notices its end."""
    if run.supervised is not None:
        return SupervisedWatch(container, run, run.supervised, bundle)
    return RunWatch(container, run, _files(bundle, container), shimless=run.shimless)


def _files(bundle: Path, container: str) -> ExitFiles:
    return ExitFiles.of(bundle, bundle, bundle, container)
