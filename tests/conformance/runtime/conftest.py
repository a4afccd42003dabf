"""The worlds, each checked for what it leaves."""

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.conformance.runtime.worlds import SECCOMP, FakeWorld, KernelWorld, World, make_rootfs

from seaway_bus.bus import Bus
from seaway_kit.tasks import Tasks
from seaway_testing.waiting import until

KERNEL = [pytest.param(name, marks=pytest.mark.root) for name in ("crun", "runc", "runsc")]


@pytest.fixture(scope="session")
def busybox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_rootfs(tmp_path_factory.mktemp("busybox"))


@pytest.fixture(params=["fake", *KERNEL])
async def world(
    request: pytest.FixtureRequest, tmp_path: Path, busybox: Path, fake_bus: Bus, tasks: Tasks
) -> AsyncIterator[World]:
    """Any runtime. Each test gives back what it makes."""
    if request.param == "fake":
        twin = FakeWorld()
        yield twin
        assert twin.left() == []
        return
    async for made in _kernel(request.param, tmp_path, busybox, fake_bus, tasks):
        yield made


@pytest.fixture(params=KERNEL)
async def kernel(
    request: pytest.FixtureRequest, tmp_path: Path, busybox: Path, fake_bus: Bus, tasks: Tasks
) -> AsyncIterator[KernelWorld]:
    """A runtime on this kernel."""
    async for made in _kernel(request.param, tmp_path, busybox, fake_bus, tasks):
        yield made


async def _kernel(name: str, base: Path, rootfs: Path, bus: Bus, tasks: Tasks) -> AsyncIterator[KernelWorld]:
    if os.geteuid() != 0 or not SECCOMP.exists() or not all(map(shutil.which, ("conmon", "busybox", name))):
        pytest.skip(f"needs root, conmon, {name}, busybox-static and {SECCOMP}")
    made = KernelWorld(base, rootfs, name, bus, tasks)
    await made.open()
    try:
        yield made
        await until(lambda: not made.left(), what="a clean host")
    except AssertionError:
        pytest.fail(f"left behind: {made.left()}")
    finally:
        await made.close()
