"""One HTTP exchange over a unix socket, in two halves: the head of the answer, then its body.

So `wait`, `attach` and streams can be begun before what they wait for is done.
"""

import http.client
import socket
from collections.abc import Mapping

from e2e_rig.api import connect

_CLOSING = 8
_LONG = 126


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = connect(self._path, self.timeout or 30.0)


class Exchange:
    """A request that was sent, and whose answer's head is here. Header names are in lower case."""

    def __init__(
        self, path: str, method: str, target: str, body: bytes | None, headers: Mapping[str, str], timeout: float = 30.0
    ) -> None:
        self._connection = _UnixConnection(path, timeout)
        self._connection.request(method, target, body, dict(headers))
        self._socket = self._connection.sock
        self._response = self._connection.getresponse()
        self.status = self._response.status
        self.headers = {name.lower(): value for name, value in self._response.getheaders()}

    def send(self, data: bytes) -> None:
        """Write to a hijacked connection."""
        self._socket.sendall(data)

    def end_input(self) -> None:
        """Close the half towards the engine."""
        self._socket.shutdown(socket.SHUT_WR)

    def line(self) -> bytes:
        """The next line of a stream; empty at its end."""
        return self._response.readline()

    def rest(self) -> bytes:
        """The whole body; what a hijacked connection brings until it is closed."""
        try:
            if self.status == 101:
                assert self._response.fp is not None
                return self._response.fp.read()
            return self._response.read()
        finally:
            self.close()

    def rest_in_time(self) -> bytes:
        """The body, as much of it as comes before the time-out: of a stream that doesn't end."""
        found = b""
        try:
            while data := self._response.read1(1 << 16):
                found += data
        except (TimeoutError, http.client.IncompleteRead):
            pass
        finally:
            self.close()
        return found

    def messages(self) -> bytes:
        """What a websocket brings, to the other side's closing frame."""
        found, stream = b"", self._response.fp
        assert stream is not None
        while len(head := stream.read(2)) == 2 and head[0] & 0xF != _CLOSING:
            size = head[1]
            if size >= _LONG:
                size = int.from_bytes(stream.read(2 if size == _LONG else 8), "big")
            found += stream.read(size)
        self.close()
        return found

    def close(self) -> None:
        """Hang up."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)  # a plain close would wait for the end of the stream
        except OSError:
            pass
        self._response.close()
        self._connection.close()
