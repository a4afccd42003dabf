"""A node that was taken over hears, asks and answers on the bus: only what is its own."""

import asyncio
import os
import signal
from pathlib import Path

import pytest
from nats.aio.msg import Msg
from tests.integration.cli.bus_users import bus_of, foreign, hearing, refusals, settled
from tests.integration.hostile.taken_over import (
    Hostile,
    Suite,
    commands,
    inspect,
    works,
)

from seaway_contracts import catalogue
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.logs import LogLine, LogLines, PublishLines
from seaway_contracts.records import ListKnown
from seaway_testing.waiting import until

pytestmark = [pytest.mark.root, pytest.mark.timeout(240)]


async def test_it_can_not_listen_to_anybody(suite: Suite, victim: str, n2: Hostile, tmp_path: Path) -> None:
    wrong = [
        ">",
        "*",
        "seaway.>",
        "seaway.v1.node.>",
        "seaway.v1.node.*.do.>",
        "seaway.v1.node.n1.>",
        catalogue.START.subject("n1"),
        catalogue.ALL_EVENTS,
        catalogue.events_of("n1"),
        catalogue.events_of("n2"),
        catalogue.ALL_TOLD,
        catalogue.BEAT.template.wildcard(),
        catalogue.LOG_LINES.template.wildcard(),
        catalogue.TO_NODE.wildcard(),
        catalogue.FROM_NODE.wildcard(),
        catalogue.STREAM_TEMPLATE.wildcard(),
        *(channel.subject() for channel in catalogue.CALLS if not channel.template.fields),
        *(channel.subject("n2") for channel in catalogue.CALLS if channel.from_nodes),
        "_INBOX.>",
        "_INBOX.api.>",
        "_INBOX.metadata.>",
        "_INBOX.agent.n1.>",
        "_R_.>",
        "$JS.>",
        "$KV.>",
        "$SYS.>",
    ]
    assert await refusals(suite, "agent.n2", subscribe=wrong) == wrong
    works(suite, victim, tmp_path)
    await settled(n2.client)
    assert commands(n2) == []


async def test_it_can_not_use_jetstream(suite: Suite, victim: str, n2: Hostile) -> None:
    stream, bucket = catalogue.EVENT_STREAM.name, catalogue.CONTAINERS_BUCKET.name
    wrong = [
        "$JS.API.INFO",
        f"$JS.API.STREAM.INFO.{stream}",
        f"$JS.API.STREAM.PURGE.{stream}",
        f"$JS.API.STREAM.DELETE.{stream}",
        f"$JS.API.STREAM.MSG.GET.{stream}",
        f"$JS.API.STREAM.MSG.DELETE.{stream}",
        f"$JS.API.DIRECT.GET.KV_{bucket}.$KV.{bucket}.{victim}",
        f"$JS.API.CONSUMER.CREATE.{stream}",
        f"$JS.API.STREAM.PURGE.KV_{bucket}",
        "$JS.API.STREAM.CREATE.MINE",
        f"$JS.ACK.{stream}.x.1.1.1.1.1",
        f"$KV.{bucket}.{victim}",
    ]
    assert await refusals(suite, "agent.n2", publish=wrong) == wrong
    before = await suite.stored("n1")
    for reply in wrong:
        await n2.client.publish(catalogue.STORE_EVENTS.subject("n2"), b"{}", reply=reply)
        await n2.client.publish(catalogue.CONTAINER_START.told_subject("n2", victim), b"{}", reply=reply)
        await n2.client.publish(catalogue.BEAT.subject(node="n2"), b"{}", reply=reply)
    await settled(n2.client)
    assert suite.docker("exec", victim, "echo", "well") == "well"
    assert (await suite.stored("n1"))[: len(before)] == before
    assert inspect(suite, victim)["Id"] == victim


async def test_it_can_not_answer_for_another(suite: Suite, victim: str, n2: Hostile) -> None:
    """n1's agent stands still with a request in hand, and n2 answers it in all ways that it has."""
    wrong = [
        *(f"_INBOX.{user}.x.1" for user in ("api", "metadata", "scheduler", "image", "cli", "agent.n1")),
        *(f"seaway.v1.node.n1.tell.reply.{user}.x.1" for user in ("api", "metadata", "agent.n1")),
        "_R_.x.1",
    ]
    assert await refusals(suite, "agent.n2", publish=wrong) == wrong
    agent = suite.rows()["agent"]["pid"]
    requests: list[Msg] = []
    async with foreign(suite, "agent.n1") as twin:
        # Only to show that even who knows the reply's subject can't answer: n2 hears none of this.
        requests = await hearing(twin, catalogue.UNPAUSE.subject("n1"))
        suite.docker("pause", victim)
        os.kill(agent, signal.SIGSTOP)
        try:
            asking = asyncio.ensure_future(asyncio.to_thread(suite.try_docker, "unpause", victim))
            await until(lambda: requests)
            reply = requests[0].reply
            assert reply.startswith("seaway.v1.node.n1.tell.reply.api.")
            forged = b'{"status":{"state":"running","seq":99}}'
            for subject in (
                reply,
                reply.replace(".n1.", ".n2."),
                reply.replace("seaway.v1.node.n1.tell.reply", "_INBOX"),
            ):
                for _ in range(3):
                    await n2.client.publish(subject, forged)
            await settled(n2.client, twin)
            assert not asking.done()
        finally:
            os.kill(agent, signal.SIGCONT)
        done = await asking
    assert done.returncode == 0, done.stderr
    assert inspect(suite, victim)["State"]["Paused"] is False
    assert commands(n2) == []


async def test_it_learns_nothing_of_anothers_container(suite: Suite, victim: str, n2: Hostile) -> None:
    """Metadata answers what a node asks of its own containers; log lines it publishes of these alone."""
    known = await n2.bus.call(catalogue.KNOWN_CONTAINERS, ListKnown(ids=(victim, victim[:12])), node="n2")
    assert (known.containers, known.removed) == ((), ())
    async with foreign(suite, "cli") as reader:
        heard = await hearing(reader, catalogue.LOG_LINES.template.wildcard())
        lines = LogLines(lines=(LogLine(stream="stdout", time="2026-01-01T00:00:00Z", text="forged"),))
        request = PublishLines(container=victim, message_id="m", lines=lines)
        with pytest.raises(SeawayError) as caught:
            await n2.bus.call(catalogue.PUBLISH_LINES, request, node="n2")
        assert caught.value.code is Code.FORBIDDEN
        await settled(reader)
        assert heard == []
    async with bus_of(suite, "agent.n2") as bus:
        with pytest.raises(SeawayError):
            await bus.call(catalogue.KNOWN_CONTAINERS, ListKnown(ids=(victim,)), node="n1", timeout_s=0.3)
        with pytest.raises(SeawayError):
            await bus.call(catalogue.PUBLISH_LINES, request, node="n1", timeout_s=0.3)
