"""What the container's machine is made of: its phases, its state, and the steps that its methods share."""

import signal as signals
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Final

from seaway_agent.core.health import HealthCheck
from seaway_agent.core.instructions import (
    Answer,
    Ask,
    Delete,
    Do,
    Emit,
    Ending,
    Launch,
    Record,
    SendSignal,
    SetTimer,
    Thaw,
)
from seaway_agent.core.restart import Backoff
from seaway_agent.core.words import killed, not_before, sooner
from seaway_contracts.containers import ContainerSpec, ContainerStatus, State
from seaway_contracts.errors import Code, SeawayError
from seaway_docker.errors import InvalidParameter
from seaway_docker.signals import parse_signal

DEFAULT_STOP_S: Final = 10
SECOND_NS: Final = 1_000_000_000


class Phase(StrEnum):
    """What the node is doing with the container."""

    IDLE = "idle"
    LAUNCHING = "launching"
    RUNNING = "running"
    PAUSED = "paused"
    TEARING_DOWN = "tearing down"
    BACKING_OFF = "backing off"
    REMOVING = "removing"
    GONE = "gone"


class Steps:
    """The state of one container, and the steps that commands and happenings have in common."""

    def __init__(self, spec: ContainerSpec, status: ContainerStatus, phase: Phase = Phase.IDLE) -> None:
        self.spec = spec
        self.status = status
        self.phase = phase
        self.history: list[str] = []
        self._starters: list[Ask] = []
        self._stoppers: list[Ask] = []
        self._killers: list[Ask] = []
        self._removers: list[Ask] = []
        self._restarters: list[Ask] = []
        self._volumes = False
        self._after_teardown: Callable[[], list[Do]] | None = None
        self._stopping = False
        self._stop_plan: tuple[int, int] | None = None
        self._stopping_since_ns = 0
        self._backoff = Backoff()
        self._told_ns = 0
        self._check = HealthCheck(spec)

    @property
    def goes_on(self) -> bool:
        """Whether another run follows the one that is being torn down."""
        return self.phase is Phase.TEARING_DOWN and self._after_teardown is not None

    def _launch(self) -> list[Do]:
        self._to(Phase.LAUNCHING)
        self._set(run=self.status.run + 1)
        if self._starters or self._restarters:
            self._set(restart_count=0)
            self._backoff = Backoff()
        return [SetTimer("restart", None), Launch(self.status.run, tuple(self._starters), tuple(self._restarters))]

    def _back_off(self) -> list[Do]:
        self._to(Phase.BACKING_OFF)
        if not self._backoff.last_ns:
            self._backoff = self._backoff.next(0)
        return [SetTimer("restart", self._backoff.last_ns)]

    def _stop_restarting(self, ask: Ask, now_ns: int, action: str) -> list[Do]:
        """It has ended and was to be started again."""
        self._after_teardown = None
        if self.phase is Phase.BACKING_OFF:
            self._to(Phase.IDLE)
        self._set(state=State.EXITED, manually_stopped=True)
        return [SetTimer("restart", None), self._record(now_ns, ask, Emit(action)), Answer(ask, self.status)]

    def _waits_to_restart(self) -> bool:
        """Whether it has ended and its policy will run it again."""
        return self.phase is Phase.BACKING_OFF or self._after_teardown == self._back_off

    def _begin_stop(self, ask: Ask, timeout_s: int | None, signal: int | None, now_ns: int) -> list[Do]:
        """A second stop changes nothing unless it is less patient."""
        own = self.spec.command.stop_timeout
        wait_s = timeout_s if timeout_s is not None else own if own is not None else DEFAULT_STOP_S
        if self._stopping and self._stop_plan is not None and not sooner(wait_s, self._stop_plan[1]):
            return []
        self._stop_plan = (signal or self._stop_signal(), wait_s)
        return self._signal_stop(ask, now_ns) if self.phase in (Phase.RUNNING, Phase.PAUSED) else []

    def _signal_stop(self, ask: Ask | None, now_ns: int) -> list[Do]:
        assert self._stop_plan is not None
        (signal, wait_s), overtakes, self._stopping = self._stop_plan, self._stopping, True
        self._stopping_since_ns = now_ns
        self._set(manually_stopped=not self._restarters)
        thaw = self._thaw()
        done: list[Do] = [self._record(now_ns, ask, killed(signal)), SendSignal(signal), *thaw]
        if wait_s == 0:
            done += self._kill_now(ask, now_ns)
        if thaw:
            done.append(self._record(now_ns, ask, Emit("unpause")))
        if wait_s > 0:
            return [*done, SetTimer("stop", wait_s * SECOND_NS)]
        return [*done, SetTimer("stop", None)] if overtakes else done

    def _kill_now(self, ask: Ask | None, now_ns: int) -> list[Do]:
        thaw = self._thaw()
        if self._stopping:
            self._stop_plan = signals.SIGKILL, 0
        return [self._record(now_ns, ask, killed(signals.SIGKILL)), SendSignal(signals.SIGKILL), *thaw]

    def _thaw(self) -> list[Do]:
        """A frozen process takes no signal."""
        if self.phase is not Phase.PAUSED:
            return []
        self._to(Phase.RUNNING)
        self._set(state=State.RUNNING, paused_by_commit=False)
        return [Thaw()]

    def _delete(self) -> list[Do]:
        """The status is stored first: what an agent's death leaves half deleted must never be started."""
        self._to(Phase.REMOVING)
        self._set(state=State.REMOVING, removes_volumes=self._volumes or self.spec.auto_remove)
        return [self._record(0, None), Delete(self.status.removes_volumes)]

    def _doomed(self) -> bool:
        """Whether it is being removed, or what is left of it can only be removed."""
        return self.phase in (Phase.REMOVING, Phase.GONE) or bool(self._removers) or self.status.state is State.DEAD

    def _stop_signal(self) -> int:
        """SIGTERM where an image names a signal that isn't one, as Docker has it."""
        try:
            return parse_signal(self.spec.command.stop_signal or "SIGTERM")
        except InvalidParameter:
            return signals.SIGTERM

    def _state_to_remove(self) -> str:
        """What the refusal to remove it calls its state."""
        states = {Phase.BACKING_OFF: "restarting", Phase.TEARING_DOWN: "restarting", Phase.PAUSED: "paused"}
        return states.get(self.phase, "running")

    def _record(self, now_ns: int, ask: Ask | None, *events: Emit) -> Record:
        """Count the container's own events, so that each has its place in the order."""
        own = sum(1 for event in events if event.noun == "container")
        self._set(seq=self.status.seq + own)
        start_ns = not_before(now_ns, self._told_ns, now_ns)
        self._told_ns = start_ns + len(events)
        return Record(self.status, events, ask, start_ns, ending=self._ending())

    def _ending(self) -> Ending | None:
        """What the next agent would have to go on with."""
        if self.phase in (Phase.RUNNING, Phase.PAUSED):
            goes_on = self._stopping or bool(self._killers or self._removers)
        else:
            goes_on = bool(self._restarters or self._removers)
        if not goes_on:
            return None
        return Ending(
            self.status.run,
            self._stopping_since_ns,
            self._stop_plan if self._stopping else None,
            tuple(self._stoppers),
            tuple(self._killers),
            tuple(self._restarters),
            tuple(self._removers),
            self._volumes,
        )

    def _answer_all(self, asks: list[Ask], error: SeawayError | None = None) -> list[Do]:
        return self._answers(self._taken(asks), error)

    def _taken(self, *lists: list[Ask]) -> list[Ask]:
        """Who waits no longer: what is recorded now is what they waited for."""
        taken = [ask for asks in lists for ask in asks]
        for asks in lists:
            asks.clear()
        return taken

    def _answers(self, asks: Iterable[Ask], error: SeawayError | None = None) -> list[Do]:
        return [Answer(ask, self.status, error) for ask in asks]

    def _refuse(self, ask: Ask, error: SeawayError) -> Do:
        return Answer(ask, self.status, error)

    def _set(self, **changes: object) -> None:
        self.status = self.status.model_copy(update=changes)

    def _to(self, phase: Phase) -> None:
        self.history.append(f"{self.phase} → {phase}")
        del self.history[:-20]
        self.phase = phase

    def _expect(self, phase: Phase) -> None:
        if self.phase is not phase:
            self._broken(f"expected {phase}")

    def _broken(self, what: str) -> None:
        story = ", ".join(self.history) or "no steps yet"
        text = f"container {self.spec.id[:12]} is {self.phase} at {what!r}; it went: {story}"
        raise SeawayError(Code.INTERNAL, text)
