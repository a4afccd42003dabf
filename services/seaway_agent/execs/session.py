"""One exec that has been started: its shim, its streams, its end."""

import asyncio
import contextlib
import logging
import signal as signals
from typing import Final, Protocol

from seaway_agent.core.instructions import Exit
from seaway_agent.execs.launch import ExecLaunch, ExecPlan, ExecRun
from seaway_agent.execs.supervised import SupervisedLaunch, SupervisedWatch, watch_of
from seaway_agent.kernel import procs
from seaway_agent.plumbing import Plumbing
from seaway_agent.runtime import terminal
from seaway_agent.runtime.run_watch import RunWatch
from seaway_agent.runtime.teardown import remove_tree
from seaway_agent.streams.console import Console
from seaway_kit.failpoints import Failpoint, reach

log = logging.getLogger(__name__)
_SHIM_ENDS_S: Final = 5.0


class Owner(Protocol):
    """Who is told of what happens, in this order; nothing comes after the end."""

    def runs(self, identifier: str, pid: int) -> None:
        """Its program is loaded."""

    def ended(self, identifier: str, how: Exit) -> None:
        """It is over."""

    def told(self, identifier: str) -> bytes:
        """What its clients are to know of it when its streams have ended."""


class Session:
    """From the start of an exec to its end. `over` is set once its end has been told and its clients have all of it."""

    def __init__(self, node: Plumbing, identifier: str, container: str, console: Console, owner: Owner) -> None:
        self.console = console
        self.over = asyncio.Event()
        self._node = node
        self._id = identifier
        self._container = container
        self._owner = owner
        self._bundle = node.layout.exec_bundle(identifier)
        self._run: ExecRun | None = None
        self._watch: RunWatch | SupervisedWatch | None = None
        self._ready = asyncio.Event()

    async def launch(self, plan: ExecPlan) -> None:
        """Bring it to life. Raises what `ExecLaunch` raises; then nothing is left, and its end isn't told."""
        try:
            run = await self._launched(plan)
        except BaseException:
            self.over.set()
            self._ready.set()
            raise
        self.adopt(run)

    def adopt(self, run: ExecRun) -> None:
        """Hold an exec that runs. Its end may be told from inside this call."""
        self._run = run
        self._owner.runs(self._id, run.pid)
        self._watch = watch_of(self._container, run, self._bundle)
        self._ready.set()
        self._watch.begin(self._ended)

    async def _launched(self, plan: ExecPlan) -> ExecRun:
        apparmor = self._node.apparmor
        await apparmor.see_to(apparmor.profile_for(plan.container.security))
        if plan.supervised:
            return await SupervisedLaunch(self._node, plan, self.console.take).run()
        return await ExecLaunch(self._node, plan, self.console.connect).run()

    async def resize(self, height: int, width: int, patience_s: float) -> bool:
        """Size its terminal, once it has one; False where it doesn't run. Raises TimeoutError."""
        async with asyncio.timeout(patience_s):
            await self._ready.wait()
        if self._run is None or self.over.is_set():
            return False
        try:
            terminal.resize(self._bundle, height, width)
        except OSError:
            return False
        return True

    @property
    def ending(self) -> bool:
        """Whether its process has ended, or may have while it is not yet known to run, and nobody has told how."""
        run = self._run
        if run is None:
            return not self._ready.is_set()
        return run.pidfd < 0 or procs.has_ended(run.pidfd)

    def kill(self) -> None:
        """End it by force; its end is told when it has come."""
        if self._run is not None and self._run.pidfd >= 0:
            procs.send_signal(self._run.pidfd, signals.SIGKILL)

    def close(self) -> None:
        """Let go without a trace: it goes on, for the next agent to adopt."""
        if self._watch is not None:
            self._watch.close()
        self._watch = self._run = None

    def _ended(self, how: Exit) -> None:
        self._owner.ended(self._id, how)
        self._node.tasks.begin(f"exec-end-{self._id[32:44]}", self._finish())

    async def _finish(self) -> None:
        """conmon has handed on all output before it tells of the end, and is gone a moment later."""
        on_their_way = self._node.journal.sent(self._container)
        if on_their_way is not None:
            await on_their_way
        self.console.ended(self._owner.told(self._id))
        watch = self._watch
        if watch is not None and not await watch.shim_gone(_SHIM_ENDS_S):
            watch.kill_shim()
            await watch.shim_gone(_SHIM_ENDS_S)
        self.close()
        self.over.set()
        with contextlib.suppress(OSError):
            remove_tree(self._bundle)
        reach(Failpoint.EXEC_TORN_DOWN)
