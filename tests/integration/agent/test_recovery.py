"""The agent is killed; its containers go on, and the next agent knows everything."""

import asyncio
import json
import os
import signal
import socket
from pathlib import Path

import pytest
from tests.integration.agent.rig import AgentRig

from seaway_agent.kernel import procs
from seaway_agent.runtime.shims import end_with_children, shims_below
from seaway_bus.bus import Command
from seaway_contracts import catalogue
from seaway_contracts.commands import (
    UpdateContainer,
)
from seaway_contracts.containers import (
    Mount,
    PortBinding,
    RestartPolicy,
    State,
)
from seaway_testing.builders import networking

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


@pytest.mark.parametrize(
    ("runtime", "file", "key"), [("crun", "status", "pid"), ("runc", "state.json", "init_process_pid")]
)
async def test_another_process_under_the_number_of_before_is_left_alone(
    rig: AgentRig, runtime: str, file: str, key: str
) -> None:
    """The numbers of processes come again: which one is meant, its start time tells."""
    container = await rig.create(rig.spec("sleep", "600", runtime=runtime))
    await rig.start_container(container)
    (shim,) = shims_below(rig.run).values()
    rig.end(signal.SIGKILL)
    end_with_children(shim)
    other = await asyncio.create_subprocess_exec("sleep", "600")
    try:
        state = rig.run / runtime / container / file
        state.write_text(json.dumps(json.loads(state.read_text()) | {key: other.pid}))
        await rig.start()
        assert (await rig.died(container)).status.state is State.EXITED
        await rig.remove(container)
        assert other.returncode is None
    finally:
        other.kill()
        assert await other.wait() == -signal.SIGKILL
    assert rig.told(container) == ["create", "start", "die", "destroy"]


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


async def test_a_killed_shim_leaves_the_code_to_the_agent(rig: AgentRig, tmp_path: Path) -> None:
    """Also of one that ends before the agent has looked."""
    os.mkfifo(tmp_path / "gate")
    bind = Mount(type="bind", source=str(tmp_path / "gate"), target="/gate")
    container = await rig.create(rig.spec("sh", "-c", "read word < /gate; exit 7", mounts=(bind,)))
    pid = (await rig.start_container(container)).status.pid
    (shim,) = shims_below(rig.run).values()
    with rig.standing_still():
        os.kill(shim.pid, signal.SIGKILL)
        await rig.until(lambda: procs.child_of(rig.pid, pid))
        (tmp_path / "gate").write_text("\n")
        await rig.until(lambda: procs.state_of(pid) == "Z")
    assert (await rig.died(container)).status.exit_code == 7
    await rig.until(lambda: procs.find(pid) is None)


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
    network = networking(ports=(PortBinding(container_port=8080, host_ip="127.0.0.1"),))
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
