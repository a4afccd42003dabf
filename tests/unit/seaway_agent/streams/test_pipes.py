"""An exec's pipes: real ones, with the test in the program's place."""

import asyncio
import os
from collections.abc import Iterator

import pytest

from seaway_agent.streams.pipes import Pipes
from seaway_docker.stdcopy import frame
from seaway_testing.waiting import GUARD_S


class Program:
    """The other ends."""

    def __init__(self) -> None:
        self.stdin, ours_in = os.pipe()
        ours_out, self.stdout = os.pipe()
        ours_err, self.stderr = os.pipe()
        self.pipes = Pipes(ours_in, (ours_out, ours_err))

    def ends(self) -> None:
        for name in ("stdin", "stdout", "stderr"):
            if (fd := getattr(self, name)) >= 0:
                os.close(fd)
                setattr(self, name, -1)

    def framed(self) -> bytes:
        batch = self.pipes.receive()
        return b"" if batch is None else batch.chosen(stdout=True, stderr=True, raw=False)


@pytest.fixture
def program() -> Iterator[Program]:
    made = Program()
    yield made
    made.ends()


async def test_both_streams_are_framed_by_themselves(program: Program) -> None:
    os.write(program.stdout, b"out")
    os.write(program.stderr, b"err")
    batch = program.pipes.receive()
    assert batch is not None
    assert batch.chosen(stdout=True, stderr=True, raw=False) == frame(1, b"out") + frame(2, b"err")
    assert batch.chosen(stdout=False, stderr=True, raw=False) == frame(2, b"err")
    assert batch.chosen(stdout=True, stderr=True, raw=True) == b"outerr"
    assert program.pipes.receive() is None
    program.pipes.close()


async def test_a_reader_is_woken_and_can_be_held(program: Program) -> None:
    woken = asyncio.Event()
    program.pipes.watch(woken.set)
    os.write(program.stderr, b"x")
    await asyncio.wait_for(woken.wait(), GUARD_S)
    program.pipes.unwatch()
    woken.clear()
    for _ in range(50):  # turns of the loop, each of which looks at descriptors
        await asyncio.sleep(0)
    assert not woken.is_set()
    program.pipes.watch(woken.set)
    await asyncio.wait_for(woken.wait(), GUARD_S)
    program.pipes.close()


async def test_the_end_of_one_stream_is_not_that_of_the_other(program: Program) -> None:
    program.pipes.watch(lambda: None)
    os.close(program.stdout)
    program.stdout = -1
    assert program.framed() == b""
    os.write(program.stderr, b"later")
    assert program.framed() == frame(2, b"later")
    assert not program.pipes.closed
    program.pipes.close()


async def test_at_the_end_what_is_there_is_read_and_no_more(program: Program) -> None:
    os.write(program.stdout, b"a" * 65536)
    program.pipes.finish()
    size = len(program.framed()) - 8
    os.write(program.stdout, b"b" * 4096)  # somebody else goes on
    assert program.framed() == b""
    assert size == 65536
    program.pipes.close()


async def test_input_goes_in_pieces_and_has_an_end(program: Program) -> None:
    size = program.pipes.send(b"x" * (1 << 20))
    assert 0 < size < 1 << 20
    with pytest.raises(BlockingIOError):
        program.pipes.send(b"x")
    waiting = asyncio.ensure_future(program.pipes.writable())
    await asyncio.sleep(0)
    read = 0
    while read < size:
        read += len(os.read(program.stdin, 65536))
    await asyncio.wait_for(waiting, GUARD_S)
    program.pipes.end_input()
    assert os.read(program.stdin, 1) == b""
    with pytest.raises(OSError, match="no input"):
        program.pipes.send(b"x")
    program.pipes.close()


@pytest.mark.both_loops
async def test_who_waits_to_write_is_woken_by_the_end_of_input(program: Program) -> None:
    """And the descriptor, whose number is soon another's, is watched no more."""
    program.pipes.send(b"x" * (1 << 20))
    fd = program.pipes._stdin
    waiting = asyncio.ensure_future(program.pipes.writable())
    await asyncio.sleep(0)
    program.pipes.end_input()
    assert not asyncio.get_running_loop().remove_writer(fd)
    await asyncio.wait_for(waiting, GUARD_S)
    program.pipes.close()


async def test_a_program_without_input() -> None:
    out, theirs_out = os.pipe()
    err, theirs_err = os.pipe()
    pipes = Pipes(-1, (out, err))
    with pytest.raises(OSError, match="no input"):
        pipes.send(b"x")
    os.write(theirs_err, b"why")
    assert pipes.read_stderr() == "why"
    assert pipes.read_stderr() == ""
    pipes.close()
    for fd in (theirs_out, theirs_err):
        os.close(fd)
