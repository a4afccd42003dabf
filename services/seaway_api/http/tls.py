"""TLS between a client's socket and its `Connection`, in which each half of the connection ends by itself.

The event loops' own TLS closes everything at a client's close_notify. But that is how Go's `CloseWrite` ends the input
of `docker run -i`, and it still reads what is written after that (RFC 8446, section 6.1).
"""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Callable
from typing import Any, Final, Protocol, cast

log = logging.getLogger(__name__)
HANDSHAKE_S: Final = 10.0
STALLED_S: Final = 30.0
_RECORD: Final = 16 * 1024


class Inner(Protocol):
    """The protocol that speaks over TLS, as asyncio has it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None: ...
    def connection_lost(self, exc: BaseException | None) -> None: ...
    def data_received(self, data: bytes) -> None: ...
    def eof_received(self) -> bool: ...
    def pause_writing(self) -> None: ...
    def resume_writing(self) -> None: ...


class TlsTransport(asyncio.Protocol, asyncio.Transport):
    """A protocol to the socket below it; a transport to the one above, which is made once hands are shaken."""

    def __init__(self, context: ssl.SSLContext, make: Callable[[], Inner]) -> None:
        super().__init__()
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._make = make
        self._inner: Inner | None = None
        self._raw: asyncio.Transport
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._held = False
        self._ended = self._end_told = False
        self._closing = False

    # --- called by the socket's transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._raw = cast(asyncio.Transport, transport)
        self._timer = self._loop.call_later(HANDSHAKE_S, self._raw.abort)

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        self._incoming.write(data)
        if self._inner is None:
            self._shake_hands()
        if self._inner is not None:
            self._hand_on()

    def eof_received(self) -> bool:
        """Behind a close_notify the client may still read. Without one, bytes may have been cut off on their way."""
        if not self._ended:
            self._raw.abort()
        return self._ended

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        if self._timer is not None:
            self._timer.cancel()
        if self._inner is not None:
            self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        if self._inner is not None:
            self._inner.resume_writing()

    # --- from TLS to the protocol above

    def _shake_hands(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
        except ssl.SSLError as error:
            self._refuse(error)
        else:
            assert self._timer is not None
            self._timer.cancel()
            self._flush()
            self._inner = self._make()
            self._inner.connection_made(self)

    def _refuse(self, error: ssl.SSLError) -> None:
        """Say why, and go on reading until the client has hung up (or time is up): a reset could overtake the alert."""
        log.info("a TLS client at %s was refused: %s", self._raw.get_extra_info("peername"), error)
        self._closing = True
        self._flush()
        self._raw.write_eof()

    def _hand_on(self) -> None:
        """All that has come, and then its end, unless the reader above wants to wait."""
        if self._held or self._closing or self._inner is None:
            return
        try:
            data = self._decrypted()
        except ssl.SSLError as error:
            log.info("the TLS of a client at %s broke: %s", self._raw.get_extra_info("peername"), error)
            self.abort()
            return
        self._flush()
        if data:
            self._inner.data_received(data)
        if self._ended and not self._held and not self._end_told:
            self._end_told = True
            if not self._inner.eof_received():
                self.close()

    def _decrypted(self) -> bytes:
        pieces: list[bytes] = []
        with contextlib.suppress(ssl.SSLWantReadError):
            while not self._ended:
                pieces.append(self._tls.read(_RECORD))
                self._ended = not pieces[-1]
        return b"".join(pieces)

    def _flush(self) -> None:
        if data := self._outgoing.read():
            self._raw.write(data)

    # --- called by the protocol above

    def write(self, data: bytes | bytearray | memoryview) -> None:
        rest = memoryview(data)
        try:
            while rest and not self._closing:
                rest = rest[self._tls.write(rest) :]
        except ssl.SSLError as error:
            log.info("the TLS of a client at %s broke: %s", self._raw.get_extra_info("peername"), error)
            self.abort()
            return
        self._flush()

    def close(self) -> None:
        """Send what waits, say that it is the end, and hang up."""
        if self._closing:
            return
        self._closing = True
        with contextlib.suppress(ssl.SSLError):  # it wants to read the client's close_notify, which need not come
            self._tls.unwrap()
        self._flush()
        self._raw.close()
        self._hurry(self._raw.get_write_buffer_size())

    def _hurry(self, before: int) -> None:
        """Cut off a client that takes nothing of what waits for it."""

        def look() -> None:
            now = self._raw.get_write_buffer_size()
            if now >= before:
                self._raw.abort()
            else:
                self._hurry(now)

        self._timer = self._loop.call_later(STALLED_S, look)

    def abort(self) -> None:
        self._closing = True
        self._raw.abort()

    def is_closing(self) -> bool:
        return self._closing or self._raw.is_closing()

    def pause_reading(self) -> None:
        self._held = True
        self._raw.pause_reading()

    def resume_reading(self) -> None:
        if self._held and not self._closing:
            self._held = False
            self._raw.resume_reading()
            self._loop.call_soon(self._hand_on)

    def can_write_eof(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return self._raw.get_write_buffer_size()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._raw.set_write_buffer_limits(high, low)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "peercert":
            return self._tls.getpeercert()
        if name == "sslcontext":
            return self._tls.context
        return self._raw.get_extra_info(name, default)
