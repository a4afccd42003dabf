"""What a change of the table tells is told once, wherever the service is killed."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from seaway_bus.bus import Bus
from seaway_bus.outbox import open_outbox
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import IMAGES_DELETED
from seaway_contracts.lifecycle import MSG_ID
from seaway_image.archives.load import load
from seaway_image.store import image_store
from seaway_image.store.events import ImageEvents
from seaway_image.store.image_changes import Cause
from seaway_image.store.image_store import ImageStore
from seaway_kit.tasks import Tasks
from seaway_testing.fake_transport import FakeServer, FakeTransport
from seaway_testing.waiting import until


@pytest.fixture
async def tasks() -> AsyncIterator[Tasks]:
    made = Tasks("test")
    yield made
    await made.close()


class Life:
    """The service's memory, from its start to a kill; `tells` False: killed before it can tell of a change."""

    def __init__(self, root: Path, server: FakeServer, tasks: Tasks, *, tells: bool = True) -> None:
        self.db = open_outbox(root / "events.db")
        self.transport = FakeTransport(server)
        self.events = ImageEvents(self.db, Bus(self.transport).transport, tasks, "n1")
        self.store = ImageStore(root, **({"tell": self.events.tell} if tells else {}))
        self.store.open()

    def start(self) -> None:
        self.events.start(self.store.table.news)


def told(server: FakeServer) -> list[str]:
    return [".".join(message.subject.split(".")[4:6]) for message in server.streams["SEAWAY_EVENTS"].messages]


@pytest.fixture
async def server() -> FakeServer:
    made = FakeServer()
    await Bus(FakeTransport(made)).prepare()
    return made


@pytest.fixture
def archive(make_image: Callable[..., Any], chunked: Callable[..., AsyncIterator[bytes]]) -> AsyncIterator[bytes]:
    return chunked(make_image(b"1").archive("a:1", "a:2"))


async def test_what_was_not_told_is_told_by_the_next_life_and_not_again(
    tmp_path: Path, server: FakeServer, tasks: Tasks, archive: AsyncIterator[bytes]
) -> None:
    killed = Life(tmp_path, server, tasks, tells=False)
    killed.start()
    await load(killed.store, archive, by=Cause("c7", "uid:7"))
    for _ in range(3):
        Life(tmp_path, server, tasks).start()
        await until(lambda: told(server))
    last = Life(tmp_path, server, tasks)
    last.start()
    await last.store.tag("a:1", "a:3")
    await until(lambda: len(told(server)) >= 2)
    assert told(server) == ["image.load", "image.tag"]
    headers = server.streams["SEAWAY_EVENTS"].messages[0].headers
    assert (headers["ce-cause"], headers["ce-actor"]) == ("c7", "uid:7")


async def test_a_command_that_is_asked_again_after_a_kill_is_done_and_told_once(
    tmp_path: Path, server: FakeServer, tasks: Tasks, archive: AsyncIterator[bytes]
) -> None:
    first = Life(tmp_path, server, tasks)
    first.start()
    await load(first.store, archive)
    killed = Life(tmp_path, server, tasks, tells=False)
    await killed.store.tag("a:1", "b:1", Cause("c1"))
    second = Life(tmp_path, server, tasks)
    second.start()
    await second.store.tag("a:1", "b:1", Cause("c1"))
    killed = Life(tmp_path, server, tasks, tells=False)
    done = await killed.store.remove("b:1", by=Cause("c2"))
    third = Life(tmp_path, server, tasks)
    third.start()
    await third.store.tag("a:1", "b:1", Cause("c3"))
    assert await third.store.remove("b:1", by=Cause("c2")) == done
    assert [item.untagged for item in done.items] == ["b:1"]
    assert "docker.io/library/b:1" in third.store.table.tags, "another command's name"
    await until(lambda: len(told(server)) >= 4)
    assert told(server) == ["image.load", "image.tag", "image.untag", "image.tag"]


async def test_what_was_told_is_not_told_by_the_next_life(
    tmp_path: Path, server: FakeServer, tasks: Tasks, archive: AsyncIterator[bytes]
) -> None:
    first = Life(tmp_path, server, tasks)
    first.start()
    await load(first.store, archive)
    await until(lambda: told(server))
    await until(lambda: first.db.execute("SELECT count(*) FROM outbox").fetchone() == (0,))
    second = Life(tmp_path, server, tasks)
    second.start()
    assert second.db.execute("SELECT count(*) FROM outbox").fetchone() == (0,)
    ids = [message.headers[MSG_ID] for message in server.streams["SEAWAY_EVENTS"].messages]
    assert len(ids) == 1


@pytest.fixture
async def sweeps(server: FakeServer) -> list[Empty]:
    """What nodes have heard of deletions."""
    heard: list[Empty] = []
    await Bus(FakeTransport(server)).on_message(IMAGES_DELETED, heard.append)
    return heard


async def test_nodes_hear_of_deletions_alone(
    tmp_path: Path, server: FakeServer, tasks: Tasks, archive: AsyncIterator[bytes], sweeps: list[Empty]
) -> None:
    life = Life(tmp_path, server, tasks)
    await load(life.store, archive)
    await life.store.tag("a:1", "a:3")
    for name in ("a:3", "a:1", "a:2"):
        await life.store.remove(name)
    await until(lambda: sweeps)
    assert len(sweeps) == 1, "messages come in order: none was sent before the deletion"


async def test_nodes_hear_of_a_deletion_that_the_next_life_tells(
    tmp_path: Path, server: FakeServer, tasks: Tasks, archive: AsyncIterator[bytes], sweeps: list[Empty]
) -> None:
    killed = Life(tmp_path, server, tasks, tells=False)
    killed.start()
    await load(killed.store, archive)
    before = len(sweeps)
    await killed.store.remove("a:1")
    await killed.store.remove("a:2")
    Life(tmp_path, server, tasks).start()
    await until(lambda: len(sweeps) == before + 1)


async def test_nodes_hear_of_a_deletion_when_the_connection_is_back(
    tmp_path: Path, server: FakeServer, tasks: Tasks, archive: AsyncIterator[bytes], sweeps: list[Empty]
) -> None:
    life = Life(tmp_path, server, tasks)
    life.start()
    await load(life.store, archive)
    await until(lambda: len(sweeps) == 1)
    life.transport.cut()
    await life.store.remove("a:1")
    await life.store.remove("a:2")
    life.transport.mend()
    await until(lambda: len(sweeps) == 2)
    await until(lambda: "image.delete" in told(server))


async def test_a_full_disk_keeps_events_in_memory(
    tmp_path: Path, server: FakeServer, tasks: Tasks, archive: AsyncIterator[bytes]
) -> None:
    life = Life(tmp_path, server, tasks)
    life.start()
    life.db.execute("CREATE TEMP TRIGGER full BEFORE INSERT ON outbox BEGIN SELECT RAISE(ABORT, 'full'); END")
    await load(life.store, archive)
    await until(lambda: told(server))
    with pytest.raises(sqlite3.Error):
        life.db.execute("INSERT INTO outbox (key, subject, headers, body) VALUES ('', '', '', '')")


async def test_a_change_whose_caller_has_gone_is_whole(
    store: ImageStore, archive: AsyncIterator[bytes], heard: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is being written to disk is written: memory and cluster must know it too."""
    await load(store, archive)
    reached, go_on = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    write = image_store.write_file

    def slowly(path: Path, data: bytes) -> None:
        loop.call_soon_threadsafe(reached.set)
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result()
        write(path, data)

    monkeypatch.setattr(image_store, "write_file", slowly)
    tagging = asyncio.ensure_future(store.tag("a:1", "a:3"))
    await reached.wait()
    tagging.cancel()
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await tagging
    again = ImageStore(store.blobs.root)
    again.open()
    assert again.table == store.table and "docker.io/library/a:3" in store.table.tags
    assert [one.action for one in heard] == ["load", "tag"]
