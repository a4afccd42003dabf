"""Whether a NATS server lets a user in: the first lines of its protocol, without a client's patience."""

import contextlib
import json
import os
import socket
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from seaway_bus import node_keys
from seaway_kit import tls
from seaway_kit.addresses import nats_endpoints
from seaway_kit.settings import local_actor

_ANSWER_S: Final = 2.0
_LONGEST_LINE: Final = 64 << 10
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
        """Whether a server lets that user in now; False too where none answers. Raises OSError for a bad CA."""
        return not self.trouble()

    def trouble(self) -> str:
        """Why no server lets that user in now; empty where one does. Raises OSError for a bad CA."""
        secure, troubles = self._secure(), []
        for host, port in nats_endpoints(self.url):
            try:
                if self._said(host, port, secure, "").startswith(b"PONG"):
                    return ""
                word = "key" if self.seed else "password"
                unknown = f"does not let the user {self.user} in: its {word} is unknown to that cluster"
                troubles.append(f"the NATS server at {host}:{port} {unknown}")
            except ssl.SSLCertVerificationError as error:
                signed = f"is not signed by the CA in {self.ca}" if self.ca else "is signed by no CA that is known here"
                trouble = f"the certificate of the NATS server at {host}:{port} {signed}, or is another address's"
                troubles.append(f"{trouble} ({error.verify_message}): give that CA by --nats-ca FILE")
            except (OSError, ValueError) as error:
                why = (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
                troubles.append(f"no NATS server can be reached at {host}:{port} ({why})")
        return troubles[0]

    def reaches(self, subject: str) -> bool:
        """Whether a server lets that user in, and somebody answers it on that subject. Raises OSError for a bad CA."""
        inbox = f"_INBOX.{self.user}.check"
        words = f"SUB {inbox} 1\r\nPUB {subject} {inbox} 0\r\n"
        secure = self._secure()
        for host, port in nats_endpoints(self.url):
            with contextlib.suppress(OSError, ValueError):
                said = self._said(host, port, secure, words)
                if said.startswith((b"MSG", b"NATS/")) and not said.startswith(_NOBODY):
                    return True
        return False

    def _said(self, host: str, port: int, secure: ssl.SSLContext | None, words: str) -> bytes:
        """The server's first line after the login, without INFO and the first line of a message with headers.

        The login is sent after the server's certificate was checked, where TLS is asked for by either side. Raises
        OSError, ValueError.
        """
        with socket.create_connection((host, port), _ANSWER_S) as plain:
            greeting = _greeting(_line(plain))  # which comes before TLS
            has_tls = bool(greeting.get("tls_required"))
            if secure is not None and not has_tls:
                raise ValueError("the server has no TLS")
            connect = self._connect(str(greeting.get("nonce", "")))
            if not has_tls:
                return _answer(plain, connect, words)
            with (secure or ssl.create_default_context()).wrap_socket(plain, server_hostname=host) as wrapped:
                return _answer(wrapped, connect, words)

    def _secure(self) -> ssl.SSLContext | None:
        """How the server's certificate is checked; None: TLS only if the server asks for it."""
        if self.ca:
            return tls.trusting(self.ca)
        return ssl.create_default_context() if is_tls(self.url) else None

    def _connect(self, nonce: str) -> str:
        """The arguments of CONNECT. Raises ValueError for a bad seed."""
        fields = {"verbose": False, "pedantic": False, "name": "seaway-node", "headers": True, "no_responders": True}
        if not self.seed:
            return json.dumps(fields | {"user": self.user, "pass": self.password})
        signed = {"nkey": node_keys.public_key(self.seed), "sig": node_keys.signature(self.seed, nonce)}
        return json.dumps(fields | signed)


def is_tls(url: str) -> bool:
    """Whether a URL asks for TLS, at each of its servers."""
    return all(one.strip().startswith("tls://") for one in url.split(","))


def _greeting(line: bytes) -> dict[str, Any]:
    """What a server says of itself. Raises ValueError for what is no NATS server's greeting."""
    found = json.loads(line.removeprefix(b"INFO ")) if line.startswith(b"INFO ") else None
    if not isinstance(found, dict):
        raise ValueError("what answers there is no NATS server")
    return found


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
        if len(line) > _LONGEST_LINE:
            raise ValueError("what answers there is no NATS server")
    return line


def operator() -> str:
    """Who runs this command, as events name it."""
    return local_actor(os.getuid())
