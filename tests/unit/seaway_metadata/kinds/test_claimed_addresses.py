"""Addresses that nodes say their containers have: kept over lost records and missed events, and only on their node."""

import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from tests.unit.seaway_metadata.commands.network_node import NetworkNode
from tests.unit.seaway_metadata.rig import known, ref, tell

from seaway_bus.bus import Bus, Command
from seaway_contracts.catalogue import (
    ADDRESSES_BUCKET,
    CONNECT,
    CONTAINER_STATUS,
    CREATE_NETWORK,
    DISCONNECT,
    GET_CONTAINER,
    LIST_CONTAINERS,
    REMOVE_NETWORK,
)
from seaway_contracts.containers import ContainerSpec, EndpointSpec
from seaway_contracts.lifecycle import ContainerEvent, public_body
from seaway_contracts.networks import (
    ConnectContainer,
    ConnectHeld,
    CreateNetwork,
    DisconnectContainer,
    DisconnectHeld,
    NetworkRecord,
    NetworkRef,
    Pool,
)
from seaway_contracts.records import ListContainers
from seaway_kit.tasks import Tasks
from seaway_metadata.kinds import asked_nodes, networks
from seaway_metadata.kinds.containers import ADDRESSES
from seaway_metadata.service import Metadata, running
from seaway_metadata.settings import MetadataSettings
from seaway_testing.builders import container_event, container_id, networking, spec, status
from seaway_testing.fake_transport import FakeServer, FakeTransport
from seaway_testing.waiting import GUARD_S, until

WEB = NetworkRecord(
    id=hashlib.sha256(b"web").hexdigest(), name="web", created_ns=1, pools=(Pool(subnet="10.1.0.0/28"),)
)
FIRST = "10.1.0.2"


@contextlib.asynccontextmanager
async def a_copy(server: FakeServer, root: Path, *nodes: NetworkNode) -> AsyncIterator[Metadata]:
    """A copy of metadata that starts now, and has asked these nodes."""
    bus = Bus(FakeTransport(server))
    async with running(bus, Tasks("copy"), MetadataSettings(root=root)) as copy:
        for one in nodes:
            await asked(copy, one)
        yield copy
    await bus.close()


async def asked(copy: Metadata, node: NetworkNode) -> None:
    """The node begins another life, and says what it holds."""
    node.epoch += "x"
    await node.beat()
    await until(lambda: copy.containers.reconciler._epochs.get(node.name) == node.epoch, what="the node to have told")


@pytest.fixture
async def node(fake_bus: Bus) -> NetworkNode:
    return await NetworkNode(fake_bus).serve()


@pytest.fixture
async def liar(fake_bus: Bus) -> NetworkNode:
    return await NetworkNode(fake_bus, "n2").serve()


async def make_web(bus: Bus) -> None:
    await bus.call(CREATE_NETWORK, CreateNetwork(network=WEB))


async def connect(bus: Bus, seed: int) -> None:
    await bus.call(CONNECT, ConnectContainer(id=container_id(seed), endpoint=EndpointSpec(network="web")))


def holders(server: FakeServer) -> dict[str, str]:
    """Who has which address of `web`."""
    found = {}
    for key, entry in server.buckets[ADDRESSES_BUCKET.name].entries.items():
        address = bytes.fromhex(key).decode().removeprefix(f"{WEB.id}/")
        found[address] = ADDRESSES.model.model_validate_json(entry.value).id
    return found


async def addresses(bus: Bus, seed: int) -> list[str]:
    """Those of a container's record."""
    record = await bus.call(GET_CONTAINER, ref(container_id(seed)))
    return [one.claimed_ipv4 for one in record.spec.network.endpoints if one.claimed_ipv4]


async def listed(bus: Bus) -> set[str]:
    return {one.id for one in (await bus.call(LIST_CONTAINERS, ListContainers())).containers}


# --- rebuilt


async def test_an_address_is_its_containers_over_lost_buckets(
    node: NetworkNode, fake_bus: Bus, fake_server: FakeServer, tmp_path: Path
) -> None:
    async with a_copy(fake_server, tmp_path / "1", node):
        await make_web(fake_bus)
        await node.make(1, "bridge")
        await connect(fake_bus, 1)
    fake_server.wipe()
    async with a_copy(fake_server, tmp_path / "2", node):
        assert (await addresses(fake_bus, 1), holders(fake_server)) == ([FIRST], {FIRST: container_id(1)})
        await node.make(2, "web")
        assert await addresses(fake_bus, 2) == ["10.1.0.3"]
        await fake_bus.call(DISCONNECT, DisconnectContainer(id=container_id(1), network="web"))
        await until(lambda: holders(fake_server) == {"10.1.0.3": container_id(2)}, what="the address to be free")


async def test_a_node_that_has_forgotten_all_gets_its_networks_too(
    node: NetworkNode, fake_bus: Bus, fake_server: FakeServer, tmp_path: Path
) -> None:
    async with a_copy(fake_server, tmp_path, node) as copy:
        await make_web(fake_bus)
        await node.make(1, "bridge", "web")
        assert await addresses(fake_bus, 1) == [FIRST]
        node.lost_memory = True
        await asked(copy, node)
        await until(lambda: node.containers.made, what="the container to be made again")
        (made,) = node.containers.made
        assert [(network.name, network.pools) for network in made.networks] == [("web", copy_pools(copy))]


def copy_pools(copy: Metadata) -> tuple[Pool, ...]:
    return copy.networks._table.index[WEB.id].pools


# --- a change of which the node's own word was missed


async def changed_unheard(node: NetworkNode, change: Callable[[], object]) -> None:
    """The node's container changes, and its event is in the stream, which has the public part alone."""
    before, node.tells = node.tells, False
    await change()  # type: ignore[misc]
    node.tells = before
    known_status = node.statuses[container_id(1)]
    envelope, body = container_event("status", known_status, seed=1, node=node.name)
    published = CONTAINER_STATUS.published(
        public_body(
            "container", CONTAINER_STATUS.encode(ContainerEvent(status=known_status, attributes=body.attributes))
        )
    )
    subject = CONTAINER_STATUS.subject(node.name, container_id(1))
    await node.bus.transport.store(subject, published, envelope.headers())


async def test_a_read_after_an_unheard_connect_shows_it(
    node: NetworkNode, fake_bus: Bus, fake_server: FakeServer, tmp_path: Path
) -> None:
    async with a_copy(fake_server, tmp_path, node):
        await make_web(fake_bus)
        await node.make(1, "bridge")
        await node.make(2, "web")
        endpoint = EndpointSpec(network="web", network_id=WEB.id, claimed_ipv4="10.1.0.9")
        asking = ConnectHeld(id=container_id(1), endpoint=endpoint, network=WEB)
        await changed_unheard(node, lambda: node.connect(asking, Command.new()))
        assert await addresses(fake_bus, 1) == ["10.1.0.9"]
        assert holders(fake_server) == {FIRST: container_id(2), "10.1.0.9": container_id(1)}


async def test_an_address_of_an_unheard_disconnect_is_free(
    node: NetworkNode, fake_bus: Bus, fake_server: FakeServer, tmp_path: Path
) -> None:
    async with a_copy(fake_server, tmp_path, node):
        await make_web(fake_bus)
        await node.make(1, "bridge", "web")
        asking = DisconnectHeld(id=container_id(1), network_id=WEB.id)
        await changed_unheard(node, lambda: node.disconnect(asking, Command.new()))
        assert await addresses(fake_bus, 1) == []
        await until(lambda: holders(fake_server) == {}, what="the address to be free")


async def test_a_disconnect_frees_the_address_though_its_event_is_late(
    node: NetworkNode, fake_bus: Bus, fake_server: FakeServer, tmp_path: Path
) -> None:
    """As after a repeat by the next copy, whose answer the node has at hand."""
    async with a_copy(fake_server, tmp_path, node):
        await make_web(fake_bus)
        await node.make(1, "bridge", "web")
        node.tells = False
        await fake_bus.call(DISCONNECT, DisconnectContainer(id=container_id(1), network="web"))
        assert holders(fake_server) == {}


# --- only on the network's node


def claiming(seed: int, address: str = "10.1.0.9") -> ContainerSpec:
    endpoint = EndpointSpec(network="web", network_id=WEB.id, claimed_ipv4=address)
    return spec(seed, network=networking(endpoints=(endpoint,)))


def pretends(liar: NetworkNode, one: ContainerSpec, seq: int = 9) -> None:
    liar.specs[one.id], liar.statuses[one.id] = one, status(seq=seq)


async def test_a_node_has_no_containers_in_a_network_of_another(
    node: NetworkNode, liar: NetworkNode, fake_bus: Bus, fake_server: FakeServer, tmp_path: Path
) -> None:
    async with a_copy(fake_server, tmp_path, node, liar) as copy:
        await make_web(fake_bus)
        await node.make(1, "web")
        pretends(liar, claiming(7))
        await asked(copy, liar)
        assert (await listed(fake_bus), holders(fake_server)) == ({container_id(1)}, {FIRST: container_id(1)})


async def test_a_node_does_not_connect_its_container_to_a_network_of_another(
    node: NetworkNode, liar: NetworkNode, fake_bus: Bus, fake_server: FakeServer, tmp_path: Path
) -> None:
    """By its event, nor by its inventory. The container stays as it was; its status is its node's to say."""
    async with a_copy(fake_server, tmp_path, node, liar) as copy:
        await make_web(fake_bus)
        await node.make(1, "web")
        await liar.make(7, "bridge")
        envelope, event = container_event("status", status(seq=5), seed=7, node="n2")
        await tell(fake_bus, envelope, event.model_copy(update={"spec": claiming(7)}))
        await known(copy)
        pretends(liar, claiming(7))
        await asked(copy, liar)
        assert (await addresses(fake_bus, 7), holders(fake_server)) == ([], {FIRST: container_id(1)})
        assert copy.containers.index[container_id(7)].status.seq == 9


async def test_after_lost_buckets_the_network_is_its_nodes_again_before_addresses_are_claimed(
    node: NetworkNode,
    liar: NetworkNode,
    fake_bus: Bus,
    fake_server: FakeServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(asked_nodes, "_TOLD_S", GUARD_S)
    async with a_copy(fake_server, tmp_path / "1", node, liar):
        await make_web(fake_bus)
        await node.make(1, "web")
    fake_server.wipe()
    pretends(liar, claiming(7, FIRST))
    async with a_copy(fake_server, tmp_path / "2") as copy:
        node.gate.clear()
        await node.beat()
        await until(lambda: "n1" in copy._nodes.all_up())
        await liar.beat()
        await until(lambda: "n2" in copy.network_inventories._epochs)
        assert holders(fake_server) == {}
        node.gate.set()
        await until(lambda: copy.containers.reconciler._epochs.keys() == {"n1", "n2"}, 20)
        assert holders(fake_server) == {FIRST: container_id(1)}
        assert await listed(fake_bus) == {container_id(1)}


@pytest.mark.parametrize("all_tell", [True, False])
async def test_a_container_of_a_removed_network_is_kept_over_lost_buckets(
    node: NetworkNode,
    liar: NetworkNode,
    fake_bus: Bus,
    fake_server: FakeServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    all_tell: bool,
) -> None:
    """Also if another node never says which networks it has."""
    if not all_tell:
        monkeypatch.setattr(asked_nodes, "_TOLD_S", 0.01)
    async with a_copy(fake_server, tmp_path / "1", node):
        await make_web(fake_bus)
        await node.make(1, "web")
        await fake_bus.call(REMOVE_NETWORK, NetworkRef(ref="web"))
    fake_server.wipe()
    if not all_tell:
        liar.gate.clear()
    async with a_copy(fake_server, tmp_path / "2", liar, node):
        assert await listed(fake_bus) == {container_id(1)}


async def test_a_network_that_two_nodes_have_is_both_nodes_after_lost_buckets(
    node: NetworkNode, fake_bus: Bus, fake_server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its containers were on one and went to the other when the last one was gone."""
    monkeypatch.setattr(networks, "_BOUND_NS", 0)
    second = await NetworkNode(fake_bus, "n2").serve()
    async with a_copy(fake_server, tmp_path / "1", node, second) as copy:
        await make_web(fake_bus)
        await node.make(1, "web")
        await node.destroy(1)
        await until(lambda: not len(copy.containers.index), what="the end to be known")
        await second.make(2, "web")
        assert second.networks[WEB.id].nodes == ("n2", "n1")
    fake_server.wipe()
    async with a_copy(fake_server, tmp_path / "2", node, second) as copy:
        assert await listed(fake_bus) == {container_id(2)}
        assert copy.networks._table.index[WEB.id].nodes == ("n2", "n1")
        await second.make(3, "web")
