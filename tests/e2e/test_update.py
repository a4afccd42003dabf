"""docker update: limits that hold at once and in later runs, restart policies, refusals."""

import os
import signal
from pathlib import Path
from typing import Any

import docker
import pytest
from e2e_rig.api import Api, EventStream, filters
from e2e_rig.docker_cli import DockerCli
from e2e_rig.engine import Engine
from e2e_rig.seaway import Seaway
from e2e_rig.waits import eventually

MIB = 1 << 20
SLEEP = ("busybox", "sleep", "1000")
FILES = {
    "memory": ("memory", "memory.limit_in_bytes", "memory.max"),
    "shares": ("cpu", "cpu.shares", "cpu.weight"),
    "quota": ("cpu", "cpu.cfs_quota_us", "cpu.max"),
    "pids": ("pids", "pids.max", "pids.max"),
    "cpus": ("cpuset", "cpuset.cpus", "cpuset.cpus"),
    "soft": ("memory", "memory.soft_limit_in_bytes", "memory.low"),
}


def limit(engine: Engine, container: str, what: str) -> str:
    """The kernel's own word for a limit."""
    controller, v1, v2 = FILES[what]
    for pattern in (f"{controller}/**/{engine.cgroup_parent}", f"**/{engine.cgroup_parent}"):
        for directory in Path("/sys/fs/cgroup").glob(f"{pattern}/{container}"):
            for file in (directory / v1, directory / v2):
                if file.exists():
                    return file.read_text().split()[0]
    raise AssertionError(f"no {controller} cgroup of {container}")


def host_config(api: Api, container: str) -> dict[str, Any]:
    found = api.get(f"/containers/{container}/json")["HostConfig"]
    assert isinstance(found, dict)
    return found


def test_limits_hold_at_once_and_in_the_next_run(cli: DockerCli, api: Api, engine: Engine) -> None:
    container = cli("run", "-d", "-m", "64m", *SLEEP).out
    flags = ("-m", "100m", "--memory-swap", "200m", "--cpu-shares", "512", "--pids-limit", "77")
    assert cli("update", *flags, "--cpuset-cpus", "0", "--cpus", "0.5", container).out == container
    expected = {"memory": str(100 * MIB), "pids": "77", "cpus": "0", "quota": "50000"}
    for _ in range(2):
        assert {what: limit(engine, container, what) for what in expected} == expected
        shown = host_config(api, container)
        assert (shown["Memory"], shown["MemorySwap"], shown["CpuShares"]) == (100 * MIB, 200 * MIB, 512)
        assert (shown["PidsLimit"], shown["CpusetCpus"], shown["NanoCpus"]) == (77, "0", 500_000_000)
        cli("restart", "-t", "0", container)


def test_update_of_a_stopped_and_of_a_paused_one(cli: DockerCli, api: Api, engine: Engine) -> None:
    container = cli("create", *SLEEP).out
    cli("update", "--pids-limit", "33", container)
    cli("start", container)
    assert limit(engine, container, "pids") == "33"
    cli("pause", container)
    cli("update", "--pids-limit", "44", container)
    assert limit(engine, container, "pids") == "44"
    cli("update", "--pids-limit", "-1", container)
    assert limit(engine, container, "pids") == "max"


def test_update_is_an_event_and_answers_null(api: Api, cli: DockerCli) -> None:
    container = cli("run", "-d", *SLEEP).out
    with EventStream(api, filters(container=container)) as events:
        reply = api.request("POST", f"/containers/{container}/update", {"CpuShares": 300})
        assert (reply.status, reply.json()) == (200, {"Warnings": None})
        assert [event["Action"] for event in events.until("update")] == ["update"]


@pytest.mark.parametrize(
    ("body", "status", "part"),
    [
        ({"Memory": MIB}, 400, "Minimum memory limit allowed is 6MB"),
        ({"Memory": 500 * MIB}, 409, "should be smaller than already set memoryswap limit, update the memoryswap"),
        ({"Memory": 64 * MIB, "MemorySwap": 32 * MIB}, 400, "Minimum memoryswap limit should be larger"),
        ({"CpuQuota": 50_000}, 409, "CPU Quota cannot be updated as NanoCPUs has already been set"),
        ({"CpuPeriod": 50_000}, 409, "CPU Period cannot be updated as NanoCPUs has already been set"),
        ({"CpusetCpus": "999"}, 400, "Requested CPUs are not available - requested 999, available: "),
        ({"CpusetCpus": "x"}, 400, "Invalid value x for cpuset cpus: invalid format: x"),
        ({"MemoryReservation": MIB}, 400, "Minimum memory reservation allowed is 6MB"),
        ({"RestartPolicy": {"Name": "bogus"}}, 400, "invalid restart policy: unknown policy 'bogus'"),
        ({"RestartPolicy": {"Name": "always", "MaximumRetryCount": 3}}, 400, "can only be used with 'on-failure'"),
    ],
)
def test_refusals(api: Api, body: dict[str, Any], status: int, part: str) -> None:
    config = {"Memory": 64 * MIB, "NanoCpus": 500_000_000}
    made = api.request("POST", "/containers/create", {"Image": "busybox", "HostConfig": config}).json()["Id"]
    before = host_config(api, made)
    reply = api.request("POST", f"/containers/{made}/update", body)
    assert (reply.status, part in reply.message) == (status, True), reply
    if status == 409:
        assert reply.message.startswith(f"Cannot update container {made}: ")
    assert host_config(api, made) == before


def test_a_restart_policy_does_not_go_with_auto_remove(api: Api, cli: DockerCli) -> None:
    container = cli("run", "-d", "--rm", *SLEEP).out
    reply = api.request("POST", f"/containers/{container}/update", {"RestartPolicy": {"Name": "always"}})
    assert (reply.status, "because AutoRemove is enabled" in reply.message) == (409, True)
    assert api.request("POST", "/containers/nothing/update", {}).message == "No such container: nothing"


def test_less_memory_than_is_in_use(api: Api, cli: DockerCli, engine: Engine) -> None:
    """Refused by the kernel on cgroup v1; nothing is changed then."""
    if not Path("/sys/fs/cgroup/memory/memory.limit_in_bytes").exists():
        pytest.skip("cgroup v2 has the kernel reclaim or kill instead")
    script = "head -c 40m /dev/zero | (read -r x; sleep 1000) & head -c 40000000 /dev/zero > /dev/shm/x; echo up; wait"
    container = cli("run", "-d", "-m", "100m", "busybox", "sh", "-c", script).out
    eventually(lambda: "up" in cli("logs", container).out, "40 MB in use")
    before = limit(engine, container, "memory"), host_config(api, container)
    reply = api.request("POST", f"/containers/{container}/update", {"Memory": 8 * MIB})
    assert reply.status == 500 and f"unable to set memory limit to {8 * MIB}" in reply.message, reply
    assert (limit(engine, container, "memory"), host_config(api, container)) == before


def test_restart_policy_by_update(cli: DockerCli, api: Api, name: str) -> None:
    cli("run", "-d", "--name", name, "busybox", "sh", "-c", "sleep 1; exit 3")
    assert cli("update", "--restart", "on-failure:2", name).out == name
    shown = "{{.RestartCount}} {{.State.Status}} {{.HostConfig.RestartPolicy.Name}}"
    eventually(lambda: cli("inspect", name, "--format", shown).out == "2 exited on-failure", "two restarts", 30)
    other = cli("run", "-d", "--restart", "always", "busybox", "sh", "-c", "sleep 0.3").out
    cli("update", "--restart", "no", other)
    eventually(lambda: not api.get(f"/containers/{other}/json")["State"]["Running"], "its end", 20)
    assert host_config(api, other)["RestartPolicy"] == {"Name": "no", "MaximumRetryCount": 0}


def test_update_with_docker_py(py: docker.DockerClient) -> None:
    container = py.containers.run("busybox", ["sleep", "1000"], detach=True, mem_limit="64m")
    assert container.update(mem_limit="50m", cpu_shares=300) == {"Warnings": None}
    container.reload()
    assert container.attrs["HostConfig"]["Memory"] == 50 * MIB


@pytest.mark.seaway_only
def test_an_update_survives_agent_and_metadata(engine: Seaway, cli: DockerCli, api: Api) -> None:
    container = cli("run", "-d", *SLEEP).out
    cli("update", "--pids-limit", "55", "--restart", "unless-stopped", container)
    for service in ("agent", "metadata"):
        pid = engine.processes()[service]
        os.kill(pid, signal.SIGKILL)
        engine.restarted(service, pid)
    shown = host_config(api, container)
    assert (shown["PidsLimit"], shown["RestartPolicy"]["Name"]) == (55, "unless-stopped")
    cli("restart", "-t", "0", container)
    assert limit(engine, container, "pids") == "55"
