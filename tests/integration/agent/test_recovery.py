"""The agent is killed; its containers go on, and the next agent knows everything."""

import asyncio
import contextlib
import os
import signal
import socket
import sqlite3
import subprocess
from pathlib import Path

import pytest
from tests.integration.agent.rig import APPLETS, AgentRig

from seaway_agent.kernel import procs
from seaway_agent.runtime.shims import shims_below
from seaway_bus.bus import Command
from seaway_contracts import catalogue
from seaway_contracts.archives import CommitContainer, ImageOrder
from seaway_contracts.channels import CallChannel
from seaway_contracts.commands import (
    ContainerId,
    CreateContainer,
    ListInventory,
    RemoveContainer,
    StatusReply,
    UpdateContainer,
)
from seaway_contracts.containers import (
    ContainerSpec,
    ContainerStatus,
    Link,
    Mount,
    NetworkSpec,
    PortBinding,
    RestartPolicy,
    Security,
    State,
)
from seaway_contracts.lifecycle import volume_id
from seaway_kit.failpoints import Failpoint

pytestmark = pytest.mark.root


async def test_a_running_container_goes_on_and_is_adopted(rig: AgentRig) -> None:
    container = await rig.create(rig.spec("sleep", "60", net="bridge"))
    before = (await rig.start_container(container)).status
    rig.end(signal.SIGKILL)
    os.kill(before.pid, 0)
    await rig.start()
    status = (await rig.inventory())[container].status
    assert (status.state, status.pid, status.endpoints) == (State.RUNNING, before.pid, before.endpoints)
    await rig.stop(container, timeout_s=0)
    assert (await rig.died(container)).status.exit_code == 137
    assert rig.told(container).count("start") == 1


async def test_ends_while_the_agent_is_dead_are_told_once_with_the_right_code(rig: AgentRig, tmp_path: Path) -> None:
    codes = {}
    for code in (0, 7, 42):
        gate = tmp_path / f"gate{code}"
        os.mkfifo(gate)
        bind = Mount(type="bind", source=str(gate), target="/gate")
        container = await rig.create(rig.spec("sh", "-c", f"cat /gate; exit {code}", mounts=(bind,)))
        await rig.start_container(container)
        codes[container] = (code, gate)
    rig.end(signal.SIGKILL)
    for _, gate in codes.values():
        gate.write_text("go")
    await rig.until(lambda: not rig.shims())
    await rig.start()
    for container, (code, _) in codes.items():
        assert (await rig.died(container)).status.exit_code == code
        assert rig.told(container) == ["create", "start", "die"]


async def test_restart_policy_goes_on_after_the_agent_is_back(rig: AgentRig) -> None:
    spec = rig.spec("sleep", "0.3", restart=RestartPolicy(name="always"))
    await rig.create(spec)
    await rig.start_container(spec.id)
    rig.end(signal.SIGKILL)
    await rig.until(lambda: not rig.shims())
    await rig.start()
    await rig.died(spec.id, times=2)
    told = rig.told(spec.id)
    assert told[:5] == ["create", "start", "die", "start", "die"]


async def test_published_ports_work_after_the_agent_is_back(rig: AgentRig) -> None:
    network = NetworkSpec(mode="bridge", ports=(PortBinding(container_port=8080, host_ip="127.0.0.1"),))
    serve = "while true; do echo hello | nc -l -p 8080; done"
    container = await rig.create(rig.spec("busybox", "sh", "-c", serve.replace("nc", "busybox nc"), network=network))
    port = (await rig.start_container(container)).status.ports[0].host_port

    def says() -> bool:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
                return connection.recv(10) == b"hello\n"
        except OSError:
            return False

    await rig.until(says)
    rig.end(signal.SIGKILL)
    await rig.until(says)
    await rig.start()
    await rig.until(says)


async def test_kills_at_any_moment_lose_and_double_nothing(rig: AgentRig) -> None:
    for pause in (0.0, 0.004, 0.008, 0.012, 0.02):
        spec = rig.spec("sh", "-c", "exit 5")
        await rig.create(spec)
        starting = asyncio.ensure_future(rig.start_container(spec.id))
        await asyncio.sleep(pause)
        rig.end(signal.SIGKILL)
        starting.cancel()
        await rig.start()
        status = (await rig.inventory())[spec.id].status
        if status.state is State.CREATED:
            await rig.start_container(spec.id)
        await rig.died(spec.id)
        told = rig.told(spec.id)
        assert told == ["create", "start", "die"], (pause, rig.story(spec.id))
        assert (await rig.inventory())[spec.id].status.exit_code == 5


async def test_a_program_of_runc_that_has_begun_is_adopted_though_its_gate_still_stands(
    rig: AgentRig, tmp_path: Path
) -> None:
    """Killed between init's word and the gate's removal: the test plays the part of the agent that is stopped."""
    for script, ends in (("echo once; cat", False), ("echo once; exit 6", True)):
        spec = rig.spec("sh", "-c", script, runtime="runc", command=None)
        spec = spec.model_copy(update={"command": spec.command.model_copy(update={"open_stdin": not ends})})
        await rig.create(spec)
        starting = asyncio.ensure_future(rig.start_container(spec.id))
        gate = rig.run / "runc" / spec.id / "exec.fifo"
        await rig.until(gate.exists)
        os.kill(rig.pid, signal.SIGSTOP)
        assert gate.exists()
        assert await asyncio.to_thread(gate.read_bytes) == b"0"
        await rig.until(lambda: rig.output(spec.id) == "once\n")  # noqa: B023
        if ends:
            await rig.until(lambda: not rig.shims())
        starting.cancel()
        rig.end(signal.SIGKILL)
        await rig.start()
        assert not gate.exists()
        if not ends:
            assert (await rig.inventory())[spec.id].status.state is State.RUNNING
            await rig.stop(spec.id, timeout_s=0)
        assert (await rig.died(spec.id)).status.exit_code == (6 if ends else 137)
        assert rig.told(spec.id)[:2] == ["create", "start"] and rig.told(spec.id).count("die") == 1
        assert rig.output(spec.id) == "once\n"
        await rig.remove(spec.id)


async def test_a_start_of_runc_that_had_not_begun_is_undone(rig: AgentRig) -> None:
    spec = rig.spec("echo", "once", runtime="runc")
    await rig.create(spec)
    starting = asyncio.ensure_future(rig.start_container(spec.id))
    gate = rig.run / "runc" / spec.id / "exec.fifo"
    await rig.until(gate.exists)
    os.kill(rig.pid, signal.SIGSTOP)
    starting.cancel()
    rig.end(signal.SIGKILL)
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
    assert rig.told(volume_id(volume.source)) == ["create", *(["destroy"] if volumes else [])]
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


@pytest.mark.parametrize(
    "point", [Failpoint.CREATE_VOLUMES, Failpoint.CREATE_UPPER, Failpoint.VOLUME_COPIED, Failpoint.VOLUME_FILLED]
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
    assert [path.name for path in (volumes / "there").iterdir()] == ["_data"]
    held = {path.name for path in (volumes / "there/_data").iterdir()}
    assert held == ({"busybox", *APPLETS} if point is Failpoint.VOLUME_FILLED else set())
    assert [path.name for path in (places / "containers").glob("[0-9a-f]*")] == [before]
    await rig.create(spec, command)
    assert {path.name for path in (volumes / "there/_data").iterdir()} == {"busybox", *APPLETS}
    assert {path.name for path in volumes.iterdir()} == {"there", "new", "b" * 64}


def numbered(spec: ContainerSpec, first: str) -> ContainerSpec:
    """With an id that begins so: recovery looks at containers in the order of their ids."""
    return spec.model_copy(update={"id": first + spec.id[len(first) :]})


def host_veth_of(pid: int) -> str:
    """The host's end of a process's eth0."""
    shown = subprocess.run(
        ["nsenter", "-t", str(pid), "-n", "ip", "-o", "link", "show", "eth0"],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    index = shown.split("eth0@if", 1)[1].split(":", 1)[0]
    indexes = Path("/sys/class/net").glob("*/ifindex")
    return next(path.parent.name for path in indexes if path.read_text() == f"{index}\n")


async def test_what_lives_keeps_its_address_and_ports_while_others_are_started_again(
    rig: AgentRig, tmp_path: Path
) -> None:
    """One ends and is started again by its policy; the shim of the next one takes long to say how that ended; the last
    one lives, and was the first to get an address.
    """
    network = NetworkSpec(mode="bridge", ports=(PortBinding(container_port=8080, host_ip="127.0.0.1"),))
    serve = "while true; do echo hello | busybox nc -l -p 8080; done"
    lives = await rig.create(numbered(rig.spec("sh", "-c", serve, network=network), "22"))
    status = (await rig.start_container(lives)).status
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    bind, policy = Mount(type="bind", source=str(gate), target="/gate"), RestartPolicy(name="always")
    again = rig.spec("sh", "-c", "cat /gate; exit 1", net="bridge", mounts=(bind,), restart=policy)
    comes_back = await rig.create(numbered(again, "00"))
    await rig.start_container(comes_back)
    slow = await rig.create(numbered(rig.spec("sleep", "600"), "11"))
    pid = (await rig.start_container(slow)).status.pid
    shim = shims_below(rig.run)[slow].pid
    veth = host_veth_of(status.pid)

    rig.end(signal.SIGKILL)
    os.kill(shim, signal.SIGSTOP)
    os.kill(pid, signal.SIGKILL)
    gate.write_text("go")
    await rig.until(lambda: comes_back not in shims_below(rig.run))
    await rig.start()
    await rig.until(lambda: rig.told(comes_back).count("start") == 2)
    assert (Path("/sys/class/net") / veth).exists()
    held = await rig.inventory()
    assert held[lives].status.endpoints == status.endpoints
    assert held[comes_back].status.endpoints[0].address != status.endpoints[0].address
    with socket.create_connection(("127.0.0.1", status.ports[0].host_port), timeout=5) as connection:
        assert connection.recv(10) == b"hello\n"
    assert rig.told(slow) == ["create", "start"], "its shim has said nothing yet"
    os.kill(shim, signal.SIGCONT)
    assert (await rig.died(slow)).status.exit_code == 137


async def test_a_container_that_has_changed_its_own_address_keeps_its_network(rig: AgentRig) -> None:
    ip = "busybox ip addr flush dev eth0; busybox ip addr add 10.9.9.9/24 dev eth0; echo done; sleep 600"
    powers = Security(cap_add=("NET_ADMIN",))
    container = await rig.create(rig.spec("sh", "-c", ip, net="bridge", security=powers))
    status = (await rig.start_container(container)).status
    await rig.until(lambda: rig.output(container) == "done\n")
    veth = host_veth_of(status.pid)
    rig.end(signal.SIGKILL)
    await rig.start()
    assert (Path("/sys/class/net") / veth).exists()
    other = await rig.create(rig.spec("sleep", "600", net="bridge"))
    theirs = (await rig.start_container(other)).status
    assert theirs.endpoints[0].address != status.endpoints[0].address


def beats(rig: AgentRig, container: str) -> int:
    return len(rig.output(container))


BEATS = ("sh", "-c", "while :; do echo; sleep 0.01; done")


async def goes_on(rig: AgentRig, container: str) -> None:
    heard = beats(rig, container)
    await rig.until(lambda: beats(rig, container) > heard)


async def test_a_pause_that_was_not_written_down_is_undone(rig: AgentRig, tmp_path: Path) -> None:
    armed = await rig.start_armed(tmp_path / "failpoints")
    container = await rig.create(rig.spec(*BEATS))
    await rig.start_container(container)
    (armed / Failpoint.PAUSE_FROZEN).touch()
    pausing = asyncio.ensure_future(rig.bus.call(catalogue.PAUSE, ContainerId(id=container), node=rig.node))
    await rig.until(rig.ended)
    pausing.cancel()
    rig.end(signal.SIGKILL)
    await rig.start()
    await goes_on(rig, container)
    assert (await rig.inventory())[container].status.state is State.RUNNING
    await rig.stop(container, timeout_s=0)
    assert "pause" not in rig.told(container)


@pytest.mark.parametrize("point", [Failpoint.PAUSE_FROZEN, Failpoint.PAUSE_RECORDED])
async def test_a_pause_that_is_asked_for_again_is_had_once(rig: AgentRig, tmp_path: Path, point: Failpoint) -> None:
    armed = await rig.start_armed(tmp_path / "failpoints")
    container = await rig.create(rig.spec("sleep", "600"))
    await rig.start_container(container)
    assert (await asked_of_two_agents(rig, catalogue.PAUSE, container, armed / point)).state is State.PAUSED
    assert rig.told(container) == ["create", "start", "pause"]


async def asked_of_two_agents(
    rig: AgentRig, what: CallChannel[ContainerId, StatusReply], container: str, point: Path
) -> ContainerStatus:
    """What the second agent answers to a command in which the first one has died."""
    command, asked = Command.new(), ContainerId(id=container)
    point.touch()
    first = asyncio.ensure_future(rig.bus.call(what, asked, node=rig.node, command=command))
    await rig.until(rig.ended)
    first.cancel()
    rig.end(signal.SIGKILL)
    await rig.start()
    return (await rig.bus.call(what, asked, node=rig.node, command=command)).status


async def test_an_unpause_that_was_written_down_is_carried_out(rig: AgentRig, tmp_path: Path) -> None:
    armed = await rig.start_armed(tmp_path / "failpoints")
    container = await rig.create(rig.spec(*BEATS))
    await rig.start_container(container)
    await rig.bus.call(catalogue.PAUSE, ContainerId(id=container), node=rig.node)
    status = await asked_of_two_agents(rig, catalogue.UNPAUSE, container, armed / Failpoint.UNPAUSE_RECORDED)
    assert status.state is State.RUNNING
    await goes_on(rig, container)
    assert rig.told(container) == ["create", "start", "pause", "unpause"]


async def test_what_was_paused_for_a_commit_goes_on_when_that_agent_is_dead(rig: AgentRig, tmp_path: Path) -> None:
    armed = await rig.start_armed(tmp_path / "failpoints")
    container = await rig.create(rig.spec(*BEATS))
    await rig.start_container(container)
    (armed / Failpoint.COMMIT_PAUSED).touch()
    asked = CommitContainer(id=container, order=ImageOrder(image="sha256:0"))
    committing = asyncio.ensure_future(rig.bus.call(catalogue.COMMIT, asked, node=rig.node))
    await rig.until(rig.ended)
    committing.cancel()
    rig.end(signal.SIGKILL)
    await rig.start()
    await goes_on(rig, container)
    await rig.wait_for(container, "unpause")
    assert rig.told(container) == ["create", "start", "pause", "unpause"]


async def test_the_next_agent_knows_what_was_answered_though_the_container_is_gone(rig: AgentRig) -> None:
    spec = rig.spec("true", auto_remove=True)
    creation, start = Command.new(), Command.new()
    await rig.create(spec, creation)
    begun = await rig.start_container(spec.id, start)
    await rig.wait_for(spec.id, "destroy")
    rig.end(signal.SIGKILL)
    await rig.start()
    assert await rig.start_container(spec.id, start) == begun
    await rig.create(spec, creation)
    assert await rig.inventory() == {}, "a late repeat makes no ghost"


async def test_an_update_is_not_repeated_over_a_later_one(rig: AgentRig) -> None:
    container = await rig.create(rig.spec("true"))
    first, asked = Command.new(), UpdateContainer(id=container, restart=RestartPolicy(name="always"))
    await rig.bus.call(catalogue.UPDATE, asked, node=rig.node, command=first)
    later = UpdateContainer(id=container, restart=RestartPolicy(name="no"))
    await rig.bus.call(catalogue.UPDATE, later, node=rig.node)
    rig.end(signal.SIGKILL)
    await rig.start()
    await rig.bus.call(catalogue.UPDATE, asked, node=rig.node, command=first)
    assert (await rig.inventory())[container].spec.restart.name == "no"


async def test_after_a_reboot_who_needs_another_one_is_started_behind_it(rig: AgentRig) -> None:
    always = RestartPolicy(name="always")
    host = await rig.create(numbered(rig.spec("sleep", "600", net="bridge", restart=always), "22"))
    guest = await rig.create(numbered(rig.spec("sleep", "600", net=f"container:{host}", restart=always), "11"))
    link = NetworkSpec(mode="bridge", links=(Link(container=host, name="host", alias="h"),))
    linked = await rig.create(numbered(rig.spec("sleep", "600", network=link, restart=always), "00"))
    for container in (host, guest, linked):
        await rig.start_container(container)
    rig.cut_power()
    await rig.start()
    for container in (host, guest, linked):
        assert (await rig.died(container)).status.exit_code == 255
        await rig.until(lambda: rig.told(container).count("start") == 2, lambda: rig.story(container))  # noqa: B023
        assert (await rig.inventory())[container].status.state is State.RUNNING


async def test_what_a_power_cut_took_from_the_database_is_known_from_the_stream(rig: AgentRig, tmp_path: Path) -> None:
    """An older copy of the database plays the part of commits that never reached the disk."""
    database, copy = rig.root / "agent" / rig.node / "agent.db", tmp_path / "copy.db"
    ran, removed, changed = [await rig.create(rig.spec("sleep", "600")) for _ in range(3)]
    with contextlib.closing(sqlite3.connect(database)) as db, contextlib.closing(sqlite3.connect(copy)) as kept:
        db.backup(kept)
    await rig.start_container(ran)
    await rig.remove(removed)
    asked = UpdateContainer(id=changed, restart=RestartPolicy(name="on-failure"))
    await rig.bus.call(catalogue.UPDATE, asked, node=rig.node)
    for container, action in ((ran, "start"), (removed, "destroy"), (changed, "update")):
        await rig.wait_for(container, action)

    rig.cut_power()
    for path in database.parent.glob("agent.db*"):
        path.unlink()
    copy.rename(database)
    await rig.start()
    assert (await rig.died(ran)).status.exit_code == 255
    held = await rig.inventory()
    assert set(held) == {ran, changed}
    assert held[changed].spec.restart.name == "on-failure"
    await rig.start_container(ran)
    await rig.until(lambda: rig.told(ran) == ["create", "start", "die", "start"])
    numbers = [event.envelope.seq for event in rig.events if event.envelope.subject_id == ran]
    assert numbers == sorted(set(numbers)), "what is told later counts as newer"


@pytest.mark.parametrize("policy", ["no", "always"])
async def test_a_container_that_a_power_cut_took_from_the_database_comes_back_from_its_record(
    rig: AgentRig, tmp_path: Path, policy: str
) -> None:
    """The test plays metadata, which finds a record that the node doesn't know any more."""
    database, copy = rig.root / "agent" / rig.node / "agent.db", tmp_path / "copy.db"
    with contextlib.closing(sqlite3.connect(database)) as db, contextlib.closing(sqlite3.connect(copy)) as kept:
        db.backup(kept)
    spec = rig.spec("sleep", "600", restart=RestartPolicy.model_validate({"name": policy}))
    await rig.create(spec)
    former = (await rig.start_container(spec.id)).status
    await rig.wait_for(spec.id, "start")
    rig.cut_power()
    for path in database.parent.glob("agent.db*"):
        path.unlink()
    copy.rename(database)
    await rig.start()
    held = await rig.bus.call(catalogue.INVENTORY, ListInventory(), node=rig.node)
    assert held.forgetful and not held.containers
    await rig.bus.call(catalogue.CREATE, CreateContainer(spec=spec, former=former), node=rig.node)
    assert (await rig.died(spec.id)).status.exit_code == 255
    if policy == "no":
        await rig.start_container(spec.id)
    await rig.until(lambda: rig.told(spec.id) == ["create", "start", "die", "start"])
    numbers = [event.envelope.seq for event in rig.events if event.envelope.subject_id == spec.id]
    assert numbers == sorted(set(numbers))
    rig.end(signal.SIGKILL)
    await rig.start()
    assert (await rig.inventory())[spec.id].status.state is State.RUNNING, "it was written down"
