"""What the one suite runs on: the networks' twin in memory, and this kernel's with each driver."""

import asyncio
import itertools
import json
import os
import secrets
import threading
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any, Protocol

from tests.namespaces import Namespace, Process, end, start_container

from seaway_agent.network.fake import FakeHost, FakeNetworks
from seaway_agent.network.names import default_bridge
from seaway_agent.network.networks import NodeNetworks
from seaway_agent.network.port import DEFAULT_NAME, DEFAULT_NETWORK, Networks, NetworkSpec, SandboxHandle
from seaway_testing.descriptors import open_descriptors

DEFAULT = NetworkSpec(DEFAULT_NETWORK, DEFAULT_NAME, subnet=IPv4Network("172.30.0.0/24"))


@dataclass(frozen=True)
class Inside:
    """What a container's process sees: addresses and MAC addresses by interface, and where the default routes lead."""

    addresses: dict[str, str]
    macs: dict[str, str]
    route: tuple[str, str] | None
    addresses6: dict[str, str]
    route6: tuple[str, str] | None


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
        sandbox = self._host.processes[pid]
        endpoints, (first, first6) = sandbox.endpoints, sandbox.routes()
        return Inside(
            {one.interface: f"{one.address}/{one.prefix_len}" for one in endpoints},
            {one.interface: one.mac for one in endpoints},
            (str(first.gateway), first.interface) if first is not None else None,
            {one.interface: f"{one.address6}/{one.prefix_len6}" for one in endpoints if one.address6 is not None},
            (str(first6.gateway6), first6.interface) if first6 is not None else None,
        )

    def left(self) -> list[str]:
        networks = [network.name for network in self._host.networks.values() if network.name != DEFAULT_NAME]
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
        self._rules = ""
        self.networks: NodeNetworks

    async def open(self) -> None:
        self.networks = NodeNetworks(self.suite, netns_fd=self.host.fd)
        await self.networks.open()
        await self.networks.make(DEFAULT)
        self._before = self._before if any(self._before) else _open_things()
        self._rules = self._rules or self.host.table(self.suite)

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
            route = _default_route(Namespace(fd).run("ip", "-j", "route", "show", "default"))
            route6 = _default_route(Namespace(fd).run("ip", "-6", "-j", "route", "show", "default"))
        finally:
            os.close(fd)
        links = [link for link in shown if link["ifname"].startswith(("eth", "net"))]
        assert all("UP" in link["flags"] for link in links)
        macs = {link["ifname"]: link["address"] for link in links}
        return Inside(_addresses(links, "inet"), macs, route, _addresses(links, "inet6"), route6)

    def left(self) -> list[str]:
        """Interfaces, rules, descriptors, threads."""
        found = sorted(self.host.own_links() - {default_bridge(self.suite)})
        found += [line for line in self.host.table(self.suite).splitlines() if line not in self._rules]
        table6 = self.host.table6(self.suite).splitlines()
        found += [line for line in table6 if "elements" in line and "{ tcp, udp, sctp }" not in line]
        files, threads = (now - then for now, then in zip(_open_things(), self._before, strict=True))
        return found + [f"{files} descriptors"] * (files > 0) + [f"{threads} threads"] * (threads > 0)

    async def close(self) -> None:
        for pid in list(self._processes):
            await self.end(pid)
        await self.networks.close(teardown=True)
        self.host.close()


def _addresses(links: list[dict[str, Any]], family: str) -> dict[str, str]:
    """The addresses of a family by interface, without link-local ones. A tentative one can't be used yet."""
    found = [(link["ifname"], one) for link in links for one in link["addr_info"]]
    wanted = [(name, one) for name, one in found if one["family"] == family and one["scope"] == "global"]
    assert not [one for _, one in wanted if one.get("tentative")]
    return {name: f"{one['local']}/{one['prefixlen']}" for name, one in wanted}


def _default_route(shown: str) -> tuple[str, str] | None:
    routes = json.loads(shown or "[]")
    assert len(routes) <= 1
    return (routes[0]["gateway"], routes[0]["dev"]) if routes else None


def _open_things() -> tuple[int, int]:
    """Descriptors, and threads of networks."""
    return open_descriptors(), sum(thread.name.startswith("network-") for thread in threading.enumerate())
