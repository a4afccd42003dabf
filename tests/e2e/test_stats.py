"""docker stats and docker top: right numbers, zeros where nothing runs, streams that end."""

import json
import os
import signal
import time
from typing import Any

import docker
import pytest
from e2e_rig.api import Api, _UnixConnection
from e2e_rig.docker_cli import DockerCli
from e2e_rig.engine import Engine
from e2e_rig.seaway import Seaway
from e2e_rig.waits import eventually

SLEEP = ("busybox", "sleep", "1000")
BUSY = ("busybox", "sh", "-c", "while :; do :; done")
ZERO_TIME = "0001-01-01T00:00:00Z"
MIB = 1 << 20


def once(api: Api, container: str, query: str = "stream=0") -> Any:
    return api.get(f"/containers/{container}/stats?{query}")


class Stream:
    """`GET /containers/{id}/stats`, object by object."""

    def __init__(self, api: Api, container: str) -> None:
        self._connection = _UnixConnection(api.path, 20.0)
        self._connection.request("GET", f"/containers/{container}/stats")
        self._response = self._connection.getresponse()
        assert self._response.status == 200

    def next(self) -> Any:
        line = self._response.readline()
        return json.loads(line) if line else None

    def close(self) -> None:
        self._response.close()
        self._connection.close()


def test_one_sample_with_rates(cli: DockerCli, api: Api, name: str) -> None:
    cli("run", "-d", "--name", name, "-m", "64m", "--pids-limit", "50", *BUSY)
    began = time.monotonic()
    found = once(api, name)
    assert 0.5 < time.monotonic() - began < 5
    cpu, before = found["cpu_stats"], found["precpu_stats"]
    used = cpu["cpu_usage"]["total_usage"] - before["cpu_usage"]["total_usage"]
    share = used / (cpu["system_cpu_usage"] - before["system_cpu_usage"]) * cpu["online_cpus"]
    assert 0.1 < share < 1.3
    assert found["preread"] < found["read"]
    assert (found["name"], found["memory_stats"]["limit"]) == (f"/{name}", 64 * MIB)
    assert 0 < found["memory_stats"]["usage"] < 64 * MIB
    assert {"pgfault"} <= set(found["memory_stats"]["stats"])
    assert found["pids_stats"] == {"current": 1, "limit": 50}
    assert found["networks"]["eth0"].keys() >= {"rx_bytes", "rx_packets", "rx_errors", "tx_bytes", "tx_dropped"}


def test_one_shot_has_no_rates_and_does_not_wait(cli: DockerCli, api: Api) -> None:
    container = cli("run", "-d", "--network", "none", *SLEEP).out
    began = time.monotonic()
    found = once(api, container, "stream=0&one-shot=1")
    assert time.monotonic() - began < 2
    assert found["preread"] == ZERO_TIME
    assert "system_cpu_usage" not in found["precpu_stats"]
    assert found["cpu_stats"]["online_cpus"] > 0
    assert "networks" not in found
    reply = api.request("GET", f"/containers/{container}/stats?one-shot=1")
    assert (reply.status, reply.message) == (400, "cannot have stream=true and one-shot=true")


def test_what_does_not_run_is_zeros(cli: DockerCli, api: Api, name: str) -> None:
    cli("create", "--name", name, "busybox")
    found = once(api, name)
    assert (found["read"], found["preread"], found["name"]) == (ZERO_TIME, ZERO_TIME, f"/{name}")
    assert (found["memory_stats"], found["pids_stats"]) == ({}, {})
    assert found["cpu_stats"]["cpu_usage"]["total_usage"] == 0
    assert found["blkio_stats"]["io_service_bytes_recursive"] is None
    assert api.request("GET", "/containers/nothing/stats").message == "No such container: nothing"


def test_a_stream_goes_on_over_a_stop_and_ends_with_the_container(cli: DockerCli, api: Api, name: str) -> None:
    cli("run", "-d", "--name", name, *SLEEP)
    stream = Stream(api, name)
    first, second = stream.next(), stream.next()
    third = stream.next()
    assert third["preread"] == second["read"] > first["read"]
    cli("kill", name)
    eventually(lambda: stream.next()["read"] == ZERO_TIME, "zeros")
    cli("start", name)
    eventually(lambda: stream.next()["read"] != ZERO_TIME, "samples of the next run")
    cli("rm", "-f", name)
    deadline = time.monotonic() + 10
    while stream.next() is not None:
        assert time.monotonic() < deadline
    stream.close()


def test_many_clients_share_and_leave(cli: DockerCli, api: Api, engine: Engine) -> None:
    containers = [cli("run", "-d", *SLEEP).out for _ in range(3)]
    streams = [Stream(api, container) for container in containers for _ in range(4)]
    for stream in streams:
        assert stream.next()["pids_stats"]["current"] == 1
    reads = {stream.next()["read"] for stream in streams}
    assert len(reads) <= 3 * len(containers)
    for stream in streams[1:]:
        stream.close()
    assert streams[0].next() is not None
    streams[0].close()


def test_the_cli_shows_them(cli: DockerCli, name: str) -> None:
    cli("run", "-d", "--name", name, "-m", "64m", *BUSY)
    words = ("{{.Name}}", "{{.CPUPerc}}", "{{.MemUsage}}", "{{.PIDs}}", "{{.NetIO}}")
    shown, cpu, memory, pids, network = cli("stats", "--no-stream", "--format", ";".join(words)).out.split(";")
    assert (shown, pids) == (name, "1")
    assert float(cpu.rstrip("%")) > 10
    assert memory.endswith(" / 64MiB") and "B / " in network


def test_stats_of_one_that_shares_another_s_network(cli: DockerCli, api: Api, name: str) -> None:
    cli("run", "-d", "--name", name, *SLEEP)
    other = cli("run", "-d", "--network", f"container:{name}", *SLEEP).out
    assert "eth0" in once(api, other)["networks"]


def test_stats_and_top_with_docker_py(py: docker.DockerClient) -> None:
    container = py.containers.run("busybox", ["sleep", "1000"], detach=True)
    assert container.stats(stream=False)["pids_stats"]["current"] == 1
    stream = container.stats(decode=True)
    assert next(stream)["id"] == container.id
    stream.close()
    assert container.top()["Processes"][0][-1] == "sleep 1000"


@pytest.mark.seaway_only
def test_a_stream_goes_on_after_a_kill_of_the_agent(engine: Seaway, cli: DockerCli, api: Api) -> None:
    stream = Stream(api, cli("run", "-d", *SLEEP).out)
    before = stream.next()["read"]
    agent = engine.processes()["agent"]
    os.kill(agent, signal.SIGKILL)
    engine.restarted("agent", agent)
    eventually(lambda: ZERO_TIME != stream.next()["read"] > before, "samples of the next agent")
    assert stream.next()["pids_stats"]["current"] == 1
    stream.close()


# --- top


def test_top(cli: DockerCli, api: Api, name: str) -> None:
    cli("run", "-d", "--name", name, "busybox", "sh", "-c", "sleep 777 & wait")
    eventually(lambda: "sleep 777" in cli("top", name).out, "both processes")
    found = api.get(f"/containers/{name}/top")
    assert found["Titles"] == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    assert sorted(row[-1] for row in found["Processes"]) == ["sh -c sleep 777 & wait", "sleep 777"]
    found = api.get(f"/containers/{name}/top?ps_args=-o%20pid,comm")
    assert found["Titles"] == ["PID", "COMMAND"]
    assert {row[1] for row in found["Processes"]} == {"sh", "sleep"}
    assert api.get(f"/containers/{name}/top?ps_args=aux")["Titles"][0] == "USER"
    assert len(api.get(f"/containers/{name}/top?ps_args=faux")["Processes"]) == 2


@pytest.mark.parametrize(
    ("ps_args", "status", "part"),
    [
        ("-o%20comm", 500, "Couldn't find PID field in ps output"),
        ("--bogus", 500, "unknown gnu long option"),
        ("-ef%20-o%20x", 500, 'unknown user-defined format specifier "x"'),
        ("-eo%20pid,%20comm=PID", 500, 'specifying "comm=PID" is not allowed'),
    ],
)
def test_bad_ps_args(cli: DockerCli, api: Api, ps_args: str, status: int, part: str) -> None:
    container = cli("run", "-d", *SLEEP).out
    reply = api.request("GET", f"/containers/{container}/top?ps_args={ps_args}")
    assert part in reply.message
    assert reply.status == status


def test_top_of_what_does_not_run(cli: DockerCli, api: Api) -> None:
    container = cli("create", "busybox").out
    reply = api.request("GET", f"/containers/{container}/top")
    assert (reply.status, reply.message) == (409, f"container {container} is not running")
    assert api.request("GET", "/containers/nothing/top").status == 404


def test_checkpoints_are_experimental(cli: DockerCli, api: Api) -> None:
    container = cli("run", "-d", *SLEEP).out
    reply = api.request("GET", f"/containers/{container}/checkpoints")
    assert (reply.status, "experimental" in reply.message) == (501, True)
