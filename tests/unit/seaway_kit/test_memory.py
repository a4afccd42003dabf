"""What was freed goes back to the system."""

import ctypes
import gc
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from seaway_kit.memory import give_back, loading
from seaway_kit.tasks import Tasks
from seaway_testing.waiting import until

MIB = 1 << 20
PIECE = 4096 - 64  # below glibc's threshold for mappings of their own
WORK = """
import ctypes, sys, threading
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
libc = ctypes.CDLL(None)
libc.fdopen.restype = ctypes.c_void_p
output = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, output)
libc.fflush(output)
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


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_info"), reason="the C library has no malloc_info")
@pytest.mark.parametrize(("how", "arenas"), [("one", 1), ("as glibc does", 5)])
def test_threads_share_one_arena(how: str, arenas: int) -> None:
    done = subprocess.run([sys.executable, "-c", WORK, how], capture_output=True, text=True, check=True)
    assert len(ElementTree.fromstring(done.stdout).findall("heap")) == arenas


def test_what_is_loaded_is_out_of_the_collectors_way() -> None:
    try:
        for fails in (False, True):
            gc.unfreeze()
            try:
                with loading():
                    assert not gc.isenabled()
                    kept = [{"number": [number]} for number in range(1000)]
                    if fails:
                        raise OSError
            except OSError:
                pass
            assert gc.isenabled()
            assert gc.get_freeze_count() >= len(kept)
    finally:
        gc.unfreeze()
