"""Ports and endpoint settings for which a create body is refused; the sentences are those of dockerd 26.1."""

from typing import Any

import pytest

from seaway_api.translate.check_networking import AskedNetworking, check_endpoints, check_ports
from seaway_docker.errors import InvalidParameter
from seaway_docker.go_json import read_body
from seaway_docker.model_container import ContainerConfig, NetworkingConfig
from seaway_docker.model_host import HostConfig

MAC = "02:42:ac:11:00:99"


def endpoints(mac: str = "", mode: str = "", **settings: Any) -> None:
    networking = read_body(NetworkingConfig, {"EndpointsConfig": {mode or "bridge": settings} if settings else {}})
    config = read_body(ContainerConfig, {"MacAddress": mac})
    check_endpoints(config, read_body(HostConfig, {"NetworkMode": mode}), networking)


@pytest.mark.parametrize(
    ("mac", "settings", "text"),
    [
        ("zz", {}, "invalid config for network bridge: invalid MAC address zz"),
        (f"{MAC}:01", {}, "invalid MAC address"),
        ("01:00:5e:00:00:01", {}, "invalid MAC address 01:00:5e:00:00:01: it is a multicast address"),
        ("", {"MacAddress": "00-00-00-00-00-00"}, "invalid MAC address 00-00-00-00-00-00: it is all zeros"),
        ("02-42:ac:11:00:99", {}, "invalid MAC address"),
        ("", {"MacAddress": "zz"}, "invalid config for network bridge: invalid MAC address zz"),
        (MAC, {"MacAddress": "02:42:ac:11:00:98"}, "must match the endpoint-specific MAC address for the main network"),
        ("", {"Aliases": ["foo"]}, "invalid endpoint settings:\nnetwork-scoped alias is supported only for containers"),
        ("", {"IPAMConfig": {"IPv4Address": "172.17.0.99"}},
         "* user specified IP address is supported on user defined networks only\n* user specified IP"),
        ("", {"IPAMConfig": {"IPv4Address": "x"}}, "* invalid IPv4 address: x\n"),
        ("", {"IPAMConfig": {"IPv4Address": "1.2.3.4.5"}}, "* invalid IPv4 address: 1.2.3.4.5\n"),
        ("", {"IPAMConfig": {"IPv4Address": "::1"}}, "* invalid IPv4 address: ::1\n"),
        ("", {"IPAMConfig": {"IPv4Address": "0.0.0.0"}}, "* invalid IPv4 address: 0.0.0.0\n"),
        ("", {"IPAMConfig": {"IPv6Address": "fe80::1%eth0"}}, "* invalid IPv6 address: fe80::1%eth0\n"),
        ("", {"IPAMConfig": {"LinkLocalIPs": ["x"]}}, "invalid endpoint settings:\ninvalid link-local IP address: x"),
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


@pytest.mark.parametrize(
    ("network", "lines"),
    [
        ("default", ["invalid config for network bridge: ", "supported on user", "address: 1.2", "only when"]),
        ("host", ["invalid config for network host: ", "supported on user", "address: 1.2", "only when"]),
        ("container:x", ["invalid config for network container:x: ", "supported on user", "address: 1.2"]),
        ("own", ["invalid config for network own: ", "invalid IPv4 address: 1.2"]),
    ],
)
def test_each_named_network_is_checked(network: str, lines: list[str]) -> None:
    """Also those beside the mode."""
    body = {"EndpointsConfig": {network: {"IPAMConfig": {"IPv4Address": "1.2"}}}}
    with pytest.raises(InvalidParameter) as refused:
        check_endpoints(ContainerConfig(), HostConfig(), read_body(NetworkingConfig, body))
    said = str(refused.value).splitlines()
    assert len(said) == len(lines) and all(part in line for part, line in zip(lines, said, strict=True))


def asked(body: dict[str, Any], version: tuple[int, ...], mac: str = "", mode: str = "own") -> AskedNetworking:
    config = read_body(ContainerConfig, {"MacAddress": mac})
    networking = read_body(NetworkingConfig, {"EndpointsConfig": body})
    return check_endpoints(config, HostConfig(network_mode=mode), networking, version)


@pytest.mark.parametrize(
    ("version", "mac", "given", "expected"),
    [
        ((1, 43), "", MAC, ""),
        ((1, 43), MAC, "", MAC),
        ((1, 43), MAC, "02:42:ac:11:00:98", MAC),
        ((1, 44), "", MAC, MAC),
        ((1, 44), MAC, "", MAC),
    ],
)
def test_an_endpoint_has_a_mac_address_of_its_own_since_1_44(
    version: tuple[int, ...], mac: str, given: str, expected: str
) -> None:
    found = asked({"own": {"MacAddress": given}}, version, mac)
    assert found.endpoints["own"].mac_address == expected


@pytest.mark.parametrize(
    ("mode", "mac", "text"),
    [
        ("own", "zz", "invalid config for network own: invalid MAC address zz"),
        ("none", MAC, "conflicting options: mac-address and the network mode"),
        ("host", MAC, "conflicting options: mac-address and the network mode"),
    ],
)
def test_mac_addresses_that_were_refused_before_1_44(mode: str, mac: str, text: str) -> None:
    with pytest.raises(InvalidParameter, match=text):
        asked({}, (1, 43), mac, mode)


@pytest.mark.parametrize(("version", "expected"), [((1, 44), 0), ((1, 47), 0), ((1, 48), 7)])
def test_an_endpoint_has_a_priority_since_1_48(version: tuple[int, ...], expected: int) -> None:
    found = asked({"own": {"GwPriority": 7}, "back": {}}, version)
    assert [one.gateway_priority for one in found.endpoints.values()] == [expected, 0]


def test_there_are_several_endpoints_since_1_44() -> None:
    assert list(asked({"back": {}, "own": {}, "front": {}}, (1, 44)).endpoints) == ["own", "back", "front"]
    text = "Container cannot be created with multiple network endpoints: back, own"
    with pytest.raises(InvalidParameter, match=text):
        asked({"own": {}, "back": {}}, (1, 43))


def test_without_settings_for_it_the_network_of_the_mode_is_not_joined() -> None:
    found = asked({"back": {}}, (1, 45))
    assert (found.mode, list(found.endpoints)) == ("own", ["back"])
    assert list(asked({}, (1, 45)).endpoints) == ["own"]


@pytest.mark.parametrize(
    ("mode", "networks", "text"),
    [
        ("host", ["own"], "container sharing network namespace with another container or host cannot be connected"),
        ("own", ["own", "host"], "container cannot be disconnected from host network or connected to host network"),
        ("none", ["none", "own"], "container cannot be connected to multiple networks with one of the networks in"),
        ("own", ["own", "none"], "container cannot be connected to multiple networks with one of the networks in"),
    ],
)
def test_networks_that_go_with_no_other(mode: str, networks: list[str], text: str) -> None:
    with pytest.raises(InvalidParameter, match=text):
        asked({name: {} for name in networks}, (1, 45), mode=mode)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"IPAMConfig": {"LinkLocalIPs": ["169.254.1.1"]}}, "LinkLocalIPs are not supported"),
        ({"DriverOpts": {"com.docker.network.endpoint.sysctls": "x"}}, "endpoint.sysctls is not supported"),
        ({"Links": ["a:b:c"]}, "bad format for links: a:b:c"),
    ],
)
def test_settings_that_no_network_takes(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidParameter, match=text):
        asked({"own": settings}, (1, 45))


def test_an_own_network_takes_addresses_and_aliases() -> None:
    settings = {"Aliases": ["a"], "IPAMConfig": {"IPv4Address": "10.1.2.3", "IPv6Address": "fd00::3"}}
    body = {"EndpointsConfig": {"own": settings}}
    check_endpoints(ContainerConfig(), HostConfig(network_mode="own"), read_body(NetworkingConfig, body))


@pytest.mark.parametrize(
    "body",
    [
        {"HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "99999"}]}}},
        {"HostConfig": {"PortBindings": {"80/tcp": [{"HostIp": "1.2.3.4.5", "HostPort": "80"}]}}},
        {"HostConfig": {"PortBindings": {"99999/tcp": None}}},
        {"ExposedPorts": {"99999/tcp": {}}},
    ],
)
def test_wrong_ports(body: dict[str, Any]) -> None:
    config, host = read_body(ContainerConfig, body), read_body(HostConfig, body.get("HostConfig"))
    with pytest.raises(InvalidParameter, match=r"99999|1\.2\.3\.4\.5"):
        check_ports(config, host)
