"""The execs of one container that run: what their machine decides, carried out."""

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING, Final

from seaway_agent.core.instructions import Ask, Exit
from seaway_agent.execs.launch import ExecRun, plan_of
from seaway_agent.execs.session import Session
from seaway_agent.streams.console import Console
from seaway_bus.bus import Command
from seaway_bus.streams import MOST_WORDS, ByteStream
from seaway_contracts.containers import ContainerStatus
from seaway_contracts.errors import SeawayError, internal, not_found
from seaway_contracts.execs import ExecInfo, ExecSpec, ExecStarted, StartExec
from seaway_kit.failpoints import Failpoint, reach

if TYPE_CHECKING:
    from seaway_agent.container.runner import ContainerRunner

log = logging.getLogger(__name__)
_FORESEEN: Final = (SeawayError, OSError, ValueError)
_READY_S: Final = 10.0
_TOLD_S: Final = 2.0


class Execs:
    """Belongs to its container's runner, by which everything is told."""

    def __init__(self, runner: "ContainerRunner") -> None:
        self._runner = runner
        self._sessions: dict[str, Session] = {}
        self._news = asyncio.Event()

    # --- commands

    async def create(self, command: Command, asked: ExecSpec) -> ContainerStatus:
        """Make it ready. Raises SeawayError (409)."""
        runner = self._runner
        return await runner.ask(command, lambda ask: runner.machine.create_exec(ask, asked, time.time_ns()))

    def info(self, identifier: str) -> ExecInfo:
        """All about one. Raises SeawayError (404)."""
        return self._runner.machine.exec_info(identifier)

    def attach(self, command: Command, asked: StartExec, stream: ByteStream) -> ExecStarted:
        """Start it with its streams on `stream`, where an error in the program's place is told as well.

        Raises SeawayError (404, 409).
        """
        machine = self._runner.machine
        info = machine.exec_info(asked.id)
        spec, console = info.spec, self._console(info.spec, raw=asked.raw)
        begun = machine.why_begun(asked.id)
        if begun is None:
            spec = self._begin(Ask(command.id, command.actor), asked)
        console.join(stream, stdin=spec.attach_stdin, stdout=spec.attach_stdout, stderr=spec.attach_stderr)
        if begun is None:
            session = self._session(spec, console)
            self._runner.node.tasks.begin(f"exec-{spec.id[32:44]}", self._launch_attached(session, spec))
        else:
            _refuse(console, begun)
        return ExecStarted(stdin=spec.attach_stdin, tty=spec.tty, detach_keys=spec.detach_keys)

    async def detached(self, command: Command, asked: StartExec) -> None:
        """Start it for itself; returns when its program is loaded. Raises SeawayError, in Docker's words."""
        if self._runner.machine.begun_by(asked.id, command.id):
            return
        spec = self._begin(Ask(command.id, command.actor), asked)
        await self._launch(self._session(spec, self._console(spec, raw=True)), spec, attached=False)

    async def resize(self, identifier: str, height: int, width: int) -> None:
        """Size its terminal, waiting a while for its start. Raises SeawayError."""
        self._runner.machine.exec_info(identifier)
        session = self._sessions.get(identifier)
        if session is None:
            raise not_found(f"process does not exist {identifier}: not found")
        try:
            sized = await session.resize(height, width, _READY_S)
        except TimeoutError:
            raise internal("timeout waiting for exec session ready") from None
        except OSError as error:
            raise internal(f"the terminal of exec {identifier} can't be sized: {error.strerror}") from error
        if not sized:
            raise not_found(f"process does not exist {identifier}: not found")

    def left(self, command: Command, identifier: str) -> None:
        """Its client has gone by the detach keys. Raises SeawayError (404)."""
        ask = Ask(command.id, command.actor)
        self._runner.do(self._runner.machine.exec_left(ask, identifier, time.time_ns()))

    # --- for probes

    async def start(self, spec: ExecSpec, console: Console) -> Session:
        """Start one whose output goes to a console of the caller's. Raises SeawayError."""
        self._begin(Ask(""), StartExec(id=spec.id))
        session = self._session(spec, console)
        await self._launch(session, spec, attached=True)
        return session

    # --- recovery

    def adopt(self, info: ExecInfo, run: ExecRun) -> None:
        """Take over one that an earlier agent started."""
        session = self._session(info.spec, self._console(info.spec, raw=True))
        session.adopt(run)

    def close(self) -> None:
        """Stop watching; they go on."""
        for session in self._sessions.values():
            session.close()

    # --- the container's end

    @property
    def ending(self) -> bool:
        """Whether a process has, or may have, ended of which nobody has told yet."""
        return any(session.ending for session in self._sessions.values())

    async def ended_too(self) -> None:
        """Wait, for a moment at most, until that is told."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_TOLD_S):
                while self.ending:
                    self._news.clear()
                    await self._news.wait()

    # --- what sessions tell

    def runs(self, identifier: str, pid: int) -> None:
        """See `session.Owner`."""
        self._news.set()
        self._runner.machine.exec_runs(identifier, pid)
        reach(Failpoint.EXEC_STARTED)

    def ended(self, identifier: str, how: Exit) -> None:
        """See `session.Owner`."""
        reach(Failpoint.EXEC_DIE_SEEN)
        self._sessions.pop(identifier, None)
        self._news.set()
        machine = self._runner.machine
        self._runner.do(machine.exec_died(identifier, how.code, how.time_ns))

    def told(self, identifier: str) -> bytes:
        """See `session.Owner`: all about it, so that nobody need ask."""
        try:
            info = self._runner.machine.exec_info(identifier)
        except SeawayError:
            return b""
        words = info.model_dump_json(exclude_defaults=True).encode()
        return words if len(words) <= MOST_WORDS else b""

    # --- steps

    def _begin(self, ask: Ask, asked: StartExec) -> ExecSpec:
        machine = self._runner.machine
        self._runner.do(machine.start_exec(ask, asked.id, time.time_ns()))
        spec = machine.exec_info(asked.id).spec
        if asked.height and asked.width:
            return spec.model_copy(update={"height": asked.height, "width": asked.width})
        return spec

    def _console(self, spec: ExecSpec, *, raw: bool) -> Console:
        node = self._runner.node
        name = f"exec {spec.id[32:44]} of container {self._runner.spec.id[:12]}"
        once = spec.attach_stdin and not spec.tty
        return Console(name, tty=raw, stdin=spec.attach_stdin, stdin_once=once, spill=node.spill, tasks=node.tasks)

    def _session(self, spec: ExecSpec, console: Console) -> Session:
        session = Session(self._runner.node, spec.id, self._runner.spec.id, console, self)
        self._sessions[spec.id] = session
        return session

    async def _launch_attached(self, session: Session, spec: ExecSpec) -> None:
        try:
            await self._launch(session, spec, attached=True)
        except SeawayError as error:
            _refuse(session.console, error)

    async def _launch(self, session: Session, spec: ExecSpec, *, attached: bool) -> None:
        runner = self._runner
        try:
            plan = plan_of(runner.node, runner.spec, runner.status.pid, spec, attached=attached)
            await session.launch(plan)
        except Exception as error:  # cancelled only when the agent ends: its successor sees what became of it
            self._sessions.pop(spec.id, None)
            self._news.set()
            runner.do(runner.machine.exec_failed(spec.id, time.time_ns()))
            reach(Failpoint.EXEC_FAILED)
            if isinstance(error, SeawayError):
                raise
            if not isinstance(error, _FORESEEN):
                log.exception("exec %s failed", spec.id, exc_info=error)
            raise internal(f"exec {spec.id} can't be started: {error}") from error


def _refuse(console: Console, error: SeawayError) -> None:
    """An attached client is told in the stream why there is nothing to see, as Docker does it."""
    console.say(f"{error.message}\r\n".encode())
    console.ended()
