"""Create bodies become requests and these specs, and specs are shown again as they were asked for."""

import itertools
from typing import Any

import pytest

from seaway_api.translate.checked import check_create, companion_refs
from seaway_api.translate.inspect import host_config, inspect_json
from seaway_api.translate.listing import command_line, container_facts, list_json, mount_points
from seaway_api.translate.request import container_request, own_command, own_health
from seaway_cluster.request import Companions, Identity, container_spec
from seaway_contracts.containers import (
    Command,
    ContainerRecord,
    ContainerSpec,
    ContainerStatus,
    Mount,
    PublishedPort,
    State,
)
from seaway_contracts.images import Healthcheck, ImageConfig
from seaway_docker.errors import InvalidParameter
from seaway_docker.go_json import read_body
from seaway_docker.model_container import ContainerCreate, HealthConfig
from seaway_testing import builders
from seaway_testing.builders import START_NS

ID = builders.container_id(1)


def spec_of(image: ImageConfig | None = None, companions: Companions | None = None, **body: Any) -> ContainerSpec:
    numbers = itertools.count(1)
    checked = check_create(read_body(ContainerCreate, {"Image": "busybox", **body}))
    companion_refs(checked)
    identity = Identity(ID, "web", START_NS, lambda: f"volume{next(numbers)}")
    record = builders.image(1, config=image or ImageConfig(cmd=("sh",)))
    return container_spec(container_request(checked, companions or Companions()), record, identity)


def test_defaults() -> None:
    spec = spec_of()
    assert (spec.network.networks, spec.network.hostname, spec.namespaces.ipc) == (("bridge",), ID[:12], "private")
    assert (spec.shm_size, spec.restart.name, spec.log.driver) == (64 << 20, "no", "json-file")
    assert spec.image.ref == "busybox" and spec.image.id == builders.image(1).id


@pytest.mark.parametrize(
    ("host", "key", "shown"),
    [
        ({"Memory": 64 << 20}, "MemorySwap", 128 << 20),
        ({"Memory": 64 << 20, "MemorySwap": -1}, "MemorySwap", -1),
        ({"NanoCpus": 500_000_000}, "NanoCpus", 500_000_000),
        ({"PidsLimit": 9}, "PidsLimit", 9),
        ({"CapAdd": ["net_admin", "ALL"]}, "CapAdd", ["net_admin", "ALL"]),
        ({"Binds": ["/a:/b:ro", "vol:/c"]}, "Binds", ["/a:/b:ro", "vol:/c"]),
        ({"Tmpfs": {"/t": "size=1m,mode=700"}}, "Tmpfs", {"/t": "size=1m,mode=700"}),
        ({"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 2}}, "RestartPolicy",
         {"Name": "on-failure", "MaximumRetryCount": 2}),
        ({"PortBindings": {"80/tcp": [{"HostPort": "8080"}, {"HostIp": "127.0.0.1", "HostPort": "9000-9001"}]}},
         "PortBindings",
         {"80/tcp": [{"HostIp": "", "HostPort": "8080"}, {"HostIp": "127.0.0.1", "HostPort": "9000-9001"}]}),
        ({"Mounts": [{"Type": "bind", "Source": "/s", "Target": "/t", "ReadOnly": True}]}, "Mounts",
         [{"Type": "bind", "Source": "/s", "Target": "/t", "ReadOnly": True}]),
        ({"Mounts": [{"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 5}}]}, "Mounts",
         [{"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 5}}]),
        ({"Privileged": True}, "MaskedPaths", None),
        ({"MaskedPaths": []}, "MaskedPaths", []),
        ({"ReadonlyRootfs": True}, "ReadonlyRootfs", True),
        ({"SecurityOpt": ["no-new-privileges"]}, "SecurityOpt", ["no-new-privileges"]),
        ({"Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 2}]}, "Ulimits",
         [{"Name": "nofile", "Hard": 2, "Soft": 1}]),
        ({"Init": True}, "Init", True),
        ({"ExtraHosts": ["a:1.2.3.4"]}, "ExtraHosts", ["a:1.2.3.4"]),
    ],
)  # fmt: skip
def test_what_was_asked_for_is_shown_again(host: Any, key: str, shown: Any) -> None:
    assert host_config(spec_of(HostConfig=host))[key] == shown


def test_what_was_not_asked_for_is_shown_with_dockers_zero_values() -> None:
    """Nullness as dockerd 26.1 shows it for a container of which nothing was said."""
    shown = host_config(spec_of())
    nulls = """Binds PortBindings VolumesFrom CapAdd CapDrop Dns DnsOptions DnsSearch ExtraHosts GroupAdd Links
    SecurityOpt BlkioWeightDevice BlkioDeviceReadBps BlkioDeviceWriteBps BlkioDeviceReadIOps BlkioDeviceWriteIOps
    Devices DeviceCgroupRules DeviceRequests MemorySwappiness PidsLimit Ulimits"""
    assert {key for key, value in shown.items() if value is None} == set(nulls.split())
    assert shown["ConsoleSize"] == [0, 0] and shown["OomKillDisable"] is False
    assert not {"Annotations", "Init", "KernelMemoryTCP", "Mounts", "StorageOpt", "Sysctls", "Tmpfs"} & set(shown)


EVERYTHING: Any = {
    "ContainerIDFile": "/cid", "VolumeDriver": "local", "ConsoleSize": [20, 30], "Cgroup": "x", "CgroupParent": "/p",
    "Annotations": {"a": "b"}, "Init": False, "Isolation": "default", "KernelMemoryTCP": 50 << 20, "CpuCount": 1,
    "Devices": [{"PathOnHost": "/dev/kmsg", "PathInContainer": "", "CgroupPermissions": ""}],
    "DeviceRequests": [
        {"Driver": "", "Count": -1, "DeviceIDs": None, "Capabilities": [["gpu"]], "Options": {}},
    ],
    "BlkioDeviceReadBps": [{"Path": "/dev/vda", "Rate": 1048576}], "BlkioWeightDevice": [],
    "Dns": [], "DnsOptions": ["ndots:1"], "GroupAdd": ["77"], "UsernsMode": "host", "CpuShares": 2,
    "PortBindings": {"80": [{"HostIp": "", "HostPort": "8080"}], "81/tcp": None, "82/tcp": []},
    "Mounts": [
        {"Type": "bind", "Source": "/a", "Target": "/b", "Consistency": "cached",
         "BindOptions": {"NonRecursive": True}},
        {"Type": "volume", "Source": "vol", "Target": "/v",
         "VolumeOptions": {"NoCopy": True, "Labels": {"a": "b"}, "Subpath": "x", "DriverConfig": {"Name": "local"}}},
        {"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"Mode": 448}},
    ],
    "CpuRealtimePeriod": 1000, "CpuRealtimeRuntime": 900, "MemorySwappiness": 50, "OomKillDisable": True,
    "SecurityOpt": ["label=type:x", "seccomp=unconfined"], "Sysctls": {"net.ipv4.ip_forward": "1"},
}  # fmt: skip


@pytest.mark.parametrize("key", sorted(EVERYTHING))
def test_everything_comes_back_as_it_was_given(key: str) -> None:
    assert host_config(spec_of(HostConfig=EVERYTHING))[key] == EVERYTHING[key]


def test_who_sees_the_hosts_processes_has_no_labels() -> None:
    for host in ({"Privileged": True}, {"PidMode": "host"}, {"IpcMode": "host"}):
        assert host_config(spec_of(HostConfig=host))["SecurityOpt"] == ["label=disable"]
    given = {"Privileged": True, "SecurityOpt": ["label=disable"], "MaskedPaths": ["/x"]}
    shown = host_config(spec_of(HostConfig=given))
    assert (shown["SecurityOpt"], shown["MaskedPaths"], shown["ReadonlyPaths"]) == (["label=disable"], ["/x"], None)


@pytest.mark.parametrize(
    ("body", "key", "shown"),
    [
        ({"OnBuild": ["RUN x"]}, "OnBuild", ["RUN x"]),
        ({}, "OnBuild", None),
        ({"Shell": ["/bin/bash", "-c"]}, "Shell", ["/bin/bash", "-c"]),
        ({"ArgsEscaped": True}, "ArgsEscaped", True),
        ({"NetworkDisabled": True}, "NetworkDisabled", True),
        ({"WorkingDir": "/x/../y/"}, "WorkingDir", "/y"),
        ({"ExposedPorts": {"80": {}, "90-91/udp": {}}}, "ExposedPorts", {"80": {}, "90-91/udp": {}, "99/tcp": {}}),
    ],
)
def test_the_rest_of_config_comes_back_too(body: Any, key: str, shown: Any) -> None:
    image = ImageConfig(cmd=("sh",), exposed_ports=("80/tcp", "99/tcp"))
    assert inspect_json(ContainerRecord(spec=spec_of(image, **body), node="n1"))["Config"][key] == shown


def test_without_a_network_there_are_no_networks() -> None:
    record = ContainerRecord(spec=spec_of(NetworkDisabled=True), node="n1")
    assert inspect_json(record)["NetworkSettings"]["Networks"] == {}


def test_links_by_name_and_id() -> None:
    companions = Companions({"db": "d" * 64}, {"db": "database"})
    spec = spec_of(companions=companions, HostConfig={"Links": ["db", "db:alias", "db:alias"]})
    assert [(link.container, link.alias) for link in spec.network.links] == [("d" * 64, "db"), ("d" * 64, "alias")]
    assert host_config(spec)["Links"] == ["/database:/web/db", "/database:/web/alias"]


@pytest.mark.parametrize(
    ("option", "on"),
    [("no-new-privileges", True), ("no-new-privileges:true", True), ("no-new-privileges=1", True),
     ("no-new-privileges=F", False), ("label=disable", False)],
)  # fmt: skip
def test_no_new_privileges(option: str, on: bool) -> None:
    assert spec_of(HostConfig={"SecurityOpt": [option]}).security.no_new_privileges is on


def test_the_builtin_filter_has_a_name() -> None:
    assert spec_of(HostConfig={"SecurityOpt": ["seccomp=builtin"]}).security.seccomp == ""


@pytest.mark.parametrize(
    ("options", "mode"),
    [({}, ""), ({"ReadOnlyNonRecursive": True}, "never"), ({"ReadOnlyForceRecursive": True}, "always")],
)
def test_how_deep_a_bind_is_read_only(options: Any, mode: str) -> None:
    mount = {"Type": "bind", "Source": "/a", "Target": "/b", "ReadOnly": True, "BindOptions": options}
    (made,) = spec_of(HostConfig={"Mounts": [mount]}).mounts
    assert made.recursive_read_only == mode


def test_volumes_of_the_image_get_names_unless_something_else_is_mounted_there() -> None:
    spec = spec_of(ImageConfig(cmd=("sh",), volumes=("/data", "/own")), HostConfig={"Binds": ["/x:/own"]})
    made = {mount.target: (mount.type, mount.source, mount.anonymous) for mount in spec.mounts}
    assert made == {"/own": ("bind", "/x", False), "/data": ("volume", "volume1", True)}
    points = {point["Destination"]: point for point in mount_points(spec)}
    assert (points["/data"]["Name"], points["/data"]["Driver"]) == ("volume1", "local")
    assert "Mounts" not in host_config(spec)


def test_a_bind_makes_its_source_and_a_mount_does_not() -> None:
    host = {"Binds": ["/a:/b"], "Mounts": [{"Type": "bind", "Source": "/c", "Target": "/d"}]}
    assert [mount.create_source for mount in spec_of(HostConfig=host).mounts] == [True, False]


def test_labels_and_ports_of_image_and_user_together() -> None:
    image = ImageConfig(cmd=("sh",), labels={"a": "1", "b": "1"}, exposed_ports=("80/tcp",))
    spec = spec_of(image, Labels={"b": "2"}, ExposedPorts={"90/udp": {}})
    assert spec.labels == {"a": "1", "b": "2"}
    assert set(spec.network.exposed_ports) == {"80/tcp", "90/udp"}


def test_in_the_hosts_network_there_is_no_own_host_name() -> None:
    assert spec_of(HostConfig={"NetworkMode": "host"}).network.hostname == ""
    assert spec_of(Hostname="h", HostConfig={"NetworkMode": "none"}).network.hostname == "h"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"HostConfig": {"NetworkMode": "container:x"}, "Hostname": "h"}, "hostname and the network mode"),
        ({"HostConfig": {"NetworkMode": "container:x", "Dns": ["1.1.1.1"]}}, "dns and the network mode"),
        ({"HostConfig": {"UTSMode": "host"}, "Hostname": "h"}, "hostname and the UTS mode"),
        ({"HostConfig": {"NanoCpus": 1, "CpuPeriod": 5000}}, "Nano CPUs and CPU Period"),
        ({"HostConfig": {"MemorySwap": 1}}, "always set the Memory limit"),
        ({"HostConfig": {"OomScoreAdj": 2000}}, "range for oom score adj"),
        ({"HostConfig": {"RestartPolicy": {"Name": "x"}}}, "unknown policy 'x'"),
        ({"HostConfig": {"RestartPolicy": {"Name": "always", "MaximumRetryCount": 1}}}, "only be used with"),
        ({"HostConfig": {"ExtraHosts": ["x"]}}, 'bad format for add-host: "x"'),
        ({"HostConfig": {"PidMode": "x"}}, "invalid PID mode: x"),
        ({"Healthcheck": {"Interval": 1}}, "cannot be less than 1ms"),
        ({"Cmd": ["a\0b"]}, "NUL"),
        ({"HostConfig": {"SecurityOpt": ["systempaths=unconfined"]}}, 'invalid --security-opt 2: "systempaths='),
        ({"HostConfig": {"SecurityOpt": ["no-new-privileges=foo"]}}, "invalid --security-opt 2"),
        ({"HostConfig": {"VolumesFrom": [""]}}, "volumes-from specification cannot be an empty string"),
        ({"HostConfig": {"Mounts": [{"Type": "bind", "Source": "/a", "Target": "/b",
                                     "BindOptions": {"ReadOnlyForceRecursive": True}}]}},
         "mount options conflict: !ReadOnly && BindOptions.ReadOnlyForceRecursive"),
    ],
)  # fmt: skip
def test_contradictions_are_refused(body: Any, message: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        spec_of(**body)
    assert message in str(caught.value)


@pytest.mark.parametrize(("args", "line"), [((), ""), (("ls",), "ls"), (("sh", "-c", "echo hi"), "sh -c 'echo hi'")])
def test_command_lines(args: tuple[str, ...], line: str) -> None:
    assert command_line(args) == line


def test_a_line_of_the_list() -> None:
    status = ContainerStatus(state=State.EXITED, exit_code=3, started_ns=START_NS, finished_ns=START_NS + 10**9)
    shown = list_json(ContainerRecord(spec=spec_of(), node="n1", status=status), now_ns=START_NS + 61 * 10**9)
    assert (shown["Names"], shown["State"], shown["Status"]) == (["/web"], "exited", "Exited (3) About a minute ago")
    assert shown["Created"] == START_NS // 10**9


def test_what_filters_compare() -> None:
    spec = spec_of(HostConfig={"PortBindings": {"80/tcp": [{}]}}, Labels={"k": "v"})
    port = PublishedPort(container_port=80, protocol="tcp", host_ip="0.0.0.0", host_port=8080)
    facts = container_facts(ContainerRecord(spec=spec, node="n1", status=ContainerStatus(ports=(port,))))
    assert facts.names == ("web",) and facts.labels == {"k": "v"}
    assert facts.published == {"8080/tcp"} and set(facts.networks) == {"bridge"}


def test_inspect_has_every_key_that_docker_has() -> None:
    shown = inspect_json(ContainerRecord(spec=spec_of(), node="n1"))
    wanted = """Id Created Path Args State Image ResolvConfPath HostnamePath HostsPath LogPath Name RestartCount Driver
    Platform MountLabel ProcessLabel AppArmorProfile ExecIDs HostConfig GraphDriver Mounts Config NetworkSettings"""
    assert set(wanted.split()) <= set(shown)
    assert shown["NetworkSettings"]["Networks"]["bridge"]["NetworkID"] == ""


@pytest.mark.parametrize(("told", "shown"), [(None, "mine"), ("", ""), ("docker-default", "docker-default")])
def test_inspect_shows_the_profile_that_was_in_force(told: str | None, shown: str) -> None:
    spec = spec_of(HostConfig={"SecurityOpt": ["apparmor=mine"]})
    record = ContainerRecord(spec=spec, node="n1", status=ContainerStatus(apparmor=told))
    assert inspect_json(record)["AppArmorProfile"] == shown


def test_an_anonymous_volume_yields_to_one_taken_over() -> None:
    image = ImageConfig(cmd=("sh",), volumes=("/data",))
    taken = Mount(type="volume", target="/data", source="theirs")
    spec = spec_of(image, Companions(mounts=(taken,)))
    assert [mount.source for mount in spec.mounts] == ["theirs"]


def command_of(**body: Any) -> Command:
    return own_command(read_body(ContainerCreate, body))


def test_what_was_not_given_is_told_from_what_is_empty() -> None:
    assert (command_of().entrypoint, command_of().cmd) == (None, None)
    emptied = command_of(Entrypoint=[], Cmd=[])
    assert (emptied.entrypoint, emptied.cmd) == ((), ())
    assert command_of(Entrypoint=[""]).entrypoint == ("",)


def test_the_shell_is_the_users() -> None:
    assert command_of(Shell=["/bin/bash", "-c"]).shell == ("/bin/bash", "-c")
    assert command_of().shell == ()


def test_the_working_directory_is_cleaned() -> None:
    assert (command_of(WorkingDir="/x/../y/").workdir, command_of().workdir) == ("/y", "")


def test_the_terminals_first_size() -> None:
    sized = command_of(HostConfig={"ConsoleSize": [20, 70]})
    assert (sized.height, sized.width) == (20, 70)
    assert command_of().height == 0


def test_a_probe() -> None:
    assert own_health(HealthConfig(interval=9)) == Healthcheck(interval_ns=9)
    assert own_health(None) is None
