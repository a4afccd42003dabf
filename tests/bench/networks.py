"""Networks of users: starts, many ports, calls, and traffic between containers and through a published port."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Mapping
from typing import Any

from client import Client
from measure import IMAGE, Samples, quiet

PORTS = 200
_FIRST_PORT = 20000
_TRAFFIC_S = 4
_IPERF_PORT = 5201


async def starts(client: Client, rounds: int, count: int) -> Samples:
    """Milliseconds of one start each on the default bridge and in a network of users, in turn."""
    samples: Samples = {"bridge": [], "users": []}
    async with _network(client, "starts"):
        for _ in range(rounds):
            await quiet()
            for _ in range(count):
                for name, network in (("bridge", "bridge"), ("users", "starts")):
                    samples[name].append(await _start_ms(client, network))
    return samples


async def many_ports(engines: Mapping[str, Client]) -> tuple[Samples, Samples]:
    """Milliseconds of each start of containers with a published port: the first ten, and the last ten of 200."""
    first: Samples = {}
    last: Samples = {}
    for name, client in engines.items():
        async with _network(client, "ports"), _containers(client) as made:
            await quiet()
            took = []
            for port in range(_FIRST_PORT, _FIRST_PORT + PORTS):
                made.append(await client.create(IMAGE, ["sleep", "10000"], "ports", **_published(port)))
                took.append(await _timed(client.start(made[-1])))
        first[name], last[name] = took[:10], took[-10:]
    return first, last


async def calls(engines: Mapping[str, Client], rounds: int, count: int) -> tuple[Samples, Samples]:
    """Milliseconds of a network's create + remove, and of connect + disconnect of a container that runs."""
    networks: Samples = {name: [] for name in engines}
    connects: Samples = {name: [] for name in engines}
    for _ in range(rounds):
        for name, client in engines.items():
            async with _network(client, "calls"), _containers(client) as made:
                made.append(await client.create(IMAGE, ["sleep", "10000"], "bridge"))
                await client.start(made[0])
                await quiet()
                for _ in range(count):
                    networks[name].append(await _timed(_one_network(client)))
                for _ in range(count):
                    connects[name].append(await _timed(_one_connect(client, made[0])))
    return networks, connects


async def traffic(engines: Mapping[str, Client], rounds: int) -> tuple[Samples, Samples]:
    """Seconds for a gigabyte of TCP from container to container, and from the host through a published port."""
    within: Samples = {name: [] for name in engines}
    published: Samples = {name: [] for name in engines}
    for name, client in engines.items():
        async with _network(client, "traffic"), _containers(client) as made:
            for published_port in (_published(_FIRST_PORT, _IPERF_PORT), {}):
                made.append(await client.create(IMAGE, ["sleep", "10000"], "traffic", **published_port))
                await client.start(made[-1])
            server, address = await _place(client, made[0])
            sender, _ = await _place(client, made[1])
            for _ in range(rounds):
                within[name].append(await _iperf(server, _inside(sender), address, _IPERF_PORT))
                published[name].append(await _iperf(server, [], "127.0.0.1", _FIRST_PORT))
    return within, published


@contextlib.asynccontextmanager
async def _network(client: Client, name: str) -> AsyncIterator[None]:
    await client.request("POST", "/networks/create", {"Name": name})
    try:
        yield
    finally:
        await client.request("DELETE", f"/networks/{name}")


@contextlib.asynccontextmanager
async def _containers(client: Client) -> AsyncIterator[list[str]]:
    made: list[str] = []
    try:
        yield made
    finally:
        for container in made:
            await client.remove(container)


def _published(port: int, inside: int = 80) -> dict[str, Any]:
    """What a container's body says of a published port."""
    name = f"{inside}/tcp"
    return {"host": {"PortBindings": {name: [{"HostPort": str(port)}]}}, "ExposedPorts": {name: {}}}


async def _timed(job: Awaitable[None]) -> float:
    began = time.perf_counter()
    await job
    return (time.perf_counter() - began) * 1e3


async def _start_ms(client: Client, network: str) -> float:
    container = await client.create(IMAGE, ["sleep", "10000"], network)
    took = await _timed(client.start(container))
    await client.remove(container)
    return took


async def _one_network(client: Client) -> None:
    await client.request("POST", "/networks/create", {"Name": "made"})
    await client.request("DELETE", "/networks/made")


async def _one_connect(client: Client, container: str) -> None:
    await client.request("POST", "/networks/calls/connect", {"Container": container})
    await client.request("POST", "/networks/calls/disconnect", {"Container": container})


async def _place(client: Client, container: str) -> tuple[int, str]:
    """Its pid, and its address in the network."""
    shown = json.loads(await client.request("GET", f"/containers/{container}/json"))
    return shown["State"]["Pid"], shown["NetworkSettings"]["Networks"]["traffic"]["IPAddress"]


def _inside(pid: int) -> list[str]:
    return ["nsenter", f"--net=/proc/{pid}/ns/net"]


async def _iperf(server: int, prefix: list[str], address: str, port: int) -> float:
    """Seconds a gigabyte, from a client that is started by way of `prefix` to a server in that container's sandbox."""
    listening = await _spawn([*_inside(server), "iperf3", "-s", "-1", "-p", str(_IPERF_PORT), "--forceflush"])
    try:
        assert listening.stdout is not None
        while b"listening" not in (line := await asyncio.wait_for(listening.stdout.readline(), 10)):
            assert line, "iperf3's server has ended"
        words = [*prefix, "iperf3", "-J", "-c", address, "-p", str(port), "-t", str(_TRAFFIC_S)]
        sender = await _spawn(words)
        told, _ = await sender.communicate()
    finally:
        with contextlib.suppress(ProcessLookupError):
            listening.kill()
        await listening.wait()
    found = json.loads(told)
    if "error" in found:
        raise RuntimeError(f"iperf3: {found['error']}")
    return 8e9 / float(found["end"]["sum_received"]["bits_per_second"])


async def _spawn(words: list[str]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE)
