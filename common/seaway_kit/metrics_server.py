"""The port of a process's metrics: few connections, each for one request and a short time, whoever connects."""

import asyncio
import errno
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, cast

from aiohttp import web
from aiohttp.typedefs import Handler
from aiohttp.web_protocol import RequestHandler

from seaway_kit.addresses import can_be_rebound, host_name
from seaway_kit.metrics_ports import split_ports

log = logging.getLogger(__name__)

MOST_CONNECTIONS: Final = 64
LIFE_S: Final = 30.0
"""For a request and its answer."""


class _Connection(RequestHandler):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        abort = cast(asyncio.Transport, transport).abort  # uvloop's are no subclass
        self._end = asyncio.get_running_loop().call_later(LIFE_S, abort)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._end.cancel()
        super().connection_lost(exc)


class _OneTooMany(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).close()


@web.middleware
async def refuse_foreign_names(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A page in a browser can have a name of its own point to this machine (DNS rebinding), but no address."""
    if can_be_rebound(host_name(request.headers.get("Host", "").lower())):
        raise web.HTTPForbidden(text="use this port's address\n")
    return await handler(request)


@asynccontextmanager
async def listening(app: web.Application, address: str) -> AsyncIterator[tuple[str, int]]:
    """Serve `app` at the first port that is free; yields host and port. Raises OSError if none can be had."""
    app.middlewares.insert(0, _for_one_request)
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    try:
        assert runner.server is not None
        server = await _bound(partial(_connection, runner.server), address)
        try:
            yield server.sockets[0].getsockname()[:2]
        finally:
            server.close()
    finally:
        await runner.cleanup()


def _connection(handler: web.Server) -> asyncio.Protocol:
    if len(handler.connections) >= MOST_CONNECTIONS:
        return _OneTooMany()
    return _Connection(handler, loop=asyncio.get_running_loop(), access_log=None)  # type: ignore[arg-type]  # as web.Server does


async def _bound(connect: Callable[[], asyncio.Protocol], address: str) -> asyncio.Server:
    host, ports = split_ports(address)
    for port in ports:
        try:
            server = await asyncio.get_running_loop().create_server(connect, host, port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            continue
        if port > ports.start:
            log.warning("port %d is taken; metrics are at port %d", ports.start, port)
        return server
    raise OSError(f"{address} for its metrics is taken: give another address by --metrics, 127.0.0.1:0 for any port")


@web.middleware
async def _for_one_request(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        response = await handler(request)
    except web.HTTPException as error:
        error.force_close()
        raise
    response.force_close()
    return response
