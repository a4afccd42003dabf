"""Brings runs of one container to life, and gives back all that they held."""

import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial

from seaway_agent.container.hook import FORESEEN, RunHooks, RunRequest
from seaway_agent.container.measures import LaunchTimer
from seaway_agent.core.instructions import Launch, Launched
from seaway_agent.runtime.contribution import Contribution
from seaway_agent.runtime.port import Runtime
from seaway_agent.runtime.run import ContainerRun, RunPlan
from seaway_agent.streams.console import Console
from seaway_agent.streams.container_log import ContainerLog
from seaway_agent.streams.stdio import all_accepted
from seaway_contracts.containers import ContainerSpec
from seaway_kit import tracing
from seaway_kit.failpoints import Failpoint, reach

log = logging.getLogger(__name__)


class Launching:
    """The hooks prepare, the runtime creates, console and log are joined, the program is let run."""

    def __init__(self, runtime: Runtime, hooks: RunHooks, console: Console, log: ContainerLog) -> None:
        self._runtime = runtime
        self._hooks = hooks
        self._console = console
        self._log = log

    async def launch(self, spec: ContainerSpec, lowers: tuple[str, ...], order: Launch) -> Launched:
        """Run it. Raises what a hook or the runtime raises, with nothing left."""
        timer = LaunchTimer()
        self._runtime.warm()
        if order.restarters:
            reach(Failpoint.RESTART_LAUNCHING)
        try:
            with tracing.span("launch") as span:
                span.set("container.id", spec.id)
                parts = await self._hooks.prepare(RunRequest(spec, lowers))
                return await self._run(spec, order, parts, timer)
        except Exception:  # cancelled only when the agent ends: its successor undoes what was begun
            timer.failed()
            raise

    def adopt(self, spec: ContainerSpec, run: ContainerRun) -> None:
        """Take over a run that an earlier agent began."""
        self._runtime.adopt(run)
        self._hooks.created(spec.id, run)
        self._log.begin()
        with contextlib.suppress(OSError):
            self._connect_console(spec)

    async def clean_up(self, container: str) -> None:
        """Give back all that a run held. What can't be is logged and left to the sweep."""
        await _tried(container, self._runtime.clean_up)
        await _tried(container, partial(self._hooks.undo, container))

    async def _run(self, spec: ContainerSpec, order: Launch, parts: Contribution, timer: LaunchTimer) -> Launched:
        try:
            with tracing.span("runtime create"):
                run = await self._runtime.create(RunPlan(spec, order, parts))
        except Exception:
            await _tried(spec.id, partial(self._hooks.undo, spec.id))
            reach(Failpoint.START_DISCONNECTED)
            raise
        try:
            self._hooks.created(spec.id, run)
            timer.lap("create")
            self._connect_console(spec)
            await self._prepare_fallback(order)
            self._log.begin()
            with tracing.span("runtime start"):
                await self._runtime.start()
            reach(Failpoint.START_RUNNING)
            timer.lap("start")
        except Exception:
            await self.clean_up(spec.id)
            raise
        timer.done()
        return Launched(run.pid, time.time_ns(), parts.endpoints, parts.ports, parts.apparmor)

    def _connect_console(self, spec: ContainerSpec) -> None:
        command = spec.command
        if self._console.wanted or (command.open_stdin and (command.tty or not command.stdin_once)):
            self._runtime.connect_console(self._console)

    async def _prepare_fallback(self, order: Launch) -> None:
        """Attached clients get the output of a program that ends before conmon has accepted their connection."""
        if not self._console.wanted:
            return
        if self._log.kept:
            begin = self._log.mark() if order.run > 1 else (1, 0)
            self._console.set_fallback(partial(self._log.written_since, begin))
        else:
            await all_accepted()


async def _tried(container: str, undo: Callable[[], Awaitable[None]]) -> None:
    try:
        await undo()
    except Exception as error:
        expected = isinstance(error, FORESEEN)
        log.error("container %s: %s", container[:12], error, exc_info=None if expected else error)
