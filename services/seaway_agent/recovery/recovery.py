"""Takes up what an agent before this one left: adopts what runs, finishes or undoes what was begun, sweeps the rest.

First everything that goes on is held: processes by descriptors, sandboxes and ports by the network. Only then is any
container told what became of it, as what it does then (it may be launched again) must not take what another one has.
"""

import logging
import time

from seaway_agent import endpoints
from seaway_agent.container.runner import ContainerRunner
from seaway_agent.core.instructions import Exit, Launched
from seaway_agent.core.restart import LOST_WITH_NODE, RAN, in_order_of_need, starts_with_node
from seaway_agent.core.steps import Phase
from seaway_agent.core.words import not_before
from seaway_agent.endpoints import Connection
from seaway_agent.inventory.inventory import Inventory
from seaway_agent.joining import needed
from seaway_agent.kernel import launcher, procs
from seaway_agent.network.errors import SandboxGone
from seaway_agent.network.publisher import Published
from seaway_agent.network.sandbox import Sandbox
from seaway_agent.plumbing import Plumbing
from seaway_agent.recovery.execs import ExecRecovery
from seaway_agent.recovery.leftovers import Leftovers, RunLeftovers
from seaway_agent.runtime.gates import GATE
from seaway_agent.runtime.run import ContainerRun
from seaway_agent.runtime.run_watch import UNKNOWN_CODE
from seaway_agent.runtime.shims import end_with_children
from seaway_agent.runtime.teardown import take_down
from seaway_agent.state.database import Stored
from seaway_contracts.containers import Endpoint, State
from seaway_contracts.ids import is_container_id

log = logging.getLogger(__name__)


class Recovery:
    """One pass over everything, before the agent takes commands."""

    def __init__(self, inventory: Inventory, same_boot: bool) -> None:
        self._inventory = inventory
        self._plumbing: Plumbing = inventory.plumbing
        self._same_boot = same_boot
        self._leftovers = Leftovers(inventory.plumbing, same_boot)

    async def run(self, stored: list[Stored]) -> None:
        """Adopt, finish, undo, sweep."""
        runners = [self._runner(item) for item in stored]
        self._plumbing.volumes.start([runner.spec for runner in runners])
        ran = {runner for runner in runners if runner.status.state in RAN}
        execs = ExecRecovery(self._plumbing, self._same_boot)
        for runner in runners:
            execs.settle(runner)
        found = {runner: self._leftovers.of(runner) for runner in runners}
        held = {
            runner: await self._hold(runner, found[runner]) for runner in runners if self._lives(runner, found[runner])
        }
        await self._restore_network(held)
        for runner in runners:
            self._take_up(runner, found[runner], held.get(runner))
        for runner, run in held.items():
            self._adopt(runner, found[runner], run)
            execs.adopt(runner)
        execs.sweep()
        self._sweep(known={runner.spec.id for runner in runners})
        if not self._same_boot:
            self._plumbing.tasks.spawn("start-with-node", self._start_with_node(runners, ran))
        if stored:
            log.info("took up %d containers, %d of them running", len(stored), len(held))

    def _runner(self, stored: Stored) -> ContainerRunner:
        status = stored.status
        phase = {
            State.RUNNING: Phase.RUNNING,
            State.PAUSED: Phase.PAUSED,
            State.REMOVING: Phase.REMOVING,
            State.RESTARTING: Phase.TEARING_DOWN,
        }.get(status.state, Phase.IDLE)
        if status.state is State.EXITED and stored.spec.auto_remove:
            phase = Phase.TEARING_DOWN
        runner = ContainerRunner(self._plumbing, stored.spec, status, stored.lowers, self._inventory.forget, phase)
        ending = self._plumbing.journal.endings.get(stored.spec.id)
        if ending is not None and self._same_boot:
            runner.machine.ending(ending)
        self._inventory.add(runner)
        return runner

    # --- holding what goes on

    def _lives(self, runner: ContainerRunner, found: RunLeftovers) -> bool:
        """Whether the container's run goes on under this agent."""
        runs = runner.machine.phase in (Phase.RUNNING, Phase.PAUSED)
        return found.goes_on and (runs or (_is_new(runner, found) and found.started))

    async def _hold(self, runner: ContainerRunner, found: RunLeftovers) -> ContainerRun:
        """All that the run has. The descriptors are the run's from now on."""
        status, new = runner.status, _is_new(runner, found)
        held = found.endpoints if new else status.endpoints
        ports = found.ports if new else status.ports
        run = ContainerRun(Connection(held, None, ports), found.pid, found.pidfd, found.conmon_fd, child=False)
        if not runner.spec.network.sandbox and found.pidfd >= 0:
            run.connection.sandbox = await self._sandbox(found.pid, held)
        return run

    async def _sandbox(self, pid: int, held: tuple[Endpoint, ...]) -> Sandbox | None:
        try:
            return await self._plumbing.network.adopt(pid, endpoints.bridge_address(held))
        except SandboxGone:  # its end is told in a moment
            return None

    async def _restore_network(self, live: dict[ContainerRunner, ContainerRun]) -> None:
        network = self._plumbing.network
        published = {}
        for runner, run in live.items():
            address = endpoints.bridge_address(run.connection.endpoints)
            if run.connection.ports and address is not None:
                bindings = tuple(map(endpoints.host_binding, run.connection.ports))
                published[runner.spec.id] = Published(address, bindings)
        for warning in await network.restore(published):
            log.warning("%s", warning)
        for veth in await network.sweep():
            log.info("removed %s, which belongs to no container", veth)
        network.fill()

    # --- telling each container what became of it: nothing waits here

    def _take_up(self, runner: ContainerRunner, found: RunLeftovers, run: ContainerRun | None) -> None:
        """Bring one container to a state that is true."""
        if runner.machine.phase in (Phase.RUNNING, Phase.PAUSED):
            if run is None:
                self._ended(runner, found)
        elif _is_new(runner, found):
            self._launching(runner, found, run)
        else:
            if found.there and runner.machine.phase is Phase.IDLE:
                self._undo(runner, found)
            runner.do(runner.machine.resume(with_node=not self._same_boot))
        if run is None:
            found.close()

    def _ended(self, runner: ContainerRunner, found: RunLeftovers) -> None:
        if not self._same_boot:
            how = Exit(LOST_WITH_NODE, time.time_ns())
        elif found.ended is not None:
            how = found.ended
        else:
            log.warning("container %s ended, and nobody wrote down how", runner.spec.id[:12])
            how = Exit(UNKNOWN_CODE, time.time_ns())
        ended_ns = not_before(how.time_ns, runner.status.started_ns, time.time_ns())
        how = Exit(how.code, ended_ns, how.oom)
        runner.do(runner.machine.exited(how, with_node=not self._same_boot))
        runner.log.end()

    def _launching(self, runner: ContainerRunner, found: RunLeftovers, run: ContainerRun | None) -> None:
        """A launch that the last agent did not live to finish: finish it if the program runs or ran, else undo it."""
        ended = found.ended if found.started else None
        if run is None and ended is None:
            log.info("container %s: undoes a start that was interrupted", runner.spec.id[:12])
            self._undo(runner, found)
            runner.do(runner.machine.resume())
            return
        (self._leftovers.state(runner)[1] / GATE).unlink(missing_ok=True)
        began = min(time.time_ns(), _began_ns(self._plumbing, runner))
        runner.machine.launching(found.run, found.asked("starters"), found.asked("restarters"))
        what = Launched(found.pid, began, found.endpoints, found.ports, found.apparmor)
        runner.do(runner.machine.launched(what))
        if ended is not None:
            ended_ns = not_before(ended.time_ns, began, time.time_ns())
            runner.do(runner.machine.exited(Exit(ended.code, ended_ns, ended.oom)))
            runner.log.end()

    def _adopt(self, runner: ContainerRunner, found: RunLeftovers, run: ContainerRun) -> None:
        if found.conmon_fd >= 0 and found.conmon is not None:
            launcher.unmount_in_namespace_of(found.conmon.pid, str(self._plumbing.layout.bundles))
        runner.adopt(run)

    def _undo(self, runner: ContainerRunner, found: RunLeftovers) -> None:
        """Leave nothing of a run that is over, or whose program has not begun: as if it had never been asked for."""
        end_with_children(found.conmon)
        if found.pidfd >= 0:
            end_with_children(procs.find(found.pid))
        self._take_down(runner.spec.id, self._plumbing.cgroups_path(runner.spec), self._leftovers.state(runner)[0])

    def _take_down(self, container: str, place: str, *runtimes: str) -> None:
        try:
            take_down(self._plumbing, place, container, *runtimes)
        except OSError as error:
            log.error("container %s: something of its run is left: %s", container[:12], error)

    def _sweep(self, known: set[str]) -> None:
        """Remove what belongs to no container: bundles, shims, runtimes' state, cgroups, exit files."""
        node = self._plumbing
        for container in sorted(self._leftovers.containers() - known):
            if is_container_id(container):
                end_with_children(self._leftovers.shims.get(container))
                log.info("removed what was left of container %s", container[:12])
                self._take_down(container, self._leftovers.place(container), *node.runtimes)
        node.uppers.start(known)

    async def _start_with_node(self, runners: list[ContainerRunner], ran: set[ContainerRunner]) -> None:
        """After a reboot: restart policies. Who needs another one is started when that one runs."""
        chosen = {
            runner.spec.id: runner
            for runner in runners
            if starts_with_node(runner.spec.restart, runner in ran, runner.status.manually_stopped)
        }
        for ids in in_order_of_need({container: needed(runner.spec) for container, runner in chosen.items()}):
            for container in ids:
                await chosen[container].at_rest()
                if chosen[container].machine.phase is Phase.IDLE:  # nobody was quicker
                    chosen[container].do(chosen[container].machine.start_again())
            for container in ids:
                await chosen[container].at_rest()


def _is_new(runner: ContainerRunner, found: RunLeftovers) -> bool:
    """Whether the run is one that the last agent did not live to write down."""
    launches = runner.machine.phase in (Phase.IDLE, Phase.TEARING_DOWN)
    return launches and found.run > runner.status.run


def _began_ns(node: Plumbing, runner: ContainerRunner) -> int:
    """About when the interrupted launch let the program run: conmon's pid file is a little older."""
    try:
        return (node.layout.bundle(runner.spec.id) / "pidfile").stat().st_mtime_ns
    except OSError:
        return time.time_ns()
