"""The file of nodes' keys follows the records, and the supervisor is asked to reload NATS after it."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from seaway_bus.bus import Bus
from seaway_bus.node_keys import new_seed, public_key
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import ADMIT_NODE, CREATE_TOKEN, IDENTITIES_BUCKET, LIST_TOKENS, REMOVE_NODE
from seaway_contracts.joining import AdmitNode, CreateToken, hash_of
from seaway_contracts.nodes import RemoveNode
from seaway_kit.tasks import Tasks
from seaway_metadata.commands import node_keys
from seaway_metadata.service import Metadata, running
from seaway_metadata.settings import MetadataSettings
from seaway_testing.fake_transport import FakeServer, FakeTransport
from seaway_testing.waiting import until

SECRET = "5" * 32
KEY = public_key(new_seed())


class Machine:
    """A copy of metadata, and the supervisor beside it."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "node_keys.json"
        self.socket = directory / "control.sock"
        self.reloads: list[object] = []
        """The nodes' keys that stood in the file at each."""
        self.error = ""

    @property
    def keys(self) -> object:
        return json.loads(self.file.read_bytes())["nodes"] if self.file.exists() else None

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert json.loads(await reader.readline()) == {"command": "reload"}
        self.reloads.append(self.keys)
        writer.write(json.dumps({"error": self.error} if self.error else {"reloaded": True}).encode() + b"\n")
        writer.close()


@asynccontextmanager
async def running_on(machine: Machine, server: FakeServer) -> AsyncIterator[Bus]:
    bus = Bus(FakeTransport(server))
    settings = MetadataSettings(root=machine.file.parent, node_keys=machine.file, supervisor=machine.socket)
    async with (
        await asyncio.start_unix_server(machine.answer, machine.socket),
        running(bus, Tasks(machine.file.parent.name), settings),
    ):
        yield bus
    await bus.close()


@pytest.fixture
def machines(tmp_path: Path) -> list[Machine]:
    made = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        made.append(Machine(tmp_path / name))
    return made


async def admit(bus: Bus) -> None:
    await bus.call(CREATE_TOKEN, CreateToken(id="a" * 12, hash=hash_of(SECRET), ttl_s=60))
    await bus.call(ADMIT_NODE, AdmitNode(token="a" * 12, secret=SECRET, node="n1", public_key=KEY))


async def test_each_machine_hears_of_a_node_and_of_its_removal(
    machines: list[Machine], fake_server: FakeServer
) -> None:
    first, second = machines
    async with running_on(first, fake_server) as bus, running_on(second, fake_server):
        await admit(bus)
        for machine in machines:
            await until(lambda machine=machine: machine.reloads[-1:] == [{"n1": KEY}])
            assert machine.file.stat().st_mode & 0o777 == 0o600
        await bus.call(REMOVE_NODE, RemoveNode(node="n1"))
        for machine in machines:
            await until(lambda machine=machine: machine.reloads[-1:] == [{}])


async def test_a_repeated_request_reloads_again(machines: list[Machine], fake_server: FakeServer) -> None:
    """Whatever kept a server from letting the node in."""
    machine, _ = machines
    async with running_on(machine, fake_server) as bus:
        await admit(bus)
        await until(lambda: len(machine.reloads) >= 2)
        for _ in range(2):
            before = len(machine.reloads)
            await bus.call(ADMIT_NODE, AdmitNode(token="a" * 12, secret=SECRET, node="n1", public_key=KEY))
            await until(lambda before=before: len(machine.reloads) > before)


async def test_a_start_brings_the_file_up_to_date_and_reloads_only_then(
    machines: list[Machine], fake_server: FakeServer, metadata: Metadata, fake_bus: Bus
) -> None:
    await admit(fake_bus)
    machine, other = machines
    async with running_on(machine, fake_server):
        await until(lambda: machine.reloads == [{"n1": KEY}] * 2)
    machine.reloads.clear()
    async with running_on(machine, fake_server), running_on(other, fake_server):
        await until(lambda: other.reloads)
        assert machine.reloads == []


async def test_a_start_reloads_where_the_process_before_has_died_over_it(
    machines: list[Machine], fake_server: FakeServer
) -> None:
    machine, _ = machines
    async with running_on(machine, fake_server) as bus:
        machine.error = "the supervisor is away"
        await admit(bus)
        await until(lambda: machine.reloads)
    machine.error = ""
    machine.reloads.clear()
    async with running_on(machine, fake_server):
        await until(lambda: machine.reloads == [{"n1": KEY}])
        await until(lambda: os.listdir(machine.file.parent).count("node_keys.json.unfinished") == 0)
    machine.reloads.clear()
    async with running_on(machine, fake_server) as bus:
        await bus.call(LIST_TOKENS, Empty())
        assert machine.reloads == []


async def test_it_tries_until_the_supervisor_has_done_it(
    machines: list[Machine],
    fake_server: FakeServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(node_keys, "_RETRY_S", 0.01)
    machine, _ = machines
    machine.error = "no space left"
    async with running_on(machine, fake_server) as bus:
        await admit(bus)
        await until(lambda: len(machine.reloads) > 1)
        assert "can't be handed to the NATS server just now: no space left" in caplog.text
        machine.error = ""
        before = len(machine.reloads)
        await until(lambda: len(machine.reloads) > before)


async def test_a_record_that_can_not_be_read_keeps_the_file_as_it_is(
    machines: list[Machine], fake_server: FakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    machine, _ = machines
    machine.file.write_text(json.dumps({"nodes": {"n1": KEY}, "users": []}))
    await (await FakeTransport(fake_server).bucket(IDENTITIES_BUCKET)).create("n1", b'{"v":99}')
    async with running_on(machine, fake_server):
        await until(lambda: "of schema 99" in caplog.text)
        assert machine.keys == {"n1": KEY}
        assert machine.reloads == []
