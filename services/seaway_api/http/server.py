"""The HTTP server on all its sockets."""

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

from aiohttp import web

from seaway_api.http.connection import HttpServer
from seaway_api.http.tls import TlsTransport
from seaway_api.settings import ApiSettings
from seaway_kit.addresses import TCP, UNIX, join_address
from seaway_kit.listeners import BACKLOG, Listener, listen_on, take_sockets

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


def listeners(settings: ApiSettings, lent: Sequence[Listener]) -> Iterator[Listener]:
    """The sockets that the parent has `lent`; else those of systemd and of the settings.

    Lent and systemd's sockets queue clients while this process restarts. Raises OSError with a sentence.
    """
    if lent:
        yield from lent
        return
    passed = take_sockets()
    for made in passed:
        yield Listener(host_of(made, settings), made)
    for host in settings.host if passed else settings.hosts:
        yield listen_on(host, settings.socket_group)


def host_of(listener: socket.socket, settings: ApiSettings) -> str:
    """A passed socket's endpoint in the form of `--host`. Raises OSError if it would be open to anybody."""
    if listener.family == socket.AF_UNIX:
        return f"{UNIX}{listener.getsockname()}"
    host = TCP + join_address(*listener.getsockname()[:2])
    try:
        settings.check_host(host)
    except ValueError as error:
        raise OSError(str(error)) from error
    return host


def tls_context(settings: ApiSettings) -> ssl.SSLContext | None:
    """TLS for the TCP endpoints, with a check of the client's certificate where a CA is given. Raises OSError."""
    if settings.tls_cert is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key)
        if settings.tls_ca is not None:
            context.load_verify_locations(settings.tls_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        raise OSError(f"can't use the TLS files ({settings.tls_cert}, …): {error}") from error
    return context
