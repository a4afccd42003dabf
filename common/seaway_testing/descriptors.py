"""Whether a piece of work leaves descriptors open."""

import contextlib
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def none_left_open() -> Iterator[None]:
    """Raises AssertionError where more are open at the end than at the start.

    Fewer may be: what an earlier test has let go of is closed when Python comes to it.
    """
    before = _open()
    yield
    after = _open()
    assert after <= before, f"{after - before} descriptors are left open"


def _open() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
