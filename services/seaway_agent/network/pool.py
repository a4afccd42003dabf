"""Ready sandboxes, kept full in the background. Taken from any thread, filled by the network's thread."""

import threading
from collections import deque
from ipaddress import IPv4Address

from seaway_agent.network.sandbox import Sandbox

QUIET = 0.02


def refill_after(size: int, low: int, ready: int, idle_for: float) -> float | None:
    """Seconds until the next sandbox should be built: 0 is now, None never (the pool is full). Pure.

    Below the low mark at once; otherwise when nothing was taken for a while, so as not to slow starts down.
    """
    if ready >= size:
        return None
    if ready < low:
        return 0.0
    return max(0.0, QUIET - idle_for)


class SandboxPool:
    """Sandboxes of one kind, first built first taken, at most ``size``."""

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
        """The ready sandbox that has this address, if one does."""
        with self._lock:
            for sandbox in self._ready:
                if sandbox.address == address:
                    self._ready.remove(sandbox)
                    return sandbox
        return None
