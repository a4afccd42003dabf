"""Events at plain nats-py programs: how soon an exit is heard, whether many hear all, how fast the past is read."""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import nats
from client import Client
from e2e_rig.seaway import Seaway, seaway
from measure import IMAGE

ENDS_A_SECOND, ENDS = 16, 480
SUBSCRIBERS, EVENTS_A_SECOND, EVENTS = 20, 500, 10_000
REPLAYED = 100_000
_READER = Path(__file__).with_name("reader.py")
_LIFE_MS = 300
_AT_ONCE = 500
_MOST_CONNECTIONS = 10  # a user may have 16
_S = 60.0


async def exits_ms(suite: Seaway, client: Client, stamp: Path, out: Path) -> list[float]:
    """Milliseconds from a process' last instruction to a subscriber's callback, while 16 containers live a second."""
    async with _user(suite, out, "live") as key, _reading(suite, key, "live", out / "heard"):
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number in range(ENDS):
                await asyncio.sleep(began + number / ENDS_A_SECOND - time.monotonic())
                group.create_task(_life(client, stamp, out, number))
        ends = {path.name: int(path.read_text()) for path in out.glob("at-*")}
        heard = [line.split() for line in (out / "heard").read_text().splitlines()]
    containers = {(out / f"id-{name.partition('-')[2]}").read_text(): at for name, at in ends.items()}
    return [(int(at) - containers[container]) / 1e6 for container, at in heard if container in containers]


async def _life(client: Client, stamp: Path, out: Path, number: int) -> None:
    binds = (f"{stamp}:/stamp:ro", f"{out}:/out")
    container = await client.create(IMAGE, ["/stamp", f"/out/at-{number}", str(_LIFE_MS)], "none", binds)
    (out / f"id-{number}").write_text(container)
    await client.start(container)
    await client.wait(container)
    await client.remove(container)


async def missing(suite: Seaway, out: Path) -> int:
    """How many events 20 subscribers have not got, all together, of those that are stored at 500 a second."""
    readers = [out / f"counted-{number}" for number in range(SUBSCRIBERS // _MOST_CONNECTIONS)]
    async with contextlib.AsyncExitStack() as stack:
        for number, counted in enumerate(readers):
            key = await stack.enter_async_context(_user(suite, out, f"count{number}"))
            await stack.enter_async_context(_reading(suite, key, "count", counted, _MOST_CONNECTIONS))
        await _publish(suite, EVENTS, EVENTS_A_SECOND)
    got = [int(line) for counted in readers for line in counted.read_text().split()]
    assert len(got) == SUBSCRIBERS, got
    return sum(max(0, EVENTS - one) for one in got)


async def replay_s(suite: Seaway, out: Path) -> float:
    """Seconds in which a program reads 100,000 stored events."""
    await _publish(suite, REPLAYED)
    async with _user(suite, out, "replay") as key:
        await _holds(suite, key, REPLAYED)
        took = out / "took"
        words = [sys.executable, str(_READER), suite.nats_url, str(key), "replay", str(took), str(REPLAYED)]
        process = await asyncio.create_subprocess_exec(*words)
        assert await process.wait() == 0
    return float(took.read_text())


@contextlib.asynccontextmanager
async def _user(suite: Seaway, out: Path, name: str) -> AsyncIterator[Path]:
    """A user of the bus that reads all events; the file of its key."""
    words = ("--out", str(out), "--run", str(suite.run))
    made = await asyncio.to_thread(seaway, "user", "add", name, *words)
    assert made.returncode == 0, made.stderr
    try:
        yield out / f"{name}.nk"
    finally:
        await asyncio.to_thread(seaway, "user", "rm", name, "--run", str(suite.run))


@contextlib.asynccontextmanager
async def _reading(suite: Seaway, key: Path, mode: str, out: Path, number: int = 0) -> AsyncIterator[None]:
    """A program that listens. It is ended a moment after all was published."""
    words = [sys.executable, str(_READER), suite.nats_url, str(key), mode, str(out), str(number)]
    process = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        await asyncio.wait_for(process.stdout.readline(), _S)
        yield
        await asyncio.sleep(2)
    finally:
        process.terminate()
        await process.wait()


async def _publish(suite: Seaway, number: int, a_second: int = 0) -> None:
    """Store events as metadata does, as fast as they are taken or so many a second."""
    words = {"user": "metadata", "password": suite.secret("metadata"), "inbox_prefix": "_INBOX.metadata"}
    bus = await nats.connect(suite.nats_url, **words)
    stream, free = bus.jetstream(), asyncio.Semaphore(_AT_ONCE)
    name = f"bench-{time.monotonic_ns()}"

    async def store(place: int) -> None:
        async with free:
            subject = f"seaway.v1.event.n1.image.tag.{name}-{place}"
            await stream.publish(subject, b"x" * 700, timeout=_S, headers={"Nats-Msg-Id": f"{name}-{place}"})

    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for place in range(number):
            if a_second:
                await asyncio.sleep(began + place / a_second - time.monotonic())
            elif place % _AT_ONCE == 0:
                await asyncio.sleep(0)
            group.create_task(store(place))
    await bus.close()


async def _holds(suite: Seaway, key: Path, number: int) -> None:
    """Wait until the user's stream has so many."""
    bus = await nats.connect(suite.nats_url, nkeys_seed=str(key))
    try:
        async with asyncio.timeout(_S * 5):
            while True:
                if (await bus.jetstream().stream_info("SEAWAY_EVENTS")).state.messages >= number:
                    return
                await asyncio.sleep(0.2)
    finally:
        await bus.close()
