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
from collections.abc import Iterable
from dataclasses import replace

from seaway_agent.core.exec_steps import ExecSteps
from seaway_agent.core.health import begun, suspended
from seaway_agent.core.instructions import (
    Answer,
    Ask,
    Delete,
    Do,
    Emit,
    Ending,
    Exit,
    Launched,
    Record,
    SendSignal,
    SetTimer,
    TearDown,
    Thaw,
)
from seaway_agent.core.restart import LOST_WITH_NODE, should_restart
from seaway_agent.core.steps import SECOND_NS, Phase
from seaway_agent.core.update import refusal, updated
from seaway_agent.core.words import (
    first_of,
    killed,
    marked_for_removal,
    mount_events,
    network_events,
    unmount_events,
    volume_events,
)
from seaway_contracts.containers import Probe, Resources, RestartPolicy, State
from seaway_contracts.errors import SeawayError, conflict, internal, not_found, not_modified
from seaway_docker.errors import (
    cannot_kill,
    cannot_remove,
    container_already_paused,
    container_not_paused,
    container_not_running,
    container_restarting,
    no_such_container,
)


class Machine(ExecSteps):
    """One container. Every method takes what happened and returns what to do, in order."""

    def knows(self, ask: Ask) -> bool:
        """Whether that command waits already, told to this agent or to one before it."""
        lists = (self._starters, self._stoppers, self._killers, self._restarters, self._removers)
        return any(ask in asks for asks in lists)

    # --- commands

    def create(self, ask: Ask, now_ns: int, volumes: Iterable[str] = ()) -> list[Do]:
        """The container has just been made, and these volumes with it."""
        events = [*volume_events("create", volumes), Emit("create")]
        return [self._record(now_ns, ask, *events), Answer(ask, self.status)]

    def start(self, ask: Ask) -> list[Do]:
        """Run it."""
        if self.phase in (Phase.RUNNING, Phase.PAUSED):
            if self.phase is Phase.PAUSED:
                return [self._refuse(ask, conflict("cannot start a paused container, try unpause instead"))]
            return [self._refuse(ask, not_modified())]
        if self._doomed():
            return [self._refuse(ask, marked_for_removal())]
        self._starters.append(ask)
        if self.phase is Phase.LAUNCHING:
            return []
        if self.phase is Phase.TEARING_DOWN:
            self._after_teardown = self._launch
            return []
        return self._launch()

    def stop(self, ask: Ask, timeout_s: int | None, signal: int | None, now_ns: int) -> list[Do]:
        """Signal, wait, kill. Docker's 304 where it doesn't run."""
        if self._waits_to_restart():
            return self._stop_restarting(ask, now_ns, "stop")
        runs = self.phase in (Phase.LAUNCHING, Phase.RUNNING, Phase.PAUSED) or self._after_teardown is not None
        if not runs:
            return [self._refuse(ask, not_modified())]
        self._stoppers.append(ask)
        return self._begin_stop(ask, timeout_s, signal, now_ns)

    def restart(self, ask: Ask, timeout_s: int | None, signal: int | None, now_ns: int) -> list[Do]:
        """Stop it where it runs, then run it. A run that is coming is new enough, and a stop before it is overtaken."""
        if self._doomed():
            return [self._refuse(ask, marked_for_removal())]
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
        """Send a signal, now; SIGKILL is answered when the process is gone. It ends the wait for a restart, too."""
        if self._waits_to_restart():
            return self._stop_restarting(ask, now_ns, "status")
        if self.phase not in (Phase.RUNNING, Phase.PAUSED):
            text = cannot_kill(self.spec.id, container_not_running(self.spec.id))
            return [self._refuse(ask, conflict(text))]
        thaw: list[Do] = []
        if signal in (signals.SIGKILL, self._stop_signal()):
            self._set(manually_stopped=True)
            thaw = self._thaw()
        if signal == signals.SIGKILL:
            self._killers.append(ask)
        done: list[Do] = [self._record(now_ns, ask, killed(signal)), SendSignal(signal), *thaw]
        return done if signal == signals.SIGKILL else [*done, Answer(ask, self.status)]

    def pause(self, ask: Ask, now_ns: int, *, for_commit: bool = False) -> list[Do]:
        """It has been frozen; thawed again if it is being stopped since, as a frozen process takes no signal."""
        refusal = self.cannot_pause()
        if refusal is not None:
            return [*([Thaw()] if self.phase is Phase.RUNNING else []), self._refuse(ask, refusal)]
        self._to(Phase.PAUSED)
        self._set(state=State.PAUSED, paused_by_commit=for_commit, health=suspended(self.status.health))
        return [*self._check.end(), self._record(now_ns, ask, Emit("pause")), Answer(ask, self.status)]

    def cannot_pause(self) -> SeawayError | None:
        """Why it can't be frozen now."""
        if self.phase is Phase.PAUSED:
            return conflict(container_already_paused(self.spec.id))
        if self._stopping or self._removers:
            return conflict(f"container {self.spec.id} is being stopped")
        if self.status.state is State.RESTARTING:
            return conflict(container_restarting(self.spec.id))
        return None if self.phase is Phase.RUNNING else conflict(container_not_running(self.spec.id))

    def unpause(self, ask: Ask, now_ns: int) -> list[Do]:
        """Let it go on."""
        if self.phase is not Phase.PAUSED:
            return [self._refuse(ask, internal(container_not_paused(self.spec.id)))]
        thaw = self._thaw()
        done: list[Do] = [self._record(now_ns, ask, Emit("unpause")), *thaw, Answer(ask, self.status)]
        return done + self._check.begin(self.status)

    def rename(self, ask: Ask, name: str, now_ns: int) -> list[Do]:
        """Give it another name, which is reserved already; the same again changes nothing."""
        if self._doomed():
            return [self._refuse(ask, conflict(f"container {self.spec.id} is marked for removal"))]
        if name == self.spec.name:
            return [Answer(ask, self.status)]
        old, self.spec = self.spec.name, self.spec.model_copy(update={"name": name})
        renamed = Emit("rename", attributes={"oldName": f"/{old}"})
        return [self._record(now_ns, ask, renamed), Answer(ask, self.status)]

    def update(self, ask: Ask, limits: Resources, restart: RestartPolicy | None, now_ns: int) -> list[Do]:
        """Its limits and policy from now on. Raises SeawayError (409)."""
        if self._doomed():
            text = 'container is marked for removal and cannot be "update"'
            return [self._refuse(ask, refusal(self.spec.id, text))]
        self.spec = updated(self.spec, limits, restart)
        return [self._record(now_ns, ask, Emit("update")), Answer(ask, self.status)]

    def remove(self, ask: Ask, force: bool, volumes: bool, now_ns: int) -> list[Do]:
        """Delete it; a running one only by force."""
        if self.phase is Phase.GONE:
            return [self._refuse(ask, not_found(no_such_container(self.spec.id)))]
        comes_back = self.phase is Phase.BACKING_OFF or self._after_teardown is not None
        if (comes_back or self.phase in (Phase.RUNNING, Phase.PAUSED, Phase.LAUNCHING)) and not force:
            return [self._refuse(ask, conflict(cannot_remove(self.spec.name, self._state_to_remove())))]
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

    def launching(self, run: int, starters: Iterable[Ask], restarters: Iterable[Ask]) -> None:
        """An agent before this one launched that run for those who asked; `launched` comes next."""
        self.phase = Phase.LAUNCHING
        self._set(run=run)
        self._starters += starters
        self._restarters += [ask for ask in restarters if not self.knows(ask)]
        if self._starters or self._restarters:
            self._set(restart_count=0)
        elif self.status.state is State.RESTARTING:
            self._set(restart_count=self.status.restart_count + 1)

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
            apparmor=what.apparmor,
            exit_code=0,
            error="",
            oom_killed=False,
            manually_stopped=False,
            health=begun(self.status.health) if self._check.plan is not None else None,
        )
        asked = first_of(self._starters, self._restarters)
        events = [*network_events("connect", self.status), *mount_events(self.spec), Emit("start")]
        if self._restarters:
            events.append(Emit("restart"))
        served = self._taken(self._starters, self._restarters)
        done: list[Do] = [self._record(what.time_ns, asked, *events), *self._answers(served)]
        done += self._check.start_period(0) + self._check.begin(self.status)
        if self._removers:
            self._set(manually_stopped=True)
            return done + self._kill_now(first_of(self._removers), what.time_ns)
        if self._stop_plan is not None:
            return done + self._signal_stop(first_of(self._stoppers), what.time_ns)
        return done + self._answer_all(self._stoppers)

    def launch_failed(self, error: SeawayError, code: int, now_ns: int) -> list[Do]:
        """It could not be run; what was made for it has been undone. `code` is Docker's 126, 127 or 128."""
        self._expect(Phase.LAUNCHING)
        again = self.status.state is State.RESTARTING
        self._to(Phase.IDLE)
        self._stop_plan = None
        state = State.EXITED if self.status.started_ns else State.CREATED
        self._set(state=state, pid=0, exit_code=code, error=error.message, endpoints=(), ports=())
        if again:
            self._set(finished_ns=now_ns)
        asked = first_of(self._starters)
        failed, stopped = self._taken(self._starters, self._restarters), self._taken(self._stoppers)
        done: list[Do] = [self._record(now_ns, asked, Emit("status"))]
        done += self._answers(failed, error) + self._answers(stopped)
        return done + (self._delete() if self._removers or self.spec.auto_remove else [])

    def exited(self, how: Exit, *, with_node: bool = False) -> list[Do]:
        """Its first process ended; `with_node`: as all others did, and the node starts them again in their order."""
        if self.phase not in (Phase.RUNNING, Phase.PAUSED):
            self._broken("exited")
        ran_ns = how.ran_ns if how.ran_ns is not None else max(0, how.time_ns - self.status.started_ns)
        left = [*network_events("disconnect", self.status), *unmount_events(self.spec)]
        stopped = self._stopping or bool(self._stoppers or self._restarters)
        restarts = (
            not with_node
            and not self._removers
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
            health=suspended(self.status.health),
        )
        died = Emit("die", attributes={"exitCode": str(how.code), "execDuration": str(ran_ns // SECOND_NS)})
        execs = self._end_execs(how.time_ns)
        events = [*execs, *([Emit("oom")] if how.oom else []), *left, *([Emit("stop")] if stopped else []), died]
        ask = first_of(self._stoppers, self._restarters, self._removers, self._killers)
        self._to(Phase.TEARING_DOWN)
        self._stopping, self._stop_plan = False, None
        done: list[Do] = [SetTimer("stop", None), *self._check.over()]
        served = self._taken(self._stoppers, self._killers)
        done += [self._record(how.time_ns, ask, *events), TearDown(), *self._answers(served)]
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
            return self._give_way_to_removal()
        return then() if then is not None else []

    def _give_way_to_removal(self) -> list[Do]:
        """Whoever wants it to run is refused."""
        done = self._answers(self._taken(self._starters, self._restarters), marked_for_removal())
        return done + self._answer_all(self._stoppers) + self._delete()

    def timer(self, name: str, now_ns: int) -> list[Do]:
        """A timer that was set has run out."""
        if name == "stop" and self.phase in (Phase.RUNNING, Phase.PAUSED):
            return self._kill_now(first_of(self._stoppers, self._restarters), now_ns)
        if name == "health":
            return self._check.due()
        if name == "grace":
            self._check.start_period_over()
        if name == "restart" and self.phase is Phase.BACKING_OFF:
            self._set(restart_count=self.status.restart_count + 1)
            return self._launch()
        return []

    def probed(self, number: int, probe: Probe) -> list[Do]:
        """A probe of the health check is over. Only a change of mind is an event; the log is stored either way.

        One that fails while the container is being ended may have failed of that.
        """
        if probe.exit_code and (self._stopping or self._removers or self._killers):
            return []
        verdict = self._check.verdict(number, probe, self.status)
        if verdict is None:
            return []
        before, self.status = self.status.health, self.status.model_copy(update={"health": verdict})
        turned = before is None or before.status != verdict.status
        events = [Emit("health_status", attributes={"health": verdict.status})] if turned else []
        return [self._record(probe.ended_ns, None, *events), *self._check.begin(self.status)]

    def deleted(self, now_ns: int, volumes: Iterable[str] = ()) -> list[Do]:
        """Nothing of it is left on the node, and these volumes are gone with it."""
        self._expect(Phase.REMOVING)
        self._to(Phase.GONE)
        events = [*volume_events("destroy", volumes), Emit("destroy")]
        asked, served = first_of(self._removers), self._taken(self._removers)
        return [self._record(now_ns, asked, *events), *self._answers(served)]

    def delete_failed(self, error: SeawayError, now_ns: int) -> list[Do]:
        """Something of it could not be deleted; it can be tried again."""
        self._expect(Phase.REMOVING)
        self._to(Phase.IDLE)
        self._set(state=State.DEAD, error=error.message)
        failed = self._taken(self._removers)
        return [self._record(now_ns, None, Emit("status")), *self._answers(failed, error)]

    # --- adoption, by the agent that comes after one that was killed

    def ending(self, what: Ending) -> None:
        """An agent before this one was at it; `adopted`, `exited` or `resume` comes next."""
        if what.run != self.status.run:
            return
        self._stoppers += what.stoppers
        self._killers += what.killers
        self._restarters += what.restarters
        self._removers += what.removers
        self._volumes = what.volumes
        self._stop_plan, self._stopping, self._stopping_since_ns = what.stop, what.stop is not None, what.since_ns

    def resume(self, *, with_node: bool = False) -> list[Do]:
        """Go on where the last agent was: back off (not where it ended with its node), tear down, delete, run."""
        if self.phase is Phase.TEARING_DOWN:
            if self._restarters:
                self._after_teardown = self._launch
            elif self.status.state is State.RESTARTING and not with_node:
                self._after_teardown = self._back_off
            return [TearDown()]
        if self.phase is Phase.REMOVING:
            return [Delete(self.status.removes_volumes)]
        if self.phase is Phase.IDLE and self._removers:
            return self._give_way_to_removal()
        return self._launch() if self.phase is Phase.IDLE and self._restarters else []

    def adopted(self, now_ns: int, ran_ns: int) -> list[Do]:
        """Its run, which has lasted so long, goes on under this agent: so does its health check.

        What the last agent had frozen and not yet recorded as paused, or recorded as running and not yet thawed, runs;
        so does what was paused for a commit, which ended with that agent.
        """
        if self.phase not in (Phase.RUNNING, Phase.PAUSED):
            return []
        period = self._check.start_period(ran_ns)
        if self.phase is Phase.RUNNING:
            return [Thaw(), *period, *self._check.begin(self.status), *self._end_on(now_ns)]
        if not self.status.paused_by_commit:
            return period
        thaw = self._thaw()
        return [self._record(now_ns, None, Emit("unpause")), *thaw, *period, *self._check.begin(self.status)]

    def _end_on(self, now_ns: int) -> list[Do]:
        """The signal was told, and may not have been sent."""
        if self._killers or self._removers:
            return [SendSignal(signals.SIGKILL)]
        if self._stop_plan is None:
            return []
        signal, wait_s = self._stop_plan
        left_ns = wait_s * SECOND_NS - max(0, now_ns - self._stopping_since_ns)
        patient = wait_s < 0 or signal == signals.SIGKILL
        return [SendSignal(signal), *([] if patient else [SetTimer("stop", max(1, left_ns))])]

    def restored(self, ask: Ask, now_ns: int) -> list[Do]:
        """It was on this node before a reboot that took all memory of it, and is here again; what ran has ended."""
        if self.status.state in (State.RUNNING, State.PAUSED):
            self._to(Phase.RUNNING)
            done = self.exited(Exit(LOST_WITH_NODE, now_ns), with_node=True)
        else:
            self._set(state=State.EXITED if self.status.state is State.RESTARTING else self.status.state)
            done = [self._record(now_ns, ask, Emit("status"))]
        stored = [replace(do, new=True) if isinstance(do, Record) else do for do in done]
        return [*stored, Answer(ask, self.status)]

    def start_again(self) -> list[Do]:
        """Run it because its restart policy says so after a reboot of the node."""
        self._expect(Phase.IDLE)
        return self._launch()
