"""A subscriber as users write it, with nats-py alone and a durable consumer: subscriber.py URL KEY OUT.

It writes the id of each event down before it acknowledges it. Killed, it is started again with the same words.
"""

import asyncio
import contextlib
import sys

import nats
from nats.js.api import ConsumerConfig

DURABLE, ACK_WAIT_S = "mine", 5.0


async def read(url: str, key: str, out: str) -> None:
    """Until it is killed. Raises errors of nats-py while the server is away."""
    bus = await nats.connect(url, nkeys_seed=key)
    config = ConsumerConfig(ack_wait=ACK_WAIT_S)
    events = await bus.jetstream().pull_subscribe("seaway.v1.event.>", durable=DURABLE, config=config)
    with open(out, "a", buffering=1) as file:
        while True:
            for message in await events.fetch(100, timeout=5):
                file.write(f"{(message.headers or {})['ce-id']}\n")
                await message.ack()


async def main(url: str, key: str, out: str) -> None:
    """Read, and begin again where that can't be done."""
    while True:
        with contextlib.suppress(nats.errors.Error, OSError):
            await read(url, key, out)
        await asyncio.sleep(0.1)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
