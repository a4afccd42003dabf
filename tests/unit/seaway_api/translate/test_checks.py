"""What a create body is refused for, before anything is asked of anybody; the sentences are those of dockerd 26.1."""

from typing import Any

import pytest

from seaway_api.translate.checks import check_endpoints, check_host, check_modes
from seaway_docker.errors import InvalidParameter
from seaway_docker.go_json import read_body
from seaway_docker.model_container import ContainerConfig
from seaway_docker.model_host import HostConfig
from seaway_docker.model_network import NetworkingConfig

MAC = "02:42:ac:11:00:99"
CONFLICT = "invalid restart policy: maximum retry count can only be used with 'on-failure'"


def volume(**driver: Any) -> dict[str, Any]:
    options = {"DriverConfig": driver}
    return {"Mounts": [{"Type": "volume", "Source": "vol", "Target": "/x", "VolumeOptions": options}]}


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
        ({"VolumeDriver": "foo"}, 'error looking up volume plugin foo: plugin "foo" not found'),
        (volume(Name="foo"), 'error looking up volume plugin foo: plugin "foo" not found'),
        (volume(Name="local", Options={"type": "nfs"}), "create vol: the local driver's option type is not supported"),
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


def endpoints(mac: str = "", mode: str = "", **settings: Any) -> None:
    networking = read_body(NetworkingConfig, {"EndpointsConfig": {mode or "bridge": settings} if settings else {}})
    config = read_body(ContainerConfig, {"MacAddress": mac})
    check_endpoints(config, read_body(HostConfig, {"NetworkMode": mode}), networking)


@pytest.mark.parametrize(
    ("mac", "settings", "text"),
    [
        ("zz", {}, "invalid config for network bridge: invalid MAC address zz"),
        (f"{MAC}:01", {}, "invalid MAC address"),
        ("02-42:ac:11:00:99", {}, "invalid MAC address"),
        ("", {"MacAddress": "zz"}, "invalid config for network bridge: invalid MAC address zz"),
        (MAC, {"MacAddress": "02:42:ac:11:00:98"}, "must match the endpoint-specific MAC address for the main network"),
        ("", {"Aliases": ["foo"]}, "invalid endpoint settings:\nnetwork-scoped alias is supported only for containers"),
        ("", {"IPAMConfig": {"IPv4Address": "172.17.0.99"}},
         "* user specified IP address is supported on user defined networks only\n* user specified IP"),
        ("", {"IPAMConfig": {"IPv4Address": "x"}}, "* invalid IPv4 address: x\n"),
    ],
)  # fmt: skip
def test_what_the_default_bridge_refuses(mac: str, settings: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidParameter) as refused:
        endpoints(mac, **settings)
    assert text in str(refused.value)


@pytest.mark.parametrize("mac", ["", MAC, MAC.replace(":", "-"), MAC.upper()])
def test_what_the_default_bridge_takes(mac: str) -> None:
    endpoints(mac)
    endpoints(mac, MacAddress=mac)


def test_an_endpoint_must_have_settings() -> None:
    networking = read_body(NetworkingConfig, {"EndpointsConfig": {"bridge": None}})
    with pytest.raises(InvalidParameter, match="invalid config for network bridge: EndpointsConfig is nil"):
        check_endpoints(ContainerConfig(), HostConfig(), networking)
