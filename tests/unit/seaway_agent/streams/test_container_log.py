"""A container's log in its surroundings."""

import threading
from pathlib import Path

from tests.unit.seaway_agent.runner_bench import Bench

from seaway_contracts.containers import LogConfig
from seaway_docker.stdcopy import frame
from seaway_testing.waiting import until

OPTIONS = {"max-size": "1k", "max-file": "3", "compress": "true"}


def record(number: int, tag: str = "stdout F") -> bytes:
    """One record of conmon's."""
    return b"2026-01-01T00:00:00.%09d+00:00 %s line %d\n" % (number, tag.encode(), number)


async def test_compression_does_not_wait_for_the_lives_of_containers(bench: Bench) -> None:
    held = threading.Event()
    busy = [bench.workers.submit(held.wait, 20) for _ in range(2)]
    runner = await bench.make(log=LogConfig(driver="json-file", options=OPTIONS))
    path: Path = bench.layout.log(runner.spec.id)
    Path(f"{path}.1").write_bytes(record(1) * 100)
    path.write_bytes(b"")
    runner.log.begin()
    try:
        await until(lambda: Path(f"{path}.1.gz").exists())
        assert not any(work.done() for work in busy)
    finally:
        held.set()
        runner.log.end()


async def test_what_was_written_since_a_mark(bench: Bench) -> None:
    """Across a rotation, of the streams that are wanted."""
    runner = await bench.make()
    path: Path = bench.layout.log(runner.spec.id)
    path.write_bytes(record(1))
    begin = runner.log.mark()
    with path.open("ab") as file:
        file.write(record(2) + record(3, "stderr F"))
    runner.log.files.rename_current()
    path.write_bytes(record(4))

    def since(**wanted: bool) -> bytes:
        return runner.log.written_since(begin, **({"stdout": True, "stderr": True, "raw": True} | wanted))

    assert since() == b"line 2\nline 3\nline 4\n"
    assert since(stderr=False) == b"line 2\nline 4\n"
    assert since(raw=False, stdout=False) == frame(2, b"line 3\n")
    path.unlink()
    assert since() == b"line 2\nline 3\n"
