"""A container's networks: what a create body asks for, and how inspect, list and network inspect show them."""

from typing import Any

import pytest

from seaway_api.translate.checked import check_create, companion_refs
from seaway_api.translate.inspect import host_config, inspect_json
from seaway_api.translate.listing import container_facts, list_line
from seaway_api.translate.networking import (
    EndpointForm,
    endpoint_form,
    endpoint_maps,
    listed_endpoints,
    network_settings,
    shown_mode,
)
from seaway_api.translate.networks import predefined_json
from seaway_api.translate.request import container_request
from seaway_cluster.request import Companions, Identity, container_spec
from seaway_contracts.containers import (
    ContainerNetworking,
    ContainerRecord,
    ContainerSpec,
    ContainerStatus,
    Endpoint,
    EndpointSpec,
    Link,
    PublishedPort,
)
from seaway_contracts.images import ImageConfig
from seaway_contracts.networks import network_id
from seaway_docker.go_json import read_body
from seaway_docker.model_container import ContainerCreate
from seaway_testing import builders

PEER = builders.container_id(7)
COMPANIONS = Companions({"db": PEER}, {"db": "db"})


def spec_of(mode: str = "", networks: Any = None, **body: Any) -> ContainerSpec:
    host = {"NetworkMode": mode, **body.pop("HostConfig", {})}
    more = {"HostConfig": host, "NetworkingConfig": {"EndpointsConfig": networks or {}}, **body}
    checked = check_create(read_body(ContainerCreate, {"Image": "busybox", **more}))
    image = builders.image(1, config=ImageConfig(cmd=("sh",)))
    return container_spec(container_request(checked, COMPANIONS), image, Identity("a" * 64, "web", 0, str))


def running(*names: str) -> ContainerStatus:
    ends = tuple(Endpoint(network=name, network_id=network_id(name)) for name in names)
    return ContainerStatus(pid=7, run=1, endpoints=ends)


@pytest.mark.parametrize(
    ("mode", "disabled", "sandbox", "endpoints", "shown", "created", "held"),
    [
        ("", False, "", ("bridge",), "bridge", ["bridge"], ["bridge"]),
        ("default", False, "", ("bridge",), "bridge", ["bridge"], ["bridge"]),
        ("bridge", False, "", ("bridge",), "bridge", ["bridge"], ["bridge"]),
        ("nowhere", False, "", ("nowhere",), "nowhere", ["nowhere"], ["nowhere"]),
        ("none", False, "", (), "none", ["none"], ["none"]),
        ("host", False, "host", (), "host", ["host"], ["host"]),
        ("container:db", False, f"container:{PEER}", (), f"container:{PEER}", [], []),
        ("", True, "", (), "bridge", [], ["none"]),
        ("none", True, "", (), "none", [], ["none"]),
        ("nowhere", True, "", (), "nowhere", [], ["none"]),
    ],
)
def test_modes(
    mode: str,
    disabled: bool,
    sandbox: str,
    endpoints: tuple[str, ...],
    shown: str,
    created: list[str],
    held: list[str],
) -> None:
    spec = spec_of(mode, NetworkDisabled=disabled)
    network = spec.network
    assert (network.sandbox, tuple(end.network for end in network.endpoints)) == (sandbox, endpoints)
    record = ContainerRecord(spec=spec, node="n1")
    assert (host_config(spec)["NetworkMode"], list_line(record)["HostConfig"]) == (shown, {"NetworkMode": shown})
    assert list(inspect_json(record)["NetworkSettings"]["Networks"]) == created
    names = ("container",) if network.partner else ("none",) if disabled else network.networks
    assert list(endpoint_maps(spec, running(*names))) == held


def test_what_is_asked_of_an_endpoint() -> None:
    asked = {
        "Aliases": ["db", "sql"],
        "IPAMConfig": {"IPv4Address": "10.0.0.5", "IPv6Address": "fd00::5"},
        "MacAddress": "02:42:ac:11:00:99",
        "DriverOpts": {"a": "b"},
    }
    assert spec_of("back", {"back": asked}).network.endpoints == (
        EndpointSpec(
            network="back",
            aliases=("db", "sql"),
            ipv4_address="10.0.0.5",
            ipv6_address="fd00::5",
            mac_address="02:42:ac:11:00:99",
            driver_options={"a": "b"},
        ),
    )


@pytest.mark.parametrize("networks", [{}, {"bridge": {}}, {"default": {"MacAddress": "02:42:ac:11:00:99"}}])
def test_the_mac_address_of_the_container_is_that_of_its_endpoint(networks: Any) -> None:
    spec = spec_of("", networks, MacAddress="02:42:ac:11:00:99")
    assert [end.mac_address for end in spec.network.endpoints] == ["02:42:ac:11:00:99"]


def test_links_are_the_endpoints() -> None:
    spec = spec_of(HostConfig={"Links": ["db:sql"]})
    assert [[link.alias for link in end.links] for end in spec.network.endpoints] == [["sql"]]
    assert host_config(spec)["Links"] == ["/db:/web/sql"]


def test_links_without_an_endpoint_are_only_shown() -> None:
    spec = spec_of("none", HostConfig={"Links": ["db:sql", "db", "db"]})
    assert spec.network.links == ()
    assert host_config(spec)["Links"] == ["/db:/web/sql", "/db:/web/db"]


BACK = Endpoint(network="back", network_id="b" * 64, endpoint_id="1" * 64, address="10.1.0.2", prefix_len=24)
BRIDGE = Endpoint(
    network="bridge",
    network_id=network_id("bridge"),
    endpoint_id="2" * 64,
    address="172.18.0.2",
    prefix_len=16,
    gateway="172.18.0.1",
    ipv6_address="fd00::2",
    ipv6_prefix_len=64,
    ipv6_gateway="fd00::1",
)


def two_networks(**status: Any) -> ContainerRecord:
    ends = (EndpointSpec(network="bridge"), EndpointSpec(network="back"))
    network = ContainerNetworking(endpoints=ends, exposed_ports=("80/tcp",))
    spec = builders.spec(1, network=network)
    return ContainerRecord(spec=spec, node="n1", status=ContainerStatus(**status))


def test_each_endpoint_is_shown() -> None:
    port = PublishedPort(container_port=80, protocol="tcp", host_ip="0.0.0.0", host_port=8080)
    record = two_networks(pid=7, run=1, endpoints=(BACK, BRIDGE), ports=(port,))
    settings = network_settings(record.spec, record.status)
    shown = {name: (end["IPAddress"], end["NetworkID"]) for name, end in settings["Networks"].items()}
    assert shown == {"bridge": ("172.18.0.2", network_id("bridge")), "back": ("10.1.0.2", "b" * 64)}
    assert list(shown) == ["bridge", "back"] and shown_mode(record.spec) == "bridge"
    assert (settings["IPAddress"], settings["Gateway"]) == ("172.18.0.2", "172.18.0.1")
    assert settings["Networks"]["bridge"]["GlobalIPv6Address"] == settings["GlobalIPv6Address"] == "fd00::2"
    assert settings["Networks"]["bridge"]["GlobalIPv6PrefixLen"] == settings["GlobalIPv6PrefixLen"] == 64
    assert settings["Networks"]["bridge"]["IPv6Gateway"] == settings["IPv6Gateway"] == "fd00::1"
    assert settings["Ports"] == {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}]}
    assert container_facts(record).networks == {"bridge": network_id("bridge"), "back": "b" * 64}


def test_each_network_is_shown_before_the_first_start() -> None:
    record = two_networks()
    networks = inspect_json(record)["NetworkSettings"]["Networks"]
    assert {name: end["NetworkID"] for name, end in networks.items()} == {"bridge": "", "back": ""}
    assert list_line(record)["NetworkSettings"]["Networks"] == networks


def test_a_network_shows_the_endpoint_that_is_its_own() -> None:
    record = two_networks(pid=7, run=1, endpoints=(BACK, BRIDGE))
    (member,) = predefined_json("bridge", [record])["Containers"].values()
    assert (member["EndpointID"], member["IPv4Address"], member["IPv6Address"]) == (
        BRIDGE.endpoint_id,
        "172.18.0.2/16",
        "fd00::2/64",
    )


OWN = EndpointSpec(
    network="own",
    network_id="d" * 64,
    claimed_ipv4="10.2.0.9",
    aliases=("db", "sql"),
    ipv4_address="10.2.0.9",
    ipv6_address="fd00::9",
    mac_address="02:42:0a:02:00:09",
    driver_options={"a": "b"},
    gateway_priority=7,
    links=(Link(container="", name="other", alias="o"),),
)


def in_own(**status: Any) -> ContainerRecord:
    network = ContainerNetworking(endpoints=(OWN,), hostname="host1")
    return ContainerRecord(spec=builders.spec(1, network=network), node="n1", status=ContainerStatus(**status))


def test_what_was_asked_of_an_endpoint_is_shown() -> None:
    record = in_own(run=1)
    shown = inspect_json(record)["NetworkSettings"]["Networks"]["own"]
    short = record.id[:12]
    assert shown == {
        "IPAMConfig": {"IPv4Address": "10.2.0.9", "IPv6Address": "fd00::9"},
        "Links": ["other:o"],
        "Aliases": ["db", "sql"],
        "MacAddress": "",
        "DriverOpts": {"a": "b"},
        "NetworkID": "d" * 64,
        "EndpointID": "",
        "Gateway": "",
        "IPAddress": "",
        "IPPrefixLen": 0,
        "IPv6Gateway": "",
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
        "DNSNames": ["box1", "db", "sql", short, "host1"],
    }
    listed = list_line(record)["NetworkSettings"]["Networks"]["own"]
    assert listed == shown | {"Links": None, "Aliases": None, "DNSNames": None, "DriverOpts": None}
    assert host_config(record.spec)["Links"] is None, "they are the endpoint's, not the default bridge's"


def test_the_mac_address_of_the_mode_is_shown_to_old_clients() -> None:
    assert inspect_json(in_own())["Config"]["MacAddress"] == "02:42:0a:02:00:09"
    assert "MacAddress" not in inspect_json(two_networks())["Config"]


def test_before_the_first_start_the_mac_address_is_what_was_asked_for() -> None:
    created = endpoint_maps(in_own().spec, in_own().status)["own"]
    assert (created["MacAddress"], created["NetworkID"], created["DNSNames"]) == ("02:42:0a:02:00:09", "", None)


def test_what_an_endpoint_got() -> None:
    held = Endpoint(network="own", network_id="d" * 64, endpoint_id="e" * 64, address="10.2.0.9", prefix_len=24,
                    gateway="10.2.0.1", mac_address="02:42:0a:02:00:09")  # fmt: skip
    record = in_own(run=1, pid=7, endpoints=(held,))
    settings = network_settings(record.spec, record.status)
    shown = settings["Networks"]["own"]
    assert (shown["IPAddress"], shown["IPPrefixLen"], shown["Gateway"]) == ("10.2.0.9", 24, "10.2.0.1")
    assert (shown["EndpointID"], shown["MacAddress"]) == ("e" * 64, "02:42:0a:02:00:09")
    assert (settings["IPAddress"], settings["MacAddress"]) == ("", ""), "those are of the default bridge"


@pytest.mark.parametrize(
    ("version", "form"),
    [
        ((1, 24), EndpointForm.BEFORE_1_45),
        ((1, 44), EndpointForm.BEFORE_1_45),
        ((1, 45), EndpointForm.SINCE_1_45),
        ((1, 46), EndpointForm.SINCE_1_46),
        ((1, 47), EndpointForm.SINCE_1_46),
        ((1, 48), EndpointForm.SINCE_1_48),
    ],
)
def test_forms_by_version(version: Any, form: EndpointForm) -> None:
    assert endpoint_form(version) is form
    record = in_own(run=1)
    shown = inspect_json(record, form)["NetworkSettings"]["Networks"]["own"]
    listed = listed_endpoints(record.spec, record.status, form)["own"]
    assert shown.get("GwPriority") == listed.get("GwPriority") == (7 if form is EndpointForm.SINCE_1_48 else None)
    own = [record.id[:12], "host1"] if form is EndpointForm.BEFORE_1_45 else []
    assert shown["Aliases"] == ["db", "sql", *own]


def test_old_aliases_are_only_those_of_networks_of_users() -> None:
    record = ContainerRecord(spec=spec_of("bridge"), node="n1")
    assert inspect_json(record, EndpointForm.BEFORE_1_45)["NetworkSettings"]["Networks"]["bridge"]["Aliases"] is None


def test_the_mode_stays_when_networks_change() -> None:
    spec = spec_of("own", {"own": {}, "back": {}})
    ends = spec.network.endpoints
    for left in (ends[1:], ()):
        changed = spec.model_copy(update={"network": spec.network.model_copy(update={"endpoints": left})})
        assert shown_mode(changed) == "own"


def test_a_mode_by_id_stays_an_id() -> None:
    spec = spec_of("d" * 12)
    registered = spec.network.model_copy(update={"endpoints": (OWN,)})
    assert shown_mode(spec) == shown_mode(spec.model_copy(update={"network": registered})) == "d" * 12


def test_a_network_that_was_not_found_gives_no_names() -> None:
    spec = spec_of("nowhere")
    assert endpoint_maps(spec, ContainerStatus(run=1))["nowhere"]["DNSNames"] is None


def test_links_in_a_network_of_users_are_its_endpoints() -> None:
    checked = check_create(
        read_body(
            ContainerCreate,
            {
                "Image": "busybox",
                "HostConfig": {"NetworkMode": "own", "Links": ["gone:x"]},
                "NetworkingConfig": {"EndpointsConfig": {"own": {"Links": ["gone:x", "db"]}}},
            },
        )
    )
    assert companion_refs(checked).linked == ()
    request = container_request(checked, Companions())
    spec = container_spec(request, builders.image(), Identity("a" * 64, "web", 0, str))
    assert endpoint_maps(spec, ContainerStatus())["own"]["Links"] == ["gone:x", "db"]
    (endpoint,) = request.network.endpoints
    assert [(link.container, link.name, link.alias) for link in endpoint.links] == [("", "gone", "x"), ("", "db", "db")]


def test_lists_have_annotations_since_1_46() -> None:
    plain = ContainerRecord(spec=builders.spec(), node="n1")
    record = ContainerRecord(spec=builders.spec(annotations={"a": "b"}), node="n1")
    assert list_line(record, EndpointForm.SINCE_1_46)["HostConfig"]["Annotations"] == {"a": "b"}
    assert "Annotations" not in list_line(record, EndpointForm.SINCE_1_45)["HostConfig"]
    assert "Annotations" not in list_line(plain, EndpointForm.SINCE_1_48)["HostConfig"]
