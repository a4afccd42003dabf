"""R10: much output and clients that don't read: the container goes on, memory and disk stay bounded."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest
from chaos_rig.client import Client
from chaos_rig.figures import Figures
from chaos_rig.measure import Peaks, resident, tree_size, unlinked_size
from chaos_rig.scale import scaled
from chaos_rig.suite import ChaosSuite
from e2e_rig.waits import eventually

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]
_MIB = 1 << 20
_LOG_BYTES = 4 * _MIB
_LOG_FILES = 3
_BEYOND = 8 * _MIB
_MOST_LOG = _LOG_BYTES * _LOG_FILES * 2 + _BEYOND  # a file grows on while it is being set aside
_HELD_FOR_READERS = 256 * _MIB
_UNREAD = 1 << 30
_MEMORY = 48 * _MIB
_LINE = "x" * 1000


@contextmanager
def _deaf(suite: ChaosSuite, method: str, path: str) -> Iterator[socket.socket]:
    """A client that asks for output, takes the head of the answer, and no more."""
    with socket.socket(socket.AF_UNIX) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(10)
        client.connect(str(suite.socket))
        upgrade = "Connection: Upgrade\r\nUpgrade: tcp\r\n" if method == "POST" else ""
        client.sendall(f"{method} {path} HTTP/1.1\r\nHost: docker\r\n{upgrade}Content-Length: 0\r\n\r\n".encode())
        assert client.recv(12) in (b"HTTP/1.1 101", b"HTTP/1.1 200")
        yield client


def test_r10_nobody_reads(suite: ChaosSuite, client: Client, figures: Figures, tmp_path: Path) -> None:
    size = scaled(1024, 320) * _MIB
    limits = {"max-size": str(_LOG_BYTES), "max-file": str(_LOG_FILES)}
    write = f"yes {_LINE} | head -c"
    again = _LOG_BYTES * _LOG_FILES * 2
    script = f"read go < /gate/go; {write} {size}; : > /gate/written; read go < /gate/go; {write} {again}; exit 5"
    os.mkfifo(tmp_path / "go")
    log_config = {"Type": "json-file", "Config": limits}
    container = client.create("r10", script, Binds=[f"{tmp_path}:/gate"], LogConfig=log_config)
    client.start(container)
    pids = {name: suite.processes()[name] for name in ("agent", "api", "nats")}
    log = partial(tree_size, suite.root / "agent" / suite.node / "containers" / container)
    unread = partial(unlinked_size, pids["agent"])
    with ExitStack() as deaf:
        deaf.enter_context(_deaf(suite, "POST", f"/containers/{container}/attach?stream=1&stdout=1&stderr=1"))
        deaf.enter_context(_deaf(suite, "GET", f"/containers/{container}/logs?follow=1&stdout=1"))
        measures = {name: partial(resident, pid) for name, pid in pids.items()}
        with Peaks(**measures, log=log, unread=unread) as peaks:
            took = _all_written(tmp_path)
            assert client.steadily("GET", "/containers/json?all=1").status == 200
    eventually(lambda: not unread(), "the room of what was not read to be given back")
    (tmp_path / "go").write_text("\n")
    assert client.wait(container) == 5
    assert log() <= _MOST_LOG
    _check(peaks)
    figures.show(
        "R10",
        f"{size // _MIB} MiB that nobody read: written in {took:.1f} s; memory "
        f"{', '.join(f'{name} +{peaks.grown(name) / _MIB:.0f} MiB' for name in pids)}; log at most "
        f"{peaks.most['log'] / _MIB:.0f} MiB, then {log() / _MIB:.0f}; "
        f"unread on disk {peaks.most['unread'] / _MIB:.0f} MiB",
    )


def _all_written(gate: Path) -> float:
    """Let the container write, and wait until it has; how long that took in seconds."""
    began = time.monotonic()
    (gate / "go").write_text("\n")
    eventually((gate / "written").exists, "the end of the output", 300)
    return time.monotonic() - began


def _check(peaks: Peaks) -> None:
    assert {name: peaks.grown(name) // _MIB for name in ("agent", "api", "nats") if peaks.grown(name) > _MEMORY} == {}
    assert peaks.most["log"] <= _MOST_LOG + _HELD_FOR_READERS
    assert peaks.most["unread"] <= _UNREAD + _BEYOND
