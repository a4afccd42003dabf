"""The runtime's config against what dockerd 26.1 gave runc for the same container.

Known differences: the two network sysctls are set when the sandbox is made; default devices are left to the runtime;
a shareable ipc namespace has its /dev/shm inside the container; no hooks; what Docker writes as empty is left out;
/proc is mounted last.
"""

from typing import Any

import pytest

from seaway_agent.oci.devices import HostDevice
from seaway_agent.oci.spec import HostMount, SpecOptions, User, compose
from seaway_contracts.containers import (
    Command,
    Mount,
    Namespaces,
    Resources,
    Security,
    Ulimit,
)
from seaway_testing import builders

Json = dict[str, Any]
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
FOURTEEN = {
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID",
    "CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
}  # fmt: skip


def composed(options: Json | None = None, **spec: Any) -> Json:
    plain: Json = {"rootfs": "/b/rootfs", "cgroups_path": "/seaway/abc/1", "hostname": "h"}
    asked = {"command": Command(cmd=("/bin/true",)), **spec}
    return compose(builders.spec(**asked), SpecOptions(**(plain | (options or {}))))


def mount_at(config: Json, target: str) -> Json:
    (found,) = [mount for mount in config["mounts"] if mount["destination"] == target]
    return {key: value for key, value in found.items() if key != "destination"}


def targets(config: Json) -> list[str]:
    return [mount["destination"] for mount in config["mounts"]]


# --- the whole of a plain container


def test_a_plain_container_is_dockers() -> None:
    config = composed({"joined": {"network": "/proc/7/ns/net"}, "user": User(0, 0, (10,), "/root")})
    for kind in ("bounding", "effective", "permitted"):
        assert set(config["process"]["capabilities"].pop(kind)) == FOURTEEN
    devices = config["linux"]["resources"].pop("devices")
    assert devices[0] == {"allow": False, "access": "rwm"}
    assert config == {
        "ociVersion": "1.0.2",
        "process": {
            "terminal": False,
            "user": {"uid": 0, "gid": 0, "additionalGids": [0, 10]},
            "args": ["/bin/true"],
            "env": [PATH, "HOSTNAME=h", "HOME=/root"],
            "cwd": "/",
            "capabilities": {},
            "noNewPrivileges": False,
            "oomScoreAdj": 0,
        },
        "root": {"path": "/b/rootfs", "readonly": False},
        "hostname": "h",
        "mounts": [
            {
                "destination": "/dev",
                "type": "tmpfs",
                "source": "tmpfs",
                "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
            },
            {
                "destination": "/dev/pts",
                "type": "devpts",
                "source": "devpts",
                "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
            },
            {
                "destination": "/sys",
                "type": "sysfs",
                "source": "sysfs",
                "options": ["nosuid", "noexec", "nodev", "ro"],
            },
            {
                "destination": "/sys/fs/cgroup",
                "type": "cgroup",
                "source": "cgroup",
                "options": ["ro", "nosuid", "noexec", "nodev"],
            },
            {
                "destination": "/dev/mqueue",
                "type": "mqueue",
                "source": "mqueue",
                "options": ["nosuid", "noexec", "nodev"],
            },
            {
                "destination": "/dev/shm",
                "type": "tmpfs",
                "source": "shm",
                "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=67108864"],
            },
            {
                "destination": "/proc",
                "type": "proc",
                "source": "proc",
                "options": ["nosuid", "noexec", "nodev"],
            },
        ],
        "annotations": {},
        "linux": {
            "cgroupsPath": "/seaway/abc/1",
            "namespaces": [
                {"type": "mount"},
                {"type": "pid"},
                {"type": "ipc"},
                {"type": "uts"},
                {"type": "network", "path": "/proc/7/ns/net"},
            ],
            "resources": {},
            "maskedPaths": [
                "/proc/asound",
                "/proc/acpi",
                "/proc/kcore",
                "/proc/keys",
                "/proc/latency_stats",
                "/proc/timer_list",
                "/proc/timer_stats",
                "/proc/sched_debug",
                "/proc/scsi",
                "/sys/firmware",
                "/sys/devices/virtual/powercap",
            ],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    }


# --- process


def test_env_is_in_dockers_order_and_a_users_value_keeps_its_place() -> None:
    command = Command(cmd=("x",), tty=True, env=("A=1", "PATH=/x", "HOME=/y", "B=", "C=a=b"))
    env = composed(command=command)["process"]["env"]
    assert env == ["PATH=/x", "HOSTNAME=h", "TERM=xterm", "A=1", "HOME=/y", "B=", "C=a=b"]


def test_a_name_without_a_value_takes_the_variable_away() -> None:
    env = composed(command=Command(env=("A=1", "A", "HOSTNAME")))["process"]["env"]
    assert env == [PATH, "HOME=/"]


def test_an_empty_home_is_the_users() -> None:
    command = Command(env=("HOME=",))
    env = composed({"user": User(1, 1, (), "/home/d")}, command=command)["process"]["env"]
    assert [one for one in env if one.startswith("HOME=")] == ["HOME=/home/d"]


def test_home_is_the_users() -> None:
    assert composed({"user": User(1, 1, (), "/home/d")})["process"]["env"][-1] == "HOME=/home/d"


def test_entrypoint_and_command_run_in_the_workdir() -> None:
    process = composed(command=Command(entrypoint=("/e", "1"), cmd=("c",), workdir="/some/where", tty=True))["process"]
    assert (process["args"], process["cwd"], process["terminal"]) == (["/e", "1", "c"], "/some/where", True)


def test_a_terminal_has_its_first_size() -> None:
    sized = Command(cmd=("sh",), tty=True, height=20, width=70)
    assert composed(command=sized)["process"]["consoleSize"] == {"height": 20, "width": 70}
    assert "consoleSize" not in composed(command=sized.model_copy(update={"tty": False}))["process"]
    assert "consoleSize" not in composed(command=sized.model_copy(update={"height": 0, "width": 0}))["process"]


def test_init_runs_the_command() -> None:
    assert composed(command=Command(cmd=("a",), init=True))["process"]["args"] == ["/sbin/docker-init", "--", "a"]


def test_the_primary_group_is_among_the_supplementary_ones_once() -> None:
    user = composed({"user": User(1, 1, (20, 1))})["process"]["user"]
    assert user == {"uid": 1, "gid": 1, "additionalGids": [1, 20]}


def test_capabilities_and_new_privileges() -> None:
    security = Security(cap_drop=("ALL",), cap_add=("NET_ADMIN",), no_new_privileges=True)
    process = composed(security=security)["process"]
    assert process["capabilities"] == {kind: ["CAP_NET_ADMIN"] for kind in ("bounding", "effective", "permitted")}
    assert process["noNewPrivileges"] is True


def test_ulimits_and_minus_one() -> None:
    ulimits = (Ulimit(name="nofile", soft=100, hard=200), Ulimit(name="core", soft=-1, hard=-1))
    limits = composed(resources=Resources(ulimits=ulimits, oom_score_adj=100))["process"]
    assert limits["rlimits"] == [
        {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200},
        {"type": "RLIMIT_CORE", "soft": 2**64 - 1, "hard": 2**64 - 1},
    ]
    assert limits["oomScoreAdj"] == 100


def test_open_files_are_limited_as_for_the_node_unless_asked_otherwise() -> None:
    options, core = {"open_files": (1024, 4096)}, Ulimit(name="core", soft=0, hard=0)
    limit = {"type": "RLIMIT_NOFILE", "soft": 1024, "hard": 4096}
    assert composed(options)["process"]["rlimits"] == [limit]
    with_core = composed(options, resources=Resources(ulimits=(core,)))["process"]["rlimits"]
    assert with_core == [{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}, limit]
    own = Ulimit(name="nofile", soft=5, hard=6)
    assert composed(options, resources=Resources(ulimits=(own,)))["process"]["rlimits"] == [
        {"type": "RLIMIT_NOFILE", "soft": 5, "hard": 6}
    ]
    assert "rlimits" not in composed()["process"]


def test_apparmor() -> None:
    assert composed({"apparmor": "mine"})["process"]["apparmorProfile"] == "mine"
    assert "apparmorProfile" not in composed(security=Security(apparmor="mine"))["process"]


def test_what_devices_and_links_bring() -> None:
    hooks = {"createContainer": ({"path": "/bin/x"},)}
    options = {"env": ("A=link", "B=link"), "late_env": ("C=device",), "hooks": hooks}
    config = composed(options, command=Command(cmd=("x",), env=("A=own", "C=own")))
    assert config["process"]["env"][-4:] == ["A=own", "B=link", "C=device", "HOME=/"]
    assert config["hooks"] == {"createContainer": [{"path": "/bin/x"}]}


def test_anothers_shared_memory() -> None:
    config = composed({"shared_memory": "/b/shm"}, namespaces=Namespaces(ipc="container:x"))
    assert mount_at(config, "/dev/shm") == {
        "type": "bind",
        "source": "/b/shm",
        "options": ["rbind", "rprivate", "nosuid", "noexec", "nodev"],
    }


def test_a_read_only_tmpfs() -> None:
    config = composed(mounts=(Mount(type="tmpfs", target="/t", read_only=True),))
    assert "ro" in mount_at(config, "/t")["options"]


# --- namespaces


def kinds(config: Json) -> list[str]:
    return [namespace["type"] for namespace in config["linux"]["namespaces"]]


def test_the_hosts_namespaces() -> None:
    config = composed(namespaces=Namespaces(pid="host", ipc="host", uts="host"), network=builders.networking("host"))
    assert kinds(config) == ["mount"]
    assert "hostname" not in config
    assert mount_at(config, "/dev/shm") == {"type": "bind", "source": "/dev/shm", "options": ["rbind", "rprivate"]}


@pytest.mark.parametrize(
    ("mode", "v2", "private"),
    [("", False, False), ("", True, True), ("private", False, True), ("host", True, False), ("private", True, True)],
)
def test_the_cgroup_namespace_is_private_by_default_on_v2_only(mode: str, v2: bool, private: bool) -> None:
    config = composed({"cgroup_v2": v2}, namespaces=Namespaces(cgroup=mode))
    assert ("cgroup" in kinds(config)) is private


def test_joined_namespaces_have_a_path() -> None:
    config = composed({"joined": {"pid": "/proc/9/ns/pid"}})
    assert {"type": "pid", "path": "/proc/9/ns/pid"} in config["linux"]["namespaces"]


def test_the_domain_name_is_a_sysctl_over_which_the_users_stands() -> None:
    network = builders.networking(domainname="dom")
    assert composed(network=network)["linux"]["sysctl"] == {"kernel.domainname": "dom"}
    own = {"kernel.domainname": "own", "net.ipv4.ip_forward": "1"}
    assert composed(network=network, sysctls=own)["linux"]["sysctl"] == own
    assert "sysctl" not in composed(network=network, namespaces=Namespaces(uts="host"))["linux"]


# --- resources


@pytest.mark.parametrize(
    ("asked", "cpu"),
    [
        (Resources(nano_cpus=1_500_000_000, cpu_shares=512, cpuset_cpus="0"),
         {"period": 100_000, "quota": 150_000, "shares": 512, "cpus": "0"}),
        (Resources(nano_cpus=10_000_000), {"period": 100_000, "quota": 1_000}),
        (Resources(cpu_quota=20_000, cpu_period=50_000, cpuset_mems="0"),
         {"period": 50_000, "quota": 20_000, "mems": "0"}),
        (Resources(), None),
    ],
)  # fmt: skip
def test_cpu(asked: Resources, cpu: Json | None) -> None:
    assert composed(resources=asked)["linux"]["resources"].get("cpu") == cpu


@pytest.mark.parametrize(
    ("asked", "memory"),
    [
        (Resources(memory=64 << 20, memory_reservation=32 << 20),
         {"limit": 64 << 20, "swap": 128 << 20, "reservation": 32 << 20}),
        (Resources(memory=64 << 20, memory_swap=80 << 20), {"limit": 64 << 20, "swap": 80 << 20}),
        (Resources(memory=64 << 20, memory_swap=-1, memory_swappiness=10, oom_kill_disable=True),
         {"limit": 64 << 20, "swap": -1, "swappiness": 10, "disableOOMKiller": True}),
        (Resources(memory_swappiness=0), {"swappiness": 0}),
        (Resources(memory_swappiness=-1), None),
    ],
)  # fmt: skip
def test_memory(asked: Resources, memory: Json | None) -> None:
    assert composed(resources=asked)["linux"]["resources"].get("memory") == memory


@pytest.mark.parametrize(("limit", "pids"), [(None, None), (0, None), (-1, None), (50, {"limit": 50})])
def test_pids(limit: int | None, pids: Json | None) -> None:
    assert composed(resources=Resources(pids_limit=limit))["linux"]["resources"].get("pids") == pids


def test_block_io_weight() -> None:
    assert composed(resources=Resources(blkio_weight=300))["linux"]["resources"]["blockIO"] == {"weight": 300}


# --- mounts


def test_tmpfs_options_as_docker_merges_them() -> None:
    config = composed(
        mounts=(
            Mount(type="tmpfs", target="/tm"),
            Mount(type="tmpfs", target="/tx", options=("exec", "suid", "size=1m", "mode=700")),
            Mount(type="tmpfs", target="/ty", size=1_000_000, mode=0o750),
        )
    )
    assert mount_at(config, "/tm")["options"] == ["nosuid", "nodev", "noexec", "mode=1777"]
    assert mount_at(config, "/tx")["options"] == ["nodev", "exec", "suid", "size=1m", "mode=700"]
    assert mount_at(config, "/ty")["options"] == ["nosuid", "nodev", "noexec", "size=1000000", "mode=750"]


def test_the_users_mounts_come_last_parents_before_children() -> None:
    binds = (
        HostMount("/h/sub", "/data/sub", ("rbind",)),
        HostMount("/h", "/data", ("rbind", "ro")),
        HostMount("/b/hosts", "/etc/hosts", ("rbind",)),
    )
    config = composed(
        {"mounts": binds}, mounts=(Mount(type="tmpfs", target="/data/sub/deep"), Mount(type="tmpfs", target="/t"))
    )
    own = targets(config)[6:-1]
    assert sorted(own) == ["/data", "/data/sub", "/data/sub/deep", "/etc/hosts", "/t"]
    assert own.index("/data") < own.index("/data/sub") < own.index("/data/sub/deep")
    assert mount_at(config, "/data") == {"type": "bind", "source": "/h", "options": ["rbind", "ro"]}


def test_proc_and_what_stands_in_it_come_last() -> None:
    binds = tuple(
        HostMount("/h", target, ("rbind",)) for target in ("/proc/sys/kernel/ns_last_pid", "/proc/stat", "/a/b")
    )
    config = composed({"mounts": binds})
    assert targets(config)[-4:] == ["/a/b", "/proc", "/proc/stat", "/proc/sys/kernel/ns_last_pid"]
    assert targets(composed({"mounts": (HostMount("/proc", "/proc", ("rbind",)),)}))[-1] == "/proc"


@pytest.mark.parametrize("target", ["/dev/shm", "/proc", "/sys", "/dev/mqueue"])
def test_a_users_mount_stands_in_place_of_the_default(target: str) -> None:
    config = composed({"mounts": (HostMount("/h", target, ("rbind",)),)})
    assert mount_at(config, target)["source"] == "/h"


def test_shm_goes_with_the_ipc_namespace() -> None:
    assert mount_at(composed(shm_size=1 << 20), "/dev/shm")["options"][-1] == "size=1048576"
    assert "/dev/shm" not in targets(composed(namespaces=Namespaces(ipc="none")))
    assert "/dev/shm" not in targets(composed(namespaces=Namespaces(ipc="container:abc")))


@pytest.mark.parametrize(
    ("propagation", "of_root"), [("rprivate", None), ("rslave", "slave"), ("slave", "slave"), ("rshared", "shared")]
)
def test_a_propagating_bind_makes_the_root_propagate(propagation: str, of_root: str | None) -> None:
    config = composed(mounts=(Mount(type="bind", source="/h", target="/d", propagation=propagation),))
    assert config["linux"].get("rootfsPropagation") == of_root


# --- security


def test_privileged() -> None:
    device = HostDevice("/dev/fuse", "c", 10, 229, 0o20666, 0, 0)
    config = composed({"host_devices": (device,)}, security=Security(privileged=True))
    assert len(config["process"]["capabilities"]["bounding"]) == 41
    assert not {"maskedPaths", "readonlyPaths", "seccomp"} & config["linux"].keys()
    assert "ro" not in mount_at(config, "/sys")["options"] + mount_at(config, "/sys/fs/cgroup")["options"]
    assert config["linux"]["resources"]["devices"] == [{"allow": True, "access": "rwm"}]
    assert [node["path"] for node in config["linux"]["devices"]] == ["/dev/fuse"]


def test_system_paths_unconfined() -> None:
    linux = composed(security=Security(masked_paths=(), readonly_paths=()))["linux"]
    assert not {"maskedPaths", "readonlyPaths"} & linux.keys()


def test_a_read_only_rootfs() -> None:
    assert composed(security=Security(read_only_rootfs=True))["root"] == {"path": "/b/rootfs", "readonly": True}


def test_the_filter_is_taken_over() -> None:
    assert (
        composed({"seccomp": {"defaultAction": "SCMP_ACT_ERRNO"}})["linux"]["seccomp"]["defaultAction"]
        == "SCMP_ACT_ERRNO"
    )


@pytest.mark.parametrize(
    "name",
    [
        "run.oci.seccomp_bpf_data",
        "run.oci.pidfd_receiver",
        "run.oci.hooks.stdout",
        "run.oci.handler",
        "module.wasm.image/variant",
        "krun.cpus",
        "org.systemd.property.ExecStart",
        "org.criu.config",
        "org.opencontainers.runc.checkpoint.enabled",
        "dev.gvisor.flag.debug",
        "io.kubernetes.cri.container-type",
        "Run.oci.handler",
        "",
        "org.opencontainers.image",
        "com.example.key",
    ],
)
def test_a_users_annotation_does_not_reach_the_runtime(name: str) -> None:
    assert composed(annotations={name: "user's"})["annotations"] == {}
    assert composed({"annotations": {name: "node's"}}, annotations={name: "user's"})["annotations"] == {name: "node's"}


def test_one_that_describes_the_image_does_and_replaces_none_of_the_nodes() -> None:
    title, vendor = "org.opencontainers.image.title", "org.opencontainers.image.vendor"
    user = {title: "user's", vendor: "user's"}
    found = composed({"annotations": {title: "node's", "n": "1"}}, annotations=user)["annotations"]
    assert found == {title: "node's", vendor: "user's", "n": "1"}
