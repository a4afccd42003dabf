"""Requests about networks of users that are refused: Docker's status, a clear sentence, and nothing left."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from e2e_rig.api import Api
from e2e_rig.docker_cli import DockerCli
from e2e_rig.networks import SLEEP, made, run_in

_OVERLAP = "Pool overlaps with other one on this address space"
_OUTSIDE = "no configured subnet or ip-range contain the IP address"


def pool(subnet: str, **more: str) -> dict[str, Any]:
    return {"IPAM": {"Config": [{"Subnet": subnet, **more}]}}


def _seaway_only(*values: object) -> Any:
    return pytest.param(*values, marks=pytest.mark.seaway_only)


@pytest.fixture(autouse=True)
def nothing_made(api: Api) -> Iterator[list[str]]:
    """The names of what a test means to make; no other network or container is there at its end."""
    wanted: list[str] = []
    before = names(api)
    yield wanted
    assert names(api) == sorted([*before, *wanted])


def names(api: Api) -> list[str]:
    """Of all networks and containers."""
    containers = [name for row in api.get("/containers/json?all=1") for name in row["Names"]]
    return sorted([*(network["Name"] for network in api.get("/networks")), *containers])


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        (pool("10.91.0.5/24"), 400, "invalid subnet 10.91.0.5/24: it should be 10.91.0.0/24"),
        (pool("10.91.0.0/33"), 400, "invalid subnet 10.91.0.0/33: invalid CIDR block notation"),
        (pool("nonsense"), 400, "invalid subnet nonsense: invalid CIDR block notation"),
        (pool("0.0.0.0/0"), 403, ""),
        _seaway_only(pool("127.1.0.0/24"), 400, "loopback and multicast addresses are not for containers"),
        _seaway_only(pool("224.0.0.0/24"), 400, "loopback and multicast addresses are not for containers"),
        (pool("10.91.0.0/24", Gateway="10.91.0.255"), 400, "failed to allocate gateway (10.91.0.255)"),
        (pool("10.91.0.0/24", Gateway="10.92.0.1"), 400, "gateway"),
        (pool("10.91.0.0/24", IPRange="10.92.0.0/25"), 400, "range"),
        ({"Driver": "nope"}, 404, 'plugin "nope" not found'),
        ({"Driver": "host"}, 403, 'only one instance of "host" network is allowed'),
        ({"IPAM": {"Driver": "nope"}}, 404, 'plugin "nope" not found'),
        ({"Name": ""}, 400, "invalid name"),
        ({"Name": " "}, 400, "invalid name"),
        ({"Name": "bridge"}, 403, "operation is not permitted on predefined bridge network"),
        ({"Name": "host"}, 403, "operation is not permitted on predefined host network"),
        ({"Options": {"com.docker.network.driver.mtu": "many"}}, 400, "many"),
        ({"ConfigFrom": {"Network": "nope"}}, 404, 'configuration network "nope" does not exist'),
        _seaway_only({"Driver": "macvlan", "Options": {"macvlan_mode": "nope"}}, 400, "nope"),  # Docker: 500
        _seaway_only({"Name": "x" * 256}, 400, "at most 255"),  # Docker takes it
    ],
)
def test_no_network_is_made(api: Api, name: str, body: dict[str, Any], status: int, text: str) -> None:
    reply = api.request("POST", "/networks/create", {"Name": name, **body})
    assert reply.status == status, reply.message
    assert text in reply.message and reply.message


@pytest.mark.parametrize("odd", ["a b", "-x", "ü", "a/b", "..", "x" * 200])
def test_odd_names_are_found_again(cli: DockerCli, api: Api, odd: str) -> None:
    """Docker takes whatever isn't blank."""
    network = api.request("POST", "/networks/create", {"Name": odd}).json()["Id"]
    assert [one["Name"] for one in api.get("/networks") if one["Id"] == network] == [odd]
    body = {"Image": "busybox", "Cmd": ["true"], "HostConfig": {"NetworkMode": odd}}
    container = api.request("POST", "/containers/create", body).json()["Id"]
    assert api.request("POST", f"/containers/{container}/start").status == 204
    api.request("POST", f"/containers/{container}/wait")
    api.request("DELETE", f"/containers/{container}")
    assert api.request("DELETE", f"/networks/{network}").status == 204


def test_names_and_subnets_are_one_network_s(api: Api, name: str, nothing_made: list[str]) -> None:
    assert api.request("POST", "/networks/create", {"Name": name, **pool("10.91.0.0/24")}).status == 201
    nothing_made.append(name)
    reply = api.request("POST", "/networks/create", {"Name": name})
    assert (reply.status, reply.message) == (409, f"network with name {name} already exists")
    for subnet in ("10.91.0.0/24", "10.91.0.128/25", "10.0.0.0/8"):
        reply = api.request("POST", "/networks/create", {"Name": f"{name}-2", **pool(subnet)})
        assert (reply.status, reply.message) == (403, _OVERLAP)


def test_no_more_default_pools(api: Api, name: str, nothing_made: list[str]) -> None:
    for number in itertools.count():
        reply = api.request("POST", "/networks/create", {"Name": f"{name}-{number}"})
        if reply.status != 201:
            break
        nothing_made.append(f"{name}-{number}")
        assert number < 40
    assert reply.status in (403, 404)
    assert "could not find an available, non-overlapping IPv4 address pool among the defaults" in reply.message
    assert api.request("DELETE", f"/networks/{nothing_made.pop()}").status == 204
    assert api.request("POST", "/networks/create", {"Name": f"{name}-again"}).status == 201
    nothing_made.append(f"{name}-again")


def test_a_network_without_room(cli: DockerCli, name: str, nothing_made: list[str]) -> None:
    made(cli, name, "--subnet", "10.91.0.0/32")
    nothing_made.append(name)
    result = cli.try_("run", "--rm", "--network", name, "busybox", "true")
    assert result.code == 125 and "no available IPv4 addresses on this network's address pools" in result.err


@pytest.mark.seaway_only  # Docker's create succeeds
def test_a_full_network(cli: DockerCli, name: str, nothing_made: list[str]) -> None:
    made(cli, name, "--subnet", "10.91.0.0/30")
    run_in(cli, name, f"{name}-a", *SLEEP)
    nothing_made += [name, f"/{name}-a"]
    for words in ((), ("--ip", "10.91.0.2"), ("--ip", "10.91.0.1"), ("--ip", "10.91.0.3")):
        result = cli.try_("run", "--rm", "--name", f"{name}-b", "--network", name, *words, *SLEEP)
        assert result.code == 125
        wanted = "Address already in use" if words else "no available IPv4 addresses on this network's address pools"
        assert wanted in result.err


# --- endpoints


@pytest.fixture
def network(cli: DockerCli, name: str, nothing_made: list[str]) -> str:
    nothing_made.append(name)
    return made(cli, name, "--subnet", "10.91.0.0/24")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--ip", "10.92.0.9"), f"{_OUTSIDE} 10.92.0.9"),
        (("--ip", "nonsense"), "nonsense"),
        (("--ip6", "fd00::9"), ""),
        (("--ip", "0.0.0.0"), "invalid IPv4 address: 0.0.0.0"),
        (("--mac-address", "nonsense"), "nonsense"),
        (("--link", "nobody:x:y"), "bad format for links"),
        _seaway_only(("-p", "0:0"), ""),  # Docker publishes a port 0
        (("-p", "80:65536"), "65536"),
        (("-p", "8000-8002:80-81"), ""),
        (("-p", "65536:80"), "65536"),
        (("-p", "10.0.0.300:80:80"), "10.0.0.300"),
        (("--expose", "65536"), ""),
        (("--network-alias", "x", "--network", "bridge"), ""),
    ],
)
def test_no_container_is_made(cli: DockerCli, network: str, words: tuple[str, ...], text: str) -> None:
    result = cli.try_("create", "--network", network, *words, *SLEEP)
    assert result.code in (1, 125), result.out
    assert text in result.err and result.err


@pytest.mark.parametrize(
    ("key", "bindings", "status"),
    [
        ("0/tcp", [{}], 400),
        ("65536/tcp", [{}], 400),
        ("80/nope", [{}], 400),
        ("80/tcp", [{"HostPort": "65536"}], 400),
        ("80/tcp", [{"HostPort": "-1"}], 400),
        ("80-82/tcp", [{"HostPort": "8000-8001"}], 400),
        ("80/tcp", [{"HostPort": "9-8"}], 400),
        ("80/tcp", [{"HostIp": "nonsense"}], 400),
    ],
)
@pytest.mark.seaway_only  # Docker says so at the start, or not at all
def test_ports_that_are_none(api: Api, network: str, key: str, bindings: list[dict[str, str]], status: int) -> None:
    host = {"NetworkMode": network, "PortBindings": {key: bindings}}
    reply = api.request("POST", "/containers/create", {"Image": "busybox", "HostConfig": host})
    assert reply.status == status and reply.message, reply


def test_connect_that_is_refused(cli: DockerCli, api: Api, network: str, name: str, nothing_made: list[str]) -> None:
    container = run_in(cli, network, f"{name}-c", *SLEEP)
    host = run_in(cli, "host", f"{name}-h", *SLEEP)
    nothing_made += [f"/{name}-c", f"/{name}-h"]
    before = api.get(f"/containers/{container}/json")["NetworkSettings"]
    for where, who, settings, status, text in (
        (network, container, {}, 403, f"endpoint with name {name}-c already exists in network {network}"),
        ("nope", container, {}, 404, "network nope not found"),
        (network, "nope", {}, 404, "No such container: nope"),
        ("host", container, {}, 400, "container cannot be disconnected from host network or connected to host network"),
        (network, host, {}, 400, "container sharing network namespace with another container or host"),
        ("bridge", container, {"IPAMConfig": {"IPv4Address": "172.17.0.9"}}, 400, "user"),
    ):
        body = {"Container": who, "EndpointConfig": settings}
        reply = api.request("POST", f"/networks/{where}/connect", body)
        assert reply.status == status, reply
        assert text in reply.message
    for where, status in (("bridge", 500), ("nope", 404)):
        reply = api.request("POST", f"/networks/{where}/disconnect", {"Container": container})
        assert reply.status == status and reply.message, reply
    assert api.get(f"/containers/{container}/json")["NetworkSettings"] == before


def test_removal_that_is_refused(api: Api) -> None:
    for name, status in (("nope", 404), ("bridge", 403), ("host", 403), ("none", 403)):
        reply = api.request("DELETE", f"/networks/{name}")
        assert reply.status == status and name in reply.message
