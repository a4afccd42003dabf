"""The next agent after a kill: addresses, ports and interfaces of what lives."""

import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from tests.integration.agent.rig import AgentRig, numbered

from seaway_agent.runtime.shims import shims_below
from seaway_contracts.containers import (
    Mount,
    PortBinding,
    RestartPolicy,
    Security,
)
from seaway_testing.builders import networking

pytestmark = pytest.mark.root


def host_veth_of(pid: int) -> str:
    """The host's end of a process's eth0."""
    shown = subprocess.run(
        ["nsenter", "-t", str(pid), "-n", "ip", "-o", "link", "show", "eth0"],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    index = shown.split("eth0@if", 1)[1].split(":", 1)[0]
    return socket.if_indextoname(int(index))


def links() -> set[str]:
    """Of the test's network namespace: /sys may show another one's."""
    return {name for _, name in socket.if_nameindex()}


async def test_what_lives_keeps_its_address_and_ports_while_others_are_started_again(
    rig: AgentRig, tmp_path: Path
) -> None:
    """One ends and is started again by its policy; the shim of the next one takes long to say how that ended; the last
    one lives, and was the first to get an address.
    """
    network = networking(ports=(PortBinding(container_port=8080, host_ip="127.0.0.1"),))
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
    assert veth in links()
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
    assert veth in links()
    other = await rig.create(rig.spec("sleep", "600", net="bridge"))
    theirs = (await rig.start_container(other)).status
    assert theirs.endpoints[0].address != status.endpoints[0].address
