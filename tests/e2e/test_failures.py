"""kill -9 of a service while a container runs: it comes back, the container goes on, and all is told once."""

import os
import signal
import time
from collections.abc import Iterator

import pytest
from e2e_rig.api import Api, EventStream, filters
from e2e_rig.docker_cli import DockerCli
from e2e_rig.processes import alive
from e2e_rig.seaway import Seaway
from e2e_rig.waits import eventually
from test_events import past
from test_network import SERVE, fetch

pytestmark = pytest.mark.seaway_only
SERVICES = ("api", "metadata", "image", "scheduler", "agent")


@pytest.fixture
def suite(engine: Seaway) -> Iterator[Seaway]:
    """The shared suite, whole again after the test."""
    yield engine
    eventually(
        lambda: len(engine.rows()) == 6 and all(row["state"] == "ready" for row in engine.rows()), "all services", 30
    )
    eventually(engine.serves, "the API")


def kill(suite: Seaway, service: str) -> int:
    """kill -9; gives the new process' id when it is ready."""
    old = int(suite.row(service)["pid"])
    os.kill(old, signal.SIGKILL)
    return suite.restarted(service, old)


@pytest.mark.parametrize("service", SERVICES)
def test_running_container_goes_on(suite: Seaway, cli: DockerCli, api: Api, service: str, name: str) -> None:
    since = time.time()
    script = "echo before; until test -e /tmp/go; do sleep 0.05; done; echo after; exit 7"
    shared = suite.root.parent
    container = cli("run", "-d", "--name", name, "-v", f"{shared}:/tmp", "busybox", "sh", "-c", script).out
    pid = cli("inspect", name, "--format", "{{.State.Pid}}").out
    kill(suite, service)
    eventually(suite.serves, "the API")
    state = eventually(
        lambda: cli.try_("inspect", name, "--format", "{{.State.Status}} {{.State.Pid}}").out, "its state"
    )
    assert state == f"running {pid}"
    (shared / "go").touch()
    try:
        assert cli("wait", name).out == "7"
    finally:
        (shared / "go").unlink()
    assert cli("logs", name).lines == ["before", "after"]
    assert cli("run", "--rm", "busybox", "echo", "next").out == "next"
    cli("rm", name)
    told = [event["Action"] for event in past(api, since, container=container, type="container")]
    assert told == ["create", "start", "die", "destroy"]


def test_end_while_the_agent_is_dead(suite: Seaway, cli: DockerCli, api: Api, name: str) -> None:
    since = time.time()
    container = cli("run", "-d", "--name", name, "busybox", "sh", "-c", "sleep 0.4; exit 9").out
    pid = int(cli("inspect", name, "--format", "{{.State.Pid}}").out)
    agent = int(suite.row("agent")["pid"])
    os.kill(agent, signal.SIGSTOP)
    eventually(lambda: not alive(pid), "the container's end")
    os.kill(agent, signal.SIGKILL)
    suite.restarted("agent", agent)
    assert cli("wait", name).out == "9"
    assert cli("inspect", name, "--format", "{{.State.Status}} {{.State.ExitCode}}").out == "exited 9"
    told = [event["Action"] for event in past(api, since, container=container, type="container")]
    assert told == ["create", "start", "die"]


def test_waiting_client_survives_metadata_s_and_the_agent_s_death(suite: Seaway, cli: DockerCli, name: str) -> None:
    cli("run", "-di", "--name", name, "busybox", "sh", "-c", "read line; exit 6")
    with cli.spawn("wait", name) as waiter:
        kill(suite, "metadata")
        kill(suite, "agent")
        eventually(lambda: cli.try_("kill", "-s", "KILL", name).code == 0, "a working kill")
        out, _ = waiter.communicate(timeout=20)
    assert out == b"137\n"


def test_live_events_go_on_over_the_agent_s_death(suite: Seaway, cli: DockerCli, api: Api) -> None:
    with EventStream(api, filters(type="container")) as stream:
        kill(suite, "agent")
        container = cli("run", "-d", "busybox", "true").out
        told = [event["Action"] for event in stream.until("die", container)]
    assert told == ["create", "start", "die"]


def test_a_port_published_on_ipv6_is_back_with_the_agent(suite: Seaway, cli: DockerCli, name: str) -> None:
    cli("run", "-d", "--name", name, "-p", "[::1]::80", *SERVE)
    port = cli("port", name, "80").out.rpartition(":")[2]
    assert fetch("[::1]", port) == "served\n"
    kill(suite, "agent")
    assert fetch("[::1]", port) == "served\n"
    suite.stop()
    suite.start()
    assert fetch("[::1]", port) == "served\n"


def test_everything_stops_and_starts_while_a_container_runs(suite: Seaway, cli: DockerCli, api: Api, name: str) -> None:
    since = time.time()
    container = cli("run", "-di", "--name", name, "-p", "127.0.0.1::80", "busybox", "cat").out
    address = cli("inspect", name, "--format", "{{.NetworkSettings.IPAddress}}").out
    port = cli("port", name).out
    suite.stop()
    suite.start()
    assert cli("ps", "--format", "{{.Names}}").lines == [name]
    assert cli("inspect", name, "--format", "{{.NetworkSettings.IPAddress}}").out == address
    assert cli("port", name).out == port
    other = cli("run", "--rm", "busybox", "hostname", "-i").out
    assert other != address
    cli("kill", name)
    assert cli("wait", name).out == "137"
    told = [event["Action"] for event in past(api, since, container=container, type="container")]
    assert told == ["create", "start", "kill", "die"]
