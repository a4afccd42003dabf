"""The supervisor's socket: one JSON line asks (`status`, `stop`), one JSON line answers."""

import contextlib
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from seaway_cli.reactor import Reactor

_LINE_LIMIT: Final = 4096
_ANSWER_S: Final = 5.0
Answer = Callable[[str], dict[str, Any]]


class ControlServer:
    """Answers on a unix socket from within the supervisor's loop. `answer` takes the command's word."""

    def __init__(self, path: Path, reactor: Reactor, answer: Answer) -> None:
        self._path = path
        self._reactor = reactor
        self._answer = answer
        self._clients: set[socket.socket] = set()
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        path.chmod(0o600)
        self._listener.listen(16)
        self._listener.setblocking(False)
        reactor.on_readable(self._listener.fileno(), self._accept)

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionError):
            client, _ = self._listener.accept()
            client.setblocking(False)
            self._clients.add(client)
            self._reactor.on_readable(client.fileno(), lambda: self._read(client))

    def _read(self, client: socket.socket) -> None:
        """One request per connection; it stays open afterwards, so that its end tells of ours."""
        try:
            line = client.recv(_LINE_LIMIT)
        except (BlockingIOError, ConnectionError):
            line = b""
        if not line:
            self._drop(client)
            return
        try:
            command = str(json.loads(line)["command"])
            reply = self._answer(command)
        except (ValueError, KeyError, TypeError):
            reply = {"error": 'not understood: send one line such as {"command": "status"}'}
        with contextlib.suppress(OSError):
            client.send(json.dumps(reply).encode() + b"\n")

    def _drop(self, client: socket.socket) -> None:
        self._reactor.forget(client.fileno())
        self._clients.discard(client)
        client.close()

    def close(self) -> None:
        """Hang up on everybody and remove the socket."""
        for client in list(self._clients):
            self._drop(client)
        self._reactor.forget(self._listener.fileno())
        self._listener.close()
        self._path.unlink(missing_ok=True)


class NotRunning(Exception):
    """No supervisor answers there."""


class ControlClient:
    """A connection to a running supervisor. Raises NotRunning if there is none at `path`."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(_ANSWER_S)
        try:
            self._socket.connect(str(path))
        except OSError as error:
            self._socket.close()
            raise NotRunning(f"nothing answers at {path}: {error.strerror or error}") from None

    def ask(self, command: str) -> dict[str, Any]:
        """Send one command; its answer. Raises NotRunning if the supervisor is gone or silent."""
        try:
            self._socket.sendall(json.dumps({"command": command}).encode() + b"\n")
            with self._socket.makefile("rb") as lines:
                reply = json.loads(lines.readline())
        except (OSError, ValueError) as error:
            raise NotRunning(f"the supervisor does not answer: {error}") from None
        return dict(reply)

    def wait_for_end(self, timeout_s: float) -> bool:
        """Wait until the supervisor hangs up; False if it has not within that time."""
        self._socket.settimeout(timeout_s)
        try:
            return not self._socket.recv(1)
        except TimeoutError:
            return False
        except OSError:
            return True

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


def ask(path: Path, command: str) -> dict[str, Any]:
    """Ask the supervisor at `path` once. Raises NotRunning."""
    client = ControlClient(path)
    try:
        return client.ask(command)
    finally:
        client.close()
