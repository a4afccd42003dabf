"""What any transport must do: subjects, queue groups, requests."""

import asyncio

import pytest

from seaway_bus.transport import (
    Message,
    NoResponders,
    NotConnected,
    RequestTimeout,
    TooLarge,
    Transport,
)
from seaway_testing.waiting import until
from seaway_testing.wire import Wire


async def answering(transport: Transport, subject: str, queue: str = "") -> list[Message]:
    """Serve `subject` by sending each body back; the requests that came."""
    seen: list[Message] = []
    loop = asyncio.get_running_loop()
    pending: set[asyncio.Task[None]] = set()

    def received(message: Message) -> None:
        seen.append(message)
        task = loop.create_task(transport.publish(message.reply, message.data, {"x": "y"}))
        pending.add(task)
        task.add_done_callback(pending.discard)

    await transport.subscribe(subject, received, queue)
    await transport.flush()
    return seen


async def test_messages_arrive_in_order_across_wildcards(transport: Transport, other: Transport) -> None:
    got: list[tuple[str, bytes]] = []
    await transport.subscribe("a.*.c", lambda m: got.append((m.subject, m.data)))
    await transport.subscribe("a.>", lambda m: got.append((">", m.data)))
    await transport.flush()
    for number in range(100):
        await other.publish("a.b.c", str(number).encode())
    await other.publish("a.b", b"short")
    await other.publish("other.b.c", b"not ours")
    await until(lambda: len(got) == 201)
    assert [data for where, data in got if where == "a.b.c"] == [str(n).encode() for n in range(100)]
    assert [data for where, data in got if where == ">"] == [str(n).encode() for n in range(100)] + [b"short"]


async def test_what_was_published_before_comes_before_the_answer_to_a_flush(
    transport: Transport, other: Transport
) -> None:
    """So a reader that has flushed has all that anybody was told of before."""
    got: list[bytes] = []
    await transport.subscribe("news", lambda message: got.append(message.data))
    await transport.flush()
    for number in range(100):
        await other.publish("news", b"%d" % number)
        await other.flush()
        await transport.flush()
        assert got[-1] == b"%d" % number


async def test_what_is_done_meanwhile_is_done_once_and_may_fail(transport: Transport) -> None:
    done: list[str] = []
    await transport.flush(meanwhile=lambda: done.append("first"))
    with pytest.raises(ZeroDivisionError):
        await transport.flush(meanwhile=lambda: 1 // 0)
    await transport.flush(meanwhile=lambda: done.append("third"))
    assert done == ["first", "third"]


async def test_headers_cross(transport: Transport, other: Transport) -> None:
    got: list[Message] = []
    await transport.subscribe("h", got.append)
    await transport.flush()
    await other.publish("h", b"body", {"ce-id": "1", "Empty": ""})
    await until(lambda: got)
    assert (got[0].headers["ce-id"], got[0].headers["Empty"], got[0].stream_seq) == ("1", "", 0)


async def test_queue_group_gives_each_message_to_one(transport: Transport, other: Transport) -> None:
    left: list[Message] = []
    right: list[Message] = []
    everything: list[Message] = []
    await transport.subscribe("work", left.append, "group")
    await other.subscribe("work", right.append, "group")
    await other.subscribe("work", everything.append)
    await transport.flush()
    await other.flush()
    for _ in range(200):
        await transport.publish("work", b"")
    await until(lambda: len(everything) == 200)
    await until(lambda: len(left) + len(right) == 200)
    assert left and right


async def test_closed_subscription_hears_nothing(transport: Transport, other: Transport) -> None:
    got: list[Message] = []
    subscription = await transport.subscribe("s", got.append)
    await subscription.close()
    await subscription.close()
    await transport.flush()
    await other.publish("s", b"")
    await other.flush()
    await transport.flush()
    assert got == []


async def test_request_and_reply(transport: Transport, other: Transport) -> None:
    seen = await answering(other, "echo")
    reply = await transport.request("echo", b"hello", {"k": "v"}, 2)
    assert (reply.data, reply.headers["x"]) == (b"hello", "y")
    assert seen[0].headers["k"] == "v" and seen[0].reply.startswith("_INBOX")


async def test_many_requests_at_once(transport: Transport, other: Transport) -> None:
    await answering(other, "echo")
    replies = await asyncio.gather(*(transport.request("echo", str(n).encode(), {}, 5) for n in range(200)))
    assert [reply.data for reply in replies] == [str(n).encode() for n in range(200)]


async def test_no_responders_is_known_at_once(transport: Transport) -> None:
    with pytest.raises(NoResponders):
        await transport.request("nobody", b"", {}, 5)


async def test_no_answer_is_a_timeout(transport: Transport, other: Transport) -> None:
    await other.subscribe("silent", lambda message: None)
    await other.flush()
    with pytest.raises(RequestTimeout):
        await transport.request("silent", b"", {}, 0.05)


async def test_one_server_alone_says_so(transport: Transport) -> None:
    assert not transport.clustered


async def test_too_large_is_refused_and_the_connection_holds(transport: Transport, other: Transport) -> None:
    await answering(other, "echo")
    huge = b"x" * (transport.max_payload + 1)
    with pytest.raises(TooLarge):
        await transport.publish("echo", huge)
    with pytest.raises(TooLarge):
        await transport.request("echo", huge, {}, 1)
    with pytest.raises(TooLarge):
        await transport.store("echo", huge, {})
    assert (await transport.request("echo", b"fits", {}, 2)).data == b"fits"


async def test_headers_count_for_the_size(transport: Transport) -> None:
    with pytest.raises(TooLarge):
        await transport.publish("s", b"x" * transport.max_payload, {"name": "v" * 100})
    await transport.flush()
    assert transport.connected


async def test_without_a_server_nothing_is_buffered(wire: Wire, transport: Transport) -> None:
    await wire.stop()
    assert not transport.connected
    for refused in (
        transport.publish("s", b""),
        transport.request("s", b"", {}, 1),
        transport.store("s", b"", {}),
        transport.flush(),
        transport.last_sequence("S"),
    ):
        with pytest.raises(NotConnected):
            await refused


async def test_requests_in_flight_end_with_the_connection(wire: Wire, transport: Transport, other: Transport) -> None:
    await other.subscribe("silent", lambda message: None)
    await other.flush()
    request = asyncio.ensure_future(transport.request("silent", b"", {}, 60))
    await transport.flush()
    await wire.stop()
    with pytest.raises(RequestTimeout):
        await asyncio.wait_for(request, 5)


async def test_subscriptions_go_on_after_a_restart(wire: Wire, transport: Transport, other: Transport) -> None:
    got: list[bytes] = []
    told: list[str] = []
    transport.on_disconnect(lambda: told.append("lost"))
    transport.on_reconnect(lambda: told.append("back"))
    await transport.subscribe("s", lambda m: got.append(m.data))
    await answering(transport, "echo")
    for times in (1, 2):
        await wire.stop()
        await wire.start()
        await until(lambda: told.count("back") == times)  # noqa: B023
    assert told == ["lost", "back", "lost", "back"]
    await transport.flush()
    await other.publish("s", b"after")
    await until(lambda: got == [b"after"])
    assert (await other.request("echo", b"x", {}, 2)).data == b"x"


async def test_a_callback_that_fails_costs_its_message_only(
    transport: Transport, other: Transport, caplog: pytest.LogCaptureFixture
) -> None:
    got: list[bytes] = []

    def received(message: Message) -> None:
        if message.data == b"bad":
            raise ValueError("this one can't be taken")
        got.append(message.data)

    await transport.subscribe("f", received)
    await transport.flush()
    for data in (b"1", b"bad", b"2"):
        await other.publish("f", data)
    await until(lambda: len(got) == 2)
    assert got == [b"1", b"2"]
    assert transport.connected


async def test_large_messages_cross_whole(transport: Transport, other: Transport) -> None:
    got: list[Message] = []
    await transport.subscribe("l", got.append)
    await transport.flush()
    sizes = [transport.max_payload - 100, 0, 300_000, 7]
    for size in sizes:
        await other.publish("l", bytes(range(256)) * (size // 256) + b"x" * (size % 256), {"n": str(size)})
    await until(lambda: len(got) == len(sizes))
    assert [len(message.data) for message in got] == sizes
    assert all(
        message.data == bytes(range(256)) * (n // 256) + b"x" * (n % 256) for message, n in zip(got, sizes, strict=True)
    )
