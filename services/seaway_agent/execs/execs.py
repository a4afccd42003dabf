"""The execs of one container: starts them, reports what happens to its state machine."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import Final, Protocol

from seaway_agent.core.instructions import Exit, Instruction, Waiter
from seaway_agent.core.machine import Machine
from seaway_agent.execs.launch import ExecRun
from seaway_agent.execs.session import EventsSent, Session
from seaway_agent.execs.starter import ExecStarter
from seaway_agent.streams.console import Console
from seaway_agent.streams.spill import SpillStore
from seaway_bus.bus import Command
from seaway_bus.streams import MOST_WORDS, ByteStream
from seaway_contracts.containers import ContainerStatus
from seaway_contracts.docker_errors import exec_without_process
from seaway_contracts.errors import SeawayError, internal
from seaway_contracts.execs import ExecInfo, ExecSpec, ExecStarted, StartExec
from seaway_kit.failpoints import Failpoint, reach
from seaway_kit.tasks import Tasks

log = logging.getLogger(__name__)
_FORESEEN: Final = (SeawayError, OSError, ValueError)
_READY_S: Final = 10.0
_REPORTED_S: Final = 2.0


class ExecHost(Protocol):
    """The container that execs run in. All is called on the event loop."""

    @property
    def machine(self) -> Machine:
        """The container's state machine: it decides, and has spec, status and execs. Always the same one."""

    def do(self, instructions: list[Instruction]) -> None:
        """Carry out what the machine decided, in order; a record is stored before this returns.

        Raises SeawayError where it can't be stored: nothing after it is done then.
        """

    async def submit(self, command: Command, decide: Callable[[Waiter], list[Instruction]]) -> ContainerStatus:
        """Carry out what `decide` returns, and wait for the answer among it; once for a command that is repeated.

        Raises what `decide` raises.
        """


class Execs:
    """The execs of a container. `sent`: `Journal.sent`."""

    def __init__(self, host: ExecHost, starter: ExecStarter, spill: SpillStore, tasks: Tasks, sent: EventsSent) -> None:
        self._host = host
        self._starter = starter
        self._spill = spill
        self._tasks = tasks
        self._sent = sent
        self._sessions: dict[str, Session] = {}
        self._changed = asyncio.Event()

    @property
    def container(self) -> str:
        """The container's id."""
        return self._host.machine.spec.id

    # --- commands

    async def create(self, command: Command, asked: ExecSpec) -> ContainerStatus:
        """Create an exec. Raises SeawayError (409)."""
        machine = self._host.machine
        return await self._host.submit(command, lambda waiter: machine.execs.create(waiter, asked, time.time_ns()))

    def info(self, identifier: str) -> ExecInfo:
        """Spec and status of one. Raises SeawayError (404)."""
        return self._host.machine.execs.info(identifier)

    def attach(self, command: Command, asked: StartExec, stream: ByteStream) -> ExecStarted:
        """Start it with its streams on `stream`; an error of the start is written there as well.

        Raises SeawayError (404, 409).
        """
        machine = self._host.machine
        info = machine.execs.info(asked.id)
        spec, console = info.spec, self._console(info.spec, raw=asked.raw)
        begun = machine.execs.why_begun(asked.id)
        if begun is None:
            spec = self._begin(Waiter(command.id, command.actor), asked)
        console.attach(
            stream, stdin=spec.attach_stdin, stdout=spec.attach_stdout, stderr=spec.attach_stderr, raw=asked.raw
        )
        if begun is None:
            session = self._session(spec, console)
            self._tasks.begin(f"exec-{spec.id[32:44]}", self._launch_attached(session, spec))
        else:
            _refuse(console, begun)
        return ExecStarted(stdin=spec.attach_stdin, tty=spec.tty, detach_keys=spec.detach_keys)

    async def detached(self, command: Command, asked: StartExec) -> None:
        """Start it without streams; returns when its program runs. Raises SeawayError, in Docker's words."""
        if self._host.machine.execs.begun_by(asked.id, command.id):
            return
        spec = self._begin(Waiter(command.id, command.actor), asked)
        await self._launch(self._session(spec, self._console(spec, raw=True)), spec, attached=False)

    async def resize(self, identifier: str, height: int, width: int) -> None:
        """Size its terminal; waits up to ten seconds for its start. Raises SeawayError."""
        self._host.machine.execs.info(identifier)
        session = self._sessions.get(identifier)
        if session is None:
            raise exec_without_process(identifier)
        try:
            sized = await session.resize(height, width, _READY_S)
        except TimeoutError:
            raise internal("timeout waiting for exec session ready") from None
        except OSError as error:
            raise internal(f"the terminal of exec {identifier} can't be sized: {error.strerror}") from error
        if not sized:
            raise exec_without_process(identifier)

    def left(self, command: Command, identifier: str) -> None:
        """Record that its client left by the detach keys. Raises SeawayError (404)."""
        ask = Waiter(command.id, command.actor)
        self._host.do(self._host.machine.execs.detached(ask, identifier, time.time_ns()))

    # --- for probes

    def refusal(self) -> SeawayError | None:
        """Why nothing can be run in the container just now."""
        return self._host.machine.why_no_exec()

    def warm(self) -> None:
        """Prepare for an exec that starts in a moment."""
        self._starter.warm()

    async def start(self, spec: ExecSpec, hear: Callable[[bytes], None]) -> Session:
        """Start it; `hear` gets its output. Raises SeawayError.

        Cancelled, it completes the start all the same, and kills the exec then.
        """
        starting = self._tasks.spawn(f"probe-start-{spec.id[32:44]}", self._start(spec, hear))
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            starting.add_done_callback(_kill_started)
            raise

    async def _start(self, spec: ExecSpec, hear: Callable[[bytes], None]) -> Session:
        name = f"a probe of container {self.container[:12]}"
        console = Console(name, tty=True, stdin=False, stdin_once=False, spill=self._spill, tasks=self._tasks)
        console.listen(hear)
        self._begin(Waiter(""), StartExec(id=spec.id))
        session = self._session(spec, console)
        await self._launch(session, spec, attached=True)
        return session

    # --- recovery

    def adopt(self, info: ExecInfo, run: ExecRun) -> None:
        """Watch one that an earlier agent started."""
        session = self._session(info.spec, self._console(info.spec, raw=True))
        session.adopt(run)

    def close(self) -> None:
        """Stop watching; the execs continue."""
        for session in self._sessions.values():
            session.close()

    # --- the container's end

    @property
    def ending(self) -> bool:
        """Whether a process has ended, or may have, and its end is not reported yet."""
        return any(session.ending for session in self._sessions.values())

    async def ended_too(self) -> None:
        """Wait until all ends are reported, two seconds at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_REPORTED_S):
                while self.ending:
                    self._changed.clear()
                    await self._changed.wait()

    # --- reports of sessions: see `session.Owner`

    def runs(self, identifier: str, pid: int) -> None:
        """Its program runs."""
        self._changed.set()
        self._host.machine.execs.loaded(identifier, pid)
        reach(Failpoint.EXEC_STARTED)

    def ended(self, identifier: str, how: Exit) -> None:
        """Its program has ended."""
        reach(Failpoint.EXEC_DIE_SEEN)
        self._sessions.pop(identifier, None)
        self._changed.set()
        self._host.do(self._host.machine.execs.died(identifier, how.code, how.time_ns))

    def last_words(self, identifier: str) -> bytes:
        """Its `ExecInfo` as JSON, which saves its client a call; empty where it is unknown or too long."""
        try:
            info = self._host.machine.execs.info(identifier)
        except SeawayError:
            return b""
        words = info.model_dump_json(exclude_defaults=True).encode()
        return words if len(words) <= MOST_WORDS else b""

    # --- steps

    def _begin(self, ask: Waiter, asked: StartExec) -> ExecSpec:
        machine = self._host.machine
        self._host.do(machine.execs.start(ask, asked.id, time.time_ns()))
        spec = machine.execs.info(asked.id).spec
        if asked.height and asked.width:
            return spec.model_copy(update={"height": asked.height, "width": asked.width})
        return spec

    def _console(self, spec: ExecSpec, *, raw: bool) -> Console:
        name = f"exec {spec.id[32:44]} of container {self.container[:12]}"
        stdin, once = spec.attach_stdin, spec.attach_stdin and not spec.tty
        tty = spec.tty and raw
        return Console(name, tty=tty, stdin=stdin, stdin_once=once, spill=self._spill, tasks=self._tasks)

    def _session(self, spec: ExecSpec, console: Console) -> Session:
        session = Session(self._starter, spec.id, self.container, console, self, self._tasks, self._sent)
        self._sessions[spec.id] = session
        return session

    async def _launch_attached(self, session: Session, spec: ExecSpec) -> None:
        try:
            await self._launch(session, spec, attached=True)
        except SeawayError as error:
            _refuse(session.console, error)

    async def _launch(self, session: Session, spec: ExecSpec, *, attached: bool) -> None:
        machine = self._host.machine
        try:
            plan = self._starter.plan(machine.spec, machine.status.pid, spec, attached=attached)
            await session.launch(plan)
        except Exception as error:  # cancelled only when the agent ends: the next one recovers the exec
            self._sessions.pop(spec.id, None)
            self._changed.set()
            self._host.do(machine.execs.failed(spec.id, time.time_ns()))
            reach(Failpoint.EXEC_FAILED)
            if isinstance(error, SeawayError):
                raise
            if not isinstance(error, _FORESEEN):
                log.exception("exec %s failed", spec.id, exc_info=error)
            raise internal(f"exec {spec.id} can't be started: {error}") from error


def _refuse(console: Console, error: SeawayError) -> None:
    """Write the error to the attached client's stream, as Docker does, and end it."""
    console.inject_output(f"{error.message}\r\n".encode())
    console.end()


def _kill_started(starting: "asyncio.Task[Session]") -> None:
    if not starting.cancelled() and starting.exception() is None:
        starting.result().kill()
