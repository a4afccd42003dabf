"""What only the real server can show: storage that runs out, a server that isn't there."""

import asyncio
import itertools
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop

from seaway_bus import nats_transport
from seaway_bus.bus import Bus
from seaway_bus.events import history
from seaway_bus.nats_bucket import NatsBucket
from seaway_bus.nats_transport import Credentials, NatsTransport
from seaway_bus.transport import (
    Entry,
    Message,
    NoResponders,
    NoSpace,
    NotConnected,
    RequestTimeout,
    TransportError,
)
from seaway_contracts.catalogue import CONTAINER_STATUS, EVENT_STREAM
from seaway_contracts.channels import BucketConfig, StreamConfig
from seaway_testing.builders import container_event, status
from seaway_testing.nats_server import NatsServer
from seaway_testing.waiting import until


@pytest.fixture
async def small(tmp_path: Path) -> AsyncIterator[NatsTransport]:
    """A server with 100 MB for everything."""
    server = NatsServer(tmp_path / "nats", room="100MB").start()
    transport = await NatsTransport.connect(server.url, name="test")
    yield transport
    await transport.close()
    server.kill()


async def test_a_small_disk_gets_a_smaller_stream(small: NatsTransport) -> None:
    bus = Bus(small)
    await bus.prepare()
    await bus.prepare()
    info = await small._api(f"STREAM.INFO.{EVENT_STREAM.name}")
    assert info["config"]["max_bytes"] == 64 << 20


async def test_the_oldest_events_make_way(small: NatsTransport) -> None:
    """Whoever asks for what is gone gets what is left. As shipped: after 30 days, or beyond 8 GiB."""
    assert (EVENT_STREAM.max_age_s, EVENT_STREAM.max_bytes) == (30 * 86_400, 8 << 30)
    bus = Bus(small)
    await bus.prepare()
    for number in range(1, 81):
        envelope, body = container_event("status", status(seq=number))
        body = body.model_copy(update={"attributes": {"long": "x" * 900_000}})
        data = CONTAINER_STATUS.encode(body)
        await small.store(CONTAINER_STATUS.subject("n1", envelope.subject_id), data, envelope.headers())
    left = [event.envelope.seq async for event in history(small, start_ns=0)]
    assert left == list(range(left[0], 81)) and 1 < left[0] < 80
    info = await small._api(f"STREAM.INFO.{EVENT_STREAM.name}")
    assert (info["config"]["max_age"], info["config"]["discard"]) == (EVENT_STREAM.max_age_s * 10**9, "old")
    assert info["state"]["bytes"] <= info["config"]["max_bytes"]


async def test_no_room_at_all(small: NatsTransport) -> None:
    await small.ensure_stream(EVENT_STREAM)
    another = StreamConfig("SECOND", ("second.>",), max_age_s=60, max_bytes=1 << 30, duplicate_window_s=60)
    with pytest.raises(NoSpace):
        await small.ensure_stream(another)


async def test_a_full_store_refuses_clearly(small: NatsTransport) -> None:
    unbounded = StreamConfig("FULL", ("full.>",), max_age_s=600, max_bytes=-1, duplicate_window_s=60)
    await small.ensure_stream(unbounded)
    with pytest.raises(NoSpace):
        for _ in range(200):
            await small.store("full.x", b"x" * 1_000_000, {})


async def test_of_several_copies_the_leader_is_read(small: NatsTransport) -> None:
    """One copy is its own leader: what is read of either is the same."""
    config = BucketConfig("test", "A test's.")
    buckets = await small.bucket(config), NatsBucket(small, small._api, config.name, replicas=3)
    assert [await one.get("k") for one in buckets] == [None, None]
    for value in (b"", b"1", bytes(range(256)), b"x" * 100_000):
        revision = await buckets[0].put("k", value)
        assert [await one.get("k") for one in buckets] == [Entry("k", value, revision)] * 2
    await buckets[1].delete("k")
    assert [await one.get("k") for one in buckets] == [None, None]
    await small.store("$KV.test.k", b"", {"KV-Operation": "DEL"})  # as other clients delete
    assert [await one.get("k") for one in buckets] == [None, None]


async def test_where_an_answer_is_awaited_can_not_be_guessed(small: NatsTransport) -> None:
    """By who was asked before and could answer in another's place."""
    heard: list[str] = []

    def answer(message: Message) -> None:
        heard.append(message.reply.rpartition(".")[2])
        small._nc.send(message.reply, b"")

    await small.subscribe("asked", answer)
    for _ in range(3):
        await small.request("asked", b"", {}, 2)
    numbers = [int(word, 16) for word in heard]
    assert {len(word) for word in heard} == {16}
    assert min(abs(one - other) for one, other in itertools.combinations(numbers, 2)) > 1 << 16


async def test_no_server(tmp_path: Path) -> None:
    server = NatsServer(tmp_path)
    with pytest.raises(NotConnected):
        await NatsTransport.connect(server.url, name="test", timeout_s=0.2)


async def test_wrong_password(tmp_path: Path) -> None:
    server = NatsServer(tmp_path, extra='authorization { user: "u", password: "p" }').start()
    try:
        with pytest.raises(NotConnected, match="let us in"):
            await NatsTransport.connect(server.url, name="t", credentials=Credentials("u", "wrong"), timeout_s=0.5)
        right = await NatsTransport.connect(server.url, name="t", credentials=Credentials("u", "p"))
        await right.flush()
        await right.close()
    finally:
        server.kill()


def _login(password: str, *, denied: str = "nothing") -> str:
    permissions = f'permissions {{ publish: {{ deny: ["{denied}"] }} }}'
    return f'authorization {{ users: [ {{ user: "u", password: "{password}", {permissions} }} ] }}'


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[tuple[NatsServer, NatsTransport]]:
    """A server that wants a password, and a connection to it."""
    server = NatsServer(tmp_path / "nats", extra=_login("right")).start()
    transport = await NatsTransport.connect(server.url, name="test", credentials=Credentials("u", "right"))
    yield server, transport
    await transport.close()
    server.kill()


async def test_turned_out_and_let_in_again(guarded: tuple[NatsServer, NatsTransport]) -> None:
    """A password that is changed for a while costs a connection, not the client: nats-py would close it for good."""
    server, transport = guarded
    assert transport.trouble == ""
    server.reconfigure(_login("another"))
    await until(lambda: "authorization violation" in transport.trouble.lower(), 10, what=transport.trouble)
    assert transport.trouble.startswith("no connection to the NATS server for ")
    await asyncio.sleep(1)  # several attempts are refused meanwhile
    with pytest.raises(NotConnected):
        await transport.publish("x", b"")
    server.reconfigure(_login("right"))
    await until(lambda: transport.connected, 10, what="the way back in")
    assert transport.trouble == ""
    await transport.flush()


async def test_from_a_server_that_says_nothing_any_more_it_turns_to_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As shipped after a quarter of a minute; here its patience is shorter."""
    shipped = nats_transport._options

    def quick(*given: Any) -> dict[str, Any]:
        options = shipped(*given)
        assert options["ping_interval"] * (options["max_outstanding_pings"] + 1) == 15
        return options | {"ping_interval": 0.1}

    monkeypatch.setattr(nats_transport, "_options", quick)
    servers = [NatsServer(tmp_path / name).start() for name in ("a", "b")]
    transport = await NatsTransport.connect(",".join(server.url for server in servers), name="test")
    frozen = next(server for server in servers if str(server.port) in str(transport._nc.connected_url.netloc))
    os.kill(frozen.pid, signal.SIGSTOP)
    try:
        again = asyncio.Event()
        transport.on_reconnect(again.set)
        async with asyncio.timeout(20):
            await again.wait()
        assert str(frozen.port) not in str(transport._nc.connected_url.netloc)
        await transport.flush()
    finally:
        os.kill(frozen.pid, signal.SIGCONT)
        await transport.close()
        for server in servers:
            server.kill()


async def test_a_refused_publication_is_told_once(
    guarded: tuple[NatsServer, NatsTransport], caplog: pytest.LogCaptureFixture
) -> None:
    server, transport = guarded
    server.reconfigure(_login("right", denied="forbidden"))

    async def refused() -> bool:
        with pytest.raises((RequestTimeout, NotConnected, NoResponders)) as caught:
            await transport.store("forbidden", b"", {}, timeout_s=0.2)
        return caught.type is RequestTimeout

    for _ in range(500):  # the server takes a moment to read its configuration
        if await refused():
            break
        await asyncio.sleep(0.02)
    assert [await refused() for _ in range(2)] == [True, True]
    assert caplog.text.lower().count("permissions violation") == 1
    assert transport.connected


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_what_is_sent_just_when_the_connection_ends_is_refused(
    tmp_path: Path, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """Before nats-py has heard of that end."""

    async def send_meanwhile() -> None:
        server = NatsServer(tmp_path / "nats").start()
        transport = await NatsTransport.connect(server.url, name="test")
        transport._nc._transport._io.abort()
        for _ in range(5):
            with pytest.raises(NotConnected):
                await transport.publish("anything", b"")
            await transport.subscribe("other", lambda message: None)
            await asyncio.sleep(0)
        await until(lambda: transport.connected)
        await transport.publish("anything", b"")
        await transport.close()
        server.kill()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(send_meanwhile())


async def test_what_gets_no_answer_is_asked_again(small: NatsTransport) -> None:
    """Of a cluster's members one that is cut off, or no leader any more, says nothing."""
    heard: list[Message] = []

    def answer_the_second(message: Message) -> None:
        heard.append(message)
        if len(heard) == 2:
            small._nc.send(message.reply, b"found")

    await small.subscribe("look.at.this", answer_the_second)
    assert (await small.look("look.at.this")).data == b"found"
    assert len({message.reply for message in heard}) == 2


async def test_what_a_cluster_has_only_in_hand_is_not_stored(small: NatsTransport) -> None:
    """One of before 2.12 answers so to a repeat that comes before it has stored the first, which it may lose."""
    answer = b'{"stream":"SEAWAY_EVENTS","seq":0,"duplicate":true}'
    await small.subscribe("played.by.us", lambda message: small._nc.send(message.reply, answer))
    with pytest.raises(TransportError, match="not stored it yet"):
        await small.store("played.by.us", b"", {})
