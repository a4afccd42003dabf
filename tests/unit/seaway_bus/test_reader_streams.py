"""Streams of users, and the requests that they make for consumers of the suite's stream."""

import asyncio
import json
from typing import Any

import pytest

from seaway_bus.bus import Bus
from seaway_bus.reader_sources import ReaderSources, consumer_of
from seaway_bus.reader_streams import SUBJECT, fits, is_fed, is_of, reader_stream
from seaway_bus.transport import Message, NoResponders, RequestTimeout
from seaway_contracts.catalogue import EVENT_STREAM
from seaway_contracts.users import BusUser
from seaway_kit.tasks import Tasks
from seaway_testing.waiting import until

BOB = BusUser(name="bob", public_key="U", created_ns=7, events=("container.die",), keep=1 << 20)
ASKED = f"seaway.v1.user.user:bob.source.CONSUMER.CREATE.{EVENT_STREAM.name}"
CREATE = f"$JS.API.CONSUMER.CREATE.{EVENT_STREAM.name}"
GOOD: dict[str, Any] = {
    "deliver_policy": "by_start_sequence",
    "opt_start_seq": 5,
    "deliver_subject": "seaway.v1.user.user:bob.stored.S.8TYaLlUe",
}


def test_the_stream_follows_the_suites() -> None:
    made = reader_stream(BOB, 3)
    assert (made["name"], made["subjects"], made["num_replicas"]) == (EVENT_STREAM.name, [SUBJECT], 3)
    (source,) = made["sources"]
    assert source["external"] == {"api": "seaway.v1.user.user:bob.source", "deliver": "seaway.v1.user.user:bob.stored"}


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"metadata": {"seaway-user": "7", "_nats.level": "1"}, "compression": "none", "republish": None}, True),
        ({"sealed": True}, False),
        ({"max_bytes": 5}, False),
        ({"sources": []}, False),
        ({"sources": [{"name": "OTHER"}]}, False),
        ({"republish": {"src": ">", "dest": "x.>"}}, False),
        ({"metadata": None}, False),
    ],
)
def test_a_stream_that_differs_is_known(change: dict[str, Any], same: bool) -> None:
    wanted = reader_stream(BOB, 1)
    assert fits(wanted | change, wanted) is same
    assert is_of(wanted | change, wanted) is ("metadata" not in change or same)


def test_a_stream_that_hears_nothing_is_not_fed() -> None:
    for active, fed in ((-1, False), (0, True), (2 * 10**9, True), (60 * 10**9, False)):
        assert is_fed({"sources": [{"active": active}]}) is fed
    assert not is_fed({}) and not is_fed({"sources": None})


def test_what_a_user_may_read_and_where_it_goes_is_not_taken_from_the_request() -> None:
    evil = GOOD | {
        "filter_subjects": ["seaway.v1.event.>"],
        "filter_subject": ">",
        "ack_policy": "explicit",
        "durable_name": "x",
    }
    made = consumer_of(BOB, {"config": evil})
    assert made is not None
    assert made["filter_subjects"] == ["seaway.v1.event.*.container.die.*"]
    assert (made["opt_start_seq"], made["ack_policy"]) == (5, "none")
    assert "filter_subject" not in made and "durable_name" not in made


@pytest.mark.parametrize(
    "deliver",
    [
        None,
        "",
        "_INBOX.api.x",
        "$JS.API.STREAM.PURGE.SEAWAY_EVENTS",
        "seaway.v1.user.user:eve.stored.S.x",
        "seaway.v1.user.user:bob.stored",
        "seaway.v1.user.user:bob.stored.",
        "seaway.v1.user.user:bob.stored.>",
        "seaway.v1.user.user:bob.stored.*",
        "seaway.v1.user.user:bob.stored.a..b",
    ],
)
def test_it_is_delivered_to_that_user_alone(deliver: str | None) -> None:
    assert consumer_of(BOB, {"config": GOOD | {"deliver_subject": deliver}}) is None


@pytest.mark.parametrize("request_", [{}, {"config": None}, {"config": []}, {"config": GOOD | {"deliver_policy": "x"}}])
def test_what_is_no_request_is_refused(request_: dict[str, Any]) -> None:
    assert consumer_of(BOB, request_) is None


async def test_requests_are_answered_within_their_budget(fake_bus: Bus) -> None:
    """A request that is refused gets no answer: NATS asks again later."""
    tasks, budget, asked = Tasks("sources"), [3], list[dict[str, Any]]()

    async def user(name: str) -> BusUser | None:
        return BOB if name == "bob" else None

    def may(name: str) -> bool:
        budget[0] -= 1
        return budget[0] >= 0

    def create(message: Message) -> None:
        asked.append(json.loads(message.data))
        tasks.spawn("create", fake_bus.transport.publish(message.reply, b'{"name": "made"}'))

    transport = fake_bus.transport
    await transport.subscribe(CREATE, create)
    await ReaderSources(transport, tasks, user, may).serve()
    body = json.dumps({"stream_name": "OTHER", "config": GOOD}).encode()
    assert (await transport.request(ASKED, body, {}, 5)).data == b'{"name": "made"}'
    assert (asked[0]["stream_name"], asked[0]["config"]["deliver_subject"]) == (
        EVENT_STREAM.name,
        GOOD["deliver_subject"],
    )
    for subject, words in ((ASKED.replace("bob", "eve"), body), (ASKED, b"no JSON"), (ASKED, body)):
        with pytest.raises((NoResponders, RequestTimeout)):
            await transport.request(subject, words, {}, 0.05)
    await until(lambda: budget[0] == -1)
    assert len(asked) == 1
    await asyncio.sleep(0)
    await tasks.close()
