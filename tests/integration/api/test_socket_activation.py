"""The API service on a socket that somebody else made and keeps, as systemd does."""

import http.client
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from seaway_bus.bus import Bus
from seaway_testing.nats_server import NatsServer
from seaway_testing.waiting import until

_PATIENT_S = 20.0
_SERVICE = "from seaway_api.main import main; raise SystemExit(main())"
_HAND_OVER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.argv[2], sys.argv[2:])
"""


class Activated:
    """The service, started as systemd would with one socket."""

    def __init__(self, listener: socket.socket, url: str, directory: Path, *flags: str) -> None:
        places = ["--root", str(directory / "root"), "--run", str(directory / "run")]
        command = [sys.executable, "-c", _SERVICE, "--nats", url, *places, *flags]
        self.log = directory / "api.log"
        number = str(listener.fileno())
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _HAND_OVER, number, *command], stdout=out, stderr=out, pass_fds=[int(number)]
            )

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(_PATIENT_S)


@pytest.fixture(autouse=True)
async def metadata_was_there(connect_bus: Callable[[], Awaitable[Bus]]) -> None:
    """The stream of events is, without which the API is not ready."""
    await connect_bus()


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(tmp_path / "docker.sock"))
        made.listen(16)
        yield made


def asked(path: Path) -> http.client.HTTPConnection:
    """A connection with a request on its way."""
    connection = http.client.HTTPConnection("localhost", timeout=_PATIENT_S)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(_PATIENT_S)
    connection.sock.connect(str(path))
    connection.request("GET", "/_ping")
    return connection


def test_requests_wait_for_the_service(listener: socket.socket, nats: NatsServer, tmp_path: Path) -> None:
    """What comes before its start and between two lives is answered by the next one; the socket is never taken away."""
    path = tmp_path / "docker.sock"
    inode = path.stat().st_ino
    for _ in range(2):
        waiting = asked(path)
        service = Activated(listener, nats.url, tmp_path)
        try:
            reply = waiting.getresponse()
            assert (reply.status, reply.read()) == (200, b"OK"), service.log.read_text()
            assert f"serving the Engine API on unix://{path}" in service.log.read_text()
            assert not (tmp_path / "run" / "docker.sock").exists()
        finally:
            waiting.close()
            assert service.end() == 0, service.log.read_text()
        assert path.stat().st_ino == inode


async def test_a_socket_that_anybody_reaches_is_refused(nats: NatsServer, tmp_path: Path) -> None:
    with socket.create_server(("0.0.0.0", 0)) as listener:
        service = Activated(listener, nats.url, tmp_path)
        try:
            await until(lambda: service.process.poll() is not None, _PATIENT_S, "its end")
        finally:
            if service.process.poll() is None:
                service.end()
        assert service.process.returncode == 1
        assert "is reachable from other machines" in service.log.read_text()


async def test_beside_hosts_of_its_own(listener: socket.socket, nats: NatsServer, tmp_path: Path) -> None:
    service = Activated(listener, nats.url, tmp_path, "--host", f"unix://{tmp_path}/own.sock")
    try:
        for path in (tmp_path / "docker.sock", tmp_path / "own.sock"):
            await until(path.exists, _PATIENT_S, "its socket")
            reply = asked(path).getresponse()
            assert reply.status == 200
    finally:
        assert service.end() == 0
    assert [name for name in os.listdir(tmp_path) if name.endswith(".sock")] == ["docker.sock"]
