"""How fast output and input flow: what a container prints, its log read and followed, attached streams.

All in milliseconds per megabyte (1e6 bytes) of payload. The client counts bytes and looks no closer, to cost little.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import measure
from client import Client

OUT_MB = 200
ECHO_MB = 100
TARGETS = {
    "a container prints": 1 / 5,
    "its log is read": 1 / 5,
    "its log is followed": 1 / 5,
    "attached output": 1 / 3,
    "attached echo": 1 / 3,
}
_BLOCK = (b"y" * 99 + b"\n") * 655
_PIECE = 1 << 20
Job = Callable[[Client, Path], Awaitable[dict[str, float]]]


async def flows(engines: Mapping[str, Client], programs: Path, rounds: int) -> dict[str, measure.Samples]:
    """The samples of each flow, by its name in TARGETS. `programs` holds liner and echoer."""
    found: dict[str, measure.Samples] = {flow: {name: [] for name in engines} for flow in TARGETS}
    for _ in range(rounds):
        for job in (_print_and_read, _follow, _attached, _echo):
            for name, client in engines.items():
                await measure.quiet()
                for flow, took in (await job(client, programs)).items():
                    found[flow][name].append(took)
    return found


async def _print_and_read(client: Client, programs: Path) -> dict[str, float]:
    container = await _liner(client, programs)
    began = time.perf_counter()
    await client.start(container)
    await client.wait(container)
    printed = time.perf_counter() - began
    await asyncio.sleep(1)
    began = time.perf_counter()
    await _drained(await _get(client, f"/containers/{container}/logs?stdout=1"), OUT_MB)
    took = time.perf_counter() - began
    await client.remove(container)
    return {"a container prints": printed * 1e3 / OUT_MB, "its log is read": took * 1e3 / OUT_MB}


async def _follow(client: Client, programs: Path) -> dict[str, float]:
    container = await _liner(client, programs)
    began = time.perf_counter()
    await client.start(container)
    await _drained(await _get(client, f"/containers/{container}/logs?stdout=1&follow=1"), OUT_MB)
    took = time.perf_counter() - began
    await client.remove(container)
    return {"its log is followed": took * 1e3 / OUT_MB}


async def _attached(client: Client, programs: Path) -> dict[str, float]:
    container = await _liner(client, programs)
    streams = await _attach(client, container, "stream=1&stdout=1")
    began = time.perf_counter()
    starting = asyncio.ensure_future(client.start(container))
    await _drained(streams, OUT_MB)
    took = time.perf_counter() - began
    await starting
    await client.wait(container)
    await client.remove(container)
    return {"attached output": took * 1e3 / OUT_MB}


async def _echo(client: Client, programs: Path) -> dict[str, float]:
    container = await client.create(
        measure.IMAGE, ["/b/echoer"], "none", (f"{programs}:/b:ro",), OpenStdin=True, StdinOnce=True, AttachStdin=True
    )
    reader, writer = await _attach(client, container, "stream=1&stdout=1&stdin=1")
    await client.start(container)
    began = time.perf_counter()
    draining = asyncio.ensure_future(_drained((reader, writer), ECHO_MB))
    left = ECHO_MB * 1_000_000
    while left > 0:
        writer.write(_BLOCK[:left])
        left -= len(_BLOCK)
        await writer.drain()
    writer.write_eof()
    await draining
    took = time.perf_counter() - began
    await client.wait(container)
    await client.remove(container)
    return {"attached echo": took * 1e3 / ECHO_MB}


async def _liner(client: Client, programs: Path) -> str:
    return await client.create(measure.IMAGE, ["/b/liner", str(OUT_MB)], "none", (f"{programs}:/b:ro",))


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _get(client: Client, path: str) -> Streams:
    return await _open(client, f"GET {path} HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n")


async def _attach(client: Client, container: str, query: str) -> Streams:
    head = f"POST /containers/{container}/attach?{query} HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n"
    return await _open(client, f"{head}Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n")


async def _open(client: Client, request: str) -> Streams:
    reader, writer = await asyncio.open_unix_connection(client.socket, limit=_PIECE)
    writer.write(request.encode())
    head = await reader.readuntil(b"\r\n\r\n")
    if head.split()[1] not in (b"200", b"101"):
        raise AssertionError(f"{request.splitlines()[0]}: {head!r}")
    return reader, writer


async def _drained(streams: Streams, megabytes: int) -> None:
    """Read to the end, which must not come too early."""
    size = 0
    while piece := await streams[0].read(_PIECE):
        size += len(piece)
    streams[1].close()
    if size < megabytes * 1_000_000:
        raise AssertionError(f"only {size} bytes came")
