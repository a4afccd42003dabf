"""Joins machines to a cluster that knows many nodes: `seaway join` against a real suite and a real nats-server.

The known nodes are identities in metadata's bucket; as many beats come in as they would send all together, over fewer
connections. Only those are simulated. Each time is that of the whole command, until the node's login reaches metadata.
The CPU time of the command, of nats-server and of metadata stands beside it, as the machine may be busy with other
things. Needs root.
"""

import argparse
import asyncio
import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from seaway_bus.bus import Bus
from seaway_bus.node_keys import new_seed, public_key
from seaway_contracts.catalogue import BEAT, IDENTITIES_BUCKET
from seaway_contracts.joining import NodeIdentity
from seaway_metadata.store.stored import encode
from seaway_testing.builders import beat

COMMAND: Final = str(Path(sys.executable).parent / "seaway")
MOST_S: Final = 2.0
TICK: Final = os.sysconf("SC_CLK_TCK")
BEAT_S: Final = 20.0
"""The interval at 1,000 nodes and more."""


@dataclass(frozen=True)
class Join:
    """How many seconds one took, and used of a processor in each of the processes."""

    took_s: float
    cpu_s: dict[str, float]


class Cluster:
    """A suite below `directory`, and machines that join it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._root = directory / "root"
        self.places = ("--root", str(self._root), "--run", str(directory / "run"))
        self._joined: list[tuple[str, ...]] = []

    def start(self) -> None:
        """Start it."""
        seaway("up", "--detach", "--node", "local", *self.places)

    def purge(self) -> None:
        """Stop it; remove it and the machines' directories."""
        for places in (*self._joined, self.places):
            seaway("purge", *places)

    @property
    def nats(self) -> str:
        """The URL of its NATS server."""
        return f"nats://127.0.0.1:{json.loads((self._root / 'suite.json').read_text())['nats_port']}"

    async def bus(self, user: str) -> Bus:
        """A connection as that service."""
        password = (self._root / "secrets" / user).read_text().strip()
        return await Bus.connect(self.nats, name="scale", user=user, password=password)

    def token(self) -> str:
        """A token for one machine."""
        return seaway("token", "create", *self.places).split("--token ")[1].split()[0]

    def join(self, node: str) -> "Join":
        """Have a machine join."""
        place = self._directory / node
        token, places = self.token(), ("--root", str(place / "root"), "--run", str(place / "run"))
        self._joined.append(places)
        pids = {row["service"]: row["pid"] for row in json.loads(seaway("status", "--json", *self.places))}
        before, began = self._cpu(pids), time.monotonic()
        seaway("join", self.nats, "--token", token, "--node", node, *places)
        took_s = time.monotonic() - began
        return Join(took_s, {name: used - before[name] for name, used in self._cpu(pids).items()})

    def _cpu(self, pids: dict[str, int]) -> dict[str, float]:
        """The seconds that commands have used so far, and the services that a join concerns."""
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = {"command": children.ru_utime + children.ru_stime}
        for name in ("nats", "metadata"):
            fields = Path(f"/proc/{pids[name]}/stat").read_text().rpartition(")")[2].split()
            used[name] = (int(fields[11]) + int(fields[12])) / TICK
        return used


def seaway(*words: str) -> str:
    """What the command prints. Raises CalledProcessError."""
    return subprocess.run([COMMAND, *words], check=True, stdout=subprocess.PIPE, text=True).stdout


async def know(cluster: Cluster, seeds: dict[str, str]) -> None:
    """Have metadata know nodes with these keys."""
    bus = await cluster.bus("metadata")
    bucket = await bus.transport.bucket(IDENTITIES_BUCKET)
    for node, seed in seeds.items():
        identity = NodeIdentity(node=node, public_key=public_key(seed), since_ns=time.time_ns())
        await bucket.create(node, encode(identity))
    await bus.close()


@contextlib.asynccontextmanager
async def beating(cluster: Cluster, seeds: dict[str, str], rate: float) -> AsyncIterator[None]:
    """These nodes beat, so many times a second together."""
    nodes = [
        (node, await Bus.connect(cluster.nats, name="scale", user=f"agent.{node}", seed=seed))
        for node, seed in seeds.items()
    ]

    async def beat_on() -> None:
        while True:
            for node, bus in nodes:
                await bus.publish(BEAT, beat(node), node=node)
                await asyncio.sleep(1 / rate)

    task = asyncio.create_task(beat_on())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(*(bus.close() for _, bus in nodes))


async def measure(cluster: Cluster, known: int, talking: int, joins: int) -> tuple[Join, list[Join]]:
    """The first join, at which all nodes are new to the server, and further ones."""
    seeds = {f"known{number}": new_seed() for number in range(known)}
    await know(cluster, seeds)
    first = await asyncio.to_thread(cluster.join, "first")
    async with beating(cluster, dict(list(seeds.items())[:talking]), known / BEAT_S):
        return first, [await asyncio.to_thread(cluster.join, f"joined{number}") for number in range(joins)]


def main() -> int:
    """1 if the target is missed."""
    parser = argparse.ArgumentParser(prog="./dev scale join", description=__doc__)
    parser.add_argument("--nodes", type=int, default=1000, help="that are known [1000]")
    parser.add_argument("--talking", type=int, default=50, help="over whose connections the beats come [50]")
    parser.add_argument("--joins", type=int, default=10, help="[10]")
    parser.add_argument("--json", action="store_true", help="print the results as one JSON object")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        cluster = Cluster(Path(directory))
        try:
            cluster.start()
            first, joins = asyncio.run(measure(cluster, options.nodes, options.talking, options.joins))
        finally:
            cluster.purge()
    times = [join.took_s for join in joins]
    median, most = statistics.median(times), max(times)
    cpu = {name: round(statistics.median(join.cpu_s[name] for join in joins), 2) for name in joins[0].cpu_s}
    load = round(os.getloadavg()[0], 1)
    if options.json:
        listed = [round(one, 2) for one in times]
        print(json.dumps({"nodes": options.nodes, "first": first.took_s, "times": listed, "cpu": cpu, "load": load}))
    else:
        print(f"joins with {options.nodes:,} nodes known and {options.nodes / BEAT_S:.0f} simulated beats a second:")
        print(f"  median {median:.2f} s, at most {most:.2f} s: {', '.join(f'{one:.2f}' for one in times)}")
        print(f"  the first one, at which all nodes are new to the server: {first.took_s:.2f} s; load average {load}")
        print(f"  median CPU: {', '.join(f'{name} {used:.2f} s' for name, used in cpu.items())}")
    return 0 if most < MOST_S else 1


if __name__ == "__main__":
    sys.exit(main())
