"""One container on its node: the shell that carries out what its state machine decides."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import Final, Protocol

from seaway_agent.core.instructions import (
    Answer,
    Ask,
    Delete,
    Do,
    Exit,
    Launch,
    Launched,
    Record,
    SendSignal,
    SetTimer,
    TearDown,
    Thaw,
)
from seaway_agent.core.machine import Machine
from seaway_agent.core.steps import Phase
from seaway_agent.metrics import measures
from seaway_agent.metrics.measures import LaunchTimer
from seaway_agent.plumbing import Plumbing
from seaway_agent.run import Run
from seaway_agent.runtime.conmon_runtime import ConmonRuntime
from seaway_agent.runtime.port import Runtime
from seaway_agent.streams.console import Console
from seaway_bus.bus import Command
from seaway_contracts.containers import ContainerSpec, ContainerStatus
from seaway_contracts.errors import SeawayError, internal
from seaway_docker.errors import exit_code_for
from seaway_kit.failpoints import Failpoint, reach

log = logging.getLogger(__name__)
_FORESEEN: Final = (SeawayError, OSError, ValueError)


class Timer(Protocol):
    """What `later` gives back."""

    def cancel(self) -> None:
        """Don't call."""


Later = Callable[[float, Callable[[str], None], str], Timer]
"""Calls a function with a text after so many seconds, as an event loop's `call_later` does."""


class Cell:
    """A container. `gone` is called when nothing of it is left.

    `runtime` and `later` stand in for conmon and the event loop's clock.
    """

    def __init__(
        self,
        node: Plumbing,
        spec: ContainerSpec,
        status: ContainerStatus,
        lowers: tuple[str, ...],
        gone: Callable[["Cell"], None],
        phase: Phase = Phase.IDLE,
        runtime: Runtime | None = None,
        later: Later | None = None,
    ) -> None:
        self.node = node
        self.machine = Machine(spec, status, phase)
        self.lowers = lowers
        self._gone = gone
        self._answers: dict[str, asyncio.Future[ContainerStatus]] = {}
        self._timers: dict[str, Timer] = {}
        self._later = later
        self._runtime: Runtime = runtime or ConmonRuntime(node, spec)
        command = spec.command
        self.console = Console(
            spec.id,
            tty=command.tty,
            stdin=command.open_stdin,
            stdin_once=command.stdin_once,
            spill=node.layout.root,
            tasks=node.tasks,
        )

    @property
    def spec(self) -> ContainerSpec:
        """What was asked for."""
        return self.machine.spec

    @property
    def status(self) -> ContainerStatus:
        """What is."""
        return self.machine.status

    @property
    def host_veth(self) -> str:
        """The host's end of the container's interface; empty where it has none."""
        run = self._runtime.run
        sandbox = run.connection.sandbox if run is not None else None
        return sandbox.host_veth if sandbox is not None else ""

    @property
    def running(self) -> bool:
        """Whether output may still come."""
        return self.machine.phase in (Phase.LAUNCHING, Phase.RUNNING, Phase.PAUSED, Phase.BACKING_OFF)

    # --- commands

    async def ask(self, command: Command, decide: Callable[[Ask], list[Do]]) -> ContainerStatus:
        """Put a command to the machine and wait for its outcome; a repeat of it waits for the same one."""
        waiting = self._answers.get(command.id)
        if waiting is None:
            waiting = self._answers[command.id] = asyncio.get_running_loop().create_future()
            try:
                self.do(decide(Ask(command.id, command.actor)))
            except BaseException:
                del self._answers[command.id]
                raise
        try:
            return await asyncio.shield(waiting)
        finally:
            if waiting.done():
                self._answers.pop(command.id, None)

    async def pause(self, command: Command) -> ContainerStatus:
        """Freeze it, if it runs."""
        refusal = self.machine.cannot_pause()
        if refusal is None:
            try:
                await self._runtime.freeze()
            except OSError as error:
                raise internal(f"container {self.spec.name} can't be paused: {error}") from error
        return await self.ask(command, lambda ask: self.machine.pause(ask, time.time_ns()))

    def resize(self, command: Command, height: int, width: int) -> None:
        """Size the terminal of the running container. Raises OSError where it has none."""
        self._runtime.resize(height, width)
        ask = Ask(command.id, command.actor)
        self.do(self.machine.tell(ask, time.time_ns(), "resize", height=str(height), width=str(width)))

    def attached(self, command: Command) -> None:
        """A client has joined the console; where a run is on, it hears that from now on."""
        self.do(self.machine.tell(Ask(command.id, command.actor), time.time_ns(), "attach"))
        if self.status.pid:
            try:
                self._runtime.connect_console(self.console)
            except OSError as error:
                log.warning("container %s: its console can't be reached: %s", self.spec.id[:12], error)

    # --- what happens by itself

    def exit_seen(self) -> None:
        """conmon may have written how the container ended."""
        self._runtime.look()

    def _ended(self, how: Exit) -> None:
        reach(Failpoint.DIE_SEEN)
        how = Exit(how.code, max(how.time_ns, self.status.started_ns), how.oom)
        measures.exited(how)
        self.console.ended()
        self.do(self.machine.exited(how))

    def adopt(self, run: Run) -> None:
        """Take over a run that an earlier agent began."""
        self._runtime.adopt(run)
        with contextlib.suppress(OSError):
            self._connect_console()
        self._runtime.watch(self._ended)

    def close(self) -> None:
        """Stop watching; the container goes on."""
        for timer in self._timers.values():
            timer.cancel()
        self._runtime.close()

    # --- carrying out

    def do(self, instructions: list[Do]) -> None:
        """Carry out, in order."""
        for what in instructions:
            self._do(what)

    def _do(self, what: Do) -> None:
        match what:
            case Record():
                self._write(what)
            case Answer():
                self._answer(what)
            case SendSignal():
                self._runtime.signal(what.signal)
                reach(Failpoint.STOP_SIGNALLED)
            case SetTimer():
                self._set_timer(what)
            case Thaw():
                self._runtime.thaw()
            case Launch():
                self.node.tasks.spawn(f"launch-{self.spec.id[:12]}", self._launch(what.run))
            case TearDown():
                self.node.tasks.spawn(f"teardown-{self.spec.id[:12]}", self._tear_down())
            case Delete():
                self.node.tasks.spawn(f"delete-{self.spec.id[:12]}", self._delete(what.volumes))

    def _write(self, what: Record) -> None:
        """What can't be written down must not be acted on: but for a new container, which its maker takes back,
        the agent ends, and its successor begins from what is written.
        """
        try:
            self.node.journal.write(self.spec, what, self.lowers)
        except SeawayError as error:
            if all(event.action != "create" for event in what.events):
                self.node.tasks.fail(error)
            raise

    def _answer(self, what: Answer) -> None:
        """Behind the events that tell of the outcome, so that whoever has the answer finds the outcome everywhere."""
        on_their_way = self.node.journal.sent(self.spec.id)
        if on_their_way is None:
            self._settle(what)
        else:
            on_their_way.add_done_callback(lambda _: self._settle(what))

    def _settle(self, what: Answer) -> None:
        waiting = self._answers.get(what.ask.command)
        if waiting is None or waiting.done():
            return
        if what.error is not None:
            waiting.set_exception(what.error)
            waiting.exception()
        else:
            waiting.set_result(what.status)

    def _set_timer(self, what: SetTimer) -> None:
        old = self._timers.pop(what.name, None)
        if old is not None:
            old.cancel()
        if what.after_ns is not None:
            later = self._later or asyncio.get_running_loop().call_later
            self._timers[what.name] = later(what.after_ns / 1e9, self._timer, what.name)

    def _timer(self, name: str) -> None:
        self._timers.pop(name, None)
        self.do(self.machine.timer(name, time.time_ns()))

    async def _launch(self, number: int) -> None:
        runtime, timer = self._runtime, LaunchTimer()
        try:
            run = await runtime.create(self.spec, self.lowers, number)
            timer.lap("create")
            self._connect_console()
            await runtime.start()
            reach(Failpoint.START_RUNNING)
            timer.lap("start")
        except Exception as error:
            timer.failed()
            if runtime.run is not None:
                await self._clean_up()
            self._launch_failed(error)
            return
        timer.done()
        connection = run.connection
        self.do(self.machine.launched(Launched(run.pid, time.time_ns(), (connection.endpoint,), connection.ports)))
        runtime.watch(self._ended)

    def _launch_failed(self, error: Exception) -> None:
        if not isinstance(error, _FORESEEN):
            log.exception("container %s: its launch failed", self.spec.id[:12], exc_info=error)
        refusal = error if isinstance(error, SeawayError) else internal(f"container {self.spec.name}: {error}")
        self.console.ended()
        self.do(self.machine.launch_failed(refusal, exit_code_for(refusal.message), time.time_ns()))

    def _connect_console(self) -> None:
        command = self.spec.command
        if self.console.wanted or (command.open_stdin and (command.tty or not command.stdin_once)):
            self._runtime.connect_console(self.console)

    async def _tear_down(self) -> None:
        await self._clean_up()
        reach(Failpoint.DIE_TORN_DOWN)
        self.do(self.machine.torn_down(time.time_ns()))

    async def _clean_up(self) -> None:
        """What can't be given back is logged, and left to the sweep: the container must not hang on it."""
        try:
            await self._runtime.clean_up()
        except Exception as error:
            expected = isinstance(error, _FORESEEN)
            log.error("container %s: %s", self.spec.id[:12], error, exc_info=None if expected else error)

    async def _delete(self, volumes: bool) -> None:
        node = self.node
        try:
            node.uppers.release(self.spec.id)
            reach(Failpoint.REMOVE_UPPER)
            if volumes and self.spec.mounts:
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(node.workers, node.volumes.remove_anonymous, self.spec)
        except OSError as error:
            refusal = internal(f"container {self.spec.name} can't be removed: {error}")
            self.do(self.machine.delete_failed(refusal, time.time_ns()))
            return
        reach(Failpoint.REMOVE_VOLUMES)
        self.console.ended()
        self.do(self.machine.deleted(time.time_ns()))
        self._gone(self)
