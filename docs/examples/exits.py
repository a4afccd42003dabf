"""Print every container that ends, on any node: exits.py NATS_URL PASSWORD_FILE (of the bus user `cli`)."""

import asyncio
import json
import sys
from pathlib import Path

import nats


async def main(url: str, password_file: str) -> None:
    bus = await nats.connect(url, user="cli", password=Path(password_file).read_text().strip())
    exits = await bus.subscribe("seaway.v1.event.*.container.die.*")
    await bus.flush()
    print("Listening.", flush=True)
    async for event in exits.messages:
        node, attributes = (event.headers or {})["ce-node"], json.loads(event.data)["attributes"]
        print(node, attributes["name"], "ended with", attributes["exitCode"], flush=True)


asyncio.run(main(*sys.argv[1:]))
