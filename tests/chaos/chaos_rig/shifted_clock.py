"""A clock for the suite alone that can be moved while it runs: libfaketime, whose offset stands in a file."""

import os
import time
from pathlib import Path

_LIBRARIES = "usr/lib/*/faketime/libfaketimeMT.so.1"


class ShiftedClock:
    """The wall clock of every process that is started with `environment`. The monotonic clock stays as it is."""

    def __init__(self, place: Path) -> None:
        self._offset = place / "clock"
        self.seconds = 0
        self._write()

    @property
    def environment(self) -> dict[str, str]:
        """What a process must be started with."""
        return {
            "LD_PRELOAD": str(library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._offset),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def move(self, seconds: int) -> None:
        """From now on the clock is so much ahead of the machine's (behind, where negative)."""
        self.seconds = seconds
        self._write()

    def now(self) -> float:
        """What the suite takes for Unix time."""
        return time.time() + self.seconds

    def _write(self) -> None:
        aside = self._offset.with_suffix(".new")
        aside.write_text(f"{self.seconds:+d}\n")
        aside.replace(self._offset)


def library() -> Path:
    """Raises FileNotFoundError where the package libfaketime isn't installed."""
    found = sorted(Path("/").glob(_LIBRARIES))
    if not found:
        raise FileNotFoundError("libfaketime is missing: ./dev test installs it")
    return found[0]


def shifted(pid: int) -> bool:
    """Whether a process has loaded it."""
    try:
        return "libfaketime" in Path(f"/proc/{pid}/maps").read_text()
    except OSError:
        return False


def forget() -> None:
    """Nothing that this process starts is to be shifted."""
    os.environ.pop("LD_PRELOAD", None)
