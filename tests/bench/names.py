"""How soon a container learns the address of another one in its network, at a steady rate of questions."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import measure
from client import Client

NETWORK = "bench"
OTHERS = 10
SECONDS = 5


async def answers(engines: Mapping[str, Client], programs: Path, out: Path, rounds: int) -> dict[str, measure.Samples]:
    """Microseconds from a question to its answer: each round's median and 99th percentile, by `p50` and `p99`.

    `programs` holds dnsasker, `out` is an empty directory.
    """
    found: dict[str, measure.Samples] = {part: {name: [] for name in engines} for part in ("p50", "p99")}
    for _ in range(rounds):
        for name, client in engines.items():
            async with _network(client):
                await measure.quiet()
                took = await _ask(client, programs, out)
            found["p50"][name].append(took[len(took) // 2])
            found["p99"][name].append(took[len(took) * 99 // 100])
    return found


@contextlib.asynccontextmanager
async def _network(client: Client) -> AsyncIterator[None]:
    """A network in which some containers run."""
    await client.request("POST", "/networks/create", {"Name": NETWORK, "CheckDuplicate": True})
    others: list[str] = []
    try:
        for number in range(OTHERS):
            alias = {"EndpointsConfig": {NETWORK: {"Aliases": [f"other{number}"]}}}
            others.append(await client.create(measure.IMAGE, ["sleep", "1000"], NETWORK, NetworkingConfig=alias))
        await asyncio.gather(*(client.start(one) for one in others))
        yield
    finally:
        for one in others:
            await client.remove(one)
        await client.request("DELETE", f"/networks/{NETWORK}")


async def _ask(client: Client, programs: Path, out: Path) -> list[float]:
    binds = (f"{programs}:/b:ro", f"{out}:/out")
    container = await client.create(measure.IMAGE, ["/b/dnsasker", "other3", str(SECONDS), "/out/us"], NETWORK, binds)
    await client.start(container)
    code = await client.wait(container)
    await client.remove(container)
    if code:
        raise AssertionError(f"more than one question of a thousand had no answer: code {code}")
    return sorted(map(float, (out / "us").read_text().split()))
