"""Networks of users where a copy was killed, two copies do the same, or a node says what cannot be."""

import asyncio
import time
from dataclasses import replace

import pytest
from tests.unit.seaway_metadata.commands.network_node import NetworkNode
from tests.unit.seaway_metadata.commands.test_networks import create, identifier, listed, refused, wanted
from tests.unit.seaway_metadata.commands.test_networks import node as node

from seaway_bus.bus import Bus, Command
from seaway_contracts.catalogue import CREATE_NETWORK, GET_NETWORK, NETWORKS_BUCKET, REMOVE_NETWORK
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.networks import CreateNetwork, NetworkRef
from seaway_metadata.commands.network_removal import _removed, _restored
from seaway_metadata.kinds.networks import NETWORK_NAMES
from seaway_metadata.service import Metadata
from seaway_testing.fake_transport import FakeServer
from seaway_testing.waiting import until


def later(metadata: Metadata) -> None:
    """Have this copy find that claims of before are settled."""
    metadata.networks._table.records.claims._now_ns = lambda: time.time_ns() + 31_000_000_000


async def held(metadata: Metadata) -> dict[str, str]:
    """The subnets that are held, and the networks that hold them."""
    return {one.subnet: one.network for one in (await metadata.networks._subnets._read())[0]}


# --- a copy that was killed


async def test_a_name_whose_network_never_came_to_be(node: NetworkNode, metadata: Metadata, fake_bus: Bus) -> None:
    await metadata.networks._table.records.claims.reserve(NETWORK_NAMES.claim("web"), identifier("killed"))
    error = await refused(create(fake_bus, "web"))
    assert (error.code, error.message) == (Code.CONFLICT, "network with name web already exists")
    assert await held(metadata) == {}, "what is refused holds no subnet"
    later(metadata)
    made = await create(fake_bus, "web")
    assert await held(metadata) == {made.pools[0].subnet: made.id}


async def test_a_removal_that_was_cut_short_before_the_name_was_free(
    node: NetworkNode, metadata: Metadata, fake_bus: Bus
) -> None:
    made, table = await create(fake_bus, "web", "10.1.0.0/24"), metadata.networks._table
    await metadata.networks._subnets.release(made.id)
    await table.records.bucket.delete(made.id, None)
    await table.read(made.id)
    again = wanted("again").model_copy(update={"name": "web"})
    network = (await fake_bus.call(CREATE_NETWORK, CreateNetwork(network=again))).network
    assert await held(metadata) == {network.pools[0].subnet: again.id}


async def test_a_name_that_is_taken_is_refused_before_a_subnet_that_is(node: NetworkNode, fake_bus: Bus) -> None:
    await create(fake_bus, "web", "10.1.0.0/24")
    again = wanted("again", "10.1.0.0/24").model_copy(update={"name": "web"})
    assert (await refused(fake_bus.call(CREATE_NETWORK, CreateNetwork(network=again)))).code is Code.CONFLICT


async def test_a_refused_registration_leaves_what_another_copy_has_registered(
    node: NetworkNode, metadata: Metadata, fake_bus: Bus
) -> None:
    made = await create(fake_bus, "web")
    differs = made.model_copy(update={"created_ns": made.created_ns + 1})
    assert (await refused(metadata.networks._register(differs))).code is Code.CONFLICT
    assert await held(metadata) == {made.pools[0].subnet: made.id}


async def test_the_same_create_at_another_copy_keeps_the_subnet(
    node: NetworkNode, metadata: Metadata, other: Metadata, fake_bus: Bus
) -> None:
    """Though one that is chosen before it has become free, or a host has a route to it."""
    await create(fake_bus, "first")
    (pool,) = await metadata.networks._subnets.reserve(wanted("web"), ())
    await fake_bus.call(REMOVE_NETWORK, NetworkRef(ref="first"))
    node.routes = (pool.subnet,)
    await node.beat()
    await until(lambda: any(one.beat.facts.routes for one in other._nodes.records()), what="the route to be known")
    await until(lambda: any(one.beat.facts.routes for one in metadata._nodes.records()), what="the route to be known")
    made = await create(fake_bus, "web")
    assert made.pools == (pool,)
    assert await held(metadata) == {pool.subnet: made.id}


# --- what a node says of its routes


@pytest.mark.parametrize(
    ("routes", "subnet"),
    [
        (("garbage", "", "10.0.0.0/99", "172.17.0.0/16"), "172.18.0.0/16"),
        (("0.0.0.0/1", "128.0.0.0/1", "0.0.0.0/0", "::/0", "fc00::/7"), "172.17.0.0/16"),
        (
            (*(f"10.{number >> 8}.{number & 255}.0/24" for number in range(5000)), "172.17.0.0/16"),
            "172.17.0.0/16",
        ),
    ],
)
async def test_routes_that_no_host_has(
    node: NetworkNode, metadata: Metadata, fake_bus: Bus, routes: tuple[str, ...], subnet: str
) -> None:
    node.routes = routes
    await node.beat()
    await until(lambda: any(one.beat.facts.routes for one in metadata._nodes.records()), what="the routes to be known")
    assert (await create(fake_bus, "web", ipv6=True)).pools[0].subnet == subnet


# --- configuration networks


@pytest.mark.parametrize("form", ["name", "id", "prefix"])
async def test_a_configuration_network_is_in_use_however_it_was_named(
    node: NetworkNode, fake_bus: Bus, form: str
) -> None:
    config = await create(fake_bus, "cfg", "10.30.0.0/24", config_only=True)
    ref = {"name": "cfg", "id": config.id, "prefix": config.id[:12]}[form]
    assert (await create(fake_bus, "web", config_from=ref)).config_from == "cfg"
    error = await refused(fake_bus.call(REMOVE_NETWORK, NetworkRef(ref="cfg")))
    assert error.code is Code.FORBIDDEN and "is in use" in error.message


# --- removals


async def test_of_two_removals_at_once_one_finds_no_network(
    node: NetworkNode, metadata: Metadata, other: Metadata, fake_bus: Bus
) -> None:
    made = await create(fake_bus, "web")
    outcomes = await asyncio.gather(
        *(fake_bus.call(REMOVE_NETWORK, NetworkRef(ref=made.id)) for _ in range(4)), return_exceptions=True
    )
    errors = [one for one in outcomes if isinstance(one, SeawayError)]
    assert [one.code for one in errors] == [Code.NOT_FOUND] * 3, errors
    assert await listed(fake_bus) == [] and await held(metadata) == {}


@pytest.mark.parametrize("meanwhile", ["restored", "restored and marked again"])
async def test_a_removal_that_another_copy_has_undone_is_not_finished(
    node: NetworkNode, metadata: Metadata, other: Metadata, fake_bus: Bus, meanwhile: str
) -> None:
    made, removal = await create(fake_bus, "web"), metadata.network_removal
    marked = await metadata.networks._table.change(made.id, _removed)
    assert marked is not None
    await other.networks._table.change(made.id, _restored)
    if meanwhile != "restored":
        await other.networks._table.change(made.id, _removed)
    await removal._finish(marked, Command.new("test"))
    assert await held(metadata) == {made.pools[0].subnet: made.id}
    if meanwhile == "restored":
        assert (await fake_bus.call(GET_NETWORK, NetworkRef(ref=made.id))).network.name == "web"


async def test_one_that_is_said_to_be_removed_while_it_cannot_be_read_stays(
    node: NetworkNode, metadata: Metadata, fake_bus: Bus, fake_server: FakeServer
) -> None:
    made = await create(fake_bus, "web")
    node.networks[made.id] = made
    entries = fake_server.buckets[NETWORKS_BUCKET.name].entries
    stored, entries[made.id] = entries[made.id], replace(entries[made.id], value=b"unreadable")
    metadata.networks._table.heard(made.id, ended=True)
    await metadata.network_removal.sweep()
    node.epoch = "e2"
    await node.beat()
    await metadata.network_removal.sweep()
    entries[made.id] = stored
    await metadata.network_removal.sweep()
    assert await listed(fake_bus) == ["web"] and node.removed == []
    assert await held(metadata) == {made.pools[0].subnet: made.id}


# --- sizes


async def test_a_record_that_is_too_large_is_refused(node: NetworkNode, fake_bus: Bus, metadata: Metadata) -> None:
    error = await refused(create(fake_bus, "web", labels={"a": "x" * 60_000}))
    assert error.code is Code.TOO_LARGE and "network web is described by" in error.message
    config = {"config_only": True, "options": {"a": "x" * 40_000}}
    await create(fake_bus, "cfg", "10.30.0.0/24", **config)
    error = await refused(create(fake_bus, "web", config_from="cfg", labels={"a": "x" * 30_000}))
    assert error.code is Code.TOO_LARGE
    assert await held(metadata) == {} and await listed(fake_bus) == ["cfg"]


async def test_a_time_of_creation_that_the_listing_cannot_have(node: NetworkNode, fake_bus: Bus) -> None:
    early = wanted("web").model_copy(update={"created_ns": -5})
    assert (await refused(fake_bus.call(CREATE_NETWORK, CreateNetwork(network=early)))).code is Code.BAD_REQUEST


async def test_more_networks_than_a_message_holds_are_all_listed(node: NetworkNode, fake_bus: Bus) -> None:
    names = [f"{'n' * number}" for number in range(1, 31)]
    for name in names:  # `created_ns` is the length of the name
        await create(fake_bus, name, config_only=True, labels={"a": "x" * 50_000})
    assert await listed(fake_bus) == names
