"""The HTTP server on all its sockets."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

from aiohttp import web

from seaway_api.http.connection import HttpServer
from seaway_api.http.listeners import listeners, tls_context
from seaway_api.http.tls import TlsTransport
from seaway_api.settings import ApiSettings
from seaway_kit.addresses import TCP
from seaway_kit.listeners import BACKLOG, Listener

log = logging.getLogger(__name__)
_LAST_ANSWERS_S: Final = 2.0
_HEAD_LIMIT: Final = 32 * 1024
_LEFT: Final[dict[str, Any]] = {"cleanup_socket": False}  # uvloop would take the path away with the server


@asynccontextmanager
async def serve_http(
    settings: ApiSettings,
    handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
    lent: Sequence[Listener] = (),
) -> AsyncIterator[tuple[str, ...]]:
    """Have `handler` answer requests until the end of the context; gives the endpoints, with the real ports.

    Raises OSError if one can't be had.
    """
    http = HttpServer(
        handler,
        access_log=None,
        auto_decompress=False,
        lingering_time=1.0,
        max_line_size=_HEAD_LIMIT,
        max_field_size=_HEAD_LIMIT,
    )
    hosts = []
    async with AsyncExitStack() as stack:
        stack.push_async_callback(http.finish, _LAST_ANSWERS_S)
        for listener in listeners(settings, lent):
            stack.callback(listener.close)
            server = await _serve_on(listener, settings, http)
            stack.callback(server.close)
            hosts.append(listener.host)
        log.info("serving the Engine API on %s", ", ".join(hosts))
        yield tuple(hosts)


async def _serve_on(listener: Listener, settings: ApiSettings, http: HttpServer) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    if listener.host.startswith(TCP):
        context = tls_context(settings)
        protocol = http if context is None else lambda: TlsTransport(context, http)
        return await loop.create_server(protocol, sock=listener.socket, backlog=BACKLOG)
    return await loop.create_unix_server(http, sock=listener.socket, backlog=BACKLOG, **_LEFT)
