"""The console between a stand-in for conmon (a real SEQPACKET socket) and clients on the in-memory bus."""

import asyncio
import contextlib
import select
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.unit.seaway_agent.streams.consoles import ERR, OUT, Attached, Shim, read_all, read_bytes

from seaway_agent.streams import console as console_module
from seaway_agent.streams.spill import SpillStore
from seaway_agent.streams.stdio import AttachSocket
from seaway_contracts.errors import SeawayError
from seaway_docker.stdcopy import frame
from seaway_testing.descriptors import open_descriptors
from seaway_testing.waiting import GUARD_S, until


async def test_both_streams_come_framed_and_in_order(attached: Attached, shim: Shim, bundle: Path) -> None:
    client = await attached.join()
    attached.console.connect(bundle)
    shim.accept()
    await shim.say(OUT, b"one\n")
    await shim.say(ERR, b"two\n")
    expected = frame(1, b"one\n") + frame(2, b"two\n")
    assert await read_bytes(client, len(expected)) == expected


async def test_all_output_is_delivered_when_the_clients_have_read_it(
    attached: Attached, shim: Shim, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that doesn't read holds up nobody for long."""
    monkeypatch.setattr(console_module, "_DELIVERED_S", 0.05)
    client, other = await attached.join(), await attached.join()
    attached.console.connect(bundle)
    shim.accept()
    assert attached.console.is_attached
    for _ in range(600):
        await shim.say(OUT, b"x" * 8000)
    attached.console.end()
    await attached.console.delivered()
    assert attached.console._serving
    monkeypatch.setattr(console_module, "_DELIVERED_S", GUARD_S)
    reading = [asyncio.ensure_future(read_all(one)) for one in (client, other)]
    await attached.console.delivered()
    assert not attached.console._serving and not attached.console.is_attached
    assert {len(await one) for one in reading} == {600 * 8008}


async def test_each_client_gets_the_streams_that_it_wants(attached: Attached, shim: Shim, bundle: Path) -> None:
    out, err = await attached.join(stderr=False), await attached.join(stdout=False)
    attached.console.connect(bundle)
    shim.accept()
    await shim.say(OUT, b"o")
    await shim.say(ERR, b"e")
    shim.close()
    attached.console.end()
    assert (await read_all(out), await read_all(err)) == (frame(1, b"o"), frame(2, b"e"))


async def test_a_terminal_is_raw(attached: Attached, shim: Shim, bundle: Path) -> None:
    attached.make(tty=True)
    client = await attached.join()
    attached.console.connect(bundle)
    shim.accept()
    await shim.say(OUT, b"$ ")
    assert await read_bytes(client, 2) == b"$ "


async def test_history_comes_first(attached: Attached, shim: Shim, bundle: Path) -> None:
    async def history() -> AsyncIterator[bytes]:
        yield b"pa"
        yield b"st"

    client = await attached.join(history=history())
    attached.console.connect(bundle)
    shim.accept()
    await shim.say(OUT, b"x")
    assert await read_bytes(client, 13) == b"past" + frame(1, b"x")


async def test_what_was_said_before_the_end_is_handed_on(attached: Attached, shim: Shim, bundle: Path) -> None:
    client = await attached.join()
    attached.console.connect(bundle)
    shim.accept()
    for number in range(100):
        await shim.say(OUT, b"%03d" % number)
    attached.console.end()
    assert await read_all(client) == b"".join(frame(1, b"%03d" % number) for number in range(100))


@pytest.mark.parametrize("noticed", ["conmon's end", "the exit"])
async def test_output_is_whole_where_conmon_ends_with_unread_input(
    attached: Attached, shim: Shim, bundle: Path, noticed: str
) -> None:
    """Linux reports the reset before it gives what conmon has sent."""
    attached.make(stdin=True, stdin_once=True)
    client = await attached.join(stdin=True)
    attached.console.connect(bundle)
    conmon = shim.accept()
    await client.write(b"never read")
    await until(lambda: select.select([conmon], [], [], 0)[0])
    for word in (b"one", b"two"):
        conmon.send(bytes((OUT,)) + word)
    shim.close()
    if noticed == "the exit":
        attached.console.end()
    framed = frame(1, b"one") + frame(1, b"two")
    assert await read_bytes(client, len(framed)) == framed


WRITTEN = frame(1, b"written\n")


def written(*, stdout: bool, stderr: bool, raw: bool) -> bytes:
    return WRITTEN if stdout and stderr and not raw else b""


@pytest.mark.parametrize("noticed", ["before conmon's end", "after it, by reading", "after it, by writing"])
async def test_a_run_that_ends_before_conmon_has_accepted_us_is_read_elsewhere(
    attached: Attached, shim: Shim, bundle: Path, noticed: str
) -> None:
    attached.make(stdin=True, stdin_once=True)
    client = await attached.join(stdin=True)
    attached.console.connect(bundle)
    attached.console.set_fallback(written)
    if noticed != "before conmon's end":
        shim.close()
    if noticed == "after it, by writing":
        assert attached.console._stdio is not None
        with pytest.raises(ConnectionResetError):
            attached.console._stdio.send(b"input")
    attached.console.end()
    assert await read_all(client) == WRITTEN


@pytest.mark.parametrize("word", [b"", b"heard"])
async def test_a_run_that_conmon_has_given_to_us_is_not_read_twice(
    attached: Attached, shim: Shim, bundle: Path, word: bytes
) -> None:
    client = await attached.join()
    attached.console.connect(bundle)
    attached.console.set_fallback(written)
    conmon = shim.accept()
    if word:
        conmon.send(bytes((OUT,)) + word)
    conmon.close()
    attached.console.end()
    assert await read_all(client) == (frame(1, word) if word else b"")


async def test_what_is_read_elsewhere_is_of_this_run_alone(attached: Attached, shim: Shim, bundle: Path) -> None:
    attached.console.connect(bundle)
    attached.console.set_fallback(written)
    shim.accept().close()
    attached.console.end()
    client = await attached.join()
    attached.console.connect(bundle)
    attached.console.end()
    assert await read_all(client) == b""


class FullSocket(AttachSocket):
    """Its input takes nothing."""

    waits = False

    def send(self, data: bytes | memoryview) -> int:
        raise BlockingIOError

    async def writable(self) -> None:
        self.waits = True
        await super().writable()


def fill(sock: socket.socket) -> None:
    with contextlib.suppress(BlockingIOError):
        while True:
            sock.send(b"x" * 4096)


@pytest.mark.both_loops
async def test_a_descriptor_is_not_watched_once_it_is_closed(attached: Attached, shim: Shim, bundle: Path) -> None:
    """Its number is soon another's: uvloop would abort over it, or wake the wrong one."""
    attached.make(stdin=True, stdin_once=True)
    client = await attached.join(stdin=True)
    line = FullSocket(bundle)
    fill(line._socket)
    attached.console.use(line)
    await client.write(b"too much")
    await until(lambda: line.waits)
    fd = line._socket.fileno()
    attached.console.end()
    loop = asyncio.get_running_loop()
    assert not loop.remove_writer(fd) and not loop.remove_reader(fd)  # of which uvloop says nothing
    assert await read_all(client) == b""


async def test_a_client_that_does_not_read_holds_back_nobody(attached: Attached, shim: Shim, bundle: Path) -> None:
    lazy, eager = await attached.join(), await attached.join()
    attached.console.connect(bundle)
    shim.accept()
    piece = b"x" * 8000
    total = 400 * len(frame(1, piece))

    async def talk() -> None:
        for _ in range(400):
            await shim.say(OUT, piece)

    talking = asyncio.ensure_future(talk())
    assert len(await read_bytes(eager, total)) == total
    await talking
    assert len(await read_bytes(lazy, total)) == total


async def test_a_client_that_goes_is_let_go(attached: Attached, shim: Shim, bundle: Path) -> None:
    client = await attached.join()
    attached.console.connect(bundle)
    shim.accept()
    assert attached.console.wanted
    await client.close()
    await until(lambda: not attached.console.wanted)
    assert await shim.hear() == b"", "the last client's going lets go of the shim"


async def test_connect_twice_is_one_connection(attached: Attached, shim: Shim, bundle: Path) -> None:
    attached.console.connect(bundle)
    attached.console.connect(bundle)
    shim.accept()
    with pytest.raises(BlockingIOError):
        shim.listener.accept()


async def test_a_second_run_has_a_connection_of_its_own(attached: Attached, shim: Shim, bundle: Path) -> None:
    attached.console.connect(bundle)
    shim.accept().close()
    attached.console.end()
    client = await attached.join()
    attached.console.connect(bundle)
    shim.accept()
    await shim.say(OUT, b"again")
    assert await read_bytes(client, 13) == frame(1, b"again")


async def test_no_shim_is_an_error_that_leaks_nothing(attached: Attached, tmp_path: Path) -> None:
    before = open_descriptors()
    with pytest.raises(OSError):
        attached.console.connect(tmp_path)
    with pytest.raises(OSError):
        attached.console.connect(tmp_path / "missing")
    assert open_descriptors() == before


async def test_a_listener_hears_both_streams_as_they_come(attached: Attached, shim: Shim, bundle: Path) -> None:
    heard = bytearray()
    attached.console.listen(heard.extend)
    assert attached.console.wanted
    attached.console.connect(bundle)
    shim.accept()
    await shim.say(OUT, b"one ")
    await shim.say(ERR, b"two")
    await until(lambda: bytes(heard) == b"one two")


@pytest.mark.parametrize("tty", [False, True])
async def test_clients_can_be_told_something(attached: Attached, tty: bool) -> None:
    attached.make(tty=tty)
    client = await attached.join()
    attached.console.inject_output(b"no\r\n")
    attached.console.end()
    assert await read_all(client) == (b"no\r\n" if tty else frame(1, b"no\r\n"))


async def test_a_client_too_far_behind_is_told_so(attached: Attached, shim: Shim, bundle: Path, tmp_path: Path) -> None:
    attached.spill = SpillStore(tmp_path, memory=1 << 20, disk=4 << 20)
    attached.make()
    lazy, eager = await attached.join(), await attached.join()
    attached.console.connect(bundle)
    shim.accept()
    piece = b"x" * 8000
    for _ in range(1200):
        await shim.say(OUT, piece)
        assert await read_bytes(eager, len(frame(1, piece))) == frame(1, piece)
    with pytest.raises(SeawayError, match="did not read"):
        await read_all(lazy)
    assert attached.spill.reserve_disk(4 << 20)


async def test_a_disk_that_takes_nothing_cuts_off_who_needs_it(
    attached: Attached, shim: Shim, bundle: Path, tmp_path: Path
) -> None:
    attached.spill = SpillStore(tmp_path / "missing")
    attached.make()
    lazy, _ = await attached.join(), await attached.join(stdout=False)
    attached.console.connect(bundle)
    shim.accept()
    for _ in range(1000):
        await shim.say(OUT, b"x" * 8000)
    with pytest.raises(SeawayError, match="did not read"):
        await read_all(lazy)


async def test_who_joins_behind_the_history_gets_the_rest(attached: Attached, shim: Shim, bundle: Path) -> None:
    attached.console.connect(bundle)
    shim.accept()
    await shim.say(OUT, b"old")
    attached.console.drain()
    client = await attached.join()
    await shim.say(OUT, b"new")
    attached.console.end()
    assert await read_all(client) == frame(1, b"new")
