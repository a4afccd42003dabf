"""Whether a piece of work leaves descriptors open."""

import contextlib
import gc
from collections.abc import Iterator
from pathlib import Path


def open_descriptors() -> int:
    """How many this process has. What an earlier test has let go of is closed first, so that it can't go meanwhile."""
    gc.collect()
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@contextlib.contextmanager
def none_left_open() -> Iterator[None]:
    """Raises AssertionError where more are open at the end than at the start."""
    before = open_descriptors()
    yield
    after = open_descriptors()
    assert after <= before, f"{after - before} descriptors are left open"
