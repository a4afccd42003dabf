"""Names of a run: what the resolver gets to know, and what is given back."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from tests.unit.seaway_agent.container.hooks.peers import NOTHING, request

from seaway_agent.container.held_networks import HeldNetworks
from seaway_agent.container.hooks.dns import DnsHook, names_of
from seaway_agent.dns.fake import FakeResolver
from seaway_agent.dns.port import ResolverError
from seaway_agent.network.fake import FakeNetworks
from seaway_agent.runtime.contribution import Contribution
from seaway_agent.runtime.run import ContainerRun
from seaway_contracts.containers import Endpoint, EndpointSpec, Link
from seaway_contracts.errors import SeawayError
from seaway_contracts.networks import NetworkRecord, network_id
from seaway_testing import builders

ID = builders.container_id(1)
BRIDGE_ID = network_id("bridge")
BACK = NetworkRecord(id="b" * 64, name="back", created_ns=1)
INNER = NetworkRecord(id="a" * 64, name="inner", created_ns=1, internal=True)
HELD = HeldNetworks(FakeNetworks(), {BACK.id: BACK, INNER.id: INNER}, lambda network: False)
ON_BRIDGE = EndpointSpec(network="bridge", network_id=BRIDGE_ID)
IN_BACK = EndpointSpec(
    network="back", network_id=BACK.id, aliases=("db", "box1"), links=(Link(container="c" * 64, name="web", alias="w"),)
)
IN_INNER = EndpointSpec(network="inner", network_id=INNER.id)
AT_BRIDGE = Endpoint(network="bridge", network_id=BRIDGE_ID, address="172.18.0.2")
AT_BACK = Endpoint(network="back", network_id=BACK.id, address="10.1.0.9", ipv6_address="fd00::9")
AT_INNER = Endpoint(network="inner", network_id=INNER.id, address="10.2.0.9")
SANDBOX = Contribution(namespaces={"network": "/sandbox"}, endpoints=(AT_BACK,))


def test_all_names_of_docker_are_there() -> None:
    spec = builders.spec(network=builders.networking(endpoints=(IN_BACK,), hostname="host.name"))
    (end,) = names_of(spec, (IN_BACK,), (AT_BACK,), HELD).endpoints
    assert (end.network, end.network_name) == (BACK.id, "back")
    assert end.names == ("box1", "db", ID[:12], "host.name")
    assert (end.address, end.address6) == (IPv4Address("10.1.0.9"), IPv6Address("fd00::9"))
    assert (end.links, end.internal) == ({"w": "web"}, False)


def test_the_default_network_has_no_names_but_leads_outside() -> None:
    spec = builders.spec(network=builders.networking(endpoints=(IN_INNER, ON_BRIDGE)))
    names = names_of(spec, (IN_INNER, ON_BRIDGE), (AT_INNER, AT_BRIDGE), HELD)
    assert [(end.network_name, end.names, end.internal) for end in names.endpoints] == [
        ("bridge", (), False),
        ("inner", ("box1", ID[:12]), True),
    ]
    assert names.forwards
    assert not names_of(spec, (IN_INNER,), (AT_INNER,), HELD).forwards


def test_networks_are_searched_by_priority_and_name() -> None:
    first = IN_BACK.model_copy(update={"gateway_priority": 5})
    other = EndpointSpec(network="air", network_id="d" * 64)
    at_other = Endpoint(network="air", network_id="d" * 64, address="10.3.0.9")

    def order(*asked: EndpointSpec) -> list[str]:
        found = names_of(builders.spec(), asked, (AT_INNER, AT_BACK, at_other), HELD).endpoints
        return [end.network_name for end in found]

    assert order(IN_INNER, IN_BACK, other) == ["air", "back", "inner"]
    assert order(IN_INNER, other, first) == ["back", "air", "inner"]


def test_an_endpoint_that_is_not_there_has_no_names() -> None:
    assert names_of(builders.spec(), (IN_BACK, IN_INNER), (AT_INNER,), HELD).endpoints[0].network == INNER.id


def test_the_user_s_servers_are_asked() -> None:
    network = builders.networking(endpoints=(IN_BACK,), dns=("192.0.2.7",), dns_options=("ndots:1",))
    names = names_of(builders.spec(network=network), (IN_BACK,), (AT_BACK,), HELD)
    assert (names.upstreams, names.dotless_stay) == ((("192.0.2.7", False),), True)


async def test_a_sandbox_is_attached_handed_over_and_detached() -> None:
    resolver = FakeResolver()
    hook = DnsHook(resolver, HELD)
    assert await hook.prepare(request(network=builders.networking(endpoints=(IN_BACK,))), SANDBOX) == NOTHING
    assert resolver.attached[ID].endpoints[0].network == BACK.id
    hook.created(ID, ContainerRun(77, -1, -1, child=False))
    assert resolver.process.pids == {ID: 77}
    await hook.undo(ID)
    await hook.undo(ID)
    assert resolver.attached == {}


@pytest.mark.parametrize("mode", ["bridge", "none", "host", f"container:{builders.container_id(7)}"])
async def test_without_a_network_of_users_there_is_no_resolver(mode: str) -> None:
    resolver = FakeResolver()
    endpoints = (AT_BRIDGE,) if mode == "bridge" else (Endpoint(network=mode, network_id=network_id(mode)),)
    before = Contribution(namespaces={"network": "/sandbox"}, endpoints=endpoints)
    await DnsHook(resolver, HELD).prepare(request(network=builders.networking(mode)), before)
    DnsHook(resolver, HELD).created(ID, ContainerRun(77, -1, -1, child=False))
    assert resolver.calls == []


async def test_a_start_without_a_resolver_says_why() -> None:
    resolver = FakeResolver()
    resolver.failures["attach"] = ResolverError("no descriptors left")
    with pytest.raises(SeawayError, match="no resolver for container box1: no descriptors left"):
        await DnsHook(resolver, HELD).prepare(request(network=builders.networking(endpoints=(IN_BACK,))), SANDBOX)
    resolver.failures["detach"] = ResolverError("stuck")
    with pytest.raises(SeawayError, match="can't be withdrawn: stuck"):
        await DnsHook(resolver, HELD).undo(ID)
