"""Addresses of builds: chosen like a container's, kept while they are renewed, free again at its end."""

import hashlib
from collections.abc import Awaitable

import pytest
from tests.unit.seaway_metadata.commands.network_node import NetworkNode

from seaway_bus.bus import Bus
from seaway_contracts.catalogue import (
    ADDRESSES_BUCKET,
    CREATE_NETWORK,
    GET_NETWORK,
    LEASE_ADDRESSES,
    REMOVE_NETWORK,
    RETURN_ADDRESSES,
)
from seaway_contracts.containers import EndpointSpec
from seaway_contracts.errors import Code, Reason, SeawayError, conflict
from seaway_contracts.networks import (
    CreateNetwork,
    LeaseAddresses,
    LeasedEndpoint,
    NetworkRecord,
    NetworkRef,
    Pool,
    ReturnAddresses,
)
from seaway_metadata.kinds.networks import kept_bound
from seaway_metadata.service import Metadata
from seaway_metadata.store.claims import SETTLED_NS
from seaway_testing.builders import container_id
from seaway_testing.fake_transport import FakeServer
from seaway_testing.waiting import until

WEB = hashlib.sha256(b"web").hexdigest()
BUILD, OTHER = "b" * 64, "c" * 64
SIX = Pool(subnet="fd00:1::/64")


class Clock:
    """Of one copy's claims and leases."""

    def __init__(self, metadata: Metadata, now_ns: int = 10**18) -> None:
        self.now_ns = now_ns
        metadata.containers.records.claims._now_ns = self
        metadata._leases._now_ns = self

    def __call__(self) -> int:
        return self.now_ns


@pytest.fixture
async def node(metadata: Metadata, fake_bus: Bus) -> NetworkNode:
    """With a network `web` that has four addresses to give."""
    found = await NetworkNode(fake_bus).serve()
    await until(lambda: any(True for _ in metadata._nodes.records()), what="the node to be known")
    pools = (Pool(subnet="10.1.0.0/29", range="10.1.0.0/30", gateway="10.1.0.6"), SIX)
    network = NetworkRecord(id=WEB, name="web", created_ns=1, ipv6=True, pools=pools)
    await fake_bus.call(CREATE_NETWORK, CreateNetwork(network=network))
    return found


async def lease(
    bus: Bus, build: str = BUILD, node: str = "n1", network: str = "web", endpoint: EndpointSpec | None = None
) -> LeasedEndpoint:
    return await bus.call(LEASE_ADDRESSES, LeaseAddresses(network=network, build=build, node=node, endpoint=endpoint))


async def give_back(bus: Bus, leased: LeasedEndpoint, build: str = BUILD) -> None:
    await bus.call(RETURN_ADDRESSES, ReturnAddresses(build=build, endpoint=leased.endpoint))


async def refused(call: Awaitable[object]) -> SeawayError:
    with pytest.raises(SeawayError) as caught:
        await call
    return caught.value


def leases(server: FakeServer) -> int:
    return len(server.buckets[ADDRESSES_BUCKET.name].entries)


async def network(bus: Bus) -> NetworkRecord:
    return (await bus.call(GET_NETWORK, NetworkRef(ref="web"))).network


async def test_a_lease_is_of_both_families_and_is_given_back(
    node: NetworkNode, fake_bus: Bus, fake_server: FakeServer
) -> None:
    leased = await lease(fake_bus)
    own = leased.endpoint
    assert (own.network, own.network_id, leased.network.id) == ("web", WEB, WEB)
    assert (own.claimed_ipv4, own.claimed_ipv6) == ("10.1.0.1", "fd00:1::2")
    assert leased.network.nodes == ("n1",) and leases(fake_server) == 2
    await give_back(fake_bus, leased)
    await give_back(fake_bus, leased)
    assert leases(fake_server) == 0


async def test_nobody_else_gets_a_leased_address(node: NetworkNode, other: Metadata, fake_bus: Bus) -> None:
    """Of three in the range, whichever copy is asked."""
    first = await lease(fake_bus)
    second = await lease(fake_bus, OTHER)
    registered = await node.register(1, "web")
    given = {first.endpoint.claimed_ipv4, second.endpoint.claimed_ipv4}
    given.add(registered.spec.network.endpoints[0].claimed_ipv4)
    assert given == {"10.1.0.1", "10.1.0.2", "10.1.0.3"}
    for asked in (node.register(2, "web"), lease(fake_bus, "d" * 64)):
        error = await refused(asked)
        assert error.code is Code.FORBIDDEN and "no available IPv4 addresses" in error.message
    assert (await refused(lease(fake_bus, OTHER, endpoint=first.endpoint))).reason is Reason.ADDRESS_TAKEN
    await give_back(fake_bus, first, OTHER)
    await give_back(fake_bus, second, OTHER)
    assert (await lease(fake_bus, "d" * 64)).endpoint.claimed_ipv4 == second.endpoint.claimed_ipv4


async def test_a_lease_lapses_unless_it_is_renewed(
    node: NetworkNode, metadata: Metadata, fake_bus: Bus, fake_server: FakeServer
) -> None:
    clock = Clock(metadata)
    kept, lost = await lease(fake_bus), await lease(fake_bus, OTHER)
    for _ in range(6):
        clock.now_ns += SETTLED_NS // 2
        assert (await lease(fake_bus, endpoint=kept.endpoint)).endpoint == kept.endpoint
        await metadata._leases.sweep()
    assert leases(fake_server) == 2, "the other one was freed"
    clock.now_ns += 5 * SETTLED_NS
    await metadata._leases.sweep()
    assert leases(fake_server) == 0
    assert not metadata._leases._known
    await lease(fake_bus, OTHER, endpoint=lost.endpoint)


async def test_an_address_of_a_dead_build_is_taken_over(
    node: NetworkNode, metadata: Metadata, fake_bus: Bus, fake_server: FakeServer
) -> None:
    """Before anybody has swept; whoever comes back then is refused."""
    clock = Clock(metadata)
    gone = [await lease(fake_bus, letter * 64) for letter in "bcd"]
    clock.now_ns += SETTLED_NS + 1
    registered = await node.register(1, "web")
    (endpoint,) = registered.spec.network.endpoints
    (late,) = [one for one in gone if one.endpoint.claimed_ipv4 == endpoint.claimed_ipv4]
    letter = "bcd"[gone.index(late)]
    assert (await refused(lease(fake_bus, letter * 64, endpoint=late.endpoint))).reason is Reason.ADDRESS_TAKEN
    clock.now_ns += 5 * SETTLED_NS
    await metadata._leases.sweep()
    assert leases(fake_server) == 2, "those of the container"


async def test_another_copy_frees_what_a_killed_one_has_leased(
    node: NetworkNode, metadata: Metadata, fake_bus: Bus, fake_server: FakeServer
) -> None:
    clock = Clock(metadata)
    await lease(fake_bus)
    metadata._leases._known.clear()
    await metadata._leases.sweep()
    assert len(metadata._leases._known) == 2
    clock.now_ns += 5 * SETTLED_NS
    await metadata._leases.sweep()
    assert leases(fake_server) == 0


async def test_a_network_stays_with_a_build_and_is_free_after_it(node: NetworkNode, fake_bus: Bus) -> None:
    other = await NetworkNode(fake_bus, "n2").serve()
    leased = await lease(fake_bus)
    error = await refused(other.register(1, "web"))
    assert (error.reason, error.facts["node"]) == (Reason.OTHER_NODE, "n1")
    assert (await refused(lease(fake_bus, OTHER, "n2"))).reason is Reason.OTHER_NODE
    await give_back(fake_bus, leased)
    await other.register(1, "web")
    assert (await network(fake_bus)).nodes == ("n2", "n1")


async def test_a_network_with_containers_has_the_build_on_their_node(node: NetworkNode, fake_bus: Bus) -> None:
    await node.make(1, "web")
    error = await refused(lease(fake_bus, node="n2"))
    assert (error.code, error.facts["node"]) == (Code.CONFLICT, "n1")
    await give_back(fake_bus, await lease(fake_bus))
    assert (await network(fake_bus)).nodes == ("n1",)


@pytest.mark.parametrize(
    ("nodes", "age_s", "removed", "renewed"),
    [
        (("n1",), 29, False, False),
        (("n1",), 31, False, True),
        (("n2", "n1"), 99, False, False),
        (("n1",), 99, True, False),
    ],
)
def test_a_build_keeps_its_network_bound(nodes: tuple[str, ...], age_s: int, removed: bool, renewed: bool) -> None:
    now = 10**18
    found = NetworkRecord(id=WEB, name="web", created_ns=1, nodes=nodes, bound_ns=now - age_s * 10**9, removed=removed)
    after = kept_bound(found, "n1", now)
    assert (after.bound_ns, after.version) == ((now, 2) if renewed else (found.bound_ns, 1))


async def test_a_network_that_its_node_uses_is_not_removed(node: NetworkNode, fake_bus: Bus) -> None:
    """And the build keeps its address."""
    leased = await lease(fake_bus)
    node.refusal = conflict("in use")

    error = await refused(fake_bus.call(REMOVE_NETWORK, NetworkRef(ref="web")))
    assert error.code is Code.FORBIDDEN and "has active endpoints" in error.message
    await lease(fake_bus, endpoint=leased.endpoint)
    node.refusal = None
    await fake_bus.call(REMOVE_NETWORK, NetworkRef(ref="web"))
    assert (await refused(lease(fake_bus, endpoint=leased.endpoint))).message == "network web not found"
    await give_back(fake_bus, leased)


@pytest.mark.parametrize(
    ("network_", "build", "node_", "endpoint", "code", "words"),
    [
        ("nope", BUILD, "n1", None, Code.NOT_FOUND, "network nope not found"),
        ("bridge", BUILD, "n1", None, Code.NOT_FOUND, "network bridge not found"),
        ("web", "../x", "n1", None, Code.BAD_REQUEST, "64 hex digits"),
        ("web", container_id(1) + "0", "n1", None, Code.BAD_REQUEST, "64 hex digits"),
        ("web", BUILD, "", None, Code.BAD_REQUEST, "needs the node"),
        ("web", BUILD, "n1", {"claimed_ipv4": "10.9.0.1"}, Code.BAD_REQUEST, "can't have leased"),
        ("web", BUILD, "n1", {"claimed_ipv4": "x" * 900}, Code.BAD_REQUEST, "does not appear to be"),
        ("web", BUILD, "n1", {}, Code.BAD_REQUEST, "can't have leased"),
    ],
)
async def test_what_nobody_can_lease(
    node: NetworkNode,
    fake_bus: Bus,
    fake_server: FakeServer,
    network_: str,
    build: str,
    node_: str,
    endpoint: dict[str, str] | None,
    code: Code,
    words: str,
) -> None:
    own = EndpointSpec(network="web", network_id=WEB, **endpoint) if endpoint is not None else None
    error = await refused(lease(fake_bus, build, node_, network_, own))
    assert error.code is code and words in error.message
    assert leases(fake_server) == 0


async def test_odd_addresses_are_given_back_without_harm(node: NetworkNode, fake_bus: Bus) -> None:
    made = await node.make(1, "web")
    (own,) = made.network.endpoints
    for endpoint in (own, own.model_copy(update={"claimed_ipv4": "x" * 900, "network_id": "../.."})):
        await fake_bus.call(RETURN_ADDRESSES, ReturnAddresses(build=container_id(1), endpoint=endpoint))
    error = await refused(lease(fake_bus, endpoint=own))
    assert error.reason is Reason.ADDRESS_TAKEN, "a container's address stays its own"
