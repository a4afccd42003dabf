"""Networking of one run: what is asked of the driver, what is given back when it fails, the files over /etc."""

import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Any, cast

import pytest

from seaway_agent import endpoints
from seaway_agent.core.words import JOINED
from seaway_agent.endpoints import Connection
from seaway_agent.network.errors import NetworkError, PortError, PortInvalid
from seaway_agent.network.ports import PortBinding as HostBinding
from seaway_agent.network.ports import PortRequest
from seaway_agent.network.sandbox import Sandbox
from seaway_agent.network.sandboxes import NetworkRequest
from seaway_contracts.containers import ContainerSpec, Endpoint, EndpointSpec, PortBinding
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.networks import network_id
from seaway_testing import builders

ADDRESS = IPv4Address("172.18.0.2")


def sandbox(mode: str) -> Sandbox:
    if mode == "none":
        return Sandbox(-1)
    return Sandbox(-1, ADDRESS, 16, IPv4Address("172.18.0.1"), "02:42:ac:12:00:02", "v1", 7)


@dataclass
class StandInDriver:
    """Writes down what it is asked for; fails as told."""

    acquires: list[NetworkRequest] = field(default_factory=list)
    published: list[PortRequest] = field(default_factory=list)
    held: int = 0
    failure: Exception | None = None
    publish_failure: Exception | None = None

    async def acquire(self, request: NetworkRequest) -> Sandbox:
        if self.failure is not None:
            raise self.failure
        self.acquires.append(request)
        self.held += 1
        return sandbox(request.mode)

    async def release(self, given: Sandbox) -> None:
        self.held -= 1

    async def publish(self, container: str, address: IPv4Address, requests: Sequence[PortRequest]) -> Any:
        if self.publish_failure is not None:
            raise self.publish_failure
        self.published += requests
        return tuple(
            HostBinding(r.protocol, r.host_ip or "0.0.0.0", r.host_port or 32768, r.container_port) for r in requests
        )

    async def unpublish(self, container: str) -> None:
        self.published.clear()


@pytest.fixture
def driver() -> StandInDriver:
    return StandInDriver()


def spec_with(**network: Any) -> ContainerSpec:
    return builders.spec(1, network=builders.networking(**network))


async def connect(driver: StandInDriver, **network: Any) -> Connection:
    return await endpoints.connect(cast(Any, driver), spec_with(**network))


async def test_bridge(driver: StandInDriver) -> None:
    connection = await connect(driver, endpoints=(EndpointSpec(network="bridge", mac_address="02:42:00:00:00:09"),))
    (endpoint,) = connection.endpoints
    assert driver.acquires == [NetworkRequest("bridge", None, "02:42:00:00:00:09")]
    assert (endpoint.network, endpoint.network_id) == ("bridge", network_id("bridge"))
    assert (endpoint.address, endpoint.prefix_len, endpoint.gateway) == ("172.18.0.2", 16, "172.18.0.1")
    assert endpoint.mac_address == "02:42:ac:12:00:02"
    assert len(endpoint.endpoint_id) == 64


async def test_none_has_a_sandbox_without_an_address(driver: StandInDriver) -> None:
    connection = await connect(driver, mode="none")
    (endpoint,) = connection.endpoints
    assert driver.acquires == [NetworkRequest("none")]
    assert (endpoint.network, endpoint.network_id, endpoint.address) == ("none", network_id("none"), "")
    assert connection.ports == ()


async def test_host_has_no_sandbox(driver: StandInDriver) -> None:
    connection = await connect(driver, mode="host")
    assert (driver.held, connection.sandbox, [end.network for end in connection.endpoints]) == (0, None, ["host"])


async def test_in_anothers_sandbox_nothing_is_held(driver: StandInDriver) -> None:
    connection = await connect(driver, mode=f"container:{builders.container_id(7)}")
    assert (driver.held, connection.sandbox, [end.network for end in connection.endpoints]) == (0, None, [JOINED])


async def test_a_network_that_is_not_there(driver: StandInDriver) -> None:
    with pytest.raises(SeawayError) as refused:
        await connect(driver, mode="nowhere")
    assert (refused.value.code, refused.value.message) == (Code.NOT_FOUND, "network nowhere not found")
    assert driver.held == 0


async def test_more_than_one_endpoint_is_refused(driver: StandInDriver) -> None:
    with pytest.raises(SeawayError) as refused:
        await connect(driver, endpoints=(EndpointSpec(network="bridge"), EndpointSpec(network="back")))
    text = "container box1 can't join bridge, back: nodes connect it to one network only"
    assert (refused.value.code, refused.value.message, driver.held) == (Code.BAD_REQUEST, text, 0)


async def test_ports_as_asked_for(driver: StandInDriver) -> None:
    ports = (
        PortBinding(container_port=80, host_port="8080"),
        PortBinding(container_port=53, protocol="udp", host_ip="127.0.0.1", host_port="9000-9005"),
        PortBinding(container_port=81),
    )
    connection = await connect(driver, ports=ports)
    assert driver.published == [
        PortRequest(80, "tcp", "", 8080, 0),
        PortRequest(53, "udp", "127.0.0.1", 9000, 9005),
        PortRequest(81, "tcp", "", 0, 0),
    ]
    assert [(port.container_port, port.host_ip, port.host_port) for port in connection.ports] == [
        (80, "0.0.0.0", 8080),
        (53, "127.0.0.1", 9000),
        (81, "0.0.0.0", 32768),
    ]


async def test_publish_all_adds_exposed_ports_that_are_not_bound(driver: StandInDriver) -> None:
    bound = (PortBinding(container_port=80, host_port="8080"),)
    await connect(driver, ports=bound, publish_all=True, exposed_ports=("80/tcp", "80/udp", "443"))
    asked = [(request.container_port, request.protocol, request.host_port) for request in driver.published]
    assert asked == [(80, "tcp", 8080), (80, "udp", 0), (443, "tcp", 0)]


async def test_ports_of_a_container_without_an_address_are_left_out(driver: StandInDriver) -> None:
    connection = await connect(driver, mode="none", ports=(PortBinding(container_port=80),))
    assert (connection.ports, driver.published) == ((), [])


@pytest.mark.parametrize(
    ("failure", "code", "text"),
    [
        (
            PortError("Bind for 0.0.0.0:80 failed: port is already allocated"),
            Code.INTERNAL,
            "port is already allocated",
        ),
        (PortInvalid("invalid proto"), Code.BAD_REQUEST, "invalid proto"),
        (OSError(24, "Too many open files"), Code.INTERNAL, "Too many open files"),
    ],
)
async def test_a_port_that_can_not_be_had_gives_the_sandbox_back(
    driver: StandInDriver, failure: Exception, code: Code, text: str
) -> None:
    driver.publish_failure = failure
    with pytest.raises(SeawayError, match=text) as refused:
        await connect(driver, ports=(PortBinding(container_port=80, host_port="80"),))
    assert (refused.value.code, driver.held) == (code, 0)


async def test_a_port_that_is_no_number_gives_the_sandbox_back(driver: StandInDriver) -> None:
    with pytest.raises(SeawayError, match="invalid port specification"):
        await connect(driver, ports=(PortBinding(container_port=80, host_port="http"),))
    assert driver.held == 0


@pytest.mark.parametrize("failure", [NetworkError("no free address"), OSError(28, "No space left on device")])
async def test_no_sandbox_is_an_error_that_names_the_container(driver: StandInDriver, failure: Exception) -> None:
    driver.failure = failure
    with pytest.raises(SeawayError, match="no network for container box1"):
        await connect(driver)


async def test_disconnect_gives_everything_back(driver: StandInDriver) -> None:
    spec = spec_with(ports=(PortBinding(container_port=80),))
    connection = await endpoints.connect(cast(Any, driver), spec)
    await endpoints.disconnect(cast(Any, driver), spec, connection)
    assert (driver.held, driver.published) == (0, [])


def test_a_published_port_survives_the_way_through_the_status() -> None:
    binding = HostBinding("udp", "127.0.0.1", 9000, 53)
    assert endpoints.host_binding(endpoints._published(binding)) == binding


@pytest.mark.parametrize(
    ("network", "name"),
    [
        ({"hostname": "mine"}, "mine"),
        ({"hostname": "mine", "mode": "host"}, "mine"),
        ({"mode": "host"}, socket.gethostname()),
        ({}, builders.container_id(1)[:12]),
    ],
)
def test_hostname(network: dict[str, str], name: str) -> None:
    assert endpoints.hostname(spec_with(**network)) == name


async def test_etc_files(driver: StandInDriver) -> None:
    spec = spec_with(
        hostname="mine",
        domainname="dom",
        extra_hosts=("db:10.0.0.5", "up:host-gateway"),
        dns=("1.2.3.4",),
        dns_search=("x.y",),
    )
    files = endpoints.etc_files(spec, await endpoints.connect(cast(Any, driver), spec))
    assert files["hostname"] == "mine\n"
    lines = [line.split() for line in files["hosts"].splitlines()]
    assert ["172.18.0.2", "mine.dom", "mine"] in lines
    assert ["10.0.0.5", "db"] in lines
    assert ["172.18.0.1", "up"] in lines
    assert ["127.0.0.1", "localhost"] in lines
    assert "nameserver 1.2.3.4" in files["resolv.conf"]
    assert "search x.y" in files["resolv.conf"]


async def test_a_bad_extra_host_is_refused(driver: StandInDriver) -> None:
    spec = spec_with(extra_hosts=("db:not-an-address",))
    connection = await endpoints.connect(cast(Any, driver), spec)
    with pytest.raises(SeawayError) as refused:
        endpoints.etc_files(spec, connection)
    assert refused.value.code is Code.BAD_REQUEST


def test_the_address_on_the_bridge_among_others() -> None:
    bridge, back, none = (
        Endpoint(network=name, network_id="", address=address)
        for name, address in (("bridge", "10.0.0.1"), ("back", "10.1.0.1"), ("none", ""))
    )
    assert endpoints.bridge_address((back, bridge)) == IPv4Address("10.0.0.1")
    assert endpoints.bridge_address((back, none)) is None
    assert endpoints.bridge_address(()) is None


def test_bad_nameservers_are_refused() -> None:
    spec = builders.spec(network=builders.networking("none", dns=("1.1.1.1", "x")))
    connection = Connection((Endpoint(network="none", network_id=""),), None)
    with pytest.raises(SeawayError) as refused:
        endpoints.etc_files(spec, connection)
    assert refused.value.message == 'bad nameserver address x: ParseAddr("x"): unable to parse IP'


def test_links_stand_before_the_containers_own_name() -> None:
    spec = builders.spec(network=builders.networking(hostname="h", extra_hosts=("a:1.2.3.4",)))
    connection = Connection((Endpoint(network="bridge", network_id="", address="172.18.0.2"),), None)
    lines = endpoints.etc_files(spec, connection, [("172.18.0.9", "db abc")])["hosts"].splitlines()
    assert lines[-3:] == ["1.2.3.4\ta", "172.18.0.9\tdb abc", "172.18.0.2\th"]


def test_all_addresses_stand_in_the_hosts_file() -> None:
    spec = builders.spec(network=builders.networking(hostname="h", extra_hosts=("up:host-gateway",)))
    ends = (
        Endpoint(network="back", network_id="", address="10.1.0.2", gateway="10.1.0.1"),
        Endpoint(network="bridge", network_id="", address="172.18.0.2", gateway="172.18.0.1"),
    )
    lines = endpoints.etc_files(spec, Connection(ends, None))["hosts"].splitlines()
    assert {"10.1.0.2\th", "172.18.0.2\th", "172.18.0.1\tup"} <= set(lines)
