"""One agent for the module's tests, and proof that it leaves nothing."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.integration.agent.rig import AgentRig, Blobs

from seaway_agent.kernel.cgroups import host_layout
from seaway_agent.kernel.mountinfo import targets_below
from seaway_agent.node.purge import purge
from seaway_agent.settings import AgentSettings
from seaway_bus.bus import Bus
from seaway_kit.tasks import Tasks


def census(rig: AgentRig) -> dict[str, list[str]]:
    """What a node may have left on the host, apart from what it keeps while it lives."""
    cgroups = [
        f"{directory}/{name}"
        for directory in host_layout().directories(f"/seaway/{rig.suite}")
        if Path(directory).is_dir()
        for name in os.listdir(directory)
        if Path(directory, name).is_dir()
    ]
    left = [str(path) for part in ("c", "crun", "persist", "exits") for path in (rig.run / part).glob("[!.]*")]
    containers = [str(path) for path in (rig.root / "agent" / rig.node / "containers").glob("[0-9a-f]*")]
    shims = [str(pid) for pid in rig.shims()]
    mounts = targets_below(Path("/proc/self/mountinfo").read_text(), str(rig.root))
    return {"cgroups": cgroups, "files": left, "containers": containers, "shims": shims, "mounts": mounts}


@pytest.fixture
async def rig(tmp_path: Path, nats_url: str) -> AsyncIterator[AgentRig]:
    """A started agent; at the end its containers are removed, nothing may be left, all its events must be stored."""
    tasks = Tasks("rig")
    bus = await Bus.connect(nats_url, name="rig")
    await bus.prepare()
    blobs = Blobs()
    await blobs.start(bus)
    rig = AgentRig(tmp_path, nats_url, bus, blobs, tasks)
    await rig.listen()
    try:
        await rig.start()
        yield rig
        for container in await rig.inventory():
            await rig.remove(container, force=True)
        await rig.until(lambda: not any(census(rig).values()), lambda: str(census(rig)))
        await rig.all_stored()
    finally:
        rig.end(signal.SIGTERM)
        await asyncio.to_thread(
            purge, AgentSettings(root=rig.root, run=tmp_path / "run", node=rig.node, suite=rig.suite)
        )
        await blobs.close()
        await tasks.close()
        await bus.close()
