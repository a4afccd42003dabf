"""What the one suite runs on: the networks' twin in memory, and this kernel's with each driver."""

import asyncio
import itertools
import json
import os
import secrets
import threading
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Protocol

from tests.namespaces import Namespace, Process, end, start_container

from seaway_agent.network.fake import FakeHost, FakeNetworks
from seaway_agent.network.names import bridge_name
from seaway_agent.network.networks import NodeNetworks
from seaway_agent.network.port import DEFAULT_NETWORK, Networks, NetworkSpec, SandboxHandle
from seaway_contracts.networks import network_id
from seaway_testing.descriptors import open_descriptors

DEFAULT = NetworkSpec(network_id(DEFAULT_NETWORK), DEFAULT_NETWORK, subnet=IPv4Network("172.30.0.0/24"))


@dataclass(frozen=True)
class Inside:
    """What a container's process sees: addresses and MAC addresses by interface, and where the default route leads."""

    addresses: dict[str, str]
    macs: dict[str, str]
    route: tuple[str, str] | None


class World(Protocol):
    """A host, and its networks: the default one, and those that a test makes."""

    driver: str

    @property
    def networks(self) -> Networks:
        """Those of the agent that runs now."""

    async def start(self, container: str, sandbox: SandboxHandle) -> int:
        """A process that has taken over the sandbox; its pid."""

    async def end(self, pid: int) -> None:
        """Kill it."""

    async def reopen(self) -> None:
        """The agent is killed, and another one begins, with the default network alone."""

    def inside(self, pid: int) -> Inside:
        """Look into its sandbox."""

    def left(self) -> list[str]:
        """What is on the host beyond the default network."""


class FakeWorld:
    """In memory."""

    driver = "bridge"

    def __init__(self) -> None:
        self._host = FakeHost()
        self._pids = itertools.count(1000)
        self.networks: Networks = FakeNetworks(self._host)

    async def open(self) -> None:
        await self.networks.make(DEFAULT)

    async def start(self, container: str, sandbox: SandboxHandle) -> int:
        pid = next(self._pids)
        self.networks.hand_over(container, pid)
        return pid

    async def end(self, pid: int) -> None:
        del self._host.processes[pid]

    async def reopen(self) -> None:
        self.networks = FakeNetworks(self._host)
        await self.open()

    def inside(self, pid: int) -> Inside:
        endpoints = self._host.processes[pid].endpoints
        routes = [(str(one.gateway), one.interface) for one in endpoints if one.gateway is not None]
        return Inside(
            {one.interface: f"{one.address}/{one.prefix_len}" for one in endpoints},
            {one.interface: one.mac for one in endpoints},
            routes[0] if routes else None,
        )

    def left(self) -> list[str]:
        networks = [name for name in self._host.networks if name != DEFAULT_NETWORK]
        return networks + [str(pid) for pid, held in self._host.processes.items() if held.endpoints]

    async def close(self) -> None:
        """Nothing is open."""


class KernelWorld:
    """A namespace that plays the host."""

    def __init__(self, driver: str) -> None:
        self.driver = driver
        self.suite = secrets.token_hex(3)
        self.host = Namespace.make()
        self._processes: dict[int, Process] = {}
        self._before = (0, 0)
        self.networks: NodeNetworks

    async def open(self) -> None:
        self.networks = NodeNetworks(self.suite, netns_fd=self.host.fd)
        await self.networks.open()
        await self.networks.make(DEFAULT)
        self._before = self._before if any(self._before) else _open_things()

    async def start(self, container: str, sandbox: SandboxHandle) -> int:
        process = await asyncio.to_thread(start_container, int(sandbox.path.rpartition("/")[2]))
        self.networks.hand_over(container, process.pid)
        self._processes[process.pid] = process
        return process.pid

    async def end(self, pid: int) -> None:
        await asyncio.to_thread(end, self._processes.pop(pid))

    async def reopen(self) -> None:
        await self.networks.close()
        await self.open()

    def inside(self, pid: int) -> Inside:
        fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
        try:
            shown = json.loads(Namespace(fd).run("ip", "-j", "address"))
            routes = json.loads(Namespace(fd).run("ip", "-j", "route", "show", "default"))
        finally:
            os.close(fd)
        links = [link for link in shown if link["ifname"].startswith("eth")]
        assert all("UP" in link["flags"] for link in links)
        return Inside(
            {link["ifname"]: f"{one['local']}/{one['prefixlen']}" for link in links for one in _ipv4(link)},
            {link["ifname"]: link["address"] for link in links},
            (routes[0]["gateway"], routes[0]["dev"]) if routes else None,
        )

    def left(self) -> list[str]:
        """Interfaces, rules, descriptors, threads."""
        found = sorted(self.host.own_links() - {bridge_name(self.suite)})
        chains = [line.split()[1] for line in self.host.table(self.suite).splitlines() if "chain" in line]
        known = {"prerouting", "output"}
        found += [name for name in chains if name not in known and not name.endswith(bridge_name(self.suite))]
        files, threads = (now - then for now, then in zip(_open_things(), self._before, strict=True))
        return found + [f"{files} descriptors"] * (files > 0) + [f"{threads} threads"] * (threads > 0)

    async def close(self) -> None:
        for pid in list(self._processes):
            await self.end(pid)
        await self.networks.close(teardown=True)
        self.host.close()


def _ipv4(link: dict[str, list[dict[str, str]]]) -> list[dict[str, str]]:
    return [one for one in link["addr_info"] if one["family"] == "inet"]


def _open_things() -> tuple[int, int]:
    """Descriptors, and threads of networks."""
    return open_descriptors(), sum(thread.name.startswith("network-") for thread in threading.enumerate())
