"""What clients of old API versions can't mean."""

from typing import Any

import pytest

from seaway_api.translate.older import console_size_since, create_since, info_since
from seaway_docker.errors import InvalidParameter
from seaway_docker.go_json import read_body
from seaway_docker.model_container import ContainerCreate, ExecStart

BODY = {
    "Image": "busybox",
    "Healthcheck": {"Test": ["CMD", "true"], "StartInterval": 5},
    "HostConfig": {
        "AutoRemove": True,
        "Annotations": {"a": "b"},
        "ConsoleSize": [5, 6],
        "KernelMemoryTCP": 5,
        "Mounts": [{"Type": "bind", "ReadOnly": True, "BindOptions": {"NonRecursive": True, "CreateMountpoint": True}}],
    },
}


def read(body: dict[str, Any]) -> ContainerCreate:
    return read_body(ContainerCreate, body)


def test_a_client_of_today_is_taken_at_its_word() -> None:
    assert create_since((1, 44), read(BODY)) is not None
    assert create_since((1, 44), read(BODY)) == read(BODY)


@pytest.mark.parametrize(
    ("version", "remove", "ipc", "size", "annotations"),
    [
        ((1, 24), False, "shareable", None, None),
        ((1, 39), True, "shareable", None, None),
        ((1, 41), True, "", None, None),
        ((1, 42), True, "", [5, 6], None),
        ((1, 43), True, "", [5, 6], {"a": "b"}),
    ],
)
def test_what_came_later(
    version: tuple[int, int], remove: bool, ipc: str, size: list[int] | None, annotations: dict[str, str] | None
) -> None:
    asked = create_since(version, read(BODY))
    host = asked.host_config
    assert (host.auto_remove, host.ipc_mode, host.console_size, host.annotations) == (remove, ipc, size, annotations)
    assert asked.healthcheck is not None and asked.healthcheck.start_interval == 0
    assert host.mounts is not None and host.mounts[0].bind_options is not None
    assert host.mounts[0].bind_options.read_only_non_recursive


def test_an_exec_has_a_size_since_1_42() -> None:
    body = ExecStart(console_size=[5, 6])
    assert console_size_since((1, 42), body) == [5, 6]
    assert console_size_since((1, 41), body) is None


def test_options_of_security_had_no_fields_once() -> None:
    body = {"SecurityOptions": ["name=seccomp,profile=builtin", "name=cgroupns"]}
    assert info_since((1, 25), body) == body
    assert info_since((1, 24), body) == {
        "SecurityOptions": ["seccomp", "cgroupns"],
        "ExecutionDriver": "<not supported>",
    }


@pytest.mark.parametrize(
    ("body", "given"),
    [
        ({"memory": 5, "Dns": ["1.1.1.1"]}, {"memory": 5, "dns": ["1.1.1.1"]}),
        ({"Memory": 5, "Dns": ["1.1.1.1"], "HostConfig": {}}, {"memory": 5}),
        ({"Memory": 5, "hostconfig": {"memory": 6}}, {"memory": 6}),
        ({"Memory": 5, "HostConfig": {"Memory": 0}}, {"memory": 5}),
        ({"Cpuset": "0", "HostConfig": {}}, {"cpuset_cpus": "0"}),
        ({"Cpuset": "0", "CpusetCpus": "1"}, {"cpuset_cpus": "1"}),
        ({"Cpuset": "0"}, {}),
        ({"Cpuset": "0", "HostConfig": None}, {}),
    ],
)
def test_fields_of_the_host_beside_those_of_the_container(body: dict[str, Any], given: dict[str, Any]) -> None:
    host = read({"Image": "busybox"} | body).host_config
    assert host.model_dump(exclude_defaults=True) == given


@pytest.mark.parametrize(
    ("mount", "words"),
    [
        ({"Type": "volume", "BindOptions": {}}, 'for type "volume": field BindOptions must not be specified'),
        ({"Type": "tmpfs", "BindOptions": {}}, 'for type "tmpfs": field BindOptions must not be specified'),
        (
            {"Type": "bind", "Source": "/s", "VolumeOptions": {}},
            'for type "bind": field VolumeOptions must not be specified',
        ),
        ({"Type": "tmpfs", "VolumeOptions": {}}, ""),
        ({"Type": "bind", "Source": "/s", "TmpfsOptions": {}}, ""),
        ({"Type": "volume", "TmpfsOptions": {}}, ""),
    ],
)
def test_options_for_another_type_of_mount_through_1_41(mount: dict[str, Any], words: str) -> None:
    body = read_body(ContainerCreate, {"Image": "i", "HostConfig": {"Mounts": [{"Target": "/t", **mount}]}})
    if words:
        with pytest.raises(InvalidParameter, match=f"^invalid mount config {words}$"):
            create_since((1, 41), body)
        return
    kept = (create_since((1, 41), body).host_config.mounts or [])[0]
    assert (kept.bind_options, kept.volume_options, kept.tmpfs_options) == (None, None, None)


def test_kernel_memory_is_told_through_1_41() -> None:
    body = {"KernelMemory": True, "KernelMemoryTCP": True}
    assert info_since((1, 41), body) == body
    assert info_since((1, 42), body) == {"KernelMemoryTCP": True}
