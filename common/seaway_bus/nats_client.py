"""nats-py's client with a shorter path for messages.

nats-py connects, logs in, does TLS, pings and reconnects. Messages are handled here: `nats_protocol` reads and writes
them, and plain callbacks get them as the bytes come, in the server's order, without queues and tasks. So nothing
accumulates in this process; the server disconnects a client that is too slow.

It uses nats-py's internals, so check each new release of it: the lock and pyproject.toml pin the version.
"""

import asyncio
import logging
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import ParseResult

import nats.errors
import orjson
from nats.aio.client import Client, Srv
from nats.aio.transport import Transport as NatsWire
from nats.protocol.parser import PERMISSIONS_ERR

from seaway_bus import nats_protocol as protocol
from seaway_bus.transport import Callback, Message, NotConnected, TooLarge

log = logging.getLogger(__name__)
_PING: Final = b"PING\r\n"
_PONG: Final = b"PONG\r\n"
_BUFFERED: Final = 8 << 20
_TOGETHER: Final = 64 << 10
_Later = Callable[[], Awaitable[None]]


class Wire(NatsWire, asyncio.Protocol):
    """One connection's bytes: line by line while nats-py logs in, then to a parser."""

    def __init__(self) -> None:
        self._io: Any = None
        self._early = b""
        self._waiting: list[bytes] = []
        self._waiting_size = 0
        self._feed: Callable[[bytes], None] | None = None
        self._when_lost: Callable[[Exception | None], None] | None = None
        self._news = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._ended = asyncio.Event()
        self._error: Exception | None = None

    # --- as nats-py uses it

    async def connect(self, uri: ParseResult, buffer_size: int, connect_timeout: int) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(connect_timeout):
            self._io, _ = await loop.create_connection(lambda: self, uri.hostname or "", uri.port or 0)
        self._io.set_write_buffer_limits(high=_BUFFERED)

    async def connect_tls(
        self, uri: str | ParseResult, ssl_context: ssl.SSLContext, buffer_size: int, connect_timeout: int
    ) -> None:
        name = uri if isinstance(uri, str) else uri.hostname
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(connect_timeout):
            self._io = await loop.start_tls(self._io, self, ssl_context, server_hostname=name)
        self._io.set_write_buffer_limits(high=_BUFFERED)

    def write(self, payload: bytes) -> None:
        """Buffer a payload: what one turn of the event loop sends goes out in one system call, unless it is much."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self.write_out)
        self._waiting.append(payload)
        self._waiting_size += len(payload)
        if self._waiting_size > _TOGETHER:
            self.write_out()

    def writelines(self, payload: list[bytes]) -> None:
        self.write(b"".join(payload))

    async def read(self, buffer_size: int) -> bytes:
        raise NotImplementedError  # what comes is pushed

    async def readline(self) -> bytes:
        while b"\n" not in self._early:
            if self._ended.is_set():
                raise self._error or nats.errors.UnexpectedEOF
            self._news.clear()
            await self._news.wait()
        line, end, self._early = self._early.partition(b"\n")
        return line + end

    async def drain(self) -> None:
        await self._writable.wait()

    async def wait_closed(self) -> None:
        if self._io is not None:
            await self._ended.wait()

    def close(self) -> None:
        """Close. What the other side hasn't taken by now is dropped: nobody waits for that."""
        if self._io is not None:
            self.write_out()
            (self._io.abort if self._io.get_write_buffer_size() else self._io.close)()

    def abort(self) -> None:
        """Close at once."""
        if self._io is not None:
            self._io.abort()

    def at_eof(self) -> bool:
        return self._ended.is_set()

    def __bool__(self) -> bool:
        return self._io is not None

    # --- as the client uses it

    @property
    def lost(self) -> bool:
        """Whether the connection has ended; nats-py notices it a moment later."""
        return self._ended.is_set() or self._io.is_closing()

    @property
    def full(self) -> bool:
        """Whether much is buffered because the server takes nothing now."""
        return not self._writable.is_set()

    def write_out(self) -> None:
        """Send what is buffered."""
        waiting, self._waiting, self._waiting_size = self._waiting, [], 0
        if waiting and not self.lost:  # `connection_lost` reports its end
            self._io.write(b"".join(waiting))

    def hand_to(self, feed: Callable[[bytes], None], lost: Callable[[Exception | None], None]) -> None:
        """Pass all further bytes to `feed`, as the login is over.

        `lost` is called at the connection's end, with its reason if there is one.
        """
        early, self._early, self._feed, self._when_lost = self._early, b"", feed, lost
        if early:
            self.data_received(early)
        if self._ended.is_set():
            lost(self._error)

    # --- what the event loop calls

    def data_received(self, data: bytes) -> None:
        if self._feed is None:
            self._early += data
            self._news.set()
            return
        try:
            self._feed(data)
        except protocol.Unreadable as error:
            log.error("bus: what the server sends can't be read: %s", error)
            self._error = nats.errors.ProtocolError()
            self._io.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._error = self._error or exc
        self._ended.set()
        self._news.set()
        self._writable.set()
        if self._when_lost is not None:
            self._when_lost(self._error)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()


@dataclass(eq=False)
class Listening:
    """A subscription; nats-py reads the fields after `callback` when it reconnects."""

    _subject: str
    _queue: str
    callback: Callback
    _max_msgs: int = 0
    _received: int = 0
    _wait_for_msgs_task: None = None
    _message_iterator: None = None
    _pending_next_msgs_calls: None = None


class LastingClient(Client):
    """A client that reconnects for ever.

    nats-py closes itself for good after some errors of the server (a changed password, a message that is too large),
    however it is configured.
    """

    _transport: Wire
    _subs: dict[int, Any]
    _current_server: Srv

    def __init__(self) -> None:
        super().__init__()
        self._to_do: asyncio.Queue[_Later] = asyncio.Queue()

    @property
    def clustered(self) -> bool:
        """Whether the connected server is one of a cluster."""
        return bool(self._server_info.get("cluster"))

    # --- messages

    def send(self, subject: str, data: bytes, headers: Mapping[str, str] | None = None, reply: str = "") -> None:
        """Publish. Raises NotConnected rather than send late and perhaps out of order; TooLarge."""
        if not self.is_connected or self._transport.lost:
            raise NotConnected("no connection to the NATS server")
        block = protocol.header_block(headers)
        if len(block) + len(data) > self._max_payload:
            raise TooLarge("the message is larger than the server takes")
        self._transport.write(protocol.publication(subject, data, block, reply))

    async def room(self) -> None:
        """Wait while much is buffered."""
        if self._transport.full:
            await self._transport.drain()

    async def answered(self, timeout_s: float, meanwhile: Callable[[], object] | None = None) -> None:
        """Wait until the server has answered a ping, and so until all that it sent before has come.

        `meanwhile` is called while the ping is under way. Raises nats.errors.Error.
        """
        if self.is_closed:
            raise nats.errors.ConnectionClosedError
        pong = asyncio.get_running_loop().create_future()
        await self._send_ping(pong)
        if meanwhile is not None:
            self._transport.write_out()
            meanwhile()
        try:
            async with asyncio.timeout(timeout_s):
                await pong
        except TimeoutError:
            raise nats.errors.FlushTimeoutError from None

    def listen(self, subject: str, callback: Callback, queue: str = "") -> int:
        """Call `callback` with matching messages, after reconnections too; the subscription's number."""
        if self.is_closed:
            raise NotConnected("the connection is closed")
        self._sid += 1
        asked = protocol.subscription(subject, queue, self._sid)
        self._subs[self._sid] = Listening(subject, queue, callback)
        if self.is_connected:
            self._transport.write(asked)
        return self._sid

    def unlisten(self, number: int) -> None:
        """Unsubscribe, with or without a connection."""
        if self._subs.pop(number, None) is not None and self.is_connected:
            self._transport.write(protocol.end_of_subscription(number))

    def _got(self, number: int, message: Message) -> None:
        listening = self._subs.get(number)
        if listening is None:
            return
        try:
            listening.callback(message)
        except Exception:
            log.exception("a message on %s could not be handled", message.subject)

    def _control_line(self, line: bytes) -> None:
        """Handle a line of the server that is no message."""
        word, _, rest = line.partition(b" ")
        match word.upper():
            case b"PING":
                self._transport.write(_PONG)
            case b"PONG":
                self._answered()
            case b"-ERR":
                text = rest.decode("utf-8", "replace").lower()
                self._to_do.put_nowait(lambda: self._process_err(text))
            case b"INFO":
                facts = orjson.loads(rest)
                self._to_do.put_nowait(lambda: self._process_info(facts))
            case b"+OK" | b"":
                pass
            case _:
                raise protocol.Unreadable(repr(line[:200]))

    def _answered(self) -> None:
        self._pings_outstanding = 0
        if self._pongs and not (pong := self._pongs.pop(0)).done():
            pong.set_result(True)

    # --- in place of nats-py's own

    async def _connect_to_server(self, s: Srv) -> None:
        s.last_attempt = time.monotonic()
        if self._transport:  # left from an attempt that a hanging server did not answer
            self._transport.abort()
        self._transport = Wire()
        await self._transport.connect(s.uri, 0, self.options["connect_timeout"])

    def _connect_command(self) -> bytes:
        """The login, as nats-py makes it. It would send it unencrypted to whoever says that the server has no TLS."""
        if self._current_server.uri.scheme == "tls" and not self._server_info.get("tls_required"):
            raise nats.errors.Error("nats: the server has no TLS, which its URL (tls://) asks for")
        command: bytes = super()._connect_command()
        return command

    async def _read_loop(self) -> None:
        """Pass on what comes and handle the server's commands; at the connection's end start the next one."""
        to_do: asyncio.Queue[_Later] = asyncio.Queue()
        self._to_do = to_do
        parser = protocol.Parser(self._got, self._control_line)
        self._transport.hand_to(parser.feed, lambda error: to_do.put_nowait(lambda: self._lost(error)))
        while not (self.is_closed or self.is_reconnecting):
            await (await to_do.get())()

    async def _lost(self, error: Exception | None) -> None:
        if error is None:
            error = nats.errors.UnexpectedEOF()
            await self._error_cb(error)
        await self._process_op_err(error)

    async def _flusher(self) -> None:
        """Do nothing: the event loop writes; nats-py only needs a task here."""
        await asyncio.Event().wait()

    async def _send_command(self, cmd: bytes, priority: bool = False) -> None:
        if self.is_connected:
            self._transport.write(cmd)

    async def _flush_pending(self, force_flush: bool = False) -> None:
        if force_flush and self.is_connected:
            await self.room()

    async def _send_ping(self, future: "asyncio.Future[Any] | None" = None) -> None:
        self._pongs.append(future or asyncio.get_running_loop().create_future())
        self._transport.write(_PING)

    async def _process_err(self, err_msg: str) -> None:
        error = nats.errors.Error(f"nats: {err_msg.strip(chr(39))}")
        await self._error_cb(error)
        if PERMISSIONS_ERR not in err_msg:
            await self._process_op_err(error)
