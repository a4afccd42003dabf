"""The execs of a container, as part of its state machine: what they are, what may be done with them, what is told.

A created exec waits for its start and is forgotten when the container ends. One that runs ends with the container at
the latest. One that has ended can be looked at for five minutes more, unless a thousand have ended since. Refusals are
raised (SeawayError), in Docker's words.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from seaway_agent.core.instructions import Answer, Ask, Do, Emit, Record
from seaway_agent.core.steps import SECOND_NS, Phase, Steps
from seaway_contracts.containers import ContainerSpec, ContainerStatus, State
from seaway_contracts.errors import Code, SeawayError, conflict, internal, not_found
from seaway_contracts.execs import ExecInfo, ExecSpec, ExecState, ExecStatus
from seaway_docker.errors import (
    container_not_running,
    container_paused,
    container_restarting,
    exec_already_run,
    exec_already_running,
    no_such_exec,
)

KEPT_NS: Final = 300 * SECOND_NS
MOST: Final = 1000
NOT_STARTED: Final = 126
"""The exit code of an exec whose program can't be run, whatever the reason, as Docker has it."""
KILLED: Final = 137


class ExecSteps(Steps):
    """A container's machine, as far as it is about execs."""

    def __init__(self, spec: ContainerSpec, status: ContainerStatus, phase: Phase = Phase.IDLE) -> None:
        super().__init__(spec, status, phase)
        self._execs: dict[str, ExecInfo] = {}
        self._changed: dict[str, ExecInfo] = {}
        self._forgotten: list[str] = []
        self._ended: deque[str] = deque()

    # --- looking

    def exec_info(self, identifier: str) -> ExecInfo:
        """One of its execs. Raises SeawayError (404)."""
        try:
            return self._execs[identifier]
        except KeyError:
            raise not_found(no_such_exec(identifier)) from None

    def running_execs(self) -> list[ExecInfo]:
        """Those that have been started and have not ended."""
        return [info for info in self._execs.values() if info.status.state is ExecState.RUNNING]

    def why_no_exec(self) -> SeawayError | None:
        """Why nothing can be run in it just now."""
        if self.phase is Phase.PAUSED:
            return conflict(container_paused(self.spec.id))
        if self.phase is Phase.RUNNING:
            return None
        if self.status.state is State.RESTARTING:
            return conflict(container_restarting(self.spec.id))
        return conflict(container_not_running(self.spec.id))

    def why_begun(self, identifier: str) -> SeawayError | None:
        """Why it can't be started a second time."""
        state = self.exec_info(identifier).status.state
        if state is ExecState.CREATED:
            return None
        running = state is ExecState.RUNNING
        return conflict(exec_already_running(identifier) if running else exec_already_run(identifier))

    def begun_by(self, identifier: str, command: str) -> bool:
        """Whether that command, asked again, has begun it. Raises SeawayError where its program could not be run."""
        status = self.exec_info(identifier).status
        if not command or status.command != command:
            return False
        if status.state is ExecState.ENDED and not status.pid and status.exit_code == NOT_STARTED:
            raise internal(f"exec {identifier} was not started, as the agent ended meanwhile; make another")
        return True

    # --- what is asked and what happens

    def create_exec(self, ask: Ask, asked: ExecSpec, now_ns: int) -> list[Do]:
        """Make it ready; the same one twice is made once."""
        if asked.id in self._execs:
            return [Answer(ask, self.status)]
        if (refusal := self.why_no_exec()) is not None:
            raise refusal
        self._forget_old(now_ns)
        if len(self.status.exec_ids) >= MOST:
            text = (
                f"container {self.spec.name} has {MOST} execs that have not ended: start them, or wait for their ends"
            )
            raise SeawayError(Code.CONFLICT, text)
        self._put(ExecInfo(container=self.spec.id, spec=asked))
        told = _told("exec_create", asked.id, execCommand=asked.command)
        return [self._record(now_ns, ask, told), Answer(ask, self.status)]

    def start_exec(self, ask: Ask, identifier: str, now_ns: int) -> list[Do]:
        """It is being started. Raises SeawayError (404, 409)."""
        info = self.exec_info(identifier)
        refusal = self.why_begun(identifier) or self.why_no_exec()
        if refusal is not None:
            raise refusal
        self._put(_changed(info, state=ExecState.RUNNING, command=ask.command, started_ns=now_ns))
        return [self._record(now_ns, ask, _told("exec_start", identifier, execCommand=info.spec.command))]

    def exec_runs(self, identifier: str, pid: int) -> None:
        """Its program is loaded. Not written down: the shim's pid file says the same."""
        info = self._execs.get(identifier)
        if info is not None and info.status.state is ExecState.RUNNING:
            self._execs[identifier] = _changed(info, pid=pid)

    def exec_failed(self, identifier: str, now_ns: int) -> list[Do]:
        """Its program could not be run: that is no end of it that Docker tells of."""
        return self._end_exec(identifier, NOT_STARTED, now_ns, Emit("status"))

    def exec_died(self, identifier: str, code: int, now_ns: int) -> list[Do]:
        """It has ended. Nothing happens where that is known."""
        return self._end_exec(identifier, code, now_ns, _told("exec_die", identifier, exitCode=str(code)))

    def exec_left(self, ask: Ask, identifier: str, now_ns: int) -> list[Do]:
        """Its client left it by the detach keys."""
        self.exec_info(identifier)
        return [self._record(now_ns, ask, _told("exec_detach", identifier))]

    def restore_execs(self, infos: Iterable[ExecInfo]) -> None:
        """Those that an agent before this one wrote down."""
        known = sorted(infos, key=lambda info: info.status.ended_ns)
        self._execs.update((info.spec.id, info) for info in known)
        self._ended.extend(info.spec.id for info in known if info.status.state is ExecState.ENDED)

    # --- steps

    def _end_exec(self, identifier: str, code: int, now_ns: int, told: Emit) -> list[Do]:
        info = self._execs.get(identifier)
        if info is None or info.status.state is not ExecState.RUNNING:
            return []
        self._put(_changed(info, state=ExecState.ENDED, exit_code=code, ended_ns=now_ns))
        return [self._record(now_ns, None, told)]

    def _end_execs(self, now_ns: int) -> list[Emit]:
        """The container has ended, and with it all that ran in it."""
        events = []
        for info in self.running_execs():
            self._put(_changed(info, state=ExecState.ENDED, exit_code=KILLED, ended_ns=now_ns))
            events.append(_told("exec_die", info.spec.id, exitCode=str(KILLED)))
        for info in list(self._execs.values()):
            if info.status.state is ExecState.CREATED:
                self._drop(info.spec.id)
        self._set(exec_ids=())
        return events

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
        if info.status.state is ExecState.ENDED:
            self._ended.append(identifier)
        others = tuple(other for other in self.status.exec_ids if other != identifier)
        self._set(exec_ids=others if info.status.state is ExecState.ENDED else (*others, identifier))

    def _record(self, now_ns: int, ask: Ask | None, *events: Emit) -> Record:
        """What has changed of execs is stored with the status."""
        record = super()._record(now_ns, ask, *events)
        if not self._changed and not self._forgotten:
            return record
        changed, forgotten = tuple(self._changed.values()), tuple(self._forgotten)
        self._changed.clear()
        self._forgotten.clear()
        return replace(record, execs=changed, forgotten_execs=forgotten)


def _told(action: str, identifier: str, **attributes: str) -> Emit:
    return Emit(action, attributes={"execID": identifier, **attributes})


def _changed(info: ExecInfo, **changes: object) -> ExecInfo:
    status: ExecStatus = info.status.model_copy(update=changes)
    return info.model_copy(update={"status": status})
