"""One exec from start to end: its process, streams and bundle."""

import asyncio
import contextlib
import logging
import signal as signals
from collections.abc import Callable
from typing import Final, Protocol

from seaway_agent.core.instructions import Exit
from seaway_agent.execs.launch import ExecRun
from seaway_agent.execs.plan import ExecPlan
from seaway_agent.execs.starter import ExecStarter
from seaway_agent.execs.supervised import SupervisedWatch, watch_of
from seaway_agent.kernel import procs
from seaway_agent.runtime import shim
from seaway_agent.runtime.run_watch import RunWatch
from seaway_agent.runtime.teardown import remove_tree
from seaway_agent.streams.console import Console
from seaway_kit.failpoints import Failpoint, reach
from seaway_kit.tasks import Tasks

log = logging.getLogger(__name__)
_SHIM_ENDS_S: Final = 5.0


EventsSent = Callable[[str], "asyncio.Future[None] | None"]
"""Returns a future that is done when a container's events so far are published; None if they are."""


class Owner(Protocol):
    """Receives a session's reports, in this order; none comes after the end."""

    def runs(self, identifier: str, pid: int) -> None:
        """The exec's program runs."""

    def ended(self, identifier: str, how: Exit) -> None:
        """The exec's program has ended."""

    def last_words(self, identifier: str) -> bytes:
        """What the session sends to the exec's clients at the end of their streams."""


class Session:
    """One exec. `over` is set once it has ended, its end is reported and its clients have all output."""

    def __init__(
        self,
        starter: ExecStarter,
        identifier: str,
        container: str,
        console: Console,
        owner: Owner,
        tasks: Tasks,
        sent: EventsSent,
    ) -> None:
        self.console = console
        self.over = asyncio.Event()
        self._starter = starter
        self._id = identifier
        self._container = container
        self._owner = owner
        self._tasks = tasks
        self._sent = sent
        self._bundle = starter.bundle(identifier)
        self._run: ExecRun | None = None
        self._watch: RunWatch | SupervisedWatch | None = None
        self._ready = asyncio.Event()

    async def launch(self, plan: ExecPlan) -> None:
        """Start the exec. Raises what `ExecStarter.start` raises; then nothing is left and no end is reported."""
        try:
            run = await self._starter.start(plan, self.console)
        except BaseException:
            self.over.set()
            self._ready.set()
            raise
        self.adopt(run)

    def adopt(self, run: ExecRun) -> None:
        """Watch a running exec. May report its end before it returns."""
        self._run = run
        self._owner.runs(self._id, run.pid)
        self._watch = watch_of(self._container, run, self._bundle)
        self._ready.set()
        self._watch.begin(self._ended)

    async def resize(self, height: int, width: int, patience_s: float) -> bool:
        """Resize the terminal once there is one; False if the exec doesn't run. Raises TimeoutError."""
        async with asyncio.timeout(patience_s):
            await self._ready.wait()
        if self._run is None or self.over.is_set():
            return False
        try:
            shim.resize_terminal(self._bundle, height, width)
        except OSError:
            return False
        return True

    @property
    def ending(self) -> bool:
        """Whether the process has ended, or may have ended during its start, and the end is not reported yet."""
        run = self._run
        if run is None:
            return not self._ready.is_set()
        return run.pidfd < 0 or procs.has_ended(run.pidfd)

    def kill(self) -> None:
        """Send SIGKILL to the process; its end is reported as usual."""
        if self._run is not None and self._run.pidfd >= 0:
            procs.send_signal(self._run.pidfd, signals.SIGKILL)

    def close(self) -> None:
        """Stop watching; the exec continues, and the next agent adopts it."""
        if self._watch is not None:
            self._watch.close()
        self._watch = self._run = None

    def _ended(self, how: Exit) -> None:
        self._owner.ended(self._id, how)
        self._tasks.begin(f"exec-end-{self._id[32:44]}", self._finish())

    async def _finish(self) -> None:
        """End the clients' streams, wait for the shim's end, remove the bundle.

        conmon reports the exec's end after it has passed on all output, and exits a moment later.
        """
        events_sent = self._sent(self._container)
        if events_sent is not None:
            await events_sent
        self.console.end(self._owner.last_words(self._id))
        watch = self._watch
        if watch is not None and not await watch.shim_gone(_SHIM_ENDS_S):
            watch.kill_shim()
            await watch.shim_gone(_SHIM_ENDS_S)
        self.close()
        self.over.set()
        with contextlib.suppress(OSError):
            remove_tree(self._bundle)
        reach(Failpoint.EXEC_TORN_DOWN)
