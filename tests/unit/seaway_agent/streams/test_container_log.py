"""A container's log in its surroundings."""

import threading
from pathlib import Path

from tests.unit.seaway_agent.cell_bench import Bench

from seaway_contracts.containers import LogConfig
from seaway_testing.waiting import until

OPTIONS = {"max-size": "1k", "max-file": "3", "compress": "true"}


def record(number: int, tag: str = "stdout F") -> bytes:
    """One record of conmon's."""
    return b"2026-01-01T00:00:00.%09d+00:00 %s line %d\n" % (number, tag.encode(), number)


async def test_compression_does_not_wait_for_the_lives_of_containers(bench: Bench) -> None:
    held = threading.Event()
    busy = [bench.node.workers.submit(held.wait, 20) for _ in range(4)]
    cell = await bench.make(log=LogConfig(driver="json-file", options=OPTIONS))
    path: Path = bench.node.layout.log(cell.spec.id)
    Path(f"{path}.1").write_bytes(record(1) * 100)
    path.write_bytes(b"")
    cell.log.begin()
    try:
        await until(lambda: Path(f"{path}.1.gz").exists())
        assert not any(work.done() for work in busy)
    finally:
        held.set()
        cell.log.end()
