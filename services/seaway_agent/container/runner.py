"""One container on its node: the shell that carries out what its state machine decides."""

import asyncio
import errno
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial

from seaway_agent.archive.gate import RootfsGate
from seaway_agent.container import measures
from seaway_agent.container.answers import Answers
from seaway_agent.container.health import probe
from seaway_agent.container.hook import FORESEEN, RunHooks
from seaway_agent.container.hooks.ports import ports_without
from seaway_agent.container.launching import Launching
from seaway_agent.container.live_network import Changed, LiveNetwork
from seaway_agent.container.timers import Later, Timers
from seaway_agent.core.events import not_before
from seaway_agent.core.instructions import (
    Answer,
    Delete,
    Exit,
    Instruction,
    Launch,
    LogError,
    PendingDisconnect,
    Record,
    RunProbe,
    SendSignal,
    SetTimer,
    StopProbe,
    TearDown,
    Thaw,
    Waiter,
    WriteFiles,
    answers_of_records,
)
from seaway_agent.core.machine import Machine
from seaway_agent.core.phases import Phase
from seaway_agent.core.restart import LONGEST_NS
from seaway_agent.core.update import updated
from seaway_agent.execs.execs import Execs
from seaway_agent.execs.starter import ExecStarter
from seaway_agent.kernel import procs
from seaway_agent.rootfs.upper import UpperStore
from seaway_agent.runtime.failures import exit_code_for
from seaway_agent.runtime.port import Runtime
from seaway_agent.runtime.run import ContainerRun
from seaway_agent.state.journal import Journal
from seaway_agent.streams.console import Console
from seaway_agent.streams.container_log import ContainerLog
from seaway_agent.streams.spill import SpillStore
from seaway_agent.volumes.volumes import Volumes
from seaway_bus.bus import Command
from seaway_contracts.containers import (
    ContainerSpec,
    ContainerStatus,
    EndpointSpec,
    PublishedPort,
    Resources,
    RestartPolicy,
)
from seaway_contracts.errors import SeawayError, internal, reason_of
from seaway_contracts.networks import NetworkRecord
from seaway_kit.failpoints import Failpoint, reach
from seaway_kit.tasks import Tasks

log = logging.getLogger(__name__)


class ContainerRunner:
    """A container. `gone` is called when nothing of it is left; `later` stands in for the event loop's clock."""

    def __init__(
        self,
        machine: Machine,
        lowers: tuple[str, ...],
        *,
        runtime: Runtime,
        hooks: RunHooks,
        network: LiveNetwork,
        journal: Journal,
        uppers: UpperStore,
        volumes: Volumes,
        log: ContainerLog,
        exec_starter: ExecStarter,
        spill: SpillStore,
        tasks: Tasks,
        gone: Callable[["ContainerRunner"], None],
        later: Later | None = None,
    ) -> None:
        self.machine = machine
        self.lowers = lowers
        self.log = log
        self.gate = RootfsGate()
        self.execs = Execs(self, exec_starter, spill, tasks, journal.sent)
        self.console = _console(machine.spec, spill, tasks)
        self._runtime = runtime
        self._launching = Launching(runtime, hooks, self.console, log)
        self._network = network
        self._journal = journal
        self._uppers = uppers
        self._volumes = volumes
        self._tasks = tasks
        self._gone = gone
        self._answers = Answers(partial(journal.sent, machine.spec.id))
        self._timers = Timers(self._timer, later)
        self._probe: asyncio.Task[None] | None = None
        self._work: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._began_ns = 0
        self._updating = asyncio.Lock()

    @property
    def spec(self) -> ContainerSpec:
        """What was asked for."""
        return self.machine.spec

    @property
    def status(self) -> ContainerStatus:
        """What is."""
        return self.machine.status

    @property
    def process(self) -> tuple[int, int] | None:
        """Number and pidfd of the first process, while it runs."""
        run = self._runtime.run if self.status.pid else None
        return (run.pid, run.pidfd) if run is not None and run.pidfd >= 0 else None

    # --- commands

    async def submit(self, command: Command, decide: Callable[[Waiter], list[Instruction]]) -> ContainerStatus:
        """Put a command to the machine and wait for its outcome; a repeat of it waits for the same one.

        One that comes when the first process has ended finds it ended: a client whose stream has ended knows of it.
        """
        if self._ending is not None and not self._ending.done():
            await asyncio.wait({self._ending})

        def begin(waiter: Waiter) -> None:
            if not self.machine.knows(waiter):
                self.do(decide(waiter))

        return await self._answers.of(command, begin)

    async def pause(self, command: Command, *, for_commit: bool = False) -> ContainerStatus:
        """Freeze it, if it runs; `for_commit`: the next agent thaws it."""
        refusal = self.machine.why_no_pause()
        if refusal is None:
            try:
                await self._runtime.freeze()
            except OSError as error:
                raise internal(f"container {self.spec.name} can't be paused: {error}") from error
            reach(Failpoint.PAUSE_FROZEN)
        return await self.submit(
            command, lambda waiter: self.machine.pause(waiter, time.time_ns(), for_commit=for_commit)
        )

    async def rename(self, command: Command, name: str) -> ContainerStatus:
        """Take a name that is reserved already."""
        status = await self.submit(command, lambda waiter: self.machine.rename(waiter, name, time.time_ns()))
        async with self._updating:
            await self._network.rename(self.spec, self.status)
        return status

    async def update(self, command: Command, limits: Resources, restart: RestartPolicy | None) -> ContainerStatus:
        """Change limits and policy, of a running container at once. Raises SeawayError with nothing changed."""
        async with self._updating:
            after = updated(self.spec, limits, restart)
            if after.resources != self.spec.resources and self.machine.phase in (Phase.RUNNING, Phase.PAUSED):
                await self._limit(limits)
                reach(Failpoint.UPDATE_LIMITED)
            return await self.submit(
                command, lambda waiter: self.machine.update(waiter, limits, restart, time.time_ns())
            )

    async def connect(self, command: Command, asked: EndpointSpec, network: NetworkRecord) -> ContainerStatus:
        """Connect it to a network, a running container at once. Raises SeawayError with nothing changed."""
        async with self._updating:
            if (done := self._journal.outcome(command.id)) is not None:
                return done
            made = await self._plug(asked, network) if self._may_plug(network) else Changed(self.status.ports)
            if made.endpoint is not None and not self._may_plug(network):
                await self._network.give_up(self.spec, self.status, network.id)
                made = Changed(self.status.ports)
            return await self.submit(
                command,
                lambda waiter: self.machine.connect(waiter, asked, network, made.endpoint, made.ports, time.time_ns()),
            )

    def _may_plug(self, network: NetworkRecord) -> bool:
        return self.machine.live and self.machine.why_no_connect(network) is None

    async def _plug(self, asked: EndpointSpec, network: NetworkRecord) -> Changed:
        try:
            return await self._network.connect(self.spec, self.status, asked, network)
        except SeawayError:
            if self.machine.live:
                raise
            return Changed(self.status.ports)  # it has ended meanwhile

    async def disconnect(self, command: Command, network_id: str, name: str) -> ContainerStatus:
        """Disconnect it from a network, a running container at once. Raises SeawayError with nothing changed."""
        async with self._updating:
            if (done := self._journal.outcome(command.id)) is not None:
                return done
            ports = self.status.ports
            if self.machine.live and self.machine.why_no_disconnect(network_id, name) is None:
                self._journal.set_pending_disconnect(
                    self.spec, PendingDisconnect(network_id, Waiter(command.id, command.actor))
                )
                reach(Failpoint.DISCONNECT_BEGUN)
                ports = await self._unplug(network_id)
            try:
                return await self.submit(
                    command, lambda waiter: self.machine.disconnect(waiter, network_id, name, ports, time.time_ns())
                )
            finally:
                self._forget_disconnect()

    def finish_disconnect(self, begun: PendingDisconnect, name: str) -> None:
        """Record what an earlier agent began, which may have removed the endpoint; otherwise this one's sweep does."""
        now_ns, ports = time.time_ns(), ports_without(self.spec, self.status, begun.network_id)
        self.do(self.machine.disconnect(begun.waiter, begun.network_id, name, ports, now_ns))
        self._forget_disconnect()

    def _forget_disconnect(self) -> None:
        """The machine has refused to record a disconnect, or has recorded it."""
        if self.spec.id in self._journal.pending_disconnects:
            self._journal.set_pending_disconnect(self.spec, None)

    async def _unplug(self, network_id: str) -> tuple[PublishedPort, ...]:
        try:
            return (await self._network.disconnect(self.spec, self.status, network_id)).ports
        except SeawayError:
            if not self.machine.live:
                return ()
            self._forget_disconnect()
            raise

    async def _limit(self, limits: Resources) -> None:
        try:
            await self._runtime.limit(limits)
        except OSError as error:
            if error.errno == errno.EBUSY and limits.memory:
                text = f"unable to set memory limit to {limits.memory}: more than that is in use"
            else:
                text = f"{error.filename}: {error.strerror}" if error.filename else str(error)
            raise internal(f"Cannot update container {self.spec.id}: {text}") from error

    def resize(self, command: Command, height: int, width: int) -> None:
        """Size the terminal of the running container. Raises OSError where it has none."""
        self._runtime.resize(height, width)
        waiter = Waiter(command.id, command.actor)
        self.do(self.machine.note(waiter, time.time_ns(), "resize", height=str(height), width=str(width)))

    def note(self, command: Command, action: str, **attributes: str) -> None:
        """Record something that was done with it and changes nothing in its status."""
        self.do(self.machine.note(Waiter(command.id, command.actor), time.time_ns(), action, **attributes))

    def attached(self, command: Command, *, follows: bool) -> None:
        """Record that a client has attached; one that follows joins the console, to which a run is connected now."""
        self.note(command, "attach")
        if self.status.pid and follows:
            try:
                self._runtime.connect_console(self.console)
            except OSError as error:
                log.warning("container %s: its console can't be reached: %s", self.spec.id[:12], error)

    # --- what happens by itself

    def exit_seen(self) -> None:
        """conmon may have written how the container ended."""
        self._runtime.check()

    def _ended(self, how: Exit) -> None:
        """Report the end of the first process, behind the ends of execs that came before it, and behind its output.

        Clients such as `docker compose up` read no further after `die`.
        """
        if self.execs.ending or self.console.is_attached:
            self._ending = self._tasks.spawn(f"end-{self.spec.id[:12]}", self._ended_after_others(how))
        else:
            self._report_end(how)

    async def _ended_after_others(self, how: Exit) -> None:
        await self.execs.ended_too()
        self.console.end()
        await self.console.delivered()
        self._report_end(how)

    def _report_end(self, how: Exit) -> None:
        reach(Failpoint.DIE_SEEN)
        ended_ns = not_before(how.time_ns, self.status.started_ns, time.time_ns())
        how = Exit(how.code, ended_ns, how.oom, _boottime_ns() - self._began_ns)
        measures.exited(how)
        self.console.end()
        self.do(self.machine.exited(how))
        self.log.end()

    def adopt(self, run: ContainerRun) -> None:
        """Take over a run that an earlier agent began."""
        self._launching.adopt(self.spec, run)
        ran_ns = procs.age_ns(run.pid)
        self._began_ns = _boottime_ns() - ran_ns
        self._runtime.watch(self._ended)
        self._network.write_files(self.spec, self.status.endpoints)
        self.do(self.machine.adopted(time.time_ns(), ran_ns))

    async def at_rest(self) -> None:
        """Wait until no launch, teardown or removal is under way."""
        while self._work is not None and not self._work.done():
            await asyncio.wait({self._work})

    def close(self) -> None:
        """Stop watching; the container continues."""
        self._timers.close()
        self._stop_probe()
        self.execs.close()
        self._runtime.close()

    # --- carrying out

    def do(self, instructions: list[Instruction]) -> None:
        """Carry out, in order."""
        written = answers_of_records(instructions)
        for what in instructions:
            if isinstance(what, Record):
                self._write(what, written.pop(0))
            else:
                self._do(what)

    def _do(self, what: Instruction) -> None:
        match what:
            case Answer():
                self._answers.give(what)
            case SendSignal():
                self._runtime.signal(what.signal)
                reach(Failpoint.STOP_SIGNALLED)
            case SetTimer():
                self._timers.set(what.name, self._wait_s(what))
            case Thaw():
                self._runtime.thaw()
            case Launch():
                self._work = self._tasks.spawn(f"launch-{self.spec.id[:12]}", self._launch(what))
            case RunProbe():
                self._probe = self._tasks.spawn(f"probe-{self.spec.id[:12]}", self._run_probe(what))
            case StopProbe():
                self._stop_probe()
            case WriteFiles():
                self._network.write_files(self.spec, self.status.endpoints, what.left)
            case TearDown():
                self._work = self._tasks.spawn(f"teardown-{self.spec.id[:12]}", self._tear_down(self._work))
            case Delete():
                self._work = self._tasks.spawn(f"delete-{self.spec.id[:12]}", self._delete(what.volumes))
            case LogError():
                log.error("%s", what.text)

    def _write(self, what: Record, answers: Sequence[Answer]) -> None:
        """Store it with the answers that follow, in one transaction, so that a repeated command gets the same answer.

        What can't be written down must not be acted on: but for a new container, which its maker takes back,
        the agent ends, and its successor begins from what is written.
        """
        try:
            self._journal.write(self.spec, what, self.lowers, answers)
        except SeawayError as error:
            if all(event.action != "create" for event in what.events):
                self._tasks.fail(error)
            raise

    def _wait_s(self, what: SetTimer) -> float | None:
        """While events wait for want of a bus, each further run of one that always ends takes more of the disk."""
        if what.after_ns is None:
            return None
        slow = what.name == "restart" and self._journal.trouble
        return (max(what.after_ns, LONGEST_NS) if slow else what.after_ns) / 1e9

    def _timer(self, name: str) -> None:
        self.do(self.machine.timer(name, time.time_ns()))

    async def _run_probe(self, what: RunProbe) -> None:
        self.do(self.machine.probed(what.number, await probe(self.execs, what.argv, what.timeout_ns)))

    def _stop_probe(self) -> None:
        if self._probe is not None and self._probe is not asyncio.current_task():
            self._probe.cancel()
        self._probe = None

    async def _launch(self, order: Launch) -> None:
        async with self._updating, self.gate.alone():
            try:
                await self._claim_addresses()
                launched = await self._launching.launch(self.spec, self.lowers, order)
            except Exception as error:
                self._launch_failed(error)
                return
            self._began_ns = _boottime_ns()
            self.do(self.machine.launched(launched))
            if order.run > 1:
                self._network.lead_links(self.spec, self.status.endpoints)
            self._runtime.watch(self._ended)

    async def _claim_addresses(self) -> None:
        """Stored before the launch, so that the next agent knows whose they are."""
        if claimed := await self._network.claim(self.spec):
            reach(Failpoint.START_CLAIMED)
            self.do(self.machine.claimed(claimed, time.time_ns()))

    def _launch_failed(self, error: Exception) -> None:
        if not isinstance(error, FORESEEN):
            log.exception("container %s: its launch failed", self.spec.id[:12], exc_info=error)
        text = f"container {self.spec.name}: {error}"
        refusal = error if isinstance(error, SeawayError) else internal(text, reason_of(error))
        self.console.end()
        self.log.end()
        self.do(self.machine.launch_failed(refusal, exit_code_for(refusal), time.time_ns()))
        reach(Failpoint.START_FAILED)

    async def _tear_down(self, before: asyncio.Task[None] | None) -> None:
        """A broken container may be torn down while a launch or another teardown is under way: wait for that."""
        if before is not None and not before.done():
            await asyncio.wait({before})
        await self._launching.clean_up(self.spec.id)
        reach(Failpoint.DIE_TORN_DOWN)
        self.do(self.machine.torn_down(time.time_ns()))

    async def _delete(self, volumes: bool) -> None:
        try:
            self.log.keep_open_for_readers()
            self._uppers.release(self.spec.id)
            reach(Failpoint.REMOVE_UPPER)
            gone = self._volumes.release(self.spec, anonymous=volumes)
        except OSError as error:
            refusal = internal(f"container {self.spec.name} can't be removed: {error}")
            self.do(self.machine.delete_failed(refusal, time.time_ns()))
            return
        reach(Failpoint.REMOVE_VOLUMES)
        self.console.end()
        self.do(self.machine.deleted(time.time_ns(), gone))
        if self.machine.phase is Phase.GONE:
            self._gone(self)


def _console(spec: ContainerSpec, spill: SpillStore, tasks: Tasks) -> Console:
    command, name = spec.command, f"container {spec.id[:12]}"
    once = command.stdin_once
    return Console(name, tty=command.tty, stdin=command.open_stdin, stdin_once=once, spill=spill, tasks=tasks)


def _boottime_ns() -> int:
    """A clock that is never set, and counts while the machine sleeps."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
