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

ENDS_A_SECOND, ENDS = 16, 320
SUBSCRIBERS, EVENTS_A_SECOND, EVENTS = 20, 500, 10_000
REPLAYED = 100_000
_READER = Path(__file__).with_name("reader.py")
_LIFE_S, _START_S = 0.3, 0.1
_AT_ONCE = 500
_MOST_CONNECTIONS = 10  # a user may have 16
_S = 60.0


async def exits_ms(suite: Seaway, client: Client, stamp: Path, out: Path, *, churn: bool) -> list[float]:
    """Milliseconds from a process' last instruction to a subscriber's callback, while 16 containers end a second.

    With `churn` as many are created, started and removed meanwhile; without it, all were started before.
    """
    out.mkdir()
    living = _churn if churn else _ends_alone
    async with _user(suite, out, "live") as key, _reading(suite, key, "live", out / "heard"):
        containers = await living(client, stamp, out)
        heard = [line.split() for line in (out / "heard").read_text().splitlines()]
    ends = {container: int((out / str(number)).read_text()) for number, container in enumerate(containers)}
    return [(int(at) - ends[container]) / 1e6 for container, at in heard if container in ends]


async def _churn(client: Client, stamp: Path, out: Path) -> list[str]:
    first = time.monotonic() + _LIFE_S

    async def live(number: int) -> str:
        end = first + number / ENDS_A_SECOND
        await asyncio.sleep(end - _LIFE_S - time.monotonic())
        container = await _started(client, stamp, out / str(number), end)
        await client.wait(container)
        await client.remove(container)
        return container

    return list(await asyncio.gather(*map(live, range(ENDS))))


async def _ends_alone(client: Client, stamp: Path, out: Path) -> list[str]:
    first = time.monotonic() + ENDS * _START_S
    ends = [first + number / ENDS_A_SECOND for number in range(ENDS)]
    containers = [await _started(client, stamp, out / str(number), end) for number, end in enumerate(ends)]
    assert time.monotonic() < first, "starts took longer than was thought"
    for container in containers:
        await client.wait(container)
    for container in containers:
        await client.remove(container)
    return containers


async def _started(client: Client, stamp: Path, ended: Path, end: float) -> str:
    """A container that ends at about that time, and writes down when."""
    binds = (f"{stamp}:/stamp:ro", f"{ended.parent}:/out")
    left_ms = str(int((end - time.monotonic()) * 1000))
    container = await client.create(IMAGE, ["/stamp", f"/out/{ended.name}", left_ms], "none", binds)
    await client.start(container)
    return container


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
