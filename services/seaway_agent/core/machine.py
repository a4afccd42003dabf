"""The state machine of one container: inputs in, instructions out, no I/O and no clock.

Phases (the status that users see is `status.state`):

    idle ──start──► launching ──launched──► running ◄──► paused
     ▲                  │ failed               │ exited
     │                  ▼                      ▼
     └──────────── tearing down ◄──────────────┘      backing off ──due──► launching
    removing ──deleted──► gone

A command that needs a phase which is coming waits for it; nothing is done twice.
"""

import signal as signals
from collections.abc import Callable
from enum import StrEnum
from typing import Final

from seaway_agent.core.instructions import (
    Answer,
    Ask,
    Delete,
    Do,
    Emit,
    Exit,
    Launch,
    Launched,
    Record,
    SendSignal,
    SetTimer,
    TearDown,
    Thaw,
)
from seaway_agent.core.restart import Backoff, should_restart
from seaway_contracts.containers import ContainerSpec, ContainerStatus, State
from seaway_contracts.errors import Code, SeawayError, conflict, not_found, not_modified
from seaway_docker.errors import InvalidParameter
from seaway_docker.signals import parse_signal

DEFAULT_STOP_S: Final = 10
_SECOND_NS: Final = 1_000_000_000


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


class Machine:
    """One container. Every method takes what happened and returns what to do, in order."""

    def __init__(self, spec: ContainerSpec, status: ContainerStatus, phase: Phase = Phase.IDLE) -> None:
        self.spec = spec
        self.status = status
        self.phase = phase
        self.history: list[str] = []
        self._starters: list[Ask] = []
        self._stoppers: list[Ask] = []
        self._removers: list[Ask] = []
        self._restarters: list[Ask] = []
        self._volumes = False
        self._after_teardown: Callable[[], list[Do]] | None = None
        self._stopping = False
        self._stop_plan: tuple[int, int] | None = None
        self._backoff = Backoff()
        self._told_ns = 0

    # --- commands

    def create(self, ask: Ask, now_ns: int) -> list[Do]:
        """The container has just been made."""
        return [self._record(now_ns, ask, Emit("create")), Answer(ask, self.status)]

    def start(self, ask: Ask) -> list[Do]:
        """Run it."""
        if self.phase in (Phase.RUNNING, Phase.PAUSED):
            if self.phase is Phase.PAUSED:
                return [self._refuse(ask, conflict("cannot start a paused container, try unpause instead"))]
            return [self._refuse(ask, not_modified())]
        if self._doomed():
            return [self._refuse(ask, _marked_for_removal())]
        self._starters.append(ask)
        if self.phase is Phase.LAUNCHING:
            return []
        if self.phase is Phase.TEARING_DOWN:
            self._after_teardown = self._launch
            return []
        return self._launch()

    def stop(self, ask: Ask, timeout_s: int | None, signal: int | None, now_ns: int) -> list[Do]:
        """Signal, wait, kill. Docker's 304 where it doesn't run."""
        if self.phase is Phase.BACKING_OFF or self._after_teardown == self._back_off:
            return self._stop_restarting(ask, now_ns)
        runs = self.phase in (Phase.LAUNCHING, Phase.RUNNING, Phase.PAUSED) or self._after_teardown is not None
        if not runs:
            return [self._refuse(ask, not_modified())]
        self._stoppers.append(ask)
        return self._begin_stop(ask, timeout_s, signal, now_ns)

    def restart(self, ask: Ask, timeout_s: int | None, signal: int | None, now_ns: int) -> list[Do]:
        """Stop it where it runs, then run it. A run that is coming is new enough, and a stop before it is overtaken."""
        if self._doomed():
            return [self._refuse(ask, _marked_for_removal())]
        self._restarters.append(ask)
        if self.phase in (Phase.RUNNING, Phase.PAUSED):
            return self._begin_stop(ask, timeout_s, signal, now_ns)
        self._stop_plan = None
        if self.phase is Phase.LAUNCHING:
            return []
        if self.phase is Phase.TEARING_DOWN:
            self._after_teardown = self._launch
            return []
        return self._launch()

    def kill(self, ask: Ask, signal: int, now_ns: int) -> list[Do]:
        """Send a signal, now."""
        if self.phase not in (Phase.RUNNING, Phase.PAUSED):
            what = (
                "restarting, wait until the container is running" if self.phase is Phase.BACKING_OFF else "not running"
            )
            return [
                self._refuse(
                    ask, conflict(f"cannot kill container: {self.spec.id}: container {self.spec.id} is {what}")
                )
            ]
        thaw: list[Do] = []
        if signal in (signals.SIGKILL, self._stop_signal()):
            self._set(manually_stopped=True)
            thaw = self._thaw()
        return [self._record(now_ns, ask, _killed(signal)), SendSignal(signal), *thaw, Answer(ask, self.status)]

    def pause(self, ask: Ask, now_ns: int) -> list[Do]:
        """It has been frozen; thawed again if it is being stopped since, as a frozen process takes no signal."""
        refusal = self.cannot_pause()
        if refusal is not None:
            return [*([Thaw()] if self.phase is Phase.RUNNING else []), self._refuse(ask, refusal)]
        self._to(Phase.PAUSED)
        self._set(state=State.PAUSED)
        return [self._record(now_ns, ask, Emit("pause")), Answer(ask, self.status)]

    def cannot_pause(self) -> SeawayError | None:
        """Why it can't be frozen now."""
        if self.phase is Phase.PAUSED:
            return conflict(f"container {self.spec.id} is already paused")
        if self._stopping or self._removers:
            return conflict(f"container {self.spec.id} is being stopped")
        return None if self.phase is Phase.RUNNING else conflict(f"container {self.spec.id} is not running")

    def unpause(self, ask: Ask, now_ns: int) -> list[Do]:
        """Let it go on."""
        if self.phase is not Phase.PAUSED:
            return [self._refuse(ask, conflict(f"container {self.spec.id} is not paused"))]
        return [*self._thaw(), self._record(now_ns, ask, Emit("unpause")), Answer(ask, self.status)]

    def remove(self, ask: Ask, force: bool, volumes: bool, now_ns: int) -> list[Do]:
        """Delete it; a running one only by force."""
        if self.phase is Phase.GONE:
            return [self._refuse(ask, not_found(f"No such container: {self.spec.id}"))]
        comes_back = self.phase is Phase.BACKING_OFF or self._after_teardown is not None
        if (comes_back or self.phase in (Phase.RUNNING, Phase.PAUSED, Phase.LAUNCHING)) and not force:
            return [self._refuse(ask, conflict(self._cannot_remove()))]
        self._removers.append(ask)
        self._volumes = self._volumes or volumes
        if self.phase in (Phase.RUNNING, Phase.PAUSED):
            self._set(manually_stopped=True)
            return self._kill_now(ask, now_ns)
        if self.phase is Phase.BACKING_OFF:
            return [SetTimer("restart", None), *self._delete()]
        if self.phase is Phase.IDLE:
            return self._delete()
        return []

    # --- what happened

    def tell(self, ask: Ask, now_ns: int, action: str, **attributes: str) -> list[Do]:
        """Something happened to it that changes nothing: a client joined, the terminal has a new size."""
        return [self._record(now_ns, ask, Emit(action, attributes=attributes))]

    def launched(self, what: Launched) -> list[Do]:
        """It runs."""
        self._expect(Phase.LAUNCHING)
        self._to(Phase.RUNNING)
        self._set(
            state=State.RUNNING,
            pid=what.pid,
            started_ns=what.time_ns,
            endpoints=what.endpoints,
            ports=what.ports,
            exit_code=0,
            error="",
            oom_killed=False,
            manually_stopped=False,
        )
        first = _first(self._starters, self._restarters)
        events = [*_network_events("connect", self), Emit("start")]
        if self._restarters:
            events.append(Emit("restart"))
        done: list[Do] = [self._record(what.time_ns, first, *events)]
        done += self._answer_all(self._starters) + self._answer_all(self._restarters)
        if self._removers:
            self._set(manually_stopped=True)
            return done + self._kill_now(_first(self._removers), what.time_ns)
        if self._stop_plan is not None:
            return done + self._signal_stop(_first(self._stoppers), what.time_ns)
        return done + self._answer_all(self._stoppers)

    def launch_failed(self, error: SeawayError, code: int, now_ns: int) -> list[Do]:
        """It could not be run; what was made for it has been undone. `code` is Docker's 125, 126 or 127."""
        self._expect(Phase.LAUNCHING)
        again = self.status.state is State.RESTARTING
        self._to(Phase.IDLE)
        self._stop_plan = None
        state = State.EXITED if self.status.started_ns else State.CREATED
        self._set(state=state, pid=0, exit_code=code, error=error.message, endpoints=(), ports=())
        if again:
            self._set(finished_ns=now_ns)
        done: list[Do] = [self._record(now_ns, _first(self._starters), Emit("status"))]
        done += self._answer_all(self._starters, error) + self._answer_all(self._restarters, error)
        done += self._answer_all(self._stoppers)
        return done + (self._delete() if self._removers or self.spec.auto_remove else [])

    def exited(self, how: Exit) -> list[Do]:
        """Its first process ended."""
        if self.phase not in (Phase.RUNNING, Phase.PAUSED):
            self._broken("exited")
        ran_ns = max(0, how.time_ns - self.status.started_ns)
        endpoints = _network_events("disconnect", self)
        stopped = self._stopping or bool(self._stoppers or self._restarters)
        restarts = (
            not self._removers
            and not self._restarters
            and should_restart(self.spec.restart, how.code, self.status.restart_count, self.status.manually_stopped)
        )
        self._set(
            state=State.RESTARTING if restarts else State.EXITED,
            pid=0,
            exit_code=how.code,
            oom_killed=how.oom,
            finished_ns=how.time_ns,
            endpoints=(),
            ports=(),
        )
        died = Emit("die", attributes={"exitCode": str(how.code), "execDuration": str(ran_ns // _SECOND_NS)})
        events = [*([Emit("oom")] if how.oom else []), *endpoints, *([Emit("stop")] if stopped else []), died]
        ask = _first(self._stoppers, self._restarters, self._removers)
        self._to(Phase.TEARING_DOWN)
        self._stopping, self._stop_plan = False, None
        done: list[Do] = [SetTimer("stop", None), self._record(how.time_ns, ask, *events), TearDown()]
        done += self._answer_all(self._stoppers)
        self._after_teardown = self._launch if self._restarters else None
        if restarts:
            self._backoff = self._backoff.next(ran_ns)
            self._after_teardown = self._back_off
        return done

    def torn_down(self, now_ns: int) -> list[Do]:
        """Everything that a run needs has been given back."""
        self._expect(Phase.TEARING_DOWN)
        self._to(Phase.IDLE)
        then, self._after_teardown = self._after_teardown, None
        if self._removers or (self.spec.auto_remove and then is None):
            refusal = _marked_for_removal()
            done = self._answer_all(self._starters, refusal) + self._answer_all(self._restarters, refusal)
            return done + self._answer_all(self._stoppers) + self._delete()
        return then() if then is not None else []

    def timer(self, name: str, now_ns: int) -> list[Do]:
        """A timer that was set has run out."""
        if name == "stop" and self.phase in (Phase.RUNNING, Phase.PAUSED):
            return self._kill_now(_first(self._stoppers, self._restarters), now_ns)
        if name == "restart" and self.phase is Phase.BACKING_OFF:
            self._set(restart_count=self.status.restart_count + 1)
            return self._launch()
        return []

    def deleted(self, now_ns: int) -> list[Do]:
        """Nothing of it is left on the node."""
        self._expect(Phase.REMOVING)
        self._to(Phase.GONE)
        done: list[Do] = [self._record(now_ns, _first(self._removers), Emit("destroy"))]
        return done + self._answer_all(self._removers)

    def delete_failed(self, error: SeawayError, now_ns: int) -> list[Do]:
        """Something of it could not be deleted; it can be tried again."""
        self._expect(Phase.REMOVING)
        self._to(Phase.IDLE)
        self._set(state=State.DEAD, error=error.message)
        return [self._record(now_ns, None, Emit("status")), *self._answer_all(self._removers, error)]

    # --- adoption, by the agent that comes after one that was killed

    def resume(self, now_ns: int) -> list[Do]:
        """Go on where the agent before this one was: back off, tear down, or delete."""
        if self.phase is Phase.TEARING_DOWN:
            if self.status.state is State.RESTARTING:
                self._after_teardown = self._back_off
            return [TearDown()]
        if self.phase is Phase.REMOVING:
            return [Delete(self._volumes)]
        return []

    def start_again(self) -> list[Do]:
        """Run it because its restart policy says so after a reboot of the node."""
        self._expect(Phase.IDLE)
        return self._launch()

    # --- parts

    def _launch(self) -> list[Do]:
        self._to(Phase.LAUNCHING)
        self._set(run=self.status.run + 1)
        if self._starters or self._restarters:
            self._set(restart_count=0)
            self._backoff = Backoff()
        return [SetTimer("restart", None), Launch(self.status.run)]

    def _back_off(self) -> list[Do]:
        self._to(Phase.BACKING_OFF)
        if not self._backoff.last_ns:
            self._backoff = self._backoff.next(0)
        return [SetTimer("restart", self._backoff.last_ns)]

    def _stop_restarting(self, ask: Ask, now_ns: int) -> list[Do]:
        """It has ended and was to be started again."""
        self._after_teardown = None
        if self.phase is Phase.BACKING_OFF:
            self._to(Phase.IDLE)
        self._set(state=State.EXITED, manually_stopped=True)
        return [SetTimer("restart", None), self._record(now_ns, ask, Emit("stop")), Answer(ask, self.status)]

    def _begin_stop(self, ask: Ask, timeout_s: int | None, signal: int | None, now_ns: int) -> list[Do]:
        """A second stop changes nothing unless it is less patient."""
        own = self.spec.command.stop_timeout
        wait_s = timeout_s if timeout_s is not None else own if own is not None else DEFAULT_STOP_S
        if self._stopping and self._stop_plan is not None and not _sooner(wait_s, self._stop_plan[1]):
            return []
        self._stop_plan = (signal or self._stop_signal(), wait_s)
        return self._signal_stop(ask, now_ns) if self.phase in (Phase.RUNNING, Phase.PAUSED) else []

    def _signal_stop(self, ask: Ask | None, now_ns: int) -> list[Do]:
        assert self._stop_plan is not None
        (signal, wait_s), self._stopping = self._stop_plan, True
        self._set(manually_stopped=not self._restarters)
        thaw = self._thaw()
        if wait_s == 0:
            signal = signals.SIGKILL
        done: list[Do] = [self._record(now_ns, ask, _killed(signal)), SendSignal(signal), *thaw]
        return done + ([SetTimer("stop", wait_s * _SECOND_NS)] if wait_s > 0 else [])

    def _kill_now(self, ask: Ask | None, now_ns: int) -> list[Do]:
        thaw = self._thaw()
        return [self._record(now_ns, ask, _killed(signals.SIGKILL)), SendSignal(signals.SIGKILL), *thaw]

    def _thaw(self) -> list[Do]:
        """A frozen process takes no signal."""
        if self.phase is not Phase.PAUSED:
            return []
        self._to(Phase.RUNNING)
        self._set(state=State.RUNNING)
        return [Thaw()]

    def _delete(self) -> list[Do]:
        """The status is stored first: what an agent's death leaves half deleted must never be started."""
        self._to(Phase.REMOVING)
        self._set(state=State.REMOVING)
        return [self._record(0, None), Delete(self._volumes or self.spec.auto_remove)]

    def _doomed(self) -> bool:
        """Whether it is being removed, or what is left of it can only be removed."""
        return self.phase in (Phase.REMOVING, Phase.GONE) or bool(self._removers) or self.status.state is State.DEAD

    def _stop_signal(self) -> int:
        """SIGTERM where an image names a signal that isn't one, as Docker has it."""
        try:
            return parse_signal(self.spec.command.stop_signal or "SIGTERM")
        except InvalidParameter:
            return signals.SIGTERM

    def _cannot_remove(self) -> str:
        states = {Phase.BACKING_OFF: "restarting", Phase.TEARING_DOWN: "restarting", Phase.PAUSED: "paused"}
        state = states.get(self.phase, "running")
        advice = "unpause and then stop the container" if state == "paused" else "stop the container"
        return (
            f'cannot remove container "/{self.spec.name}": container is {state}: '
            f"{advice} before removing or force remove"
        )

    def _record(self, now_ns: int, ask: Ask | None, *events: Emit) -> Record:
        """Count the container's own events, so that each has its place in the order."""
        own = sum(1 for event in events if event.noun == "container")
        self._set(seq=self.status.seq + own)
        # An exit file's time is coarse and may lie before a signal's: the order of times is that of the events.
        start_ns = max(now_ns, self._told_ns)
        self._told_ns = start_ns + len(events)
        return Record(self.status, events, ask, start_ns)

    def _answer_all(self, asks: list[Ask], error: SeawayError | None = None) -> list[Do]:
        done: list[Do] = [Answer(ask, self.status, error) for ask in asks]
        asks.clear()
        return done

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


def _first(*lists: list[Ask]) -> Ask | None:
    return next((asks[0] for asks in lists if asks), None)


def _marked_for_removal() -> SeawayError:
    return conflict("container is marked for removal and cannot be started")


def _sooner(wait_s: int, planned_s: int) -> bool:
    """Whether a stop would end earlier than planned; a negative wait has no end."""
    return wait_s >= 0 and (planned_s < 0 or wait_s < planned_s)


def _killed(signal: int) -> Emit:
    return Emit("kill", attributes={"signal": str(int(signal))})


def _network_events(action: str, machine: Machine) -> list[Emit]:
    return [
        Emit(action, "network", {"name": e.network, "type": e.network if e.network != "none" else "null"}, e)
        for e in machine.status.endpoints
    ]
