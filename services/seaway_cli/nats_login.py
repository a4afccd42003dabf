"""Whether a NATS server lets a user in: the first lines of its protocol, without a client's patience."""

import json
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from seaway_bus import node_keys
from seaway_kit import tls
from seaway_kit.addresses import nats_endpoints

_ANSWER_S: Final = 2.0
_NOBODY: Final = b"NATS/1.0 503"


@dataclass(frozen=True)
class Login:
    """One user at one server. `ca`: who has signed its certificate; None without TLS.

    With a `seed`, the seed of its nkey, it has no password.
    """

    url: str
    user: str
    password: str = field(default="", repr=False)
    ca: Path | None = None
    seed: str = field(default="", repr=False)

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
                greeting = _line(plain)  # which comes before TLS
                connect = self._connect(greeting)
                if secure is None:
                    return _answer(plain, connect, words)
                with secure.wrap_socket(plain, server_hostname=host) as wrapped:
                    return _answer(wrapped, connect, words)
        except (OSError, ValueError):
            return b""

    def _connect(self, greeting: bytes) -> str:
        """The arguments of CONNECT. Raises ValueError for what is no NATS server's greeting."""
        fields = {"verbose": False, "pedantic": False, "name": "seaway-node", "headers": True, "no_responders": True}
        if not self.seed:
            return json.dumps(fields | {"user": self.user, "pass": self.password})
        nonce = str(json.loads(greeting.removeprefix(b"INFO ")).get("nonce", ""))
        signed = {"nkey": node_keys.public_key(self.seed), "sig": node_keys.signature(self.seed, nonce)}
        return json.dumps(fields | signed)


def _answer(connection: socket.socket, connect: str, words: str) -> bytes:
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
