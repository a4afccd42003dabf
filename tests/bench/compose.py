"""`docker compose up` and `down` of many services, and volumes that are made, mounted and removed."""

import asyncio
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path

from client import Client
from measure import IMAGE, Samples, quiet

SERVICES = (10, 100)
_PROGRAM = ["sh", "-c", "trap 'exit 0' TERM; sleep 10000 & wait"]


async def projects(engines: Mapping[str, Client], directory: Path, rounds: int) -> dict[str, Samples]:
    """Milliseconds of `up --detach` and `down`, by "up, 10 services" and so on."""
    found: dict[str, Samples] = {}
    for services in SERVICES:
        file = directory / f"compose-{services}.json"
        service = {"image": IMAGE, "command": _PROGRAM}
        file.write_text(json.dumps({"services": {f"s{number}": service for number in range(services)}}))
        ups = found.setdefault(f"up, {services} services", {name: [] for name in engines})
        downs = found.setdefault(f"down, {services} services", {name: [] for name in engines})
        for _ in range(rounds):
            for name, client in engines.items():
                await quiet()
                ups[name].append(await _compose(client, file, "up", "--detach"))
                await quiet()
                downs[name].append(await _compose(client, file, "down"))
    return found


async def _compose(client: Client, file: Path, *words: str) -> float:
    command = ["docker", "compose", "--progress", "quiet", "--project-name", "bench", "--file", str(file), *words]
    environment = os.environ | {"DOCKER_HOST": f"unix://{client.socket}"}
    began = time.perf_counter()
    ran = await asyncio.create_subprocess_exec(
        *command, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    told, _ = await ran.communicate()
    took = (time.perf_counter() - began) * 1e3
    if ran.returncode:
        raise RuntimeError(f"{' '.join(words)}: {told.decode()}")
    return took


async def volumes(engines: Mapping[str, Client], rounds: int, count: int) -> Samples:
    """Milliseconds for a volume that is made, mounted by a container that runs to its end, and removed."""
    samples: Samples = {name: [] for name in engines}
    for _ in range(rounds):
        for name, client in engines.items():
            await _volume(client)
            await quiet()
            for _ in range(count):
                began = time.perf_counter()
                await _volume(client)
                samples[name].append((time.perf_counter() - began) * 1e3)
    return samples


async def _volume(client: Client) -> None:
    await client.request("POST", "/volumes/create", {"Name": "bench"})
    container = await client.create(IMAGE, ["true"], "none", ("bench:/data",))
    await client.start(container)
    code = await client.wait(container)
    await client.remove(container)
    await client.request("DELETE", "/volumes/bench")
    if code:
        raise AssertionError(f"`true` ended with {code}")
