"""Limits of the machine: a service that outgrows its memory, and a fork bomb that only the machine's limits hold."""

import contextlib
import http.client
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos_rig import stream
from chaos_rig.client import Client
from chaos_rig.figures import Figures
from chaos_rig.load import Load
from chaos_rig.scale import scaled
from chaos_rig.suite import ChaosSuite
from e2e_rig.waits import eventually

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]
_SERVICES = ("metadata", "agent", "api", "scheduler")
_LEAST = 1 << 20
_LARGE = 4 << 20
_FORKS = 200
_REMOVED_S = 20.0
_HIERARCHIES = Path("/sys/fs/cgroup")


@pytest.fixture
def little_memory() -> Iterator[Path]:
    """A cgroup in which a process that asks for more is killed."""
    v1 = _HIERARCHIES / "memory"
    group = (v1 if v1.is_dir() else _HIERARCHIES) / f"chaos-{os.getpid()}"
    group.mkdir()
    limit = group / "memory.limit_in_bytes"
    (limit if limit.exists() else group / "memory.max").write_text(str(_LEAST))
    yield group
    eventually(lambda: not (group / "cgroup.procs").read_text(), "an empty cgroup")
    group.rmdir()


def test_a_service_out_of_memory(suite: ChaosSuite, figures: Figures, little_memory: Path) -> None:
    """The kernel kills it, its supervisor starts it again, and nobody else notices more than after any other death."""
    killed = 0
    with Load(suite.api, scaled(400, 40), 8, script="sleep 0.1; exit {code}", lasting=True) as load:
        for service in _SERVICES:
            load.goes_on()
            pid = int(suite.row(service)["pid"])
            (little_memory / "cgroup.procs").write_text(str(pid))
            eventually(lambda service=service, pid=pid: _outgrown(suite, service, pid), "its end", 60)  # type: ignore[misc]
            suite.whole()
            killed += 1
            load.goes_on()
    load.check()
    stream.check(suite, load.since, [one.container for one in load.outcomes])
    figures.show("L6", f"{killed} services out of memory in turn, under load: started again, {load.done} lives right")


def _outgrown(suite: ChaosSuite, service: str, pid: int) -> bool:
    """Give it a large body in hand, that of a request which goes by all services; whether it has died of it."""
    body = {"Image": "busybox", "Cmd": ["true"], "Labels": {"large": "x" * _LARGE}}
    with contextlib.suppress(OSError, http.client.HTTPException):
        reply = suite.api.request("POST", "/containers/create", body)
        if reply.status == 201:
            suite.api.request("DELETE", f"/containers/{reply.json()['Id']}")
    return int(suite.row(service)["pid"]) != pid


def _pids_group(suite: ChaosSuite) -> Path:
    """The cgroup of all containers of a suite."""
    v1 = _HIERARCHIES / "pids"
    return (v1 if v1.is_dir() else _HIERARCHIES) / suite.cgroup_parent


def test_a_fork_bomb_without_a_limit_of_its_own(suite: ChaosSuite, client: Client, figures: Figures) -> None:
    """The node's containers are limited together here, so that the machine lives: siblings can't fork, services can."""
    pids = suite.processes()
    goes_on = client.create("goes-on", "sleep 1000")
    client.start(goes_on)
    pid = client.state(goes_on)["Pid"]
    group = _pids_group(suite)
    (group / "pids.max").write_text(str(_FORKS))
    try:
        bomb = client.create("bomb", "b() { b | b & }; b; sleep 1000", Memory=256 << 20)
        client.start(bomb)
        eventually(lambda: int((group / "pids.current").read_text()) >= _FORKS - 5, "the bomb to go off", 30)
        assert client.state(goes_on)["Pid"] == pid and Path(f"/proc/{pid}").exists()
        waiting = client.create("waiting", "exit 4")
        reply = suite.api.request("POST", f"/containers/{waiting}/start", timeout=60)
        assert reply.status in (204, 400, 500), reply
        began = time.monotonic()
        client.remove(bomb)
        took = time.monotonic() - began
    finally:
        (group / "pids.max").write_text("max")
    assert took < _REMOVED_S
    eventually(lambda: int((group / "pids.current").read_text()) < _FORKS // 4, "the bomb's processes to be gone")
    client.remove(waiting)
    again = client.create("again", "exit 4")
    client.start(again)
    assert client.wait(again) == 4
    assert suite.processes() == pids and client.state(goes_on)["Pid"] == pid
    said = "started all the same" if reply.status == 204 else f"refused: {reply.message[:60]}"
    figures.show(
        "L7",
        f"fork bomb without --pids-limit, all containers together held to {_FORKS} processes: siblings and services "
        f"unharmed, a start meanwhile {said}; removed in {took:.1f} s",
    )
