"""Print every container that ends, on any node: exits.py NATS_URL KEY_FILE (of `seaway user add`)."""

import asyncio
import json
import sys

import nats


async def main(url: str, key_file: str) -> None:
    bus = await nats.connect(url, nkeys_seed=key_file)
    exits = await bus.subscribe("seaway.v1.event.*.container.die.*")
    await bus.flush()
    print("Listening.", flush=True)
    async for event in exits.messages:
        node, attributes = (event.headers or {})["ce-node"], json.loads(event.data)["attributes"]
        print(node, attributes["name"], "ended with", attributes["exitCode"], flush=True)


asyncio.run(main(*sys.argv[1:]))
