"""Clients of streams: attached to a container or an exec, or following logs. Each reads in a thread of its own."""

import contextlib
import http.client
import json
import socket
import struct
import threading

from e2e_rig.api import Api, Reply, connect

from seaway_docker.stdcopy import SYSTEM_ERROR, Decoder

_PATIENCE_S = 60.0
_CREDENTIALS = struct.Struct("3i")


class NotTaken(http.client.HTTPException):
    """The answer was another than a stream."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status} {text}")
        self.status, self.text = status, text


class Attached:
    """A client whose connection was taken over from HTTP. Raises OSError, NotTaken.

    `output` is what it was sent so far; `last_words` the error with which the stream broke off, if it did.
    """

    def __init__(self, api: Api, path: str, body: object = None) -> None:
        self._socket = connect(api.path, _PATIENCE_S)
        self.server = _CREDENTIALS.unpack(self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
        """The pid of the API that serves it."""
        self.output = self.last_words = b""
        self._decoder = Decoder()
        try:
            self._hear(self._asked(path, json.dumps(body or {}).encode()))
        except BaseException:
            self._socket.close()
            raise
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def say(self, data: bytes) -> None:
        """Input. Where it can't be sent any more, the output ends as well."""
        with contextlib.suppress(OSError):
            self._socket.sendall(data)

    @property
    def over(self) -> bool:
        """Whether no more will come."""
        return not self._thread.is_alive()

    def end(self) -> None:
        """Wait until no more comes."""
        self._thread.join(_PATIENCE_S)
        assert self.over, "the stream goes on"
        self._socket.close()

    def _asked(self, path: str, body: bytes) -> bytes:
        """Send the request; what has come behind the head of the answer."""
        head = f"POST {path} HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self._socket.sendall(head.encode() + body)
        found = b""
        while b"\r\n\r\n" not in found:
            piece = self._socket.recv(4096)
            if not piece:
                raise ConnectionResetError("no answer")
            found += piece
        if not found.startswith(b"HTTP/1.1 101"):
            raise NotTaken(int(found.split()[1]), found.partition(b"\r\n\r\n")[2].decode())
        return found.partition(b"\r\n\r\n")[2]

    def _run(self) -> None:
        try:
            while data := self._socket.recv(65536):
                self._hear(data)
        except OSError:
            return

    def _hear(self, data: bytes) -> None:
        for kind, piece in self._decoder.feed(data):
            if kind == SYSTEM_ERROR:
                self.last_words += piece
            else:
                self.output += piece


class Follower:
    """A client of `logs -f`, from the first line on. `whole`: the answer came to its proper end."""

    def __init__(self, api: Api, container: str) -> None:
        self._connection = http.client.HTTPConnection("d")
        self._connection.sock = connect(api.path, _PATIENCE_S)
        self._connection.request("GET", f"/containers/{container}/logs?follow=1&stdout=1")
        self._response = self._connection.getresponse()
        assert self._response.status == 200, self._response.read()
        self.output, self.whole = b"", False
        self._decoder = Decoder()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Wait until no more comes."""
        self._thread.join(_PATIENCE_S)
        assert not self._thread.is_alive(), "the logs go on"
        self._connection.close()

    def _run(self) -> None:
        try:
            while data := self._response.read1(65536):
                self.output += b"".join(piece for _, piece in self._decoder.feed(data))
        except (OSError, http.client.HTTPException):
            return
        self.whole = True


class Waiting:
    """A client of `wait`."""

    def __init__(self, api: Api, container: str) -> None:
        self._api, self._path = api, f"/containers/{container}/wait"
        self._reply: Reply | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def code(self) -> int:
        """What it was answered."""
        self._thread.join(_PATIENCE_S)
        assert self._reply is not None, "no answer"
        return int(self._reply.json()["StatusCode"])

    def _run(self) -> None:
        self._reply = self._api.request("POST", self._path, timeout=600)
