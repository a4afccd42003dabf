"""One container on its node: the shell that carries out what its state machine decides."""

import asyncio
import contextlib
import logging
import os
import signal as signals
import time
from collections.abc import Callable
from typing import Final

from seaway_agent import endpoints
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
from seaway_agent.core.machine import Machine, Phase
from seaway_agent.kernel import cgroups, procs
from seaway_agent.plumbing import Plumbing
from seaway_agent.run import Launch as Launching
from seaway_agent.run import Run, shim_plan
from seaway_agent.runtime.shim import ExitFiles, Watched
from seaway_agent.runtime.teardown import take_down
from seaway_agent.streams.console import Console
from seaway_bus.bus import Command
from seaway_contracts.containers import ContainerSpec, ContainerStatus
from seaway_contracts.errors import SeawayError, internal
from seaway_docker.errors import exit_code_for

log = logging.getLogger(__name__)
UNKNOWN_CODE: Final = -1
_ABANDON_S: Final = 5.0


class Cell:
    """A container. `gone` is called when nothing of it is left."""

    def __init__(
        self,
        node: Plumbing,
        spec: ContainerSpec,
        status: ContainerStatus,
        lowers: tuple[str, ...],
        gone: Callable[["Cell"], None],
        phase: Phase = Phase.IDLE,
    ) -> None:
        self.node = node
        self.machine = Machine(spec, status, phase)
        self.lowers = lowers
        self._gone = gone
        self._answers: dict[str, asyncio.Future[ContainerStatus]] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._run: Run | None = None
        self._shim: Watched | None = None
        self._orphan: Watched | None = None
        command = spec.command
        self.console = Console(
            spec.id,
            tty=command.tty,
            stdin=command.open_stdin,
            stdin_once=command.stdin_once,
            spill=node.layout.run,
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
        sandbox = self._run.connection.sandbox if self._run is not None else None
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
            self.do(decide(Ask(command.id, command.actor)))
        try:
            return await asyncio.shield(waiting)
        finally:
            if waiting.done():
                self._answers.pop(command.id, None)

    async def pause(self, command: Command) -> ContainerStatus:
        """Freeze it, if it runs."""
        refusal = self.machine.cannot_pause()
        if refusal is None:
            loop, path = asyncio.get_running_loop(), self.node.cgroups_path(self.spec.id)
            try:
                await loop.run_in_executor(self.node.workers, cgroups.freeze, self.node.cgroups, path)
            except OSError as error:
                raise internal(f"container {self.spec.name} can't be paused: {error}") from error
        return await self.ask(command, lambda ask: self.machine.pause(ask, time.time_ns()))

    def resize(self, height: int, width: int) -> None:
        """Size the terminal of the running container. Raises OSError where it has none."""
        fd = os.open(self.node.layout.bundle(self.spec.id) / "ctl", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.write(fd, f"1 {height} {width}\n".encode())
        finally:
            os.close(fd)

    # --- what happens by itself

    def exit_seen(self) -> None:
        """conmon may have written how the container ended."""
        if self.machine.phase not in (Phase.RUNNING, Phase.PAUSED):
            return
        how = self._exit_files().read()
        if how is not None:
            self._exited(how)

    def _exited(self, how: Exit) -> None:
        how = Exit(how.code, max(how.time_ns, self.status.started_ns), how.oom)
        self.console.ended()
        self.do(self.machine.exited(how))

    def _shim_ended(self) -> None:
        """conmon is gone: after it wrote the exit file, or because somebody killed it."""
        self._shim = None
        self.exit_seen()
        if self.machine.phase in (Phase.RUNNING, Phase.PAUSED) and self._run is not None:
            log.warning("container %s: its shim was killed; its exit code may not be known", self.spec.id[:12])
            self._orphan = Watched(os.dup(self._run.pidfd), self._orphan_ended, child=False)

    def _orphan_ended(self) -> None:
        self._orphan = None
        self.exit_seen()
        if self.machine.phase not in (Phase.RUNNING, Phase.PAUSED):
            return
        code = procs.exit_code_from_pidfd(self._run.pidfd) if self._run is not None else None
        self._exited(Exit(UNKNOWN_CODE if code is None else code, time.time_ns()))

    def adopt(self, run: Run) -> None:
        """Take over a run that an earlier agent began."""
        self._run = run
        self._watch(run)
        command = self.spec.command
        if command.open_stdin and not command.stdin_once:
            with contextlib.suppress(OSError):
                self.console.connect(self.node.layout.bundle(self.spec.id))
        self.exit_seen()

    def close(self) -> None:
        """Stop watching; the container goes on."""
        for timer in self._timers.values():
            timer.cancel()
        for watched in (self._shim, self._orphan):
            if watched is not None:
                watched.close()
        self._close_pidfd()

    # --- carrying out

    def do(self, instructions: list[Do]) -> None:
        """Carry out, in order."""
        for what in instructions:
            self._do(what)

    def _do(self, what: Do) -> None:
        match what:
            case Record():
                self.node.journal.write(self.spec, what, self.lowers)
            case Answer():
                self._answer(what)
            case SendSignal():
                self._signal(what.signal)
            case SetTimer():
                self._set_timer(what)
            case Thaw():
                with contextlib.suppress(OSError):
                    cgroups.thaw(self.node.cgroups, self.node.cgroups_path(self.spec.id))
            case Launch():
                self.node.tasks.spawn(f"launch-{self.spec.id[:12]}", self._launch(what.run))
            case TearDown():
                self.node.tasks.spawn(f"teardown-{self.spec.id[:12]}", self._tear_down())
            case Delete():
                self.node.tasks.spawn(f"delete-{self.spec.id[:12]}", self._delete(what.volumes))

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

    def _signal(self, signal: int) -> None:
        if self._run is None or self._run.pidfd < 0:
            return
        with contextlib.suppress(ProcessLookupError):
            procs.send_signal(self._run.pidfd, signals.Signals(signal))

    def _set_timer(self, what: SetTimer) -> None:
        old = self._timers.pop(what.name, None)
        if old is not None:
            old.cancel()
        if what.after_ns is not None:
            loop = asyncio.get_running_loop()
            self._timers[what.name] = loop.call_later(what.after_ns / 1e9, self._timer, what.name)

    def _timer(self, name: str) -> None:
        self._timers.pop(name, None)
        self.do(self.machine.timer(name, time.time_ns()))

    async def _launch(self, number: int) -> None:
        try:
            launching = Launching(self.node, self.spec, self.lowers, number)
            run = await launching.create()
        except (SeawayError, OSError, ValueError) as error:
            await self._clean_up()
            self._failed(error)
            return
        self._run = run
        try:
            self._connect_console()
            await launching.start()
        except (SeawayError, OSError) as error:
            await self._abandon(run)
            self._failed(error)
            return
        connection = run.connection
        self.do(self.machine.launched(Launched(run.pid, time.time_ns(), (connection.endpoint,), connection.ports)))
        self._watch(run)
        self.exit_seen()

    def _failed(self, error: Exception) -> None:
        refusal = error if isinstance(error, SeawayError) else internal(f"container {self.spec.name}: {error}")
        self.console.ended()
        self.do(self.machine.launch_failed(refusal, exit_code_for(refusal.message), time.time_ns()))

    async def _abandon(self, run: Run) -> None:
        """Undo a run that was created and could not be started."""
        self._signal(signals.SIGKILL)
        ended = asyncio.Event()
        shim = Watched(run.conmon_fd, ended.set, run.child)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), _ABANDON_S)
        shim.close()
        await self._clean_up()

    def _connect_console(self) -> None:
        command = self.spec.command
        if self.console.wanted or (command.open_stdin and not command.stdin_once):
            self.console.connect(self.node.layout.bundle(self.spec.id))

    def _watch(self, run: Run) -> None:
        if run.conmon_fd >= 0:
            self._shim = Watched(run.conmon_fd, self._shim_ended, run.child)
        else:
            self._shim_ended()

    async def _tear_down(self) -> None:
        await self._clean_up()
        self.do(self.machine.torn_down(time.time_ns()))

    async def _clean_up(self) -> None:
        """Give back all that a run held. What can't be given back is logged, and left to the sweep."""
        node, run = self.node, self._run
        self._close_pidfd()
        self._run = None
        path = node.cgroups_path(self.spec.id)
        runtime = shim_plan(node, self.spec).runtime_root.name
        arguments = (node.layout, node.cgroups, path, self.spec.id, runtime)
        try:
            await asyncio.get_running_loop().run_in_executor(node.workers, take_down, *arguments)
        except OSError as error:
            log.error("container %s: something of its run is left: %s", self.spec.id[:12], error)
        node.launcher.forget(path)
        if run is not None:
            await endpoints.disconnect(node.network, self.spec, run.connection)

    def _close_pidfd(self) -> None:
        if self._run is not None and self._run.pidfd >= 0:
            os.close(self._run.pidfd)
            self._run.pidfd = -1

    async def _delete(self, volumes: bool) -> None:
        node = self.node
        try:
            node.uppers.release(self.spec.id)
            if volumes and self.spec.mounts:
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(node.workers, node.volumes.remove_anonymous, self.spec)
        except OSError as error:
            refusal = internal(f"container {self.spec.name} can't be removed: {error}")
            self.do(self.machine.delete_failed(refusal, time.time_ns()))
            return
        self.console.ended()
        self.do(self.machine.deleted(time.time_ns()))
        self._gone(self)

    def _exit_files(self) -> ExitFiles:
        layout = self.node.layout
        return ExitFiles.of(layout.exits, layout.persist(self.spec.id), layout.bundle(self.spec.id), self.spec.id)
