import json
import os
import socket
from pathlib import Path

from seaway_kit.notify import READY_FD, Systemd, tell_supervisor


def test_supervisor_gets_one_line_and_the_end() -> None:
    ours, theirs = os.pipe()
    env = {READY_FD: str(theirs)}
    tell_supervisor("agent", "http://127.0.0.1:1/metrics", env, addresses={"registry": "http://127.0.0.1:2"})
    with os.fdopen(ours) as pipe:
        line = pipe.read()
    told = {"metrics": "http://127.0.0.1:1/metrics", "registry": "http://127.0.0.1:2"}
    assert json.loads(line) == {"service": "agent", "pid": os.getpid()} | told
    assert line.endswith("\n")
    assert env == {}


def test_nobody_to_tell() -> None:
    tell_supervisor("agent", "", {})
    Systemd({}).send("READY=1")
    assert Systemd({}).ping_interval_s is None


def test_systemd_gets_the_state(tmp_path: Path) -> None:
    path = str(tmp_path / "n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(path)
        systemd = Systemd({"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "4000000", "WATCHDOG_PID": str(os.getpid())})
        systemd.send("READY=1")
        assert sock.recv(100) == b"READY=1"
    assert systemd.ping_interval_s == 2.0


def test_watchdog_of_another_process() -> None:
    assert Systemd({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"}).ping_interval_s is None


def test_systemd_that_has_gone_is_no_error(tmp_path: Path) -> None:
    Systemd({"NOTIFY_SOCKET": str(tmp_path / "gone")}).send("STOPPING=1")
