"""What was freed goes back to the system."""

import ctypes
from pathlib import Path

import pytest

from seaway_kit.memory import give_back
from seaway_kit.tasks import Tasks
from seaway_testing.waiting import until

MIB = 1 << 20
PIECE = 4096 - 64  # below glibc's threshold for mappings of their own


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="the C library has no malloc_trim")
async def test_what_lies_between_what_is_in_use_is_given_back() -> None:
    pieces = [bytearray(PIECE) for _ in range(64 * MIB // PIECE)]
    kept = pieces[::16]
    del pieces
    full = resident()
    tasks = Tasks("test")
    tasks.spawn("memory", give_back(0.01))
    try:
        await until(lambda: resident() < full - 24 * MIB)
    finally:
        await tasks.close()
        del kept
