"""How fast one node's events may go into the stream: a token bucket of bytes. Pure."""

from typing import Final

BYTES_PER_S: Final = 4 << 20
BURST_BYTES: Final = 64 << 20


class Allowance:
    """One node's. Times are in seconds of one steady clock."""

    def __init__(self, bytes_per_s: int = BYTES_PER_S, burst: int = BURST_BYTES) -> None:
        self._rate = bytes_per_s
        self._burst = burst
        self._left = float(burst)
        self._since = 0.0

    def take(self, size: int, now: float) -> float:
        """Take `size` bytes. Returns the seconds to wait before storing them."""
        self._left = min(self._burst, self._left + (now - self._since) * self._rate)
        self._since = now
        self._left -= size
        return max(0.0, -self._left / self._rate)
