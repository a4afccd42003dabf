"""A plain nats-py program, as a user of the bus writes it: reader.py URL KEY MODE OUT.

It says `ready` when it listens. `live` writes a line for each `die` at once: the container's id and the monotonic time
in nanoseconds. `count N` has N connections that listen to all events and writes how many each got when it is told to
end. `replay N` reads N stored events by an ordered consumer and writes how many seconds that took.
"""

import asyncio
import contextlib
import signal
import sys
import time
from pathlib import Path

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg

ALL, DIES = "seaway.v1.event.>", "seaway.v1.event.*.container.die.*"


async def live(bus: Client, out: Path) -> None:
    """Until it is told to end."""
    with out.open("w", buffering=1) as file:

        async def hear(message: Msg) -> None:
            file.write(f"{(message.headers or {})['ce-subject']} {time.monotonic_ns()}\n")

        await bus.subscribe(DIES, cb=hear)
        await bus.flush()
        print("ready", flush=True)
        await asyncio.Event().wait()


async def count(url: str, key: str, number: int, out: Path) -> None:
    """Until it is told to end; then a number a line."""
    got = [0] * number

    def counter(place: int):  # type: ignore[no-untyped-def]
        async def hear(_: Msg) -> None:
            got[place] += 1

        return hear

    try:
        for place in range(number):
            bus = await nats.connect(url, nkeys_seed=key)
            await bus.subscribe(ALL, cb=counter(place))
            await bus.flush()
        print("ready", flush=True)
        await asyncio.Event().wait()
    finally:
        out.write_text("".join(f"{one}\n" for one in got))


async def replay(bus: Client, number: int, out: Path) -> None:
    """The oldest `number` of the stored events."""
    began = time.monotonic()
    events = await bus.jetstream().subscribe(ALL, stream="SEAWAY_EVENTS", ordered_consumer=True)
    for _ in range(number):
        await events.next_msg(timeout=10)
    out.write_text(f"{time.monotonic() - began}\n")


async def main(url: str, key: str, mode: str, out: str, number: str = "0") -> None:
    """Do what `mode` says; SIGTERM ends it."""
    task = asyncio.ensure_future(_do(url, key, mode, Path(out), int(number)))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def _do(url: str, key: str, mode: str, out: Path, number: int) -> None:
    if mode == "count":
        await count(url, key, number, out)
        return
    bus = await nats.connect(url, nkeys_seed=key)
    await (live(bus, out) if mode == "live" else replay(bus, number, out))


asyncio.run(main(*sys.argv[1:]))
