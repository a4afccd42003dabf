"""The deployed configuration of three servers, with an account for each node: all passes, wherever each is."""

import asyncio
import contextlib
import json
import os
import re
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import nats.errors
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from tests.integration.cli.bus_users import hearing, settled

from seaway_bus.nats_streams import event_stream
from seaway_contracts import catalogue
from seaway_testing import nats_server
from seaway_testing.ports import free_ports
from seaway_testing.waiting import until

DEPLOY = Path(__file__).parents[3] / "deploy" / "nats"
pytestmark = pytest.mark.skipif(not nats_server.available(), reason="nats-server is not installed")


def configuration(place: Path, number: int, port: int, routes: int) -> str:
    text = (DEPLOY / "cluster.conf").read_text()
    users = (DEPLOY / "users.conf").read_text()
    for old, new in (
        ("include users.conf\n", users),
        ("server_name: nats-1", f"server_name: nats-{number}"),
        ('"0.0.0.0:4222"', f'"127.0.0.1:{port}"'),
        ('http: "127.0.0.1:8222"\n', ""),
        ('"/var/lib/seaway/nats"', f'"{place}/store{number}"'),
        ('"0.0.0.0:6222"', f'"127.0.0.1:{routes}"'),
    ):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[list[int]]:
    """The clients' ports of its servers."""
    ports = free_ports(6)
    named = set(re.findall(r"\$(SEAWAY_NATS_\w+)", (DEPLOY / "users.conf").read_text()))
    env = os.environ | dict.fromkeys(named, "secret") | {"SEAWAY_NATS_ROUTE_PASSWORD": "x"}
    env |= {f"SEAWAY_NATS_ROUTE_{n + 1}": f"nats-route://route:x@127.0.0.1:{ports[3 + n]}" for n in range(3)}
    program, servers = nats_server.for_clusters(), []
    for n in range(3):
        file = tmp_path / f"{n}.conf"
        file.write_text(configuration(tmp_path, n + 1, ports[n], ports[3 + n]))
        with (tmp_path / f"{n}.log").open("wb") as log:
            servers.append(subprocess.Popen([program, "-c", str(file)], env=env, stdout=log, stderr=log))
    yield ports[:3]
    for server in servers:
        server.kill()
        server.wait()


@contextlib.asynccontextmanager
async def logged_in(user: str, port: int) -> AsyncIterator[Client]:
    client = await nats.connect(
        f"nats://127.0.0.1:{port}",
        user=user,
        password="secret",
        inbox_prefix=f"_INBOX.{user}",
        max_reconnect_attempts=600,
        reconnect_time_wait=0.1,
    )
    yield client
    await client.close()


async def answered(client: Client, subject: str, body: bytes, limit_s: float = 120.0) -> bytes:
    """Asked until an answer comes that is no error: a cluster needs a while to find its leaders."""
    async with asyncio.timeout(limit_s):
        while True:
            with contextlib.suppress(nats.errors.Error):
                said = (await client.request(subject, body, timeout=2)).data
                if b'"error"' not in said:
                    return said
            await asyncio.sleep(0.05)


async def test_everything_passes_between_the_accounts(cluster: list[int]) -> None:
    event, told = catalogue.CONTAINER_DIE.subject("n1", "c"), catalogue.CONTAINER_DIE.told_subject("n1", "c")
    order, asked = catalogue.START.subject("n1"), catalogue.STORE_EVENTS.subject("n1")
    answer_to_api = f"{catalogue.REPLY_UNDER.format(node='n1')}.api.x.1"
    stored = b'{"stream":"SEAWAY_EVENTS"'

    async def answer(message: Msg) -> None:
        await message.respond(b"done")

    async with (
        logged_in("metadata", cluster[0]) as metadata,
        logged_in("agent.n1", cluster[1]) as agent,
        logged_in("api", cluster[2]) as api,
    ):
        stream = json.dumps(event_stream(catalogue.EVENT_STREAM, 3)).encode()
        await answered(metadata, f"$JS.API.STREAM.CREATE.{catalogue.EVENT_STREAM.name}", stream)
        heard = await hearing(api, catalogue.ALL_EVENTS, catalogue.ALL_TOLD)
        answers = await hearing(api, f"{catalogue.REPLY_UNDER.format(node='*')}.api.>")
        await metadata.subscribe(catalogue.STORE_EVENTS.template.wildcard(), queue="metadata", cb=answer)
        await agent.subscribe(order, cb=answer)
        await settled(metadata, agent)
        async with asyncio.timeout(120):  # a cluster needs a while to know who listens where
            while not [message for message in answers if message.data == b"done"]:
                await api.publish(order, b"{}", reply=answer_to_api)
                await asyncio.sleep(0.05)
        assert {message.subject for message in answers} == {answer_to_api}
        assert await answered(agent, asked, b"{}") == b"done"
        assert (await answered(metadata, event, b"{}")).startswith(stored)
        await agent.publish(told, b"{}", reply="$JS.API.STREAM.PURGE.SEAWAY_EVENTS")
        await agent.publish(asked, b"{}", reply="$JS.API.STREAM.PURGE.SEAWAY_EVENTS")
        await agent.publish(event, b"{}")
        assert (await agent.request(asked, b"{}", timeout=60)).data == b"done"
        last = await metadata.request(event, b"{}", timeout=60)
        assert b'"seq":2' in last.data
        await until(lambda: len(heard) == 3, 60)
        assert sorted(message.subject for message in heard) == sorted([event, event, told])
        seen = await metadata.request(f"$JS.API.DIRECT.GET.SEAWAY_EVENTS.{event}", b"", timeout=60)
        assert seen.headers is not None and seen.headers["Nats-Sequence"] == "2"
