"""What is measured. Engines take turns (A B A B …) inside one run, so that ratios hold even if the machine drifts."""

import asyncio
import contextlib
import json
import os
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from client import Client

IMAGE = "busybox:latest"
_QUIET_S = 8.0
_BUSY = 0.25

Samples = dict[str, list[float]]


def busy_seconds() -> float:
    """Processor time that the whole machine has spent so far."""
    with open("/proc/stat") as stat:
        fields = [int(word) for word in stat.readline().split()[1:]]
    return (fields[0] + fields[1] + fields[2] + fields[5] + fields[6]) / os.sysconf("SC_CLK_TCK")


async def quiet() -> None:
    """Wait, not for ever, until nobody else is at work."""
    deadline = time.monotonic() + _QUIET_S
    while time.monotonic() < deadline:
        before = busy_seconds()
        await asyncio.sleep(0.4)
        if (busy_seconds() - before) / 0.4 / (os.cpu_count() or 1) < _BUSY:
            return


async def bounded(at_once: int, count: int, job: Callable[[], Awaitable[None]]) -> None:
    """Do `count` jobs, `at_once` of them at a time."""
    left = iter(range(count))

    async def worker() -> None:
        for _ in left:
            await job()

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(worker())


async def lifecycle(engines: Mapping[str, Client], network: str, at_once: int, rounds: int, count: int) -> Samples:
    """Milliseconds per container for create + start + wait + remove of `true`.

    With one at a time each container's own time, with more the wall time divided by their number.
    """
    samples: Samples = {name: [] for name in engines}
    for client in engines.values():
        await _life(client, network)
    for _ in range(rounds):
        for name, client in engines.items():
            await quiet()
            await _timed(lambda client=client: _life(client, network), at_once, count, samples[name])
    return samples


async def _timed(job: Callable[[], Awaitable[None]], at_once: int, count: int, into: list[float]) -> None:
    if at_once == 1:
        for _ in range(count):
            began = time.perf_counter()
            await job()
            into.append((time.perf_counter() - began) * 1e3)
        return
    began = time.perf_counter()
    await bounded(at_once, count, job)
    into.append((time.perf_counter() - began) / count * 1e3)


async def _life(client: Client, network: str) -> None:
    container = await client.create(IMAGE, ["true"], network)
    await client.start(container)
    code = await client.wait(container)
    await client.remove(container)
    if code:
        raise AssertionError(f"`true` ended with {code}")


async def execs(engines: Mapping[str, Client], at_once: int, rounds: int, count: int) -> Samples:
    """Milliseconds for exec create + start + inspect of `true`, counted as in `lifecycle`."""
    samples: Samples = {name: [] for name in engines}
    boxes = {name: await client.create(IMAGE, ["sleep", "1000"], "none") for name, client in engines.items()}
    try:
        for name, client in engines.items():
            await client.start(boxes[name])
            await _exec(client, boxes[name])
        for _ in range(rounds):
            for name, client in engines.items():
                await quiet()
                await _timed(lambda client=client, box=boxes[name]: _exec(client, box), at_once, count, samples[name])
    finally:
        for name, client in engines.items():
            await client.remove(boxes[name])
    return samples


async def _exec(client: Client, container: str) -> None:
    if code := await client.exec(container, ["true"]):
        raise AssertionError(f"`true` ended with {code}")


async def exit_to_event(engines: Mapping[str, Client], stamp: Path, place: Path, rounds: int, count: int) -> Samples:
    """Milliseconds from a process' last instruction (which writes down the time) to the `die` line at a reader."""
    samples: Samples = {name: [] for name in engines}
    for _ in range(rounds):
        for name, client in engines.items():
            await quiet()
            async with _dies(Client(client.socket)) as seen:
                for _ in range(count):
                    samples[name].append(await _one_exit(client, stamp, place, seen))
    return samples


@contextlib.asynccontextmanager
async def _dies(client: Client):  # type: ignore[no-untyped-def]
    """A queue of (container, monotonic ns) for each `die`, read from `/events`."""
    seen: asyncio.Queue[tuple[str, int]] = asyncio.Queue()
    query = "filters=%7B%22event%22%3A%5B%22die%22%5D%7D"

    async def read(ready: asyncio.Event) -> None:
        async with client.stream(f"/events?{query}") as pieces:
            ready.set()
            rest = b""
            async for piece in pieces:
                now = time.monotonic_ns()
                *lines, rest = (rest + piece).split(b"\n")
                for line in filter(None, lines):
                    seen.put_nowait((json.loads(line)["Actor"]["ID"], now))

    ready = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(read(ready))
        with contextlib.suppress(TimeoutError):  # some engines send their headers with the first event only
            await asyncio.wait_for(ready.wait(), 1)
        yield seen
        task.cancel()


async def _one_exit(client: Client, stamp: Path, place: Path, seen: "asyncio.Queue[tuple[str, int]]") -> float:
    binds = (f"{stamp}:/stamp:ro", f"{place}:/out")
    container = await client.create(IMAGE, ["/stamp", "/out/at", "300"], "none", binds)
    await client.start(container)
    while (found := await asyncio.wait_for(seen.get(), 20))[0] != container:
        pass
    await client.remove(container)
    return (found[1] - int((place / "at").read_text())) / 1e6


def pss_mb(pids: list[int]) -> float:
    """Proportional set size of these processes together, in MB (1e6 bytes)."""
    total = 0
    for pid in pids:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        total += next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
    return total * 1024 / 1e6


def median(samples: list[float]) -> float:
    """The middle one."""
    return statistics.median(samples)
