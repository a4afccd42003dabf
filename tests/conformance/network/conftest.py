"""The worlds, each checked for what it leaves."""

import os
import shutil
from collections.abc import AsyncIterator

import pytest
from tests.conformance.network.dummy import DummyDriver
from tests.conformance.network.worlds import FakeWorld, KernelWorld, World

from seaway_agent.network.networks import DRIVERS
from seaway_testing.waiting import until

DRIVERS["dummy"] = DummyDriver
KERNEL = [pytest.param(name, marks=pytest.mark.root) for name in ("bridge", "macvlan", "dummy")]


@pytest.fixture(params=["fake", *KERNEL])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """Any networks. Each test gives back what it makes."""
    if request.param != "fake" and (os.geteuid() != 0 or not all(map(shutil.which, ("nft", "ip", "nsenter")))):
        pytest.skip("needs root, nft, ip and nsenter")
    made = FakeWorld() if request.param == "fake" else KernelWorld(request.param)
    await made.open()
    try:
        yield made
        await until(lambda: not made.left(), what="a clean host")
    except AssertionError:
        pytest.fail(f"left behind: {made.left()}")
    finally:
        await made.close()
