"""Ports that containers publish on the host: nftables translates them, the agent relays IPv6 where that can't be.

Independent of the networks but for their thread; a container is its id and the address that its ports lead to. Order
after a start: the networks' own, with ``restore`` before their ``sweep``.
"""

import asyncio
import errno
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Protocol, TypeVar

from seaway_agent.network.errors import NetlinkError, NetworkError
from seaway_agent.network.nft import NatTable, TableWatch
from seaway_agent.network.ports import PortBinding, PortRequest
from seaway_agent.network.publisher import PortPublisher, Published
from seaway_agent.network.relay import Relays

_log = logging.getLogger(__name__)
_RETRY_REPAIR = 1.0
_IPV6 = Path("/proc/sys/net/ipv6")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PortTarget:
    """The IPv6 address to which ports lead too, and the host's address for ports that name none ("": all of them)."""

    address6: IPv6Address | None = None
    host_binding: str = ""


class NetworkWorker(Protocol):
    """The part of `networks.NodeNetworks` that published ports use."""

    suite: str

    def run(self, work: Callable[[], T]) -> Awaitable[T]:
        """Run ``work`` in the network's thread, to its end even if the caller is cancelled."""

    def refresh(self) -> None:
        """Restore what another program removed of the networks. Runs in the network's thread."""

    def port_target(self, container: str, address: IPv4Address) -> PortTarget:
        """What else published ports that lead to this address of the container depend on."""


class PublishedPorts:
    """The ports of one node's containers. Close it before the networks."""

    def __init__(self, networks: NetworkWorker) -> None:
        self._networks = networks
        self._nat = NatTable(networks.suite)
        self._publisher = PortPublisher(self._nat, ipv6=_IPV6.exists())
        self._relays = Relays()
        self._containers: set[str] = set()

    async def publish(
        self, container: str, address: IPv4Address, requests: Sequence[PortRequest]
    ) -> tuple[PortBinding, ...]:
        """Publish a container's ports, all or none. Raises PortError (Docker's text), PortInvalid.

        A cancelled caller calls ``unpublish``.
        """
        self._containers.add(container)
        target = self._networks.port_target(container, address)
        bound = [replace(request, host_ip=request.host_ip or target.host_binding) for request in requests]
        try:
            bindings = await self._networks.run(lambda: self._publish(container, address, bound, target.address6))
        except (NetworkError, OSError):
            self._containers.discard(container)
            raise
        if any(":" in binding.host_ip for binding in bindings):
            await self._relay(container)
        return bindings

    async def unpublish(self, container: str) -> None:
        """Withdraw a container's ports. Without any it does nothing, and wakes no other thread."""
        if container not in self._containers:
            return
        await self._relays.stop(container)
        await self._networks.run(lambda: self._publisher.unpublish(container))
        self._containers.discard(container)

    async def restore(self, live: Mapping[str, Published]) -> list[str]:
        """Publish exactly these containers' ports, without a gap; returns warnings for the user."""
        await self._relays.stop_all()
        self._containers = set(live)
        targets = {one: self._networks.port_target(one, published.address) for one, published in live.items()}
        complete = {one: replace(published, address6=targets[one].address6) for one, published in live.items()}
        warnings = await self._networks.run(lambda: self._publisher.restore(complete))
        await self._relay()
        return warnings

    async def refresh(self) -> None:
        """Restore networks, table and ports, after a firewall's reload flushed all nftables rules."""
        await self._networks.run(self._refresh)

    async def repair_on_flush(self) -> None:
        """Restore all whenever the table is deleted, until cancelled."""
        watch = await self._networks.run(lambda: TableWatch(self._nat.name))
        loop, changed = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(watch.fileno(), changed.set)
        try:
            while True:
                await changed.wait()
                changed.clear()
                if watch.deleted():
                    await self._repair()
        finally:
            loop.remove_reader(watch.fileno())
            watch.close()

    async def close(self) -> None:
        """Close all sockets; the translations to live containers stay."""
        await self._relays.stop_all()
        self._containers.clear()
        await self._networks.run(self._close)

    async def _repair(self) -> None:
        """Restore all, with retries: another program may be changing the rules."""
        _log.warning("the table %s was deleted, as by a flush of the firewall: making it again", self._nat.name)
        while True:
            try:
                await self.refresh()
                return
            except (NetworkError, OSError) as error:
                _log.warning("published ports can't be put right: %s; trying again", error)
            await asyncio.sleep(_RETRY_REPAIR)

    async def _relay(self, container: str = "") -> None:
        """Relay the published IPv6 ports of a container, or of all."""
        for found, relayed_ports in (await self._networks.run(self._publisher.relayed_ports)).items():
            if container in ("", found):
                self._relays.start(found, relayed_ports)

    def _publish(
        self, container: str, address: IPv4Address, requests: Sequence[PortRequest], address6: IPv6Address | None
    ) -> tuple[PortBinding, ...]:
        try:
            return self._publisher.publish(container, address, requests, address6)
        except NetlinkError as error:
            if error.code not in (errno.ENOENT, errno.EEXIST):
                raise
            _log.warning("%s; setting the node's table up again", error)
        self._refresh()
        return self._publisher.publish(container, address, requests, address6)

    def _refresh(self) -> None:
        self._networks.refresh()
        self._publisher.rewrite()

    def _close(self) -> None:
        self._publisher.close()
        self._nat.close()
