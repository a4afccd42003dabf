"""What metadata makes of the networks that nodes say they have."""

import re
from pathlib import Path

import pytest
from tests.unit.seaway_metadata.commands.network_node import NetworkNode
from tests.unit.seaway_metadata.commands.test_networks import create, identifier, listed, wanted
from tests.unit.seaway_metadata.commands.test_networks import node as node

from seaway_bus.bus import Bus
from seaway_contracts.networks import NetworkRecord, Pool
from seaway_kit.tasks import Tasks
from seaway_metadata.service import Metadata, running
from seaway_metadata.settings import MetadataSettings
from seaway_testing.fake_transport import FakeServer, FakeTransport
from seaway_testing.waiting import until


def held(name: str, /, *subnets: str, **changes: object) -> NetworkRecord:
    """A network as a node has stored it."""
    pools = tuple(Pool(subnet=subnet, gateway=re.sub("0?/.*", "1", subnet)) for subnet in subnets)
    return wanted(name).model_copy(update={"pools": pools, "nodes": ("evil",), **changes})


async def hears(metadata: Metadata, node: NetworkNode, *networks: NetworkRecord) -> None:
    """Until the node, in another life of its agent, has told that it has these."""
    node.networks |= {network.id: network for network in networks}
    node.epoch += "x"
    await node.beat()
    epochs = metadata.network_inventories._epochs
    await until(lambda: epochs.get(node.name) == node.epoch, what="the node's networks to be heard")


async def test_what_no_network_can_be_stops_nothing(node: NetworkNode, metadata: Metadata, fake_bus: Bus) -> None:
    metadata.network_inventories.doubt()
    wrong = (
        held("half", "0.0.0.0/1"),
        held("other-half", "128.0.0.0/1"),
        held("bits", "10.1.0.5/24"),
        held("words", "garbage"),
        held("none"),
        held("six", "fd00:1::/64"),
        held("bridge", "10.2.0.0/24"),
        held("x" * 300, "10.2.0.0/24"),
        held("driver", "10.2.0.0/24", driver="nope"),
        held("key", "10.2.0.0/24", id="x y/../z"),
        held("version", "10.2.0.0/24", version=1 << 63),
        held("time", "10.2.0.0/24", created_ns=-1),
        held("large", "10.2.0.0/24", labels={"a": "x" * 100_000}),
        held("config", "10.2.0.0/24", config_only=True),
        held("gateway").model_copy(update={"pools": (Pool(subnet="10.2.0.0/24"),)}),
        held("outside").model_copy(update={"pools": (Pool(subnet="10.2.0.0/24", gateway="10.9.0.1"),)}),
    )
    await hears(metadata, node, *wrong, held("good", "10.3.0.0/24"))
    assert await listed(fake_bus) == ["good"]
    assert (await create(fake_bus, "low", "10.2.0.0/24")).name == "low"
    assert (await create(fake_bus, "high", "172.17.0.0/16")).name == "high"


async def test_a_node_makes_up_no_networks(node: NetworkNode, metadata: Metadata, fake_bus: Bus) -> None:
    """It is heard once after records may have been lost."""
    await create(fake_bus, "web", "10.1.0.0/24")
    inventories = metadata.network_inventories
    inventories.doubt()
    await hears(metadata, node)
    await hears(metadata, node, held("late", "10.2.0.0/24"))
    assert await listed(fake_bus) == ["web"]
    inventories.doubt()
    await hears(metadata, node)
    assert sorted(await listed(fake_bus)) == ["late", "web"]


async def test_a_copy_that_starts_with_records_doubts_nothing(
    node: NetworkNode, fake_bus: Bus, fake_server: FakeServer, tmp_path: Path
) -> None:
    await create(fake_bus, "web", "10.1.0.0/24")
    bus = Bus(FakeTransport(fake_server))
    async with running(bus, Tasks("late"), MetadataSettings(root=tmp_path / "late")) as late:
        await hears(late, node, held("made-up", "10.2.0.0/24"))
        assert [network.name for network in late.networks._table.index] == ["web"]
    await bus.close()


async def test_a_node_gets_no_more_than_so_many_networks_back(
    node: NetworkNode, metadata: Metadata, fake_bus: Bus
) -> None:
    metadata.network_inventories.doubt()
    await hears(metadata, node, *(held(f"n{number}", f"10.1.{number}.0/24") for number in range(256)))
    await hears(metadata, node, held("more", "10.2.0.0/24"))
    assert len(await listed(fake_bus)) == 256


@pytest.mark.parametrize("whose", ["another's", "its own"])
async def test_a_subnet_that_another_host_has_is_not_brought_back(
    node: NetworkNode, metadata: Metadata, fake_bus: Bus, whose: str
) -> None:
    """As it is refused to a user. On the node itself its own bridge may have it."""
    second = NetworkNode(fake_bus, "n2", routes=("10.1.0.0/16",))
    await second.serve()
    await until(lambda: len([*metadata._nodes.records()]) == 2, what="the second node to be known")
    metadata.network_inventories.doubt()
    await hears(metadata, node if whose == "another's" else second, held("web", "10.1.2.0/24"))
    assert await listed(fake_bus) == ([] if whose == "another's" else ["web"])


async def test_what_has_the_name_or_the_subnet_by_now_keeps_it(
    node: NetworkNode, metadata: Metadata, fake_bus: Bus
) -> None:
    made = await create(fake_bus, "web", "10.1.0.0/24")
    metadata.network_inventories.doubt()
    same_name = held("old", "10.2.0.0/24", name="web")
    await hears(metadata, node, same_name, held("same", "10.1.0.0/25"))
    assert await listed(fake_bus) == ["web"]
    subnets = (await metadata.networks._subnets._read())[0]
    assert [(one.subnet, one.network) for one in subnets] == [("10.1.0.0/24", made.id)] and made.id == identifier("web")
