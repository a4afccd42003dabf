"""The sandbox of a build's steps: in the default network or in one of users, and gone with the build."""

from contextlib import AsyncExitStack
from ipaddress import IPv4Address, IPv4Network, IPv6Address

import pytest

from seaway_agent.build.step_networks import StepNetworks
from seaway_agent.container.held_networks import HeldNetworks
from seaway_agent.dns.fake import FakeResolver
from seaway_agent.dns.port import ContainerNames, NamedEndpoint, ResolverError
from seaway_agent.network.errors import AddressError, NetworkError
from seaway_agent.network.fake import FakeNetworks
from seaway_agent.network.port import DEFAULT_NAME, DEFAULT_NETWORK, EndpointRequest, NetworkSpec
from seaway_contracts.containers import EndpointSpec
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.networks import LeasedEndpoint, NetworkRecord, Pool

WEB, BUILD = "a" * 64, "b" * 64


class Node:
    """What a node has of networks."""

    def __init__(self) -> None:
        self.networks = FakeNetworks()
        self.resolver = FakeResolver()
        self.removed = False
        self.held = HeldNetworks(self.networks, {}, lambda _: self.removed)
        self.steps = StepNetworks(self.networks, self.held.make_stored, self.resolver)

    def is_clean(self) -> bool:
        return not self.networks.endpoints(BUILD) and not self.resolver.attached


@pytest.fixture
async def node() -> Node:
    made = Node()
    await made.networks.make(NetworkSpec(DEFAULT_NETWORK, DEFAULT_NAME, subnet=IPv4Network("10.0.0.0/24")))
    return made


def leased(ipv4: str = "10.1.0.9", ipv6: str = "", **changes: object) -> LeasedEndpoint:
    pools = (Pool(subnet="10.1.0.0/24", gateway="10.1.0.1"), Pool(subnet="fd00:1::/64", gateway="fd00:1::1"))
    record = NetworkRecord(id=WEB, name="web", created_ns=1, pools=pools[: 2 if ipv6 else 1])
    endpoint = EndpointSpec(network="web", network_id=WEB, claimed_ipv4=ipv4, claimed_ipv6=ipv6)
    return LeasedEndpoint(network=record.model_copy(update=changes), endpoint=endpoint)


async def test_the_default_network(node: Node) -> None:
    async with AsyncExitStack() as stack:
        found = await node.steps.join(stack, BUILD, "", None)
        assert found.addresses == ("10.0.0.2",) and found.gateway == "10.0.0.1"
        assert "127.0.0.11" not in found.resolv_conf() and not node.resolver.attached
    assert node.is_clean()


@pytest.mark.parametrize(("ipv6", "addresses"), [("", ("10.1.0.9",)), ("fd00:1::9", ("10.1.0.9", "fd00:1::9"))])
async def test_a_network_of_users_is_made_and_searched_for_names(
    node: Node, ipv6: str, addresses: tuple[str, ...]
) -> None:
    other = IPv6Address("fd00:1::8") if ipv6 else None
    web = NamedEndpoint(WEB, "web", ("box",), IPv4Address("10.1.0.8"), other)
    await node.resolver.attach("c" * 64, "sandbox", ContainerNames((web,)))
    async with AsyncExitStack() as stack:
        found = await node.steps.join(stack, BUILD, WEB, leased(ipv6=ipv6))
        assert found.addresses == addresses and found.gateway == "10.1.0.1"
        assert "nameserver 127.0.0.11\n" in found.resolv_conf()
        assert node.networks.is_made(WEB)
        assert node.resolver.process.find(BUILD, "box") == [bytes([10, 1, 0, 8])]
        with pytest.raises(AddressError):
            await node.networks.join("d" * 64, [EndpointRequest(WEB, IPv4Address("10.1.0.9"), other)])
        with pytest.raises(NetworkError):
            await node.held.remove(WEB)
    await node.resolver.detach("c" * 64)
    assert node.is_clean()
    await node.held.remove(WEB)


async def test_what_it_can_not_join(node: Node) -> None:
    for joins in (None, leased(id="c" * 64), leased("x")):
        with pytest.raises(SeawayError) as refused:
            async with AsyncExitStack() as stack:
                await node.steps.join(stack, BUILD, WEB, joins)
        assert refused.value.code is Code.BAD_REQUEST
    node.removed = True
    with pytest.raises(SeawayError, match="network web not found"):
        async with AsyncExitStack() as stack:
            await node.steps.join(stack, BUILD, WEB, leased())
    assert node.is_clean() and not node.networks.is_made(WEB)


async def test_without_a_resolver_nothing_is_left(node: Node) -> None:
    node.resolver.failures["attach"] = ResolverError("it ended")
    with pytest.raises(ResolverError):
        async with AsyncExitStack() as stack:
            await node.steps.join(stack, BUILD, WEB, leased())
    assert node.is_clean()
