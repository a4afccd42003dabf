"""The accounts and users of the bus: what each may say and hear at a real nats-server that `seaway up` has started."""

import asyncio
import contextlib
import json
import os
import stat
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import NoRespondersError

from seaway_bus.bus import Bus
from seaway_bus.nats_client import LastingClient
from seaway_contracts import catalogue
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import LIST_NODES
from seaway_testing.waiting import until

if TYPE_CHECKING:
    from conftest import TinySuite

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="seaway up runs as root")


async def test_users_may_do_their_own_work_and_no_more(suite: "TinySuite", capfd: pytest.CaptureFixture[str]) -> None:
    from seaway_contracts.errors import Code, SeawayError

    assert suite.up().returncode == 0

    async def ask(user: str) -> Code | None:
        password = (suite.root / "secrets" / user).read_text().strip()
        bus = await Bus.connect(nats_url(suite), name="test", user=user, password=password)
        try:
            await bus.call(LIST_NODES, Empty(), timeout_s=0.5)
        except SeawayError as error:
            return error.code
        finally:
            await bus.close()
        return None

    assert await ask("api") is None
    assert await ask("scheduler") is None
    assert await ask("metadata") is Code.TIMEOUT  # it serves that call, and asks nobody


def nats_url(suite: "TinySuite") -> str:
    return f"nats://127.0.0.1:{json.loads((suite.root / 'suite.json').read_text())['nats_port']}"


@contextlib.asynccontextmanager
async def logged_in(suite: "TinySuite", user: str) -> AsyncIterator[tuple[Client, list[str]]]:
    """A connection as that user, and what the server refuses it."""
    refused: list[str] = []

    async def failed(error: Exception) -> None:
        refused.append(str(error))

    password = (suite.root / "secrets" / user).read_text().strip()
    client = LastingClient()
    await client.connect(nats_url(suite), user=user, password=password, error_cb=failed, inbox_prefix=f"_INBOX.{user}")
    yield client, refused
    await client.close()


async def refusals(suite: "TinySuite", user: str, publish: list[str], subscribe: list[str]) -> int:
    """How many of these the server refuses."""
    async with logged_in(suite, user) as (client, refused):
        for subject in publish:
            client.send(subject, b"{}")
        for subject in subscribe:
            client.listen(subject, print)
        await client.flush()
        return len(refused)


def spoken(node: str) -> list[str]:
    event, lines = catalogue.CONTAINER_DIE.subject(node, "c"), catalogue.LOG_LINES.subject(node, "c")
    return [event, lines, catalogue.BEAT.subject(node)]


def heard(node: str) -> list[str]:
    stream = catalogue.NODE_STREAM_TEMPLATE.wildcard(node=node, direction=catalogue.TO_SERVER)
    return [catalogue.START.subject(node), stream, f"_INBOX.agent.{node}.>"]


STORED = (
    "API.STREAM.MSG.GET.{}",
    "API.CONSUMER.CREATE.{}",
    "API.CONSUMER.CREATE.{}.api-events",
    "API.CONSUMER.DURABLE.CREATE.{}.api-events",
    "API.CONSUMER.MSG.NEXT.{}.api-events",
    "API.CONSUMER.DELETE.{}.api-events",
    "ACK.{}.api-events.1.1.1.1.1",
    "API.STREAM.PURGE.{}",
    "FC.{}.api-events.x",
)
"""Of JetStream, what reads, pulls and acknowledges in the place of another, or takes away."""


async def test_an_agent_may_speak_and_hear_for_its_own_node_only(suite: "TinySuite") -> None:
    assert suite.up("--node", "n1").returncode == 0
    added = suite.seaway("node", "add", "n2")
    assert added.returncode == 0, added.stderr
    secret = suite.root / "secrets" / "agent.n2"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    words = f"seaway-agent --node n2 --nats {nats_url(suite)} --nats-user agent.n2 --nats-password-file {secret}"
    assert added.stdout.splitlines()[-1].strip() == words
    assert suite.seaway("node", "add", "n2").stdout == added.stdout

    for own, other in (("n1", "n2"), ("n2", "n1")):
        assert await refusals(suite, f"agent.{own}", spoken(own), heard(own)) == 0
        all_streams = catalogue.STREAM_TEMPLATE.wildcard()
        strangers = [*heard(other), "_INBOX.api.>", "_INBOX.>", catalogue.ALL_EVENTS, all_streams]
        calls = [catalogue.START.subject(other), catalogue.REGISTER.subject(), f"_INBOX.agent.{other}.x"]
        stored = [f"$JS.{subject.format('SEAWAY_EVENTS')}" for subject in STORED]
        answers = ["_INBOX.api.x.1", "_INBOX.metadata.x.1"]  # a node may answer those who give it orders
        assert await refusals(suite, f"agent.{own}", answers, []) == 0
        wrong = [*spoken(other), *calls, *stored, f"$JS.API.DIRECT.GET.SEAWAY_EVENTS.{spoken(other)[0]}"]
        assert await refusals(suite, f"agent.{own}", wrong, strangers) == len(wrong) + len(strangers)
    rows = suite.rows()
    assert {row["restarts"] for row in rows.values()} == {0}


@contextlib.asynccontextmanager
async def foreign(suite: "TinySuite", user: str) -> AsyncIterator[Client]:
    """A connection as that user with nats-py itself, as who has taken over its password would make it."""
    password = (suite.root / "secrets" / user).read_text().strip()
    client = await nats.connect(nats_url(suite), user=user, password=password, inbox_prefix=f"_INBOX.{user}")
    yield client
    await client.close()


async def test_acknowledgements_go_to_who_asked_and_nowhere_else(suite: "TinySuite") -> None:
    """JetStream answers to any subject: for an agent it must not, else that writes to buckets and gives orders."""
    assert suite.up("--node", "n1").returncode == 0
    bucket = f"KV_{catalogue.CONTAINERS_BUCKET.name}"
    async with foreign(suite, "metadata") as services, foreign(suite, "agent.n1") as agent:
        heard: list[Msg] = []

        async def hear(message: Msg) -> None:
            heard.append(message)

        context = services.jetstream()
        await context.publish(f"$KV.{catalogue.CONTAINERS_BUCKET.name}.kept", b"record")
        await services.subscribe(catalogue.ALL_EVENTS, cb=hear)
        await services.subscribe("_INBOX.metadata.>", cb=hear)
        await services.flush()
        event = catalogue.CONTAINER_DIE.subject("n1", "c")
        orders = (f"$JS.API.STREAM.PURGE.{bucket}", f"$JS.API.STREAM.MSG.DELETE.{bucket}")
        others = (f"$KV.{catalogue.CONTAINERS_BUCKET.name}.kept", "_INBOX.metadata.x", spoken("n2")[0])
        for reply in (*orders, *others):
            await agent.publish(event, b"{}", reply=reply)
        assert (await agent.request(event, b"{}", timeout=5)).data.startswith(b'{"stream":"SEAWAY_EVENTS"')
        expected = [event] * (len(orders) + len(others) + 1)
        await until(lambda: len(heard) >= len(expected))  # nats-py hands on in a task
        await services.flush()
        assert [message.subject for message in heard] == expected
        kept = await context.get_last_msg(bucket, f"$KV.{catalogue.CONTAINERS_BUCKET.name}.kept")
        assert kept.data == b"record"


async def test_answers_go_to_who_asked_and_nowhere_else(suite: "TinySuite") -> None:
    """A node's question bears the inbox of another one, of a service, an order: only who asked can be answered."""
    assert suite.up("--node", "n1").returncode == 0
    assert suite.seaway("node", "add", "n2").returncode == 0
    users = ("image", "agent.n1", "agent.n2", "api")
    async with contextlib.AsyncExitStack() as stack:
        image, asking, other, api = [await stack.enter_async_context(foreign(suite, user)) for user in users]
        heard: list[Msg] = []
        requests: list[Msg] = []

        async def hear(message: Msg) -> None:
            heard.append(message)

        async def answer(message: Msg) -> None:
            requests.append(message)
            await message.respond(b"answer")

        await other.subscribe("_INBOX.agent.n2.>", cb=hear)
        await api.subscribe("_INBOX.api.>", cb=hear)
        await api.subscribe(catalogue.ALL_EVENTS, cb=hear)
        await image.subscribe(catalogue.BLOB_ENDPOINT.subject(), cb=answer)
        for client in (other, api, image):
            await client.flush()
        asked, strangers = catalogue.BLOB_ENDPOINT.subject(), (*spoken("n2"), catalogue.START.subject("n2"))
        for reply in ("_INBOX.agent.n2.x", "$JS.API.STREAM.PURGE.SEAWAY_EVENTS", *strangers):
            await asking.publish(asked, b"{}", reply=reply)
        assert (await asking.request(asked, b"{}", timeout=5)).data == b"answer"
        assert (await other.request(asked, b"{}", timeout=5)).data == b"answer"
        for client in (asking, image, other, api):
            await client.flush()
        assert len(requests) == 2 + len(strangers) + 2
        assert all(request.reply.startswith("_R_.") for request in requests)
        await until(lambda: heard)
        assert [message.subject == "_INBOX.agent.n2.x" for message in heard] == [False]  # n2's own answer


async def test_who_is_asked_and_not_there_is_known_at_once(suite: "TinySuite") -> None:
    """A node's question crosses accounts, and so must the news that nobody hears it."""
    assert suite.up("--node", "n1").returncode == 0
    async with foreign(suite, "agent.n1") as agent:
        with pytest.raises(NoRespondersError):
            await agent.request(catalogue.BLOB_ENDPOINT.subject(), b"{}", timeout=5)


async def test_log_lines_that_somebody_keeps_are_acknowledged_to_nobody_else(suite: "TinySuite") -> None:
    assert suite.up("--node", "n1").returncode == 0
    bucket = f"KV_{catalogue.CONTAINERS_BUCKET.name}"
    async with foreign(suite, "metadata") as services, foreign(suite, "agent.n1") as agent:
        context = services.jetstream()
        await context.add_stream(name="LINES", subjects=[catalogue.LOG_LINES.template.wildcard()])
        await context.publish(f"$KV.{catalogue.CONTAINERS_BUCKET.name}.kept", b"record")
        lines = catalogue.LOG_LINES.subject("n1", "c")
        for reply in (f"$JS.API.STREAM.PURGE.{bucket}", f"$KV.{catalogue.CONTAINERS_BUCKET.name}.kept"):
            await agent.publish(lines, b"{}", reply=reply)
        assert (await agent.request(lines, b"{}", timeout=5)).data.startswith(b'{"stream":"LINES"')
        kept = await context.get_last_msg(bucket, f"$KV.{catalogue.CONTAINERS_BUCKET.name}.kept")
        assert kept.data == b"record"


async def test_what_was_stored_before_there_were_accounts_is_kept(suite: "TinySuite") -> None:
    assert suite.up("--node", "n1").returncode == 0
    async with foreign(suite, "agent.n1") as agent:
        await agent.request(catalogue.CONTAINER_DIE.subject("n1", "before"), b"{}", timeout=5)
    assert suite.seaway("down").returncode == 0
    stored = suite.root / "nats" / "jetstream"
    (stored / "SEAWAY").rename(stored / "$G")
    assert suite.up("--node", "n1").returncode == 0
    async with foreign(suite, "metadata") as services:
        last = await services.jetstream().get_last_msg("SEAWAY_EVENTS", catalogue.CONTAINER_DIE.subject("n1", "before"))
    assert last.data == b"{}"


async def test_a_node_is_let_in_no_more(suite: "TinySuite") -> None:
    assert suite.up("--node", "n1").returncode == 0
    assert suite.seaway("node", "add", "n2").returncode == 0
    async with logged_in(suite, "api") as (stays, _), logged_in(suite, "agent.n2") as (goes, _):
        cut_off = asyncio.Event()

        async def gone() -> None:
            cut_off.set()

        goes._disconnected_cb = gone
        removed = suite.seaway("node", "rm", "n2")
        assert removed.returncode == 0, removed.stderr
        await asyncio.wait_for(cut_off.wait(), 10)
        assert not goes.is_connected
        assert stays.is_connected and stays.stats["reconnects"] == 0
    assert not (suite.root / "secrets" / "agent.n2").exists()
    again = suite.seaway("node", "rm", "n2")
    assert again.returncode == 1
    assert again.stderr == f"seaway: no node n2 was added to the suite of --root {suite.root}\n"
