"""The state of one container, as its machine keeps it. Pure.

`to` is the only function that changes the phase. `record` is the only one that makes a Record.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Final

from seaway_agent.core.events import not_before
from seaway_agent.core.execs import ExecTable
from seaway_agent.core.health import HealthCheck
from seaway_agent.core.instructions import Answer, Emit, Instruction, PendingStop, Record, Waiter
from seaway_agent.core.phases import AfterTeardown, Phase, PhaseError, check_change
from seaway_agent.core.restart import Backoff
from seaway_contracts.containers import ContainerSpec, ContainerStatus, State
from seaway_contracts.docker_errors import container_not_running, container_restarting, exec_in_paused_container
from seaway_contracts.errors import SeawayError, conflict

_HISTORY: Final = 20


@dataclass
class Waiters:
    """The commands that wait, longest first, by what they wait for."""

    starters: list[Waiter] = field(default_factory=list)
    stoppers: list[Waiter] = field(default_factory=list)
    killers: list[Waiter] = field(default_factory=list)
    restarters: list[Waiter] = field(default_factory=list)
    removers: list[Waiter] = field(default_factory=list)

    def all(self) -> list[Waiter]:
        """Everybody."""
        return [waiter for each in self._lists() for waiter in each]

    def take_all(self) -> list[Waiter]:
        """Everybody, and nobody waits any longer."""
        return taken(*self._lists())

    def _lists(self) -> list[list[Waiter]]:
        return [getattr(self, each.name) for each in fields(self)]


def first_of(*lists: list[Waiter]) -> Waiter | None:
    """The longest waiting one of the first list that is not empty."""
    return next((waiters[0] for waiters in lists if waiters), None)


def taken(*lists: list[Waiter]) -> list[Waiter]:
    """All of these lists, which are empty now: what is recorded next is what they waited for."""
    found = [waiter for waiters in lists for waiter in waiters]
    for waiters in lists:
        waiters.clear()
    return found


class ContainerState:
    """What was asked for, what is, and who waits for what."""

    def __init__(self, spec: ContainerSpec, status: ContainerStatus, phase: Phase) -> None:
        check_change(None, phase)
        self._phase = phase
        self.spec = spec
        self.status = status
        self.history: list[str] = []
        self.waiters = Waiters()
        self.after_teardown = AfterTeardown.REST
        self.removes_volumes = False
        self.broken = False
        """Whether something happened that did not fit, ever. From then on what does not fit is ignored."""
        self.stopping = False
        self.stop_plan: tuple[int, int] | None = None
        """The signal, and the seconds from it to SIGKILL; never if negative."""
        self.stopping_since_ns = 0
        self.backoff = Backoff()
        self.check = HealthCheck(spec)
        self.execs = ExecTable(self)
        self._last_event_ns = 0

    # --- the phase

    @property
    def phase(self) -> Phase:
        """What the node is doing with it."""
        return self._phase

    def to(self, phase: Phase) -> None:
        """Change the phase. Raises PhaseError where the table does not list that."""
        check_change(self._phase, phase)
        self.history.append(f"{self._phase} → {phase}")
        del self.history[:-_HISTORY]
        self._phase = phase

    def fits(self, what: str, *phases: Phase) -> bool:
        """Whether that can happen now. Raises PhaseError where it can't, unless the container is broken already."""
        if self._phase not in phases and not self.broken:
            raise PhaseError(what)
        return self._phase in phases

    # --- what is

    @property
    def runs(self) -> bool:
        """Whether it has a process, as far as was recorded."""
        return self.status.state in (State.RUNNING, State.PAUSED)

    @property
    def live(self) -> bool:
        """Whether it has a process and is in order."""
        return self._phase in (Phase.RUNNING, Phase.PAUSED)

    @property
    def doomed(self) -> bool:
        """Whether it is being removed, or what is left of it can only be removed."""
        ends = self._phase in (Phase.REMOVING, Phase.GONE) or self.status.state is State.DEAD
        return ends or bool(self.waiters.removers)

    @property
    def waits_to_restart(self) -> bool:
        """Whether it has ended and its policy will run it again."""
        return self._phase is Phase.BACKING_OFF or self.after_teardown is AfterTeardown.BACK_OFF

    def why_broken(self) -> SeawayError | None:
        """Why a broken container refuses all but its removal."""
        return conflict(self.status.error) if self._phase is Phase.BROKEN else None

    def why_no_exec(self) -> SeawayError | None:
        """Why no program can be run in it now."""
        if self._phase is Phase.BROKEN:
            return self.why_broken()
        if self._phase is Phase.PAUSED:
            return exec_in_paused_container(self.spec.id)
        if self._phase is Phase.RUNNING:
            return None
        if self.status.state is State.RESTARTING:
            return container_restarting(self.spec.id)
        return container_not_running(self.spec.id)

    # --- changes

    def set(self, **changes: object) -> None:
        """Change fields of the status."""
        self.status = self.status.model_copy(update=changes)

    def record(self, now_ns: int, waiter: Waiter | None, *events: Emit) -> Record:
        """Store the status with these events. The container's own are counted, so each has its place in the order."""
        own = sum(1 for event in events if event.noun == "container")
        self.set(seq=self.status.seq + own, exec_ids=self.execs.unended)
        start_ns = not_before(now_ns, self._last_event_ns, now_ns)
        self._last_event_ns = start_ns + len(events)
        execs, forgotten = self.execs.take_changes()
        return Record(self.status, events, waiter, start_ns, execs, forgotten, pending_stop=self._pending_stop())

    def _pending_stop(self) -> PendingStop | None:
        """What the next agent has to continue."""
        waiters = self.waiters
        if self.live:
            pending = self.stopping or bool(waiters.killers or waiters.removers)
        else:
            pending = bool(waiters.restarters or waiters.removers)
        if not pending:
            return None
        return PendingStop(
            self.status.run,
            self.stopping_since_ns,
            self.stop_plan if self.stopping else None,
            tuple(waiters.stoppers),
            tuple(waiters.killers),
            tuple(waiters.restarters),
            tuple(waiters.removers),
            self.removes_volumes,
        )

    # --- answers

    def done(self, waiter: Waiter) -> Instruction:
        """Answer a command with what is now."""
        return Answer(waiter, self.status)

    def refused(self, waiter: Waiter, error: SeawayError) -> Instruction:
        """Answer a command with an error."""
        return Answer(waiter, self.status, error)

    def answers(self, waiters: Iterable[Waiter], error: SeawayError | None = None) -> list[Instruction]:
        """Answer all of them."""
        return [Answer(waiter, self.status, error) for waiter in waiters]
