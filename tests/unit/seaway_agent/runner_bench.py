"""What a runner stands on in tests: the runtime's twin, timers that run out when told, the real journal."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from seaway_agent.container.runner import ContainerRunner
from seaway_agent.core.instructions import Answer, Ask, Do, Record
from seaway_agent.core.steps import Phase
from seaway_agent.kernel.attach_lock import AttachLock
from seaway_agent.kernel.cgroup_text import CgroupLayout, CgroupMode
from seaway_agent.kernel.launcher import Launcher
from seaway_agent.layout import Layout
from seaway_agent.network.bridge import BridgeNetwork
from seaway_agent.network.driver import NetworkDriver
from seaway_agent.network.nft import NatTable
from seaway_agent.plumbing import Plumbing, Seccomp
from seaway_agent.rootfs.upper import UpperStore
from seaway_agent.runtime.failures import runtime_failure
from seaway_agent.runtime.fake import FakeRuntime, Script
from seaway_agent.state.database import Store, open_database
from seaway_agent.state.journal import Journal
from seaway_agent.streams.spill import SpillRoom
from seaway_agent.volumes.volumes import Volumes
from seaway_bus.bus import Bus, Command
from seaway_bus.event_sender import of_node
from seaway_bus.outbox import Outbox
from seaway_contracts.catalogue import STORE_EVENTS
from seaway_contracts.containers import ContainerStatus
from seaway_contracts.stored_events import StoredEvents, StoreEvents
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


@dataclass
class Bench:
    """A runner with its surroundings."""

    node: Plumbing
    journal: RecordingJournal
    bus: Bus
    timers: Timers = field(default_factory=Timers)
    gone: list[ContainerRunner] = field(default_factory=list)
    runtime: FakeRuntime = field(default_factory=FakeRuntime)
    runners: list[ContainerRunner] = field(default_factory=list)

    async def make(self, *scripts: Script, **fields: Any) -> ContainerRunner:
        """A created container."""
        self.runtime = FakeRuntime(*scripts, clock=time.time_ns)
        spec = builders.spec(len(self.runners) + 1, **fields)
        self.node.uppers.acquire(spec.id)
        runner = ContainerRunner(
            self.node, spec, ContainerStatus(), ("/l/1",), self.gone.append,
            runtime=self.runtime, later=self.timers.later,
        )  # fmt: skip
        self.runners.append(runner)
        await runner.ask(Command.new(), lambda ask: runner.machine.create(ask, 1))
        return runner

    async def running(self, *scripts: Script, **fields: Any) -> ContainerRunner:
        runner = await self.make(*scripts, **fields)
        await start(runner)
        return runner


async def _store_all(request: StoreEvents, command: Command) -> StoredEvents:
    return StoredEvents()


@pytest.fixture
async def bench(tmp_path: Path, fake_bus: Bus, tasks: Tasks) -> AsyncIterator[Bench]:
    layout = Layout(tmp_path / "root", tmp_path / "run")
    layout.make()
    profile = tmp_path / "seccomp.json"
    profile.write_text('{"syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"}]}')
    db = open_database(layout.database)
    await fake_bus.serve(STORE_EVENTS, _store_all)
    outbox = Outbox(db, fake_bus.transport, tasks, of_node(fake_bus, "n1"), tells=True)
    outbox.start()
    journal = RecordingJournal(Store(db), outbox, "n1")
    uppers = UpperStore(layout.containers)
    bridge = BridgeNetwork("abcdef", IPv4Network("172.30.0.0/24"), None, 1500, NatTable("abcdef"))
    cgroups = CgroupLayout(CgroupMode.V2, {}, str(tmp_path))
    node = Plumbing(
        node="n1",
        suite="abcdef",
        layout=layout,
        cgroups=cgroups,
        launcher=Launcher(),
        attach_lock=AttachLock(cgroups),
        network=NetworkDriver(bridge),
        uppers=uppers,
        volumes=Volumes(layout.volumes),
        journal=journal,
        seccomp=Seccomp(profile),
        tasks=tasks,
        spill=SpillRoom(layout.root),
        conmon="",
        runtimes={},
        default_runtime="crun",
        init_path="",
        output_fd=2,
    )
    yield Bench(node, journal, fake_bus)
    await tasks.close()
    node.workers.shutdown()
    uppers.close()
    db.close()


def start(runner: ContainerRunner, command: Command | None = None) -> "asyncio.Future[ContainerStatus]":
    return asking(runner, lambda ask: runner.machine.start(ask), command)


def stop(runner: ContainerRunner, timeout_s: int = 10) -> "asyncio.Future[ContainerStatus]":
    return asking(runner, lambda ask: runner.machine.stop(ask, timeout_s, None, 5))


def remove(runner: ContainerRunner, *, force: bool = False) -> "asyncio.Future[ContainerStatus]":
    return asking(runner, lambda ask: runner.machine.remove(ask, force, True, 5))


def asking(
    runner: ContainerRunner, decide: Callable[[Ask], list[Do]], command: Command | None = None
) -> "asyncio.Future[ContainerStatus]":
    return asyncio.ensure_future(runner.ask(command or Command.new(), decide))


async def until_idle(runner: ContainerRunner, phase: Phase = Phase.IDLE) -> None:
    await until(lambda: runner.machine.phase is phase, what=f"{phase}, instead of {runner.machine.phase}")
