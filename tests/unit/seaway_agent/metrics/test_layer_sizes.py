"""Writable layers, measured one after another."""

import asyncio
import os
from pathlib import Path

from seaway_agent.metrics.layer_sizes import LayerSizes, disk_use
from seaway_testing.waiting import until


def test_a_layer_and_its_file_system(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(3000))
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    found, of = disk_use(tmp_path), os.statvfs(tmp_path)
    assert (found.used, found.limit, found.inodes) == (3000, of.f_blocks * of.f_frsize, of.f_files)
    assert found.device


async def test_all_that_run_are_measured_and_one_that_has_gone_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "two").mkdir()
    sizes = LayerSizes(lambda container: tmp_path / container, lambda: ["one", "two"])
    task = asyncio.create_task(sizes.run())
    await until(lambda: bool(sizes.of("two")))
    task.cancel()
    assert sizes.of("one") == ()
    sizes.retain({"one"})
    assert sizes.of("two") == ()
