"""What of the host is free, and when that is too little."""

from pathlib import Path

import pytest

from seaway_agent.node.health import Health, read_health
from seaway_contracts.nodes import Capacity

GIB, MIB = 1 << 30, 1 << 20


def test_this_host(tmp_path: Path) -> None:
    found = read_health(tmp_path)
    assert 0 < found.free_pids < found.pids
    assert 0 <= found.free_disk <= found.disk
    assert 0 < found.free_memory < found.memory
    capacity = found.added_to(Capacity(nano_cpus=1, memory=2))
    assert capacity == Capacity(nano_cpus=1, memory=2, pids=found.pids, disk=found.disk)


@pytest.mark.parametrize(
    ("disk", "free_disk", "memory", "free_memory", "pressure"),
    [
        (100 * GIB, GIB, 8 * GIB, 100 * MIB, ()),
        (100 * GIB, GIB - 1, 8 * GIB, GIB, ("disk",)),
        (100 * GIB, GIB, 8 * GIB, 100 * MIB - 1, ("memory",)),
        (GIB, GIB // 20, GIB, GIB // 20, ()),
        (GIB, GIB // 20 - 1, GIB, GIB // 20 - 1, ("disk", "memory")),
        (0, 0, 0, 0, ()),
    ],
)
def test_pressure(disk: int, free_disk: int, memory: int, free_memory: int, pressure: tuple[str, ...]) -> None:
    found = Health(disk=disk, free_disk=free_disk, memory=memory, free_memory=free_memory)
    assert found.pressure == pressure
