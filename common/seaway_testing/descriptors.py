"""Whether a piece of work leaves descriptors open."""

import contextlib
import os
from collections.abc import Iterator


@contextlib.contextmanager
def none_left_open() -> Iterator[None]:
    """Raises AssertionError where more are open at the end than at the start.

    Fewer may be: what an earlier test has let go of is closed when Python comes to it.
    """
    before = len(os.listdir("/proc/self/fd"))
    yield
    after = len(os.listdir("/proc/self/fd"))
    assert after <= before, f"{after - before} descriptors are left open"
