"""Simulation: the real services and NATS, with simulated nodes that speak the real protocol over it.

Prints what it measures as a table, and writes it as JSON. Run it on a machine that does nothing else: the simulated
agents and the client share its cores with the services. Needs root.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import uvloop
from tests.scale import measures
from tests.scale.cluster import simulated_cluster
from tests.scale.measures import Row


async def measure(options: argparse.Namespace) -> list[Row]:
    """All results, in the order in which they were taken."""
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {text}", file=sys.stderr, flush=True)

    say(f"starting a suite with users for {options.nodes:,} nodes")
    async with simulated_cluster(options.nodes, options.processes) as cluster:
        await cluster.quiet()
        empty = cluster.suite.memory()
        rows = await measures.cpu(cluster, options.window / 2, "no nodes")
        say("connecting the nodes")
        at = time.monotonic()
        await cluster.connect()
        rows.append(Row(f"{options.nodes:,} nodes join", time.monotonic() - at, "s"))
        await cluster.quiet()
        await asyncio.sleep(options.settle)
        with_nodes = cluster.suite.memory()
        rows += measures.memory(empty, with_nodes, options.nodes, "node")
        say("measuring beats")
        rows += await measures.cpu(cluster, options.window, f"beats of {options.nodes:,} nodes")
        say(f"learning {options.containers:,} containers from the nodes' inventories")
        at = time.monotonic()
        await cluster.hold(options.containers // options.nodes)
        rows.append(Row(f"{options.containers:,} containers learned", time.monotonic() - at, "s"))
        await cluster.quiet()
        say("listing")
        rows += await measures.lists(cluster, options.times)
        say(f"creating {options.rate:g} a second")
        rows += await measures.creates(cluster, options.rate, options.seconds)
        rows += await measures.burst(cluster, 8, round(options.rate * options.seconds / 4))
        if options.restarts:
            say("restarting the services")
            rows += await measures.restarts(cluster)
        await cluster.quiet()
        await asyncio.sleep(options.settle)
        count = (await cluster.info())["Containers"]
        rows += measures.memory(with_nodes, cluster.suite.memory(), count, "container")
        say("done")
    return rows


def table(rows: list[Row]) -> str:
    """The results for people."""
    width = max(len(row.metric) for row in rows)
    lines = []
    for row in rows:
        asked = "" if row.most is None else f"  (asked: at most {row.most:g}{'' if row.is_good else '; MISSED'})"
        lines.append(f"  {row.metric:{width}}  {row.value:10,.2f} {row.unit}{asked}")
    return "\n".join(lines)


def document(rows: list[Row], options: argparse.Namespace, load: list[float]) -> dict[str, Any]:
    """The results for programs."""
    results = [{"metric": row.metric, "value": round(row.value, 3), "unit": row.unit, "most": row.most} for row in rows]
    return {
        "simulated": True,
        "nodes": options.nodes,
        "containers": options.containers,
        "cores": os.cpu_count(),
        "load": load,
        "results": results,
    }


def main() -> int:
    """1 if a target is missed."""
    parser = argparse.ArgumentParser(prog="./dev scale bus", description=__doc__)
    parser.add_argument("--nodes", type=int, default=1000, help="[1000]")
    parser.add_argument("--containers", type=int, default=30_000, help="[30000]")
    parser.add_argument("--processes", type=int, default=2, help="with simulated agents [2]")
    parser.add_argument("--rate", type=float, default=20.0, help="creates a second [20]")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long containers are created [30]")
    parser.add_argument("--window", type=float, default=20.0, help="how long CPU is measured, in seconds [20]")
    settle = "seconds before memory is measured: services return free memory every 30 s [31]"
    parser.add_argument("--settle", type=float, default=31.0, help=settle)
    parser.add_argument("--times", type=int, default=20, help="how often one list is repeated [20]")
    parser.add_argument("--restarts", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--json", type=Path, help="write the results to this file")
    options = parser.parse_args()
    before = os.getloadavg()[0]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        rows = runner.run(measure(options))
    load = [round(number, 2) for number in (before, os.getloadavg()[0])]
    print(f"simulation: {options.nodes:,} nodes, {options.containers:,} containers, {os.cpu_count()} cores;")
    print(f"load of the machine before {load[0]}, after {load[1]}")
    print(table(rows))
    if options.json:
        options.json.write_text(json.dumps(document(rows, options, load), indent=2) + "\n")
    return 0 if all(row.is_good for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
