"""Recovers a former agent's containers: adopts those that run, finishes or undoes what was begun, removes the rest.

First come descriptors of all running processes, their sandboxes and their ports. Only then each container's machine
gets its input, since its reaction (perhaps a new launch) must not take what another container has.
"""

import logging
import time
from collections.abc import Iterable, Mapping

from seaway_agent.container.factory import RunnerFactory
from seaway_agent.container.hooks.shared_namespaces import needed
from seaway_agent.container.runner import ContainerRunner
from seaway_agent.core.events import not_before
from seaway_agent.core.instructions import Exit, Launched, PendingDisconnect, PendingStop
from seaway_agent.core.phases import Phase
from seaway_agent.core.restart import LOST_WITH_NODE, RAN, in_order_of_need, starts_with_node
from seaway_agent.inventory.inventory import Inventory
from seaway_agent.kernel import launcher
from seaway_agent.layout import Layout
from seaway_agent.recovery.execs import ExecRecovery
from seaway_agent.recovery.fate import Fate, fate_of
from seaway_agent.recovery.leftovers import Leftovers, RunLeftovers
from seaway_agent.recovery.network import NetworkRecovery, RunningNetwork
from seaway_agent.recovery.undo import Undo
from seaway_agent.runtime.exec_fifo import EXEC_FIFO
from seaway_agent.runtime.run import ContainerRun
from seaway_agent.runtime.run_watch import UNKNOWN_CODE
from seaway_agent.state.database import StoredContainer
from seaway_contracts.containers import State
from seaway_kit.tasks import Tasks

log = logging.getLogger(__name__)


class Recovery:
    """One pass over all containers, before the agent accepts commands.

    `pending`: the stored stops, `disconnects`: the disconnects that were begun, by container.
    """

    def __init__(
        self,
        *,
        inventory: Inventory,
        factory: RunnerFactory,
        layout: Layout,
        leftovers: Leftovers,
        network: NetworkRecovery,
        execs: ExecRecovery,
        undo: Undo,
        pending: Mapping[str, PendingStop],
        disconnects: Mapping[str, PendingDisconnect],
        tasks: Tasks,
        same_boot: bool,
    ) -> None:
        self._inventory = inventory
        self._factory = factory
        self._layout = layout
        self._leftovers = leftovers
        self._network = network
        self._execs = execs
        self._undo = undo
        self._pending = pending
        self._disconnects = dict(disconnects)
        self._tasks = tasks
        self._same_boot = same_boot

    async def run(self, stored: list[StoredContainer]) -> None:
        """Adopt, finish, undo and remove; logs the counts."""
        runners = [self._runner(item) for item in stored]
        ran = {runner for runner in runners if runner.status.state in RAN}
        for runner in runners:
            self._execs.restore(runner)
            if (begun := self._disconnects.get(runner.spec.id)) is not None:
                runner.finish_disconnect(begun, self._network.name_of(begun.network_id))
        found = {runner: self._leftovers.of(runner.spec) for runner in runners}
        fates = {runner: fate_of(runner.machine.phase, runner.status, found[runner]) for runner in runners}
        adopted = {runner: _run_of(found[runner]) for runner in runners if fates[runner].is_adopted}
        await self._network.restore(_running_network(runner, fates[runner], found[runner]) for runner in adopted)
        for runner in runners:
            await self._undo_leftovers(runner, fates[runner], found[runner])
        for runner in runners:
            self._recover(runner, fates[runner], found[runner])
        for runner, run in adopted.items():
            self._adopt(runner, found[runner], run)
            self._execs.adopt(runner)
        self._execs.sweep()
        await self._undo.sweep(known={runner.spec.id for runner in runners})
        if not self._same_boot:
            self._tasks.spawn("start-with-node", _start_with_node(runners, ran))
        if stored:
            log.info("recovered %d containers, %d of them running", len(stored), len(adopted))

    def _runner(self, stored: StoredContainer) -> ContainerRunner:
        status = stored.status
        phase = {
            State.RUNNING: Phase.RUNNING,
            State.PAUSED: Phase.PAUSED,
            State.REMOVING: Phase.REMOVING,
            State.RESTARTING: Phase.TEARING_DOWN,
        }.get(status.state, Phase.IDLE)
        if status.state is State.EXITED and stored.spec.auto_remove:
            phase = Phase.TEARING_DOWN
        runner = self._factory.make(stored.spec, status, stored.lowers, phase)
        pending = self._pending.get(stored.spec.id)
        if pending is not None and self._same_boot:
            runner.machine.restore_stop(pending)
        self._inventory.add(runner)
        return runner

    async def _undo_leftovers(self, runner: ContainerRunner, fate: Fate, found: RunLeftovers) -> None:
        if fate is Fate.UNDO:
            log.info("container %s: undoes an interrupted start", runner.spec.id[:12])
            await self._undo.run(runner.spec, found)
        elif fate is Fate.RESUME and runner.machine.phase is Phase.IDLE:
            await self._undo.hooks(runner.spec.id)

    # --- inputs for each machine: nothing waits here

    def _recover(self, runner: ContainerRunner, fate: Fate, found: RunLeftovers) -> None:
        """Bring one container's machine to the state of its run."""
        if fate is Fate.ENDED:
            self._ended(runner, found)
        elif fate.is_unrecorded:
            self._launching(runner, found)
        elif fate is not Fate.ADOPT:
            runner.do(runner.machine.resume(with_node=not self._same_boot))
        if not fate.is_adopted:
            found.close()

    def _ended(self, runner: ContainerRunner, found: RunLeftovers) -> None:
        if not self._same_boot:
            how = Exit(LOST_WITH_NODE, time.time_ns())
        elif found.ended is not None:
            how = found.ended
        else:
            log.warning("container %s has ended without an exit file", runner.spec.id[:12])
            how = Exit(UNKNOWN_CODE, time.time_ns())
        ended_ns = not_before(how.time_ns, runner.status.started_ns, time.time_ns())
        how = Exit(how.code, ended_ns, how.oom)
        runner.do(runner.machine.exited(how, with_node=not self._same_boot))
        runner.log.end()

    def _launching(self, runner: ContainerRunner, found: RunLeftovers) -> None:
        """Finish a launch that the former agent did not finish, and whose program runs or ran."""
        (self._leftovers.state(runner.spec)[1] / EXEC_FIFO).unlink(missing_ok=True)
        note, began = found.note, min(time.time_ns(), self._began_ns(runner))
        order = note.order
        runner.do(runner.machine.launching(order.run, order.starters, order.restarters))
        what = Launched(found.pid, began, note.endpoints, note.ports, note.apparmor)
        runner.do(runner.machine.launched(what))
        if found.ended is not None:
            ended_ns = not_before(found.ended.time_ns, began, time.time_ns())
            runner.do(runner.machine.exited(Exit(found.ended.code, ended_ns, found.ended.oom)))
            runner.log.end()

    def _adopt(self, runner: ContainerRunner, found: RunLeftovers, run: ContainerRun) -> None:
        if found.conmon_fd >= 0 and found.conmon is not None:
            launcher.unmount_in_namespace_of(found.conmon.pid, str(self._layout.bundles))
        runner.adopt(run)

    def _began_ns(self, runner: ContainerRunner) -> int:
        """About when the interrupted launch started the program: conmon's pid file is a little older. Nanoseconds."""
        try:
            return (self._layout.bundle(runner.spec.id) / "pidfile").stat().st_mtime_ns
        except OSError:
            return time.time_ns()


async def _start_with_node(runners: Iterable[ContainerRunner], ran: set[ContainerRunner]) -> None:
    """Apply restart policies after a reboot. A container starts after those whose namespaces it shares."""
    chosen = {
        runner.spec.id: runner
        for runner in runners
        if starts_with_node(runner.spec.restart, runner in ran, runner.status.manually_stopped)
    }
    for ids in in_order_of_need({container: needed(runner.spec) for container, runner in chosen.items()}):
        for container in ids:
            await chosen[container].at_rest()
            if chosen[container].machine.phase is Phase.IDLE:  # no command has started it meanwhile
                chosen[container].do(chosen[container].machine.start_again())
        for container in ids:
            await chosen[container].at_rest()


def _run_of(found: RunLeftovers) -> ContainerRun:
    """The adopted run, which owns the descriptors from now on."""
    return ContainerRun(found.pid, found.pidfd, found.conmon_fd, child=False)


def _running_network(runner: ContainerRunner, fate: Fate, found: RunLeftovers) -> RunningNetwork:
    given = found.note if fate.is_unrecorded else runner.status
    pid = found.pid if found.pidfd >= 0 else 0
    return RunningNetwork(runner.spec, pid, given.endpoints, given.ports)
