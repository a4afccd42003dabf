from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.seaway_agent.volumes.rig import opened

from seaway_agent.volumes.volumes import Volumes


@pytest.fixture
def volumes(tmp_path: Path) -> Iterator[Volumes]:
    found = opened(tmp_path)
    found.start(())
    yield found
    found.close()
