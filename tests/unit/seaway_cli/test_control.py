import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from seaway_cli import control
from seaway_cli.control import ControlClient, ControlServer, NotRunning
from seaway_cli.reactor import Reactor
from seaway_testing.waiting import GUARD_S


class Served:
    """A control server whose loop runs in a thread, until `close`."""

    def __init__(self, path: Path) -> None:
        self.reactor = Reactor()
        self.asked: list[str] = []
        self.server = ControlServer(path, self.reactor, self.answer)
        self.ours, theirs = socket.socketpair()
        self.theirs = theirs
        self.running = True
        self.reactor.on_readable(theirs.fileno(), self.end)
        self.thread = threading.Thread(target=self.loop)
        self.thread.start()

    def answer(self, command: str) -> dict[str, Any]:
        if command == "nonsense":
            raise ValueError(command)
        self.asked.append(command)
        return {"asked": command}

    def end(self) -> None:
        self.running = False

    def loop(self) -> None:
        while self.running:
            self.reactor.step()
        self.server.close()
        self.reactor.close()

    def close(self) -> None:
        self.ours.send(b"x")
        self.thread.join(GUARD_S)
        self.ours.close()
        self.theirs.close()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path / "c.sock")
    yield made
    if made.running:
        made.close()


def test_answers(served: Served, tmp_path: Path) -> None:
    assert control.ask(tmp_path / "c.sock", "status") == {"asked": "status"}
    assert control.ask(tmp_path / "c.sock", "stop") == {"asked": "stop"}


def test_what_is_not_understood(served: Served, tmp_path: Path) -> None:
    assert "not understood" in control.ask(tmp_path / "c.sock", "nonsense")["error"]
    for line in (b"hello\n", b"[]\n", b"\xff\n", b"{}\n"):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / "c.sock"))
            client.sendall(line)
            assert b"not understood" in client.recv(1000)
    assert served.asked == []


def test_end_of_the_supervisor_is_seen(served: Served, tmp_path: Path) -> None:
    client = ControlClient(tmp_path / "c.sock")
    client.ask("stop")
    assert not client.wait_for_end(0.01)
    served.close()
    assert client.wait_for_end(5)
    client.close()
    with pytest.raises(NotRunning):
        control.ask(tmp_path / "c.sock", "status")
    assert not (tmp_path / "c.sock").exists()


def test_stale_socket_is_replaced(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(tmp_path / "c.sock"))
    with pytest.raises(NotRunning):
        control.ask(tmp_path / "c.sock", "status")
    reactor = Reactor()
    server = ControlServer(tmp_path / "c.sock", reactor, lambda _: {})
    server.close()
    reactor.close()
