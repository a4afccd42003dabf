"""Dead-lines of commands, in the headers of their requests.

A request has two: in Unix time, and on the monotonic clock for a receiver on the same machine since the same boot. So a
step of the machine's clock makes no command stale. The clocks of machines must agree to within a command's time-out.
"""

import functools
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

DEADLINE: Final = "Seaway-Deadline"
MONOTONIC: Final = "Seaway-Deadline-Monotonic"
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")


def headers(limit_s: float) -> dict[str, str]:
    """The dead-line headers of a command that is sent now and has `limit_s` seconds."""
    limit_ns = int(limit_s * 1e9)
    return {DEADLINE: str(time.time_ns() + limit_ns), MONOTONIC: f"{boot()}:{time.monotonic_ns() + limit_ns}"}


def passed(told: Mapping[str, str], deadline_ns: int) -> bool:
    """Whether a command with these headers came too late; `deadline_ns` is its dead-line in Unix time, 0 for none."""
    where, _, when = told.get(MONOTONIC, "").partition(":")
    if where and where == boot() and when.isdigit():
        return time.monotonic_ns() > int(when)
    return 0 < deadline_ns < time.time_ns()


@functools.cache
def boot() -> str:
    """This machine's boot id; empty if the kernel doesn't say."""
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""
