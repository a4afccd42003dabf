"""Reading on over rotated files, while they are written."""

import asyncio
import contextlib
import shutil
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from seaway_agent.streams.log_cursor import LogCursor
from seaway_agent.streams.log_files import LogFiles
from seaway_agent.streams.log_watch import LogWatch
from seaway_docker.log_options import LogPolicy
from seaway_kit.tasks import Tasks, cancel
from seaway_testing.descriptors import open_descriptors
from seaway_testing.waiting import GUARD_S, until


class Log:
    """A log whose writer the test plays."""

    def __init__(self, path: Path, held: int = 1 << 20) -> None:
        self.files = LogFiles(path, LogPolicy(10, 3, True), held=held)
        self.running = True
        self.watch = LogWatch()

    def say(self, text: bytes) -> None:
        with open(self.files.path, "ab") as log:
            log.write(text)

    def turn(self) -> None:
        self.files.rename_current()
        self.files.path.touch()
        self.files.prune()

    def end(self) -> None:
        self.running = False
        self.watch.notify(self.files.path)

    def cursor(self, *, follow: bool = True, number: int = 1, offset: int = 0) -> LogCursor:
        running = (lambda: self.running) if follow else None
        return LogCursor(self.files, self.watch, number=number, offset=offset, running=running)


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[Log]:
    """A log that is written."""
    made = Log(tmp_path / "ctr.log")
    yield made
    made.watch.close()


async def read(cursor: LogCursor, into: bytearray | None = None) -> bytes:
    """All that the cursor gives."""
    found = bytearray() if into is None else into
    async for block in cursor.blocks():
        found += block
    return bytes(found)


async def test_all_files_are_read_oldest_first(log: Log) -> None:
    log.say(b"one ")
    log.turn()
    log.say(b"two ")
    log.turn()
    log.files.compress(1)
    log.say(b"three")
    assert await read(log.cursor(follow=False)) == b"one two three"
    assert await read(log.cursor(follow=False, number=2, offset=1)) == b"wo three"
    assert log.files.readers == {}


async def test_one_who_takes_all_as_fast_as_it_comes_holds_up_nobody(log: Log) -> None:
    turns, blocks = 0, 16
    log.say(bytes(blocks << 18))

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    ticking = Tasks("test").spawn("others", others())
    assert len(await read(log.cursor(follow=False))) == blocks << 18
    assert turns >= blocks
    await cancel(ticking)


async def test_nothing_was_ever_written(log: Log) -> None:
    assert await read(log.cursor(follow=False)) == b""


async def test_following_gives_what_comes_until_the_end(log: Log) -> None:
    found = bytearray()
    tasks = Tasks("test")
    reading = tasks.spawn("read", read(log.cursor(), found))
    for text in (b"a", b"b", b"c"):
        log.say(text)
        await until(lambda text=text: found.endswith(text))
    log.say(b"d")
    log.end()
    await asyncio.wait_for(reading, GUARD_S)
    assert found == b"abcd"


async def test_the_file_may_come_later_than_its_reader(log: Log) -> None:
    found = bytearray()
    reading = Tasks("test").spawn("read", read(log.cursor(), found))
    await asyncio.sleep(0)
    log.say(b"a")
    await until(lambda: found == b"a")
    log.end()
    await asyncio.wait_for(reading, GUARD_S)


async def test_a_reader_goes_through_many_rotations(log: Log) -> None:
    found = bytearray()
    reading = Tasks("test").spawn("read", read(log.cursor(), found))
    expected = b""
    for number in range(40):
        text = b"line %d\n" % number
        expected += text
        log.say(text)
        if number % 3 == 0:
            log.turn()
        if number % 7 == 0:
            await asyncio.sleep(0)
        if number % 5 == 0:
            for plain in log.files.uncompressed():
                log.files.compress(plain)
    log.end()
    await asyncio.wait_for(reading, GUARD_S)
    assert found == expected


async def test_what_conmon_writes_before_it_reopens_is_read(log: Log) -> None:
    found = bytearray()
    log.say(b"a")
    reading = Tasks("test").spawn("read", read(log.cursor(), found))
    await until(lambda: found == b"a")
    with open(log.files.path, "ab", buffering=0) as old:
        log.files.rename_current()
        old.write(b"b")
        await until(lambda: found == b"ab")
        old.write(b"c")
        log.files.path.touch()
    log.say(b"d")
    log.end()
    await asyncio.wait_for(reading, GUARD_S)
    assert found == b"abcd"


async def test_a_stalled_reader_loses_what_is_beyond_the_bound(tmp_path: Path) -> None:
    log = Log(tmp_path / "ctr.log", held=0)
    log.say(b"first")
    blocks = log.cursor().blocks()
    assert await anext(blocks) == b"first"
    for text in (b"2", b"3", b"4", b"5"):
        log.turn()
        log.say(text)
    log.end()
    assert b"".join([block async for block in blocks]) == b"345"
    log.watch.close()


async def test_what_is_removed_meanwhile_is_read_to_its_end(tmp_path: Path) -> None:
    """As the container is removed: also files that are compressed, and that the reader has not come to yet."""
    place = tmp_path / "container"
    place.mkdir()
    log = Log(place / "ctr.log")
    before = open_descriptors()
    for text in (b"one ", b"two "):
        log.say(text)
        log.turn()
    log.files.compress(1)
    log.say(b"three")
    begun, unbegun, left = log.cursor(), log.cursor(), log.cursor()
    blocks = begun.blocks()
    first = await anext(blocks)
    for reader in list(log.files.readers):
        reader.keep_open()
    log.running = False
    shutil.rmtree(place)
    assert first + b"".join([block async for block in blocks]) == b"one two three"
    assert await read(unbegun) == b"one two three"
    left.close()
    log.watch.close()
    assert log.files.readers == {}
    assert open_descriptors() == before


async def test_what_is_removed_just_when_it_is_opened_is_read_all_the_same(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    for text in (b"one ", b"two "):
        log.say(text)
        log.turn()
    log.say(b"three")
    cursor, opens = log.cursor(follow=False), log.files.open
    loop = asyncio.get_running_loop()

    def open_too_late(number: int) -> int:
        """In a thread, as rotated files are."""

        async def remove() -> None:
            cursor.keep_open()
            for path in (log.files.path, *log.files.rotated().values()):
                path.unlink()

        monkeypatch.undo()
        asyncio.run_coroutine_threadsafe(remove(), loop).result(5)
        return opens(number)

    monkeypatch.setattr(log.files, "open", open_too_late)
    assert await read(cursor) == b"one two three"


async def test_what_is_behind(log: Log) -> None:
    log.say(b"12345")
    log.turn()
    log.say(b"678")
    cursor = log.cursor(offset=2)
    assert cursor.behind() == 6
    blocks = cursor.blocks()
    assert await anext(blocks) == b"345" and cursor.behind() == 3
    await blocks.aclose()


async def test_a_reader_that_is_cancelled_while_a_file_is_opened_leaves_nothing(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.say(b"a")
    log.turn()
    let_go = threading.Event()
    opens = log.files.open

    def open_slowly(number: int) -> int:
        assert let_go.wait(10)
        return opens(number)

    monkeypatch.setattr(log.files, "open", open_slowly)
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    await asyncio.to_thread(int)  # the thread has its descriptors now, if any
    before = open_descriptors()
    reading = Tasks("test").spawn("read", read(log.cursor()))
    await asyncio.sleep(0)
    await cancel(reading)
    let_go.set()
    await asyncio.to_thread(int)  # behind the opening
    await until(lambda: open_descriptors() <= before)


async def test_a_reader_that_is_cancelled_leaves_nothing(log: Log) -> None:
    log.say(b"a")
    before = open_descriptors()
    found = bytearray()
    reading = Tasks("test").spawn("read", read(log.cursor(), found))
    await until(lambda: found == b"a" and bool(log.files.readers))
    await cancel(reading)
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(0)
    assert log.files.readers == {}
    assert open_descriptors() <= before + 1  # inotify's
