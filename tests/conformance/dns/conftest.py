"""The worlds, each checked for what it leaves."""

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.conformance.dns.worlds import FakeWorld, ProcessWorld, World

from seaway_testing.waiting import until


@pytest.fixture(params=["fake", pytest.param("process", marks=pytest.mark.root)])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """A node with a resolver. Each test detaches what it attaches."""
    if request.param != "fake" and (os.geteuid() != 0 or not all(map(shutil.which, ("ip", "nsenter")))):
        pytest.skip("needs root, ip and nsenter")
    made = FakeWorld() if request.param == "fake" else ProcessWorld(tmp_path)
    try:
        yield made
        await until(lambda: not made.left(), what="a clean host")
    except AssertionError:
        pytest.fail(f"left behind: {made.left()}")
    finally:
        await made.close()
