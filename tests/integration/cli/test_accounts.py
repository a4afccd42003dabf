"""The accounts and users of the bus: what each may say and hear at a real nats-server that `seaway up` has started."""

import asyncio
import contextlib
import os
import stat
from typing import TYPE_CHECKING, Final

import pytest
from nats.aio.msg import Msg
from nats.errors import NoRespondersError
from tests.integration.cli.bus_users import (
    bus_of,
    done,
    eventually,
    foreign,
    hearing,
    logged_in,
    nats_url,
    refusals,
    settled,
)

from seaway_bus.bus import Command
from seaway_contracts import catalogue
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import LIST_NODES
from seaway_contracts.commands import ContainerId, StatusReply
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.lifecycle import StoreEvents
from seaway_contracts.logs import LogLine, LogLines, PublishLines
from seaway_contracts.records import RegisterContainer
from seaway_testing.builders import container_id, spec, status
from seaway_testing.waiting import until

if TYPE_CHECKING:
    from conftest import TinySuite

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="seaway up runs as root")
BUCKET: Final = catalogue.CONTAINERS_BUCKET.name
STREAM: Final = catalogue.EVENT_STREAM.name
KEPT: Final = f"$KV.{BUCKET}.kept"


async def test_users_may_do_their_own_work_and_no_more(suite: "TinySuite") -> None:
    assert suite.up().returncode == 0

    async def ask(user: str) -> Code | None:
        async with bus_of(suite, user) as bus:
            try:
                await bus.call(LIST_NODES, Empty(), timeout_s=0.5)
            except SeawayError as error:
                return error.code
        return None

    assert await ask("api") is None
    assert await ask("scheduler") is None
    assert await ask("metadata") is Code.TIMEOUT  # it serves that call, and asks nobody


def told(node: str) -> list[str]:
    """What an agent says that nobody answers."""
    reply = f"{catalogue.REPLY_UNDER.format(node=node)}.api.x.1"
    stream = catalogue.stream_subject(f"{node}.s", catalogue.FROM_SERVER)
    return [catalogue.CONTAINER_DIE.told_subject(node, "c"), catalogue.BEAT.subject(node=node), reply, stream]


def spoken(node: str) -> list[str]:
    """What an agent says."""
    asks = (catalogue.STORE_EVENTS, catalogue.PUBLISH_LINES, catalogue.KNOWN_CONTAINERS, catalogue.NODE_IMAGES)
    return [*told(node), *(channel.subject(node) for channel in asks)]


def heard_by(node: str) -> list[str]:
    """What an agent hears."""
    stream = catalogue.stream_subject(f"{node}.s", catalogue.TO_SERVER)
    replies = f"{catalogue.REPLY_UNDER.format(node='*')}.agent.{node}.>"
    return [catalogue.START.subject(node), stream, f"_INBOX.agent.{node}.>", replies]


ORDERS: Final = (
    f"$JS.API.STREAM.PURGE.KV_{BUCKET}",
    f"$JS.API.STREAM.MSG.DELETE.KV_{BUCKET}",
    f"$JS.API.STREAM.PURGE.{STREAM}",
)
JETSTREAM: Final = (
    *ORDERS,
    *(
        f"$JS.{subject.format(STREAM)}"
        for subject in (
            "API.STREAM.INFO.{}",
            "API.STREAM.MSG.GET.{}",
            "API.STREAM.CREATE.MINE",
            "API.CONSUMER.CREATE.{}",
            "API.CONSUMER.CREATE.{}.api-events",
            "API.CONSUMER.DURABLE.CREATE.{}.api-events",
            "API.CONSUMER.MSG.NEXT.{}.api-events",
            "API.CONSUMER.DELETE.{}.api-events",
            "ACK.{}.api-events.1.1.1.1.1",
            "FC.{}.api-events.x",
            "API.DIRECT.GET.{}.seaway.v1.event.n1.container.die.c",
        )
    ),
    "$JS.API.INFO",
    KEPT,
)
"""Of JetStream, what reads, pulls, acknowledges in the place of another, writes, or takes away."""


def services_own() -> list[str]:
    """What services alone say: events, log lines, orders to all nodes, calls, answers to each other's inboxes."""
    events = [channel.subject(node, "c") for node in ("n1", "n2") for channel in catalogue.EVENTS.values()]
    lines = [catalogue.LOG_LINES.subject(node=node, id="c") for node in ("n1", "n2")]
    calls = [channel.subject() for channel in catalogue.CALLS if not channel.template.fields]
    inboxes = [f"_INBOX.{user}.x.1" for user in ("api", "metadata", "scheduler", "image", "cli")]
    return [*events, *lines, *calls, *inboxes, catalogue.IMAGES_DELETED.subject(), "_R_.x", "$SRV.PING"]


async def test_an_agent_may_speak_and_hear_for_its_own_node_only(suite: "TinySuite") -> None:
    assert suite.up("--node", "n1").returncode == 0
    added = suite.seaway("node", "add", "n2")
    assert added.returncode == 0, added.stderr
    secret = suite.root / "secrets" / "agent.n2"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    words = f"seaway-agent --node n2 --nats {nats_url(suite)} --nats-user agent.n2 --nats-password-file {secret}"
    assert added.stdout.splitlines()[-1].strip() == words
    assert suite.seaway("node", "add", "n2").stdout == added.stdout

    everything = [">", "seaway.v1.>", "seaway.v1.node.>", "$JS.>", "_R_.>", "_INBOX.>", "_INBOX.api.>"]
    everybodys = [catalogue.ALL_EVENTS, catalogue.ALL_TOLD, catalogue.BEAT.template.wildcard()]
    for own, other in (("n1", "n2"), ("n2", "n1")):
        user = f"agent.{own}"
        own_subjects = [*heard_by(own), catalogue.IMAGES_DELETED.subject()]
        assert await refusals(suite, user, spoken(own), own_subjects) == []
        wrong = [*spoken(other), catalogue.START.subject(other), f"_INBOX.agent.{other}.x", *services_own(), *JETSTREAM]
        assert await refusals(suite, user, publish=wrong) == wrong
        strangers = [*heard_by(other), *everything, *everybodys, catalogue.STREAM_TEMPLATE.wildcard()]
        assert await refusals(suite, user, subscribe=strangers) == strangers
    rows = suite.rows()
    assert {row["restarts"] for row in rows.values()} == {0}


async def test_what_an_agent_says_comes_to_the_services_under_its_own_name(suite: "TinySuite") -> None:
    assert suite.up("--node", "n1").returncode == 0
    assert suite.seaway("node", "add", "n2").returncode == 0
    async with foreign(suite, "api") as api, foreign(suite, "agent.n1") as n1, foreign(suite, "agent.n2") as n2:
        stream = catalogue.FROM_NODE.wildcard()
        replies = f"{catalogue.REPLY_UNDER.format(node='*')}.api.>"
        heard = await hearing(api, catalogue.ALL_TOLD, catalogue.BEAT.template.wildcard(), stream, replies)
        for agent, subjects in ((n1, told("n2")), (n2, told("n1")), (n1, told("n1")), (n2, told("n2"))):
            for subject in subjects:
                await agent.publish(subject, b"{}")
            await settled(agent)
        expected = sorted([*told("n1"), *told("n2")])
        await until(lambda: len(heard) >= len(expected))
        await settled(api)
        assert sorted(message.subject for message in heard) == expected


async def test_an_order_comes_to_the_node_that_it_names_and_one_to_all_to_all(suite: "TinySuite") -> None:
    assert suite.up("--node", "n1").returncode == 0
    assert suite.seaway("node", "add", "n2").returncode == 0
    users = ("agent.n1", "agent.n2", "api", "image")
    async with contextlib.AsyncExitStack() as stack:
        n1, n2, api, image = [await stack.enter_async_context(foreign(suite, user)) for user in users]
        heard = {
            node: await hearing(client, f"seaway.v1.node.{node}.do.>", "seaway.v1.node.all.do.>")
            for node, client in (("n1", n1), ("n2", n2))
        }
        orders = (catalogue.START.subject("n1"), catalogue.stream_subject("n2.s", catalogue.TO_SERVER))
        for order in orders:
            await api.publish(order, b"{}")
        await settled(api)
        to_all = catalogue.IMAGES_DELETED.subject()
        await image.publish(to_all, b"{}")
        await settled(image)
        await until(lambda: len(heard["n1"]) + len(heard["n2"]) >= 4)
        await settled(n1, n2)
        for node, order in zip(("n1", "n2"), orders, strict=True):
            assert {message.subject for message in heard[node]} == {order, to_all}


async def test_a_node_answers_what_it_is_asked_and_no_other_node_can(suite: "TinySuite") -> None:
    """Also where that knows the reply subject, under which the answer is awaited."""
    assert suite.up("--node", "n1").returncode == 0
    assert suite.seaway("node", "add", "n2").returncode == 0
    asked = ContainerId(id=container_id())
    async with bus_of(suite, "api") as api, foreign(suite, "agent.n1") as n1, foreign(suite, "agent.n2") as n2:
        requests = await hearing(n1, catalogue.START.subject("n1"))
        call = asyncio.create_task(api.call(catalogue.START, asked, node="n1", timeout_s=30))
        await until(lambda: requests)
        reply = requests[0].reply
        assert reply.startswith("seaway.v1.node.n1.tell.reply.api.")
        forged = StatusReply(status=status(seq=666)).model_dump_json().encode()
        for subject in (reply, reply.replace(".n1.", ".n2."), reply.replace("seaway.v1.node.n1.tell.reply", "_INBOX")):
            await n2.publish(subject, forged)
        await settled(n2)
        await api.transport.flush()
        assert not call.done()
        await n1.publish(reply, StatusReply(status=status(seq=7)).model_dump_json().encode())
        assert (await call).status.seq == 7


async def test_the_agents_own_bus_serves_across_the_accounts(suite: "TinySuite") -> None:
    assert suite.up("--node", "n1").returncode == 0
    commands: list[Command] = []

    async def start(request: ContainerId, command: Command) -> StatusReply:
        commands.append(command)
        return StatusReply(status=status(seq=3))

    async with bus_of(suite, "api") as api, bus_of(suite, "agent.n1") as agent:
        await agent.serve(catalogue.START, start, node="n1")
        await agent.flush()
        command = Command.new("somebody")
        reply = await api.call(catalogue.START, ContainerId(id=container_id()), node="n1", command=command)
        assert reply.status.seq == 3
        assert [(one.id, one.actor) for one in commands] == [(command.id, "somebody")]
        known = await agent.call(catalogue.STORE_EVENTS, StoreEvents(), node="n1")
        assert known.refused == {}


async def test_nothing_is_acknowledged_to_where_an_agent_says(suite: "TinySuite") -> None:
    """JetStream answers to any subject: for an agent it must not, else that writes to buckets and gives orders."""
    assert suite.up("--node", "n1").returncode == 0
    async with foreign(suite, "metadata") as services, foreign(suite, "agent.n1") as agent:
        context = services.jetstream()
        await context.publish(KEPT, b"record")
        last = (await context.stream_info(STREAM)).state.last_seq
        heard = await hearing(services, catalogue.ALL_EVENTS, catalogue.ALL_TOLD, "_INBOX.metadata.>")
        event = catalogue.CONTAINER_DIE.subject("n1", "c")
        told_event = catalogue.CONTAINER_DIE.told_subject("n1", "c")
        replies = (*ORDERS, KEPT, "_INBOX.metadata.x", event, *spoken("n2"))
        for reply in replies:
            for subject in (event, told_event, catalogue.STORE_EVENTS.subject("n1")):
                await agent.publish(subject, b"{}", reply=reply)
        await done(agent, catalogue.STORE_EVENTS.subject("n1"), b"{}")
        await until(lambda: len(heard) >= len(replies))  # nats-py hands on in a task
        await settled(services)
        assert [message.subject for message in heard] == [told_event] * len(replies)
        assert (await context.get_last_msg(f"KV_{BUCKET}", KEPT)).data == b"record"
        assert (await context.stream_info(STREAM)).state.last_seq == last


async def test_answers_go_to_who_asked_and_nowhere_else(suite: "TinySuite") -> None:
    """A node's request bears the inbox of another one, of a service, an order: only who asked can be answered."""
    assert suite.up("--node", "n1").returncode == 0
    assert suite.seaway("node", "add", "n2").returncode == 0
    users = ("image", "agent.n1", "agent.n2", "api")
    async with contextlib.AsyncExitStack() as stack:
        image, asking, other, api = [await stack.enter_async_context(foreign(suite, user)) for user in users]
        requests: list[Msg] = []

        async def answer(message: Msg) -> None:
            requests.append(message)
            await message.respond(b"answer")

        at_other = await hearing(other, "_INBOX.agent.n2.>", "seaway.v1.node.n2.do.>")
        at_api = await hearing(api, "_INBOX.api.>", catalogue.ALL_EVENTS, catalogue.ALL_TOLD)
        await image.subscribe(catalogue.NODE_BLOB_ENDPOINT.template.wildcard(), cb=answer)
        await settled(image)
        asked = catalogue.NODE_BLOB_ENDPOINT.subject("n1")
        strangers = ("_INBOX.agent.n2.x", *ORDERS, "_INBOX.api.x", *spoken("n2"), catalogue.START.subject("n2"))
        for reply in strangers:
            await asking.publish(asked, b"{}", reply=reply)
        await asking.publish(catalogue.NODE_BLOB_ENDPOINT.subject("n2"), b"{}", reply="_INBOX.agent.n1.x")
        assert (await asking.request(asked, b"{}", timeout=5)).data == b"answer"
        others = catalogue.NODE_BLOB_ENDPOINT.subject("n2")
        assert (await other.request(others, b"{}", timeout=5)).data == b"answer"
        await settled(asking, image, other, api)
        assert [request.subject for request in requests] == [asked] * (len(strangers) + 1) + [others]
        assert all(request.reply.startswith("_R_.") for request in requests)
        await until(lambda: at_other)
        assert [message.subject == "_INBOX.agent.n2.x" for message in at_other] == [False]  # n2's own answer
        assert at_api == []


async def test_who_is_asked_and_not_there_is_known_at_once(suite: "TinySuite") -> None:
    """A node's request crosses accounts, and so must the news that nobody hears it."""
    assert suite.up("--node", "n1").returncode == 0
    async with foreign(suite, "agent.n1") as agent:
        with pytest.raises(NoRespondersError):
            await agent.request(catalogue.NODE_BLOB_ENDPOINT.subject("n1"), b"{}", timeout=5)


async def test_a_node_that_is_asked_and_not_there_is_known_at_once(suite: "TinySuite") -> None:
    assert suite.up("--node", "n1").returncode == 0
    async with foreign(suite, "api") as api:
        with pytest.raises(NoRespondersError):
            await api.request(catalogue.START.subject("n1"), b"{}", timeout=5)


async def test_log_lines_that_somebody_keeps_are_acknowledged_to_nobody_else(suite: "TinySuite") -> None:
    """Metadata publishes them, of the node's own containers, and wants no acknowledgement."""
    assert suite.up("--node", "n1").returncode == 0
    assert suite.seaway("node", "add", "n2").returncode == 0
    mine, others = container_id(1), container_id(2)
    async with contextlib.AsyncExitStack() as stack:
        users = ("metadata", "agent.n1", "cli")
        services, agent, reader = [await stack.enter_async_context(foreign(suite, user)) for user in users]
        api = await stack.enter_async_context(bus_of(suite, "api"))
        for seed, node in ((1, "n1"), (2, "n2")):
            await api.call(catalogue.REGISTER, RegisterContainer(spec=spec(seed), node=node))
        context = services.jetstream()
        await context.add_stream(name="LINES", subjects=[catalogue.LOG_LINES.template.wildcard()])
        await context.publish(KEPT, b"record")
        heard = await hearing(reader, catalogue.LOG_LINES.template.wildcard())

        def asking(container: str, message_id: str) -> bytes:
            lines = LogLines(lines=(LogLine(stream="stdout", time="2026-01-01T00:00:00Z", text=message_id),))
            request = PublishLines(container=container, message_id=message_id, lines=lines)
            return catalogue.PUBLISH_LINES.encode(request)

        asked = catalogue.PUBLISH_LINES.subject("n1")
        for number, reply in enumerate((*ORDERS, KEPT)):
            await agent.publish(catalogue.LOG_LINES.subject(node="n1", id=mine), b"{}", reply=reply)
            await agent.publish(asked, asking(mine, f"order {number}"), reply=reply)
            await until(lambda: len(heard) > number)  # noqa: B023
        refused = await agent.request(asked, asking(others, "foreign"), timeout=5)
        assert refused.headers is not None and refused.headers["Nats-Service-Error-Code"] == "403"
        for message_id in ("own", "own", "last"):
            await done(agent, asked, asking(mine, message_id))
        subject = catalogue.LOG_LINES.subject(node="n1", id=mine)
        await eventually(
            lambda: context.get_last_msg("LINES", subject), lambda last: last.headers == {"Nats-Msg-Id": "last"}
        )
        assert {message.subject for message in heard} == {subject}
        info = (await context.stream_info("LINES")).state
        assert info.messages == len(ORDERS) + 1 + 2, "a repeat is dropped by its id"
        assert (await context.get_last_msg(f"KV_{BUCKET}", KEPT)).data == b"record"


async def test_what_was_stored_before_there_were_accounts_is_kept(suite: "TinySuite") -> None:
    assert suite.up("--node", "n1").returncode == 0
    event = catalogue.CONTAINER_DIE.subject("n1", "before")
    async with foreign(suite, "metadata") as services:
        await services.jetstream().publish(event, b"{}")
    assert suite.seaway("down").returncode == 0
    stored = suite.root / "nats" / "jetstream"
    (stored / "SEAWAY").rename(stored / "$G")
    assert suite.up("--node", "n1").returncode == 0
    async with foreign(suite, "metadata") as services:
        last = await services.jetstream().get_last_msg(STREAM, event)
    assert last.data == b"{}"


async def test_a_node_that_was_removed_is_let_in_no_more(suite: "TinySuite") -> None:
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
    assert (again.returncode, again.stderr) == (1, "seaway: no such node: n2\n")
