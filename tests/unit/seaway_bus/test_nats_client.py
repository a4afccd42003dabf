import asyncio
import ssl
from urllib.parse import urlparse

import nats.errors
import pytest
import uvloop
from nats.aio.client import Srv

from seaway_bus.nats_client import LastingClient, Wire
from seaway_testing.waiting import GUARD_S


def test_an_attempt_that_got_no_answer_leaves_no_connection() -> None:
    """As while a server hangs: the kernel takes connections for it."""

    async def attempts() -> list[bytes]:
        ended: asyncio.Queue[bytes] = asyncio.Queue()

        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                ended.put_nowait(await reader.read())
            except ConnectionResetError:
                ended.put_nowait(b"")
            writer.close()

        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        client = LastingClient()
        client.options["connect_timeout"] = 2
        for _ in range(3):
            await client._connect_to_server(Srv(uri=urlparse(f"nats://127.0.0.1:{port}")))
        seen = [await asyncio.wait_for(ended.get(), GUARD_S) for _ in range(2)]
        assert ended.empty(), "the last one is in use"
        client._transport.abort()
        seen.append(await asyncio.wait_for(ended.get(), GUARD_S))
        server.close()
        return seen

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(attempts()) == [b""] * 3


def test_what_is_sent_in_one_turn_goes_out_at_once_and_before_the_end() -> None:
    class Connection:
        def __init__(self) -> None:
            self.written: list[bytes] = []

        def write(self, data: bytes) -> None:
            self.written.append(data)

        def is_closing(self) -> bool:
            return False

        def get_write_buffer_size(self) -> int:
            return 0

        def close(self) -> None:
            self.written.append(b"closed")

    async def turns() -> list[bytes]:
        wire, connection = Wire(), Connection()
        wire._io = connection
        wire.write(b"a")
        wire.write(b"b")
        assert connection.written == []
        await asyncio.sleep(0)
        wire.write(b"c" * 70_000)  # what is much is not kept
        wire.write(b"d")
        wire.write_out()
        wire.write(b"e")
        wire.close()
        await asyncio.sleep(0)
        return connection.written

    assert asyncio.run(turns()) == [b"ab", b"c" * 70_000, b"d", b"e", b"closed"]


def test_a_login_is_not_sent_unencrypted_where_the_url_asks_for_tls() -> None:
    """A stranger between client and server could say that the server has no TLS."""

    async def heard() -> bytes:
        ended: asyncio.Queue[bytes] = asyncio.Queue()

        async def without_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b'INFO {"server_id": "x", "headers": true, "max_payload": 1048576}\r\n')
            ended.put_nowait(await reader.read())
            writer.close()

        server = await asyncio.start_server(without_tls, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        words = {"user": "join", "password": "secret", "allow_reconnect": False, "tls": ssl.create_default_context()}
        client = LastingClient()
        with pytest.raises(nats.errors.Error, match=r"asks for|no servers"):
            await client.connect(f"tls://127.0.0.1:{port}", **words)
        client._transport.abort()
        server.close()
        return await asyncio.wait_for(ended.get(), GUARD_S)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(heard()) == b""
