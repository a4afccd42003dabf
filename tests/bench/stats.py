"""CPU time that an engine takes for streaming the stats of many containers."""

import asyncio
import contextlib
import os
import time
from pathlib import Path

from client import Client
from e2e_rig.engine import Engine

_WARM_UP_S = 3.0


async def streaming(engine: Engine, client: Client, count: int, seconds: float) -> float:
    """Milliseconds of CPU a second more than without, while `count` containers are followed by a client each."""
    containers = [await client.create("busybox", ["sleep", "100000"], "bridge") for _ in range(count)]
    try:
        for container in containers:
            await client.start(container)
        await asyncio.sleep(_WARM_UP_S)
        idle = await cpu_rate(engine, seconds)
        followers = [asyncio.ensure_future(_follow(client, container)) for container in containers]
        await asyncio.sleep(_WARM_UP_S)
        busy = await cpu_rate(engine, seconds)
        for follower in followers:
            follower.cancel()
        await asyncio.gather(*followers, return_exceptions=True)
        return busy - idle
    finally:
        for container in containers:
            await client.request("DELETE", f"/containers/{container}?force=1")


async def _follow(client: Client, container: str) -> None:
    async with client.stream(f"/containers/{container}/stats") as pieces:
        async for _ in pieces:
            pass


async def cpu_rate(engine: Engine, seconds: float) -> float:
    """Milliseconds of CPU a second that the engine's processes take."""
    pids = processes(engine)
    before, began = sum(map(cpu_ms, pids)), time.monotonic()
    await asyncio.sleep(seconds)
    return (sum(map(cpu_ms, pids)) - before) / (time.monotonic() - began)


def processes(engine: Engine) -> set[int]:
    """The engine's services, and whatever was started with its directory in its arguments: shims, the bus."""
    found = set(engine.processes().values())
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and str(engine.run.parent) in (entry / "cmdline").read_text():
                found.add(int(entry.name))
    return found - {os.getpid()}


def cpu_ms(pid: int) -> float:
    """All threads of a process, by the scheduler's own count."""
    total = 0
    for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError):
            total += int(task.read_text().split()[0])
    return total / 1e6
