"""The HTTP server on all its sockets."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from seaway_api.api import Api
from seaway_api.connection import HttpServer
from seaway_api.dispatch import Dispatcher
from seaway_api.listeners import BACKLOG, UnixPath, host_of, listen_on, tls_context
from seaway_api.routes.table import all_routes
from seaway_api.settings import ApiSettings
from seaway_api.tls import TlsTransport
from seaway_kit.addresses import join_address
from seaway_kit.docker_hosts import TCP
from seaway_kit.passed_sockets import take_sockets

log = logging.getLogger(__name__)
_LAST_ANSWERS_S: Final = 2.0
_HEAD_LIMIT: Final = 32 * 1024
_LEFT: Final = {"cleanup_socket": False}  # uvloop would take the path away with the server


@dataclass(frozen=True)
class Running:
    """Where the server listens. Ports are the real ones, also where 0 was asked for."""

    hosts: tuple[str, ...]


@asynccontextmanager
async def serve(api: Api) -> AsyncIterator[Running]:
    """Serve the Engine API until the end of the context. Raises OSError if an endpoint can't be had."""
    settings = api.settings
    http = HttpServer(
        Dispatcher(api, all_routes()),
        access_log=None,
        auto_decompress=False,
        lingering_time=1.0,
        max_line_size=_HEAD_LIMIT,
        max_field_size=_HEAD_LIMIT,
    )
    async with AsyncExitStack() as stack:
        stack.push_async_callback(http.finish, _LAST_ANSWERS_S)
        passed = take_sockets()
        hosts = [await _take_over(listener, settings, http, stack) for listener in passed]
        hosts += [await _listen(host, settings, http, stack) for host in (settings.host if passed else settings.hosts)]
        log.info("serving the Engine API on %s", ", ".join(hosts))
        yield Running(tuple(hosts))


async def _take_over(listener: socket.socket, settings: ApiSettings, http: HttpServer, stack: AsyncExitStack) -> str:
    """Serve on a socket of systemd's, which outlives this process: what comes while it restarts waits there."""
    stack.callback(listener.close)
    host = host_of(listener, settings)
    await _serve_on(listener, host, settings, http, stack, **_LEFT)
    return host


async def _listen(host: str, settings: ApiSettings, http: HttpServer, stack: AsyncExitStack) -> str:
    listener = listen_on(host, settings)
    if not host.startswith(TCP):
        stack.callback(UnixPath.of(host).remove)
    await _serve_on(listener, host, settings, http, stack)
    return _bound(host, listener)


async def _serve_on(
    listener: socket.socket, host: str, settings: ApiSettings, http: HttpServer, stack: AsyncExitStack, **unix: Any
) -> None:
    loop = asyncio.get_running_loop()
    if host.startswith(TCP):
        context = tls_context(settings)
        protocol = http if context is None else lambda: TlsTransport(context, http)
        server = await loop.create_server(protocol, sock=listener, backlog=BACKLOG)
    else:
        server = await loop.create_unix_server(http, sock=listener, backlog=BACKLOG, **unix)
    stack.callback(server.close)


def _bound(host: str, listener: socket.socket) -> str:
    if not host.startswith(TCP):
        return host
    address, port = listener.getsockname()[:2]
    return TCP + join_address(address, port)
