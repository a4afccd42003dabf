"""Fixtures of the console's tests."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.unit.seaway_agent.streams.consoles import Attached, Shim

from seaway_agent.streams.spill import SpillStore
from seaway_bus.bus import Bus
from seaway_kit.tasks import Tasks


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Longer than a socket's name may be."""
    return tmp_path / ("b" * 100) / "bundle"


@pytest.fixture
def shim(bundle: Path) -> Iterator[Shim]:
    made = Shim(bundle)
    yield made
    made.close()


@pytest.fixture
async def attached(fake_bus: Bus, tasks: Tasks, tmp_path: Path, bundle: Path) -> AsyncIterator[Attached]:
    made = Attached(fake_bus, tasks, SpillStore(tmp_path), bundle)
    yield made
    made.spill.close()
    made.console.end()
    for stream in made.streams:
        await stream.close()
