"""What many containers cost that only stand there: memory of their helpers, time to list and inspect them."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import measure
from client import Client
from e2e_rig.engine import Engine
from stats import processes

T = TypeVar("T")
_AT_ONCE = 8
_SETTLE_S = 3.0
_LISTS = 10
_INSPECTS = 1000


async def idle_mb(engine: Engine, client: Client, count: int) -> float:
    """MB (PSS) that `count` sleeping containers add to the engine's processes and helpers, their own not counted."""
    await asyncio.sleep(_SETTLE_S)
    before = measure.pss_mb(list(processes(engine)))
    containers = await _each(count, lambda: client.create("busybox", ["sleep", "100000"], "bridge"))
    try:
        left = iter(containers)
        await _each(count, lambda: client.start(next(left)))
        await asyncio.sleep(_SETTLE_S)
        return measure.pss_mb(list(processes(engine))) - before
    finally:
        await _remove(client, containers)


async def listing_ms(client: Client, count: int) -> tuple[list[float], list[float]]:
    """Milliseconds for a list of `count` containers, and for an inspect of one of them; several samples each."""
    containers = await _each(count, lambda: client.create("busybox", ["true"], "none"))
    try:
        lists = [await _timed(client, "/containers/json?all=1") for _ in range(_LISTS)]
        inspects = [await _timed(client, f"/containers/{one}/json") for one in containers[:_INSPECTS]]
        return lists, inspects
    finally:
        await _remove(client, containers)


async def _timed(client: Client, path: str) -> float:
    began = time.perf_counter()
    await client.request("GET", path)
    return (time.perf_counter() - began) * 1e3


async def _remove(client: Client, containers: list[str]) -> None:
    left = iter(containers)
    await _each(len(containers), lambda: client.request("DELETE", f"/containers/{next(left)}?force=1"))


async def _each(count: int, work: Callable[[], Awaitable[T]]) -> list[T]:
    """Do it so often, some at once."""
    done: list[T] = []
    left = iter(range(count))

    async def some() -> None:
        for _ in left:
            done.append(await work())

    await asyncio.gather(*(some() for _ in range(_AT_ONCE)))
    return done
