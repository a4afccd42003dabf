"""Pools of ready sandboxes. Any thread takes from them; the network's thread refills them."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Address

from seaway_agent.network.errors import NetworkError
from seaway_agent.network.port import DEFAULT_NETWORK, EndpointRequest
from seaway_agent.network.sandbox import Sandbox

_log = logging.getLogger(__name__)
IDLE_S = 0.02
_RETRY = 1.0
_READY_ENDPOINTS: Mapping[str, tuple[EndpointRequest, ...]] = {
    "bridge": (EndpointRequest(DEFAULT_NETWORK),),
    "none": (),
}
"""The endpoints of ready sandboxes, by mode: one on the default network, or none."""


def refill_after(size: int, low: int, ready: int, idle_for: float) -> float | None:
    """Seconds until the next sandbox should be built: 0 is now, None never (the pool is full). Pure.

    Below the low mark at once; otherwise after an idle time, so that a refill doesn't slow down starts.
    """
    if ready >= size:
        return None
    if ready < low:
        return 0.0
    return max(0.0, IDLE_S - idle_for)


class SandboxPool:
    """At most ``size`` sandboxes of one kind, first in first out."""

    def __init__(self, size: int, low: int) -> None:
        self.size = size
        self.low = min(low, size)
        self._ready: deque[Sandbox] = deque()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._ready)

    def put(self, sandbox: Sandbox) -> None:
        with self._lock:
            self._ready.append(sandbox)

    def take(self) -> Sandbox | None:
        """The oldest ready sandbox, if there is one."""
        with self._lock:
            return self._ready.popleft() if self._ready else None

    def take_address(self, address: IPv4Address) -> Sandbox | None:
        """The ready sandbox with this address, if there is one."""
        with self._lock:
            for sandbox in self._ready:
                if sandbox.address == address:
                    self._ready.remove(sandbox)
                    return sandbox
        return None


class SandboxPools:
    """The ready sandboxes of each mode. ``wake`` wakes the network's thread, which calls ``refill``."""

    def __init__(self, bridge: SandboxPool, none: SandboxPool, wake: Callable[[], None]) -> None:
        self._by_mode = {"bridge": bridge, "none": none}
        self._wake = wake
        self._filling = False
        self._last_taken = 0.0
        self._refill_planned = False

    def ready(self, mode: str) -> int:
        """How many sandboxes are ready."""
        return len(self._by_mode[mode])

    def fill(self) -> None:
        """Start keeping the pools full."""
        self._filling = True
        self._wake()

    def take(self, requests: Sequence[EndpointRequest]) -> Sandbox | None:
        """A ready sandbox with exactly the requested endpoints, if there is one.

        Wakes the thread only if it won't refill the pools in time by itself: each wake-up slows the hot path down.
        """
        for mode, plain in _READY_ENDPOINTS.items():
            pool = self._by_mode[mode]
            if tuple(requests) == plain and (sandbox := pool.take()) is not None:
                self._last_taken = time.monotonic()
                if not self._refill_planned or len(pool) == pool.low - 1:
                    self._wake()
                return sandbox
        return None

    def take_partial(self, requests: Sequence[EndpointRequest], release: Callable[[Sandbox], None]) -> Sandbox | None:
        """A ready sandbox with the first requested endpoints, if there is one. Runs in the network's thread."""
        self._last_taken = time.monotonic()
        if not requests or requests[0].network != DEFAULT_NETWORK or requests[0].gateway_priority:
            return self._by_mode["none"].take()
        first, pool = requests[0], self._by_mode["bridge"]
        if first.address is None:
            return pool.take() if first.mac is None else None
        sandbox = pool.take_address(first.address)
        if sandbox is not None and first.mac not in (None, sandbox.mac):
            release(sandbox)
            return None
        return sandbox

    def refill(self, build: Callable[[Sequence[EndpointRequest]], Sandbox]) -> float | None:
        """Build at most one sandbox; returns the seconds until the next call. Runs in the network's thread."""
        delay = self._refill(build)
        self._refill_planned = delay is not None
        return delay

    def drain(self, release: Callable[[Sandbox], None]) -> None:
        """Release all ready sandboxes, and stop refilling. Runs in the network's thread."""
        self._filling = False
        for pool in self._by_mode.values():
            while (sandbox := pool.take()) is not None:
                release(sandbox)

    def _refill(self, build: Callable[[Sequence[EndpointRequest]], Sandbox]) -> float | None:
        if not self._filling:
            return None
        idle_for = time.monotonic() - self._last_taken
        delays = [(refill_after(p.size, p.low, len(p), idle_for), mode) for mode, p in self._by_mode.items()]
        due = [(delay, mode) for delay, mode in delays if delay is not None]
        if not due:
            return None
        delay, mode = min(due)
        if delay > 0:
            return delay
        try:
            self._by_mode[mode].put(build(_READY_ENDPOINTS[mode]))
        except (NetworkError, OSError) as error:
            _log.warning("no sandbox made in advance: %s", error)
            return _RETRY
        return 0.0
