"""HostConfig and Config in full: limits, devices, namespaces, mounts, links, each proven by what the kernel shows."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from e2e_rig.api import Api, frames
from e2e_rig.docker_cli import DockerCli
from e2e_rig.engine import Engine
from e2e_rig.waits import eventually

V1 = Path("/sys/fs/cgroup/memory").is_dir()
MIB = 1 << 20


def run(api: Api, script: str, **body: Any) -> str:
    """What a container with this body writes; it must end well."""
    made = create(api, Cmd=["sh", "-c", script], **body)
    reply = api.request("POST", f"/containers/{made}/start")
    assert reply.status == 204, reply
    code = api.request("POST", f"/containers/{made}/wait").json()["StatusCode"]
    logs = api.request("GET", f"/containers/{made}/logs?stdout=1&stderr=1").body
    text = b"".join(frames(logs).values()).decode()
    assert code == 0, text
    return text


def create(api: Api, query: str = "", **body: Any) -> str:
    reply = api.request("POST", f"/containers/create{query}", {"Image": "busybox"} | body)
    assert reply.status == 201, reply
    return str(reply.json()["Id"])


def started(api: Api, **body: Any) -> tuple[int, str]:
    """Status and sentence of a start."""
    reply = api.request("POST", f"/containers/{create(api, **body)}/start")
    return reply.status, reply.message if reply.body else ""


# --- limits


@pytest.mark.skipif(not V1, reason="files of cgroup v1")
def test_limits_reach_the_kernel(api: Api) -> None:
    files = {
        "memory/memory.limit_in_bytes": 64 * MIB,
        "memory/memory.memsw.limit_in_bytes": 96 * MIB,
        "memory/memory.soft_limit_in_bytes": 32 * MIB,
        "cpu/cpu.shares": 512,
        "cpu/cpu.cfs_quota_us": 25000,
        "cpu/cpu.cfs_period_us": 50000,
        "cpuset/cpuset.cpus": 0,
        "cpuset/cpuset.mems": 0,
        "pids/pids.max": 33,
    }
    host = {
        "Memory": 64 * MIB, "MemorySwap": 96 * MIB, "MemoryReservation": 32 * MIB, "MemorySwappiness": 40,
        "OomKillDisable": True, "CpuShares": 512, "CpuQuota": 25000, "CpuPeriod": 50000, "CpusetCpus": "0",
        "CpusetMems": "0", "PidsLimit": 33, "OomScoreAdj": 321, "ShmSize": 8 * MIB,
        "Ulimits": [{"Name": "nofile", "Soft": 77, "Hard": 88}, {"Name": "core", "Soft": -1, "Hard": -1}],
    }  # fmt: skip
    more = "grep oom_kill_disable memory/memory.oom_control; cat memory/memory.swappiness /proc/self/oom_score_adj"
    limits = "ulimit -n; ulimit -Hn; ulimit -c; grep /dev/shm /proc/mounts"
    lines = run(api, f"cd /sys/fs/cgroup; cat {' '.join(files)}; {more}; {limits}", HostConfig=host).splitlines()
    assert dict(zip(files, map(int, lines), strict=False)) == files
    assert lines[len(files) : len(files) + 6] == ["oom_kill_disable 1", "40", "321", "77", "88", "unlimited"]
    assert "size=8192k" in lines[-1]


@pytest.mark.skipif(not V1, reason="files of cgroup v1")
def test_rates_of_block_devices(api: Api) -> None:
    device = next((f"/dev/{path.name}" for path in sorted(Path("/sys/block").iterdir())), "")
    if not Path(device).is_block_device():
        pytest.skip("the machine has no block device")
    number = f"{os.major(Path(device).stat().st_rdev)}:{os.minor(Path(device).stat().st_rdev)}"
    host = {
        "BlkioDeviceReadBps": [{"Path": device, "Rate": 1111000}],
        "BlkioDeviceWriteBps": [{"Path": device, "Rate": 2222000}],
        "BlkioDeviceReadIOps": [{"Path": device, "Rate": 333}],
        "BlkioDeviceWriteIOps": [{"Path": device, "Rate": 444}],
    }
    script = (
        "cd /sys/fs/cgroup/blkio; cat blkio.throttle.{read,write}_bps_device blkio.throttle.{read,write}_iops_device"
    )
    script = script.replace("{read,write}_bps", "read_bps").replace("{read,write}_iops", "read_iops")
    script += "; cat blkio.throttle.write_bps_device blkio.throttle.write_iops_device"
    expected = [f"{number} {rate}" for rate in (1111000, 333, 2222000, 444)]
    assert run(api, script, HostConfig=host).splitlines() == expected
    missing = {"BlkioDeviceReadBps": [{"Path": "/dev/none", "Rate": 1}]}
    assert started(api, HostConfig=missing) == (500, "stat /dev/none: no such file or directory")


@pytest.mark.parametrize(
    ("host", "message"),
    [
        ({"NanoCpus": -1}, "Range of CPUs is from 0.01 to {cpus}.00, as there are only {cpus} CPUs available"),
        ({"NanoCpus": 10**13}, "Range of CPUs is from 0.01 to {cpus}.00, as there are only {cpus} CPUs available"),
        ({"CpusetCpus": "4000"}, "Requested CPUs are not available - requested 4000, available: {online}"),
        ({"CpusetMems": "99"}, "Requested memory nodes are not available - requested 99, available: 0"),
        ({"CpusetCpus": "3-1"}, "Invalid value 3-1 for cpuset cpus: invalid format: 3-1"),
        ({"Runtime": "nope"}, "unknown or invalid runtime name: nope"),
        ({"PidMode": "container:nope"}, "No such container: nope"),
        ({"VolumesFrom": ["nope"]}, "No such container: nope"),
        ({"Links": ["nope:a"]}, "could not get container for nope: No such container: nope"),
        ({"Mounts": [{"Type": "bind", "Source": "/no/such", "Target": "/x"}]},
         'invalid mount config for type "bind": bind source path does not exist: /no/such'),
    ],
)  # fmt: skip
def test_what_the_node_refuses_at_create(api: Api, host: dict[str, Any], message: str) -> None:
    reply = api.request("POST", "/containers/create", {"Image": "busybox", "HostConfig": host})
    online = Path("/sys/devices/system/cpu/online").read_text().strip()
    assert (reply.status, reply.message) == (400, message.format(cpus=os.cpu_count(), online=online))
    assert api.containers() == []


def test_warnings(api: Api) -> None:
    body = {"Image": "busybox", "MacAddress": "02:42:ac:11:00:99", "HostConfig": {"OomKillDisable": True}}
    warned = api.request("POST", "/v1.44/containers/create", body).json()["Warnings"]
    assert [text.split(" ")[0] for text in warned[:2]] == ["OOM", "The"]


def test_another_platform(api: Api) -> None:
    reply = api.request("POST", "/containers/create?platform=linux/s390x", {"Image": "busybox"})
    assert reply.status == 404 and "does not match the specified platform: wanted linux/s390x" in reply.message


# --- what comes back


def test_everything_comes_back(api: Api) -> None:
    host: dict[str, Any] = {
        "Annotations": {"a": "b"}, "CapAdd": ["net_admin"], "CapDrop": ["CHOWN"], "ConsoleSize": [20, 30],
        "CgroupParent": "", "Dns": ["1.1.1.1"], "DnsOptions": ["ndots:1"], "DnsSearch": ["a.b"], "GroupAdd": ["7"],
        "ExtraHosts": ["a:1.2.3.4"], "Init": False, "MaskedPaths": ["/proc/a"], "ReadonlyPaths": [],
        "DeviceRequests": [
            {"Driver": "", "Count": -1, "DeviceIDs": None, "Capabilities": [["gpu"]], "Options": {}},
        ],
        "Mounts": [{"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": MIB}}],
        "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}], "81/tcp": None},
        "SecurityOpt": ["label=type:x"], "Sysctls": {"kernel.msgmax": "9000"}, "UsernsMode": "host",
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m"}}, "UTSMode": "host", "PidsLimit": 9,
    }  # fmt: skip
    config = {"OnBuild": ["RUN x"], "Shell": ["/bin/sh", "-c"], "StopSignal": "TERM", "StopTimeout": 3, "Tty": True}
    shown = api.get(f"/containers/{create(api, HostConfig=host, **config)}/json")
    assert {key: shown["HostConfig"][key] for key in host} == host
    assert {key: shown["Config"][key] for key in config} == config


# --- devices


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"Driver": "", "Count": -1, "Capabilities": [["gpu"]]},
         'could not select device driver "" with capabilities: [[gpu]]'),
        ({"Driver": "nope", "Count": 1, "Capabilities": [["a", "b"], ["c"]]},
         'could not select device driver "nope" with capabilities: [[a b] [c]]'),
    ],
)  # fmt: skip
def test_devices_that_nobody_can_find(api: Api, request_: dict[str, Any], message: str) -> None:
    assert started(api, HostConfig={"DeviceRequests": [request_]}) == (500, message)


@pytest.fixture(params=["json", "yaml"])
def cdi(request: pytest.FixtureRequest) -> Iterator[str]:
    """A device of a CDI file on this machine."""
    directory = Path("/var/run/cdi")
    made = [path for path in (directory.parent, directory) if not path.exists()]
    directory.mkdir(parents=True, exist_ok=True)
    kind = f"seaway.test/class{os.getpid()}"
    edits = {
        "env": ["CDI_ONE=1"],
        "deviceNodes": [{"path": "/dev/given", "hostPath": "/dev/null", "permissions": "rw"}],
        "mounts": [{"hostPath": "/etc", "containerPath": "/given", "options": ["ro", "rbind"]}],
    }
    spec = {
        "cdiVersion": "0.6.0",
        "kind": kind,
        "devices": [{"name": "one", "containerEdits": edits}],
        "containerEdits": {"env": ["CDI_ALL=2"]},
    }
    path = directory / f"seaway-{os.getpid()}.{request.param}"
    path.write_text(json.dumps(spec) if request.param == "json" else yaml.safe_dump(spec))
    yield kind
    path.unlink()
    for directory in reversed(made):
        directory.rmdir()


@pytest.mark.seaway_only
def test_cdi_devices(cli: DockerCli, cdi: str) -> None:
    script = "echo $CDI_ONE $CDI_ALL; stat -c %F /dev/given; echo x > /dev/given; ls -d /given/passwd; touch /given/x"
    result = cli.try_("run", "--rm", "--device", f"{cdi}=one", "busybox", "sh", "-c", script)
    assert result.out.splitlines() == ["1 2", "character special file", "/given/passwd"]
    assert "Read-only file system" in result.err
    result = cli.try_("run", "--rm", "--device", f"{cdi}=two", "busybox", "true")
    assert f"CDI device injection failed: unresolvable CDI devices {cdi}=two" in result.err


@pytest.mark.seaway_only
def test_cdi_devices_are_shown(api: Api, cdi: str) -> None:
    """Nodes look for them now and then."""
    wanted = {"Source": "cdi", "ID": f"{cdi}=one"}
    eventually(lambda: wanted in api.get("/info").get("DiscoveredDevices", ()), "the device in /info", timeout=40)
    assert "DiscoveredDevices" not in api.get("/v1.49/info")


# --- privileges


def test_security_options(api: Api) -> None:
    denies = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}]}
    script = (
        "mkdir /x; grep -E 'Seccomp:|NoNewPrivs' /proc/self/status; mount | grep -c ' on /proc/sys '; ls /proc/acpi"
    )
    host = {
        "SecurityOpt": [f"seccomp={json.dumps(denies)}", "no-new-privileges=1", "apparmor=unconfined"],
        "MaskedPaths": [],
        "ReadonlyPaths": [],
    }
    lines = run(api, f"{script}; true", HostConfig=host).splitlines()
    assert "mkdir: can't create directory '/x': Operation not permitted" in lines
    assert {"Seccomp:\t2", "NoNewPrivs:\t1", "0"} <= set(lines)


def test_sysctls(api: Api) -> None:
    host = {"Sysctls": {"net.ipv4.ip_default_ttl": "33", "kernel.msgmax": "9000"}}
    assert run(api, "sysctl -n net.ipv4.ip_default_ttl kernel.msgmax", HostConfig=host).split() == ["33", "9000"]
    status, message = started(api, HostConfig={"Sysctls": {"vm.swappiness": "1"}})
    assert status == 500 and 'sysctl "vm.swappiness" is not in a separate kernel namespace' in message
    status, message = started(api, HostConfig={"Sysctls": {"net.ipv4.ip_forward": "1"}, "NetworkMode": "host"})
    assert status == 500 and 'sysctl "net.ipv4.ip_forward" not allowed in host network namespace' in message


def test_init_is_the_first_process_and_reaps(cli: DockerCli) -> None:
    """The orphan's parent is process 1 once the shell between has ended; nobody else could reap it."""
    orphan = "pid=$(sh -c 'sleep 0.1 >/dev/null & echo $!'); while [ -d /proc/$pid ]; do sleep 0.05; done"
    script = f"tr '\\0' ' ' </proc/1/cmdline; {orphan}"
    assert cli("run", "--rm", "--init", "busybox", "sh", "-c", script).out.startswith("/sbin/docker-init -- sh -c")


# --- wrong ports and addresses


@pytest.mark.parametrize("image", ["busybox", "not-there"])
@pytest.mark.parametrize(
    "body",
    [
        {"HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "99999"}]}}},
        {"HostConfig": {"PortBindings": {"80/tcp": [{"HostIp": "1.2.3.4.5", "HostPort": "80"}]}}},
        {"HostConfig": {"PortBindings": {"99999/tcp": [{"HostPort": "80"}]}}},
        {"ExposedPorts": {"0/tcp": {}}},
        {"NetworkingConfig": {"EndpointsConfig": {"bridge": {"IPAMConfig": {"IPv4Address": "1.2.3.4.5"}}}}},
    ],
)
def test_a_wrong_port_or_address_is_the_clients_mistake_alone(
    engine: Engine, api: Api, image: str, body: dict[str, Any]
) -> None:
    """A 400 that names it, and no service logs a warning, nor a traceback."""
    before = {path: path.stat().st_size for path in engine.logs()}
    reply = api.request("POST", "/containers/create", {"Image": image, **body})
    assert reply.status == 400 and any(wrong in reply.message for wrong in ("99999", "1.2.3.4.5", "0/tcp")), reply
    api.request("GET", "/info")
    logged = b"".join(path.read_bytes()[before.get(path, 0) :] for path in engine.logs())
    assert not re.search(rb"Traceback|WARN|ERROR|FATAL", logged), logged.decode()


# --- namespaces of others


def test_shared_memory_is_shared(cli: DockerCli, api: Api, name: str) -> None:
    cli("run", "-d", "--name", name, "--ipc", "shareable", "--shm-size", "9m", "busybox", "sleep", "600")
    script = "echo hello > /dev/shm/word; readlink /proc/self/ns/ipc; grep ' /dev/shm ' /proc/mounts"
    namespace, mount = cli("run", "--rm", "--ipc", f"container:{name}", "busybox", "sh", "-c", script).lines
    assert cli("run", "--rm", "--ipc", f"container:{name}", "busybox", "cat", "/dev/shm/word").out == "hello"
    pid = cli("inspect", name, "--format", "{{.State.Pid}}").out
    assert os.readlink(f"/proc/{pid}/ns/ipc") == namespace
    assert "size=9216k" in mount and {"nosuid", "nodev", "noexec"} <= set(mount.split()[3].split(","))
    assert Path(f"/proc/{pid}/root/dev/shm/word").read_text() == "hello\n"
    mounted = cli(
        "inspect", create(api, HostConfig={"IpcMode": f"container:{name}"}), "--format", "{{.HostConfig.IpcMode}}"
    )
    assert mounted.out == f"container:{cli('inspect', name, '--format', '{{.Id}}').out}"


def test_whose_namespaces_can_not_be_joined(cli: DockerCli, name: str) -> None:
    private = cli("run", "-d", "busybox", "sleep", "600").out
    made = cli("create", "--name", name, "--ipc", "shareable", "busybox").out
    for kind, partner, words in (
        (
            "ipc",
            private,
            f"failed to join IPC namespace: container {private}: non-shareable IPC (hint: use IpcMode:share",
        ),
        ("ipc", made, f"failed to join IPC namespace: container {made} is not running"),
        ("pid", made, f"failed to join PID namespace: container {made} is not running"),
        ("network", made, f"cannot join network of a non running container: {made}"),
    ):
        result = cli.try_("run", "--rm", f"--{kind}", f"container:{partner}", "busybox", "true")
        assert result.code == 125 and words in result.err
    result = cli.try_("run", "--rm", "--pid", "container:nobody-there", "busybox", "true")
    assert "No such container: nobody-there" in result.err and "Unable to find image" not in result.err


# --- mounts


@pytest.fixture
def nested(tmp_path: Path) -> Iterator[Path]:
    """A directory with another mount below it."""
    below = tmp_path / "below"
    below.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "x", below], check=True)
    yield tmp_path
    subprocess.run(["umount", below], check=True)


def test_read_only_is_so_all_the_way_down(api: Api, nested: Path) -> None:
    def bind(target: str, **options: Any) -> dict[str, Any]:
        return {"Type": "bind", "Source": str(nested), "Target": target, "ReadOnly": True, "BindOptions": options}

    mounts = [
        bind("/deep"),
        bind("/forced", ReadOnlyForceRecursive=True, Propagation="rprivate"),
        bind("/flat", ReadOnlyNonRecursive=True),
        bind("/alone", NonRecursive=True),
    ]
    script = "for at in deep forced flat alone; do touch /$at/top; touch /$at/below/x && echo $at; done; true"
    shown = run(api, script, HostConfig={"Mounts": mounts})
    assert [line for line in shown.splitlines() if " " not in line] == ["flat"]
    assert os.listdir(nested / "below") == ["x"]


@pytest.mark.parametrize(("propagation", "seen"), [("rshared", True), ("rslave", False)])
def test_a_shared_bind_passes_mounts_on(api: Api, tmp_path: Path, propagation: str, seen: bool) -> None:
    host = {"Binds": [f"{tmp_path}:/x:{propagation}"], "CapAdd": ["SYS_ADMIN"], "SecurityOpt": ["apparmor=unconfined"]}
    if not _is_shared("/"):
        status, message = started(api, HostConfig=host)
        kind = "a shared" if propagation == "rshared" else "a shared or slave"
        assert status == 500 and message.endswith(f"is mounted on / but it is not {kind} mount")
    subprocess.run(["mount", "-t", "tmpfs", "x", tmp_path], check=True)
    try:
        subprocess.run(["mount", "--make-shared", tmp_path], check=True)
        (tmp_path / "in").mkdir()
        run(api, "mount -t tmpfs y /x/in && touch /x/in/file", HostConfig=host)
        assert (tmp_path / "in/file").exists() is seen
    finally:
        subprocess.run(["umount", "-R", tmp_path], check=True)


def _is_shared(target: str) -> bool:
    shown = subprocess.run(["findmnt", "-n", "-o", "PROPAGATION", target], capture_output=True, text=True, check=True)
    return "shared" in shown.stdout


def test_a_piece_of_a_volume(api: Api, name: str) -> None:
    try:
        run(api, "mkdir -p /v/a/b; echo deep > /v/a/b/c; ln -s / /v/out", HostConfig={"Binds": [f"{name}:/v"]})

        def piece(path: str) -> dict[str, Any]:
            options = {"Subpath": path}
            return {"Mounts": [{"Type": "volume", "Source": name, "Target": "/x", "VolumeOptions": options}]}

        assert run(api, "cat /x/c", HostConfig=piece("a/b")) == "deep\n"
        status, message = started(api, HostConfig=piece("nope"))
        assert (
            status == 404
            and message.startswith("cannot access path ")
            and message.endswith("no such file or directory")
        )
        reply = api.request("POST", "/containers/create", {"Image": "busybox", "HostConfig": piece("../x")})
        assert reply.status == 400 and "subpath must be a relative path within the volume" in reply.message
        escaped = create(api, Cmd=["ls", "/x"], HostConfig=piece("out"))
        api.request("POST", f"/containers/{escaped}/start")
        api.request("POST", f"/containers/{escaped}/wait")
        listing = api.request("GET", f"/containers/{escaped}/logs?stdout=1").body
        assert b"proc" not in listing
    finally:
        api.remove_all()
        api.request("DELETE", f"/volumes/{name}")


# --- networks


def test_links(cli: DockerCli, name: str) -> None:
    linked = cli("run", "-d", "--name", name, "-e", "WORD=a b", "--expose", "5432", "busybox", "sleep", "600").out
    address = cli("inspect", name, "--format", "{{.NetworkSettings.IPAddress}}").out
    script = "env; cat /etc/hosts; ping -c 1 -W 2 db > /dev/null && echo reached"
    lines = cli("run", "--rm", "--name", f"{name}x", "--link", f"{name}:db", "busybox", "sh", "-c", script).lines
    assert {
        f"DB_PORT=tcp://{address}:5432", f"DB_PORT_5432_TCP_ADDR={address}", "DB_PORT_5432_TCP_PORT=5432",
        "DB_PORT_5432_TCP_PROTO=tcp", f"DB_NAME=/{name}x/db", "DB_ENV_WORD=a b",
        f"{address}\tdb {linked[:12]} {name}", "reached",
    } <= set(lines)  # fmt: skip
    made = cli("create", "--name", f"{name}y", "--link", f"{name}:db", "busybox").out
    assert cli("inspect", made, "--format", "{{json .HostConfig.Links}}").out == f'["/{name}:/{name}y/db"]'
    cli("stop", "-t", "0", name)
    result = cli.try_("start", made)
    assert f"Cannot link to a non running container: /{name} AS /{name}y/db" in result.err


def test_no_network_at_all(api: Api) -> None:
    assert run(api, "ls /sys/class/net", NetworkDisabled=True) == "lo\n"


def test_a_nameserver_must_be_an_address(api: Api) -> None:
    status, message = started(api, HostConfig={"Dns": ["x"]})
    assert status >= 400 and message == 'bad nameserver address x: ParseAddr("x"): unable to parse IP'
