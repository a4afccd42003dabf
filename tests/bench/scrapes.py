"""CPU time that reading the metrics of many containers takes, and what these cost while they only stand there."""

import asyncio
import contextlib
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable

from client import Client
from e2e_rig.engine import Engine
from e2e_rig.seaway import Seaway
from stats import cpu_ms, cpu_rate, processes

_SETTLE_S = 5.0
_TIMES = 10
_IDLE_S = 30.0
_SCRAPE_EVERY_S = 15.0
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@contextlib.asynccontextmanager
async def standing(client: Client, count: int) -> AsyncIterator[list[str]]:
    """So many containers that sleep."""
    containers = [await client.create("busybox", ["sleep", "100000"], "bridge") for _ in range(count)]
    try:
        for container in containers:
            await client.start(container)
        await asyncio.sleep(_SETTLE_S)
        yield containers
    finally:
        for container in containers:
            await client.request("DELETE", f"/containers/{container}?force=1")


async def once_ms(engine: Engine, client: Client, containers: list[str]) -> list[float]:
    """Milliseconds of CPU for one reading of all containers: a scrape of the agent, or, of Docker, a sample of each."""
    if isinstance(engine, Seaway):
        row = engine.row("agent")
        return await _measured({int(row["pid"])}, lambda: asyncio.to_thread(scrape, str(row["metrics"])))

    async def samples() -> None:
        for container in containers:
            await client.request("GET", f"/containers/{container}/stats?stream=0&one-shot=1")

    return await _measured(processes(engine), samples)


async def idle_ms(engine: Seaway) -> float:
    """Milliseconds of CPU a second of all services, each of which is scraped every 15 s."""
    scraping = asyncio.ensure_future(_scrape_all(engine))
    try:
        return await cpu_rate(engine, _IDLE_S)
    finally:
        scraping.cancel()


def scrape(url: str) -> None:
    """Read the metrics of a service."""
    with _opener.open(url, timeout=10) as reply:
        reply.read()


async def _scrape_all(engine: Seaway) -> None:
    while True:
        for row in engine.rows():
            if row["metrics"]:
                await asyncio.to_thread(scrape, str(row["metrics"]))
        await asyncio.sleep(_SCRAPE_EVERY_S)


async def _measured(pids: set[int], reading: Callable[[], Awaitable[None]]) -> list[float]:
    await reading()
    samples = []
    for _ in range(_TIMES):
        before = sum(map(cpu_ms, pids))
        await reading()
        samples.append(sum(map(cpu_ms, pids)) - before)
    return samples
