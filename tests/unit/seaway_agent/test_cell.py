"""A cell on the runtime's twin: what it asks for, in which order, and who is answered what."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from seaway_agent.cell import Cell
from seaway_agent.core.instructions import Ask, Do, Record
from seaway_agent.core.machine import Phase
from seaway_agent.core.restart import FIRST_NS
from seaway_agent.journal import Journal
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
from seaway_agent.store import Store, open_database
from seaway_agent.volumes import Volumes
from seaway_bus.bus import Bus, Command
from seaway_bus.outbox import Outbox
from seaway_bus.streams import ByteStream, new_stream_id
from seaway_contracts.containers import Command as Process
from seaway_contracts.containers import ContainerStatus, Mount, RestartPolicy, State
from seaway_contracts.errors import Code, SeawayError
from seaway_kit.tasks import Tasks
from seaway_testing import builders
from seaway_testing.waiting import until

ABSENT = runtime_failure('exec: "x": executable file not found in $PATH')
STEPS = ["create", "start", "watch"]


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

    def write(self, spec: Any, record: Record, lowers: tuple[str, ...] = ()) -> None:
        super().write(spec, record, lowers)
        self.actions += [event.action for event in record.events if event.noun == "container"]


@dataclass
class Bench:
    """A cell with its surroundings."""

    node: Plumbing
    journal: RecordingJournal
    bus: Bus
    timers: Timers = field(default_factory=Timers)
    gone: list[Cell] = field(default_factory=list)
    runtime: FakeRuntime = field(default_factory=FakeRuntime)
    cells: list[Cell] = field(default_factory=list)

    async def make(self, *scripts: Script, **fields: Any) -> Cell:
        """A created container."""
        self.runtime = FakeRuntime(*scripts)
        spec = builders.spec(len(self.cells) + 1, **fields)
        self.node.uppers.acquire(spec.id)
        cell = Cell(
            self.node, spec, ContainerStatus(), ("/l/1",), self.gone.append,
            runtime=self.runtime, later=self.timers.later,
        )  # fmt: skip
        self.cells.append(cell)
        await cell.ask(Command.new(), lambda ask: cell.machine.create(ask, 1))
        return cell

    async def running(self, *scripts: Script, **fields: Any) -> Cell:
        cell = await self.make(*scripts, **fields)
        await start(cell)
        return cell


@pytest.fixture
async def bench(tmp_path: Path, fake_bus: Bus, tasks: Tasks) -> AsyncIterator[Bench]:
    layout = Layout(tmp_path / "root", tmp_path / "run")
    layout.make()
    profile = tmp_path / "seccomp.json"
    profile.write_text('{"syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"}]}')
    db = open_database(layout.database)
    outbox = Outbox(db, fake_bus.transport, tasks)
    outbox.start()
    journal = RecordingJournal(Store(db), outbox, "n1")
    uppers = UpperStore(layout.containers)
    bridge = BridgeNetwork("abcdef", IPv4Network("172.30.0.0/24"), None, 1500, NatTable("abcdef"))
    node = Plumbing(
        node="n1",
        suite="abcdef",
        layout=layout,
        cgroups=CgroupLayout(CgroupMode.V2, {}, str(tmp_path)),
        launcher=Launcher(),
        network=NetworkDriver(bridge),
        uppers=uppers,
        volumes=Volumes(layout.volumes),
        journal=journal,
        seccomp=Seccomp(profile),
        tasks=tasks,
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


def start(cell: Cell, command: Command | None = None) -> "asyncio.Future[ContainerStatus]":
    return asking(cell, lambda ask: cell.machine.start(ask), command)


def stop(cell: Cell, timeout_s: int = 10) -> "asyncio.Future[ContainerStatus]":
    return asking(cell, lambda ask: cell.machine.stop(ask, timeout_s, None, 5))


def remove(cell: Cell, *, force: bool = False) -> "asyncio.Future[ContainerStatus]":
    return asking(cell, lambda ask: cell.machine.remove(ask, force, True, 5))


def asking(
    cell: Cell, decide: Callable[[Ask], list[Do]], command: Command | None = None
) -> "asyncio.Future[ContainerStatus]":
    return asyncio.ensure_future(cell.ask(command or Command.new(), decide))


async def until_idle(cell: Cell, phase: Phase = Phase.IDLE) -> None:
    await until(lambda: cell.machine.phase is phase, what=f"{phase}, instead of {cell.machine.phase}")


# --- launches


async def test_a_start_creates_starts_and_watches_in_this_order(bench: Bench) -> None:
    cell = await bench.make()
    status = await start(cell)
    assert bench.runtime.calls == STEPS
    assert (status.state, status.endpoints[0].network) == (State.RUNNING, "bridge")
    assert bench.runtime.run is not None
    assert status.pid == bench.runtime.run.pid
    assert bench.journal.actions == ["create", "start"]


async def test_an_end_is_cleaned_up_and_told(bench: Bench) -> None:
    cell = await bench.running()
    bench.runtime.end(7)
    await until_idle(cell)
    assert (cell.status.state, cell.status.exit_code, cell.status.pid) == (State.EXITED, 7, 0)
    assert bench.runtime.calls == [*STEPS, "clean_up"]
    assert bench.journal.actions == ["create", "start", "die"]


async def test_an_end_before_start_returns_comes_after_the_start(bench: Bench) -> None:
    cell = await bench.make(Script(exits=3, oom=True))
    status = await start(cell)
    assert status.state is State.RUNNING
    await until_idle(cell)
    assert bench.journal.actions == ["create", "start", "oom", "die"]
    assert cell.status.finished_ns >= cell.status.started_ns > 0


async def test_a_killed_shim_leaves_an_unknown_code(bench: Bench) -> None:
    cell = await bench.running()
    bench.runtime.kill_shim()
    cell.exit_seen()
    assert cell.status.state is State.RUNNING
    bench.runtime.end(5)
    await until_idle(cell)
    assert cell.status.exit_code == -1


@pytest.mark.parametrize(
    ("error", "code", "part"),
    [
        (ABSENT, 127, "executable file not found"),
        (OSError(28, "No space left on device"), 125, "No space left on device"),
        (ValueError("unknown user nobody"), 125, "unknown user nobody"),
        (RuntimeError("what nobody foresaw"), 125, "what nobody foresaw"),
    ],
)
async def test_a_failed_create_is_answered_and_leaves_nothing(
    bench: Bench, error: Exception, code: int, part: str
) -> None:
    cell = await bench.make(Script(fails={"create": error}), Script())
    with pytest.raises(SeawayError, match=part):
        await start(cell)
    assert (cell.status.state, cell.status.exit_code) == (State.CREATED, code)
    assert part in cell.status.error
    assert bench.runtime.calls == ["create"]
    status = await start(cell)
    assert (status.state, status.error, status.exit_code) == (State.RUNNING, "", 0)


@pytest.mark.parametrize("step", ["start", "connect_console"])
async def test_what_was_created_and_cant_be_started_is_cleaned_up(bench: Bench, step: Any) -> None:
    process = Process(cmd=("cat",), open_stdin=True)
    cell = await bench.make(Script(fails={step: OSError("broken pipe")}), command=process)
    with pytest.raises(SeawayError, match="broken pipe"):
        await start(cell)
    assert bench.runtime.calls[-2:] == [step, "clean_up"]
    assert bench.runtime.run is None
    assert cell.machine.phase is Phase.IDLE


async def test_everybody_who_waits_gets_the_failure(bench: Bench) -> None:
    held = asyncio.Event()
    cell = await bench.make(Script(waits={"create": held}, fails={"create": ABSENT}))
    starts = [start(cell), start(cell)]
    await until(lambda: bench.runtime.calls == ["create"])
    held.set()
    answers = await asyncio.gather(*starts, return_exceptions=True)
    assert answers == [ABSENT, ABSENT]


async def test_a_failed_clean_up_after_a_failed_start_is_logged(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    fails = {"start": OSError("no start"), "clean_up": SeawayError(Code.INTERNAL, "its cgroup is busy")}
    cell = await bench.make(Script(fails=fails))  # type: ignore[arg-type]
    with caplog.at_level(logging.ERROR), pytest.raises(SeawayError, match="no start"):
        await start(cell)
    assert "its cgroup is busy" in caplog.text


# --- commands


async def test_a_command_twice_does_its_work_once(bench: Bench) -> None:
    cell, command = await bench.make(), Command.new()
    first, second = await asyncio.gather(start(cell, command), start(cell, command))
    assert first == second
    assert bench.runtime.calls == STEPS
    assert bench.journal.actions == ["create", "start"]


async def test_a_caller_that_gives_up_does_not_stop_the_work(bench: Bench) -> None:
    held = asyncio.Event()
    cell, command = await bench.make(Script(waits={"create": held})), Command.new()
    first = start(cell, command)
    await until(lambda: bench.runtime.calls)
    first.cancel()
    repeated = start(cell, command)
    held.set()
    assert (await repeated).state is State.RUNNING
    assert bench.runtime.calls.count("create") == 1


async def test_stop_signals_and_kills_when_the_time_is_up(bench: Bench) -> None:
    cell = await bench.running(Script(ignores=frozenset({15})))
    stopping = stop(cell, 10)
    await until(lambda: bench.timers.running == {"stop"})
    assert bench.timers.set == [(10.0, "stop")]
    bench.timers.run_out("stop")
    assert (await stopping).exit_code == 137
    await until_idle(cell)
    assert bench.runtime.calls[len(STEPS) :] == ["signal 15", "signal 9", "clean_up"]
    assert bench.timers.running == set()


async def test_a_real_time_signal_goes_through(bench: Bench) -> None:
    cell = await bench.running()
    await asking(cell, lambda ask: cell.machine.kill(ask, 36, 5))
    assert "signal 36" in bench.runtime.calls


async def test_stop_while_launching_stops_what_comes_of_it(bench: Bench) -> None:
    held = asyncio.Event()
    cell = await bench.make(Script(waits={"start": held}))
    starting = start(cell)
    await until(lambda: bench.runtime.calls[-1:] == ["start"])
    stopping = stop(cell)
    await asyncio.sleep(0)
    held.set()
    assert (await starting).state is State.RUNNING
    assert (await stopping).exit_code == 143


@pytest.mark.parametrize("step", ["create", "start"])
async def test_remove_while_launching(bench: Bench, step: Any) -> None:
    held = asyncio.Event()
    cell = await bench.make(Script(waits={step: held}))
    starting = start(cell)
    await until(lambda: bench.runtime.calls[-1:] == [step])
    removing = remove(cell, force=True)
    await asyncio.sleep(0)
    held.set()
    await asyncio.gather(starting, removing)
    assert bench.gone == [cell]
    assert bench.runtime.run is None
    assert bench.journal.actions == ["create", "start", "kill", "die", "destroy"]
    assert not bench.node.uppers.locate(cell.spec.id).path.exists()


async def test_remove_while_a_launch_fails(bench: Bench) -> None:
    held = asyncio.Event()
    cell = await bench.make(Script(waits={"create": held}, fails={"create": ABSENT}))
    starting = start(cell)
    await until(lambda: bench.runtime.calls)
    removing = remove(cell, force=True)
    await asyncio.sleep(0)
    held.set()
    with pytest.raises(SeawayError, match="executable file"):
        await starting
    await removing
    assert bench.gone == [cell]


async def test_pause_and_unpause(bench: Bench) -> None:
    cell = await bench.running()
    assert (await cell.pause(Command.new())).state is State.PAUSED
    assert bench.runtime.frozen
    await asking(cell, lambda ask: cell.machine.unpause(ask, 5))
    assert not bench.runtime.frozen
    assert cell.status.state is State.RUNNING


async def test_a_paused_one_is_stopped(bench: Bench) -> None:
    cell = await bench.running()
    await cell.pause(Command.new())
    assert (await stop(cell)).exit_code == 143
    assert not bench.runtime.frozen


async def test_what_cant_be_frozen_goes_on(bench: Bench) -> None:
    cell = await bench.running(Script(fails={"freeze": TimeoutError("a process hangs")}))
    with pytest.raises(SeawayError, match="can't be paused: a process hangs"):
        await cell.pause(Command.new())
    assert cell.status.state is State.RUNNING


async def test_an_end_while_it_is_being_frozen(bench: Bench) -> None:
    held = asyncio.Event()
    cell = await bench.running(Script(waits={"freeze": held}))
    pausing = asyncio.ensure_future(cell.pause(Command.new()))
    await until(lambda: bench.runtime.calls[-1:] == ["freeze"])
    bench.runtime.end(0)
    held.set()
    with pytest.raises(SeawayError) as refusal:
        await pausing
    assert "can't be paused" in refusal.value.message or "not running" in refusal.value.message
    await until_idle(cell)


async def test_the_terminal_is_sized_while_it_runs(bench: Bench) -> None:
    cell = await bench.make()
    with pytest.raises(OSError):
        cell.resize(24, 80)
    await start(cell)
    cell.resize(24, 80)
    assert bench.runtime.size == (24, 80)


# --- by itself


async def test_a_restart_policy_waits_longer_each_time(bench: Bench) -> None:
    policy = RestartPolicy(name="on-failure", max_retries=2)
    cell = await bench.running(Script(exits=1), restart=policy)
    for count in (1, 2):
        await until_idle(cell, Phase.BACKING_OFF)
        assert bench.timers.set[-1] == (FIRST_NS / 1e9 * count, "restart")
        bench.timers.run_out("restart")
    await until_idle(cell)
    assert (cell.status.restart_count, cell.status.state, cell.status.exit_code) == (2, State.EXITED, 1)
    assert bench.journal.actions == ["create", *["start", "die"] * 3]
    assert bench.runtime.calls.count("clean_up") == 3


async def test_a_restart_that_fails_is_the_end(bench: Bench) -> None:
    scripts = (Script(exits=1), Script(fails={"create": ABSENT}))
    cell = await bench.running(*scripts, restart=RestartPolicy(name="always"))
    await until_idle(cell, Phase.BACKING_OFF)
    bench.timers.run_out("restart")
    await until_idle(cell)
    assert (cell.status.state, cell.status.exit_code) == (State.EXITED, 127)


async def test_stop_while_it_backs_off_takes_the_timer_away(bench: Bench) -> None:
    cell = await bench.running(Script(exits=1), restart=RestartPolicy(name="always"))
    await until_idle(cell, Phase.BACKING_OFF)
    assert (await stop(cell)).state is State.EXITED
    assert bench.timers.running == set()


async def test_auto_remove_after_the_end(bench: Bench) -> None:
    cell = await bench.running(Script(exits=0), auto_remove=True)
    await until(lambda: bench.gone)
    assert bench.gone == [cell]
    assert bench.journal.actions == ["create", "start", "die", "destroy"]


async def test_auto_remove_after_a_failed_launch(bench: Bench) -> None:
    cell = await bench.make(Script(fails={"create": ABSENT}), auto_remove=True)
    with pytest.raises(SeawayError):
        await start(cell)
    await until(lambda: bench.gone)
    assert bench.journal.actions[-1] == "destroy"


@pytest.mark.parametrize("error", [SeawayError(Code.INTERNAL, "its cgroup is busy"), KeyError("its cgroup is busy")])
async def test_a_failed_clean_up_is_logged_and_the_container_goes_on(
    bench: Bench, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    cell = await bench.running(Script(fails={"clean_up": error}))
    with caplog.at_level(logging.ERROR):
        bench.runtime.end(0)
        await until_idle(cell)
    assert "its cgroup is busy" in caplog.text
    assert (await start(cell)).state is State.RUNNING


async def test_a_start_during_the_clean_up_waits_for_it(bench: Bench) -> None:
    held = asyncio.Event()
    cell = await bench.running(Script(waits={"clean_up": held}), Script())
    bench.runtime.end(0)
    await until(lambda: bench.runtime.calls[-1:] == ["clean_up"])
    again = start(cell)
    await asyncio.sleep(0)
    assert bench.runtime.calls.count("create") == 1
    held.set()
    assert (await again).run == 2


async def test_what_cant_be_deleted_is_dead_and_can_be_tried_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(_: object) -> None:
        raise OSError("device is busy")

    anonymous = Mount(type="volume", target="/data", source="v1", anonymous=True)
    cell = await bench.make(mounts=(anonymous,))
    monkeypatch.setattr(bench.node.volumes, "remove_anonymous", busy)
    with pytest.raises(SeawayError, match="can't be removed: device is busy"):
        await remove(cell)
    assert cell.status.state is State.DEAD
    monkeypatch.undo()
    await remove(cell)
    assert bench.gone == [cell]


# --- clients and agents


async def client_of(bench: Bench, cell: Cell) -> ByteStream:
    name = new_stream_id()
    client = await ByteStream(bench.bus.transport, name, "opening", bench.node.tasks).open()
    served = await ByteStream(bench.bus.transport, name, "serving", bench.node.tasks).open()
    cell.console.join(served, stdin=True, stdout=True, stderr=True)
    return client


async def test_attached_clients_are_let_go_when_the_launch_fails(bench: Bench) -> None:
    cell = await bench.make(Script(fails={"create": ABSENT}))
    client = await client_of(bench, cell)
    with pytest.raises(SeawayError):
        await start(cell)
    assert await asyncio.wait_for(client.read(), 5) == b""
    await client.close()


async def test_attached_clients_are_let_go_at_the_end(bench: Bench) -> None:
    cell = await bench.make()
    client = await client_of(bench, cell)
    await start(cell)
    assert bench.runtime.calls == ["create", "connect_console", "start", "watch"]
    bench.runtime.end(0)
    assert await asyncio.wait_for(client.read(), 5) == b""
    await client.close()


async def test_a_console_is_joined_only_where_somebody_needs_it(bench: Bench) -> None:
    once = Process(cmd=("cat",), open_stdin=True, stdin_once=True)
    await bench.running(command=once)
    assert "connect_console" not in bench.runtime.calls
    await bench.running(command=Process(cmd=("cat",), open_stdin=True))
    assert bench.runtime.calls[:2] == ["create", "connect_console"]


async def test_a_run_of_an_earlier_agent_is_adopted(bench: Bench) -> None:
    old = await bench.running()
    run = bench.runtime.run
    assert run is not None
    twin = FakeRuntime()
    cell = Cell(bench.node, old.spec, old.status, (), bench.gone.append, Phase.RUNNING, runtime=twin)
    old.close()
    assert bench.runtime.run is None
    cell.adopt(run)
    assert cell.running
    twin.end(9)
    await until_idle(cell)
    assert cell.status.exit_code == 9


async def test_close_takes_the_timers_away(bench: Bench) -> None:
    cell = await bench.running(Script(ignores=frozenset({15})))
    stopping = stop(cell)
    await until(lambda: bench.timers.running)
    cell.close()
    assert bench.timers.running == set()
    stopping.cancel()
