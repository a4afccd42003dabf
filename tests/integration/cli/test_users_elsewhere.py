"""Users of the bus at an outside NATS server, and at a cluster of three of which one is lost."""

import asyncio
import contextlib
import os
import re
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import nats
import pytest
from tests.integration.cli.bus_users import eventually
from tests.integration.cli.test_nats_cluster import DEPLOY, configuration
from tests.integration.cli.test_outside_server import OutsideServer
from tests.integration.cli.test_outside_server import outside as outside
from tests.integration.cli.test_outside_server import server as server

from seaway_bus.bus import Bus
from seaway_bus.node_keys import new_seed, public_key
from seaway_bus.reader_sources import ReaderSources
from seaway_bus.reader_streams import ReaderStreams
from seaway_bus.transport import TransportError
from seaway_cli.nats_config import outside as configured
from seaway_cli.nats_login import Login
from seaway_contracts import catalogue
from seaway_contracts.users import BusUser, user_line
from seaway_kit.tasks import Tasks
from seaway_testing import nats_server
from seaway_testing.ports import free_ports
from seaway_testing.waiting import GUARD_S, until

if TYPE_CHECKING:
    from conftest import TinySuite

pytestmark = pytest.mark.root
STREAM = catalogue.EVENT_STREAM.name
DIE = catalogue.EVENTS["container", "die"]


async def test_a_user_of_an_outside_server(server: OutsideServer, outside: "TinySuite", tmp_path: Path) -> None:
    done = outside.seaway("user", "add", "bob", "--events", "container.die", "--out", str(tmp_path / "keys"))
    assert done.returncode == 0, done.stderr
    line = outside.seaway("user", "keys").stdout.strip()
    assert re.fullmatch(r"user:bob=U[A-Z2-7]{55}:1073741824:container\.die:", line)
    assert "runs deploy/nats/make-users with all nodes and users" in done.stdout and line in done.stdout
    key = tmp_path / "keys/bob.nk"
    login = Login(server.url, "bob", seed=key.read_text().strip())
    assert not login.works()
    server.make_users("n1", "n3", line)
    server.reload()
    await until(login.works)
    server.reload()
    words = {"user": "metadata", "password": server.password("metadata"), "inbox_prefix": "_INBOX.metadata"}
    services = await nats.connect(server.url, **words)
    await services.jetstream().publish(DIE.subject("n1", "x"), b"{}")
    bob = await nats.connect(server.url, nkeys_seed=str(key))

    async def stored() -> int:
        with contextlib.suppress(nats.js.errors.NotFoundError, nats.errors.Error):
            return (await bob.jetstream().stream_info(STREAM)).state.messages
        return 0

    await eventually(stored, lambda messages: messages == 1)
    removed = outside.seaway("user", "rm", "bob")
    assert removed.returncode == 0, removed.stderr
    assert "so that it is cut off" in removed.stdout
    server.make_users("n1", "n3")
    server.reload()
    await until(lambda: not login.works())
    for client in (bob, services):
        await client.close()


@dataclass
class Cluster:
    """Three servers; the ports for clients, and the processes."""

    ports: list[int]
    servers: list[subprocess.Popen[bytes]]

    @property
    def url(self) -> str:
        return ",".join(f"nats://127.0.0.1:{port}" for port in self.ports)


BOB_SEED = new_seed()
BOB = BusUser(name="bob", public_key=public_key(BOB_SEED), created_ns=1, events=("container.die",), keep=8 << 20)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    ports = free_ports(6)
    users = configured(["n1", user_line(BOB)])
    env = os.environ | dict.fromkeys(re.findall(r"\$(SEAWAY_NATS_\w+)", users), "secret")
    env |= {"SEAWAY_NATS_ROUTE_PASSWORD": "x"}
    env |= {f"SEAWAY_NATS_ROUTE_{n + 1}": f"nats-route://route:x@127.0.0.1:{ports[3 + n]}" for n in range(3)}
    made = Cluster(ports[:3], [])
    for n in range(3):
        text = configuration(tmp_path, n + 1, ports[n], ports[3 + n])
        text = text.replace((DEPLOY / "users.conf").read_text(), users)
        (tmp_path / f"{n}.conf").write_text(text)
        with (tmp_path / f"{n}.log").open("wb") as log:
            words = [nats_server.for_clusters(), "-c", str(tmp_path / f"{n}.conf")]
            made.servers.append(subprocess.Popen(words, env=env, stdout=log, stderr=log))
    yield made
    for process in made.servers:
        process.kill()
        process.wait()


@contextlib.asynccontextmanager
async def metadata(cluster: Cluster) -> AsyncIterator[tuple[Bus, ReaderStreams]]:
    """What metadata does for the user's stream."""
    async with asyncio.timeout(GUARD_S):
        while True:
            try:
                bus = await Bus.connect(cluster.url, name="test", user="metadata", password="secret")
                await bus.prepare(3)
                break
            except TransportError:
                await asyncio.sleep(0.2)
    tasks = Tasks("sources")

    async def user(name: str) -> BusUser | None:
        return BOB if name == "bob" else None

    await ReaderSources(bus.transport, tasks, user, lambda name: True).serve()
    yield bus, ReaderStreams(bus.transport, 3)
    await tasks.close()
    await bus.close()


@pytest.mark.skipif(not nats_server.available(), reason="nats-server is not installed")
async def test_a_cluster_of_three_loses_a_server_and_the_user_nothing(cluster: Cluster) -> None:
    async with metadata(cluster) as (bus, streams):

        async def made() -> bool:
            with contextlib.suppress(TransportError):
                return not await streams.ensure(BOB)
            return False

        async def store(number: int) -> bool:
            with contextlib.suppress(TransportError):
                await bus.transport.store(DIE.subject("n1", str(number)), b"{}", {"Nats-Msg-Id": str(number)})
                return True
            return False

        await eventually(made, bool)
        for number in range(20):
            await eventually(lambda number=number: store(number), bool)  # type: ignore[misc]
        cluster.servers[0].kill()
        for number in range(20, 40):
            await eventually(lambda number=number: store(number), bool)  # type: ignore[misc]
        urls = cluster.url.split(",")[1:]
        bob = await nats.connect(urls, nkeys_seed_str=BOB_SEED)

        async def stored() -> int:
            with contextlib.suppress(nats.errors.Error):
                return (await bob.jetstream().stream_info(STREAM)).state.messages
            return 0

        await eventually(stored, lambda messages: messages == 40)
        info = await bob.jetstream().stream_info(STREAM)
        assert info.config.num_replicas == 3
        consumer = await bob.jetstream().subscribe(catalogue.ALL_EVENTS, ordered_consumer=True)
        found = [(await consumer.next_msg(GUARD_S)).subject for _ in range(40)]
        assert found == [DIE.subject("n1", str(number)) for number in range(40)]
        await bob.close()
