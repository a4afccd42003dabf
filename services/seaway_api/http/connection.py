"""One client's connection: aiohttp's HTTP, and beside it what Docker needs and aiohttp has not.

aiohttp knows no `Upgrade: tcp` and `h2c` (it drops what follows the head) and closes both directions when a client
half-closes. So this protocol looks at the head of each request before aiohttp does: bytes behind the request of an
upgrade are kept for the tunnel, and a client's end of sending is no end of the connection.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
import re
import socket
import struct
import termios
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

import orjson
from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import RequestHandler

from seaway_api.http.actors import actor_of
from seaway_api.http.hijack import Tunnel
from seaway_api.http.replies import COMMON_HEADERS

log = logging.getLogger(__name__)

_UPGRADE: Final = re.compile(rb"\r\nupgrade:[ \t]*(?:tcp|h2c)[ \t]*\r\n", re.IGNORECASE)
_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,9})[ \t]*\r\n", re.IGNORECASE)
_END: Final = b"\r\n\r\n"
HEAD_S: Final = 30.0
"""How long a client may take to send the head of a request, from the connection or its first byte on."""
_MOST_HEAD: Final = 64 * 1024
_MOST_TAIL: Final = 256 * 1024

_COUNT: Final = struct.Struct("i")

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Connection(RequestHandler):
    """The protocol of one connection."""

    __slots__ = (
        "_actor",
        "_body_left",
        "_early",
        "_ended",
        "_fresh",
        "_head",
        "_head_s",
        "_head_timer",
        "_tunnel",
        "_upgrading",
        "over_tcp",
        "waiting",
    )

    def __init__(self, manager: web.Server, *, head_s: float = HEAD_S, **kwargs: Any) -> None:
        super().__init__(manager, **kwargs)
        self._head_s = head_s
        self._head_timer: asyncio.TimerHandle | None = None
        self.waiting: asyncio.Task[Any] | None = None
        """The task of a handler that only watches or streams; it is cancelled when the client hangs up."""
        self.over_tcp = False
        self._actor = ""
        self._tunnel: Tunnel | None = None
        self._head = b""
        self._early = b""
        self._upgrading = False
        self._body_left = 0
        self._ended = False
        self._fresh = True

    @property
    def actor(self) -> str:
        """Who is at the other end: the certificate's name, the user id of a local process, or the address."""
        if not self._actor and self.transport is not None:
            self._actor = actor_of(self.transport)
        return self._actor

    # --- taking over

    @property
    def upgrading(self) -> bool:
        """Whether the request in hand asks for `Upgrade: tcp`, or for `h2c`."""
        return self._upgrading

    @property
    def taken(self) -> bool:
        """Whether the connection has become a tunnel."""
        return self._tunnel is not None

    def take_over(self, head: bytes, patience_s: float = 0.0) -> Tunnel:
        """Send `head` and make the rest of this connection a tunnel. Raises ConnectionError if the client has gone.

        `patience_s`: what the client is given to read the head over TCP, where that can't be seen.
        """
        transport = self.transport
        if transport is None:
            raise ConnectionResetError("the client has hung up")
        self.keep_alive(False)
        transport.write(head)
        unread = partial(_time_left, time.monotonic() + patience_s) if self.over_tcp else partial(_unread, transport)
        drop_input = None if self.over_tcp else partial(_drop_input, transport)
        tunnel = self._tunnel = Tunnel(transport, unread, drop_input)
        early, self._early = self._early, b""
        if early:
            tunnel.data_received(early)
        if self._ended:
            tunnel.eof_received()
        if self._paused:
            tunnel.pause_writing()
        if len(early) >= _MOST_TAIL and not tunnel.holding:
            transport.resume_reading()
        return tunnel

    def decline(self) -> None:
        """The upgrade was answered in HTTP after all; what followed it is HTTP too."""
        early, self._early, self._upgrading = self._early, b"", False
        if early:
            if len(early) >= _MOST_TAIL and self.transport is not None:
                self.transport.resume_reading()
            super().data_received(early)
        if self._ended:
            self.close()

    def answered(self) -> None:
        """The request in hand has its answer. A quick client sends the next one before aiohttp waits for it: that
        has a head too, unless something of this one or of others is still to come.
        """
        self._fresh = not self._messages and not self._unfinished

    # --- what the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.over_tcp = isinstance(transport.get_extra_info("sockname"), tuple)
        super().connection_made(transport)
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        if self._tunnel is not None:
            self._tunnel.data_received(data)
        elif self._upgrading:
            self._keep_early(data)
        elif self._head or self._idle:
            self._at_head(self._head + data)
        else:
            super().data_received(data)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Keep the connection for what is still to be sent. A watcher's client has simply gone."""
        self._ended = True
        if self._tunnel is not None:
            self._tunnel.eof_received()
            return True
        if self._upgrading and not self._unfinished:
            return True
        if self.waiting is not None or self._unfinished:
            return False
        if self._messages or not self._idle:
            self._close = True
            return True
        return False

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._tunnel is not None:
            self._tunnel.connection_lost()
        if self.waiting is not None:
            self.waiting.cancel()
        self._head_came()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._tunnel is not None:
            self._tunnel.pause_writing()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._tunnel is not None:
            self._tunnel.resume_writing()

    @property
    def ended(self) -> bool:
        """Whether the client has ended its side."""
        return self._ended

    @property
    def _idle(self) -> bool:
        """Whether the next byte begins a request. (Before Python 3.12 aiohttp's task waits only some time after the
        connection was made, and the first request may come earlier.)
        """
        return self._fresh or (self._waiter is not None and not self._waiter.done())

    @property
    def _unfinished(self) -> bool:
        """Whether the body of the last request will never come to its end."""
        if self._messages:
            return not self._messages[-1][1].is_eof()
        request = self._current_request
        return request is not None and not request.content.is_eof()

    def _at_head(self, data: bytes) -> None:
        """Look at a request's head; hand it on whole, without what follows an upgrade."""
        end = data.find(_END)
        if end < 0 and len(data) < _MOST_HEAD:
            self._head = data
            self._expect_head()
            return
        self._head_came()
        self._head, self._fresh = b"", False
        cut = _cut(data, end)
        if cut is None:
            super().data_received(data)
            return
        self._upgrading = True
        self._body_left = max(0, cut - len(data))
        super().data_received(data[:cut])
        if len(data) > cut:
            self._keep_early(data[cut:])

    def _expect_head(self) -> None:
        """Close the connection if no whole head comes in time: one that waits between two requests is not meant."""
        if self._head_timer is None:
            self._head_timer = asyncio.get_running_loop().call_later(self._head_s, self.force_close)

    def _head_came(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _keep_early(self, data: bytes) -> None:
        """Bytes that came while an upgrade is being answered: what its body still lacks, then the tunnel's."""
        if self._body_left:
            body, data = data[: self._body_left], data[self._body_left :]
            self._body_left -= len(body)
            super().data_received(body)
        self._early += data
        if len(self._early) >= _MOST_TAIL and self.transport is not None:
            self.transport.pause_reading()

    # --- errors below the handler

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Docker's shape for what aiohttp refuses by itself: requests that are not HTTP."""
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has been begun and can't be changed into an error")
        if status >= 500:
            log.error("%s %s failed", request.method, request.path, exc_info=exc)
        status, text = _refusal(status, exc, message)
        response = web.Response(body=orjson.dumps({"message": text}) + b"\n", status=status, headers=COMMON_HEADERS)
        response.headers["Content-Type"] = "application/json"
        response.force_close()
        return response


class HttpServer(web.Server):
    """Makes a `Connection` for each client, which has `head_s` seconds for the head of a request."""

    def __init__(self, handler: Handler, *, head_s: float = HEAD_S, **kwargs: Any) -> None:
        super().__init__(handler, **kwargs)
        self._head_s = head_s

    def __call__(self) -> Connection:
        return Connection(self, head_s=self._head_s, loop=self._loop, **self._kwargs)

    async def finish(self, patience_s: float) -> None:
        """Let commands be answered for that long; those who only watch or stream are sent away at once."""
        for connection in self.connections:
            if isinstance(connection, Connection) and connection.waiting is not None:
                connection.waiting.cancel()
        await self.shutdown(patience_s)


def _cut(data: bytes, end: int) -> int | None:
    """Where the request of an upgrade ends, with its body; None where the head asks for none."""
    if end < 0 or not data.startswith(b"POST ") or _UPGRADE.search(data, 0, end + 2) is None:
        return None
    length = _LENGTH.search(data, 0, end + 2)
    return end + len(_END) + (int(length[1]) if length else 0)


def _refusal(status: int, exc: BaseException | None, message: str | None) -> tuple[int, str]:
    """Status and sentence for a request that could not be read (net/http's choice of statuses)."""
    text = (message or (str(exc) if exc else "") or "the request could not be read").split("\n", 1)[0].rstrip(": ")
    if status != 400:
        return status, text
    if isinstance(exc, LineTooLong) or "Too many headers" in text:
        return 431, "the request's head is too large"
    if "ransfer-encoding" in text.lower() and "content-length" not in text.lower():
        return 501, f"unsupported transfer encoding: {text}"
    return 400, f"bad request: {text}"


def _unread(transport: asyncio.WriteTransport) -> bool:
    """Whether the client at a unix socket's other end has not read all."""
    if transport.is_closing():
        return False
    asked = fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(_COUNT.size))
    return _COUNT.unpack(asked)[0] > 0 or transport.get_write_buffer_size() > 0


def _drop_input(transport: asyncio.WriteTransport) -> None:
    """Take all that has come off a unix socket; its other end can't send any more."""
    if transport.is_closing():
        return
    with contextlib.suppress(OSError), socket.socket(fileno=_duplicate(transport)) as sock:
        sock.shutdown(socket.SHUT_RD)
        while sock.recv(_MOST_TAIL, socket.MSG_DONTWAIT):
            pass


def _duplicate(transport: asyncio.WriteTransport) -> int:
    return os.dup(transport.get_extra_info("socket").fileno())


def _time_left(end: float) -> bool:
    return time.monotonic() < end
