"""Whether a NATS server lets a user in: the first lines of its protocol, without a client's patience."""

import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from seaway_kit import tls
from seaway_kit.addresses import nats_endpoints

_ANSWER_S: Final = 2.0
_NOBODY: Final = b"NATS/1.0 503"


@dataclass(frozen=True)
class Login:
    """One user at one server. `ca`: who has signed its certificate; None without TLS."""

    url: str
    user: str
    password: str
    ca: Path | None = None

    def works(self) -> bool:
        """Whether the server lets that user in now; False too where it doesn't answer. Raises OSError for a bad CA."""
        return self._said("").startswith(b"PONG")

    def reaches(self, subject: str) -> bool:
        """Whether that user is let in, and somebody answers it on that subject. Raises OSError for a bad CA."""
        inbox = f"_INBOX.{self.user}.check"
        said = self._said(f"SUB {inbox} 1\r\nPUB {subject} {inbox} 0\r\n")
        return said.startswith((b"MSG", b"NATS/")) and not said.startswith(_NOBODY)

    def _said(self, words: str) -> bytes:
        """The server's first line after the login that tells something; a message's headers rather than its head."""
        host, port = nats_endpoints(self.url)[0]
        secure = tls.trusting(self.ca) if self.ca else None
        try:
            with socket.create_connection((host, port), _ANSWER_S) as plain:
                _line(plain)  # its greeting, which comes before TLS
                if secure is None:
                    return self._answer(plain, words)
                with secure.wrap_socket(plain, server_hostname=host) as wrapped:
                    return self._answer(wrapped, words)
        except OSError:
            return b""

    def _answer(self, connection: socket.socket, words: str) -> bytes:
        login = {"user": self.user, "pass": self.password, "verbose": False, "pedantic": False, "name": "seaway-node"}
        connect = json.dumps(login | {"headers": True, "no_responders": True})
        connection.sendall(f"CONNECT {connect}\r\n{words or 'PING'}\r\n".encode())
        line = _line(connection)
        while line.startswith((b"HMSG", b"INFO")):
            line = _line(connection)
        return line


def _line(connection: socket.socket) -> bytes:
    line = b""
    while not line.endswith(b"\n") and (piece := connection.recv(1)):
        line += piece
    return line
