"""The agent is killed in the middle of a start, a removal, a stop, a create: the next one finishes or undoes it."""

import asyncio
import contextlib
import signal
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from tests.integration.agent.rig import APPLETS, AgentRig

from seaway_agent.kernel import procs
from seaway_bus.bus import Command
from seaway_contracts import catalogue
from seaway_contracts.channels import CallChannel
from seaway_contracts.commands import (
    KillContainer,
    RemoveContainer,
    StopContainer,
)
from seaway_contracts.containers import (
    ContainerSpec,
    Mount,
    State,
)
from seaway_contracts.lifecycle import volume_subject
from seaway_kit.failpoints import Failpoint

pytestmark = pytest.mark.root


async def killed_before_the_gate(rig: AgentRig, armed: Path, spec: ContainerSpec) -> Path:
    """Begin to start a container of runc; the agent is killed when init waits at the gate, which is given."""
    await rig.create(spec)
    (armed / Failpoint.START_CREATED).touch()
    starting = asyncio.ensure_future(rig.start_container(spec.id))
    await rig.until(rig.ended)
    starting.cancel()
    rig.end(signal.SIGKILL)
    gate = rig.run / "runc" / spec.id / "exec.fifo"
    assert gate.exists()
    return gate


async def test_a_program_of_runc_that_has_begun_is_adopted_though_its_gate_still_stands(
    rig: AgentRig, tmp_path: Path
) -> None:
    """Killed between init's word and the gate's removal: the test reads the word in place of the agent."""
    armed = await rig.start_armed(tmp_path / "failpoints")
    for script, ends in (("echo once; cat", False), ("echo once; exit 6", True)):
        spec = rig.spec("sh", "-c", script, runtime="runc", command=None)
        spec = spec.model_copy(update={"command": spec.command.model_copy(update={"open_stdin": not ends})})
        gate = await killed_before_the_gate(rig, armed, spec)
        assert await asyncio.to_thread(gate.read_bytes) == b"0"
        await rig.until(lambda: rig.output(spec.id) == "once\n")  # noqa: B023
        if ends:
            await rig.until(lambda: not rig.shims())
        await rig.start()
        assert not gate.exists()
        if not ends:
            assert (await rig.inventory())[spec.id].status.state is State.RUNNING
            await rig.stop(spec.id, timeout_s=0)
        assert (await rig.died(spec.id)).status.exit_code == (6 if ends else 137)
        assert rig.told(spec.id)[:2] == ["create", "start"] and rig.told(spec.id).count("die") == 1
        assert rig.output(spec.id) == "once\n"
        await rig.remove(spec.id)


async def test_a_start_of_runc_that_had_not_begun_is_undone(rig: AgentRig, tmp_path: Path) -> None:
    armed = await rig.start_armed(tmp_path / "failpoints")
    spec = rig.spec("echo", "once", runtime="runc")
    gate = await killed_before_the_gate(rig, armed, spec)
    await rig.start()
    assert (await rig.inventory())[spec.id].status.state is State.CREATED
    assert not gate.exists() and rig.shims() == []
    await rig.start_container(spec.id)
    await rig.died(spec.id)
    assert rig.told(spec.id) == ["create", "start", "die"]
    assert rig.output(spec.id) == "once\n"


@pytest.mark.parametrize("runtime", ["crun", "runc"])
async def test_runs_that_belong_to_no_container_are_swept(rig: AgentRig, runtime: str) -> None:
    """As where the agent's database was lost or restored from an older copy."""
    container = await rig.create(rig.spec("sleep", "600", net="bridge", runtime=runtime))
    pid = (await rig.start_container(container)).status.pid
    rig.end(signal.SIGTERM)
    with contextlib.closing(sqlite3.connect(rig.root / "agent" / rig.node / "agent.db")) as db, db:
        db.execute("DELETE FROM container")
    state_alone = rig.run / runtime / ("ab" * 32)
    state_alone.mkdir()
    await rig.start()
    started = procs.start_time(pid)
    assert started is None or not procs.alive(pid, started)
    assert list(rig.run.glob(f"*/{container}")) == []
    assert not state_alone.exists()


@pytest.mark.parametrize(
    ("point", "volumes"),
    [(Failpoint.REMOVE_UPPER, True), (Failpoint.REMOVE_UPPER, False), (Failpoint.REMOVE_VOLUMES, True)],
)
async def test_a_removal_that_was_interrupted_remembers_whether_volumes_go(
    rig: AgentRig, tmp_path: Path, point: Failpoint, volumes: bool
) -> None:
    armed = await rig.start_armed(tmp_path / "failpoints")
    volume = Mount(type="volume", source=f"v{rig.node}", target="/data", anonymous=True)
    container = await rig.create(rig.spec("true", mounts=(volume,)))
    data = rig.root / "agent" / rig.node / "volumes" / volume.source
    assert data.is_dir()
    (armed / point).touch()
    asked = RemoveContainer(id=container, volumes=volumes)
    removing = asyncio.ensure_future(rig.bus.call(catalogue.REMOVE, asked, node=rig.node))
    await rig.until(rig.ended)
    removing.cancel()
    rig.end(signal.SIGKILL)
    assert data.is_dir() is (point is Failpoint.REMOVE_UPPER)
    await rig.start()
    await rig.wait_for(container, "destroy")
    assert data.exists() is not volumes
    assert rig.told(volume_subject(volume.source)) == ["create", *(["destroy"] if volumes else [])]
    assert container not in await rig.inventory()


async def test_a_stop_that_the_agent_did_not_live_to_finish_is_answered_by_the_next(
    rig: AgentRig, tmp_path: Path
) -> None:
    """The caller asks again by itself, with the same command."""
    armed = await rig.start_armed(tmp_path / "failpoints")
    container = await rig.create(rig.spec("sleep", "600"))
    await rig.start_container(container)
    (armed / Failpoint.STOP_SIGNALLED).touch()
    stopping = asyncio.ensure_future(rig.stop(container, timeout_s=1))
    await rig.until(rig.ended)
    rig.end(signal.SIGKILL)
    await rig.start()
    assert (await stopping).status.state is State.EXITED
    assert rig.told(container).count("die") == 1


@pytest.mark.parametrize("point", [Failpoint.TEARDOWN_CGROUPS, Failpoint.TEARDOWN_FILES, Failpoint.TEARDOWN_RUN])
async def test_a_teardown_that_was_interrupted_is_finished(rig: AgentRig, tmp_path: Path, point: Failpoint) -> None:
    armed = await rig.start_armed(tmp_path / "failpoints")
    container = await rig.create(rig.spec("true"))
    (armed / point).touch()
    starting = asyncio.ensure_future(rig.start_container(container))
    await rig.until(rig.ended)
    starting.cancel()
    rig.end(signal.SIGKILL)
    await rig.start()
    assert (await rig.inventory())[container].status.state is State.EXITED
    assert list(rig.run.rglob(container)) == []
    await rig.wait_for(container, "die")
    assert rig.told(container) == ["create", "start", "die"]


@pytest.mark.parametrize(
    "point",
    [
        Failpoint.CREATE_VOLUMES,
        Failpoint.CREATE_UPPER,
        Failpoint.VOLUME_COPIED,
        Failpoint.VOLUME_FILLED,
        Failpoint.VOLUME_HALF_MOVED,
        Failpoint.VOLUME_MOVED,
    ],
)
async def test_volumes_of_a_create_that_was_interrupted_are_swept(
    rig: AgentRig, tmp_path: Path, point: Failpoint
) -> None:
    """And a volume that was there is as it was, or has the whole of the image's content."""
    armed = await rig.start_armed(tmp_path / "failpoints")
    places = rig.root / "agent" / rig.node
    before = await rig.create(rig.spec("true", mounts=(Mount(type="volume", source="there", target="/nothing"),)))
    (armed / point).touch()
    mounts = (
        Mount(type="volume", source="there", target="/bin"),
        Mount(type="volume", source="new", target="/new"),
        Mount(type="volume", source="b" * 64, target="/anonymous", anonymous=True),
    )
    spec = rig.spec("true", mounts=mounts)
    command = Command.new()
    creating = asyncio.ensure_future(rig.create(spec, command))
    await rig.until(rig.ended)
    creating.cancel()
    rig.end(signal.SIGKILL)
    await rig.start()
    assert set(await rig.inventory()) == {before}
    volumes = places / "volumes"
    await rig.until(lambda: [path.name for path in volumes.iterdir()] == ["there"])
    assert {path.name for path in (volumes / "there").iterdir()} == {"_data", "volume.json"}
    held = {path.name for path in (volumes / "there/_data").iterdir()}
    complete = point in (Failpoint.VOLUME_FILLED, Failpoint.VOLUME_HALF_MOVED, Failpoint.VOLUME_MOVED)
    assert held == ({"busybox", *APPLETS} if complete else set())
    assert [path.name for path in (places / "containers").glob("[0-9a-f]*")] == [before]
    await rig.create(spec, command)
    assert {path.name for path in (volumes / "there/_data").iterdir()} == {"busybox", *APPLETS}
    assert {path.name for path in volumes.iterdir()} == {"there", "new", "b" * 64}


DEAF = ("sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done")
OBEDIENT = ("sh", "-c", "trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done")


async def running(rig: AgentRig, *args: str) -> str:
    container = await rig.create(rig.spec(*args))
    await rig.start_container(container)
    return container


async def interrupted(
    rig: AgentRig, armed: Path, container: str, channel: CallChannel[Any, Any], asked: Any
) -> Command:
    """The agent is killed when it has sent the signal; its caller goes too. The command."""
    await rig.until(lambda: rig.output(container).endswith("ready\n"))
    (armed / Failpoint.STOP_SIGNALLED).touch()
    command = Command.new()
    asking = asyncio.ensure_future(rig.bus.call(channel, asked, node=rig.node, command=command))
    await rig.until(rig.ended)
    asking.cancel()
    rig.end(signal.SIGKILL)
    return command


async def test_a_stop_goes_on_though_nobody_asks_again(rig: AgentRig, tmp_path: Path) -> None:
    armed = await rig.start_armed(tmp_path / "failpoints")
    container = await running(rig, *DEAF)
    await interrupted(rig, armed, container, catalogue.STOP, StopContainer(id=container, timeout_s=2))
    await rig.start()
    assert (await rig.died(container)).status.exit_code == 137
    assert rig.told(container) == ["create", "start", "kill", "kill", "stop", "die"]


async def test_a_restart_goes_on_though_nobody_asks_again(rig: AgentRig, tmp_path: Path) -> None:
    armed = await rig.start_armed(tmp_path / "failpoints")
    container = await running(rig, *OBEDIENT)
    await interrupted(rig, armed, container, catalogue.RESTART, StopContainer(id=container))
    await rig.until(lambda: not rig.shims())
    await rig.start()
    await rig.wait_for(container, "restart")
    assert rig.told(container) == ["create", "start", "kill", "stop", "die", "start", "restart"]
    assert (await rig.inventory())[container].status.state is State.RUNNING


async def test_a_forced_removal_goes_on_though_nobody_asks_again(rig: AgentRig, tmp_path: Path) -> None:
    armed = await rig.start_armed(tmp_path / "failpoints")
    container = await running(rig, *DEAF)
    await interrupted(rig, armed, container, catalogue.REMOVE, RemoveContainer(id=container, force=True))
    await rig.start()
    await rig.wait_for(container, "destroy")
    assert rig.told(container) == ["create", "start", "kill", "die", "destroy"]


@pytest.mark.parametrize("asked", ["stop", "kill"])
async def test_who_asks_again_for_what_ended_meanwhile_hears_that_it_is_done(
    rig: AgentRig, tmp_path: Path, asked: str
) -> None:
    armed = await rig.start_armed(tmp_path / "failpoints")
    container = await running(rig, *OBEDIENT)
    channel, request = {
        "stop": (catalogue.STOP, StopContainer(id=container)),
        "kill": (catalogue.KILL, KillContainer(id=container, signal="SIGKILL")),
    }[asked]
    command = await interrupted(rig, armed, container, channel, request)
    await rig.until(lambda: not rig.shims())
    await rig.start()
    reply = await rig.bus.call(channel, request, node=rig.node, command=command)
    assert (reply.status.state, reply.status.exit_code) == (State.EXITED, {"stop": 5, "kill": 137}[asked])
    await rig.died(container)
    assert rig.told(container) == ["create", "start", "kill", *(["stop"] if asked == "stop" else []), "die"]
