"""What clients write to a console: it goes to the container, and ends with who wrote it."""

import asyncio
import os
from pathlib import Path

import pytest
from tests.unit.seaway_agent.streams.consoles import OUT, Attached, Shim, read_bytes

from seaway_bus.streams import ByteStream
from seaway_docker.stdcopy import frame
from seaway_testing.waiting import GUARD_S, until


async def test_input_goes_raw_to_the_container_and_ends_once(attached: Attached, shim: Shim, bundle: Path) -> None:
    attached.make(stdin=True, stdin_once=True)
    client = await attached.join(stdin=True)
    attached.console.connect(bundle)
    shim.accept()
    await client.write(b"hello")
    assert await shim.hear() == b"hello"
    await client.end()
    assert await shim.hear() == b""
    await shim.say(OUT, b"still here")
    assert await read_bytes(client, 18) == frame(1, b"still here")


async def test_input_waits_for_the_run(attached: Attached, shim: Shim, bundle: Path) -> None:
    attached.make(stdin=True, stdin_once=True)
    client = await attached.join(stdin=True)
    await client.write(b"early")
    attached.console.connect(bundle)
    shim.accept()
    assert await shim.hear() == b"early"


async def test_much_input_comes_whole_in_packets_of_conmons_size(attached: Attached, shim: Shim, bundle: Path) -> None:
    attached.make(stdin=True, stdin_once=True)
    client = await attached.join(stdin=True)
    attached.console.connect(bundle)
    shim.accept()
    sent = os.urandom(1_500_000)
    writing = asyncio.ensure_future(_write_and_end(client, sent))
    heard, longest = b"", 0
    while piece := await shim.hear():
        heard += piece
        longest = max(longest, len(piece))
    await writing
    assert heard == sent
    assert longest <= 32 * 1024


async def _write_and_end(stream: ByteStream, data: bytes) -> None:
    await stream.write(data)
    await stream.end()


async def test_without_stdin_input_goes_nowhere(attached: Attached, shim: Shim, bundle: Path) -> None:
    client = await attached.join(stdin=True)
    attached.console.connect(bundle)
    peer = shim.accept()
    await client.write(b"hello")
    await shim.say(OUT, b"x")
    await read_bytes(client, 9)
    with pytest.raises(BlockingIOError):
        peer.recv(10)


async def test_stdin_that_outlives_its_clients_is_left_open(attached: Attached, shim: Shim, bundle: Path) -> None:
    attached.make(stdin=True, stdin_once=False)
    client = await attached.join(stdin=True)
    attached.console.connect(bundle)
    peer = shim.accept()
    await client.write(b"one")
    await client.end()
    assert await shim.hear() == b"one"
    second = await attached.join(stdin=True)
    await second.write(b"two")
    assert await shim.hear() == b"two"
    with pytest.raises(BlockingIOError):
        peer.recv(10)


async def test_a_client_that_goes_without_an_end_ends_the_input(attached: Attached, shim: Shim, bundle: Path) -> None:
    attached.make(stdin=True, stdin_once=True)
    client = await attached.join(stdin=True)
    attached.console.connect(bundle)
    shim.accept()
    await client.close()
    async with asyncio.timeout(GUARD_S):
        assert await shim.hear() == b""


@pytest.mark.parametrize("raw", [False, True])
async def test_a_client_that_goes_before_the_start_ends_the_input(
    attached: Attached, shim: Shim, bundle: Path, raw: bool
) -> None:
    attached.make(stdin=True, stdin_once=True)
    client = await attached.join(stdin=True, raw=raw)
    await client.end()
    await client.close()
    await until(lambda: not attached.console.wanted)
    attached.console.connect(bundle)
    shim.accept()
    async with asyncio.timeout(GUARD_S):
        assert await shim.hear() == b""


async def test_the_next_run_has_input_again(attached: Attached, shim: Shim, bundle: Path) -> None:
    attached.make(stdin=True, stdin_once=True)
    leaver = await attached.join(stdin=True)
    await leaver.close()
    await until(lambda: not attached.console.wanted)
    stayer = await attached.join(stdin=True)
    attached.console.connect(bundle)
    shim.accept()
    await stayer.write(b"in")
    async with asyncio.timeout(GUARD_S):
        assert await shim.hear() == b"in"
