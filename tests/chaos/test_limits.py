"""Limits: what is too much is refused or cut off, clearly, and nobody else notices. See docs/reliability.md."""

import socket
import time
from pathlib import Path

import pytest
from chaos_rig.client import Client
from chaos_rig.figures import Figures
from chaos_rig.load import Load
from chaos_rig.measure import resident
from chaos_rig.scale import scaled
from chaos_rig.suite import ChaosSuite
from e2e_rig.waits import eventually

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]
_MIB = 1 << 20
_PIDS = 40


def test_a_fork_bomb_stays_in_its_container(suite: ChaosSuite, client: Client, figures: Figures) -> None:
    pids = suite.processes()
    bomb = client.create("bomb", "b() { b | b & }; b; sleep 1000", PidsLimit=_PIDS, Memory=256 << 20)
    client.start(bomb)
    groups = list(Path("/sys/fs/cgroup").rglob(f"{suite.cgroup_parent}/{bomb}/pids.current"))
    groups += list(Path("/sys/fs/cgroup").rglob(f"*{bomb}*/pids.current"))
    assert groups, "no pids cgroup"
    eventually(lambda: int(groups[0].read_text()) > _PIDS // 2, "the bomb to go off", 20)
    with Load(suite.api, 10, 2) as load:
        pass
    load.check()
    most = int(groups[0].read_text())
    assert most <= _PIDS
    began = time.monotonic()
    client.remove(bomb)
    assert suite.processes() == pids
    figures.show(
        "L1",
        f"fork bomb with --pids-limit {_PIDS}: {most} processes, siblings unharmed, removed in "
        f"{time.monotonic() - began:.1f} s",
    )


def test_oversize_is_refused(suite: ChaosSuite, client: Client, figures: Figures) -> None:
    body = {"Image": "busybox", "Cmd": ["true"], "Labels": {"long": "x" * (9 * _MIB)}}
    reply = suite.api.request("POST", "/containers/create?name=oversize", body)
    assert reply.status == 413, reply.status
    body["Labels"] = {"long": "x" * (7 * _MIB + _MIB // 2)}
    fits = suite.api.request("POST", "/containers/create?name=oversize", body)
    assert fits.status in (201, 400, 413), fits
    rows = client.steadily("GET", "/containers/json?all=1")
    assert rows.status in (200, 413), rows.status
    if fits.status == 201:
        client.remove(str(fits.json()["Id"]))
    figures.show("L2", f"9 MiB of JSON: {reply.status}; 7.5 MiB of labels: {fits.status}, listed: {rows.status}")


def test_a_reader_of_events_that_does_not_read(suite: ChaosSuite, figures: Figures) -> None:
    api = suite.processes()["api"]
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(str(suite.socket))
        deaf.sendall(b"GET /events HTTP/1.1\r\nHost: docker\r\n\r\n")
        assert deaf.recv(12) == b"HTTP/1.1 200"
        before = resident(api)
        with Load(suite.api, scaled(5000, 40), 8) as load:
            pass
        load.check()
        grown = resident(api) - before
    assert grown < 64 * _MIB
    figures.show("L3", f"/events without a reader over {load.count} lives: API +{grown / _MIB:.0f} MiB, nobody held up")
