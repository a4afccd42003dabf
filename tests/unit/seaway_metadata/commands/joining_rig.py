"""Tokens, requests to join, and what came of them."""

import pytest

from seaway_bus.bus import Bus
from seaway_bus.events import Event, read_event
from seaway_bus.node_keys import new_seed, public_key
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import (
    ADMIT_NODE,
    EVENT_STREAM,
    LIST_IDENTITIES,
    LIST_TOKENS,
)
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.joining import AdmitNode, CreateToken, hash_of
from seaway_contracts.nodes import NodeEvent
from seaway_testing.fake_transport import FakeServer

SECRET = "5" * 32
KEYS = [public_key(new_seed()) for _ in range(4)]


def token(number: int = 1, **changes: object) -> CreateToken:
    made = CreateToken(id=f"{number:012x}", hash=hash_of(SECRET), ttl_s=3600)
    return made.model_copy(update=changes)


def request(node: str = "n1", key: int = 0, number: int = 1, secret: str = SECRET) -> AdmitNode:
    return AdmitNode(token=f"{number:012x}", secret=secret, node=node, public_key=KEYS[key])


async def refused(bus: Bus, asked: AdmitNode, code: Code, sentence: str) -> None:
    with pytest.raises(SeawayError, match=sentence) as caught:
        await bus.call(ADMIT_NODE, asked)
    assert caught.value.code is code


async def identities(bus: Bus) -> dict[str, str]:
    return {one.node: one.public_key for one in (await bus.call(LIST_IDENTITIES, Empty())).identities}


async def joined(bus: Bus) -> list[tuple[str, ...]]:
    return [one.joined for one in (await bus.call(LIST_TOKENS, Empty())).tokens]


def told(server: FakeServer, action: str) -> list[Event]:
    found = map(read_event, server.streams[EVENT_STREAM.name].messages)
    return [event for event in found if event and (event.envelope.noun, event.envelope.action) == ("node", action)]


def body(event: Event) -> NodeEvent:
    found = event.body()
    assert isinstance(found, NodeEvent)
    return found
