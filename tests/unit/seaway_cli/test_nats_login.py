"""What a login sends to whom: nothing to a server that is not the one that was meant."""

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from seaway_bus.node_keys import new_seed
from seaway_cli.nats_login import Login, is_tls

INFO = {"server_id": "x", "nonce": "abc"}


class Server:
    """Greets, takes what comes until the client says PING or goes, and gives one answer."""

    def __init__(self, greeting: bytes, answer: bytes) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.heard = b""
        self._greeting, self._answer = greeting, answer
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.listener.getsockname()[1]}"

    def _serve(self) -> None:
        connection, _ = self.listener.accept()
        with connection, contextlib.suppress(ConnectionError):
            connection.sendall(self._greeting)
            while not self.heard.endswith(b"PING\r\n") and (piece := connection.recv(4096)):
                self.heard += piece
            connection.sendall(self._answer)

    def end(self) -> None:
        self._thread.join()
        self.listener.close()


@contextmanager
def serving(info: object = INFO, answer: bytes = b"PONG\r\n", greeting: bytes = b"") -> Iterator[Server]:
    server = Server(greeting or b"INFO " + json.dumps(info).encode() + b"\r\n", answer)
    yield server
    server.end()


def closed_url() -> str:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        return f"nats://127.0.0.1:{gone.getsockname()[1]}"


def test_one_of_several_servers_is_enough() -> None:
    with serving() as server:
        assert Login(f"{closed_url()},{server.url}", "join", "secret").trouble() == ""
    assert b'"pass": "secret"' in server.heard


def test_a_password_that_is_not_taken_and_a_server_that_is_not_there() -> None:
    with serving(answer=b"-ERR 'Authorization Violation'\r\n") as server:
        trouble = Login(server.url, "join", "secret").trouble()
    assert trouble.endswith("does not let the user join in: its password is unknown to that cluster")
    assert Login(closed_url(), "join", "secret").trouble().endswith("(Connection refused)")


@pytest.mark.parametrize("seed", ["", new_seed()])
def test_a_server_without_tls_gets_no_login_where_the_url_asks_for_tls(seed: str) -> None:
    with serving() as server:
        trouble = Login(server.url.replace("nats", "tls"), "join", "secret", seed=seed).trouble()
    assert "(the server has no TLS)" in trouble
    assert server.heard == b""


def test_a_server_that_asks_for_tls_gets_no_login_without() -> None:
    with serving(INFO | {"tls_required": True}, answer=b"") as server:
        assert Login(server.url, "join", "secret").trouble()
    assert b"secret" not in server.heard and b"CONNECT" not in server.heard


@pytest.mark.parametrize("greeting", [b"SSH-2.0-x\r\n", b"INFO []\r\n", b"INFO {\r\n", b"x" * 70_000, b"INFO"])
def test_what_is_no_nats_server(greeting: bytes) -> None:
    with serving(greeting=greeting) as server:
        server.listener.settimeout(10)
        assert Login(server.url, "join", "secret").trouble()
    assert b"secret" not in server.heard


def test_which_urls_ask_for_tls() -> None:
    assert is_tls("tls://a:1, tls://b:2")
    assert not is_tls("tls://a:1,nats://b:2") and not is_tls("a:1")


def test_a_ca_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    with pytest.raises(OSError, match="can't use the CA in"):
        Login("nats://127.0.0.1:1", "join", "secret", tmp_path / "ca.pem").trouble()
