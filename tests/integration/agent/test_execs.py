"""Execs on a real agent, through kills of the agent at any moment: each has one end, and the right code."""

import asyncio
import contextlib
import os
import secrets
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.integration.agent.rig import AgentRig

from seaway_agent.execs.supervisor.supervisor import supervisors_below
from seaway_agent.kernel import procs
from seaway_bus.streams import ByteStream, new_stream_id
from seaway_contracts import catalogue
from seaway_contracts.containers import Mount
from seaway_contracts.errors import SeawayError
from seaway_contracts.execs import CreateExec, ExecId, ExecInfo, ExecSpec, ExecState, ResizeExec, StartExec, exec_id
from seaway_contracts.lifecycle import ContainerEvent
from seaway_docker.stdcopy import frame
from seaway_kit.failpoints import VARIABLE, Failpoint
from seaway_kit.tasks import Tasks

pytestmark = pytest.mark.root
_MANY = 200


class Execs:
    """Execs of one container of the rig's agent."""

    def __init__(self, rig: AgentRig, container: str) -> None:
        self.rig = rig
        self.container = container

    async def make(self, *args: str, **fields: object) -> str:
        identifier = exec_id(self.container, secrets.token_hex(16))
        spec = ExecSpec(id=identifier, args=args, attach_stdout=True, attach_stderr=True).model_copy(update=fields)
        request = CreateExec(container=self.container, spec=spec)
        await self.rig.bus.call(catalogue.CREATE_EXEC, request, node=self.rig.node)
        return identifier

    async def detached(self, *args: str) -> str:
        identifier = await self.make(*args)
        await self.rig.bus.call(catalogue.START_EXEC, StartExec(id=identifier), node=self.rig.node)
        return identifier

    async def output(self, identifier: str) -> bytes:
        tasks = Tasks("test")
        try:
            async with ByteStream(self.rig.bus.transport, new_stream_id(), "opening", tasks) as stream:
                request = StartExec(id=identifier, stream=stream.id)
                await self.rig.bus.call(catalogue.START_EXEC, request, node=self.rig.node)
                found = b""
                while data := await stream.read():
                    found += data
                return found
        finally:
            await tasks.close()

    @contextlib.asynccontextmanager
    async def attached(self, *args: str, **fields: object) -> AsyncIterator[tuple[str, ByteStream]]:
        """One that runs, started by the supervisor, with its client's stream."""
        identifier = await self.make(*args, **fields)
        tasks = Tasks("test")
        try:
            async with ByteStream(self.rig.bus.transport, new_stream_id(), "opening", tasks) as stream:
                request = StartExec(id=identifier, stream=stream.id)
                await self.rig.bus.call(catalogue.START_EXEC, request, node=self.rig.node)
                await self.rig.until(lambda: self.runs(identifier))
                yield identifier, stream
        finally:
            await tasks.close()

    async def runs(self, identifier: str) -> bool:
        return bool((await self.info(identifier)).status.pid)

    async def info(self, identifier: str) -> ExecInfo:
        return await self.rig.bus.call(catalogue.INSPECT_EXEC, ExecId(id=identifier), node=self.rig.node)

    def told(self, identifier: str) -> list[str]:
        """What events told of it."""
        found = []
        for event in self.rig.events:
            if event.envelope.subject_id == self.container and event.envelope.action.startswith("exec_"):
                attributes = ContainerEvent.model_validate_json(event.data).attributes
                if attributes["execID"] == identifier:
                    found.append(" ".join((event.envelope.action, attributes.get("exitCode", ""))).strip())
        return found

    async def died(self, identifier: str) -> list[str]:
        await self.rig.until(lambda: any(words.startswith("exec_die") for words in self.told(identifier)))
        return self.told(identifier)


@pytest.fixture
async def execs(rig: AgentRig, tmp_path: Path) -> Execs:
    """Of a container that idles; /gate is a FIFO of the test's."""
    os.mkfifo(tmp_path / "gate")
    bind = Mount(type="bind", source=str(tmp_path / "gate"), target="/gate")
    container = await rig.create(rig.spec("sleep", "1000", mounts=(bind,)))
    await rig.start_container(container)
    return Execs(rig, container)


def life(code: int) -> list[str]:
    return ["exec_create", "exec_start", f"exec_die {code}"]


async def test_a_life(execs: Execs) -> None:
    identifier = await execs.make("sh", "-c", "echo out; echo err >&2; exit 3")
    assert sorted((await execs.output(identifier)).splitlines()) == sorted(
        (frame(1, b"out\n") + frame(2, b"err\n")).splitlines()
    )
    status = (await execs.info(identifier)).status
    assert (status.state, status.exit_code) == (ExecState.ENDED, 3)
    assert await execs.died(identifier) == life(3)
    await execs.rig.until(lambda: not list((execs.rig.run / "x").iterdir()))


async def test_one_that_runs_goes_on_and_is_adopted(execs: Execs, tmp_path: Path) -> None:
    identifier = await execs.detached("sh", "-c", "cat /gate; exit 4")
    pid = (await execs.info(identifier)).status.pid
    execs.rig.end(signal.SIGKILL)
    os.kill(pid, 0)
    await execs.rig.start()
    status = (await execs.info(identifier)).status
    assert (status.state, status.pid) == (ExecState.RUNNING, pid)
    (tmp_path / "gate").write_text("go")
    assert await execs.died(identifier) == life(4)


async def test_one_with_a_terminal_is_adopted_with_it(execs: Execs) -> None:
    identifier = await execs.make("sh", "-c", "trap 'exit 6' WINCH; while :; do sleep 0.05; done", tty=True)
    await execs.rig.bus.call(catalogue.START_EXEC, StartExec(id=identifier), node=execs.rig.node)
    execs.rig.end(signal.SIGKILL)
    await execs.rig.start()
    request = ResizeExec(id=identifier, height=30, width=40)
    await execs.rig.bus.call(catalogue.RESIZE_EXEC, request, node=execs.rig.node)
    assert await execs.died(identifier) == life(6)


async def test_an_end_while_the_agent_is_dead_is_told_once_with_its_code(execs: Execs, tmp_path: Path) -> None:
    identifier = await execs.detached("sh", "-c", "cat /gate; exit 5")
    execs.rig.end(signal.SIGKILL)
    (tmp_path / "gate").write_text("go")
    await execs.rig.until(lambda: len(execs.rig.shims()) == 1)
    await execs.rig.start()
    assert await execs.died(identifier) == life(5)
    assert (await execs.info(identifier)).status.exit_code == 5
    assert not list((execs.rig.run / "x").iterdir())


async def test_one_that_waits_for_its_start_can_be_started_after_a_kill(execs: Execs) -> None:
    identifier = await execs.make("echo", "hi")
    execs.rig.end(signal.SIGKILL)
    await execs.rig.start()
    assert await execs.output(identifier) == frame(1, b"hi\n")


async def test_the_containers_end_is_that_of_its_execs(execs: Execs) -> None:
    identifier = await execs.detached("sleep", "1000")
    execs.rig.end(signal.SIGKILL)
    await execs.rig.start()
    await execs.rig.stop(execs.container, timeout_s=0)
    await execs.rig.died(execs.container)
    assert await execs.died(identifier) == life(137)
    told = execs.rig.told(execs.container)
    assert told.index("exec_die") < told.index("die")
    await execs.rig.until(lambda: not execs.rig.shims())


async def test_kills_at_any_moment_lose_and_double_nothing(execs: Execs) -> None:
    for pause in (0.0, 0.002, 0.004, 0.006, 0.01, 0.015):
        identifier = await execs.make("sh", "-c", "exit 9")
        starting = asyncio.ensure_future(execs.output(identifier))
        await asyncio.sleep(pause)
        execs.rig.end(signal.SIGKILL)
        starting.cancel()
        await execs.rig.start()
        if (await execs.info(identifier)).status.state is ExecState.CREATED:
            await execs.output(identifier)
        await execs.rig.until(lambda: len(execs.rig.shims()) == 1)
        status = (await execs.info(identifier)).status
        if status.exit_code == 126:  # it was never run: nothing was spawned for it
            await execs.rig.until(lambda: execs.told(identifier) == ["exec_create", "exec_start"])  # noqa: B023
        else:
            assert await execs.died(identifier) == life(9), (pause, execs.rig.story(execs.container))
        assert not list((execs.rig.run / "x").iterdir())


async def test_a_killed_shim_leaves_an_unknown_code(execs: Execs) -> None:
    identifier = await execs.detached("sleep", "1000")
    pid = (await execs.info(identifier)).status.pid
    (shim,) = [pid for pid in execs.rig.shims() if b"-e" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")]
    os.kill(shim, signal.SIGKILL)
    os.kill(pid, signal.SIGTERM)
    told = await execs.died(identifier)
    assert told[-1] in ("exec_die -1", "exec_die 143")


# --- those without a terminal that have a client: the supervisor's


async def test_an_attached_one_goes_on_and_is_adopted(execs: Execs, tmp_path: Path) -> None:
    async with execs.attached("sh", "-c", "cat /gate; exit 4") as (identifier, _):
        pid = (await execs.info(identifier)).status.pid
        assert len(execs.rig.shims()) == 1
        execs.rig.end(signal.SIGKILL)
    await execs.rig.start()
    status = (await execs.info(identifier)).status
    assert (status.state, status.pid) == (ExecState.RUNNING, pid)
    (tmp_path / "gate").write_text("go")
    assert await execs.died(identifier) == life(4)
    await execs.rig.until(lambda: not list((execs.rig.run / "x").iterdir()))
    await execs.rig.until(lambda: not supervisors_below(execs.rig.run))


async def test_nothing_stops_its_output_while_the_agent_is_dead(execs: Execs, tmp_path: Path) -> None:
    async with execs.attached("sh", "-c", "cat /gate; head -c 1000000 /dev/zero; exit 5") as (identifier, _):
        execs.rig.end(signal.SIGKILL)
    (tmp_path / "gate").write_text("go")
    await execs.rig.until(lambda: not supervisors_below(execs.rig.run))
    await execs.rig.start()
    assert await execs.died(identifier) == life(5)
    assert not list((execs.rig.run / "x").iterdir())


async def test_its_input_ends_with_the_agent(execs: Execs) -> None:
    async with execs.attached("sh", "-c", "cat; exit 6", attach_stdin=True) as (identifier, stream):
        await stream.write(b"x")
        assert await stream.read() == frame(1, b"x")
        execs.rig.end(signal.SIGKILL)
    await execs.rig.start()
    assert await execs.died(identifier) == life(6)


async def test_a_killed_supervisor_leaves_what_runs_to_the_agent(execs: Execs) -> None:
    script = "trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.05; done"
    async with execs.attached("sh", "-c", script) as (identifier, stream):
        assert await stream.read() == frame(1, b"ready\n")
        (supervisor,) = supervisors_below(execs.rig.run)
        os.kill(supervisor.pid, signal.SIGKILL)
        await execs.rig.until(lambda: not supervisors_below(execs.rig.run))
        os.kill((await execs.info(identifier)).status.pid, signal.SIGTERM)
        assert await stream.read() == frame(1, b"bye\n")
        assert (await execs.died(identifier))[-1] == "exec_die 7"
    assert await execs.output(await execs.make("echo", "hi")) == frame(1, b"hi\n")


async def test_one_that_ends_with_its_supervisor_has_its_code(execs: Execs, tmp_path: Path) -> None:
    """Before the agent has looked."""
    async with execs.attached("sh", "-c", "read word < /gate; exit 7") as (identifier, _):
        pid = (await execs.info(identifier)).status.pid
        (supervisor,) = supervisors_below(execs.rig.run)
        with execs.rig.standing_still():
            os.kill(supervisor.pid, signal.SIGKILL)
            await execs.rig.until(lambda: procs.child_of(execs.rig.pid, pid))
            (tmp_path / "gate").write_text("\n")
            await execs.rig.until(lambda: procs.state_of(pid) == "Z")
        assert (await execs.died(identifier))[-1] == "exec_die 7"
    await execs.rig.until(lambda: procs.find(pid) is None)


@pytest.mark.parametrize("point", [Failpoint.SUPERVISOR_SPAWNED, Failpoint.SUPERVISOR_BEGUN])
async def test_a_supervisor_that_is_killed_over_a_start_is_not_noticed(
    execs: Execs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: Failpoint
) -> None:
    """What has not begun is begun by the next supervisor, and what has is the agent's: once in either case."""
    (armed := tmp_path / "points").mkdir()
    monkeypatch.setenv(VARIABLE, str(armed))
    execs.rig.end(signal.SIGKILL)
    await execs.rig.start()
    (armed / point).touch()
    identifier = await execs.make("sh", "-c", "echo ran >>/runs; cat /gate; exit 3")
    output = asyncio.ensure_future(execs.output(identifier))
    await execs.rig.until(lambda: not (armed / point).exists())
    (tmp_path / "gate").write_text("through the gate")
    assert await output == frame(1, b"through the gate")
    assert await execs.died(identifier) == life(3)
    assert await execs.output(await execs.make("cat", "/runs")) == frame(1, b"ran\n")


async def test_an_end_that_its_supervisor_has_not_written_down_yet_is_waited_for(execs: Execs, tmp_path: Path) -> None:
    async with execs.attached("sh", "-c", "read word < /gate; exit 4") as (identifier, _):
        pid = (await execs.info(identifier)).status.pid
        (supervisor,) = supervisors_below(execs.rig.run)
        execs.rig.end(signal.SIGKILL)
    os.kill(supervisor.pid, signal.SIGSTOP)
    try:
        (tmp_path / "gate").write_text("\n")
        await execs.rig.until(lambda: procs.state_of(pid) == "Z")
        execs.rig.spawn()
        await asyncio.sleep(0.5)  # the agent finds what has ended, and no exit file
    finally:
        os.kill(supervisor.pid, signal.SIGCONT)
    await execs.rig.until(execs.rig.answers)
    assert await execs.died(identifier) == life(4)
    await execs.rig.until(lambda: not list((execs.rig.run / "x").iterdir()))


async def test_one_that_outlives_agent_and_supervisor_is_adopted(execs: Execs, tmp_path: Path) -> None:
    """As after `pkill -9 -f seaway`."""
    async with execs.attached("sh", "-c", "read word < /gate; exit 4") as (identifier, _):
        pid = (await execs.info(identifier)).status.pid
        (supervisor,) = supervisors_below(execs.rig.run)
        execs.rig.end(signal.SIGKILL)
        os.kill(supervisor.pid, signal.SIGKILL)
        await execs.rig.until(lambda: not supervisors_below(execs.rig.run))
    await execs.rig.start()
    status = (await execs.info(identifier)).status
    assert (status.state, status.pid) == (ExecState.RUNNING, pid)
    (tmp_path / "gate").write_text("go\n")
    assert await execs.died(identifier) in (life(4), life(-1))
    await execs.rig.until(lambda: not list((execs.rig.run / "x").iterdir()))


async def test_more_than_the_supervisor_can_begin_at_once_wait_their_turn(execs: Execs) -> None:
    async with execs.attached("cat", attach_stdin=True):
        (supervisor,) = supervisors_below(execs.rig.run)
        identifiers = [await execs.make("echo", "hi") for _ in range(_MANY)]
        os.kill(supervisor.pid, signal.SIGSTOP)
        try:
            waiting = asyncio.gather(*map(execs.output, identifiers))
            await execs.rig.until(lambda: len(list((execs.rig.run / "x").iterdir())) == _MANY + 1)
        finally:
            os.kill(supervisor.pid, signal.SIGCONT)
        assert await waiting == [frame(1, b"hi\n")] * _MANY


async def test_who_holds_its_output_open_keeps_nobody_waiting(execs: Execs) -> None:
    assert await execs.output(await execs.make("sh", "-c", "sleep 1000 & yes & echo out")) != b""


async def test_all_of_a_long_output_comes(execs: Execs) -> None:
    found = await execs.output(await execs.make("sh", "-c", "head -c 3000000 /dev/zero; head -c 70000 /dev/zero >&2"))
    sizes = {1: 0, 2: 0}
    while found:
        size = int.from_bytes(found[4:8], "big")
        sizes[found[0]] += size
        found = found[8 + size :]
    assert sizes == {1: 3000000, 2: 70000}


async def test_its_user_may_stand_in_a_file_that_is_mounted(execs: Execs, tmp_path: Path) -> None:
    """As what serves that file may hang, it is read where nobody else waits."""
    (tmp_path / "passwd").write_text("somebody:x:4321:8765::/somewhere:/bin/sh\n")
    bind = Mount(type="bind", source=str(tmp_path / "passwd"), target="/etc/passwd")
    other = Execs(execs.rig, await execs.rig.create(execs.rig.spec("sleep", "1000", mounts=(bind,))))
    await execs.rig.start_container(other.container)
    said = await other.output(await other.make("sh", "-c", "echo $(id -u):$(id -g):$HOME", user="somebody"))
    assert said == frame(1, b"4321:8765:/somewhere\n")


async def test_its_user_may_stand_in_a_volume_that_is_its_containers_root_by_now(execs: Execs, tmp_path: Path) -> None:
    """As with what is mounted."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("somebody:x:4321:8765::/somewhere:/bin/sh\n")
    change = "mkdir /other/bin && cp /bin/busybox /other/bin/sleep && exec chroot /other /bin/sleep 1000"
    bind = Mount(type="bind", source=str(tmp_path), target="/other")
    other = Execs(execs.rig, await execs.rig.create(execs.rig.spec("sh", "-c", change, mounts=(bind,))))
    pid = (await execs.rig.start_container(other.container)).status.pid
    await execs.rig.until(lambda: not procs.has_namespace_root(pid))
    said = await other.output(await other.make("sh", "-c", "echo $(id -u):$(id -g):$HOME", user="somebody"))
    assert said == frame(1, b"4321:8765:/somewhere\n")


async def test_what_cannot_be_run_says_why_and_leaves_nothing(execs: Execs) -> None:
    said = await execs.output(await execs.make("nope"))
    assert b'exec: "nope": executable file not found in $PATH' in said
    assert said.count(b"nope") == 1
    assert not list((execs.rig.run / "x").iterdir())


async def test_the_same_command_twice_makes_one(execs: Execs) -> None:
    spec = ExecSpec(id=exec_id(execs.container, "1" * 32), args=("true",))
    for _ in range(2):
        await execs.rig.bus.call(
            catalogue.CREATE_EXEC, CreateExec(container=execs.container, spec=spec), node=execs.rig.node
        )
    await execs.output(spec.id)
    assert await execs.died(spec.id) == life(0)
    with pytest.raises(SeawayError, match="has already run"):
        await execs.rig.bus.call(catalogue.START_EXEC, StartExec(id=spec.id), node=execs.rig.node)


@pytest.mark.parametrize("attached", [False, True], ids=["its own shim", "the supervisor"])
@pytest.mark.parametrize(
    "point", [Failpoint.EXEC_RECORDED, Failpoint.EXEC_SPAWNED, Failpoint.EXEC_STARTED, Failpoint.EXEC_DIE_RECORDED]
)
async def test_a_kill_between_two_durable_steps(
    rig: AgentRig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: Failpoint, attached: bool
) -> None:
    (armed := tmp_path / "points").mkdir()
    monkeypatch.setenv(VARIABLE, str(armed))
    rig.end(signal.SIGKILL)
    await rig.start()
    container = await rig.create(rig.spec("sleep", "1000"))
    await rig.start_container(container)
    execs = Execs(rig, container)
    (armed / point).touch()
    spec = ExecSpec(id=exec_id(container, "1" * 32), args=("sh", "-c", "exit 8"), attach_stdout=True)
    calling = asyncio.ensure_future(_create_and_start(execs, spec, attached=attached))
    await rig.until(rig.ended)
    calling.cancel()
    await rig.start()
    if (await execs.info(spec.id)).status.state is ExecState.CREATED:
        await rig.bus.call(catalogue.START_EXEC, StartExec(id=spec.id), node=rig.node)
    assert await execs.died(spec.id) == life(8)
    assert (await execs.info(spec.id)).status.exit_code == 8
    await rig.until(lambda: not list((rig.run / "x").iterdir()))


async def _create_and_start(execs: Execs, spec: ExecSpec, *, attached: bool) -> None:
    rig = execs.rig
    await rig.bus.call(catalogue.CREATE_EXEC, CreateExec(container=execs.container, spec=spec), node=rig.node)
    if attached:
        await execs.output(spec.id)
        return
    await rig.bus.call(catalogue.START_EXEC, StartExec(id=spec.id), node=rig.node)
