"""Networks of users on the in-memory bus: two copies of metadata, and a node."""

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.seaway_metadata.commands.network_node import NetworkNode

from seaway_bus.bus import Bus, Command
from seaway_contracts.catalogue import (
    ADDRESSES_BUCKET,
    CREATE_NETWORK,
    EVENT_STREAM,
    GET_NETWORK,
    LIST_NETWORKS,
    NETWORK_NAMES_BUCKET,
    NETWORKS_BUCKET,
    REMOVE_NETWORK,
    SUBNETS_BUCKET,
)
from seaway_contracts.containers import EndpointSpec
from seaway_contracts.errors import Code, Reason, SeawayError, conflict
from seaway_contracts.ids import is_network_id
from seaway_contracts.networks import (
    CreateNetwork,
    ListNetworks,
    NetworkList,
    NetworkRecord,
    NetworkRef,
    Pool,
    network_id,
)
from seaway_contracts.records import GONE
from seaway_kit.tasks import Tasks
from seaway_metadata.commands.networks import NetworkCommands
from seaway_metadata.kinds import networks
from seaway_metadata.service import Metadata, running
from seaway_metadata.settings import MetadataSettings
from seaway_testing.fake_transport import FakeServer, FakeTransport
from seaway_testing.waiting import until


def identifier(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def wanted(name: str, *subnets: str, **changes: object) -> NetworkRecord:
    pools = tuple(Pool(subnet=subnet) for subnet in subnets)
    return NetworkRecord(id=identifier(name), name=name, created_ns=len(name), pools=pools, **changes)  # type: ignore[arg-type]


async def create(bus: Bus, name: str, *subnets: str, **changes: object) -> NetworkRecord:
    return (await bus.call(CREATE_NETWORK, CreateNetwork(network=wanted(name, *subnets, **changes)))).network


async def listed(bus: Bus, **basis: int) -> list[str]:
    """The names of all networks, in order of creation."""
    page = await bus.call(LIST_NETWORKS, ListNetworks(basis={identifier(one): value for one, value in basis.items()}))
    names = [network.name for network in page.networks]
    while page.next:
        page = await bus.call(LIST_NETWORKS, ListNetworks(after=page.next))
        names += [network.name for network in page.networks]
    return names[::-1]


async def shown(copy: NetworkCommands, basis: dict[str, int]) -> list[str]:
    """The names of the networks that one copy lists."""
    page = await copy.list_networks(ListNetworks(basis=basis), Command.new("test"))
    return [network.name for network in NetworkList.model_validate_json(page.data).networks]


async def refused(work: object) -> SeawayError:
    with pytest.raises(SeawayError) as caught:
        await work  # type: ignore[misc]
    return caught.value


def entries(server: FakeServer) -> dict[str, int]:
    """How much stands in the buckets of networks."""
    configs = (NETWORKS_BUCKET, NETWORK_NAMES_BUCKET, ADDRESSES_BUCKET)
    return {config.name: len(server.buckets[config.name].entries) for config in configs}


@pytest.fixture
async def node(metadata: Metadata, fake_bus: Bus) -> NetworkNode:
    found = await NetworkNode(fake_bus).serve()
    await until(lambda: any(True for _ in metadata._nodes.records()), what="the node to be known")
    return found


def names_of(server: FakeServer) -> Callable[[], list[str]]:
    """The subjects of all events of networks."""
    return lambda: [
        message.subject.split(".")[5]
        for message in server.streams[EVENT_STREAM.name].messages
        if ".network." in message.subject
    ]


async def test_created_found_listed_and_removed(node: NetworkNode, fake_bus: Bus, fake_server: FakeServer) -> None:
    made = await create(fake_bus, "web")
    assert [pool.subnet for pool in made.pools] == ["172.17.0.0/16"] and is_network_id(made.id)
    for ref in ("web", made.id, made.id[:12]):
        assert (await fake_bus.call(GET_NETWORK, NetworkRef(ref=ref))).network == made
    assert await listed(fake_bus) == ["web"]
    await fake_bus.call(REMOVE_NETWORK, NetworkRef(ref="web"))
    assert await listed(fake_bus) == []
    assert (await refused(fake_bus.call(GET_NETWORK, NetworkRef(ref="web")))).message == "network web not found"
    assert set(entries(fake_server).values()) == {0}
    await until(lambda: names_of(fake_server)() == ["create", "destroy"], what="both events")
    assert (await create(fake_bus, "again")).pools[0].subnet == "172.17.0.0/16", "the subnet is free again"


async def test_the_same_create_twice_is_one_network(node: NetworkNode, fake_bus: Bus) -> None:
    first, second = [await create(fake_bus, "web") for _ in range(2)]
    assert first == second and await listed(fake_bus) == ["web"]


async def test_a_name_is_one_network_s_whoever_asks(
    node: NetworkNode, other: Metadata, fake_bus: Bus, fake_server: FakeServer
) -> None:
    tries = [
        fake_bus.call(CREATE_NETWORK, CreateNetwork(network=wanted(f"n{number}").model_copy(update={"name": "web"})))
        for number in range(8)
    ]
    outcomes = await asyncio.gather(*tries, return_exceptions=True)
    errors = [one for one in outcomes if isinstance(one, SeawayError)]
    assert len(errors) == 7 and {one.code for one in errors} <= {Code.CONFLICT, Code.UNAVAILABLE}
    (made,) = [one.network for one in outcomes if not isinstance(one, BaseException)]
    assert [one.id for one in (await fake_bus.call(LIST_NETWORKS, ListNetworks(basis={made.id: 1}))).networks] == [
        made.id
    ]
    assert entries(fake_server) == {NETWORKS_BUCKET.name: 1, NETWORK_NAMES_BUCKET.name: 1, ADDRESSES_BUCKET.name: 0}
    again = await refused(_named(fake_bus, "other", "web"))
    assert (again.code, again.message) == (Code.CONFLICT, "network with name web already exists")


async def _named(bus: Bus, key: str, name: str) -> NetworkRecord:
    network = wanted(key).model_copy(update={"name": name})
    return (await bus.call(CREATE_NETWORK, CreateNetwork(network=network))).network


async def test_subnets_never_overlap_whoever_asks(node: NetworkNode, other: Metadata, fake_bus: Bus) -> None:
    made = await asyncio.gather(*(create(fake_bus, f"n{number}") for number in range(12)))
    assert len({network.pools[0].subnet for network in made}) == 12
    error = await refused(create(fake_bus, "x", "172.17.5.0/24"))
    assert (error.code, error.message) == (Code.FORBIDDEN, "Pool overlaps with other one on this address space")


async def test_what_a_node_has_is_not_a_network_s(metadata: Metadata, fake_bus: Bus) -> None:
    node = NetworkNode(fake_bus, routes=("172.17.0.0/16", "10.0.0.0/8"))
    await node.serve()
    await until(lambda: any(True for _ in metadata._nodes.records()), what="the node to be known")
    assert (await create(fake_bus, "web")).pools[0].subnet == "172.18.0.0/16"
    assert (await refused(create(fake_bus, "x", "10.5.0.0/24"))).code is Code.FORBIDDEN
    in_the_segment = await create(fake_bus, "lan", "10.5.0.0/24", driver="macvlan")
    assert in_the_segment.pools[0].subnet == "10.5.0.0/24"
    assert (await create(fake_bus, "lone", driver="macvlan")).pools[0].subnet == "172.19.0.0/16"


@pytest.mark.parametrize(
    ("network", "code", "text"),
    [
        (wanted("bridge"), Code.FORBIDDEN, "operation is not permitted on predefined bridge network"),
        (wanted("x" * 256), Code.BAD_REQUEST, "the network name must have 1 to 255 bytes"),
        (wanted("x", driver="nope"), Code.NOT_FOUND, 'plugin "nope" not found'),
        (wanted("x").model_copy(update={"id": "x"}), Code.BAD_REQUEST, "is no network id"),
        (wanted("x", "10.0.0.5/24"), Code.BAD_REQUEST, "it should be 10.0.0.0/24"),
        (wanted("x", config_from="nope"), Code.NOT_FOUND, 'configuration network "nope" does not exist'),
    ],
)
async def test_what_is_refused_leaves_nothing(
    node: NetworkNode, fake_bus: Bus, fake_server: FakeServer, network: NetworkRecord, code: Code, text: str
) -> None:
    error = await refused(fake_bus.call(CREATE_NETWORK, CreateNetwork(network=network)))
    assert error.code is code and text in error.message
    assert set(entries(fake_server).values()) == {0}
    assert b"10.0" not in b"".join(one.value for one in fake_server.buckets[SUBNETS_BUCKET.name].entries.values())


async def test_a_configuration_network(node: NetworkNode, fake_bus: Bus) -> None:
    options = {"com.docker.network.driver.mtu": "1400"}
    await create(fake_bus, "cfg", "10.30.0.0/24", config_only=True, options=options, labels={"a": "1"})
    made = await create(fake_bus, "web", config_from="cfg", labels={"b": "2"}, internal=True)
    assert (made.pools[0].subnet, made.options, made.labels) == ("10.30.0.0/24", options, {"a": "1", "b": "2"})
    assert made.internal, "that is the user's own choice"
    error = await refused(fake_bus.call(REMOVE_NETWORK, NetworkRef(ref="cfg")))
    assert error.code is Code.FORBIDDEN and 'configuration network "cfg" is in use' in error.message
    for name in ("web", "cfg"):
        await fake_bus.call(REMOVE_NETWORK, NetworkRef(ref=name))
    assert await listed(fake_bus) == []


async def test_a_configuration_network_has_no_containers(
    node: NetworkNode, fake_bus: Bus, fake_server: FakeServer
) -> None:
    await create(fake_bus, "cfg", "10.30.0.0/24", config_only=True)
    with pytest.raises(SeawayError, match="cannot create endpoint on configuration-only network") as caught:
        await node.register(1, "cfg")
    assert caught.value.code is Code.FORBIDDEN
    assert not fake_server.buckets[ADDRESSES_BUCKET.name].entries


async def test_a_predefined_network_stays(node: NetworkNode, fake_bus: Bus) -> None:
    for ref in ("bridge", "host", "none", network_id("bridge")[:12]):
        error = await refused(fake_bus.call(REMOVE_NETWORK, NetworkRef(ref=ref)))
        assert error.code is Code.FORBIDDEN and "is a pre-defined network and cannot be removed" in error.message


async def test_each_copy_shows_what_another_has_answered(
    node: NetworkNode, metadata: Metadata, other: Metadata, fake_bus: Bus
) -> None:
    """Also if its event has not come: the asker knows more."""
    here, there, removal = metadata.networks, other.networks, other.network_removal
    made = (await here.create(CreateNetwork(network=wanted("web")), Command.new("test"))).network
    basis = {made.id: 1}
    assert (await there.get(NetworkRef(ref="web", basis=basis), Command.new("test"))).network == made
    assert await shown(there, basis) == ["web"]
    await removal.remove(NetworkRef(ref="web"), Command.new("test"))
    gone = {made.id: GONE}
    assert await shown(here, gone) == []
    assert (await refused(here.get(NetworkRef(ref="web", basis=gone), Command.new("t")))).code is Code.NOT_FOUND


# --- containers in it


async def test_a_container_gets_addresses_and_gives_them_back(
    node: NetworkNode, fake_bus: Bus, fake_server: FakeServer
) -> None:
    await create(fake_bus, "web", "10.1.0.0/24", "fd00:1::/64", ipv6=True)
    made = await node.make(1, "web")
    (endpoint,) = made.network.endpoints
    assert (endpoint.network_id, endpoint.claimed_ipv4, endpoint.claimed_ipv6) == (
        identifier("web"),
        "10.1.0.2",
        "fd00:1::2",
    )
    assert node.networks[identifier("web")].nodes == ("n1",)
    assert entries(fake_server)[ADDRESSES_BUCKET.name] == 2
    await node.destroy(1)
    await until(lambda: entries(fake_server)[ADDRESSES_BUCKET.name] == 0, what="the addresses to be free")


async def test_an_address_is_one_container_s_whoever_asks(
    node: NetworkNode, other: Metadata, fake_bus: Bus, fake_server: FakeServer
) -> None:
    await create(fake_bus, "web", "10.1.0.0/28")
    made = await asyncio.gather(*(node.make(seed, "web") for seed in range(13)))
    assert len({one.network.endpoints[0].claimed_ipv4 for one in made}) == 13
    error = await refused(node.register(20, "web"))
    assert (
        error.code is Code.FORBIDDEN
        and "no available IPv4 addresses on this network's address pools: web" in error.message
    )
    await node.destroy(3)
    await until(lambda: entries(fake_server)[ADDRESSES_BUCKET.name] == 12, what="an address to be free")
    assert (await node.make(21, "web")).network.endpoints[0].claimed_ipv4 == made[3].network.endpoints[0].claimed_ipv4


async def test_an_address_that_is_asked_for(node: NetworkNode, fake_bus: Bus, fake_server: FakeServer) -> None:
    await create(fake_bus, "web", "10.1.0.0/24")
    asked = EndpointSpec(network="web", ipv4_address="10.1.0.77")
    assert (await node.make(1, asked)).network.endpoints[0].claimed_ipv4 == "10.1.0.77"
    assert (await node.register(2, asked)).spec.network.endpoints[0].claimed_ipv4 == ""
    assert entries(fake_server)[ADDRESSES_BUCKET.name] == 1
    outside = await refused(node.register(3, EndpointSpec(network="web", ipv4_address="10.9.0.1")))
    assert outside.code is Code.BAD_REQUEST
    await create(fake_bus, "chosen")
    chosen = await refused(node.register(4, EndpointSpec(network="chosen", ipv4_address="172.17.0.9")))
    assert "only when connecting to networks with user configured subnets" in chosen.message


async def test_the_same_registration_twice_keeps_its_addresses(
    node: NetworkNode, metadata: Metadata, other: Metadata, fake_bus: Bus, fake_server: FakeServer
) -> None:
    await create(fake_bus, "web", "10.1.0.0/24")
    first, second = [await node.register(1, "web") for _ in range(2)]
    assert first.spec == second.spec and entries(fake_server)[ADDRESSES_BUCKET.name] == 1


async def test_a_network_that_isn_t_there_lets_the_start_fail(node: NetworkNode, fake_bus: Bus) -> None:
    made = await node.make(1, "nope")
    assert made.network.endpoints[0].network_id == "" and made.network.endpoints[0].network == "nope"


async def test_containers_go_to_the_node_of_the_first(
    node: NetworkNode, metadata: Metadata, fake_bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(networks, "_BOUND_NS", 0)
    await create(fake_bus, "web")
    await node.make(1, "web")
    second = await NetworkNode(fake_bus, "n2").serve()
    error = await refused(second.register(2, "web"))
    assert (error.code, error.reason, error.facts) == (
        Code.CONFLICT,
        Reason.OTHER_NODE,
        {"node": "n1", "thing": "network web"},
    )
    await node.destroy(1)
    await until(lambda: not len(metadata.containers.index), what="the end to be known")
    await second.register(2, "web")
    assert (await fake_bus.call(GET_NETWORK, NetworkRef(ref="web"))).network.nodes == ("n2", "n1")


async def test_the_node_decides_whether_a_network_is_used(node: NetworkNode, metadata: Metadata, fake_bus: Bus) -> None:
    """A client may know of an end of which metadata has not heard yet."""
    await create(fake_bus, "web")
    await node.make(1, "web")
    await node.start(1)
    await until(lambda: any(one.status.pid for one in metadata.containers.index), what="the start to be known")
    node.tells = False
    await node.stop(1)
    await fake_bus.call(REMOVE_NETWORK, NetworkRef(ref="web"))
    assert await listed(fake_bus) == []


async def test_a_network_in_use_stays(node: NetworkNode, metadata: Metadata, fake_bus: Bus) -> None:
    made = await create(fake_bus, "web")
    await node.make(1, "web")
    await node.start(1)
    await until(lambda: any(one.status.pid for one in metadata.containers.index), what="the start to be known")
    error = await refused(fake_bus.call(REMOVE_NETWORK, NetworkRef(ref="web")))
    text = f"error while removing network: network web id {made.id} has active endpoints"
    assert (error.code, error.message) == (Code.FORBIDDEN, text)
    await node.stop(1)
    await until(lambda: not any(one.status.pid for one in metadata.containers.index), what="the end to be known")
    node.refusal = conflict("a container has an endpoint in it")
    assert (await refused(fake_bus.call(REMOVE_NETWORK, NetworkRef(ref="web")))).code is Code.FORBIDDEN
    assert await listed(fake_bus) == ["web"]
    node.refusal = None
    await fake_bus.call(REMOVE_NETWORK, NetworkRef(ref="web"))
    assert await listed(fake_bus) == [] and node.removed == [made.id]


@pytest.mark.parametrize("ends", ["stop", "destroy"])
async def test_a_network_whose_last_container_has_just_ended_is_removed(
    node: NetworkNode, metadata: Metadata, fake_bus: Bus, ends: str
) -> None:
    """Though what has come of the container may not be applied yet."""
    await create(fake_bus, "web")
    await node.make(1, "web")
    await node.start(1)
    await until(lambda: any(one.status.pid for one in metadata.containers.index), what="the start to be known")
    await (node.stop(1) if ends == "stop" else node.destroy(1))
    await fake_bus.call(REMOVE_NETWORK, NetworkRef(ref="web"))
    assert await listed(fake_bus) == []


async def test_lost_buckets_are_filled_from_what_nodes_have(
    node: NetworkNode, metadata: Metadata, fake_bus: Bus, fake_server: FakeServer, tmp_path: Path
) -> None:
    await create(fake_bus, "web", "10.1.0.0/24")
    await node.make(1, "web")
    for config in (NETWORKS_BUCKET, NETWORK_NAMES_BUCKET, ADDRESSES_BUCKET, SUBNETS_BUCKET):
        fake_server.buckets[config.name].entries.clear()
    bus = Bus(FakeTransport(fake_server))
    async with running(bus, Tasks("new"), MetadataSettings(root=tmp_path / "new")) as new:
        await node.beat()
        await until(lambda: any(one.name == "web" for one in new.networks._table.index), what="the network to be back")
        assert (await refused(create(fake_bus, "x", "10.1.0.0/25"))).code is Code.FORBIDDEN
    await bus.close()


async def test_a_network_that_no_node_has_keeps_its_subnet_though_the_record_of_subnets_was_lost(
    node: NetworkNode, fake_bus: Bus, fake_server: FakeServer
) -> None:
    known = await create(fake_bus, "web")
    config = await create(fake_bus, "config", "10.1.0.0/24", config_only=True)
    fake_server.buckets[SUBNETS_BUCKET.name].entries.clear()
    assert (await refused(create(fake_bus, "x", known.pools[0].subnet))).code is Code.FORBIDDEN
    assert (await create(fake_bus, "next")).pools[0].subnet == "172.18.0.0/16"
    assert (await create(fake_bus, "y", config.pools[0].subnet)).name == "y", "a configuration network holds none"
    await fake_bus.call(REMOVE_NETWORK, NetworkRef(ref="web"))
    assert (await create(fake_bus, "again")).pools == known.pools


async def test_a_network_that_was_removed_while_its_node_was_away(
    node: NetworkNode, fake_bus: Bus, fake_server: FakeServer, metadata: Metadata
) -> None:
    made = await create(fake_bus, "web", "10.1.0.0/24")
    await node.make(1, "web")
    record = metadata._nodes._table.records["n1"]
    metadata._nodes._table.records.put(record.model_copy(update={"state": "down"}))
    metadata._nodes._table.up.discard("n1")
    await fake_bus.call(REMOVE_NETWORK, NetworkRef(ref="web"))
    assert await listed(fake_bus) == [] and node.removed == []
    assert (await create(fake_bus, "again", "10.1.0.0/24")).name == "again", "its subnet is free"
    assert (await _named(fake_bus, "new", "web")).name == "web", "and its name"
    await node.beat()
    await until(lambda: made.id in node.removed, 20, what="the node to be told")
    await until(lambda: entries(fake_server)[NETWORKS_BUCKET.name] == 2, 20, what="the record to be gone")


async def test_a_removal_whose_node_does_not_answer_is_finished_later(
    node: NetworkNode, metadata: Metadata, fake_bus: Bus
) -> None:
    """The node may have removed it: nobody can start a container in it any more."""
    made = await create(fake_bus, "web")
    await node.make(1, "web")
    node.refusal = SeawayError(Code.TIMEOUT, "the node does not answer")
    assert (await refused(fake_bus.call(REMOVE_NETWORK, NetworkRef(ref="web")))).code is Code.TIMEOUT
    assert await listed(fake_bus) == []
    node.refusal = None
    await until(lambda: node.removed == [made.id], what="the removal")
    assert await listed(fake_bus) == []
    assert (await create(fake_bus, "web")).name == "web"
