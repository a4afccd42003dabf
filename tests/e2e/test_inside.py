"""Options of `docker create`, each proven by what a container sees of it from the inside."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from e2e_rig.api import Api, frames
from e2e_rig.docker_cli import DockerCli
from e2e_rig.engine import Engine
from e2e_rig.waits import eventually

V1 = Path("/sys/fs/cgroup/memory").is_dir()


def told(api: Api, script: str, **body: Any) -> str:
    """What a container with this body writes; it must end well."""
    reply = api.request("POST", "/containers/create", {"Image": "busybox", "Cmd": ["sh", "-c", script]} | body)
    assert reply.status == 201, reply
    made = reply.json()["Id"]
    reply = api.request("POST", f"/containers/{made}/start")
    assert reply.status == 204, reply
    code = api.request("POST", f"/containers/{made}/wait").json()["StatusCode"]
    text = b"".join(frames(api.request("GET", f"/containers/{made}/logs?stdout=1&stderr=1").body).values()).decode()
    assert code == 0, text
    return text.removesuffix("\n")


def own(namespace: str) -> str:
    return os.readlink(f"/proc/self/ns/{namespace}")


def host(**fields: Any) -> dict[str, Any]:
    return {"HostConfig": {"NetworkMode": "none"} | fields}


@pytest.mark.parametrize(
    ("namespace", "body"),
    [
        ("cgroup", host(CgroupnsMode="host")),
        ("uts", host(UTSMode="host")),
        ("ipc", host(IpcMode="host")),
        ("user", host(UsernsMode="host")),
        ("pid", host(PidMode="host")),
    ],
)
def test_the_hosts_namespaces(api: Api, namespace: str, body: dict[str, Any]) -> None:
    assert told(api, f"readlink /proc/self/ns/{namespace}", **body) == own(namespace)


@pytest.mark.parametrize(
    ("namespace", "body"),
    [("cgroup", host(CgroupnsMode="private")), ("uts", host()), ("ipc", host(IpcMode="private")), ("pid", host())],
)
def test_namespaces_of_its_own(api: Api, namespace: str, body: dict[str, Any]) -> None:
    assert told(api, f"readlink /proc/self/ns/{namespace}", **body) != own(namespace)


def test_a_private_cgroup_namespace_shows_no_path(api: Api) -> None:
    shown = told(api, "cat /proc/self/cgroup", **host(CgroupnsMode="private")).splitlines()
    assert shown and all(line.rpartition(":")[2] == "/" for line in shown if not line.startswith("0::"))


def test_the_hosts_uts_namespace_has_the_hosts_name(api: Api) -> None:
    assert told(api, "cat /proc/sys/kernel/hostname", **host(UTSMode="host")) == os.uname().nodename


def test_the_hosts_shared_memory(api: Api, name: str) -> None:
    file = Path("/dev/shm") / name
    try:
        told(api, f"echo x > /dev/shm/{name}", **host(IpcMode="host"))
        assert file.read_text() == "x\n"
    finally:
        file.unlink(missing_ok=True)


def test_no_shared_memory_at_all(api: Api) -> None:
    assert told(api, "grep -c ' /dev/shm ' /proc/mounts || true", **host(IpcMode="none")) == "0"


@pytest.mark.parametrize(
    "body",
    [
        {"MacAddress": "02:42:ac:11:00:99"},
        {"NetworkingConfig": {"EndpointsConfig": {"bridge": {"MacAddress": "02:42:ac:11:00:99"}}}},
    ],
)
def test_mac_address(api: Api, body: dict[str, Any]) -> None:
    assert told(api, "cat /sys/class/net/eth0/address", **body) == "02:42:ac:11:00:99"


def test_resolv_conf(api: Api) -> None:
    asked = {"Dns": ["192.0.2.1", "192.0.2.2"], "DnsSearch": ["example.org", "b.example"], "NetworkMode": "bridge"}
    body = host(**asked, DnsOptions=["ndots:2", "rotate"])
    lines = told(api, "grep -v ^# /etc/resolv.conf", **body).splitlines()
    assert [line for line in lines if line] == [
        "nameserver 192.0.2.1",
        "nameserver 192.0.2.2",
        "search example.org b.example",
        "options ndots:2 rotate",
    ]


@pytest.mark.skipif(not V1, reason="cgroup v2 shows no device rules")
def test_device_cgroup_rules(api: Api) -> None:
    script = "cat /sys/fs/cgroup/devices/devices.list; mknod /tmp/kvm c 10 232; cat /tmp/kvm 2>&1 | head -1 || true"
    shown = told(api, script, **host(DeviceCgroupRules=["c 10:232 r", "b 8:* rm"])).splitlines()
    assert {"c 10:232 r", "b 8:* rm"} <= {line.replace("rmw", "rwm") for line in shown}
    assert not any("not permitted" in line for line in shown)


def test_without_a_rule_a_device_is_closed(api: Api) -> None:
    assert "not permitted" in told(api, "mknod /tmp/mem c 1 1; cat /tmp/mem 2>&1 | head -1", **host())


def test_describing_annotations_reach_the_runtime(api: Api, engine: Engine) -> None:
    name = "org.opencontainers.image.title"
    body = {"Image": "busybox", "Cmd": ["sleep", "60"]} | host(Annotations={name: "value", "com.example.key": "value"})
    made = api.request("POST", "/containers/create", body).json()["Id"]
    assert api.request("POST", f"/containers/{made}/start").status == 204
    configs = [json.loads(path.read_bytes()) for path in engine.run.rglob(f"{made}/config.json")]
    assert configs
    for config in configs:
        assert config["annotations"][name] == "value"
        assert "com.example.key" not in config["annotations"]


def test_the_terminals_first_size(api: Api) -> None:
    body = {"Tty": True, "HostConfig": {"NetworkMode": "none", "ConsoleSize": [33, 44]}}
    reply = api.request("POST", "/containers/create", {"Image": "busybox", "Cmd": ["stty", "size"]} | body)
    made = reply.json()["Id"]
    assert api.request("POST", f"/containers/{made}/start").status == 204
    assert api.request("POST", f"/containers/{made}/wait").json()["StatusCode"] == 0
    assert api.request("GET", f"/containers/{made}/logs?stdout=1").body == b"33 44\r\n"


def test_a_health_check_by_a_shell_of_its_own(cli: DockerCli, api: Api, name: str) -> None:
    check = {"Test": ["CMD-SHELL", "said"], "Interval": 50_000_000}
    body = {"Image": "busybox", "Cmd": ["sleep", "60"], "Shell": ["/bin/echo", "-n"], "Healthcheck": check} | host()
    assert api.request("POST", f"/containers/create?name={name}", body).status == 201
    cli("start", name)
    log = eventually(lambda: api.get(f"/containers/{name}/json")["State"]["Health"]["Log"], "a probe")
    assert log[0]["Output"] == "said"
