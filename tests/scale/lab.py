"""Real containers over the hosts of the lab: created and started, some in flight, until all run. Needs root.

The hosts are namespaces of one machine and share its cores (docs/lab.md), but the agents, the containers and the
protocol are the real ones: nothing here is simulated.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, TypeVar

import uvloop
from deploy.lab import Lab
from tests.bench.client import Client
from tests.scale.cluster import count_up

from seaway_cli import demo, demo_image

T = TypeVar("T")
_MOST_S: Final = 25.0
_POLL_S: Final = 0.1
_PATIENCE_S: Final = 60.0
_COMMAND: Final = ["sleep", "1d"]


@dataclass(frozen=True)
class Result:
    """Seconds until the last container ran, and until all were removed; the fewest and most on a node."""

    hosts: int
    containers: int
    at_once: int
    seconds: float
    removed_seconds: float
    fewest: int
    most: int
    cores: int
    load: float


@contextmanager
def lab(hosts: int) -> Iterator[str]:
    """The endpoint of a lab with an image."""
    with tempfile.TemporaryDirectory(prefix="lab-") as directory, Lab(Path(directory) / "lab", hosts=hosts) as made:
        demo.ensure_image(demo.Api(made.endpoint))
        yield made.endpoint.removeprefix("unix://")


async def measure(socket: str, options: argparse.Namespace) -> Result:
    """Run containers on the hosts that have an agent."""
    client = Client(socket)
    await _all_up(client, options.hosts)
    await _run(client, 2 * options.hosts, options.at_once)  # so that each node has the image's layers
    load, began = os.getloadavg()[0], time.perf_counter()
    made = await _run(client, options.containers, options.at_once, keep=True)
    took = time.perf_counter() - began
    listed = json.loads(await client.request("GET", "/containers/json"))
    if len(listed) != options.containers:
        raise RuntimeError(f"{len(listed)} containers run, not {options.containers}")
    inspected = [json.loads(await client.request("GET", f"/containers/{one}/json")) for one in made]
    nodes = Counter(one["Node"]["Name"] for one in inspected)
    began = time.perf_counter()
    await _each(iter(made), options.at_once, client.remove)
    removed = time.perf_counter() - began
    counts = nodes.values()
    return Result(
        options.hosts,
        options.containers,
        options.at_once,
        round(took, 2),
        round(removed, 2),
        min(counts),
        max(counts),
        os.cpu_count() or 0,
        load,
    )


async def _all_up(client: Client, hosts: int) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        info = json.loads(await client.request("GET", "/info"))
        if count_up(info) >= hosts:
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"not all nodes are up: {info['DriverStatus']}")
        await asyncio.sleep(_POLL_S)


async def _run(client: Client, count: int, at_once: int, *, keep: bool = False) -> list[str]:
    """Create and start so many on the default bridge; without `keep` they are removed again."""
    made: list[str] = []

    async def one(_: object) -> None:
        container = await client.create(demo_image.NAME, _COMMAND, "bridge")
        made.append(container)
        await client.start(container)
        if not keep:
            await client.remove(container)

    await _each(iter(range(count)), at_once, one)
    return made


async def _each(things: Iterator[T], at_once: int, work: Callable[[T], Awaitable[object]]) -> None:
    async def some() -> None:
        for thing in things:
            await work(thing)

    await asyncio.gather(*(some() for _ in range(at_once)))


def main() -> int:
    """1 if the target is missed."""
    parser = argparse.ArgumentParser(prog="./dev scale lab", description=__doc__)
    parser.add_argument("--hosts", type=int, default=10, help="[10]")
    parser.add_argument("--containers", type=int, default=1000, help="[1000]")
    parser.add_argument("--at-once", type=int, default=8, help="creates and starts in flight [8]")
    parser.add_argument("--json", type=Path, help="write the result to this file")
    options = parser.parse_args()
    with lab(options.hosts) as socket, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        result = runner.run(measure(socket, options))
    print(f"lab: {result.containers:,} real containers over {result.hosts} hosts on {result.cores} cores,")
    print(f"  {result.at_once} in flight, load before {result.load:.1f}")
    print(f"  all created and started in {result.seconds:.1f} s (asked: at most {_MOST_S:g} s), that is")
    print(f"  {result.containers / result.seconds:.0f}/s; {result.fewest} to {result.most} on a node")
    print(f"  all removed in {result.removed_seconds:.1f} s")
    if options.json:
        options.json.write_text(json.dumps(asdict(result), indent=2) + "\n")
    return 0 if result.seconds <= _MOST_S else 1


if __name__ == "__main__":
    sys.exit(main())
