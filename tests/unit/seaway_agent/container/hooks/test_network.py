"""Sandbox and endpoints of a run: what is asked of the networks, and what is given back."""

import asyncio
from ipaddress import IPv4Address, IPv4Network

import pytest
from tests.unit.seaway_agent.container.hooks.peers import NOTHING, request

from seaway_agent.container.held_networks import HeldNetworks
from seaway_agent.container.hooks.network import NetworkHook, requests_again
from seaway_agent.core.events import JOINED, network_events
from seaway_agent.network.errors import NetworkError, SubnetError
from seaway_agent.network.fake import FakeNetworks
from seaway_agent.network.port import EndpointRequest, NetworkSpec
from seaway_agent.runtime.contribution import Contribution
from seaway_contracts.containers import EndpointSpec
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.networks import NetworkRecord, Pool, network_id
from seaway_testing import builders

ID = builders.container_id(1)
BACK = NetworkRecord(id="b" * 64, name="back", created_ns=1, pools=(Pool(subnet="10.1.0.0/24", gateway="10.1.0.1"),))
IN_BACK = EndpointSpec(network="back", network_id=BACK.id, claimed_ipv4="10.1.0.9", mac_address="02:42:00:00:00:07")


@pytest.fixture
async def networks() -> FakeNetworks:
    made = FakeNetworks()
    await made.make(NetworkSpec(network_id("bridge"), "bridge", subnet=IPv4Network("172.18.0.0/16")))
    return made


def hook(networks: FakeNetworks) -> NetworkHook:
    return NetworkHook(networks, HeldNetworks(networks, {BACK.id: BACK}, lambda network: False))


async def prepare(networks: FakeNetworks, mode: str = "bridge", *ends: EndpointSpec) -> Contribution:
    network = builders.networking(endpoints=ends) if ends else builders.networking(mode)
    return await hook(networks).prepare(request(network=network), NOTHING)


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
    assert ("share" in networks.calls) == (shown == JOINED)


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
    for _ in range(2):
        await hook(networks).undo(ID)
    assert networks.endpoints(ID) == ()
    assert (await prepare(networks)).endpoints[0].address


async def test_a_later_agent_asks_for_the_same_again(networks: FakeNetworks) -> None:
    parts = await prepare(networks, "", EndpointSpec(network="bridge", mac_address="02:42:00:00:00:09"))
    address = IPv4Address(parts.endpoints[0].address)
    network = builders.networking()
    wanted = EndpointRequest(network_id("bridge"), address, mac="02:42:00:00:00:09")
    assert requests_again(network, parts.endpoints) == [wanted]
    assert requests_again(network, (await prepare(networks, "host")).endpoints) == []


async def test_a_network_of_users_is_made_at_the_first_start_and_named_by_its_id(networks: FakeNetworks) -> None:
    parts = await prepare(networks, "", EndpointSpec(network="bridge"), IN_BACK)
    (made,) = (spec for spec in networks.present() if spec.id == BACK.id)
    assert (str(made.subnet), str(made.gateway)) == ("10.1.0.0/24", "10.1.0.1")
    first, second = parts.endpoints
    assert (first.network, second.network, second.network_id) == ("bridge", "back", BACK.id)
    assert (second.address, second.prefix_len, second.mac_address) == ("10.1.0.9", 24, "02:42:00:00:00:07")


@pytest.mark.parametrize("identifier", ["", "c" * 64], ids=["unknown to metadata", "not stored here"])
async def test_a_network_without_a_record_is_not_found(networks: FakeNetworks, identifier: str) -> None:
    with pytest.raises(SeawayError) as refused:
        await prepare(networks, "", EndpointSpec(network="back", network_id=identifier))
    assert (refused.value.code, refused.value.message) == (Code.NOT_FOUND, "network back not found")


async def test_a_network_that_cannot_be_made_says_why(networks: FakeNetworks) -> None:
    networks.failures["make"] = SubnetError("subnet 10.1.0.0/24 overlaps the host's")
    with pytest.raises(SeawayError, match=r"network back can't be made on this node: subnet 10.1.0.0/24 overlaps"):
        await prepare(networks, "", IN_BACK)
    assert networks.endpoints(ID) == ()
    assert len((await prepare(networks, "", IN_BACK)).endpoints) == 1, "the next start tries again"


async def test_the_names_of_networks_may_be_those_of_special_ones(networks: FakeNetworks) -> None:
    """Only ids count: a network of users may be called as the status calls another container's sandbox."""
    held = {BACK.id: BACK.model_copy(update={"name": JOINED})}
    spec = IN_BACK.model_copy(update={"network": JOINED})
    asked = request(network=builders.networking(endpoints=(spec,)))
    parts = await NetworkHook(networks, HeldNetworks(networks, held, lambda network: False)).prepare(asked, NOTHING)
    status = builders.status(endpoints=parts.endpoints)
    assert [event.network for event in network_events("connect", status)] == [parts.endpoints[0]]


class SlowNetworks(FakeNetworks):
    """It takes a while to make a network."""

    def __init__(self) -> None:
        super().__init__()
        self.makes = 0

    async def make(self, spec: NetworkSpec) -> NetworkSpec:
        self.makes += 1
        await asyncio.sleep(0)
        return await super().make(spec)


async def test_containers_that_start_at_once_make_their_network_once() -> None:
    networks = SlowNetworks()
    held = HeldNetworks(networks, {BACK.id: BACK}, lambda network: False)
    await asyncio.gather(*(held.make_stored(BACK) for _ in range(5)))
    assert networks.makes == 1 and networks.is_made(BACK.id)
