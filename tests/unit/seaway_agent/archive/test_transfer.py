"""Copies whose callers stand still: given up after a while, with the thread and all else given back."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from seaway_agent.archive import transfer
from seaway_agent.archive.transfer import receive, send
from seaway_bus.bus import Bus
from seaway_bus.streams import WINDOW, ByteStream, new_stream_id
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


async def test_who_takes_nothing_is_given_up(fake_bus: Bus, tasks: Tasks, threads: ThreadPoolExecutor) -> None:
    caller, stream = await pair(fake_bus, tasks)
    await send(stream, threads, much, "copy")
    await asyncio.get_running_loop().run_in_executor(threads, int)
    with pytest.raises(SeawayError, match="stood still"):
        while await caller.read():
            pass
    await caller.close()


async def test_who_gives_nothing_is_given_up(fake_bus: Bus, tasks: Tasks, threads: ThreadPoolExecutor) -> None:
    caller, stream = await pair(fake_bus, tasks)
    await caller.write(b"begun")

    def consume(read: Callable[[int], bytes]) -> None:
        while read(100):
            pass

    with pytest.raises(SeawayError, match="stood still"):
        await receive(stream, threads, consume)
    await asyncio.get_running_loop().run_in_executor(threads, int)
    await caller.close()
    await stream.close()


async def test_what_comes_slowly_but_steadily_arrives(
    fake_bus: Bus, tasks: Tasks, threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "IDLE_S", 2.0)  # much more than a pause, and less than all of them
    caller, stream = await pair(fake_bus, tasks)
    taken = bytearray()

    async def give() -> None:
        for _ in range(8):
            await asyncio.sleep(0.3)
            await caller.write(b"x")
        await caller.end()

    def consume(read: Callable[[int], bytes]) -> None:
        while data := read(100):
            taken.extend(data)

    giving = tasks.spawn("give", give())
    await receive(stream, threads, consume)
    await giving
    assert bytes(taken) == b"x" * 8
    await caller.close()
    await stream.close()
