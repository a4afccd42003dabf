"""Copies whose callers stand still: given up after a while, with the thread and all else given back."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from seaway_agent.archive import transfer
from seaway_agent.archive.shortcut import Shortcut
from seaway_agent.archive.transfer import Line, receive, send
from seaway_agent.kernel.procs import boot_id
from seaway_bus.bus import Bus
from seaway_bus.streams import WINDOW, ByteStream, new_stream_id
from seaway_contracts.archives import SOCKET
from seaway_contracts.errors import SeawayError
from seaway_kit.tasks import Tasks


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "IDLE_S", 0.2)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    """One: a test that is over soon shows that it was given back."""
    made = ThreadPoolExecutor(1)
    yield made
    made.shutdown()


async def pair(bus: Bus, tasks: Tasks) -> tuple[ByteStream, ByteStream]:
    """The caller's end and the agent's."""
    name = new_stream_id()
    caller = await ByteStream(bus.transport, name, "opening", tasks).open()
    return caller, await ByteStream(bus.transport, name, "serving", tasks).open()


def much(write: Callable[[bytes], None]) -> None:
    for _ in range(64):
        write(bytes(WINDOW // 8))


async def test_who_takes_nothing_is_given_up(
    fake_bus: Bus, tasks: Tasks, tmp_path: Path, threads: ThreadPoolExecutor
) -> None:
    caller, stream = await pair(fake_bus, tasks)
    await send(Line(stream, Shortcut(tmp_path / "s", tasks)), threads, tasks, much, "copy")
    await asyncio.get_running_loop().run_in_executor(threads, int)
    with pytest.raises(SeawayError, match="stood still"):
        while await caller.read():
            pass
    await caller.close()


async def test_who_gives_nothing_is_given_up(
    fake_bus: Bus, tasks: Tasks, tmp_path: Path, threads: ThreadPoolExecutor
) -> None:
    caller, stream = await pair(fake_bus, tasks)
    await caller.write(b"begun")

    def consume(read: Callable[[int], bytes]) -> None:
        while read(100):
            pass

    with pytest.raises(SeawayError, match="stood still"):
        await receive(Line(stream, Shortcut(tmp_path / "s", tasks)), threads, tasks, consume)
    await asyncio.get_running_loop().run_in_executor(threads, int)
    await caller.close()
    await stream.close()


async def connected(
    stream: ByteStream, caller: ByteStream, shortcut: Shortcut, path: Path
) -> tuple[Line, socket.socket]:
    """A transfer by the socket of callers on the same machine."""
    shortcut.open()
    line = Line(stream, shortcut, shortcut.offer(stream.id, boot_id()))
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(path))
    client.sendall(stream.id.encode() + b"\n")
    await caller.write(SOCKET)
    return line, client


async def test_by_the_socket_too(fake_bus: Bus, tasks: Tasks, tmp_path: Path, threads: ThreadPoolExecutor) -> None:
    shortcut = Shortcut(tmp_path / "s", tasks)
    caller, stream = await pair(fake_bus, tasks)
    line, client = await connected(stream, caller, shortcut, tmp_path / "s")
    await send(line, threads, tasks, much, "copy")
    await asyncio.get_running_loop().run_in_executor(threads, int)
    with pytest.raises(SeawayError, match="stood still"):
        await caller.read()
    client.close()
    await caller.close()
    shortcut.close()


async def test_what_comes_slowly_but_steadily_arrives(
    fake_bus: Bus, tasks: Tasks, tmp_path: Path, threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "IDLE_S", 2.0)  # much more than a pause, and less than all of them
    shortcut, taken = Shortcut(tmp_path / "s", tasks), bytearray()
    caller, stream = await pair(fake_bus, tasks)
    line, client = await connected(stream, caller, shortcut, tmp_path / "s")

    async def give() -> None:
        for _ in range(8):
            await asyncio.sleep(0.3)
            client.sendall(b"x")
        client.shutdown(socket.SHUT_WR)
        await caller.end()

    def consume(read: Callable[[int], bytes]) -> None:
        while data := read(100):
            taken.extend(data)

    giving = tasks.spawn("give", give())
    await receive(line, threads, tasks, consume)
    await giving
    assert bytes(taken) == b"x" * 8
    client.close()
    await caller.close()
    await stream.close()
    shortcut.close()
