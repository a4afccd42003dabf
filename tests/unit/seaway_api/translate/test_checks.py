"""What a create body is refused for, before anything is asked of anybody; the sentences are those of dockerd 26.1."""

from typing import Any

import pytest

from seaway_api.translate.checks import check_host, check_modes
from seaway_docker.errors import InvalidParameter
from seaway_docker.go_json import read_body
from seaway_docker.model_container import ContainerConfig
from seaway_docker.model_host import HostConfig

CONFLICT = "invalid restart policy: maximum retry count can only be used with 'on-failure'"


@pytest.mark.parametrize(
    ("host", "text"),
    [
        ({"ShmSize": -1}, "SHM size can not be less than 0"),
        ({"LogConfig": {"Type": "syslog"}}, "no log driver named 'syslog'"),
        ({"LogConfig": {"Type": "json-file", "Config": {"foo": "1"}}}, "unknown log opt 'foo' for json-file log"),
        ({"LogConfig": {"Config": {"mode": "foo"}}}, "logger: logging mode not supported: foo"),
        ({"AutoRemove": True, "RestartPolicy": {"Name": "always"}},
         "can't create 'AutoRemove' container with restart policy"),
        ({"RestartPolicy": {"Name": "always", "MaximumRetryCount": 3}}, CONFLICT),
        ({"RestartPolicy": {"Name": "", "MaximumRetryCount": 3}}, CONFLICT),
        ({"RestartPolicy": {"Name": "no", "MaximumRetryCount": -3}}, f"{CONFLICT} and cannot be negative"),
        ({"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": -1}},
         "invalid restart policy: maximum retry count cannot be negative"),
        ({"CapAdd": ["FLY"]}, 'invalid CapAdd: unknown capability: "CAP_FLY"'),
        ({"CapDrop": [""]}, 'invalid CapDrop: unknown capability: "CAP_"'),
        ({"Memory": 1024}, "Minimum memory limit allowed is 6MB"),
        ({"Annotations": {"": "b"}}, "the empty string is not permitted as an annotation key"),
        ({"Isolation": "hyperv"}, "Invalid isolation: \"hyperv\" - linux only supports 'default'"),
        ({"StorageOpt": {"size": "10G"}}, "--storage-opt is supported only for overlay over xfs with 'pquota' mount"),
        ({"StorageOpt": {"foo": "1"}}, "Unknown option foo"),
        ({"PidMode": "foo"}, "invalid PID mode: foo"),
        ({"PidMode": "container:"}, "invalid PID mode: container:"),
        ({"PidMode": "private"}, "invalid PID mode: private"),
        ({"IpcMode": "container:"}, "invalid IPC mode: container:"),
        ({"UTSMode": "container:x"}, "invalid UTS mode: container:x"),
        ({"CgroupnsMode": "foo"}, "invalid cgroup namespace mode: foo"),
        ({"UsernsMode": "private"}, "invalid user namespace mode: private"),
        ({"ExtraHosts": ["a"]}, 'bad format for add-host: "a"'),
        ({"ExtraHosts": ["a=1.2.3.4"]}, 'bad format for add-host: "a=1.2.3.4"'),
        ({"ExtraHosts": ["a:[::1]"]}, 'invalid IP address in add-host: "[::1]"'),
    ],
)  # fmt: skip
def test_what_is_refused(host: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidParameter) as refused:
        check_host(read_body(HostConfig, host))
    assert text in str(refused.value)


@pytest.mark.parametrize(
    "host",
    [
        {"Memory": 64 << 20, "CapDrop": ["ALL"], "Links": [], "DeviceRequests": []},
        {"UsernsMode": "host", "PidMode": "container:x", "IpcMode": "shareable", "CgroupnsMode": "private"},
        {"ExtraHosts": ["a:1.2.3.4", "b:host-gateway", "c:::1"], "Isolation": "default", "VolumeDriver": "local"},
        {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}, "DeviceRequests": [{"Count": -1}]},
        {"AutoRemove": True, "RestartPolicy": {"Name": "no"}},
    ],
)
def test_what_is_fine(host: dict[str, Any]) -> None:
    check_host(read_body(HostConfig, host))


@pytest.mark.parametrize(
    ("mode", "links", "text"),
    [
        ("host", ["db"], "conflicting options: host type networking can't be used with links"),
        ("container:x", ["db"], "conflicting options: container type networking can't be used with links"),
        ("", [""], "empty string specified for links"),
        ("", ["a:b:c"], "bad format for links: a:b:c"),
    ],
)
def test_links_that_can_not_be(mode: str, links: list[str], text: str) -> None:
    with pytest.raises(InvalidParameter, match=text):
        check_modes(ContainerConfig(), read_body(HostConfig, {"NetworkMode": mode, "Links": links}))
