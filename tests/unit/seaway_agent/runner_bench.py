"""What a runner stands on in tests: the runtime's twin, timers that run out when told, the real journal."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest

from seaway_agent.commands.networks import claim_addresses
from seaway_agent.container.factory import ContainerLogs
from seaway_agent.container.held_networks import HeldNetworks
from seaway_agent.container.hook import RunHooks
from seaway_agent.container.hooks.dns import DnsHook
from seaway_agent.container.hooks.network import NetworkHook
from seaway_agent.container.live_network import LiveNetwork
from seaway_agent.container.runner import ContainerRunner
from seaway_agent.core.instructions import Answer, Instruction, Record, Waiter
from seaway_agent.core.machine import Machine
from seaway_agent.core.phases import Phase
from seaway_agent.dns.fake import FakeResolver
from seaway_agent.execs.starter import ExecStarter
from seaway_agent.execs.supervisor.supervisor import ExecSupervisor
from seaway_agent.kernel.attach_lock import AttachLock
from seaway_agent.kernel.cgroup_text import CgroupLayout, CgroupMode
from seaway_agent.kernel.launcher import Launcher
from seaway_agent.layout import Layout
from seaway_agent.network.fake import FakeNetworks
from seaway_agent.network.port import NetworkSpec
from seaway_agent.network.ports import PortBinding, PortRequest
from seaway_agent.network.published import PublishedPorts
from seaway_agent.rootfs.upper import UpperStore
from seaway_agent.runtime.apparmor import AppArmor
from seaway_agent.runtime.failures import runtime_failure
from seaway_agent.runtime.fake import FakeRuntime, Script
from seaway_agent.runtime.port import Runtime
from seaway_agent.runtime.runtimes import Runtimes
from seaway_agent.state.database import Store, open_database
from seaway_agent.state.journal import Journal
from seaway_agent.streams.log_watch import LogWatch
from seaway_agent.streams.spill import SpillStore
from seaway_agent.volumes.volumes import Volumes
from seaway_bus.bus import Bus, Command
from seaway_bus.event_sender import of_node
from seaway_bus.outbox import Outbox
from seaway_contracts.catalogue import STORE_EVENTS
from seaway_contracts.containers import ContainerStatus
from seaway_contracts.lifecycle import StoredEvents, StoreEvents
from seaway_contracts.networks import network_id
from seaway_kit.tasks import Tasks
from seaway_testing import builders
from seaway_testing.waiting import until

ABSENT = runtime_failure('exec: "x": executable file not found in $PATH')


class Timers:
    """Timers that run out when a test says so."""

    def __init__(self) -> None:
        self.set: list[tuple[float, str]] = []
        self._calls: dict[str, Callable[[str], None]] = {}

    def later(self, seconds: float, call: Callable[[str], None], name: str) -> "Timers.Handle":
        self.set.append((seconds, name))
        self._calls[name] = call
        return Timers.Handle(self, name)

    def run_out(self, name: str) -> None:
        self._calls.pop(name)(name)

    @property
    def running(self) -> set[str]:
        return set(self._calls)

    @dataclass
    class Handle:
        timers: "Timers"
        name: str

        def cancel(self) -> None:
            self.timers._calls.pop(self.name, None)


class RecordingJournal(Journal):
    """The real journal, with what was written at hand."""

    def __init__(self, store: Store, outbox: Outbox, node: str) -> None:
        super().__init__(store, outbox, node)
        self.actions: list[str] = []

    def write(self, spec: Any, record: Record, lowers: tuple[str, ...] = (), answers: Sequence[Answer] = ()) -> None:
        super().write(spec, record, lowers, answers)
        self.actions += [event.action for event in record.events if event.noun == "container"]


class FakePorts(PublishedPorts):
    """Published ports without a kernel: `published` has where those of each container lead."""

    def __init__(self) -> None:
        self.published: dict[str, tuple[IPv4Address, Sequence[PortRequest]]] = {}
        self.refuses: list[Exception] = []

    async def publish(
        self, container: str, address: IPv4Address, requests: Sequence[PortRequest]
    ) -> tuple[PortBinding, ...]:
        if self.refuses:
            raise self.refuses.pop()
        self.published[container] = address, requests
        return tuple(
            PortBinding(one.protocol, "0.0.0.0", one.host_port or 32768, one.container_port) for one in requests
        )

    async def unpublish(self, container: str) -> None:
        self.published.pop(container, None)


@dataclass
class Bench:
    """A runner with its surroundings."""

    layout: Layout
    tasks: Tasks
    store: Store
    journal: RecordingJournal
    uppers: UpperStore
    bus: Bus
    hooks: RunHooks
    volumes: Volumes
    workers: ThreadPoolExecutor
    compressors: ThreadPoolExecutor
    networks: FakeNetworks
    published: FakePorts
    resolver: FakeResolver
    live: LiveNetwork
    timers: Timers = field(default_factory=Timers)
    gone: list[ContainerRunner] = field(default_factory=list)
    runtime: FakeRuntime = field(default_factory=FakeRuntime)
    runners: list[ContainerRunner] = field(default_factory=list)

    async def make(self, *scripts: Script, **fields: Any) -> ContainerRunner:
        """A created container."""
        self.runtime = FakeRuntime(*scripts, clock=time.time_ns)
        spec = builders.spec(len(self.runners) + 1, **fields)
        self.uppers.acquire(spec.id)
        runner = self.runner(Machine(spec, ContainerStatus()), self.runtime)
        self.runners.append(runner)
        await runner.submit(Command.new(), lambda waiter: runner.machine.create(waiter, 1))
        return runner

    async def running(self, *scripts: Script, **fields: Any) -> ContainerRunner:
        runner = await self.make(*scripts, **fields)
        await start(runner)
        return runner

    def runner(self, machine: Machine, runtime: Runtime) -> ContainerRunner:
        """One on this runtime, whose timers run out when told."""
        logs = ContainerLogs(self.layout, LogWatch(), self.compressors, self.tasks, "n1", self.bus)
        return ContainerRunner(
            machine,
            ("/l/1",),
            runtime=runtime,
            hooks=self.hooks,
            network=self.live,
            journal=self.journal,
            uppers=self.uppers,
            volumes=self.volumes,
            log=logs.make(machine),
            exec_starter=self._exec_starter(),
            spill=SpillStore(self.layout.root),
            tasks=self.tasks,
            gone=self.gone.append,
            later=self.timers.later,
        )

    def _exec_starter(self) -> ExecStarter:
        return ExecStarter(
            layout=self.layout,
            runtimes=Runtimes({}, "crun"),
            conmon="",
            launcher=Launcher(),
            attach_lock=AttachLock(CgroupLayout(CgroupMode.V2, {}, str(self.layout.root))),
            supervisor=ExecSupervisor(Launcher(), self.layout.run, 2),
            apparmor=AppArmor(),
            output_fd=2,
            workers=self.workers,
            grantable=(),
        )


async def _store_all(request: StoreEvents, command: Command) -> StoredEvents:
    return StoredEvents()


@pytest.fixture
async def bench(tmp_path: Path, fake_bus: Bus, tasks: Tasks) -> AsyncIterator[Bench]:
    layout = Layout(tmp_path / "root", tmp_path / "run")
    layout.make()
    db = open_database(layout.database)
    await fake_bus.serve(STORE_EVENTS, _store_all)
    outbox = Outbox(db, fake_bus.transport, tasks, of_node(fake_bus, "n1"), tells=True)
    outbox.start()
    store = Store(db)
    journal = RecordingJournal(store, outbox, "n1")
    uppers = UpperStore(layout.containers)
    networks = FakeNetworks()
    await networks.make(NetworkSpec(network_id("bridge"), "bridge", subnet=IPv4Network("172.18.0.0/16")))
    held = HeldNetworks(networks, journal.networks, journal.was_removed)
    published = FakePorts()
    workers, compressors, volumes = (
        ThreadPoolExecutor(2),
        ThreadPoolExecutor(2),
        Volumes(layout.volumes, "n1", lambda _: False),
    )
    resolver = FakeResolver()
    hooks = RunHooks((NetworkHook(networks, held), DnsHook(resolver, held)))
    yield Bench(
        layout=layout,
        tasks=tasks,
        store=store,
        journal=journal,
        uppers=uppers,
        bus=fake_bus,
        hooks=hooks,
        volumes=volumes,
        workers=workers,
        compressors=compressors,
        networks=networks,
        published=published,
        resolver=resolver,
        live=LiveNetwork(
            networks, held, published, resolver, layout, partial(claim_addresses, fake_bus, "n1"), lambda _: ()
        ),
    )
    await tasks.close()
    for threads in (workers, compressors):
        threads.shutdown()
    volumes.close()
    uppers.close()
    db.close()


def start(runner: ContainerRunner, command: Command | None = None) -> "asyncio.Future[ContainerStatus]":
    return asking(runner, lambda waiter: runner.machine.start(waiter), command)


def stop(runner: ContainerRunner, timeout_s: int = 10) -> "asyncio.Future[ContainerStatus]":
    return asking(runner, lambda waiter: runner.machine.stop(waiter, timeout_s, None, 5))


def remove(runner: ContainerRunner, *, force: bool = False) -> "asyncio.Future[ContainerStatus]":
    return asking(runner, lambda waiter: runner.machine.remove(waiter, force, True, 5))


def asking(
    runner: ContainerRunner, decide: Callable[[Waiter], list[Instruction]], command: Command | None = None
) -> "asyncio.Future[ContainerStatus]":
    return asyncio.ensure_future(runner.submit(command or Command.new(), decide))


async def until_idle(runner: ContainerRunner, phase: Phase = Phase.IDLE) -> None:
    await until(lambda: runner.machine.phase is phase, what=f"{phase}, instead of {runner.machine.phase}")
