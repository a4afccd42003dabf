"""The connections to the HTTP side: how many there may be, and how long they may keep it waiting.

aiohttp bounds what stands in a head but not how long it takes to come, nor how many clients there are. So a protocol
of ours stands before aiohttp's: it sees the first head come, and a reader that stops reading.
"""

import asyncio
from collections.abc import Callable
from typing import Final, cast

HEAD_S: Final = 10.0
"""How long the first request's head may take, in seconds, from the connection on."""
STALLED_S: Final = 300.0
"""How long a client may read nothing of an answer, in seconds."""
MOST: Final = 2048
MOST_OF_ONE: Final = 1024
_END: Final = b"\r\n\r\n"


class Connections:
    """All connections, at most so many of one peer and in all.

    Where there is no room, one that has sent no whole head yet makes it: the oldest. So those that only hold their
    place stop nobody; a client that sends at once what it wants is served. One that has asked keeps its place, so
    the application hangs up on who may not ask.
    """

    def __init__(self, most: int = MOST, most_of_one: int = MOST_OF_ONE) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._open: dict[Connection, None] = {}  # in order of their arrival

    def admit(self, made: "Connection") -> bool:
        """Whether there is room for it; then it counts until `forget`."""
        same = [one for one in self._open if one.peer == made.peer]
        full = same if len(same) >= self._most_of_one else list(self._open) if len(self._open) >= self._most else []
        if full:
            waiting = next((one for one in full if not one.asked), None)
            if waiting is None:
                return False
            self.forget(waiting)
            waiting.abort()
        self._open[made] = None
        return True

    def forget(self, gone: "Connection") -> None:
        """It has ended."""
        self._open.pop(gone, None)

    def __len__(self) -> int:
        return len(self._open)


class Connection(asyncio.Protocol):
    """One connection: all that happens on it goes to aiohttp's protocol."""

    def __init__(self, inner: asyncio.Protocol, connections: Connections, head_s: float, stalled_s: float) -> None:
        self.peer = ""
        self.asked = False
        self._inner = inner
        self._connections = connections
        self._head_s = head_s
        self._stalled_s = stalled_s
        self._timer: asyncio.TimerHandle | None = None
        self._tail = b""
        self._transport: asyncio.Transport | None = None

    def abort(self) -> None:
        """End it at once."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admitted or not, aiohttp hears of it, as it will hear of its end."""
        self._transport = cast(asyncio.Transport, transport)
        name = transport.get_extra_info("peername")
        self.peer = str(name[0]) if isinstance(name, tuple) else ""
        self._inner.connection_made(transport)
        if self._connections.admit(self):
            self._wait(self._head_s)
        else:
            self.abort()

    def data_received(self, data: bytes) -> None:
        """Pass it on; watch for the end of the first head."""
        if not self.asked:
            self._tail += data
            if _END in self._tail:
                self.asked, self._tail = True, b""
                self._stop_waiting()
            self._tail = self._tail[1 - len(_END) :]
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        """Pass it on."""
        return self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass it on."""
        self._connections.forget(self)
        self._stop_waiting()
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        """The client reads more slowly than we write: it must read something before long."""
        self._wait(self._stalled_s)
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """It does."""
        self._stop_waiting()
        self._inner.resume_writing()

    def _wait(self, seconds: float) -> None:
        self._stop_waiting()
        self._timer = asyncio.get_running_loop().call_later(seconds, self.abort)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def bounded(
    protocols: Callable[[], asyncio.Protocol],
    connections: Connections,
    *,
    head_s: float = HEAD_S,
    stalled_s: float = STALLED_S,
) -> Callable[[], Connection]:
    """A factory of protocols, each behind one that keeps these bounds."""
    return lambda: Connection(protocols(), connections, head_s, stalled_s)
