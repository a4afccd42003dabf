"""Where the HTTP side listens."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

from seaway_image.http.connections import HEAD_S, STALLED_S, Connections, bounded

_BACKLOG: Final = 1024
_KEEP_ALIVE_S: Final = 60.0
_HANDSHAKE_S: Final = 10.0
_LAST_ANSWERS_S: Final = 60.0


@asynccontextmanager
async def serve_http(
    application: web.Application,
    host: str,
    port: int,
    secure: ssl.SSLContext | None = None,
    *,
    connections: Connections | None = None,
    head_s: float = HEAD_S,
    stalled_s: float = STALLED_S,
) -> AsyncIterator[int]:
    """Serve the application until the end of the context; gives the port, any free one for 0. Raises OSError."""
    runner = web.AppRunner(
        application,
        access_log=None,
        auto_decompress=False,  # what is pushed is stored as it comes
        keepalive_timeout=_KEEP_ALIVE_S,
        shutdown_timeout=_LAST_ANSWERS_S,
    )
    await runner.setup()
    try:
        assert runner.server is not None  # set up just now
        kept = Connections() if connections is None else connections
        server = await asyncio.get_running_loop().create_server(
            bounded(runner.server, kept, head_s=head_s, stalled_s=stalled_s),
            host,
            port,
            ssl=secure,
            backlog=_BACKLOG,
            ssl_handshake_timeout=_HANDSHAKE_S if secure is not None else None,
        )
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
    finally:
        await runner.cleanup()
