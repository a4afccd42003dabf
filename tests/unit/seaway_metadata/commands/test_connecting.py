"""Connecting and disconnecting containers on the in-memory bus, with a node that does it or refuses."""

import asyncio
import hashlib

import pytest
from tests.unit.seaway_metadata.commands.network_node import NetworkNode

from seaway_bus.bus import Bus, Command
from seaway_contracts.catalogue import ADDRESSES_BUCKET, CONNECT, CREATE_NETWORK, DISCONNECT, GET_CONTAINER
from seaway_contracts.containers import EndpointSpec
from seaway_contracts.errors import Code, Reason, SeawayError, conflict, unavailable
from seaway_contracts.networks import (
    ConnectContainer,
    CreateNetwork,
    DisconnectContainer,
    NetworkRecord,
    Pool,
    network_id,
)
from seaway_contracts.records import ResolveContainer
from seaway_metadata.service import Metadata
from seaway_testing.builders import container_id
from seaway_testing.fake_transport import FakeServer
from seaway_testing.waiting import until

WEB = hashlib.sha256(b"web").hexdigest()


@pytest.fixture
async def node(metadata: Metadata, fake_bus: Bus) -> NetworkNode:
    """With a network `web` of 14 hosts."""
    found = await NetworkNode(fake_bus).serve()
    await until(lambda: any(True for _ in metadata._nodes.records()), what="the node to be known")
    network = NetworkRecord(id=WEB, name="web", created_ns=1, pools=(Pool(subnet="10.1.0.0/28"),))
    await fake_bus.call(CREATE_NETWORK, CreateNetwork(network=network))
    return found


async def connect(bus: Bus, seed: int, command: Command | None = None, **endpoint: str) -> None:
    wanted = EndpointSpec(**({"network": "web"} | endpoint))  # type: ignore[arg-type]
    await bus.call(CONNECT, ConnectContainer(id=container_id(seed), endpoint=wanted), command=command)


async def disconnect(bus: Bus, seed: int, ref: str = "web") -> None:
    await bus.call(DISCONNECT, DisconnectContainer(id=container_id(seed), network=ref))


async def endpoints(bus: Bus, seed: int) -> dict[str, str]:
    """The addresses of a container's record, by network."""
    record = await bus.call(GET_CONTAINER, ResolveContainer(ref=container_id(seed)))
    return {one.network: one.claimed_ipv4 for one in record.spec.network.endpoints}


def claimed(server: FakeServer) -> int:
    return len(server.buckets[ADDRESSES_BUCKET.name].entries)


async def test_one_endpoint_in_each_network(node: NetworkNode, fake_bus: Bus, fake_server: FakeServer) -> None:
    for refs in (("web", WEB), (WEB[:12], "bridge", "web"), ("bridge", network_id("bridge"))):
        with pytest.raises(SeawayError, match="a container can have only one endpoint in network") as caught:
            await node.register(1, *refs)
        assert caught.value.code is Code.BAD_REQUEST
    assert claimed(fake_server) == 0
    await node.register(1, "web", "bridge", "nowhere", "elsewhere")


async def test_connected_and_disconnected(node: NetworkNode, fake_bus: Bus, fake_server: FakeServer) -> None:
    await node.make(1, "bridge")
    await connect(fake_bus, 1)
    assert await endpoints(fake_bus, 1) == {"bridge": "", "web": "10.1.0.2"}
    assert node.networks[WEB].name == "web" and claimed(fake_server) == 1
    await disconnect(fake_bus, 1, WEB[:8])
    assert await endpoints(fake_bus, 1) == {"bridge": ""}
    await until(lambda: claimed(fake_server) == 0, what="the address to be free")
    await disconnect(fake_bus, 1, "bridge")
    assert await endpoints(fake_bus, 1) == {}
    await connect(fake_bus, 1, network=network_id("bridge"))
    assert await endpoints(fake_bus, 1) == {"bridge": ""}


async def test_many_at_once_get_different_addresses(node: NetworkNode, fake_bus: Bus, fake_server: FakeServer) -> None:
    for seed in range(13):
        await node.make(seed, "bridge")
    await asyncio.gather(*(connect(fake_bus, seed) for seed in range(13)))
    assert len({(await endpoints(fake_bus, seed))["web"] for seed in range(13)}) == 13 == claimed(fake_server)


@pytest.mark.parametrize("error", [conflict("it is marked for removal"), unavailable("away")])
async def test_a_failure_frees_what_was_claimed(
    node: NetworkNode, fake_bus: Bus, fake_server: FakeServer, error: SeawayError
) -> None:
    await node.make(1, "bridge")
    node.refusal = error
    with pytest.raises(SeawayError, match=error.message):
        await connect(fake_bus, 1)
    assert claimed(fake_server) == 0 and await endpoints(fake_bus, 1) == {"bridge": ""}


async def test_what_the_node_is_not_asked(node: NetworkNode, fake_bus: Bus, fake_server: FakeServer) -> None:
    await node.make(1, "bridge")
    await node.make(2, EndpointSpec(network="web", ipv4_address="10.1.0.9"))
    for endpoint, code, text in (
        ({"network": "nope"}, Code.NOT_FOUND, "network nope not found"),
        ({"ipv4_address": "10.1.0.9"}, Code.FORBIDDEN, "Address already in use"),
        (
            {"ipv4_address": "10.2.0.9"},
            Code.BAD_REQUEST,
            "invalid endpoint settings:\nno configured subnet or ip-range contain the IP address 10.2.0.9",
        ),
    ):
        with pytest.raises(SeawayError) as caught:
            await connect(fake_bus, 1, **endpoint)
        assert (caught.value.code, caught.value.message) == (code, text)
    with pytest.raises(SeawayError, match="network nope not found"):
        await disconnect(fake_bus, 1, "nope")
    with pytest.raises(SeawayError, match="invalid config for network web: invalid endpoint settings:\nno configured"):
        await node.register(3, EndpointSpec(network="web", ipv4_address="10.2.0.9"))
    assert claimed(fake_server) == 1


async def test_the_second_connect_is_the_node_s_to_refuse(
    node: NetworkNode, fake_bus: Bus, fake_server: FakeServer
) -> None:
    """A repeat of the first one, which the node answers as it did, is no other command to metadata."""
    await node.make(1, "web")
    node.refusal = SeawayError(Code.FORBIDDEN, "endpoint with name box1 already exists in network web")
    with pytest.raises(SeawayError, match="already exists"):
        await connect(fake_bus, 1)
    assert claimed(fake_server) == 1 and await endpoints(fake_bus, 1) == {"web": "10.1.0.2"}


async def test_a_container_of_another_node(node: NetworkNode, fake_bus: Bus) -> None:
    await node.make(1, "web")
    second = await NetworkNode(fake_bus, "n2").serve()
    await second.make(2, "bridge")
    with pytest.raises(SeawayError, match="network web is on node n1: containers in it can't be on node n2") as caught:
        await connect(fake_bus, 2)
    assert caught.value.reason is Reason.OTHER_NODE
