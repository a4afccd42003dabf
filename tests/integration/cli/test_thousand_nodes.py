"""A thousand nodes' accounts at one real nats-server: it starts and reloads, and each node speaks for itself alone."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from tests.integration.cli.bus_users import hearing, settled

from seaway_bus.nats_client import LastingClient
from seaway_cli.nats_config import accounts_block
from seaway_cli.nats_login import Login
from seaway_cli.permissions import USERS, agent_user
from seaway_contracts import catalogue
from seaway_testing import nats_server
from seaway_testing.nats_server import NatsServer
from seaway_testing.waiting import until

pytestmark = pytest.mark.skipif(not nats_server.available(), reason="nats-server is not installed")
NODES: Final = tuple(f"n{number}" for number in range(1000))
ADDED: Final = "added"
MOST_S: Final = 20.0
"""A guard against a server that hangs. It should be 2 s on an idle machine: the figures are printed."""


def passwords(*nodes: str) -> Mapping[str, str]:
    return dict.fromkeys((*USERS, *map(agent_user, nodes)), '"secret"')


def took(what: str, began: float) -> None:
    """Print how long it has taken; raises AssertionError where that is beyond all measure."""
    seconds = time.monotonic() - began
    print(f"{len(NODES)} nodes: {what} in {seconds:.2f} s")
    assert seconds < MOST_S, what


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    """It has the accounts of all nodes, in which their number is all that counts, and is not started."""
    made = NatsServer(tmp_path / "nats", extra=accounts_block(passwords(*NODES)))
    yield made
    made.stop()


def login(server: NatsServer, node: str) -> Login:
    return Login(server.url, agent_user(node), "secret")


async def connected(server: NatsServer, user: str) -> tuple[Client, list[str]]:
    """A connection, and what the server refuses it."""
    refused: list[str] = []

    async def failed(error: Exception) -> None:
        refused.append(str(error))

    client = await nats.connect(
        server.url, user=user, password="secret", inbox_prefix=f"_INBOX.{user}", error_cb=failed
    )
    return client, refused


async def answer(request: Msg) -> None:
    await request.respond(b"answer")


async def speaks_for_itself_alone(server: NatsServer, services: Client, own: str, other: str) -> None:
    """The node's beat comes to the services, and nothing that it says in another one's name; no order to that to it."""
    agent, refused = await connected(server, agent_user(own))
    beats = await hearing(services, catalogue.BEAT.template.wildcard())
    orders = await hearing(agent, f"seaway.v1.node.{own}.do.>")
    await agent.subscribe(f"seaway.v1.node.{other}.do.>")
    for node in (other, own):
        await agent.publish(catalogue.BEAT.subject(node=node), b"{}")
        await agent.publish(catalogue.CONTAINER_DIE.subject(node, "c"), b"{}")
        await services.publish(catalogue.REJECT_CREATE.subject(node), b"{}")
    await settled(agent, services)
    assert (await agent.request(catalogue.KNOWN_CONTAINERS.subject(own), b"{}", timeout=10)).data == b"answer"
    await until(lambda: beats and orders)
    await settled(agent, services)
    assert [message.subject for message in beats] == [catalogue.BEAT.subject(node=own)]
    assert [message.subject for message in orders] == [catalogue.REJECT_CREATE.subject(own)]
    assert len(refused) == 4, refused  # the order's subscription, the other's beat, two events
    await agent.close()


async def test_it_starts_and_reloads_and_each_node_speaks_for_itself(server: NatsServer) -> None:
    began = time.monotonic()
    server.start()
    assert login(server, NODES[-1]).works()
    took("started and let one in", began)

    services, _ = await connected(server, "metadata")
    stays = LastingClient()
    await stays.connect(server.url, user=agent_user(NODES[0]), password="secret")
    await services.subscribe(catalogue.KNOWN_CONTAINERS.template.wildcard(), cb=answer)
    await settled(services)
    await speaks_for_itself_alone(server, services, NODES[499], NODES[500])

    began = time.monotonic()
    await let_in(server, ADDED)
    took("let in one more", began)
    await speaks_for_itself_alone(server, services, ADDED, NODES[0])
    await speaks_for_itself_alone(server, services, NODES[0], ADDED)

    began = time.monotonic()
    server.reconfigure(accounts_block(passwords(*NODES)))
    while login(server, ADDED).works():
        assert time.monotonic() - began < MOST_S
        await asyncio.sleep(0.02)
    took("let out one", began)
    assert (services.stats["reconnects"], stays.stats["reconnects"]) == (0, 0), "nobody else was cut off"
    assert stays.is_connected
    await stays.close()
    await services.close()


async def let_in(server: NatsServer, node: str) -> None:
    """As `seaway node add` does it: reload until the new account reaches the services'."""
    extra, asked = accounts_block(passwords(*NODES, node)), catalogue.KNOWN_CONTAINERS.subject(node)
    began = time.monotonic()
    server.reconfigure(extra)
    while not await asyncio.to_thread(login(server, node).works):
        assert time.monotonic() - began < MOST_S
        await asyncio.sleep(0.02)
    took("reloaded", began)
    while not await asyncio.to_thread(login(server, node).reaches, asked):
        assert time.monotonic() - began < MOST_S
        await asyncio.sleep(0.02)
        if await asyncio.to_thread(login(server, node).works):
            server.reconfigure(extra)
