"""How an agent takes over a container from the one before it. Pure."""

from collections.abc import Iterable
from dataclasses import replace

from seaway_agent.core.instructions import Delete, Emit, Exit, Instruction, PendingStop, Record, TearDown, Thaw, Waiter
from seaway_agent.core.lifecycle import end_run
from seaway_agent.core.phases import AfterTeardown, Phase
from seaway_agent.core.restart import LOST_WITH_NODE
from seaway_agent.core.state import ContainerState
from seaway_agent.core.stops import continue_stop, thaw
from seaway_agent.core.transitions import give_way_to_removal, launch
from seaway_contracts.containers import State
from seaway_contracts.networks import NetworkRecord


def restore_stop(state: ContainerState, what: PendingStop) -> None:
    """See `Machine`."""
    if what.run != state.status.run:
        return
    state.waiters.stoppers += what.stoppers
    state.waiters.killers += what.killers
    state.waiters.restarters += what.restarters
    state.waiters.removers += what.removers
    state.removes_volumes = what.volumes
    state.stop_plan, state.stopping, state.stopping_since_ns = what.stop, what.stop is not None, what.since_ns


def launching(
    state: ContainerState, run: int, starters: Iterable[Waiter], restarters: Iterable[Waiter]
) -> list[Instruction]:
    """See `Machine`."""
    state.to(Phase.LAUNCHING)
    recorded = state.status.run == run  # a record that was written during the launch has its restart count
    state.set(run=run)
    waiters = state.waiters
    waiters.starters += starters
    known = waiters.all()
    waiters.restarters += [waiter for waiter in restarters if waiter not in known]
    if recorded:
        return []
    if waiters.starters or waiters.restarters:
        state.set(restart_count=0)
    elif state.status.state is State.RESTARTING:
        state.set(restart_count=state.status.restart_count + 1)
    return []


def resume(state: ContainerState, *, with_node: bool) -> list[Instruction]:
    """See `Machine`."""
    if state.phase is Phase.TEARING_DOWN:
        if state.waiters.restarters:
            state.after_teardown = AfterTeardown.LAUNCH
        elif state.status.state is State.RESTARTING and not with_node:
            state.after_teardown = AfterTeardown.BACK_OFF
        return [TearDown()]
    if state.phase is Phase.REMOVING:
        return [Delete(state.status.removes_volumes)]
    if state.phase is not Phase.IDLE:
        return []
    if state.waiters.removers:
        return give_way_to_removal(state)
    return launch(state) if state.waiters.restarters else []


def adopted(state: ContainerState, now_ns: int, ran_ns: int) -> list[Instruction]:
    """See `Machine`."""
    if not state.live:
        return []
    period = state.check.start_period(ran_ns)
    if state.phase is Phase.RUNNING:
        return [Thaw(), *period, *state.check.begin(state.status), *continue_stop(state, now_ns)]
    if not state.status.paused_by_commit:
        return period
    thawed = thaw(state)
    unpaused = state.record(now_ns, None, Emit("unpause"))
    return [unpaused, *thawed, *period, *state.check.begin(state.status)]


def restored(
    state: ContainerState, waiter: Waiter, now_ns: int, networks: Iterable[NetworkRecord]
) -> list[Instruction]:
    """See `Machine`."""
    if state.runs:
        done = end_run(state, Exit(LOST_WITH_NODE, now_ns), with_node=True)
    else:
        state.set(state=State.EXITED if state.status.state is State.RESTARTING else state.status.state)
        done = [state.record(now_ns, waiter, Emit("status"))]
    held = tuple(networks)
    stored = [replace(what, new=True, networks=held) if isinstance(what, Record) else what for what in done]
    return [*stored, state.done(waiter)]


def start_again(state: ContainerState) -> list[Instruction]:
    """See `Machine`."""
    return launch(state) if state.phase is Phase.IDLE and not state.doomed else []
