"""The relay between two connections: calls pass, some are changed, failures keep their words."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from h2.errors import ErrorCodes
from tests.unit.seaway_api.buildkit.pipes import connected

from seaway_api.buildkit.grpc import Answer, Code, GrpcError, Messages, call, error_of, frame, request_headers
from seaway_api.buildkit.http2 import Http2, Stream, StreamBroken
from seaway_api.buildkit.relay import Relay


async def builder(stream: Stream) -> None:
    """A builder that answers every message with itself; `/fail` fails, `/slow` waits for its caller's end."""
    answer, messages = Answer(stream), Messages(stream)
    if stream.path == "/fail":
        await answer.end(Code.UNKNOWN, "failed to solve: 100 % – ü\nno such stage")
        return
    if stream.path == "/empty":  # headers and trailers at once, and nothing between them
        await stream.send_headers([(b":status", b"200"), (b"content-type", b"application/grpc")])
        await answer.end()
        return
    if stream.path == "/break":
        raise ConnectionResetError("gone")
    if stream.path == "/slow":
        broken.set_result(await stream.gone())
        return
    while (message := await messages.next()) is not None:
        await answer.message(message)
    await answer.end()


broken: asyncio.Future[Exception]


@asynccontextmanager
async def relayed(**methods: object) -> AsyncIterator[Http2]:
    """A client, a relay and a builder; `methods` are given the relay."""
    global broken
    broken = asyncio.get_running_loop().create_future()
    async with connected(builder) as behind:

        async def get() -> Http2:
            return behind

        relay = Relay(get, table := {})
        table.update({f"/{name}": method(relay) for name, method in methods.items()})  # type: ignore[operator]
        async with connected(relay.serve) as client:
            yield client


async def test_messages_pass_both_ways() -> None:
    async with relayed() as client:
        stream = await client.open(request_headers("/echo"))
        messages = Messages(stream)
        for number in range(50):
            sent = bytes([number]) * (number * 1000)
            await stream.send(frame(sent))
            assert await messages.next() == sent
        await stream.end()
        assert await messages.next() is None
        assert error_of(stream.trailers) is None


async def test_an_error_keeps_its_code_and_words() -> None:
    async with relayed() as client:
        with pytest.raises(GrpcError) as failed:
            await call(client, "/fail", b"")
        assert failed.value.code == Code.UNKNOWN
        assert failed.value.text == "failed to solve: 100 % – ü\nno such stage"


async def test_trailers_pass_where_there_is_no_message() -> None:
    async with relayed() as client:
        assert await call(client, "/empty", b"") == []


async def test_a_caller_that_breaks_off_ends_the_call_behind() -> None:
    async with relayed() as client:
        stream = await client.open(request_headers("/slow"))
        stream.reset(ErrorCodes.CANCEL)
        async with asyncio.timeout(10):
            gone = await broken
        assert isinstance(gone, StreamBroken) and gone.code == ErrorCodes.CANCEL


@pytest.mark.parametrize("who", ["caller", "builder", "both"])
async def test_who_goes_away_is_no_failure_of_ours(who: str, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged for those who look for it: no error, no traceback."""
    caplog.set_level(logging.DEBUG)
    async with relayed() as client:
        stream = await client.open(request_headers("/slow" if who == "caller" else "/break"))
        if who == "caller":
            stream.reset(ErrorCodes.CANCEL)
            async with asyncio.timeout(10):
                await broken
        else:
            with pytest.raises(StreamBroken):
                await stream.head()
        if who == "both":
            stream.reset()
    ours = [record for record in caplog.records if record.name.startswith("seaway")]
    assert [record.getMessage() for record in ours if record.levelno > logging.INFO or record.exc_info] == []


async def test_a_mistake_of_ours_is_logged_as_one(caplog: pytest.LogCaptureFixture) -> None:
    def method(relay: Relay) -> object:
        async def finish(_: bytes) -> bytes:
            raise RuntimeError("a mistake")

        async def serve(stream: Stream) -> None:
            await relay.forward_one(stream, await Messages(stream).only(), finish)

        return serve

    async with relayed(wrong=method) as client:
        with pytest.raises(StreamBroken):
            await call(client, "/wrong", b"x")
    assert any("a mistake" in record.getMessage() and record.levelno == logging.ERROR for record in caplog.records)


async def test_an_answer_waits_for_its_finish_and_may_become_an_error() -> None:
    def method(relay: Relay) -> object:
        async def finish(answer: bytes) -> bytes:
            if answer == b"bad":
                raise GrpcError(Code.NOT_FOUND, "the image can't be kept")
            return answer + b"!"

        async def serve(stream: Stream) -> None:
            await relay.forward_one(stream, await Messages(stream).only(), finish)

        return serve

    async with relayed(changed=method) as client:
        assert await call(client, "/changed", b"good") == [b"good!"]
        with pytest.raises(GrpcError, match="can't be kept") as failed:
            await call(client, "/changed", b"bad")
        assert failed.value.code == Code.NOT_FOUND


async def test_no_builder_is_unavailable_in_every_method() -> None:
    async def none() -> Http2:
        raise GrpcError(Code.UNAVAILABLE, "do this, or that")

    async with connected(Relay(none, {}).serve) as client:
        for path in ("/a/One", "/b/Two"):
            with pytest.raises(GrpcError, match="do this, or that") as failed:
                await call(client, path, b"x")
            assert failed.value.code == Code.UNAVAILABLE


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\1\0\0\0\1x", Code.UNIMPLEMENTED),
        (b"\0\xff\0\0\0", Code.RESOURCE_EXHAUSTED),
        (b"\0\0\0\0\5ab", Code.INTERNAL),
    ],
)
async def test_messages_that_can_not_be_read(data: bytes, code: int) -> None:
    async def only(stream: Stream) -> None:
        try:
            await Messages(stream).only()
        except GrpcError as error:
            await Answer(stream).end(error.code, error.text)

    async with connected(only) as client:
        stream = await client.open(request_headers("/"))
        await stream.send(data)
        await stream.end()
        head = await stream.head()
        failed = error_of(head)
        assert failed is not None and failed.code == code
