"""Whether a NATS server lets a user in: the first lines of its protocol, without a client's patience."""

import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from seaway_kit import tls
from seaway_kit.nats_address import endpoints

_ANSWER_S: Final = 2.0


@dataclass(frozen=True)
class Login:
    """One user at one server. `ca`: who has signed its certificate; None without TLS."""

    url: str
    user: str
    password: str
    ca: Path | None = None

    def works(self) -> bool:
        """Whether the server lets that user in now; False too where it doesn't answer. Raises OSError for a bad CA."""
        host, port = endpoints(self.url)[0]
        secure = tls.trusting(self.ca) if self.ca else None
        try:
            with socket.create_connection((host, port), _ANSWER_S) as plain:
                _line(plain)  # its greeting, which comes before TLS
                if secure is None:
                    return self._answered(plain)
                with secure.wrap_socket(plain, server_hostname=host) as wrapped:
                    return self._answered(wrapped)
        except OSError:
            return False

    def _answered(self, connection: socket.socket) -> bool:
        words = {"user": self.user, "pass": self.password, "verbose": False, "pedantic": False, "name": "seaway-node"}
        connection.sendall(f"CONNECT {json.dumps(words)}\r\nPING\r\n".encode())
        return _line(connection).startswith(b"PONG")


def _line(connection: socket.socket) -> bytes:
    line = b""
    while not line.endswith(b"\n") and (piece := connection.recv(1)):
        line += piece
    return line
