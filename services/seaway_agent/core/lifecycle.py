"""What happens to a container: its runs begin and end, timers run out, it is deleted. Pure.

Once the container is broken, what does not fit its phase is ignored, but for the begin and the end of a process and the
end of a deletion: these are true whatever the machine thinks.
"""

from collections.abc import Iterable
from typing import Final

from seaway_agent.core.events import mount_events, network_events, unmount_events, volume_events
from seaway_agent.core.execs import KILLED
from seaway_agent.core.health import begun, suspended
from seaway_agent.core.instructions import (
    Emit,
    Exit,
    Instruction,
    Launched,
    Record,
    SetTimer,
    TearDown,
    Waiter,
)
from seaway_agent.core.phases import AfterTeardown, Phase
from seaway_agent.core.restart import should_restart
from seaway_agent.core.state import ContainerState, first_of, taken
from seaway_agent.core.stops import SECOND_NS, kill_now, signal_stop
from seaway_agent.core.transitions import back_off, delete, give_way_to_removal, launch
from seaway_contracts.containers import Probe, State
from seaway_contracts.errors import SeawayError
from seaway_contracts.volumes import VolumeRecord

_UNKNOWN: Final = 128
"""The exit code of a failed start for which there is no other one."""


def launched(state: ContainerState, what: Launched) -> list[Instruction]:
    """See `Machine`."""
    if not state.fits("launched", Phase.LAUNCHING):
        follow = state.phase is Phase.BROKEN and not state.runs
        return [_record_begin(state, what, None, error=state.status.error)] if follow else []
    state.to(Phase.RUNNING)
    waiters = state.waiters
    waiter, restarted = first_of(waiters.starters, waiters.restarters), bool(waiters.restarters)
    served = taken(waiters.starters, waiters.restarters)
    done: list[Instruction] = [_record_begin(state, what, waiter, restarted=restarted), *state.answers(served)]
    done += state.check.start_period(0) + state.check.begin(state.status)
    if waiters.removers:
        state.set(manually_stopped=True)
        return done + kill_now(state, first_of(waiters.removers), what.time_ns)
    if state.stop_plan is not None:
        return done + signal_stop(state, first_of(waiters.stoppers), what.time_ns)
    return done + state.answers(taken(waiters.stoppers))


def _record_begin(
    state: ContainerState, what: Launched, waiter: Waiter | None, *, restarted: bool = False, error: str = ""
) -> Record:
    state.set(
        state=State.RUNNING,
        pid=what.pid,
        started_ns=what.time_ns,
        endpoints=what.endpoints,
        ports=what.ports,
        apparmor=what.apparmor,
        exit_code=0,
        error=error,
        oom_killed=False,
        manually_stopped=False,
        health=begun(state.status.health) if state.check.plan is not None else None,
    )
    events = [*network_events("connect", state.status), *mount_events(state.spec), Emit("start")]
    if restarted:
        events.append(Emit("restart"))
    return state.record(what.time_ns, waiter, *events)


def launch_failed(state: ContainerState, error: SeawayError, code: int, now_ns: int) -> list[Instruction]:
    """See `Machine`."""
    if not state.fits("launch_failed", Phase.LAUNCHING):
        return []
    waiters, again = state.waiters, state.status.state is State.RESTARTING
    state.to(Phase.IDLE)
    state.stop_plan = None
    after = State.EXITED if state.status.started_ns else State.CREATED
    if code == _UNKNOWN:  # as moby, which doesn't replace another run's code by it
        code = state.status.exit_code or _UNKNOWN
    state.set(state=after, pid=0, exit_code=code, error=error.message, endpoints=(), ports=())
    if again:
        state.set(finished_ns=now_ns)
    starter = first_of(waiters.starters)
    failed, stopped = taken(waiters.starters, waiters.restarters), taken(waiters.stoppers)
    done: list[Instruction] = [state.record(now_ns, starter, Emit("status"))]
    done += state.answers(failed, error) + state.answers(stopped)
    return done + (delete(state) if waiters.removers or state.spec.auto_remove else [])


def exited(state: ContainerState, how: Exit, *, with_node: bool) -> list[Instruction]:
    """See `Machine`."""
    if not state.fits("exited", Phase.RUNNING, Phase.PAUSED):
        return [_record_end(state, how, None)] if state.runs else []
    return end_run(state, how, with_node=with_node)


def end_run(state: ContainerState, how: Exit, *, with_node: bool) -> list[Instruction]:
    """Tear the run down, and choose what follows."""
    waiters, ran_ns = state.waiters, _ran_ns(state, how)
    stopped = state.stopping or bool(waiters.stoppers or waiters.restarters)
    restarts = not with_node and _restarts(state, how.code)
    waiter = first_of(waiters.stoppers, waiters.restarters, waiters.removers, waiters.killers)
    state.to(Phase.TEARING_DOWN)
    state.stopping, state.stop_plan = False, None
    done: list[Instruction] = [SetTimer("stop", None), *state.check.over()]
    served = taken(waiters.stoppers, waiters.killers)
    done += [_record_end(state, how, waiter, restarts=restarts, stopped=stopped), TearDown()]
    state.after_teardown = AfterTeardown.LAUNCH if waiters.restarters else AfterTeardown.REST
    if restarts:
        state.backoff = state.backoff.next(ran_ns)
        state.after_teardown = AfterTeardown.BACK_OFF
    return done + state.answers(served)


def _restarts(state: ContainerState, code: int) -> bool:
    status, asked = state.status, state.waiters.removers or state.waiters.restarters
    return not asked and should_restart(state.spec.restart, code, status.restart_count, status.manually_stopped)


def _ran_ns(state: ContainerState, how: Exit) -> int:
    return how.ran_ns if how.ran_ns is not None else max(0, how.time_ns - state.status.started_ns)


def _record_end(
    state: ContainerState, how: Exit, waiter: Waiter | None, *, restarts: bool = False, stopped: bool = False
) -> Record:
    left = [*network_events("disconnect", state.status), *unmount_events(state.spec)]
    seconds = str(_ran_ns(state, how) // SECOND_NS)
    died = Emit("die", attributes={"exitCode": str(how.code), "execDuration": seconds})
    state.set(
        state=State.RESTARTING if restarts else State.EXITED,
        pid=0,
        exit_code=how.code,
        oom_killed=how.oom,
        finished_ns=how.time_ns,
        endpoints=(),
        ports=(),
        health=suspended(state.status.health),
    )
    oom, stop = [Emit("oom")] if how.oom else [], [Emit("stop")] if stopped else []
    return state.record(how.time_ns, waiter, *state.execs.end_all(how.time_ns), *oom, *left, *stop, died)


def torn_down(state: ContainerState, now_ns: int) -> list[Instruction]:
    """See `Machine`."""
    if not state.fits("torn_down", Phase.TEARING_DOWN):
        return []
    # Where nobody reported the end of a broken one's process, the teardown has killed it.
    done: list[Instruction] = [_record_end(state, Exit(KILLED, now_ns), None)] if state.runs else []
    then, state.after_teardown = state.after_teardown, AfterTeardown.REST
    if state.waiters.removers or (state.spec.auto_remove and then is AfterTeardown.REST):
        return done + give_way_to_removal(state)
    match then:
        case AfterTeardown.LAUNCH:
            return launch(state)
        case AfterTeardown.BACK_OFF:
            return back_off(state)
        case AfterTeardown.REST:
            state.to(Phase.IDLE)
            return []


def timer(state: ContainerState, name: str, now_ns: int) -> list[Instruction]:
    """See `Machine`."""
    if name == "stop" and state.live:
        return kill_now(state, first_of(state.waiters.stoppers, state.waiters.restarters), now_ns)
    if name == "health":
        return state.check.due()
    if name == "grace":
        state.check.start_period_over()
    if name == "restart" and state.phase is Phase.BACKING_OFF:
        state.set(restart_count=state.status.restart_count + 1)
        return launch(state)
    return []


def probed(state: ContainerState, number: int, probe: Probe) -> list[Instruction]:
    """See `Machine`."""
    waiters = state.waiters
    if probe.exit_code and (state.stopping or waiters.removers or waiters.killers):
        return []
    verdict = state.check.verdict(number, probe, state.status)
    if verdict is None:
        return []
    before = state.status.health
    state.set(health=verdict)
    turned = before is None or before.status != verdict.status
    events = [Emit("health_status", attributes={"health": verdict.status})] if turned else []
    return [state.record(probe.ended_ns, None, *events), *state.check.begin(state.status)]


def deleted(state: ContainerState, now_ns: int, volumes: Iterable[VolumeRecord]) -> list[Instruction]:
    """See `Machine`."""
    if not state.fits("deleted", Phase.REMOVING) and (state.phase is not Phase.BROKEN or state.runs):
        return []
    state.to(Phase.GONE)
    events = [*volume_events("destroy", volumes), Emit("destroy")]
    removers = state.waiters.removers
    first, served = first_of(removers), taken(removers)
    return [state.record(now_ns, first, *events), *state.answers(served)]


def delete_failed(state: ContainerState, error: SeawayError, now_ns: int) -> list[Instruction]:
    """See `Machine`."""
    if not state.fits("delete_failed", Phase.REMOVING):
        return []
    state.to(Phase.IDLE)
    state.set(state=State.DEAD, error=error.message)
    failed = taken(state.waiters.removers)
    return [state.record(now_ns, None, Emit("status")), *state.answers(failed, error)]
