"""What the machine begins by itself when a phase ends: a launch, a wait, a removal; and what it does in a broken one.

Pure.
"""

from collections.abc import Iterable

from seaway_agent.core.instructions import Delete, Emit, Instruction, Launch, LogError, SetTimer, Waiter
from seaway_agent.core.phases import AfterTeardown, Phase
from seaway_agent.core.restart import Backoff
from seaway_agent.core.state import ContainerState, taken
from seaway_contracts.containers import State
from seaway_contracts.docker_errors import start_of_removed_container
from seaway_contracts.errors import internal


def launch(state: ContainerState) -> list[Instruction]:
    """Begin the next run."""
    waiters = state.waiters
    state.to(Phase.LAUNCHING)
    state.set(run=state.status.run + 1)
    if waiters.starters or waiters.restarters:
        state.set(restart_count=0)
        state.backoff = Backoff()
    return [SetTimer("restart", None), Launch(state.status.run, tuple(waiters.starters), tuple(waiters.restarters))]


def launch_soon(state: ContainerState) -> list[Instruction]:
    """Have a run, for who has just been added to the waiters: the one that is being launched, or the next."""
    if state.phase is Phase.LAUNCHING:
        return []
    if state.phase is Phase.TEARING_DOWN:
        state.after_teardown = AfterTeardown.LAUNCH
        return []
    return launch(state)


def back_off(state: ContainerState) -> list[Instruction]:
    """Wait before the restart policy's next run."""
    state.to(Phase.BACKING_OFF)
    if not state.backoff.last_ns:
        state.backoff = state.backoff.next(0)
    return [SetTimer("restart", state.backoff.last_ns)]


def delete(state: ContainerState) -> list[Instruction]:
    """Delete it. The status is stored first: what an agent's death leaves half deleted must never be started."""
    state.to(Phase.REMOVING)
    state.set(state=State.REMOVING, removes_volumes=state.removes_volumes or state.spec.auto_remove)
    return [state.record(0, None), Delete(state.status.removes_volumes)]


def give_way_to_removal(state: ContainerState) -> list[Instruction]:
    """Delete it, and refuse those who wait for a run."""
    waiters = state.waiters
    done = state.answers(taken(waiters.starters, waiters.restarters), start_of_removed_container())
    return done + state.answers(taken(waiters.stoppers)) + delete(state)


def break_off(state: ContainerState, what: str, waiters: Iterable[Waiter]) -> list[Instruction]:
    """`what` does not fit the phase, so nobody knows what there is of the container: only a removal is let through.

    These waiters and all others get the error. A process that runs is left running, and its end is recorded.
    """
    container, was, story = state.spec.id[:12], state.phase, ", ".join(state.history) or "no steps yet"
    error = internal(f"the agent lost track of container {container} ({was} at {what!r}): remove it by force")
    failed = dict.fromkeys([*waiters, *state.waiters.take_all()])
    done: list[Instruction] = [LogError(f"container {container} is {was} at {what!r}; it went: {story}")]
    state.broken = True
    if was is not Phase.GONE:
        done += [SetTimer("stop", None), SetTimer("restart", None), *state.check.over()]
        if was is not Phase.BROKEN:
            state.to(Phase.BROKEN)
        state.stopping, state.stop_plan, state.after_teardown = False, None, AfterTeardown.REST
        states = {State.RESTARTING: State.EXITED, State.REMOVING: State.DEAD}
        state.set(state=states.get(state.status.state, state.status.state), error=error.message)
        done.append(state.record(0, None, Emit("status")))
    return done + state.answers(failed, error)
