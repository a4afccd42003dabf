"""Tokens are exchanged for identities: once for each use, by any copy, and only while they are valid."""

import asyncio
import time

import pytest
from tests.unit.seaway_metadata.commands.joining_rig import (
    KEYS,
    SECRET,
    body,
    identities,
    joined,
    refused,
    request,
    token,
    told,
)
from tests.unit.seaway_metadata.rig import Node

from seaway_bus.bus import Bus
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import (
    ADMIT_NODE,
    CHECK_NODE,
    CREATE_TOKEN,
    LIST_NODES,
    LIST_TOKENS,
    REMOVE_NODE,
    REMOVE_TOKEN,
    TOKENS_BUCKET,
)
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.joining import TokenRef, hash_of
from seaway_contracts.nodes import RemoveNode
from seaway_contracts.version import VERSION
from seaway_metadata.service import Metadata
from seaway_testing.fake_transport import FakeServer
from seaway_testing.waiting import until


async def test_a_token_becomes_an_identity(metadata: Metadata, fake_bus: Bus, fake_server: FakeServer) -> None:
    made = await fake_bus.call(CREATE_TOKEN, token(labels={"disk": "ssd"}))
    assert (made.uses, made.joined, made.expires_ns - made.created_ns) == (1, (), 3600 * 10**9)
    before = time.time_ns()
    admitted = await fake_bus.call(ADMIT_NODE, request())
    assert (admitted.identity.node, admitted.identity.public_key) == ("n1", KEYS[0])
    assert (admitted.identity.labels, admitted.identity.token) == ({"disk": "ssd"}, made.id)
    assert before <= admitted.time_ns <= time.time_ns() and admitted.version == VERSION
    assert await identities(fake_bus) == {"n1": KEYS[0]}
    assert await joined(fake_bus) == [("n1",)]
    await until(lambda: told(fake_server, "admit"))
    (event,) = told(fake_server, "admit")
    assert (event.envelope.node, body(event).attributes) == ("n1", {"name": "n1", "token": made.id})
    stored = b"".join(entry.value for entry in fake_server.buckets[TOKENS_BUCKET.name].entries.values())
    assert hash_of(SECRET).encode() in stored and SECRET.encode() not in stored


async def test_the_same_request_again_costs_no_use_and_is_told_once(
    metadata: Metadata, fake_bus: Bus, other_bus: Bus, fake_server: FakeServer
) -> None:
    await fake_bus.call(CREATE_TOKEN, token())
    answers = [await bus.call(ADMIT_NODE, request()) for bus in (fake_bus, other_bus, fake_bus)]
    assert len({answer.identity.since_ns for answer in answers}) == 1
    assert await joined(fake_bus) == [("n1",)]
    await until(lambda: told(fake_server, "admit"))
    await fake_bus.transport.flush()
    assert len(told(fake_server, "admit")) == 1


async def test_used_expired_and_unknown_tokens_are_refused_and_that_is_told(
    metadata: Metadata, fake_bus: Bus, fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fake_bus.call(CREATE_TOKEN, token())
    await fake_bus.call(CREATE_TOKEN, token(2, ttl_s=60))
    await fake_bus.call(ADMIT_NODE, request())
    await refused(fake_bus, request("n2", 1), Code.FORBIDDEN, "used as often as it may be")
    await refused(fake_bus, request("n2", 1, number=3), Code.FORBIDDEN, "this cluster has no such token")
    await refused(fake_bus, request("n2", 1, number=2, secret="6" * 32), Code.FORBIDDEN, "no such token")
    for malformed in ("", "*.>", "../x", "A" * 12):
        asked = request("n2", 1).model_copy(update={"token": malformed})
        await refused(fake_bus, asked, Code.BAD_REQUEST, "the token is malformed")
    later = time.time_ns() + 61 * 10**9
    monkeypatch.setattr(metadata._joining, "_now_ns", lambda: later)
    await refused(fake_bus, request("n2", 1, number=2), Code.FORBIDDEN, "the token has expired")
    await until(lambda: len(told(fake_server, "refuse")) == 4)
    events = told(fake_server, "refuse")
    assert [body(event).reason for event in events] == ["used", "unknown", "unknown", "expired"]
    assert {(event.envelope.node, event.envelope.subject_id) for event in events} == {("cluster", "n2")}
    assert body(events[0]).attributes == {"name": "n2", "token": f"{1:012x}"}
    assert await identities(fake_bus) == {"n1": KEYS[0]}


async def test_a_name_that_another_node_has_is_refused_and_costs_no_use(
    metadata: Metadata, fake_bus: Bus, fake_server: FakeServer
) -> None:
    await fake_bus.call(CREATE_TOKEN, token(uses=3))
    await (await Node(fake_bus, "old").serve()).beat()
    await until(lambda: metadata._nodes.known("old"))
    await fake_bus.call(CREATE_TOKEN, token(2))
    await fake_bus.call(ADMIT_NODE, request("n1"))
    await refused(fake_bus, request("old", 1), Code.CONFLICT, "the cluster has a node old already")
    await refused(fake_bus, request("n1", 1, number=2), Code.CONFLICT, "the cluster has a node n1 already")
    assert await joined(fake_bus) == [("n1",), ()]
    await until(lambda: len(told(fake_server, "refuse")) == 2)
    assert {body(event).reason for event in told(fake_server, "refuse")} == {"name"}
    assert await identities(fake_bus) == {"n1": KEYS[0]}


async def test_at_two_copies_as_many_machines_join_as_may(metadata: Metadata, fake_bus: Bus, other_bus: Bus) -> None:
    await fake_bus.call(CREATE_TOKEN, token(uses=2))
    buses = [fake_bus, other_bus]
    asked = [buses[number % 2].call(ADMIT_NODE, request(f"n{number}", number % 4)) for number in range(12)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(not isinstance(answer, BaseException) for answer in answers) == 2
    assert len(await identities(fake_bus)) == 2
    assert [len(nodes) for nodes in await joined(fake_bus)] == [2]


async def test_of_many_machines_of_one_name_one_joins(metadata: Metadata, fake_bus: Bus, other_bus: Bus) -> None:
    for number in range(4):
        await fake_bus.call(CREATE_TOKEN, token(number))
    buses = [fake_bus, other_bus]
    asked = [buses[key % 2].call(ADMIT_NODE, request("n1", key, number=key)) for key in range(4)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    (winner,) = [answer for answer in answers if not isinstance(answer, BaseException)]
    assert await identities(fake_bus) == {"n1": winner.identity.public_key}
    assert sorted(map(len, await joined(fake_bus))) == [0, 0, 0, 1]


@pytest.mark.parametrize("key", ["U" + "A" * 55, KEYS[0].lower(), ""])
async def test_a_key_that_a_server_would_not_take_costs_no_use(metadata: Metadata, fake_bus: Bus, key: str) -> None:
    await fake_bus.call(CREATE_TOKEN, token())
    wrong = request().model_copy(update={"public_key": key})
    await refused(fake_bus, wrong, Code.BAD_REQUEST, "public key")
    assert await joined(fake_bus) == [()]


async def test_tokens_are_made_once_and_removed(metadata: Metadata, fake_bus: Bus) -> None:
    for _ in range(2):
        await fake_bus.call(CREATE_TOKEN, token())
    with pytest.raises(SeawayError, match="another token has the id"):
        await fake_bus.call(CREATE_TOKEN, token(hash="f" * 64))
    await fake_bus.call(ADMIT_NODE, request())
    assert (await fake_bus.call(REMOVE_TOKEN, TokenRef(id=token().id))).joined == ("n1",)
    for wrong in (token().id, "", "a.b", "*"):
        with pytest.raises(SeawayError, match="no such token") as caught:
            await fake_bus.call(REMOVE_TOKEN, TokenRef(id=wrong))
        assert caught.value.code is Code.NOT_FOUND
    assert await joined(fake_bus) == []
    assert await identities(fake_bus) == {"n1": KEYS[0]}, "nodes that joined stay"
    await refused(fake_bus, request("n2", 1), Code.FORBIDDEN, "no such token")


async def test_tokens_that_expired_long_ago_go(
    metadata: Metadata, fake_bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fake_bus.call(CREATE_TOKEN, token())
    later = time.time_ns() + 8 * 86_400 * 10**9
    monkeypatch.setattr(metadata._joining, "_now_ns", lambda: later)
    await fake_bus.call(CREATE_TOKEN, token(2))
    assert [one.id for one in (await fake_bus.call(LIST_TOKENS, Empty())).tokens] == [f"{2:012x}"]


async def test_a_removed_node_can_not_come_back_by_its_token(metadata: Metadata, fake_bus: Bus) -> None:
    await fake_bus.call(CREATE_TOKEN, token(uses=2))
    await fake_bus.call(ADMIT_NODE, request())
    await fake_bus.call(REMOVE_NODE, RemoveNode(node="n1"))
    assert await identities(fake_bus) == {}
    await refused(fake_bus, request(), Code.FORBIDDEN, "by another machine of this name")
    with pytest.raises(SeawayError, match="no such node: n1"):
        await fake_bus.call(REMOVE_NODE, RemoveNode(node="n1"))
    await fake_bus.call(CREATE_TOKEN, token(2))
    await fake_bus.call(ADMIT_NODE, request(number=2))
    assert await identities(fake_bus) == {"n1": KEYS[0]}


async def test_admitting_makes_no_record_of_a_node(metadata: Metadata, fake_bus: Bus) -> None:
    await fake_bus.call(CREATE_TOKEN, token())
    await fake_bus.call(ADMIT_NODE, request())
    assert (await fake_bus.call(LIST_NODES, Empty())).nodes == ()


async def test_a_node_compares_clock_and_version(metadata: Metadata, fake_bus: Bus) -> None:
    before = time.time_ns()
    check = await fake_bus.call(CHECK_NODE, Empty(), node="n1")
    assert before <= check.time_ns <= time.time_ns() and check.version == VERSION
