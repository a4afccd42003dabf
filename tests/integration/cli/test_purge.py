"""`seaway purge` of an agent that no suite started."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.integration.agent.rig import AgentRig, Blobs

from seaway_agent.kernel.cgroups import host_layout
from seaway_agent.node.purge import purge
from seaway_agent.settings import AgentSettings
from seaway_bus.bus import Bus
from seaway_contracts.containers import RestartPolicy
from seaway_kit.tasks import Tasks

pytestmark = pytest.mark.root


@pytest.fixture
async def rig(tmp_path: Path, nats_url: str) -> AsyncIterator[AgentRig]:
    """A started agent; what the test doesn't purge is purged at the end."""
    tasks = Tasks("rig")
    bus = await Bus.connect(nats_url, name="rig")
    await bus.prepare()
    blobs = Blobs()
    await blobs.start(bus)
    rig = AgentRig(tmp_path, nats_url, bus, blobs, tasks)
    try:
        await rig.start()
        yield rig
    finally:
        rig.end(signal.SIGTERM)
        await asyncio.to_thread(
            purge, AgentSettings(root=rig.root, run=tmp_path / "run", node=rig.node, suite=rig.suite)
        )
        await blobs.close()
        await tasks.close()
        await bus.close()


def seaway_purge(base: Path) -> subprocess.CompletedProcess[str]:
    words = [str(Path(sys.executable).parent / "seaway"), "purge", "--root", f"{base}/root", "--run", f"{base}/run"]
    return subprocess.run(words, capture_output=True, text=True, timeout=90)


def left(rig: AgentRig) -> dict[str, list[str]]:
    """All that there is of the agent, by kind."""
    cgroups = [path for path in host_layout().directories(f"/seaway/{rig.suite}") if os.path.exists(path)]
    mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(rig.base) in line]
    links = _said("ip", "-o", "link").splitlines()
    tables = _said("nft", "list", "tables").splitlines()
    return {
        "cgroups": cgroups,
        "mounts": mounts,
        "links": [line for line in links if rig.suite in line],
        "tables": [line for line in tables if rig.suite in line],
        "processes": _processes(rig),
        "files": [str(path) for part in ("root", "run") for path in (rig.base / part).glob("**/*")],
    }


def _said(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def _processes(rig: AgentRig) -> list[str]:
    """Those that name the agent's directories, live in one of its cgroups, or are its own."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                groups = (entry / "cgroup").read_text()
            except OSError:
                continue
            if str(rig.base) in words or f"/seaway/{rig.suite}/" in groups:
                found.append(f"{entry.name} {words}")
    return found


async def populate(rig: AgentRig) -> None:
    """Containers that run, have ended, wait to be started again, on both kinds of network and both runtimes."""
    for net, runtime in (("bridge", "crun"), ("none", "runc"), ("bridge", "runc")):
        container = await rig.create(rig.spec("sleep", "600", net=net, runtime=runtime))
        await rig.start_container(container)
    await rig.create(rig.spec("sleep", "600"))
    again = await rig.create(rig.spec("true", net="bridge", restart=RestartPolicy(name="always")))
    await rig.start_container(again)
    assert all(what for kind, what in left(rig).items() if kind != "mounts")


async def test_purge_of_a_running_agent_leaves_nothing(rig: AgentRig) -> None:
    await populate(rig)
    done = seaway_purge(rig.base)
    assert done.returncode == 0, done.stderr
    assert f"stopped the agent (process {rig.pid})" in done.stdout
    rig.end(signal.SIGTERM)
    assert {kind: what for kind, what in left(rig).items() if what} == {}
    assert not (rig.base / "root").exists() and not (rig.base / "run").exists()
    again = seaway_purge(rig.base)
    assert (again.returncode, again.stdout) == (0, "There is nothing to remove.\n")


async def test_purge_of_a_killed_agent_leaves_nothing(rig: AgentRig) -> None:
    await populate(rig)
    rig.end(signal.SIGKILL)
    done = seaway_purge(rig.base)
    assert done.returncode == 0, done.stderr
    assert "stopped" not in done.stdout
    assert {kind: what for kind, what in left(rig).items() if what} == {}


async def test_purge_of_one_agent_leaves_the_other_alone(rig: AgentRig, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "root" / "agent" / "n9").mkdir(parents=True)
    (other / "root" / "agent" / "n9" / "agent.db").touch()
    running = await rig.create(rig.spec("sleep", "600", net="bridge"))
    pid = (await rig.start_container(running)).status.pid
    done = seaway_purge(other)
    assert done.returncode == 0, done.stderr
    assert not (other / "root").exists()
    os.kill(pid, 0)
    assert (await rig.inventory())[running].status.pid == pid
