"""The asyncio facade of the node's networking: all that the rest of the agent uses.

Order after a start: ``open``; ``adopt`` each live container; ``restore`` their ports; ``sweep``; ``fill`` the pool.
All of it works before ``fill``, only slower.
"""

import asyncio
import contextlib
import errno
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from ipaddress import IPv4Address, IPv4Network
from typing import TypeVar

from seaway_agent.network.bridge import BridgeNetwork
from seaway_agent.network.errors import NetlinkError, NetworkError
from seaway_agent.network.pool import SandboxPool, refill_after
from seaway_agent.network.ports import PortBinding, PortRequest
from seaway_agent.network.publisher import PortPublisher, Published
from seaway_agent.network.relay import Relays
from seaway_agent.network.rtnl import InterfaceCounters
from seaway_agent.network.sandbox import Sandbox
from seaway_agent.network.sandboxes import NetworkRequest, Sandboxes
from seaway_agent.network.thread import NetworkThread
from seaway_agent.network.watch import TableWatch

_log = logging.getLogger(__name__)
_RETRY_REFILL = 1.0
_RETRY_REPAIR = 1.0
_PLAIN = {mode: NetworkRequest(mode) for mode in ("bridge", "none")}
T = TypeVar("T")


class NetworkDriver:
    """One node's network. ``netns_fd`` says in which namespace its bridge lives; by default the process's own."""

    def __init__(
        self,
        network: BridgeNetwork,
        *,
        pool_size: int = 8,
        pool_low: int = 2,
        isolated_size: int = 4,
        netns_fd: int | None = None,
    ) -> None:
        self.network = network
        self._sandboxes = Sandboxes(network)
        self._publisher = PortPublisher(network.nat, ipv6=network.ipv6)
        self._pools = {"bridge": SandboxPool(pool_size, pool_low), "none": SandboxPool(isolated_size, 1)}
        self._netns_fd = netns_fd
        self._thread: NetworkThread | None = None
        self._filling = False
        self._last_taken = 0.0
        self._refill_planned = False
        self._relays = Relays()

    async def open(self) -> IPv4Network:
        """Set up bridge and NAT; gives the subnet, to be kept and configured the next time."""
        self._thread = NetworkThread(f"network-{self.network.suite}", self._refill, self._netns_fd)
        try:
            return await self._do(self._open)
        except BaseException:
            await self.close()
            raise

    def fill(self) -> None:
        """Start to keep the pools full."""
        self._filling = True
        self._required_thread().poke()

    def ready(self, mode: str = "bridge") -> int:
        """How many sandboxes are ready to be taken."""
        return len(self._pools[mode])

    async def acquire(self, request: NetworkRequest = _PLAIN["bridge"]) -> Sandbox:
        """A sandbox for a container: from the pool in microseconds, or built in 1 to 2 milliseconds.

        It is the caller's until ``release``. Raises AddressError, NetworkError, OSError.
        """
        thread = self._required_thread()
        if request.address is None and request.mac is None and request.mode in self._pools:
            sandbox = self._pools[request.mode].take()
            if sandbox is not None:
                self._note_taken(thread, self._pools[request.mode])
                return sandbox
        future = thread.submit(lambda: self._acquire_now(request))
        try:
            return await asyncio.shield(asyncio.wrap_future(future))
        except asyncio.CancelledError:
            if not future.cancel():
                thread.submit(lambda: self._release_unclaimed(future))
            raise

    async def release(self, sandbox: Sandbox) -> None:
        """Give a sandbox back, after its container has ended or before it started. Twice does no harm."""
        await self._do(lambda: self._sandboxes.release(sandbox))

    async def adopt(self, pid: int, address: IPv4Address | None) -> Sandbox:
        """The sandbox of a container that outlived an earlier agent. Raises SandboxGone, NetworkError."""
        return await self._do(lambda: self._sandboxes.adopt(pid, address))

    async def sweep(self) -> list[str]:
        """Remove veths and published ports that belong to no sandbox; gives the veths' names."""
        await self._relays.stop_all()
        swept = await self._do(self._sweep)
        await self._relay()
        return swept

    async def publish(
        self, container_id: str, address: IPv4Address, requests: Sequence[PortRequest]
    ) -> tuple[PortBinding, ...]:
        """Publish a container's ports, all or none. Raises PortError (Docker's text), PortInvalid.

        A caller who is cancelled meanwhile calls ``unpublish``.
        """
        bindings = await self._do(lambda: self._publish(container_id, address, requests))
        if any(":" in binding.host_ip for binding in bindings):
            await self._relay(container_id)
        return bindings

    async def unpublish(self, container_id: str) -> None:
        """Withdraw a container's ports, if it has any."""
        await self._relays.stop(container_id)
        await self._do(lambda: self._publisher.unpublish(container_id))

    async def restore(self, live: Mapping[str, Published]) -> list[str]:
        """Publish exactly what these containers had, without a gap; gives warnings for the user."""
        await self._relays.stop_all()
        return await self._do(lambda: self._publisher.restore(live))

    async def refresh(self) -> None:
        """Put bridge, table and published ports right again, after a firewall's reload flushed all nftables rules."""
        await self._do(self._refresh)

    async def guard(self) -> None:
        """Put all right again whenever somebody has deleted the table; ends only by being cancelled."""
        watch = await self._do(lambda: TableWatch(self.network.nat.name))
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

    async def _repair(self) -> None:
        """Until it is done: another program may be at the rules just now."""
        _log.warning("the table %s was deleted, as by a flush of the firewall: making it again", self.network.nat.name)
        while True:
            try:
                await self.refresh()
                return
            except (NetworkError, OSError) as error:
                _log.warning("published ports can't be put right: %s; trying again", error)
            await asyncio.sleep(_RETRY_REPAIR)

    async def counters(self) -> dict[str, InterfaceCounters]:
        """Each sandbox's interface counters, as its container sees them, by ``host_veth``."""
        return await self._do(self._sandboxes.counters)

    async def close(self, *, teardown: bool = False) -> None:
        """End the thread and let go of all. Live containers keep their network, unless ``teardown``."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._filling = False
        await self._relays.stop_all()
        try:
            await asyncio.wrap_future(thread.submit(lambda: self._close(teardown=teardown)))
        finally:
            thread.stop()

    async def _relay(self, container_id: str = "") -> None:
        """Take connections at the published IPv6 ports of a container, or of all."""
        for found, entrances in (await self._do(self._publisher.entrances)).items():
            if container_id in ("", found):
                self._relays.start(found, entrances)

    def _note_taken(self, thread: NetworkThread, pool: SandboxPool) -> None:
        """Wake the thread only if it won't look at the pools in time by itself: each wake-up costs the hot path."""
        self._last_taken = time.monotonic()
        if not self._refill_planned or len(pool) == pool.low - 1:
            thread.poke()

    async def _do(self, work: Callable[[], T]) -> T:
        """Have the network's thread do something, to its end even if the caller is cancelled."""
        return await asyncio.shield(asyncio.wrap_future(self._required_thread().submit(work)))

    def _required_thread(self) -> NetworkThread:
        if self._thread is None:
            raise NetworkError(f"network {self.network.bridge} is not open")
        return self._thread

    def _open(self) -> IPv4Network:
        self._sandboxes.open()
        return self.network.setup()

    def _publish(
        self, container_id: str, address: IPv4Address, requests: Sequence[PortRequest]
    ) -> tuple[PortBinding, ...]:
        try:
            return self._publisher.publish(container_id, address, requests)
        except NetlinkError as error:
            if error.code not in (errno.ENOENT, errno.EEXIST):
                raise
            _log.warning("%s; setting the node's table up again", error)
        self._refresh()
        return self._publisher.publish(container_id, address, requests)

    def _refresh(self) -> None:
        self.network.setup()
        self._publisher.rewrite()

    def _acquire_now(self, request: NetworkRequest) -> Sandbox:
        self._last_taken = time.monotonic()
        if request.address is not None:
            pooled = self._pools["bridge"].take_address(request.address)
            if pooled is not None and request.mac in (None, pooled.mac):
                return pooled
            if pooled is not None:
                self._sandboxes.release(pooled)
        elif request.mac is None and request.mode in self._pools:
            pooled = self._pools[request.mode].take()
            if pooled is not None:
                return pooled
        return self._sandboxes.build(request)

    def _release_unclaimed(self, future: Future[Sandbox]) -> None:
        """Runs in the network's thread after a sandbox was built for a caller who was cancelled."""
        with contextlib.suppress(NetworkError, OSError):
            self._sandboxes.release(future.result())

    def _sweep(self) -> list[str]:
        self._publisher.retain(self._sandboxes.addresses())
        return self._sandboxes.sweep()

    def _refill(self) -> float | None:
        """One step of keeping the pools full; seconds until the next."""
        delay = self._refill_step()
        self._refill_planned = delay is not None
        return delay

    def _refill_step(self) -> float | None:
        if not self._filling:
            return None
        idle_for = time.monotonic() - self._last_taken
        delays = [(refill_after(p.size, p.low, len(p), idle_for), mode) for mode, p in self._pools.items()]
        due = [(delay, mode) for delay, mode in delays if delay is not None]
        if not due:
            return None
        delay, mode = min(due)
        if delay > 0:
            return delay
        try:
            self._pools[mode].put(self._sandboxes.build(_PLAIN[mode]))
        except (NetworkError, OSError) as error:
            _log.warning("no sandbox made in advance: %s", error)
            return _RETRY_REFILL
        return 0.0

    def _close(self, *, teardown: bool) -> None:
        for pool in self._pools.values():
            while (pooled := pool.take()) is not None:
                self._sandboxes.release(pooled)
        try:
            if teardown:
                self.network.teardown()
        finally:
            self._publisher.close()
            self._sandboxes.close()
            self.network.close()
