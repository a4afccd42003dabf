"""Sandbox and endpoints of a run: what is asked of the networks, and what is given back."""

from ipaddress import IPv4Address, IPv4Network

import pytest
from tests.unit.seaway_agent.container.hooks.peers import NOTHING, request

from seaway_agent.container.hooks.network import NetworkHook, requests_again
from seaway_agent.core.events import JOINED
from seaway_agent.network.errors import NetworkError
from seaway_agent.network.fake import FakeNetworks
from seaway_agent.network.port import EndpointRequest, NetworkSpec
from seaway_agent.runtime.contribution import Contribution
from seaway_contracts.containers import EndpointSpec
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.networks import network_id
from seaway_testing import builders

ID = builders.container_id(1)


@pytest.fixture
async def networks() -> FakeNetworks:
    made = FakeNetworks()
    await made.make(NetworkSpec(network_id("bridge"), "bridge", subnet=IPv4Network("172.18.0.0/16")))
    return made


async def prepare(networks: FakeNetworks, mode: str = "bridge", *ends: EndpointSpec) -> Contribution:
    network = builders.networking(endpoints=ends) if ends else builders.networking(mode)
    return await NetworkHook(networks).prepare(request(network=network), NOTHING)


async def test_bridge(networks: FakeNetworks) -> None:
    parts = await prepare(networks, "", EndpointSpec(network="bridge", mac_address="02:42:00:00:00:09"))
    (endpoint,) = parts.endpoints
    assert (endpoint.network, endpoint.network_id) == ("bridge", network_id("bridge"))
    assert (endpoint.address, endpoint.prefix_len, endpoint.gateway) == ("172.18.0.2", 16, "172.18.0.1")
    assert endpoint.mac_address == "02:42:00:00:00:09"
    assert len(endpoint.endpoint_id) == 64
    assert parts.namespaces["network"]


async def test_none_has_a_sandbox_without_an_address(networks: FakeNetworks) -> None:
    parts = await prepare(networks, "none")
    (endpoint,) = parts.endpoints
    assert parts.namespaces["network"]
    assert (endpoint.network, endpoint.network_id, endpoint.address) == ("none", network_id("none"), "")
    assert networks.endpoints(ID) == ()


@pytest.mark.parametrize(
    ("mode", "shown"), [("host", "host"), (f"container:{builders.container_id(7)}", JOINED)], ids=["host", "joined"]
)
async def test_a_shared_sandbox_is_nothing_of_its_own(networks: FakeNetworks, mode: str, shown: str) -> None:
    parts = await prepare(networks, mode)
    assert (dict(parts.namespaces), [end.network for end in parts.endpoints]) == ({}, [shown])


async def test_a_network_that_is_not_there(networks: FakeNetworks) -> None:
    with pytest.raises(SeawayError) as refused:
        await prepare(networks, "", EndpointSpec(network="bridge"), EndpointSpec(network="nowhere"))
    assert (refused.value.code, refused.value.message) == (Code.NOT_FOUND, "network nowhere not found")
    assert networks.endpoints(ID) == ()


@pytest.mark.parametrize("failure", [NetworkError("no free address"), OSError(28, "No space left on device")])
async def test_no_sandbox_is_an_error_that_names_the_container(
    networks: FakeNetworks, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    async def refuse(*_: object) -> None:
        raise failure

    monkeypatch.setattr(networks, "join", refuse)
    with pytest.raises(SeawayError, match="no network for container box1"):
        await prepare(networks)


async def test_undo_gives_everything_back(networks: FakeNetworks) -> None:
    await prepare(networks)
    hook = NetworkHook(networks)
    await hook.undo(ID)
    await hook.undo(ID)
    assert networks.endpoints(ID) == ()
    assert (await prepare(networks)).endpoints[0].address


async def test_a_later_agent_asks_for_the_same_again(networks: FakeNetworks) -> None:
    parts = await prepare(networks, "", EndpointSpec(network="bridge", mac_address="02:42:00:00:00:09"))
    address = IPv4Address(parts.endpoints[0].address)
    assert requests_again(parts.endpoints) == [EndpointRequest(network_id("bridge"), address, mac="02:42:00:00:00:09")]
    assert requests_again((await prepare(networks, "host")).endpoints) == []
