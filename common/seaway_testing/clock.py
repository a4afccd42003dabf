"""A clock that moves only when told to."""

from typing import Final

START_NS: Final = 1_700_000_000_000_000_000


class FakeClock:
    """Stands in for `time.time_ns` and `time.monotonic`; both move together."""

    def __init__(self, start_ns: int = START_NS) -> None:
        self._now_ns = start_ns
        self._monotonic_ns = 0

    def now_ns(self) -> int:
        """Unix time in nanoseconds."""
        return self._now_ns

    def monotonic(self) -> float:
        """Seconds since the clock was made."""
        return self._monotonic_ns / 1e9

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        step = int(seconds * 1e9)
        self._now_ns += step
        self._monotonic_ns += step

    def set_wall(self, now_ns: int) -> None:
        """Change the wall clock alone, as an administrator or NTP would."""
        self._now_ns = now_ns
