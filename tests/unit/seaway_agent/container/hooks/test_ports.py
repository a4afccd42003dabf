"""Published ports: what is asked of the network, and what it refuses."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Any, cast

import pytest
from tests.unit.seaway_agent.container.hooks.peers import request

from seaway_agent.container.hooks import ports
from seaway_agent.container.hooks.ports import PortsHook
from seaway_agent.network.errors import PortError, PortInvalid
from seaway_agent.network.ports import PortBinding as HostBinding
from seaway_agent.network.ports import PortRequest
from seaway_agent.runtime.contribution import Contribution
from seaway_contracts.containers import Endpoint, PortBinding
from seaway_contracts.errors import Code, SeawayError
from seaway_testing import builders

BRIDGE = Endpoint(network="bridge", network_id="", address="172.18.0.2", gateway="172.18.0.1")


@dataclass
class StandInPorts:
    """Records what it is asked for; fails as told."""

    published: list[PortRequest] = field(default_factory=list)
    addresses: list[IPv4Address] = field(default_factory=list)
    failure: Exception | None = None

    async def publish(self, container: str, address: IPv4Address, requests: Sequence[PortRequest]) -> Any:
        if self.failure is not None:
            raise self.failure
        self.published += requests
        self.addresses.append(address)
        return tuple(
            HostBinding(r.protocol, r.host_ip or "0.0.0.0", r.host_port or 32768, r.container_port) for r in requests
        )

    async def unpublish(self, container: str) -> None:
        self.published.clear()


@pytest.fixture
def published() -> StandInPorts:
    return StandInPorts()


async def prepare(published: StandInPorts, *endpoints: Endpoint, **network: Any) -> Contribution:
    asked = request(network=builders.networking(**network))
    return await PortsHook(cast(Any, published)).prepare(asked, Contribution(endpoints=endpoints or (BRIDGE,)))


async def test_ports_as_asked_for(published: StandInPorts) -> None:
    asked = (
        PortBinding(container_port=80, host_port="8080"),
        PortBinding(container_port=53, protocol="udp", host_ip="127.0.0.1", host_port="9000-9005"),
        PortBinding(container_port=81),
    )
    parts = await prepare(published, ports=asked)
    assert published.published == [
        PortRequest(80, "tcp", "", 8080, 0),
        PortRequest(53, "udp", "127.0.0.1", 9000, 9005),
        PortRequest(81, "tcp", "", 0, 0),
    ]
    assert [(port.container_port, port.host_ip, port.host_port) for port in parts.ports] == [
        (80, "0.0.0.0", 8080),
        (53, "127.0.0.1", 9000),
        (81, "0.0.0.0", 32768),
    ]


async def test_publish_all_adds_exposed_ports_that_are_not_bound(published: StandInPorts) -> None:
    bound = (PortBinding(container_port=80, host_port="8080"),)
    await prepare(published, ports=bound, publish_all=True, exposed_ports=("80/tcp", "80/udp", "443"))
    asked = [(one.container_port, one.protocol, one.host_port) for one in published.published]
    assert asked == [(80, "tcp", 8080), (80, "udp", 0), (443, "tcp", 0)]


async def test_ports_of_a_container_without_an_address_are_left_out(published: StandInPorts) -> None:
    parts = await prepare(published, Endpoint(network="none", network_id=""), ports=(PortBinding(container_port=80),))
    assert (parts, published.published) == (Contribution(), [])


async def test_ports_lead_to_the_endpoint_with_the_default_route(published: StandInPorts) -> None:
    inner = Endpoint(network="inner", network_id="", address="10.2.0.2")
    back = Endpoint(network="back", network_id="", address="10.1.0.2", gateway="10.1.0.1")
    for endpoints in ((inner, back, BRIDGE), (BRIDGE, inner, back)):
        await prepare(published, *endpoints, ports=(PortBinding(container_port=80),))
    assert published.addresses == [IPv4Address("10.1.0.2")] * 2, "the first network by name"


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
async def test_a_port_that_can_not_be_had(published: StandInPorts, failure: Exception, code: Code, text: str) -> None:
    published.failure = failure
    with pytest.raises(SeawayError, match=text) as refused:
        await prepare(published, ports=(PortBinding(container_port=80, host_port="80"),))
    assert refused.value.code is code


async def test_a_port_that_is_no_number_is_refused(published: StandInPorts) -> None:
    with pytest.raises(SeawayError, match="invalid port specification"):
        await prepare(published, ports=(PortBinding(container_port=80, host_port="http"),))
    assert published.published == []


async def test_undo_withdraws_them(published: StandInPorts) -> None:
    await prepare(published, ports=(PortBinding(container_port=80),))
    await PortsHook(cast(Any, published)).undo(builders.container_id(1))
    assert published.published == []


def test_a_published_port_survives_the_way_through_the_status() -> None:
    binding = HostBinding("udp", "127.0.0.1", 9000, 53)
    assert ports.host_binding(ports._published(binding)) == binding
