"""Simulation: what is measured on a cluster of simulated nodes."""

import asyncio
import json
import os
import shutil
import signal
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from tests.bench.client import ApiError
from tests.scale.cluster import SimulatedCluster
from tests.scale.suite import SERVICES

MIB: Final = 1 << 20
_GIVEN_UP_S: Final = 120.0
_RETRY_S: Final = 0.05
_ALL: Final = "/containers/json?all=1"


@dataclass(frozen=True)
class Row:
    """A result; `most`: what was asked for at most, None where nothing was."""

    metric: str
    value: float
    unit: str
    most: float | None = None

    @property
    def is_good(self) -> bool:
        """Whether the target is met."""
        return self.most is None or self.value <= self.most


async def creates(cluster: SimulatedCluster, rate: float, seconds: float) -> list[Row]:
    """Creates at a steady rate, however long each takes: a late answer delays no later request."""
    began = time.perf_counter()  # uvloop's own clock has whole milliseconds
    took: list[float] = []
    failed = 0

    async def one(at: float) -> None:
        nonlocal failed
        await asyncio.sleep(max(0.0, at - time.perf_counter()))
        try:
            await cluster.create()
        except (ApiError, OSError) as error:
            failed += 1
            print(f"  a create failed: {error}")
        took.append(time.perf_counter() - at)

    await asyncio.gather(*(one(began + number / rate) for number in range(round(rate * seconds))))
    took.sort()
    return [
        Row(f"create at {rate:g}/s, p50", statistics.median(took) * 1e3, "ms", 25),
        Row(f"create at {rate:g}/s, p99", took[len(took) * 99 // 100] * 1e3, "ms", 100),
        Row("creates that failed", failed, "", 0),
    ]


async def burst(cluster: SimulatedCluster, at_once: int, count: int) -> list[Row]:
    """How many creates a second, with so many in flight."""
    left = iter(range(count))

    async def some() -> None:
        for _ in left:
            await cluster.create()

    began = time.perf_counter()
    await asyncio.gather(*(some() for _ in range(at_once)))
    return [Row(f"creates, {at_once} in flight", count / (time.perf_counter() - began), "/s")]


async def lists(cluster: SimulatedCluster, times: int) -> list[Row]:
    """`docker ps` of all and of one."""
    first, data = await _timed(lambda: cluster.api.request("GET", _ALL))
    found = json.loads(data)
    one = found[len(found) // 2]
    rows = [
        Row(f"list all {len(found):,}, first", first, "ms"),
        Row("list all again, median", await _median(cluster, _ALL, min(times, 5)), "ms"),
        Row("list all, size of the answer", len(data) / MIB, "MiB"),
        Row("list one by name, median", await _median(cluster, _filter("name", one["Names"][0]), times), "ms"),
        Row("list one by id, median", await _median(cluster, _filter("id", one["Id"]), times), "ms"),
        Row("list the last 10, median", await _median(cluster, "/containers/json?limit=10", times), "ms"),
        Row("inspect, median", await _median(cluster, f"/containers/{one['Id']}/json", times), "ms"),
    ]
    if docker := shutil.which("docker"):
        words = [docker, "-H", f"unix://{cluster.suite.socket}", "ps", "-a"]
        rows.append(Row("`docker ps -a`", await _command(words), "ms"))
        named = [*words, "--filter", f"name=^{one['Names'][0]}$"]
        rows.append(Row("`docker ps -a --filter name=…`", await _command(named), "ms"))
    return rows


async def restarts(cluster: SimulatedCluster) -> list[Row]:
    """Each service is killed; how long until a create is answered, and until all containers are listed."""
    rows: list[Row] = []
    for service in SERVICES:
        await cluster.quiet()
        expected = len(json.loads(await cluster.api.request("GET", _ALL)))
        pid = cluster.suite.pids()[service]
        began = time.perf_counter()
        os.kill(pid, signal.SIGKILL)
        await _until(lambda pid=pid, service=service: _is_back(cluster, service, pid))  # type: ignore[misc]
        ready = time.perf_counter() - began
        await _until(lambda: _created(cluster))
        created = time.perf_counter() - began
        await _until(lambda expected=expected: _listed(cluster, expected + 1))  # type: ignore[misc]
        listed = time.perf_counter() - began
        await cluster.quiet()
        rows += [
            Row(f"restart of {service}: ready", ready, "s"),
            Row(f"restart of {service}: creates", created, "s", 10),
            Row(f"restart of {service}: lists all", listed, "s", 10),
            Row(f"restart of {service}: idle again", time.perf_counter() - began, "s"),
        ]
    return rows


async def _is_back(cluster: SimulatedCluster, service: str, before: int) -> bool:
    return cluster.suite.pids().get(service, before) != before and cluster.suite.is_ready(service)


async def _created(cluster: SimulatedCluster) -> bool:
    await cluster.create()
    return True


async def _listed(cluster: SimulatedCluster, expected: int) -> bool:
    return len(json.loads(await cluster.api.request("GET", _ALL))) >= expected


async def _until(is_so: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + _GIVEN_UP_S
    while True:
        try:
            if await is_so():
                return
        except (ApiError, OSError, EOFError) as error:
            if time.monotonic() > deadline:
                raise
            print(f"  meanwhile: {error}")
        if time.monotonic() > deadline:
            raise TimeoutError("not so within two minutes")
        await asyncio.sleep(_RETRY_S)


async def cpu(cluster: SimulatedCluster, seconds: float, what: str) -> list[Row]:
    """The processor time of each service while nothing is asked of it."""
    before, began = cluster.suite.cpu(), time.monotonic()
    await asyncio.sleep(seconds)
    after, took = cluster.suite.cpu(), time.monotonic() - began
    used = {service: (after[service] - before[service]) / took * 100 for service in SERVICES}
    rows = [Row(f"CPU of {service}, {what}", used[service], "% of a core") for service in SERVICES]
    return [*rows, Row(f"CPU of all services, {what}", sum(used.values()), "% of a core")]


def memory(before: dict[str, int], after: dict[str, int], number: int, thing: str) -> list[Row]:
    """What each service's memory has grown by, for each of so many."""
    rows = [Row(f"memory of {service} in all", after[service] / MIB, "MiB") for service in SERVICES]
    return rows + [
        Row(f"memory of {service} per {thing}", (after[service] - before[service]) / number / 1024, "KiB")
        for service in SERVICES
    ]


async def _timed(work: Callable[[], Awaitable[bytes]]) -> tuple[float, bytes]:
    """Milliseconds, and the result."""
    began = time.perf_counter()
    data = await work()
    return (time.perf_counter() - began) * 1e3, data


async def _median(cluster: SimulatedCluster, path: str, times: int) -> float:
    return statistics.median([(await _timed(lambda: cluster.api.request("GET", path)))[0] for _ in range(times)])


def _filter(key: str, value: str) -> str:
    word = f"^{value}$" if key == "name" else value
    return f"{_ALL}&filters={quote(json.dumps({key: [word]}))}"


async def _command(words: list[str]) -> float:
    began = time.perf_counter()
    null = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*words, stdout=null)
    if await process.wait():
        raise ApiError(f"{' '.join(words)} failed")
    return (time.perf_counter() - began) * 1e3
