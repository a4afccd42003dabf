"""The shell of a service process, run as a process: readiness, orderly end, failures, waiting for the bus."""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from seaway_testing.nats_server import NatsServer
from seaway_testing.ports import free_port
from seaway_testing.waiting import until

PROGRAM = str(Path(__file__).parent / "shell_service.py")


class Service:
    """A running service and the pipe on which it reports that it is ready."""

    def __init__(self, mode: str, url: str, **env: str) -> None:
        ours, theirs = os.pipe()
        self._ready = os.fdopen(ours)
        words = [sys.executable, PROGRAM, mode, "--nats", url]
        self.process = subprocess.Popen(
            words,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=[theirs],
            env=os.environ | {"SEAWAY_READY_FD": str(theirs), "SEAWAY_LOG_FORMAT": "text"} | env,
        )
        os.close(theirs)

    def ready(self) -> dict[str, str]:
        """The readiness line; raises ValueError if the service ended without one."""
        return dict(json.loads(self._ready.read()))

    @property
    def stderr(self) -> IO[str]:
        assert self.process.stderr is not None
        return self.process.stderr

    def end(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=20)
        return self.process.returncode, out, err

    def close(self) -> None:
        self._ready.close()
        self.process.kill()
        with contextlib.suppress(ValueError):  # communicate has closed the pipes already
            self.process.communicate(timeout=20)


@pytest.fixture
def services() -> Iterator[list[Service]]:
    started: list[Service] = []
    yield started
    for service in started:
        service.close()


def start(services: list[Service], mode: str, url: str, **env: str) -> Service:
    services.append(Service(mode, url, **env))
    return services[-1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ready_and_orderly_end(services: list[Service], nats: NatsServer, number: signal.Signals) -> None:
    service = start(services, "well", nats.url)
    line = service.ready()
    assert (line["service"], line["pid"]) == ("test", service.process.pid)
    with urllib.request.urlopen(line["metrics"], timeout=5) as reply:
        text = reply.read().decode()
    assert "process_resident_memory_bytes" in text
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, text=True, capture_output=True, timeout=30)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    with urllib.request.urlopen(line["metrics"].replace("/metrics", "/readyz"), timeout=5) as reply:
        assert json.load(reply)["conditions"]["bus"]["ok"] is True
    service.process.send_signal(number)
    code, out, err = service.end()
    assert (code, out) == (0, "enter\nleave\n")
    assert "ERROR" not in err


def test_failed_eternal_task_ends_the_process(services: list[Service], nats: NatsServer) -> None:
    code, out, err = start(services, "fails", nats.url).end()
    assert code == 1
    assert out in ("enter\nleave\n", "")
    assert "FATAL test: test stops, to be started anew: the sky is falling" in err


def test_failed_build_gives_its_reason(services: list[Service], nats: NatsServer) -> None:
    code, _, err = start(services, "refuses", nats.url).end()
    assert code == 1
    assert "FATAL test: test can't run: the moon is not up; wait for it" in err
    assert "Traceback" not in err


def test_second_signal_ends_at_once(services: list[Service], nats: NatsServer) -> None:
    service = start(services, "stubborn", nats.url)
    service.ready()
    service.process.send_signal(signal.SIGTERM)
    while "SIGTERM: stopping" not in service.stderr.readline():
        assert service.process.poll() is None
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(10) == 128 + signal.SIGTERM


def test_waits_for_the_bus_and_says_so_once(services: list[Service], nats: NatsServer) -> None:
    nats.stop()
    service = start(services, "well", nats.url)
    said = service.stderr.readline()
    assert "WARN  test: waiting for the bus: no NATS server answers at 127.0.0.1:" in said
    nats.start()
    service.ready()
    service.process.terminate()
    code, _, err = service.end()
    assert code == 0
    assert "waiting for the bus" not in err


def test_what_needs_no_bus_begins_without_it_and_is_ready_when_it_is_there(
    services: list[Service], nats: NatsServer, tmp_path: Path
) -> None:
    nats.stop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "n"))
        address = f"127.0.0.1:{free_port()}"
        place = {"NOTIFY_SOCKET": str(tmp_path / "n"), "SEAWAY_METRICS": address}
        service = start(services, "patient", nats.url, **place)
        assert service.process.stdout is not None
        assert service.process.stdout.readline() == "works\n"
        assert "waiting for the bus" in service.stderr.readline()
        told = [sock.recv(400) for _ in range(3)]
        assert all(b"EXTEND_TIMEOUT_USEC=" in text and b"STATUS=waiting for the bus" in text for text in told)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"http://{address}/readyz", timeout=5)
        conditions = json.load(refused.value)["conditions"]
        assert "no NATS server answers" in conditions["bus"]["detail"]
        assert not conditions["started"]["ok"]
        assert not select.select([service._ready], [], [], 0)[0]
        nats.start()
        service.ready()
        while sock.recv(400) != b"READY=1":
            pass
    with urllib.request.urlopen(f"http://{address}/readyz", timeout=5) as reply:
        assert json.load(reply)["ready"]
    service.process.terminate()
    assert service.end()[:2] == (0, "enter\nleave\n")


def test_can_be_stopped_while_it_waits(services: list[Service]) -> None:
    service = start(services, "well", "nats://127.0.0.1:1")
    service.stderr.readline()
    service.process.terminate()
    assert service.end()[:2] == (0, "")


def test_systemd_is_told(services: list[Service], nats: NatsServer, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "n"))
        service = start(services, "well", nats.url, NOTIFY_SOCKET=str(tmp_path / "n"), WATCHDOG_USEC="100000")
        seen: set[bytes] = set()
        while not {b"READY=1", b"WATCHDOG=1"} <= seen:
            assert select.select([sock], [], [], 10)[0]
            seen.add(sock.recv(100))
        service.process.terminate()
        while b"STOPPING=1" not in seen:
            assert select.select([sock], [], [], 10)[0]
            seen.add(sock.recv(100))
        assert service.end()[0] == 0


def _asked(metrics: str, page: str) -> tuple[int, str]:
    """Status and body of one of the service's pages."""
    try:
        with urllib.request.urlopen(metrics.replace("/metrics", page), timeout=5) as reply:
            return int(reply.status), reply.read().decode()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read().decode()


async def test_the_state_of_the_bus_is_told_everywhere(services: list[Service], nats: NatsServer) -> None:
    """Alive without the bus, but not ready, and why; both again when it is back."""
    metrics = start(services, "well", nats.url).ready()["metrics"]
    assert _asked(metrics, "/readyz")[0] == 200
    nats.kill()
    await until(lambda: _asked(metrics, "/readyz")[0] == 503)
    trouble = json.loads(_asked(metrics, "/readyz")[1])["conditions"]["bus"]
    assert (trouble["ok"], trouble["detail"].startswith("no connection to the NATS server for ")) == (False, True)
    status, alive = _asked(metrics, "/healthz")
    assert status == 200 and "no connection to the NATS server" in json.loads(alive)["troubles"]["bus"]
    assert "seaway_bus_connected 0.0\n" in _asked(metrics, "/metrics")[1]
    nats.start()
    await until(lambda: _asked(metrics, "/readyz")[0] == 200)
    told = _asked(metrics, "/metrics")[1]
    assert "seaway_bus_connected 1.0\n" in told and "seaway_bus_reconnects_total 1.0\n" in told
    assert json.loads(_asked(metrics, "/healthz")[1]) == {"alive": True, "troubles": {}}
