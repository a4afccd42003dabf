"""Rotation, with the test as conmon."""

import asyncio
import errno
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from seaway_agent.streams.log_files import LogFiles
from seaway_agent.streams.log_rotation import LogRotation
from seaway_agent.streams.log_watch import LogWatch
from seaway_docker.log_options import LogPolicy
from seaway_kit.tasks import Tasks
from seaway_testing.waiting import GUARD_S, until


class Shim:
    """Writes the log, and opens it anew when told."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.reopened = 0
        self.deaf = False
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115

    def say(self, text: bytes) -> None:
        self._file.write(text)

    def reopen(self) -> None:
        if self.deaf:
            raise OSError(errno.ENXIO, "nobody reads the FIFO")
        self._file.close()
        temporary = Path(f"{self.path}.tmp")
        assert temporary.exists(), "conmon needs no new file"
        self._file = open(temporary, "ab", buffering=0)  # noqa: SIM115
        temporary.rename(self.path)
        self.reopened += 1

    def close(self) -> None:
        self._file.close()


class Scene:
    """A running rotation."""

    def __init__(self, path: Path, *, compress: bool = False) -> None:
        self.shim = Shim(path)
        self.files = LogFiles(path, LogPolicy(100, 3, compress))
        self.watch = LogWatch()
        self.workers = ThreadPoolExecutor(1)
        self.tasks = Tasks("test")

    def start(self) -> None:
        rotation = LogRotation(self.files, self.watch, self.shim.reopen, self.workers)
        self.task = self.tasks.spawn("rotation", rotation.run())

    async def close(self) -> None:
        await self.tasks.close()
        await asyncio.to_thread(self.workers.shutdown)
        await asyncio.sleep(0)
        self.watch.close()
        self.shim.close()


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    """Not yet started; 100 bytes a file, three files."""
    made = Scene(tmp_path / "ctr.log")
    yield made
    await made.close()


async def test_a_full_file_is_rotated_and_the_oldest_go(scene: Scene) -> None:
    scene.start()
    for number in range(1, 6):
        scene.shim.say(b"%d" % number * 100)
        await until(lambda number=number: scene.shim.reopened == number)
    assert list(scene.files.rotated()) == [4, 5]
    assert (scene.files.path.parent / "ctr.log.5").read_bytes() == b"5" * 100
    assert scene.files.size() == 0


async def test_a_quiet_log_is_not_looked_at_until_it_grows(scene: Scene) -> None:
    scene.start()
    await until(lambda: LogRotation.busy != set())
    await until(lambda: LogRotation.busy == set())
    scene.shim.say(b"x" * 150)
    await until(lambda: scene.shim.reopened == 1)


async def test_compression_follows(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "ctr.log", compress=True)
    scene.start()
    scene.shim.say(b"x" * 150)
    await until(lambda: (tmp_path / "ctr.log.1.gz").exists() and not (tmp_path / "ctr.log.1").exists())
    await scene.close()


async def test_a_rename_without_reopening_is_made_up_for(scene: Scene) -> None:
    scene.shim.say(b"old")
    scene.files.prepare()
    scene.files.rename_current()
    scene.start()
    await until(lambda: scene.shim.reopened == 1)
    assert scene.files.path.exists()


async def test_a_shim_that_is_gone_does_not_end_it(scene: Scene) -> None:
    scene.shim.deaf = True
    scene.start()
    scene.shim.say(b"x" * 150)
    await until(lambda: scene.files.current == 2)
    assert not scene.task.done() and not scene.files.path.exists()


async def test_a_full_disk_leaves_the_file_where_it_is(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = asyncio.Event()

    def full() -> None:
        asked.set()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(scene.files, "prepare", full)
    scene.start()
    scene.shim.say(b"x" * 150)
    await asyncio.wait_for(asked.wait(), GUARD_S)
    assert scene.files.size() == 150 and scene.shim.reopened == 0 and not scene.task.done()


async def test_nothing_is_busy_after_the_end(scene: Scene) -> None:
    scene.start()
    await until(lambda: LogRotation.busy != set())
    await scene.tasks.close()
    assert LogRotation.busy == set()


async def test_a_run_that_ends_in_a_rotation_leaves_no_file_too_many(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.start()
    for count in (1, 2):
        scene.shim.say(b"x" * 100)
        await until(lambda count=count: scene.shim.reopened == count)  # type: ignore[misc]
        await until(lambda count=count: len(scene.files.rotated()) == count)  # type: ignore[misc]
    monkeypatch.setattr(Shim, "reopen", lambda shim: None)  # conmon ends before it hears of it
    scene.task.cancel()
    await asyncio.gather(scene.task, return_exceptions=True)
    scene.start()
    scene.shim.say(b"x" * 100)
    await until(lambda: len(scene.files.rotated()) == 3)
    scene.task.cancel()
    await asyncio.gather(scene.task, return_exceptions=True)
    assert len(scene.files.rotated()) == 2
