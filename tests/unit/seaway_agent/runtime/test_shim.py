"""Reports on a real pipe, exit files, pidfds, terminal sizes."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from seaway_agent.core.instructions import Exit
from seaway_agent.runtime import shim
from seaway_agent.runtime.conmon import Report
from seaway_contracts.errors import SeawayError
from seaway_testing.descriptors import none_left_open
from seaway_testing.waiting import until


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe2(os.O_CLOEXEC)
    yield reader, writer
    os.close(reader)
    try:
        os.close(writer)
    except OSError:
        pass


async def test_a_report_in_two_pieces(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.write(writer, b'{"data":')
    reading = asyncio.ensure_future(shim.read_report(reader))
    await asyncio.sleep(0)
    os.write(writer, b" 42}\n")
    assert await reading == Report(42)


async def test_a_shim_that_ends_without_a_report(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.close(writer)
    report = await shim.read_report(reader)
    assert report.pid == -1
    assert "conmon" in report.message


async def test_garbage_on_the_pipe_is_a_failed_report(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.write(writer, b"what?\n")
    assert (await shim.read_report(reader)).pid == -1


async def test_a_silent_shim_is_given_up(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shim, "_REPORT_S", 0.01)
    with pytest.raises(SeawayError, match="said nothing"):
        await shim.read_report(pipe[0])


def exit_files(directory: Path) -> shim.ExitFiles:
    for name in ("exits", "persist", "bundle"):
        (directory / name).mkdir()
    return shim.ExitFiles.of(directory / "exits", directory / "persist", directory / "bundle", "abc")


def test_exit_files(tmp_path: Path) -> None:
    files = exit_files(tmp_path)
    assert files.read() is None
    files.exit.write_text("")
    assert files.read() is None
    files.exit.write_text("3")
    os.utime(files.exit, ns=(0, 5_000_000_007))
    assert files.read() == Exit(3, 5_000_000_007)


@pytest.mark.parametrize("place", ["persist", "bundle"])
def test_an_oom_file_in_either_place(tmp_path: Path, place: str) -> None:
    files = exit_files(tmp_path)
    files.exit.write_text("137")
    (tmp_path / place / "oom").touch()
    how = files.read()
    assert how is not None
    assert how.oom
    files.clear()
    files.clear()
    assert not files.exit.exists()
    assert not (tmp_path / place / "oom").exists()


async def test_the_end_of_a_child_is_seen_and_the_child_is_reaped() -> None:
    child = subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE)  # noqa: ASYNC220
    ended: list[str] = []
    watched = shim.PidfdWatch(os.pidfd_open(child.pid), lambda: ended.append("ended"), child=True)
    assert child.stdin is not None
    child.stdin.close()
    await until(lambda: ended)
    assert ended == ["ended"]
    assert not Path(f"/proc/{child.pid}").exists()
    watched.close()
    child.wait()


async def test_a_closed_watch_does_not_call_back(tmp_path: Path) -> None:
    child = subprocess.Popen(["sleep", "60"])  # noqa: ASYNC220
    with none_left_open():
        watched = shim.PidfdWatch(os.pidfd_open(child.pid), pytest.fail, child=False)  # type: ignore[arg-type]
        watched.close()
        child.kill()
        child.wait()
        await asyncio.sleep(0)


@pytest.mark.parametrize(("script", "code"), [("exit 7", 7), ("kill -9 $$", -1)])
async def test_a_short_lived_child_is_reaped(script: str, code: int) -> None:
    with none_left_open():
        pid = os.posix_spawn("/bin/sh", ["sh", "-c", script], {})  # noqa: ASYNC221
        assert await shim.wait_and_reap(os.pidfd_open(pid)) == code
        assert not Path(f"/proc/{pid}").exists()


def test_each_size_fills_one_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "winsz")
    reader = os.open(tmp_path / "winsz", os.O_RDONLY | os.O_NONBLOCK)
    try:
        shim.resize_terminal(tmp_path, 20, 70)
        shim.resize_terminal(tmp_path, 65_535, 65_535)
        assert [os.read(reader, 199).split() for _ in range(2)] == [[b"20", b"70"], [b"65535", b"65535"]]
    finally:
        os.close(reader)


def test_without_a_terminal_there_is_nothing_to_size(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "ctl")
    reader = os.open(tmp_path / "ctl", os.O_RDONLY | os.O_NONBLOCK)
    shim.resize_terminal(tmp_path, 20, 70)
    assert os.read(reader, 10) == b""
    os.close(reader)


@pytest.mark.parametrize("name", ["winsz", "ctl", "neither"])
def test_a_shim_that_is_gone(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(OSError, match="No such"):
        shim.resize_terminal(tmp_path, 20, 70)
