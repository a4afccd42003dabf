"""The execs of a container: what they are, what may be done with them, what is recorded of it. Pure.

A created exec waits for its start and is forgotten when the container ends. One that runs ends with the container at
the latest. One that has ended is kept for five minutes, or until a thousand more have ended. Refusals are raised
(SeawayError), in Docker's words.
"""

from collections import deque
from collections.abc import Iterable
from typing import Final, Protocol

from seaway_agent.core.instructions import Answer, Emit, Instruction, Record, Waiter
from seaway_contracts.containers import ContainerSpec, ContainerStatus
from seaway_contracts.docker_errors import exec_already_run, exec_already_running, no_such_exec
from seaway_contracts.errors import Code, SeawayError, internal
from seaway_contracts.execs import ExecInfo, ExecSpec, ExecState, ExecStatus

KEPT_NS: Final = 300_000_000_000
MOST: Final = 1000
NOT_STARTED: Final = 126
"""The exit code of an exec whose program can't be run, whatever the reason, as Docker has it."""
KILLED: Final = 137


class Container(Protocol):
    """The container that the execs belong to. Its records take what has changed of them (`take_changes`)."""

    @property
    def spec(self) -> ContainerSpec:
        """What was asked for."""

    @property
    def status(self) -> ContainerStatus:
        """What is."""

    def why_no_exec(self) -> SeawayError | None:
        """Why no program can be run in it now."""

    def record(self, now_ns: int, waiter: Waiter | None, *events: Emit) -> Record:
        """Store what has changed, with these events."""


class ExecTable:
    """All execs of one container."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._execs: dict[str, ExecInfo] = {}
        self._changed: dict[str, ExecInfo] = {}
        self._forgotten: list[str] = []
        self._ended: deque[str] = deque()
        self.unended = container.status.exec_ids
        """The ids of those that have not ended."""

    # --- looking

    def info(self, identifier: str) -> ExecInfo:
        """One of the execs. Raises SeawayError (404)."""
        try:
            return self._execs[identifier]
        except KeyError:
            raise no_such_exec(identifier) from None

    def running(self) -> list[ExecInfo]:
        """Those that have been started and have not ended."""
        return [info for info in self._execs.values() if info.status.state is ExecState.RUNNING]

    def why_begun(self, identifier: str) -> SeawayError | None:
        """Why it can't be started a second time. Raises SeawayError (404)."""
        state = self.info(identifier).status.state
        if state is ExecState.CREATED:
            return None
        running = state is ExecState.RUNNING
        return exec_already_running(identifier) if running else exec_already_run(identifier)

    def begun_by(self, identifier: str, command: str) -> bool:
        """Whether that command has begun it before. Raises SeawayError where its program could not be run."""
        status = self.info(identifier).status
        if not command or status.command != command:
            return False
        if status.state is ExecState.ENDED and not status.pid and status.exit_code == NOT_STARTED:
            raise internal(f"exec {identifier} was not started, as the agent ended meanwhile; make another")
        return True

    # --- commands and what happens

    def create(self, waiter: Waiter, asked: ExecSpec, now_ns: int) -> list[Instruction]:
        """Make one ready to start; the same id twice is made once. Raises SeawayError (409)."""
        container = self._container
        if asked.id in self._execs:
            return [Answer(waiter, container.status)]
        if (refusal := container.why_no_exec()) is not None:
            raise refusal
        self._forget_old(now_ns)
        if len(self.unended) >= MOST:
            name = container.spec.name
            text = f"container {name} has {MOST} execs that have not ended: start them, or wait for their ends"
            raise SeawayError(Code.CONFLICT, text)
        self._put(ExecInfo(container=container.spec.id, spec=asked))
        event = _event("exec_create", asked.id, execCommand=asked.command)
        return [container.record(now_ns, waiter, event), Answer(waiter, container.status)]

    def start(self, waiter: Waiter, identifier: str, now_ns: int) -> list[Instruction]:
        """It is being started. Raises SeawayError (404, 409)."""
        info = self.info(identifier)
        refusal = self.why_begun(identifier) or self._container.why_no_exec()
        if refusal is not None:
            raise refusal
        self._put(_changed(info, state=ExecState.RUNNING, command=waiter.command, started_ns=now_ns))
        event = _event("exec_start", identifier, execCommand=info.spec.command)
        return [self._container.record(now_ns, waiter, event)]

    def loaded(self, identifier: str, pid: int) -> None:
        """Its program is loaded. Not stored: the shim's pid file has the same number."""
        info = self._execs.get(identifier)
        if info is not None and info.status.state is ExecState.RUNNING:
            self._execs[identifier] = _changed(info, pid=pid)

    def failed(self, identifier: str, now_ns: int) -> list[Instruction]:
        """Its program could not be run: Docker has no event for that."""
        return self._end(identifier, NOT_STARTED, now_ns, Emit("status"))

    def died(self, identifier: str, code: int, now_ns: int) -> list[Instruction]:
        """It has ended. Nothing happens where that is known."""
        return self._end(identifier, code, now_ns, _event("exec_die", identifier, exitCode=str(code)))

    def detached(self, waiter: Waiter, identifier: str, now_ns: int) -> list[Instruction]:
        """Its client left by the detach keys. Raises SeawayError (404)."""
        self.info(identifier)
        return [self._container.record(now_ns, waiter, _event("exec_detach", identifier))]

    def restore(self, infos: Iterable[ExecInfo]) -> None:
        """Take over the execs that an earlier agent has stored."""
        known = sorted(infos, key=lambda info: info.status.ended_ns)
        self._execs.update((info.spec.id, info) for info in known)
        self._ended.extend(info.spec.id for info in known if info.status.state is ExecState.ENDED)

    # --- for the container

    def end_all(self, now_ns: int) -> list[Emit]:
        """End those that run, as the container has ended, and forget those that were not started."""
        events = []
        for info in self.running():
            self._put(_changed(info, state=ExecState.ENDED, exit_code=KILLED, ended_ns=now_ns))
            events.append(_event("exec_die", info.spec.id, exitCode=str(KILLED)))
        for info in list(self._execs.values()):
            if info.status.state is ExecState.CREATED:
                self._drop(info.spec.id)
        self.unended = ()
        return events

    def take_changes(self) -> tuple[tuple[ExecInfo, ...], tuple[str, ...]]:
        """The execs that are new or changed, and the ids of the forgotten ones, since the last call."""
        changed, forgotten = tuple(self._changed.values()), tuple(self._forgotten)
        self._changed.clear()
        self._forgotten.clear()
        return changed, forgotten

    # --- steps

    def _end(self, identifier: str, code: int, now_ns: int, event: Emit) -> list[Instruction]:
        info = self._execs.get(identifier)
        if info is None or info.status.state is not ExecState.RUNNING:
            return []
        self._put(_changed(info, state=ExecState.ENDED, exit_code=code, ended_ns=now_ns))
        return [self._container.record(now_ns, None, event)]

    def _forget_old(self, now_ns: int) -> None:
        while self._ended:
            oldest = self._execs[self._ended[0]]
            if len(self._ended) <= MOST and now_ns - oldest.status.ended_ns <= KEPT_NS:
                return
            self._drop(self._ended.popleft())

    def _drop(self, identifier: str) -> None:
        del self._execs[identifier]
        self._changed.pop(identifier, None)
        self._forgotten.append(identifier)

    def _put(self, info: ExecInfo) -> None:
        identifier = info.spec.id
        self._execs[identifier] = self._changed[identifier] = info
        ended = info.status.state is ExecState.ENDED
        if ended:
            self._ended.append(identifier)
        others = tuple(other for other in self.unended if other != identifier)
        self.unended = others if ended else (*others, identifier)


def _event(action: str, identifier: str, **attributes: str) -> Emit:
    return Emit(action, attributes={"execID": identifier, **attributes})


def _changed(info: ExecInfo, **changes: object) -> ExecInfo:
    status: ExecStatus = info.status.model_copy(update=changes)
    return info.model_copy(update={"status": status})
