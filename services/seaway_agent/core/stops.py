"""Stops: the signals that end a run, and the time between them. Pure."""

import signal as signals
from typing import Final

from seaway_agent.core.events import killed
from seaway_agent.core.instructions import Emit, Instruction, SendSignal, SetTimer, Thaw, Waiter
from seaway_agent.core.phases import Phase
from seaway_agent.core.state import ContainerState
from seaway_contracts.containers import DEFAULT_STOP_S, State
from seaway_docker.errors import InvalidParameter
from seaway_docker.signals import parse_signal

SECOND_NS: Final = 1_000_000_000


def begin_stop(
    state: ContainerState, waiter: Waiter, timeout_s: int | None, signal: int | None, now_ns: int
) -> list[Instruction]:
    """Plan the stop of a run, and begin it where the run is there. A second stop counts only if it is less patient."""
    own = state.spec.command.stop_timeout
    wait_s = timeout_s if timeout_s is not None else own if own is not None else DEFAULT_STOP_S
    if state.stopping and state.stop_plan is not None and not _sooner(wait_s, state.stop_plan[1]):
        return []
    state.stop_plan = (signal or stop_signal(state), wait_s)
    return signal_stop(state, waiter, now_ns) if state.live else []


def signal_stop(state: ContainerState, waiter: Waiter | None, now_ns: int) -> list[Instruction]:
    """Send the planned signal, and SIGKILL after the planned time."""
    assert state.stop_plan is not None
    (signal, wait_s), overtakes, state.stopping = state.stop_plan, state.stopping, True
    state.stopping_since_ns = now_ns
    state.set(manually_stopped=not state.waiters.restarters)
    thawed = thaw(state)
    done: list[Instruction] = [state.record(now_ns, waiter, killed(signal)), SendSignal(signal), *thawed]
    if wait_s == 0:
        done += kill_now(state, waiter, now_ns)
    if thawed:
        done.append(state.record(now_ns, waiter, Emit("unpause")))
    if wait_s > 0:
        return [*done, SetTimer("stop", wait_s * SECOND_NS)]
    return [*done, SetTimer("stop", None)] if overtakes else done


def kill_now(state: ContainerState, waiter: Waiter | None, now_ns: int) -> list[Instruction]:
    """Send SIGKILL."""
    thawed = thaw(state)
    if state.stopping:
        state.stop_plan = signals.SIGKILL, 0
    return [state.record(now_ns, waiter, killed(signals.SIGKILL)), SendSignal(signals.SIGKILL), *thawed]


def thaw(state: ContainerState) -> list[Instruction]:
    """Thaw a paused container: a frozen process takes no signal."""
    if state.phase is not Phase.PAUSED:
        return []
    state.to(Phase.RUNNING)
    state.set(state=State.RUNNING, paused_by_commit=False)
    return [Thaw()]


def continue_stop(state: ContainerState, now_ns: int) -> list[Instruction]:
    """Send the signal again, which an earlier agent recorded and may not have sent."""
    if state.waiters.killers or state.waiters.removers:
        return [SendSignal(signals.SIGKILL)]
    if state.stop_plan is None:
        return []
    signal, wait_s = state.stop_plan
    left_ns = wait_s * SECOND_NS - max(0, now_ns - state.stopping_since_ns)
    last = wait_s < 0 or signal == signals.SIGKILL
    return [SendSignal(signal), *([] if last else [SetTimer("stop", max(1, left_ns))])]


def stop_signal(state: ContainerState) -> int:
    """The container's own; SIGTERM where an image names a signal that isn't one, as Docker has it."""
    try:
        return parse_signal(state.spec.command.stop_signal or "SIGTERM")
    except InvalidParameter:
        return signals.SIGTERM


def _sooner(wait_s: int, planned_s: int) -> bool:
    """Whether a stop would end earlier than planned; a negative wait has no end."""
    return wait_s >= 0 and (planned_s < 0 or wait_s < planned_s)
