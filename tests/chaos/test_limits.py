"""Limits: what is too much is refused or cut off, clearly, and nobody else notices. See docs/reliability.md."""

import socket
import time
from pathlib import Path
from urllib.parse import quote

import pytest
from chaos_rig.client import Client
from chaos_rig.figures import Figures
from chaos_rig.load import Load
from chaos_rig.measure import resident
from chaos_rig.scale import scaled
from chaos_rig.suite import ChaosSuite
from e2e_rig.api import Reply
from e2e_rig.waits import eventually

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]
_MIB = 1 << 20
_PIDS = 40
_MOST_HELD = 160 * _MIB  # 16,384 events of some 7 KB
_ONLY_CREATE = quote('{"event":["create"]}')


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
    """What can't be told in one message is refused at create and leaves nothing; what is taken is listed and told."""
    began = int(time.time())

    def create(labels: int, environment: int = 0) -> Reply:
        body = {
            "Image": "busybox",
            "Cmd": ["true"],
            "Labels": {"long": "x" * labels},
            "Env": ["LONG=" + "x" * environment],
        }
        return suite.api.request("POST", "/containers/create?name=oversize", body)

    refused = [create(9 * _MIB), create(57 << 10), create(0, 9 * _MIB), create(0, int(7.8 * _MIB))]
    assert [reply.status for reply in refused] == [413] * len(refused), refused
    assert "make its labels smaller" in refused[1].message
    assert "make its labels, environment or command smaller" in refused[3].message
    labels, environment = 50 << 10, int(7.5 * _MIB)
    taken = create(labels, environment)
    assert taken.status == 201, taken
    identifier = str(taken.json()["Id"])
    listed = client.steadily("GET", "/containers/json?all=1").json()
    assert [(one["Id"], len(one["Labels"]["long"])) for one in listed] == [(identifier, labels)]
    assert max(map(len, client.inspect(identifier)["Config"]["Env"])) == len("LONG=") + environment
    told = suite.api.request("GET", f"/events?since={began}&until={int(time.time()) + 1}&filters={_ONLY_CREATE}").body
    assert identifier.encode() in told
    client.remove(identifier)
    figures.show(
        "L2", "9 MiB of JSON, 57 KiB of labels, 7.8 MiB of environment: 413; 50 KiB and 7.5 MiB: 201, listed and told"
    )


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
    assert grown < _MOST_HELD
    figures.show("L3", f"/events without a reader over {load.count} lives: API +{grown / _MIB:.0f} MiB, nobody held up")
