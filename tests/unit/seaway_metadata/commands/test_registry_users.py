"""Logins at the registry, as metadata keeps them: beside the users of the bus, without key and stream."""

import time
from typing import Any

import pytest

from seaway_bus.bus import Bus, Command
from seaway_bus.events import read_event
from seaway_bus.node_keys import new_seed, public_key
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import (
    CREATE_USER,
    EVENT_STREAM,
    FIND_LOGIN,
    LIST_USERS,
    REMOVE_USER,
    ROTATE_USER,
)
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.registry_users import RegistryAccess, RegistryRights
from seaway_contracts.users import CreateUser, RotateUser, UserRef
from seaway_metadata.service import Metadata
from seaway_testing.fake_transport import FakeServer
from seaway_testing.waiting import until

ME = Command.new("uid:7")
KEY = public_key(new_seed())


def kept(sign: str) -> str:
    return f"$scrypt$ln=14,r=8,p=1${sign * 22}${sign * 42}A"


def asked(name: str = "ci", sign: str = "A", **fields: Any) -> CreateUser:
    access = RegistryAccess(rights=RegistryRights.PUSH, password=kept(sign))
    return CreateUser(**({"name": name, "public_key": "", "keep": 0, "registry": access} | fields))


def told(server: FakeServer) -> list[Any]:
    found = map(read_event, server.streams[EVENT_STREAM.name].messages)
    return [event for event in found if event and event.envelope.noun == "user"]


async def refused(bus: Bus, channel: Any, request: Any, code: Code, text: str) -> None:
    with pytest.raises(SeawayError, match=text) as caught:
        await bus.call(channel, request)
    assert caught.value.code is code


async def test_a_login_is_created_changed_and_removed_with_events(
    metadata: Metadata, fake_bus: Bus, fake_server: FakeServer
) -> None:
    made = await fake_bus.call(CREATE_USER, asked(expires_s=60), command=ME)
    assert made.registry == RegistryAccess(rights=RegistryRights.PUSH)
    assert await fake_bus.call(CREATE_USER, asked(expires_s=60), command=ME) == made
    (info,) = (await fake_bus.call(LIST_USERS, Empty())).users
    assert (info.user, info.stream) == (made, None)
    found = await fake_bus.call(FIND_LOGIN, UserRef(name="ci"))
    assert found == RegistryAccess(rights=RegistryRights.PUSH, password=kept("A"))
    changed = await fake_bus.call(ROTATE_USER, RotateUser(name="ci", public_key="", password=kept("B")), command=ME)
    assert changed == made
    assert (await fake_bus.call(FIND_LOGIN, UserRef(name="ci"))).password == kept("B")
    await fake_bus.call(REMOVE_USER, UserRef(name="ci"), command=ME)
    await refused(fake_bus, FIND_LOGIN, UserRef(name="ci"), Code.NOT_FOUND, "ci has no login at the registry")
    await until(lambda: len(told(fake_server)) == 3)
    events = told(fake_server)
    assert [event.envelope.action for event in events] == ["create", "rotate", "remove"]
    expected = {"name": "ci", "registry": "push", "expires": str(made.expires_ns)}
    assert all(event.body().attributes == expected and event.envelope.actor == "uid:7" for event in events)
    stored = b"".join(one.data for one in fake_server.streams[EVENT_STREAM.name].messages)
    assert b"scrypt" not in stored


async def test_many_have_no_key(metadata: Metadata, fake_bus: Bus) -> None:
    """NATS takes a key once, and they have none in common."""
    for name in ("a", "b", "c"):
        await fake_bus.call(CREATE_USER, asked(name))
    await fake_bus.call(CREATE_USER, CreateUser(name="reader", public_key=KEY))
    listed = (await fake_bus.call(LIST_USERS, Empty())).users
    assert [info.user.name for info in listed] == ["a", "b", "c", "reader"]


async def test_a_name_is_one_users(metadata: Metadata, fake_bus: Bus) -> None:
    await fake_bus.call(CREATE_USER, asked())
    already = "there is a user ci already"
    await refused(fake_bus, CREATE_USER, asked(sign="B"), Code.CONFLICT, already)
    await refused(fake_bus, CREATE_USER, CreateUser(name="ci", public_key=KEY), Code.CONFLICT, already)
    await fake_bus.call(CREATE_USER, CreateUser(name="bob", public_key=KEY))
    await refused(fake_bus, CREATE_USER, asked("bob"), Code.CONFLICT, "there is a user bob already")
    await refused(fake_bus, FIND_LOGIN, UserRef(name="bob"), Code.NOT_FOUND, "no login")


async def test_a_key_is_no_password(metadata: Metadata, fake_bus: Bus) -> None:
    await fake_bus.call(CREATE_USER, asked())
    await fake_bus.call(CREATE_USER, CreateUser(name="bob", public_key=KEY))
    other = public_key(new_seed())
    key, password = RotateUser(name="ci", public_key=other), RotateUser(name="bob", public_key="", password=kept("B"))
    await refused(fake_bus, ROTATE_USER, key, Code.CONFLICT, "has a password, so it can't be given a key")
    await refused(fake_bus, ROTATE_USER, password, Code.CONFLICT, "has a key, so it can't be given a password")
    both = RotateUser(name="ci", public_key=other, password=kept("B"))
    await refused(fake_bus, ROTATE_USER, both, Code.BAD_REQUEST, "not both")
    wrong = RotateUser(name="ci", public_key="", password="secret")
    await refused(fake_bus, ROTATE_USER, wrong, Code.BAD_REQUEST, "no hash")


@pytest.mark.parametrize("fields", [{"public_key": KEY}, {"events": ("image",)}, {"nodes": ("n1",)}, {"keep": 1 << 20}])
async def test_a_login_reads_no_events(metadata: Metadata, fake_bus: Bus, fields: dict[str, Any]) -> None:
    await refused(fake_bus, CREATE_USER, asked(**fields), Code.BAD_REQUEST, "reads no events")


async def test_an_expired_login_is_none_even_before_it_is_removed(
    metadata: Metadata, fake_bus: Bus, fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fake_bus.call(CREATE_USER, asked(expires_s=60))
    later = time.time_ns() + 61 * 10**9
    monkeypatch.setattr(metadata.users.commands, "_now_ns", lambda: later)
    await refused(fake_bus, FIND_LOGIN, UserRef(name="ci"), Code.NOT_FOUND, "ci has no login at the registry")
    monkeypatch.setattr(metadata.users.keeper, "_now_ns", lambda: later)
    metadata.users.keeper.look()
    await until(lambda: [event.envelope.action for event in told(fake_server)] == ["create", "remove"])
    assert told(fake_server)[-1].body().reason == "expired"
