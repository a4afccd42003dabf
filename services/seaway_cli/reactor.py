"""A single-threaded loop over descriptors and timers. No threads and no asyncio, so that forking is safe."""

import heapq
import itertools
import selectors
import signal
import socket
import time
from collections.abc import Callable
from typing import Final

Action = Callable[[], None]
_STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Reactor:
    """Calls what was registered when its descriptor is readable or its time has come."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Action]] = []
        self._order = itertools.count()

    def on_readable(self, fd: int, action: Action) -> None:
        """Call `action` whenever `fd` is readable, until `forget`."""
        self._selector.register(fd, selectors.EVENT_READ, action)

    def forget(self, fd: int) -> None:
        """Stop watching `fd`. Call it before closing the descriptor."""
        self._selector.unregister(fd)

    def later(self, delay_s: float, action: Action) -> None:
        """Call `action` once, after that time."""
        heapq.heappush(self._timers, (time.monotonic() + delay_s, next(self._order), action))

    def step(self) -> None:
        """Wait for the next thing to happen, and handle what has."""
        timeout = max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None
        for key, _ in self._selector.select(timeout):
            if self._selector.get_map().get(key.fd) is key:  # an action before this one may have forgotten it
                key.data()
        while self._timers and self._timers[0][0] <= time.monotonic():
            heapq.heappop(self._timers)[2]()

    def close(self) -> None:
        """Forget everything."""
        self._timers.clear()
        self._selector.close()


class SignalPipe:
    """Turns stop signals into a readable descriptor, for as long as it is open."""

    def __init__(self) -> None:
        self._ours, self._theirs = socket.socketpair()
        self._ours.setblocking(False)
        self._theirs.setblocking(False)
        self._before = {number: signal.signal(number, lambda *_: None) for number in _STOP_SIGNALS}
        self._wakeup = signal.set_wakeup_fd(self._theirs.fileno(), warn_on_full_buffer=False)

    def fileno(self) -> int:
        """The descriptor to watch."""
        return self._ours.fileno()

    def read(self) -> list[signal.Signals]:
        """The stop signals that came since the last call."""
        try:
            return [signal.Signals(byte) for byte in self._ours.recv(256) if byte in _STOP_SIGNALS]
        except BlockingIOError:
            return []

    def close(self) -> None:
        """Put the former handlers back."""
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._ours.close()
        self._theirs.close()
