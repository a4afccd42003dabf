"""HTTP/2 over a pipe: streams, flow control, and peers that abuse it."""

import asyncio

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from tests.unit.seaway_api.buildkit.pipes import PipeEnd, connected, pipe

from seaway_api.buildkit import http2
from seaway_api.buildkit.grpc import request_headers
from seaway_api.buildkit.http2 import ConnectionEnded, Http2, Stream, StreamBroken
from seaway_kit.tasks import Tasks

OK = [(b":status", b"200")]


async def echo(stream: Stream) -> None:
    await stream.send_headers(OK)
    while data := await stream.read():
        await stream.send(data)
    await stream.send_headers([(b"x-end", b"1")], end=True)


async def read_all(stream: Stream) -> bytes:
    data = bytearray()
    while piece := await stream.read():
        data += piece
    return bytes(data)


async def test_data_goes_both_ways_with_trailers() -> None:
    async with connected(echo) as client:
        stream = await client.open(request_headers("/a/b"))
        await stream.send(b"hello")
        await stream.end()
        assert (await stream.head())[0] == (b":status", b"200")
        assert await read_all(stream) == b"hello"
        assert stream.trailers == [(b"x-end", b"1")]


async def test_more_than_all_windows_passes_when_it_is_read() -> None:
    size = 3 * http2.CONNECTION_WINDOW

    async def send(stream: Stream) -> None:
        for _ in range(size // 65_536):
            await stream.send(bytes(65_536))
        await stream.end()

    async with connected(echo) as client:
        stream = await client.open(request_headers("/"))
        sent, got = await asyncio.gather(send(stream), read_all(stream))
        assert sent is None and len(got) == size


async def test_a_stream_that_nobody_reads_holds_back_its_writer_and_no_other() -> None:
    async def never(stream: Stream) -> None:
        if stream.path == "/never":
            await stream.gone()
        await echo(stream)

    async with connected(never) as client:
        stuck = await client.open(request_headers("/never"))
        tasks = Tasks("test")
        writing = tasks.spawn("stuck", stuck.send(bytes(2 * http2.STREAM_WINDOW)))
        for _ in range(3):
            other = await client.open(request_headers("/other"))
            await other.send(b"x" * 100_000)
            await other.end()
            assert len(await read_all(other)) == 100_000
        assert not writing.done()
        stuck.reset()
        with pytest.raises(StreamBroken):
            await writing
        await tasks.close()


async def test_what_a_reset_stream_has_sent_is_given_back() -> None:
    """Else some builds that are broken off would leave no window for all others of the connection."""

    async def wait(stream: Stream) -> None:
        if stream.path == "/broken-off":
            await stream.gone()
        else:
            await echo(stream)

    async with connected(wait) as client:
        for _ in range(2 * http2.CONNECTION_WINDOW // http2.STREAM_WINDOW):
            stream = await client.open(request_headers("/broken-off"))
            async with asyncio.timeout(10):
                await stream.send(bytes(http2.STREAM_WINDOW))
            stream.reset()
        other = await client.open(request_headers("/"))
        async with asyncio.timeout(10):
            await other.send(b"x" * 100_000)
            await other.end()
            assert len(await read_all(other)) == 100_000


async def test_a_reset_stream_does_not_count_any_more() -> None:
    served = 0

    async def wait(stream: Stream) -> None:
        nonlocal served
        served += 1
        if stream.path == "/broken-off":
            await stream.gone()
        else:
            await echo(stream)

    async with connected(wait) as client:
        for number in range(http2.MOST_STREAMS + 1):
            stream = await client.open(request_headers("/broken-off"))
            stream.reset()
            other = await client.open(request_headers("/"), end=True)
            assert await read_all(other) == b""
            assert served == 2 * (number + 1)


async def test_a_handler_that_fails_resets_its_stream_alone() -> None:
    async def fail(stream: Stream) -> None:
        if stream.path == "/fail":
            raise ConnectionResetError("gone")
        await echo(stream)

    async with connected(fail) as client:
        stream = await client.open(request_headers("/fail"))
        with pytest.raises(StreamBroken) as broken:
            await stream.head()
        assert broken.value.code == ErrorCodes.CANCEL
        other = await client.open(request_headers("/"), end=True)
        assert await read_all(other) == b""


async def test_the_end_of_the_connection_breaks_all_streams() -> None:
    tasks = Tasks("test")
    ours, theirs = pipe()
    client, server = Http2(ours), Http2(theirs, serve=echo)
    tasks.spawn("client", client.run())
    running = tasks.spawn("server", server.run())
    stream = await client.open(request_headers("/"))
    await stream.send(b"x")
    await stream.read()
    running.cancel()
    with pytest.raises(ConnectionEnded):
        await stream.read()
    with pytest.raises(ConnectionEnded):
        await client.open(request_headers("/"))
    await tasks.close()


def _attacker() -> H2Connection:
    return H2Connection(H2Configuration(client_side=True, header_encoding=None))


async def _flood(kind: str, *, reads: bool) -> Http2:
    """Attack a server with one kind of frame; it must give up."""
    tasks = Tasks("test")
    ours, theirs = pipe()
    server = Http2(theirs, serve=echo)
    running = tasks.spawn("server", server.run())
    attacker = _attacker()
    attacker.initiate_connection()
    if reads:
        tasks.spawn("drain", _drain(ours))
    for number in range(40):
        if ours.closed:
            break
        for _ in range(1000):
            if kind == "ping":
                attacker.ping(b"12345678")
            elif kind == "settings":
                attacker.update_settings({})
            else:
                stream = 2 * (number * 1000 + _) + 1
                attacker.send_headers(stream, request_headers("/"))
                attacker.reset_stream(stream)
        try:
            async with asyncio.timeout(5):
                await ours.write(attacker.data_to_send())
        except (ConnectionError, TimeoutError):
            break
        await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await asyncio.wait([running])
    await tasks.close()
    return server


async def _drain(end: PipeEnd) -> None:
    while await end.read():
        pass


@pytest.mark.parametrize("reads", [True, False])
@pytest.mark.parametrize("kind", ["ping", "settings", "reset"])
async def test_a_flood_ends_the_connection_and_keeps_nothing(kind: str, reads: bool) -> None:
    server = await _flood(kind, reads=reads)
    assert len(server._outgoing) <= 2 * http2.MOST_UNSENT
    assert len(server._streams) <= http2.MOST_STREAMS


async def test_bytes_that_are_no_http2_end_the_connection() -> None:
    tasks = Tasks("test")
    ours, theirs = pipe()
    running = tasks.spawn("server", Http2(theirs, serve=echo).run())
    tasks.spawn("drain", _drain(ours))
    await ours.write(b"GET / HTTP/1.1\r\n\r\n" * 100)
    async with asyncio.timeout(10):
        await running
    await tasks.close()
