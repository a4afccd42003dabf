"""`seaway user`: programs of others read events with plain nats-py, at a real NATS server, and can do nothing else."""

import contextlib
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nats
import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext
from tests.integration.cli.bus_users import bus_of, eventually, foreign, hearing, nats_url, settled

from seaway_contracts import catalogue
from seaway_contracts.base import Empty
from seaway_contracts.users import UserInfo
from seaway_testing.waiting import GUARD_S, until

if TYPE_CHECKING:
    from conftest import TinySuite

pytestmark = pytest.mark.root
STREAM = catalogue.EVENT_STREAM.name
DIE, START = (catalogue.EVENTS["container", action] for action in ("die", "start"))


@contextlib.asynccontextmanager
async def reading(suite: "TinySuite", key: Path) -> AsyncIterator[Client]:
    """A connection of nats-py as the documentation says, without any option of ours."""

    async def failed(error: Exception) -> None:
        """Tests look at what comes of what is refused."""

    client = await nats.connect(nats_url(suite), nkeys_seed=str(key), error_cb=failed, allow_reconnect=False)
    try:
        yield client
    finally:
        await client.close()


def added(suite: "TinySuite", out: Path, name: str, *words: str) -> Path:
    """A new user; the file of its key."""
    done = suite.seaway("user", "add", name, "--out", str(out), *words)
    assert done.returncode == 0, done.stderr
    return out / f"{name}.nk"


async def publish(services: Client, *events: tuple[Any, str, str]) -> None:
    """Store events, each (channel, node, id), as metadata does."""
    for channel, node, identifier in events:
        headers = {"Nats-Msg-Id": f"{channel.action}-{node}-{identifier}"}
        await services.jetstream().publish(channel.subject(node, identifier), b'{"attributes":{}}', headers=headers)


async def has(stream: JetStreamContext, messages: int) -> None:
    """Wait until the user's stream has so many messages."""
    await eventually(lambda: stream.stream_info(STREAM), lambda info: info.state.messages == messages)


async def infos(suite: "TinySuite") -> dict[str, UserInfo]:
    async with bus_of(suite, "api") as api:
        return {info.user.name: info for info in (await api.call(catalogue.LIST_USERS, Empty())).users}


async def test_plain_nats_py_reads_what_the_user_was_given(suite: "TinySuite", tmp_path: Path) -> None:
    assert suite.up("--node", "n1").returncode == 0
    async with foreign(suite, "metadata") as services:
        await publish(services, (DIE, "n1", "old"), (START, "n1", "old"), (DIE, "n2", "old"))
        key = added(suite, tmp_path / "keys", "bob", "--events", "container.die,container.oom", "--node", "n1")
        assert key.stat().st_mode & 0o777 == 0o600
        assert json.loads(key.with_suffix(".nats.json").read_text())["nkey"] == str(key)
        assert key.read_text().strip() not in (suite.run / "nats" / "nats.conf").read_text()
        async with reading(suite, key) as bob:
            stream = bob.jetstream()
            for looked_up in ("seaway.v1.event.>", "seaway.v1.event.*.container.die.*", "seaway.v1.event.n1.>"):
                assert await stream.find_stream_name_by_subject(looked_up) == STREAM
            live = await hearing(bob, catalogue.ALL_EVENTS)
            await publish(services, (DIE, "n1", "new"), (START, "n1", "new"), (DIE, "n2", "new"))
            await has(stream, 2)
            subjects = [DIE.subject("n1", "old"), DIE.subject("n1", "new")]
            assert [message.subject for message in live] == subjects[1:]

            pull = await stream.pull_subscribe("seaway.v1.event.*.container.die.*", durable="pull")
            fetched = await pull.fetch(2, timeout=GUARD_S)
            assert [message.subject for message in fetched] == subjects
            for message in fetched:
                await message.ack_sync()
            push = await stream.subscribe(catalogue.ALL_EVENTS, durable="push")
            ordered = await stream.subscribe(catalogue.ALL_EVENTS, ordered_consumer=True)
            for consumer in (push, ordered):
                assert [(await consumer.next_msg(GUARD_S)).subject for _ in subjects] == subjects
            assert (await stream.get_msg(STREAM, 1)).subject == subjects[0]
            assert (await stream.get_msg(STREAM, 2, direct=True)).subject == subjects[1]
            last = await stream.get_last_msg(STREAM, subjects[1], direct=True)
            assert last.headers is not None and last.headers["Nats-Msg-Id"] == "die-n1-new"
            assert (await stream.consumer_info(STREAM, "pull")).ack_floor.stream_seq == 2
    (listed,) = json.loads(suite.seaway("user", "ls", "--json").stdout)
    assert (listed["name"], listed["events"], listed["nodes"]) == ("bob", ["container.die", "container.oom"], ["n1"])
    assert listed["stream"]["messages"] == 2
    assert suite.seaway("user", "ls").stdout.splitlines()[1].startswith("bob   container.die,container.oom  n1")


FOREIGN_PUBLISH = (
    "seaway.v1.event.n1.container.die.x",
    "$JS.API.STREAM.CREATE.MINE",
    f"$JS.API.STREAM.UPDATE.{STREAM}",
    f"$JS.API.STREAM.DELETE.{STREAM}",
    f"$JS.API.STREAM.PURGE.{STREAM}",
    f"$JS.API.STREAM.MSG.DELETE.{STREAM}",
    f"$JS.API.STREAM.SNAPSHOT.{STREAM}",
    f"$JS.API.CONSUMER.LEADER.STEPDOWN.{STREAM}.mine",
    "$JS.API.STREAM.INFO.KV_seaway_users",
    "$JS.API.STREAM.MSG.GET.KV_seaway_users",
    "$JS.API.DIRECT.GET.KV_seaway_users",
    "$JS.API.CONSUMER.CREATE.KV_seaway_users",
    "$KV.seaway_users.bob",
    "$SYS.REQ.SERVER.PING",
    "$SRV.PING",
    "_INBOX.api.x",
    "_R_.x",
    "seaway.v1.metadata.user.create",
    "seaway.v1.metadata.user.list",
    "seaway.v1.metadata.node.list",
    "seaway.v1.node.n1.do.container.start",
    "seaway.v1.node.n1.ask.metadata.event.store",
    "seaway.v1.node.n1.tell.event.container.die.x",
    f"seaway.v1.user.user:bob.source.CONSUMER.CREATE.{STREAM}",
    "seaway.v1.user.user:bob.stored.S.x",
    f"seaway.v1.user.user:bob.api.STREAM.DELETE.{STREAM}",
    f"seaway.v1.user.user:eve.api.STREAM.DELETE.{STREAM}",
)
FOREIGN_SUBSCRIBE = (
    ">",
    "seaway.>",
    "seaway.v1.node.>",
    "seaway.v1.node.*.tell.>",
    "seaway.v1.metadata.>",
    "seaway.v1.user.>",
    "seaway.v1.logs.*.*",
    "$SYS.>",
    "$KV.>",
    "$JS.>",
    "$JS.API.>",
    "$SRV.>",
    "_R_.>",
)


async def test_nothing_else_is_allowed(suite: "TinySuite", tmp_path: Path) -> None:
    assert suite.up("--node", "n1").returncode == 0
    key, _ = added(suite, tmp_path, "bob", "--events", "container.die"), added(suite, tmp_path, "eve")
    refused: list[str] = []

    async def failed(error: Exception) -> None:
        refused.append(str(error).lower())

    bob = await nats.connect(nats_url(suite), nkeys_seed=str(key), error_cb=failed)
    for subject in FOREIGN_PUBLISH:
        await bob.publish(subject, b"{}", reply="_INBOX.mine")
        await settled(bob)
        await until(lambda: f'publish to "{subject}"'.lower() in refused[-1])  # noqa: B023
    for subject in FOREIGN_SUBSCRIBE:
        await bob.subscribe(subject)
        await settled(bob)
        await until(lambda: f'subscription to "{subject}"'.lower() in refused[-1])  # noqa: B023
    assert len(refused) == len(FOREIGN_PUBLISH) + len(FOREIGN_SUBSCRIBE)
    await bob.close()


async def test_a_user_can_not_write_into_its_stream(suite: "TinySuite", tmp_path: Path) -> None:
    """JetStream answers to whatever reply subject it is given, and delivers to whatever subject a consumer names."""
    assert suite.up("--node", "n1").returncode == 0
    key = added(suite, tmp_path, "bob", "--events", "container.die")
    async with foreign(suite, "metadata") as services:
        await publish(services, (DIE, "n1", "x"))
        async with reading(suite, key) as bob:
            await has(bob.jetstream(), 1)
            (subject,) = (await bob.jetstream().stream_info(STREAM)).config.subjects or ()
            own = subject.replace("*.*.*", "n1.container.die")
            assert "cycle" in (await raw_consumer(bob, "push", deliver_subject=own))["error"]["description"]
            assert "error" not in await raw_consumer(bob, "pull")
            for tail in ("~", "~" * 4000, "x"):
                reply = own.replace("~" * 4096, tail)
                await bob.publish("$JS.API.INFO", b"", reply=reply)
                await bob.publish(f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.pull", b"9", reply=reply)
            await settled(bob, services)
        for asked in ("$JS.API.INFO", f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.pull"):
            async with reading(suite, key) as bob:
                await bob.publish(asked, b"", reply=own)
                await until(lambda: bob.is_closed)
        async with reading(suite, key) as bob:
            await publish(services, (DIE, "n1", "y"))
            await has(bob.jetstream(), 2)
            assert (await bob.jetstream().get_msg(STREAM, 2)).subject == DIE.subject("n1", "y")


async def test_removed_users_leave_their_room_to_others(suite: "TinySuite", tmp_path: Path) -> None:
    """The server has 64 GiB for all streams."""
    assert suite.up("--node", "n1").returncode == 0
    for number in range(6):
        key = added(suite, tmp_path, f"u{number}", "--keep", "13g")
        assert suite.seaway("user", "rm", f"u{number}").returncode == 0
    key = added(suite, tmp_path, "bob", "--keep", "16g", "--events", "container.die")
    async with foreign(suite, "metadata") as services, reading(suite, key) as bob:
        await publish(services, (DIE, "n1", "x"))
        await has(bob.jetstream(), 1)
        assert await services.jetstream().add_stream(name="MORE", subjects=["more"], max_bytes=32 << 30)


async def test_of_another_user_nothing_is_seen(suite: "TinySuite", tmp_path: Path) -> None:
    assert suite.up("--node", "n1").returncode == 0
    keys = [added(suite, tmp_path, "bob", "--events", "container.die"), added(suite, tmp_path, "eve")]
    async with (
        foreign(suite, "metadata") as services,
        reading(suite, keys[0]) as bob,
        reading(suite, keys[1]) as eve,
    ):
        heard = await hearing(bob, "_INBOX.>", catalogue.ALL_EVENTS)
        await publish(services, (START, "n1", "x"), (DIE, "n1", "x"))
        await has(eve.jetstream(), 4)  # with her own creation and bob's
        consumer = await eve.jetstream().pull_subscribe(catalogue.ALL_EVENTS, durable="hers")
        assert len(await consumer.fetch(4, timeout=GUARD_S)) == 4
        await has(bob.jetstream(), 1)
        replies = [message for message in heard if message.subject.startswith("_INBOX.")]
        assert [message.subject for message in heard if message not in replies] == [DIE.subject("n1", "x")]
        assert not [message for message in replies if b"hers" in message.data]
        assert await bob.jetstream().consumers_info(STREAM) == []
        with pytest.raises(nats.js.errors.NotFoundError):
            await bob.jetstream().consumer_info(STREAM, "hers")
        with pytest.raises(nats.js.errors.NotFoundError):
            await bob.jetstream().get_last_msg(STREAM, START.subject("n1", "x"))


async def raw_consumer(client: Client, name: str, **config: Any) -> dict[str, Any]:
    """The answer to the request for a consumer, as a client that is not nats-py could send it."""
    request = {"stream_name": STREAM, "config": {"durable_name": name, "ack_policy": "none", **config}}
    asked = f"$JS.API.CONSUMER.DURABLE.CREATE.{STREAM}.{name}"
    answer = await client.request(asked, json.dumps(request).encode(), timeout=GUARD_S)
    found: dict[str, Any] = json.loads(answer.data)
    return found


async def test_answers_of_jetstream_are_no_way_to_the_suites_stream(suite: "TinySuite", tmp_path: Path) -> None:
    """A user can have JetStream send the configuration of any consumer to any subject of its own account."""
    assert suite.up("--node", "n1").returncode == 0
    key = added(suite, tmp_path, "bob", "--events", "container.die")
    asked = f"seaway.v1.user.user:bob.source.CONSUMER.CREATE.{STREAM}"
    targets = ("$JS.API.STREAM.PURGE.KV_seaway_users", "_INBOX.api.x", "seaway.v1.metadata.user.remove")
    async with (
        foreign(suite, "metadata") as services,
        bus_of(suite, "api") as api,
        reading(suite, key) as bob,
    ):
        heard = await hearing(services, "seaway.v1.user.*.stored.>")
        for number, target in enumerate(targets):
            made = await raw_consumer(bob, f"evil{number}", deliver_subject=target, deliver_policy="all")
            assert made["config"]["deliver_subject"] == target
            asks = f"$JS.API.CONSUMER.INFO.{STREAM}.evil{number}"
            await bob.publish(asks, b"", reply=asked)
        stored = "seaway.v1.user.user:bob.stored.S.wide"
        await raw_consumer(
            bob, "wide", deliver_subject=stored, deliver_policy="all", filter_subject="seaway.v1.event.>"
        )
        await bob.publish(f"$JS.API.CONSUMER.INFO.{STREAM}.wide", b"", reply=asked)
        await settled(bob, services)
        await publish(services, (START, "n1", "x"), (DIE, "n1", "x"))
        await has(bob.jetstream(), 1)
        assert [one for one in heard if "S.wide" in one.subject] == []
        assert [info.user.name for info in (await api.call(catalogue.LIST_USERS, Empty())).users] == ["bob"]
        assert (await bob.jetstream().get_msg(STREAM, 1)).subject == DIE.subject("n1", "x")


async def test_limits(suite: "TinySuite", tmp_path: Path) -> None:
    assert suite.up("--node", "n1").returncode == 0
    key = added(suite, tmp_path, "bob", "--keep", "1m")
    async with contextlib.AsyncExitStack() as stack:
        bob = await stack.enter_async_context(reading(suite, key))
        config = (await bob.jetstream().stream_info(STREAM)).config
        assert (config.max_bytes, config.max_age) == (1 << 20, 30 * 86_400)
        for number in range(16):
            assert "error" not in await raw_consumer(bob, f"c{number}")
        assert "maximum consumers limit" in (await raw_consumer(bob, "c16"))["error"]["description"]
        await bob.jetstream().delete_consumer(STREAM, "c0")
        greedy = await raw_consumer(bob, "greedy", ack_policy="explicit", max_ack_pending=65_537)
        assert "max ack pending" in greedy["error"]["description"]
        many = await stack.enter_async_context(reading(suite, key))
        for number in range(257):
            await many.subscribe(DIE.subject("n1", str(number)))
        await until(lambda: many.is_closed)
        for _ in range(15):
            await stack.enter_async_context(reading(suite, key))
        with pytest.raises(nats.errors.Error):
            await stack.enter_async_context(reading(suite, key))


async def test_a_new_key_ends_the_old_one_and_keeps_the_place(suite: "TinySuite", tmp_path: Path) -> None:
    assert suite.up("--node", "n1").returncode == 0
    key = added(suite, tmp_path, "bob", "--events", "container.die")
    async with foreign(suite, "metadata") as services, reading(suite, key) as old:
        await publish(services, (DIE, "n1", "1"), (DIE, "n1", "2"))
        consumer = await old.jetstream().pull_subscribe(catalogue.ALL_EVENTS, durable="mine")
        (first,) = await consumer.fetch(1, timeout=GUARD_S)
        await first.ack_sync()
        before = key.read_text()
        done = suite.seaway("user", "rotate", "bob", "--out", str(tmp_path))
        assert done.returncode == 0, done.stderr
        await until(lambda: old.is_closed)
        (tmp_path / "old.nk").write_text(before)
        with pytest.raises(nats.errors.Error):
            await nats.connect(nats_url(suite), nkeys_seed=str(tmp_path / "old.nk"), allow_reconnect=False)
        assert key.stat().st_mode & 0o777 == 0o600
        async with reading(suite, key) as new:
            consumer = await new.jetstream().pull_subscribe(catalogue.ALL_EVENTS, durable="mine")
            (second,) = await consumer.fetch(1, timeout=GUARD_S)
            assert (first.subject, second.subject) == (DIE.subject("n1", "1"), DIE.subject("n1", "2"))


async def test_a_removed_user_is_cut_off_and_leaves_nothing(suite: "TinySuite", tmp_path: Path) -> None:
    assert suite.up("--node", "n1").returncode == 0
    key = added(suite, tmp_path, "bob")
    async with foreign(suite, "metadata") as services, reading(suite, key) as bob:
        heard = await hearing(services, "seaway.v1.event.cluster.user.>")
        await publish(services, (DIE, "n1", "1"))
        await bob.jetstream().pull_subscribe(catalogue.ALL_EVENTS, durable="mine")
        done = suite.seaway("user", "rm", "bob")
        assert done.returncode == 0, done.stderr
        await until(lambda: bob.is_closed)
        await until(lambda: heard)
        assert heard[0].headers is not None
        assert heard[0].subject == "seaway.v1.event.cluster.user.remove.bob"
        assert heard[0].headers["ce-actor"] == f"uid:0@{socket.gethostname()}"
    assert json.loads(suite.seaway("user", "ls", "--json").stdout) == []
    again = suite.seaway("user", "rm", "bob")
    assert (again.returncode, again.stderr) == (1, "seaway: no such user: bob\n")
    key = added(suite, tmp_path / "again", "bob", "--events", "container.start")
    async with reading(suite, key) as bob:
        assert await bob.jetstream().consumers_info(STREAM) == []
        assert (await bob.jetstream().stream_info(STREAM)).state.messages == 0


async def test_a_user_expires(suite: "TinySuite", tmp_path: Path) -> None:
    assert suite.up("--node", "n1").returncode == 0
    async with foreign(suite, "metadata") as services:
        heard = await hearing(services, "seaway.v1.event.cluster.user.remove.*")
        key = added(suite, tmp_path, "bob", "--expires", "4s")
        async with reading(suite, key) as bob:
            await until(lambda: bob.is_closed)
        await until(lambda: heard)
        assert json.loads(heard[0].data)["reason"] == "expired"
    assert await infos(suite) == {}


async def test_a_lost_stream_is_made_again(suite: "TinySuite", tmp_path: Path) -> None:
    assert suite.up("--node", "n1").returncode == 0
    key = added(suite, tmp_path, "bob", "--events", "container.die")
    async with foreign(suite, "metadata") as services, reading(suite, key) as bob:
        await publish(services, (DIE, "n1", "1"))
        await has(bob.jetstream(), 1)
        deletes = f"{catalogue.USER_API.format(account='user:bob')}.STREAM.DELETE.{STREAM}"
        assert json.loads((await services.request(deletes, b"", timeout=GUARD_S)).data)["success"]
        await eventually(lambda: found_stream(bob), lambda info: info is not None and info.state.messages == 1)


async def found_stream(client: Client) -> Any:
    with contextlib.suppress(nats.js.errors.NotFoundError):
        return await client.jetstream().stream_info(STREAM)
    return None


async def test_after_restarts_no_event_is_missing_or_out_of_order(suite: "TinySuite", tmp_path: Path) -> None:
    assert suite.up("--node", "n1").returncode == 0
    key = added(suite, tmp_path, "bob", "--events", "container.die")
    ids = [str(number) for number in range(60)]
    for piece in range(0, 60, 20):
        async with foreign(suite, "metadata") as services:
            await publish(services, *((DIE, "n1", identifier) for identifier in ids[piece : piece + 20]))
        assert suite.seaway("down").returncode == 0
        assert suite.up("--node", "n1").returncode == 0
    async with reading(suite, key) as bob:
        await has(bob.jetstream(), 60)
        consumer = await bob.jetstream().pull_subscribe(catalogue.ALL_EVENTS, durable="mine")
        found = [message.subject for message in await consumer.fetch(60, timeout=GUARD_S)]
        assert found == [DIE.subject("n1", identifier) for identifier in ids]


WRONG = [
    (["x.y"], 2, "no user may be called 'x.y'"),
    (["metadata"], 2, "the name is reserved"),
    (["ann", "--events", "container.dei"], 1, "there is no event 'container.dei': see docs/events.md"),
    (["ann", "--events", "container.die.>"], 1, "is no event: write it as container.die"),
    (["ann", "--node", "*"], 1, "no node may be called"),
    (["ann", "--keep", "1k"], 1, "a user's stream may keep 1 MiB to 16 GiB"),
    (["ann", "--keep", "much"], 2, "is no size"),
    (["ann", "--keep", "16g"], 1, "may keep 16 GiB, of which 15360 MiB are left"),
    (["ann", "--expires", "soon"], 2, "write a number with s, m, h or d"),
    (["bob"], 1, "there is a user bob already"),
]


async def test_what_can_not_be_a_user_leaves_nothing(suite: "TinySuite", tmp_path: Path) -> None:
    assert suite.up("--node", "n1").returncode == 0
    added(suite, tmp_path / "keys", "bob")
    out = tmp_path / "out"
    for words, code, sentence in WRONG:
        done = suite.seaway("user", "add", *words, "--out", str(out))
        assert (done.returncode, sentence in done.stderr) == (code, True), done.stderr
        assert not out.exists() or list(out.iterdir()) == []
    assert list(await infos(suite)) == ["bob"]
    again = suite.seaway("user", "add", "bob", "--out", str(tmp_path / "keys"))
    assert (again.returncode, "is there already" in again.stderr) == (1, True)
    assert (tmp_path / "keys" / "bob.nk").exists()
