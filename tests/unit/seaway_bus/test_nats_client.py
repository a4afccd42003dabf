import asyncio
from urllib.parse import urlparse

import uvloop
from nats.aio.client import Srv

from seaway_bus.nats_client import LastingClient


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
        seen = [await asyncio.wait_for(ended.get(), 5) for _ in range(2)]
        assert ended.empty(), "the last one is in use"
        client._transport.abort()
        seen.append(await asyncio.wait_for(ended.get(), 5))
        server.close()
        return seen

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(attempts()) == [b""] * 3
