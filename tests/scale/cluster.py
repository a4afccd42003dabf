"""Simulation: a suite without an agent, and processes full of simulated agents beside it."""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

from tests.bench.client import ApiError, Client
from tests.scale.suite import AgentlessSuite

from seaway_cli import demo, demo_image

_LINE: Final = 1 << 24
_POLL_S: Final = 1.0  # each poll lists all containers
_PATIENCE_S: Final = 300.0
_QUIET_CORES: Final = 0.25
BODY: Final = {"Image": demo_image.NAME, "Cmd": ["sleep", "1d"], "HostConfig": {"NetworkMode": "bridge"}}
"""The container that is created again and again: as `docker run -d IMAGE sleep 1d` asks for it."""


class SimulatedCluster:
    """The suite, its API, and the orders to the simulated agents."""

    def __init__(self, suite: AgentlessSuite, nodes: int, workers: list[asyncio.subprocess.Process]) -> None:
        self.suite = suite
        self.nodes = nodes
        self.api = Client(suite.socket)
        self._workers = workers

    async def connect(self) -> None:
        """Connect all agents; returns when the API calls all nodes up."""
        await self._order({"do": "connect"})
        await self._until("ContainersRunning", 0)

    async def hold(self, each: int) -> None:
        """Have each node hold so many containers more, which metadata learns as from agents that were started anew."""
        await self.create()
        specs = [answer["spec"] for answer in await self._order({"do": "template"})]
        await self._order({"do": "hold", "count": each, "spec": next(filter(None, specs))})
        await self._until("ContainersRunning", each * self.nodes)

    async def create(self) -> str:
        """Create a container; its id. Raises ApiError, OSError."""
        return str(json.loads(await self.api.request("POST", "/containers/create", BODY))["Id"])

    async def info(self) -> dict[str, Any]:
        """`docker info`"""
        return dict(json.loads(await self.api.request("GET", "/info")))

    async def nodes_up(self) -> int:
        """How many nodes the API calls up."""
        return count_up(await self.info())

    async def _until(self, field: str, number: int) -> None:
        """Wait until all nodes are up and `docker info` has this number."""
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            info = await self.info()
            up = await self.nodes_up()
            if info[field] == number and up == self.nodes:
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"{up} of {self.nodes} nodes are up, {field} is {info[field]}, not {number}")
            await asyncio.sleep(_POLL_S)

    async def quiet(self) -> None:
        """Wait until the suite is idle, but for beats."""
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            before = self.suite.cpu()
            await asyncio.sleep(1.0)
            after = self.suite.cpu()
            if before.keys() == after.keys() and sum(after.values()) - sum(before.values()) < _QUIET_CORES:
                return
        raise TimeoutError("the suite does not become idle")

    async def _order(self, order: dict[str, Any]) -> list[dict[str, Any]]:
        line = json.dumps(order).encode() + b"\n"
        return await asyncio.gather(*(_ask(worker, line) for worker in self._workers))


def count_up(info: dict[str, Any]) -> int:
    """How many nodes `docker info` calls up."""
    return sum(value.startswith("Healthy") for key, value in info["DriverStatus"] or [] if key.endswith(" Status"))


async def _ask(worker: asyncio.subprocess.Process, line: bytes) -> dict[str, Any]:
    assert worker.stdin is not None and worker.stdout is not None
    worker.stdin.write(line)
    answer = await worker.stdout.readline()
    if not answer:
        raise ApiError("the process of simulated agents has ended; it has said why")
    return dict(json.loads(answer))


@asynccontextmanager
async def simulated_cluster(nodes: int, processes: int = 2) -> AsyncIterator[SimulatedCluster]:
    """A suite with an image and with users for so many nodes, and processes whose agents are not connected yet."""
    async with AsyncExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="scale-"))
        suite = AgentlessSuite(Path(directory))
        stack.callback(suite.purge)
        await asyncio.to_thread(suite.start, nodes)
        await asyncio.to_thread(demo.ensure_image, demo.Api(f"unix://{suite.socket}"))
        workers = []
        for number in range(processes):
            first, end = nodes * number // processes, nodes * (number + 1) // processes
            workers.append(await _worker(suite, first, end - first))
            stack.push_async_callback(_end, workers[-1])
        yield SimulatedCluster(suite, nodes, workers)


async def _worker(suite: AgentlessSuite, first: int, count: int) -> asyncio.subprocess.Process:
    words = ["-m", "tests.scale.agents", suite.nats, str(suite.layout.secrets), str(first), str(count)]
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(sys.executable, *words, stdin=pipe, stdout=pipe, limit=_LINE)


async def _end(worker: asyncio.subprocess.Process) -> None:
    if worker.returncode is None:
        worker.kill()
    await worker.wait()
