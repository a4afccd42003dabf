"""Users of the bus: created once, given another key, removed, expired, at any copy of metadata."""

import asyncio
import json
import time
from typing import Any

import pytest

from seaway_bus.bus import Bus, Command
from seaway_bus.events import Event, read_event
from seaway_bus.node_keys import new_seed, public_key
from seaway_bus.transport import Message
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import (
    ADMIT_NODE,
    CREATE_TOKEN,
    CREATE_USER,
    EVENT_STREAM,
    LIST_USERS,
    REMOVE_USER,
    ROTATE_USER,
)
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.joining import AdmitNode, CreateToken, hash_of
from seaway_contracts.users import BusUser, Change, CreateUser, RotateUser, UserEvent, UserRef
from seaway_kit.tasks import Tasks
from seaway_metadata.service import Metadata
from seaway_testing.fake_transport import FakeServer, FakeTransport
from seaway_testing.waiting import until

KEYS = [public_key(new_seed()) for _ in range(3)]
ME = Command.new("uid:7")


class Account:
    """JetStream of one user's account, as metadata reaches it."""

    def __init__(self, bus: Bus, name: str) -> None:
        self._bus, self._name, self._tasks = bus, name, Tasks("account")
        self.stream: dict[str, Any] | None = None
        self.said: list[str] = []

    async def serve(self) -> "Account":
        await self._bus.transport.subscribe(f"seaway.v1.user.user:{self._name}.api.>", self._heard)
        return self

    def _heard(self, message: Message) -> None:
        verb = message.subject.split(".api.STREAM.")[1].split(".")[0]
        self.said.append(verb)
        if verb in ("CREATE", "UPDATE"):
            self.stream = json.loads(message.data)
        answer: dict[str, Any] = {"error": {"code": 404, "err_code": 10059, "description": "stream not found"}}
        if self.stream is not None:
            state = {"messages": 4, "bytes": 5, "consumer_count": 6}
            answer = {"config": self.stream, "state": state, "sources": [{"lag": 7, "active": 1}]}
        if verb == "DELETE":
            self.stream = None
        self._tasks.spawn("answer", self._bus.transport.publish(message.reply, json.dumps(answer).encode()))


def asked(name: str = "bob", key: int = 0, **fields: Any) -> CreateUser:
    return CreateUser(name=name, public_key=KEYS[key], **fields)


async def names(bus: Bus) -> list[str]:
    return [info.user.name for info in (await bus.call(LIST_USERS, Empty())).users]


async def refused(bus: Bus, request: CreateUser, code: Code, sentence: str) -> None:
    with pytest.raises(SeawayError, match=sentence) as caught:
        await bus.call(CREATE_USER, request)
    assert caught.value.code is code


def told(server: FakeServer) -> list[Event]:
    found = map(read_event, server.streams[EVENT_STREAM.name].messages)
    return [event for event in found if event and event.envelope.noun == "user"]


def body(event: Event) -> UserEvent:
    found = event.body()
    assert isinstance(found, UserEvent)
    return found


async def test_a_user_is_created_changed_and_removed_with_events(
    metadata: Metadata, fake_bus: Bus, fake_server: FakeServer
) -> None:
    account = await Account(Bus(FakeTransport(fake_server)), "bob").serve()
    request = asked(events=("container.die", "image.pull", "image"), nodes=("n2", "n1"), expires_s=60)
    made = await fake_bus.call(CREATE_USER, request, command=ME)
    assert (made.events, made.nodes) == (("container.die", "image"), ("n1", "n2"))
    assert made.expires_ns == made.created_ns + 60 * 10**9
    await until(lambda: account.stream is not None)
    assert account.stream is not None
    assert account.stream["metadata"] == {"seaway-user": str(made.created_ns)}
    (info,) = (await fake_bus.call(LIST_USERS, Empty())).users
    assert info.user == made and info.stream is not None
    assert (info.stream.messages, info.stream.consumers, info.stream.pending) == (4, 6, 7)

    changed = await fake_bus.call(ROTATE_USER, RotateUser(name="bob", public_key=KEYS[1]), command=ME)
    assert changed == made.model_copy(update={"public_key": KEYS[1]})
    await fake_bus.call(REMOVE_USER, UserRef(name="bob"), command=ME)
    assert "DELETE" in account.said
    await until(lambda: account.stream is None)
    await until(lambda: len(told(fake_server)) == 3)
    events = told(fake_server)
    assert [event.envelope.action for event in events] == ["create", "rotate", "remove"]
    assert {(event.envelope.actor, event.envelope.node, event.envelope.subject_id) for event in events} == {
        ("uid:7", "cluster", "bob")
    }
    expected = {"name": "bob", "events": "container.die,image", "nodes": "n1,n2", "expires": str(made.expires_ns)}
    assert all(body(event).attributes == expected for event in events)
    assert not [
        message for message in fake_server.streams[EVENT_STREAM.name].messages if KEYS[0].encode() in message.data
    ]
    for channel, gone in (
        (REMOVE_USER, UserRef(name="bob")),
        (ROTATE_USER, RotateUser(name="bob", public_key=KEYS[2])),
    ):
        with pytest.raises(SeawayError, match="no such user: bob") as caught:
            await fake_bus.call(channel, gone)  # type: ignore[arg-type]
        assert caught.value.code is Code.NOT_FOUND


async def test_the_same_request_again_changes_nothing(metadata: Metadata, fake_bus: Bus, other_bus: Bus) -> None:
    first = await fake_bus.call(CREATE_USER, asked())
    assert await other_bus.call(CREATE_USER, asked()) == first
    await refused(fake_bus, asked(key=1), Code.CONFLICT, "there is a user bob already")


async def test_a_key_is_one_users_or_one_nodes(metadata: Metadata, fake_bus: Bus) -> None:
    await fake_bus.call(CREATE_USER, asked())
    await refused(fake_bus, asked("eve", 0), Code.CONFLICT, "this key is another user's")
    await fake_bus.call(CREATE_TOKEN, CreateToken(id="a" * 12, hash=hash_of("5" * 32), ttl_s=60))
    await fake_bus.call(ADMIT_NODE, AdmitNode(token="a" * 12, secret="5" * 32, node="n1", public_key=KEYS[1]))
    await refused(fake_bus, asked("eve", 1), Code.CONFLICT, "another user's or a node's")
    with pytest.raises(SeawayError, match="another user's or a node's"):
        await fake_bus.call(ROTATE_USER, RotateUser(name="bob", public_key=KEYS[1]))
    wrong = KEYS[2][:-1] + ("B" if KEYS[2].endswith("A") else "A")
    await refused(fake_bus, asked("eve", 2).model_copy(update={"public_key": wrong}), Code.BAD_REQUEST, "key")
    assert await names(fake_bus) == ["bob"]


async def test_there_is_room_for_so_many(metadata: Metadata, fake_bus: Bus) -> None:
    """NATS creates no stream if all together may store more than the server has."""
    await fake_bus.call(CREATE_USER, asked(keep=15 << 30))
    await refused(fake_bus, asked("eve", 1, keep=2 << 30), Code.CONFLICT, "may keep 16 GiB, of which 1024 MiB are left")
    for number in range(31):
        key = public_key(new_seed())
        await fake_bus.call(CREATE_USER, CreateUser(name=f"u{number}", public_key=key, keep=1 << 20))
    await refused(fake_bus, asked("eve", 1, keep=1 << 20), Code.CONFLICT, "there are 32 users already")


async def test_a_user_expires_and_that_is_told_once(
    metadata: Metadata, fake_bus: Bus, other_bus: Bus, fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fake_bus.call(CREATE_USER, asked(expires_s=3600))
    await fake_bus.call(CREATE_USER, asked("eve", 1))
    later = time.time_ns() + 3601 * 10**9
    for part in (metadata.users.commands, metadata.users.keeper):
        monkeypatch.setattr(part, "_now_ns", lambda: later)
    metadata.users.keeper.look()
    await until(lambda: len(told(fake_server)) == 3)
    assert await names(fake_bus) == ["eve"]
    assert [body(event).reason for event in told(fake_server)] == ["", "", "expired"]


async def test_a_stream_of_an_earlier_user_is_removed(
    metadata: Metadata, fake_bus: Bus, fake_server: FakeServer
) -> None:
    account = await Account(Bus(FakeTransport(fake_server)), "bob").serve()
    account.stream = {"name": EVENT_STREAM.name, "metadata": {"seaway-user": "1"}}
    made: BusUser = await fake_bus.call(CREATE_USER, asked())
    await until(lambda: (account.stream or {}).get("metadata") == {"seaway-user": str(made.created_ns)})
    assert account.said[:3] == ["INFO", "DELETE", "CREATE"]
    account.stream = None  # lost
    metadata.users.keeper.look()
    await until(lambda: account.stream is not None)


async def test_room_is_given_once_to_those_who_ask_at_the_same_time(
    metadata: Metadata, fake_bus: Bus, other_bus: Bus
) -> None:
    asks = [
        bus.call(CREATE_USER, CreateUser(name=f"u{number}", public_key=public_key(new_seed()), keep=12 << 30))
        for number, bus in enumerate((fake_bus, other_bus) * 3)
    ]
    answers = await asyncio.gather(*asks, return_exceptions=True)
    made = [answer.name for answer in answers if isinstance(answer, BusUser)]
    assert len(made) <= 1 and await names(fake_bus) == made


async def test_a_user_that_is_going_gets_no_other_key(metadata: Metadata, fake_bus: Bus) -> None:
    await fake_bus.call(CREATE_USER, asked())
    await metadata.users.commands._users.mark("bob", Change())
    with pytest.raises(SeawayError, match="no such user: bob"):
        await fake_bus.call(ROTATE_USER, RotateUser(name="bob", public_key=KEYS[1]))


async def test_the_stream_of_a_user_that_is_going_does_not_come_back(
    metadata: Metadata, fake_bus: Bus, fake_server: FakeServer
) -> None:
    account = await Account(Bus(FakeTransport(fake_server)), "bob").serve()
    user = BusUser(name="bob", public_key=KEYS[0], created_ns=7)
    users = metadata.users.commands._users
    await users.add(user)
    await users.mark("bob", Change())
    assert not await metadata.users.keeper._keep(user)
    assert (account.stream, account.said) == (None, ["INFO", "CREATE", "DELETE"])
