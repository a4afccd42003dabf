"""What users ask of a container: each function takes a command and gives what to do for it. Pure."""

import signal as signals
from collections.abc import Iterable
from dataclasses import replace

from seaway_agent.core.events import killed, volume_events
from seaway_agent.core.health import suspended
from seaway_agent.core.instructions import Emit, Instruction, SendSignal, SetTimer, TearDown, Thaw, Waiter
from seaway_agent.core.phases import AfterTeardown, Phase
from seaway_agent.core.state import ContainerState
from seaway_agent.core.stops import begin_stop, kill_now, stop_signal, thaw
from seaway_agent.core.transitions import delete, launch_soon
from seaway_agent.core.update import refusal, updated
from seaway_contracts.containers import Resources, RestartPolicy, State
from seaway_contracts.docker_errors import (
    cannot_kill,
    cannot_remove,
    container_already_paused,
    container_not_paused,
    container_not_running,
    container_restarting,
    no_such_container,
    start_of_paused_container,
    start_of_removed_container,
)
from seaway_contracts.errors import SeawayError, conflict, not_modified
from seaway_contracts.networks import NetworkRecord
from seaway_contracts.volumes import VolumeRecord


def create(
    state: ContainerState,
    waiter: Waiter,
    now_ns: int,
    volumes: Iterable[VolumeRecord],
    networks: Iterable[NetworkRecord],
) -> list[Instruction]:
    """See `Machine`."""
    events = [*volume_events("create", volumes), Emit("create", changes_spec=True)]
    return [replace(state.record(now_ns, waiter, *events), networks=tuple(networks)), state.done(waiter)]


def start(state: ContainerState, waiter: Waiter) -> list[Instruction]:
    """See `Machine`."""
    if state.phase is Phase.PAUSED:
        return [state.refused(waiter, start_of_paused_container())]
    if state.phase is Phase.RUNNING:
        return [state.refused(waiter, not_modified())]
    if (error := _why_no_run(state)) is not None:
        return [state.refused(waiter, error)]
    state.waiters.starters.append(waiter)
    return launch_soon(state)


def stop(
    state: ContainerState, waiter: Waiter, timeout_s: int | None, signal: int | None, now_ns: int
) -> list[Instruction]:
    """See `Machine`."""
    if state.waits_to_restart:
        return _stop_restarting(state, waiter, now_ns, "stop")
    if state.runs and (error := state.why_broken()) is not None:
        return [state.refused(waiter, error)]
    comes = state.phase is Phase.LAUNCHING or state.after_teardown is not AfterTeardown.REST
    if not (state.live or comes):
        return [state.refused(waiter, not_modified())]
    state.waiters.stoppers.append(waiter)
    return begin_stop(state, waiter, timeout_s, signal, now_ns)


def restart(
    state: ContainerState, waiter: Waiter, timeout_s: int | None, signal: int | None, now_ns: int
) -> list[Instruction]:
    """See `Machine`."""
    if (error := _why_no_run(state)) is not None:
        return [state.refused(waiter, error)]
    state.waiters.restarters.append(waiter)
    if state.live:
        return begin_stop(state, waiter, timeout_s, signal, now_ns)
    state.stop_plan = None
    return launch_soon(state)


def kill(state: ContainerState, waiter: Waiter, signal: int, now_ns: int) -> list[Instruction]:
    """See `Machine`."""
    if state.waits_to_restart:
        return _stop_restarting(state, waiter, now_ns, "status")
    if state.runs and (error := state.why_broken()) is not None:
        return [state.refused(waiter, error)]
    if not state.live:
        return [state.refused(waiter, cannot_kill(state.spec.id, container_not_running(state.spec.id)))]
    thawed: list[Instruction] = []
    if signal in (signals.SIGKILL, stop_signal(state)):
        state.set(manually_stopped=True)
        thawed = thaw(state)
    if signal == signals.SIGKILL:
        state.waiters.killers.append(waiter)
    done: list[Instruction] = [state.record(now_ns, waiter, killed(signal)), SendSignal(signal), *thawed]
    return done if signal == signals.SIGKILL else [*done, state.done(waiter)]


def pause(state: ContainerState, waiter: Waiter, now_ns: int, for_commit: bool) -> list[Instruction]:
    """See `Machine`."""
    if (error := why_no_pause(state)) is not None:
        frozen = state.status.state is State.RUNNING
        return [*([Thaw()] if frozen else []), state.refused(waiter, error)]
    state.to(Phase.PAUSED)
    state.set(state=State.PAUSED, paused_by_commit=for_commit, health=suspended(state.status.health))
    return [*state.check.end(), state.record(now_ns, waiter, Emit("pause")), state.done(waiter)]


def why_no_pause(state: ContainerState) -> SeawayError | None:
    """See `Machine`."""
    container = state.spec.id
    if state.phase is Phase.PAUSED:
        return container_already_paused(container)
    if state.stopping or state.waiters.removers:
        return conflict(f"container {container} is being stopped")
    if state.status.state is State.RESTARTING:
        return container_restarting(container)
    if state.runs and (error := state.why_broken()) is not None:
        return error
    return None if state.phase is Phase.RUNNING else container_not_running(container)


def unpause(state: ContainerState, waiter: Waiter, now_ns: int) -> list[Instruction]:
    """See `Machine`."""
    if state.runs and (error := state.why_broken()) is not None:
        return [state.refused(waiter, error)]
    if state.phase is not Phase.PAUSED:
        return [state.refused(waiter, container_not_paused(state.spec.id))]
    thawed = thaw(state)
    done: list[Instruction] = [state.record(now_ns, waiter, Emit("unpause")), *thawed, state.done(waiter)]
    return done + state.check.begin(state.status)


def rename(state: ContainerState, waiter: Waiter, name: str, now_ns: int) -> list[Instruction]:
    """See `Machine`."""
    if state.doomed:
        return [state.refused(waiter, conflict(f"container {state.spec.id} is marked for removal"))]
    if name == state.spec.name:
        return [state.done(waiter)]
    old, state.spec = state.spec.name, state.spec.model_copy(update={"name": name})
    event = Emit("rename", attributes={"oldName": f"/{old}"}, changes_spec=True)
    return [state.record(now_ns, waiter, event), state.done(waiter)]


def update(
    state: ContainerState, waiter: Waiter, limits: Resources, policy: RestartPolicy | None, now_ns: int
) -> list[Instruction]:
    """See `Machine`."""
    if state.doomed:
        text = 'container is marked for removal and cannot be "update"'
        return [state.refused(waiter, refusal(state.spec.id, text))]
    state.spec = updated(state.spec, limits, policy)
    return [state.record(now_ns, waiter, Emit("update", changes_spec=True)), state.done(waiter)]


def remove(state: ContainerState, waiter: Waiter, force: bool, volumes: bool, now_ns: int) -> list[Instruction]:
    """See `Machine`."""
    if state.phase is Phase.GONE:
        return [state.refused(waiter, no_such_container(state.spec.id))]
    if _needs_force(state) and not force:
        return [state.refused(waiter, cannot_remove(state.spec.name, _state_to_remove(state)))]
    state.waiters.removers.append(waiter)
    state.removes_volumes = state.removes_volumes or volumes
    if state.live:
        state.set(manually_stopped=True)
        return kill_now(state, waiter, now_ns)
    if state.phase is Phase.BACKING_OFF:
        return [SetTimer("restart", None), *delete(state)]
    if state.phase is Phase.BROKEN:
        return _remove_broken(state, waiter, now_ns)
    return delete(state) if state.phase is Phase.IDLE else []


def _remove_broken(state: ContainerState, waiter: Waiter, now_ns: int) -> list[Instruction]:
    """Nobody knows what there is of it, so all is torn down. Its end may not be reported: don't wait for it."""
    state.to(Phase.TEARING_DOWN)
    if not state.runs:
        return [TearDown()]
    state.set(manually_stopped=True)
    return [state.record(now_ns, waiter, killed(signals.SIGKILL)), SendSignal(signals.SIGKILL), Thaw(), TearDown()]


def _needs_force(state: ContainerState) -> bool:
    comes_back = state.phase is Phase.BACKING_OFF or state.after_teardown is not AfterTeardown.REST
    return comes_back or state.live or state.phase is Phase.LAUNCHING or (state.phase is Phase.BROKEN and state.runs)


def _state_to_remove(state: ContainerState) -> str:
    """What the refusal to remove it calls its state."""
    states = {Phase.BACKING_OFF: "restarting", Phase.TEARING_DOWN: "restarting", Phase.PAUSED: "paused"}
    return states.get(state.phase, "running")


def _stop_restarting(state: ContainerState, waiter: Waiter, now_ns: int, action: str) -> list[Instruction]:
    """It has ended and was to be started again."""
    state.after_teardown = AfterTeardown.REST
    if state.phase is Phase.BACKING_OFF:
        state.to(Phase.IDLE)
    state.set(state=State.EXITED, manually_stopped=True)
    return [SetTimer("restart", None), state.record(now_ns, waiter, Emit(action)), state.done(waiter)]


def _why_no_run(state: ContainerState) -> SeawayError | None:
    return start_of_removed_container() if state.doomed else state.why_broken()
