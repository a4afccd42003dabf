"""What was freed goes back to the system."""

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

from seaway_kit.memory import give_back
from seaway_kit.tasks import Tasks
from seaway_testing.waiting import until

MIB = 1 << 20
PIECE = 4096 - 64  # below glibc's threshold for mappings of their own
ARENA_OF_A_THREAD = 64 << 20  # where heaps of such an arena begin (HEAP_MAX_SIZE)
WORK = """
import sys, threading
from pathlib import Path
from seaway_kit.memory import one_arena
if "one" in sys.argv:
    one_arena()
def work():
    kept.append([bytearray(4000) for _ in range(100)])
    done.wait()
kept, done = [], threading.Barrier(5)
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
done.wait()
print(Path("/proc/self/maps").read_text())
"""


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


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="the C library has no mallopt")
@pytest.mark.parametrize(("how", "arenas"), [("one", 0), ("as glibc does", 4)])
def test_threads_share_one_arena(how: str, arenas: int) -> None:
    done = subprocess.run([sys.executable, "-c", WORK, how], capture_output=True, text=True, check=True)
    rows = [line.split() for line in done.stdout.splitlines() if line]
    nameless = [int(row[0].partition("-")[0], 16) for row in rows if len(row) == 5 and row[1] == "rw-p"]
    assert sum(start % ARENA_OF_A_THREAD == 0 for start in nameless) == arenas
