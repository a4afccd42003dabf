"""What whoever has, or has had, a token can not do."""

import asyncio
import time

import pytest
from tests.unit.seaway_metadata.commands.joining_rig import (
    KEYS,
    body,
    identities,
    joined,
    refused,
    request,
    token,
    told,
)

from seaway_bus.bus import Bus, Command
from seaway_contracts.catalogue import (
    ADMIT_NODE,
    CREATE_TOKEN,
    IDENTITIES_BUCKET,
    REMOVE_NODE,
)
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.joining import NodeIdentity
from seaway_contracts.nodes import RemoveNode
from seaway_metadata.commands.joining import Budget
from seaway_metadata.service import Metadata
from seaway_testing.fake_transport import FakeServer
from seaway_testing.waiting import until


def test_a_budget_is_for_a_minute_and_for_each_key() -> None:
    budget = Budget(2)
    assert [budget.take(second * 10**9) for second in (0, 1, 2, 59)] == [True, True, False, False]
    assert budget.take(59 * 10**9, "other")
    assert [budget.take(second * 10**9) for second in (60, 61, 62)] == [True, True, False]


async def test_a_key_is_one_nodes(metadata: Metadata, fake_bus: Bus, other_bus: Bus, fake_server: FakeServer) -> None:
    await fake_bus.call(CREATE_TOKEN, token(uses=12))
    await fake_bus.call(ADMIT_NODE, request())
    await refused(other_bus, request("n2"), Code.CONFLICT, "this machine's key is another node's already")
    assert await joined(fake_bus) == [("n1",)]
    await until(lambda: told(fake_server, "refuse"))
    assert body(told(fake_server, "refuse")[0]).reason == "key"
    buses = [fake_bus, other_bus]
    asked = [buses[number % 2].call(ADMIT_NODE, request(f"m{number}", 1)) for number in range(6)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    (winner,) = [answer for answer in answers if not isinstance(answer, BaseException)]
    assert await identities(fake_bus) == {"n1": KEYS[0], winner.identity.node: KEYS[1]}
    assert len(fake_server.buckets[IDENTITIES_BUCKET.name].entries) == 2


async def test_a_removed_node_can_not_come_back_by_any_token_that_it_has_used(
    metadata: Metadata, fake_bus: Bus
) -> None:
    for number in (1, 2):
        await fake_bus.call(CREATE_TOKEN, token(number))
        await fake_bus.call(ADMIT_NODE, request(number=number))
    assert await joined(fake_bus) == [("n1",), ()], "the second one was not needed, and may be used by another machine"
    await metadata._joining._tokens.use(request(number=2), 1)  # as if that copy had died before it gave the use back
    await fake_bus.call(REMOVE_NODE, RemoveNode(node="n1"))
    for number in (1, 2):
        await refused(fake_bus, request(number=number), Code.FORBIDDEN, "by another machine of this name")


async def test_a_node_that_is_removed_while_it_joins_is_not_admitted(
    metadata: Metadata, fake_bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fake_bus.call(CREATE_TOKEN, token())
    joining = metadata._joining
    add = joining._identities.add

    async def removed_meanwhile(identity: NodeIdentity) -> NodeIdentity | None:
        await joining._tokens.burn(identity.node)
        return await add(identity)

    monkeypatch.setattr(joining._identities, "add", removed_meanwhile)
    await refused(fake_bus, request(), Code.FORBIDDEN, "by another machine of this name")
    assert await identities(fake_bus) == {}


async def test_a_node_that_repeats_its_request_for_ever_has_no_reload_for_each(
    metadata: Metadata, fake_bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    reloads: list[int] = []
    monkeypatch.setattr(metadata._joining, "_reload", lambda: reloads.append(1))
    now_ns = time.time_ns() // (60 * 10**9) * 60 * 10**9
    monkeypatch.setattr(metadata._joining, "_now_ns", lambda: now_ns)
    await fake_bus.call(CREATE_TOKEN, token(uses=2))
    for _ in range(40):
        await fake_bus.call(ADMIT_NODE, request())
    assert len(reloads) == 1 + 20
    await fake_bus.call(ADMIT_NODE, request("n2", 1))
    assert len(reloads) == 1 + 20 + 1, "another node's are not affected"


async def test_whoever_wants_to_join_names_no_actor(metadata: Metadata, fake_bus: Bus, fake_server: FakeServer) -> None:
    await fake_bus.call(CREATE_TOKEN, token())
    claimed = Command.new(actor="api")
    await fake_bus.call(ADMIT_NODE, request(), command=claimed)
    await until(lambda: told(fake_server, "admit"))
    (event,) = told(fake_server, "admit")
    assert (event.envelope.actor, event.envelope.cause) == (f"token:{1:012x}", claimed.id)


async def test_a_flood_of_requests_to_join_is_refused_at_once(
    metadata: Metadata, fake_bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = asyncio.Event()

    async def slow(*_: object) -> tuple[None, str]:
        await held.wait()
        return None, "unknown"

    monkeypatch.setattr(metadata._joining._tokens, "use", slow)
    asked = [asyncio.ensure_future(fake_bus.call(ADMIT_NODE, request())) for _ in range(128)]
    await until(lambda: metadata._joining._in_hand == 128)
    await refused(fake_bus, request(), Code.UNAVAILABLE, "many machines want to join at this moment")
    held.set()
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert {answer.code for answer in answers if isinstance(answer, SeawayError)} == {Code.FORBIDDEN}
    monkeypatch.undo()
    await fake_bus.call(CREATE_TOKEN, token())
    await fake_bus.call(ADMIT_NODE, request())
