"""The kernel's networks: the asyncio facade `port.Networks`, with one thread of its own for the work.

Order after a start: ``open``; ``make`` the networks, the default one first; ``adopt`` each live container; ``sweep``;
``fill`` the pools. All works before ``fill``, but slower.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from ipaddress import IPv4Address
from typing import TypeVar

from seaway_agent.network.bridge import BridgeDriver
from seaway_agent.network.driver import Driver
from seaway_agent.network.errors import NetworkError, SandboxGone
from seaway_agent.network.macvlan import MacvlanDriver
from seaway_agent.network.network_table import NetworkTable
from seaway_agent.network.options import bridge_options
from seaway_agent.network.pool import SandboxPool, SandboxPools
from seaway_agent.network.port import EndpointInfo, EndpointRequest, InterfaceCounters, NetworkSpec, SandboxHandle
from seaway_agent.network.published import PortTarget
from seaway_agent.network.sandbox import Sandbox
from seaway_agent.network.sandboxes import Sandboxes
from seaway_agent.network.thread import NetworkThread

DRIVERS: dict[str, Callable[[str], Driver]] = {"bridge": BridgeDriver, "macvlan": MacvlanDriver}
"""Driver name → the driver's constructor, which takes a suite."""
T = TypeVar("T")


class NodeNetworks:
    """One suite's networks on this node. ``netns_fd``: their namespace; by default the process's own."""

    def __init__(
        self,
        suite: str,
        *,
        pool_size: int = 8,
        pool_low: int = 2,
        isolated_size: int = 4,
        netns_fd: int | None = None,
    ) -> None:
        self.suite = suite
        self._networks = NetworkTable({name: make(suite) for name, make in DRIVERS.items()})
        self._sandboxes = Sandboxes(self._networks)
        self._by_container: dict[str, Sandbox] = {}
        self._joining: set[str] = set()
        self._pools = SandboxPools(SandboxPool(pool_size, pool_low), SandboxPool(isolated_size, 1), self._wake)
        self._netns_fd = netns_fd
        self._thread: NetworkThread | None = None

    async def open(self) -> None:
        """Start the thread. Raises OSError."""
        refill = self._pools.refill
        self._thread = NetworkThread(f"network-{self.suite}", lambda: refill(self._sandboxes.build), self._netns_fd)
        try:
            await self.run(self._sandboxes.open)
        except BaseException:
            await self.close()
            raise

    def fill(self) -> None:
        """Start keeping the pools full."""
        self._pools.fill()

    def ready(self, mode: str = "bridge") -> int:
        """How many sandboxes are ready: ``bridge`` with an endpoint on the default network, ``none`` without."""
        return self._pools.ready(mode)

    async def run(self, work: Callable[[], T]) -> T:
        """Run ``work`` in the network's thread, to its end even if the caller is cancelled."""
        return await asyncio.shield(asyncio.wrap_future(self._required_thread().submit(work)))

    def refresh(self) -> None:
        """Restore what another program removed of the networks. Runs in the network's thread."""
        self._networks.refresh()

    async def close(self, *, teardown: bool = False) -> None:
        """Release all, and end the thread. Live containers keep their network, unless ``teardown``."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._by_container.clear()
        try:
            await asyncio.wrap_future(thread.submit(lambda: self._close(teardown=teardown)))
        finally:
            thread.stop()

    # --- the port

    async def make(self, spec: NetworkSpec) -> NetworkSpec:
        """See the port."""
        return await self.run(lambda: self._networks.make(spec))

    async def remove(self, network_id: str) -> None:
        """See the port."""
        await self.run(lambda: self._networks.remove(network_id, in_use=self._sandboxes.in_use(network_id)))

    def present(self) -> tuple[NetworkSpec, ...]:
        """See the port."""
        return tuple(network.spec for network in self._networks.by_id.values())

    def is_made(self, network_id: str) -> bool:
        """See the port."""
        return network_id in self._networks.by_id

    async def join(self, container: str, requests: Sequence[EndpointRequest]) -> SandboxHandle:
        """See the port: from the pool in microseconds, or built in 1 to 2 milliseconds."""
        if container in self._by_container or container in self._joining:
            raise NetworkError(f"container {container[:12]} has a sandbox already")
        self._required_thread()
        sandbox = self._pools.take(requests)
        if sandbox is None:
            self._joining.add(container)
            try:
                sandbox = await self._build(requests)
            finally:
                self._joining.discard(container)
        self._by_container[container] = sandbox
        return SandboxHandle(sandbox.path, sandbox.endpoints)

    def hand_over(self, container: str, pid: int) -> None:
        """See the port."""
        if (sandbox := self._by_container.get(container)) is not None:
            sandbox.hand_over(pid)

    async def connect(self, container: str, request: EndpointRequest) -> EndpointInfo:
        """See the port."""
        sandbox = self._by_container.get(container)
        if sandbox is None:
            raise NetworkError(f"container {container[:12]} has no sandbox on this node")
        fd = sandbox.open_namespace()
        return await self._with(fd, lambda: self._sandboxes.connect(sandbox, fd, request))

    async def disconnect(self, container: str, network_id: str) -> None:
        """See the port."""
        sandbox = self._by_container.get(container)
        if sandbox is None:
            return
        try:
            fd = sandbox.open_namespace()
        except SandboxGone:
            fd = -1
        await self._with(fd, lambda: self._sandboxes.disconnect(sandbox, fd, network_id))

    async def share(self, container: str) -> None:
        """See the port."""
        sandbox = self._by_container.get(container)
        if sandbox is not None:
            with contextlib.suppress(SandboxGone):  # nobody can join it any more
                await self.run(sandbox.share)

    async def leave(self, container: str) -> None:
        """See the port."""
        sandbox = self._by_container.pop(container, None)
        if sandbox is not None:
            await self.run(lambda: self._sandboxes.release(sandbox))

    def endpoints(self, container: str) -> tuple[EndpointInfo, ...]:
        """See the port."""
        sandbox = self._by_container.get(container)
        return sandbox.endpoints if sandbox is not None else ()

    async def adopt(self, container: str, pid: int, requests: Sequence[EndpointRequest]) -> tuple[EndpointInfo, ...]:
        """See the port."""
        sandbox = self._by_container[container] = await self.run(lambda: self._sandboxes.adopt(pid, requests))
        return sandbox.endpoints

    def owns(self, container: str, address: IPv4Address) -> bool:
        """Whether an address is that of one of the container's endpoints, and its alone."""
        sandbox = self._by_container.get(container)
        return sandbox is not None and self._sandboxes.owns(sandbox, address)

    def port_target(self, container: str, address: IPv4Address) -> PortTarget:
        """What else published ports that lead to this address of the container depend on."""
        found = next((one for one in self.endpoints(container) if one.address == address), None)
        network = self._networks.by_id.get(found.network) if found is not None else None
        if found is None or network is None or network.spec.driver != "bridge":
            return PortTarget()
        return PortTarget(found.address6, bridge_options(network.spec.options).host_binding)

    async def sweep(self) -> list[str]:
        """See the port."""
        return await self.run(self._sandboxes.sweep)

    async def counters(self) -> Mapping[str, Mapping[str, InterfaceCounters]]:
        """See the port."""
        sandboxes = dict(self._by_container)
        return await self.run(lambda: self._sandboxes.counters(sandboxes))

    async def routes(self) -> tuple[str, ...]:
        """The destinations of the host's routes (CIDR notation), without these networks. Raises NetlinkError, OSError.

        Private ones alone; the default routes are none of them.
        """
        return await self.run(self._networks.routes)

    async def warnings(self) -> tuple[str, ...]:
        """What on this host keeps networks from working, and how to change that. Raises NetworkError, OSError."""
        return await self.run(self._networks.warnings)

    # --- the thread

    async def _build(self, requests: Sequence[EndpointRequest]) -> Sandbox:
        thread = self._required_thread()
        future = thread.submit(lambda: self._build_now(requests))
        try:
            return await asyncio.shield(asyncio.wrap_future(future))
        except asyncio.CancelledError:
            if not future.cancel():
                thread.submit(lambda: self._release_unclaimed(future))
            raise

    def _build_now(self, requests: Sequence[EndpointRequest]) -> Sandbox:
        sandbox = self._pools.take_partial(requests, self._sandboxes.release)
        if sandbox is None:
            return self._sandboxes.build(requests)
        self._sandboxes.extend(sandbox, requests[len(sandbox.plugged) :])
        return sandbox

    def _release_unclaimed(self, future: Future[Sandbox]) -> None:
        """Release a sandbox whose caller was cancelled. Runs in the network's thread."""
        with contextlib.suppress(NetworkError, OSError):
            self._sandboxes.release(future.result())

    async def _with(self, fd: int, work: Callable[[], T]) -> T:
        """Run ``work`` in the thread, then close the descriptor that it uses."""

        def job() -> T:
            try:
                return work()
            finally:
                if fd >= 0:
                    os.close(fd)

        return await self.run(job)

    def _wake(self) -> None:
        self._required_thread().wake()

    def _required_thread(self) -> NetworkThread:
        if self._thread is None:
            raise NetworkError(f"the network of suite {self.suite} is not open")
        return self._thread

    def _close(self, *, teardown: bool) -> None:
        self._pools.drain(self._sandboxes.release)
        try:
            if teardown:
                self._networks.teardown()
        finally:
            self._sandboxes.close()
            self._networks.close()


def teardown(suite: str) -> None:
    """Remove all of a suite's networks from this namespace, without an agent. Raises NetworkError, OSError."""
    # In a thread of its own: pyroute2 runs an event loop, and the caller may be in another one.
    thread = NetworkThread(f"network-{suite}", lambda: None)
    try:
        thread.submit(lambda: _teardown(suite)).result()
    finally:
        thread.stop()


def _teardown(suite: str) -> None:
    for make in DRIVERS.values():
        with contextlib.closing(make(suite)) as driver:
            driver.teardown()
