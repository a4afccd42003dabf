"""One address, one container; one network, one node: whoever asks at the same moment, and whoever was killed."""

import asyncio
import hashlib
from pathlib import Path

import pytest
from tests.unit.seaway_metadata.commands.network_node import NetworkNode

from seaway_bus.bus import Bus, Command
from seaway_contracts.catalogue import (
    ADDRESSES_BUCKET,
    CLAIM_ADDRESSES,
    CONNECT,
    CONTAINERS_BUCKET,
    CREATE_NETWORK,
    DISCONNECT,
    DISCONNECT_HELD,
    FORGET,
    GET_NETWORK,
    NAMES_BUCKET,
    REGISTER,
    REMOVE_NETWORK,
)
from seaway_contracts.commands import ContainerId
from seaway_contracts.containers import ContainerStatus, EndpointSpec
from seaway_contracts.errors import Code, Reason, SeawayError
from seaway_contracts.networks import (
    ConnectContainer,
    CreateNetwork,
    DisconnectContainer,
    DisconnectHeld,
    NetworkRecord,
    NetworkRef,
    Pool,
)
from seaway_contracts.records import ForgetContainer, RegisterContainer, RegisteredContainer
from seaway_kit.tasks import Tasks
from seaway_metadata.kinds.containers import NAMES
from seaway_metadata.kinds.networks import bound
from seaway_metadata.service import Metadata, running
from seaway_metadata.settings import MetadataSettings
from seaway_testing.builders import container_id, networking, spec
from seaway_testing.fake_transport import FakeServer, FakeTransport
from seaway_testing.waiting import until

WEB = hashlib.sha256(b"web").hexdigest()
ASKED = EndpointSpec(network="web", ipv4_address="10.1.0.9")


@pytest.fixture
async def node(metadata: Metadata, fake_bus: Bus) -> NetworkNode:
    """With a network `web`."""
    found = await NetworkNode(fake_bus).serve()
    await until(lambda: any(True for _ in metadata._nodes.records()), what="the node to be known")
    await create(fake_bus, WEB, "web", "10.1.0.0/24")
    return found


async def create(bus: Bus, identifier: str, name: str, subnet: str) -> None:
    network = NetworkRecord(id=identifier, name=name, created_ns=1, pools=(Pool(subnet=subnet),))
    await bus.call(CREATE_NETWORK, CreateNetwork(network=network))


def address_of(registered: RegisteredContainer) -> str:
    return registered.spec.network.endpoints[0].claimed_ipv4


async def test_containers_that_are_created_at_once_are_on_one_node(node: NetworkNode, fake_bus: Bus) -> None:
    other = await NetworkNode(fake_bus, "n2").serve()
    outcomes = await asyncio.gather(node.register(1, "web"), other.register(2, "web"), return_exceptions=True)
    (refused,) = [one for one in outcomes if isinstance(one, SeawayError)]
    home = (await fake_bus.call(GET_NETWORK, NetworkRef(ref="web"))).network.nodes[0]
    assert (refused.reason, refused.facts["node"]) == (Reason.OTHER_NODE, home)


@pytest.mark.parametrize(
    ("nodes", "age_s", "used", "then"),
    [
        ((), 0, False, ("n2",)),
        (("n1",), 100, False, ("n2", "n1")),
        (("n1",), 100, True, ("n1",)),
        (("n1",), 1, False, ("n1",)),
        (("n2", "n1"), 1, True, ("n2", "n1")),
    ],
)
def test_a_network_is_bound_to_a_node(nodes: tuple[str, ...], age_s: int, used: bool, then: tuple[str, ...]) -> None:
    now = 10**18
    network = NetworkRecord(id=WEB, name="web", created_ns=1, nodes=nodes, bound_ns=now - age_s * 10**9)
    after = bound(network, "n2", now, used=used)
    assert after.nodes == then
    assert (after.bound_ns, after.version) == ((now, 2) if then != nodes else (network.bound_ns, 1))


async def home_of(bus: Bus) -> tuple[str, str]:
    """The node of `web`, and the container for which it was bound to that."""
    network = (await bus.call(GET_NETWORK, NetworkRef(ref="web"))).network
    return network.nodes[0], network.bound_for


async def test_a_network_moves_with_the_new_container_that_a_node_has_refused(node: NetworkNode, fake_bus: Bus) -> None:
    other = await NetworkNode(fake_bus, "n2").serve()
    await node.register(1, "web")
    assert await home_of(fake_bus) == ("n1", container_id(1))
    await fake_bus.call(FORGET, ForgetContainer(id=container_id(1), name="box1"))
    await other.register(1, "web")
    assert await home_of(fake_bus) == ("n2", container_id(1))


@pytest.mark.parametrize("failure", ["forgotten", "a taken name"])
async def test_a_network_is_free_again_if_the_container_for_which_it_was_bound_is_not_made(
    node: NetworkNode, fake_bus: Bus, failure: str
) -> None:
    other = await NetworkNode(fake_bus, "n2").serve()
    if failure == "forgotten":
        await node.register(1, "web")
        await fake_bus.call(FORGET, ForgetContainer(id=container_id(1), name="box1"))
    else:
        await node.register(2)
        taken = spec(1, name="box2", network=networking(endpoints=(EndpointSpec(network="web"),)))
        with pytest.raises(SeawayError):
            await fake_bus.call(REGISTER, RegisterContainer(spec=taken, node="n1"))
    await other.register(3, "web")
    assert await home_of(fake_bus) == ("n2", container_id(3))


@pytest.mark.parametrize("use", ["another container", "its node was not asked"])
async def test_a_network_that_may_be_used_stays_bound(node: NetworkNode, fake_bus: Bus, use: str) -> None:
    other = await NetworkNode(fake_bus, "n2").serve()
    await node.register(1, "web")
    if use == "another container":
        await node.register(2, "web")
    unheard = use != "another container"
    await fake_bus.call(FORGET, ForgetContainer(id=container_id(1), name="box1", unheard=unheard))
    with pytest.raises(SeawayError) as caught:
        await other.register(3, "web")
    assert caught.value.reason is Reason.OTHER_NODE


async def test_of_two_connects_by_one_address_the_refused_one_frees_nothing(
    node: NetworkNode, metadata: Metadata, fake_bus: Bus, fake_server: FakeServer
) -> None:
    await node.make(1)
    await until(lambda: metadata.containers.index.get(container_id(1)) is not None, what="the container")
    request = ConnectContainer(id=container_id(1), endpoint=ASKED)
    outcomes = await asyncio.gather(*(fake_bus.call(CONNECT, request) for _ in range(2)), return_exceptions=True)
    assert sorted(isinstance(one, SeawayError) for one in outcomes) == [False, True]
    assert len(fake_server.buckets[ADDRESSES_BUCKET.name].entries) == 1
    assert address_of(await node.register(2, ASKED)) == ""


async def made(node: NetworkNode, metadata: Metadata, *endpoints: EndpointSpec | str) -> None:
    await node.make(1, *endpoints)
    await until(lambda: metadata.containers.index.get(container_id(1)) is not None, what="the container")


async def left(node: NetworkNode, bus: Bus) -> ContainerStatus:
    """The container has left the network; who asked for that was killed before metadata freed the address."""
    reply = await bus.call(DISCONNECT_HELD, DisconnectHeld(id=container_id(1), network_id=WEB), node=node.name)
    return reply.status


async def connects(metadata: Metadata, bus: Bus, server: FakeServer, endpoint: EndpointSpec) -> None:
    """The container is connected again; one address is claimed then, when all that was left is freed."""
    await bus.call(CONNECT, ConnectContainer(id=container_id(1), endpoint=endpoint))
    await metadata.containers.behind.flush()
    assert len(server.buckets[ADDRESSES_BUCKET.name].entries) == 1


async def test_an_address_that_a_container_has_just_left_may_be_its_next_one(
    node: NetworkNode, metadata: Metadata, fake_bus: Bus, fake_server: FakeServer
) -> None:
    """Metadata hears of the disconnect only after the connect, and must not free the address then."""
    await made(node, metadata, ASKED)
    node.tells = False
    disconnected = await left(node, fake_bus)
    without = node.specs[container_id(1)]
    await fake_bus.call(CONNECT, ConnectContainer(id=container_id(1), endpoint=ASKED))
    await node.tell_of(1, disconnected, without)
    node.tells = True
    await node.tell_again(1)
    await metadata.containers.behind.flush()
    assert len(fake_server.buckets[ADDRESSES_BUCKET.name].entries) == 1
    assert address_of(await node.register(2, ASKED)) == ""


async def test_another_copy_hears_late_that_a_container_left_its_address(
    node: NetworkNode, metadata: Metadata, fake_bus: Bus, fake_server: FakeServer, tmp_path: Path
) -> None:
    """It hears of the disconnect after the connect has claimed the address again, and of that later."""
    await made(node, metadata, ASKED)
    node.tells = False
    disconnected = await left(node, fake_bus)
    without = node.specs[container_id(1)]
    await metadata.containers.behind.flush()
    bus = Bus(FakeTransport(fake_server))
    async with running(bus, Tasks("other"), MetadataSettings(root=tmp_path / "other")) as other:
        await metadata._connecting.connect(ConnectContainer(id=container_id(1), endpoint=ASKED), Command.new("test"))
        await node.tell_of(1, disconnected, without)
        await until(lambda: other.containers.index.get(container_id(1)).status.seq == 2, what="the disconnect")
        await other.containers.behind.flush()
        assert len(fake_server.buckets[ADDRESSES_BUCKET.name].entries) == 1
    await bus.close()


async def test_an_address_that_was_left_and_is_not_freed_yet_is_not_lost(
    node: NetworkNode, metadata: Metadata, fake_bus: Bus, fake_server: FakeServer
) -> None:
    await made(node, metadata, ASKED)
    await left(node, fake_bus)
    await until(
        lambda: not metadata.containers.index.get(container_id(1)).spec.network.endpoints, what="the disconnect"
    )
    await connects(metadata, fake_bus, fake_server, EndpointSpec(network="web"))


async def test_a_connect_after_a_disconnect_of_which_metadata_has_not_heard(
    node: NetworkNode, metadata: Metadata, fake_bus: Bus, fake_server: FakeServer
) -> None:
    """The new endpoint is as it was asked for, not the old one."""
    await made(node, metadata, ASKED)
    node.tells = False
    await left(node, fake_bus)
    asked = EndpointSpec(network="web", ipv4_address="10.1.0.77", aliases=("fresh",))
    await connects(metadata, fake_bus, fake_server, asked)
    (endpoint,) = node.specs[container_id(1)].network.endpoints
    assert (endpoint.claimed_ipv4, endpoint.aliases) == ("10.1.0.77", ("fresh",))


async def test_a_node_that_does_not_say_what_its_container_is_in(
    node: NetworkNode, metadata: Metadata, fake_bus: Bus, fake_server: FakeServer
) -> None:
    await made(node, metadata, ASKED)
    node.containers.fails = 9
    with pytest.raises(SeawayError, match="node n1 can't say which networks the container is in") as refused:
        await fake_bus.call(CONNECT, ConnectContainer(id=container_id(1), endpoint=EndpointSpec(network="other")))
    assert refused.value.code is Code.UNAVAILABLE


async def test_a_registration_repeated_after_its_name_was_lost_leaves_the_record(
    node: NetworkNode, metadata: Metadata, fake_server: FakeServer
) -> None:
    await made(node, metadata)
    await metadata.containers.behind.flush()
    names = fake_server.buckets[NAMES_BUCKET.name].entries
    names.clear()
    await metadata.containers.records.claims.reserve(NAMES.claim(spec(1).name), container_id(2))
    with pytest.raises(SeawayError, match="is already in use"):
        await node.register(1)
    assert container_id(1) in fake_server.buckets[CONTAINERS_BUCKET.name].entries


async def test_an_address_is_its_container_s_though_its_claim_was_lost(
    node: NetworkNode, metadata: Metadata, fake_server: FakeServer
) -> None:
    await node.make(1, ASKED)
    await until(lambda: metadata.containers.index.get(container_id(1)) is not None, what="the container")
    fake_server.buckets[ADDRESSES_BUCKET.name].entries.clear()
    assert address_of(await node.register(2, ASKED)) == ""


async def test_a_repeated_registration_claims_what_the_killed_one_did_not_live_to(
    node: NetworkNode, fake_server: FakeServer
) -> None:
    first = await node.register(1, "web")
    fake_server.buckets[ADDRESSES_BUCKET.name].entries.clear()
    again = await node.register(1, "web")
    assert address_of(again) == address_of(first)
    assert len(fake_server.buckets[ADDRESSES_BUCKET.name].entries) == 1
    assert address_of(await node.register(2, "web")) != address_of(first)


async def test_a_network_s_name_goes_before_the_beginning_of_another_one_s_id(
    node: NetworkNode, metadata: Metadata, fake_bus: Bus
) -> None:
    await create(fake_bus, hashlib.sha256(b"other").hexdigest(), WEB[:3], "10.2.0.0/24")
    await node.make(1, "web", WEB[:3])
    await until(lambda: metadata.containers.index.get(container_id(1)) is not None, what="the container")
    await fake_bus.call(DISCONNECT, DisconnectContainer(id=container_id(1), network=WEB[:3]))
    assert [one.network for one in node.specs[container_id(1)].network.endpoints] == ["web"]


async def claim(bus: Bus, seed: int, node: str = "n1") -> list[EndpointSpec]:
    reply = await bus.call(CLAIM_ADDRESSES, ContainerId(id=container_id(seed)), node=node)
    return list(reply.endpoints)


async def test_an_address_that_another_container_has_is_claimed_at_the_start(
    node: NetworkNode, metadata: Metadata, fake_bus: Bus, fake_server: FakeServer
) -> None:
    await create(fake_bus, hashlib.sha256(b"back").hexdigest(), "back", "10.2.0.0/24")
    await node.make(1, ASKED)
    made = await node.make(2, ASKED, "back")
    assert [bool(one.claimed_ipv4) for one in made.network.endpoints] == [False, True]
    for seed in (2, 2):
        with pytest.raises(SeawayError, match="Address already in use") as refused:
            await claim(fake_bus, seed)
        assert refused.value.code is Code.FORBIDDEN
    await node.destroy(1)
    for _ in range(2):  # the second is a start whose agent died before it could store the first one's answer
        (claimed,) = await claim(fake_bus, 2)
        assert claimed == made.network.endpoints[0].model_copy(update={"claimed_ipv4": "10.1.0.9"})
    assert len(fake_server.buckets[ADDRESSES_BUCKET.name].entries) == 2
    assert address_of(await node.register(3, ASKED)) == ""


async def test_a_start_that_lacks_two_addresses_claims_both_or_none(
    node: NetworkNode, metadata: Metadata, fake_bus: Bus, fake_server: FakeServer
) -> None:
    await create(fake_bus, hashlib.sha256(b"back").hexdigest(), "back", "10.2.0.0/24")
    other = EndpointSpec(network="back", ipv4_address="10.2.0.9")
    await node.make(1, ASKED)
    await node.make(2, other)
    await node.make(3, ASKED, other)
    addresses = fake_server.buckets[ADDRESSES_BUCKET.name].entries
    await node.destroy(1)
    await until(lambda: len(addresses) == 1, what="the first address to be free")
    with pytest.raises(SeawayError, match="Address already in use"):
        await claim(fake_bus, 3)
    assert len(addresses) == 1, "the free one is free again"
    await node.destroy(2)
    assert [one.claimed_ipv4 for one in await claim(fake_bus, 3)] == ["10.1.0.9", "10.2.0.9"]


async def test_of_two_starts_at_once_one_gets_the_address(node: NetworkNode, fake_bus: Bus) -> None:
    for seed in (1, 2, 3):
        await node.make(seed, ASKED)
    await node.destroy(1)
    outcomes = await asyncio.gather(claim(fake_bus, 2), claim(fake_bus, 3), return_exceptions=True)
    assert sorted(isinstance(one, SeawayError) for one in outcomes) == [False, True]


async def test_a_node_claims_for_its_own_containers_and_in_networks_that_are_there(
    node: NetworkNode, metadata: Metadata, fake_bus: Bus
) -> None:
    await node.make(1, ASKED)
    await node.make(2, ASKED)
    await until(lambda: metadata.containers.index.get(container_id(2)) is not None, what="the container")
    with pytest.raises(SeawayError, match="No such container"):
        await claim(fake_bus, 2, node="n2")
    assert await claim(fake_bus, 1) == []
    await fake_bus.call(REMOVE_NETWORK, NetworkRef(ref="web"))
    with pytest.raises(SeawayError, match="network web not found"):
        await claim(fake_bus, 2)
