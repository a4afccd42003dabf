"""What nodes ask of metadata beside storing events: lines to be published, and what is known of their containers."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.unit.seaway_metadata.rig import known, publish, register, registered

from seaway_bus.bus import Bus, Command
from seaway_bus.judging import FOREIGN
from seaway_bus.transport import Message
from seaway_contracts.catalogue import KNOWN_CONTAINERS, LOG_LINES, PUBLISH_LINES
from seaway_contracts.containers import State
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.lifecycle import MSG_ID
from seaway_contracts.logs import LogLine, LogLines, PublishLines
from seaway_contracts.records import ListKnown
from seaway_kit.tasks import Tasks
from seaway_metadata.commands.node_requests import NodeRequests
from seaway_metadata.service import Metadata, running
from seaway_metadata.settings import MetadataSettings
from seaway_testing.builders import container_id, spec, status
from seaway_testing.fake_transport import FakeServer, FakeTransport
from seaway_testing.waiting import until

LINES = LogLines(lines=(LogLine(stream="stdout", time="2026-01-01T00:00:00Z", text="hello", id="1"),))


@pytest.fixture
async def published(fake_bus: Bus) -> list[Message]:
    """Log lines that readers hear."""
    heard: list[Message] = []
    await fake_bus.transport.subscribe(LOG_LINES.template.wildcard(), heard.append)
    return heard


async def ask(bus: Bus, container: str, node: str = "n1", message_id: str = "m1") -> None:
    request = PublishLines(container=container, message_id=message_id, lines=LINES)
    await bus.call(PUBLISH_LINES, request, node=node)


# --- log lines


async def test_lines_of_an_own_container_are_published(
    metadata: Metadata, fake_bus: Bus, published: list[Message]
) -> None:
    await register(fake_bus, 1)
    await ask(fake_bus, container_id(1))
    (message,) = published
    assert message.subject == LOG_LINES.subject(node="n1", id=container_id(1))
    assert (message.headers, LOG_LINES.decode(message.data)) == ({MSG_ID: "m1"}, LINES)


async def test_anothers_lines_are_refused(metadata: Metadata, fake_bus: Bus, published: list[Message]) -> None:
    counted = FOREIGN.labels("n2", "log lines")._value
    before = counted.get()
    await register(fake_bus, 1)
    await registered(fake_bus, 2)  # by another copy
    for seed in (1, 2):
        with pytest.raises(SeawayError, match=f"container {container_id(seed)} is another node's") as caught:
            await ask(fake_bus, container_id(seed), node="n2")
        assert (caught.value.code, caught.value.status) == (Code.FORBIDDEN, 403)
    assert published == []
    assert counted.get() == before + 2


async def test_last_lines_of_a_removed_container_are_its_nodes(
    metadata: Metadata, fake_bus: Bus, published: list[Message]
) -> None:
    await publish(fake_bus, "create", status(seq=1))
    await publish(fake_bus, "destroy", status(seq=2))
    await known(metadata)
    with pytest.raises(SeawayError, match="is another node's"):
        await ask(fake_bus, container_id(1), node="n2")
    await ask(fake_bus, container_id(1))
    assert [message.subject for message in published] == [LOG_LINES.subject(node="n1", id=container_id(1))]


async def test_lines_of_a_container_that_nobody_has_registered_are_published(
    metadata: Metadata, fake_bus: Bus, published: list[Message]
) -> None:
    await ask(fake_bus, container_id(9))
    assert len(published) == 1


@pytest.mark.parametrize("container", ["", ">", "n1.x", container_id(1)[:12], container_id(1).upper(), "x" * 600])
async def test_lines_need_a_whole_id(
    metadata: Metadata, fake_bus: Bus, published: list[Message], container: str
) -> None:
    with pytest.raises(SeawayError, match="log lines need the whole id of their container") as caught:
        await ask(fake_bus, container)
    assert caught.value.code is Code.BAD_REQUEST
    assert published == []


@pytest.mark.parametrize(
    ("data", "code", "sentence"),
    [
        (b"no record", Code.BAD_REQUEST, "the record of its container can't be read"),
        (b'{"v":99}', Code.UNAVAILABLE, "a ContainerRecord of schema 99: this release knows 1; update it"),
    ],
)
async def test_lines_of_a_container_whose_record_can_not_be_read_are_not_published(
    metadata: Metadata, fake_bus: Bus, published: list[Message], data: bytes, code: Code, sentence: str
) -> None:
    """A copy of a later release may read it."""
    await metadata.containers.records.bucket.create(container_id(5), data)
    with pytest.raises(SeawayError, match=sentence) as caught:
        await ask(fake_bus, container_id(5))
    assert caught.value.code is code
    assert published == []


async def test_without_the_bus_lines_are_to_be_sent_again(
    metadata: Metadata, fake_server: FakeServer, fake_bus: Bus, published: list[Message]
) -> None:
    lines = NodeRequests(
        metadata._bus, metadata.containers.view, metadata.containers.holders, metadata.containers.freshness.caught_up
    )
    request = PublishLines(container=container_id(1), message_id="m1", lines=LINES)
    await register(fake_bus, 1)
    for seed in (1, 9):  # known in memory; only in the bucket, if at all
        metadata._bus.transport.cut()  # type: ignore[attr-defined]
        with pytest.raises(SeawayError, match="send them again") as caught:
            await lines.publish_lines(
                request.model_copy(update={"container": container_id(seed)}), Command("c", node="n1")
            )
        assert caught.value.code is Code.UNAVAILABLE
        metadata._bus.transport.mend()  # type: ignore[attr-defined]
    await ask(fake_bus, container_id(1))
    assert len(published) == 1


# --- known containers


async def knows(bus: Bus, *seeds: int, node: str = "n1") -> tuple[dict[str, int], set[str]]:
    reply = await bus.call(KNOWN_CONTAINERS, ListKnown(ids=tuple(map(container_id, seeds))), node=node)
    return {record.id: record.status.seq for record in reply.containers}, set(reply.removed)


@pytest.fixture
async def lives(metadata: Metadata, fake_bus: Bus) -> None:
    """Node n1 holds container 1 and has removed 2; so n2 with 3 and 4."""
    for first, node in ((1, "n1"), (3, "n2")):
        for seed in (first, first + 1):
            await publish(fake_bus, "create", status(seq=1), seed, node=node)
        await publish(fake_bus, "start", status(State.RUNNING, 2, pid=7), first, node=node)
        await publish(fake_bus, "destroy", status(seq=2), first + 1, node=node)


async def test_a_node_learns_of_its_own_containers_and_of_no_others(lives: None, fake_bus: Bus) -> None:
    assert await knows(fake_bus, 1, 2, 3, 4, 5) == ({container_id(1): 2}, {container_id(2)})
    assert await knows(fake_bus, 1, 2, 3, 4, 5, node="n2") == ({container_id(3): 2}, {container_id(4)})
    assert await knows(fake_bus, 1, 2, 3, 4, 5, node="n3") == ({}, set())
    assert await knows(fake_bus) == ({}, set())


async def test_a_known_container_comes_with_all_that_is_known(lives: None, fake_bus: Bus) -> None:
    reply = await fake_bus.call(KNOWN_CONTAINERS, ListKnown(ids=(container_id(1), "x", "")), node="n1")
    (record,) = reply.containers
    assert (record.spec, record.node, record.status) == (spec(1), "n1", status(State.RUNNING, 2, pid=7))


async def test_what_is_only_registered_is_neither(metadata: Metadata, fake_bus: Bus) -> None:
    await register(fake_bus, 1)
    assert await knows(fake_bus, 1) == ({}, set())


async def test_an_answer_sees_what_the_node_told_before(metadata: Metadata, fake_bus: Bus) -> None:
    for seq in range(2, 30):
        if seq == 2:
            await publish(fake_bus, "create", status(seq=1))
        await publish(fake_bus, "start", status(State.RUNNING, seq))
        assert await knows(fake_bus, 1) == ({container_id(1): seq}, set())


@pytest.fixture
async def restarted(lives: None, metadata: Metadata, fake_server: FakeServer, tmp_path: Path) -> AsyncIterator[Bus]:
    """The server without that copy, and a new one that has read buckets and stream."""
    await known(metadata)
    await metadata.stop()
    await metadata._bus.stop_serving()
    bus = Bus(FakeTransport(fake_server))
    async with running(bus, Tasks("new"), MetadataSettings(root=tmp_path / "new")) as new:
        await until(lambda: len(new.containers.view.index) == 2)
        yield bus
    await bus.close()


async def test_the_next_metadata_knows_the_same(restarted: Bus) -> None:
    assert await knows(restarted, 1, 2, 3, 4) == ({container_id(1): 2}, {container_id(2)})
    assert await knows(restarted, 1, 2, 3, 4, node="n2") == ({container_id(3): 2}, {container_id(4)})
