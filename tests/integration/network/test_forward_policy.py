"""Beside a program that sets the policy of iptables' FORWARD chain to drop, as Docker does."""

import re
import shutil
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any

import pytest
from tests.namespaces import Namespace

from seaway_agent.network.port import EndpointRequest, NetworkSpec
from seaway_agent.network.ports import PortRequest

from .conftest import Node, ask, unreachable

pytestmark = pytest.mark.root
Serve = Callable[..., Any]
FRONT = "f" * 64
BRIDGE = f"br-{FRONT[:12]}"
WITH_IPV6 = NetworkSpec(FRONT, "front", subnet=IPv4Network("10.1.0.0/24"), subnet6=IPv6Network("fd01::/64"))


def docker(host: Namespace, family: str = "ip") -> None:
    """What a Docker leaves in nftables, by the command iptables: its chains, and the policy."""
    table = f"add table {family} filter"
    forward = f"add chain {family} filter FORWARD {{ type filter hook forward priority 0; policy drop; }}"
    user = f"add chain {family} filter DOCKER-USER"
    host.run("nft", f"{table}; {forward}; {user}; add rule {family} filter FORWARD counter jump DOCKER-USER")


def follow(host: Namespace, text: str) -> None:
    """Do as a warning says. Where iptables is none or the legacy one: what its rules are in nftables."""
    advised = text.partition("Accept their bridges: ")[2]
    family = "ip6" if "ip6tables" in advised else "ip"
    if "nf_tables" not in (host.run("iptables", "--version") if shutil.which("iptables") else ""):
        rule = rf"nft insert rule {family} filter DOCKER-USER \1ifname $b counter accept"
        advised = re.sub(r'ip6?tables -I DOCKER-USER -([io]) "\$b" -j ACCEPT', rule, advised)
    host.run("sh", "-c", advised)


async def test_the_node_says_what_is_dropped_and_how_to_change_that(
    node: Node, host: Namespace, outside: Namespace, serve: Serve
) -> None:
    assert await node.networks.warnings() == ()
    held = await node.acquire()
    serve(held.netns_fd, 80)
    serve(outside.fd, 7000)
    await node.ports.publish(held.container, held.address, [PortRequest(80, host_port=8080)])
    assert ask(outside.fd, "10.77.0.1", 8080) == "10.77.0.2"
    docker(host)
    assert unreachable(outside.fd, "10.77.0.1", 8080) and unreachable(held.netns_fd, "10.77.0.2", 7000)
    (text,) = await node.networks.warnings()
    assert f"containers on {node.bridge} reach nothing outside this host" in text
    follow(host, text)
    assert ask(outside.fd, "10.77.0.1", 8080) == "10.77.0.2"
    assert ask(held.netns_fd, "10.77.0.2", 7000) == "10.77.0.1"
    assert await node.networks.warnings() == ()
    host.run("nft", "delete", "table", "ip", "filter")


async def test_a_network_that_comes_later_is_named_with_ipv6_too(
    node: Node, host: Namespace, outside: Namespace, serve: Serve
) -> None:
    docker(host)
    docker(host, "ip6")
    follow(host, *await node.networks.warnings())
    await node.networks.make(WITH_IPV6)
    serve(outside.fd, 7000, host="::")
    held = await node.acquire(EndpointRequest(FRONT, IPv4Address("10.1.0.2"), IPv6Address("fd01::2")))
    assert unreachable(held.netns_fd, "fd77::2", 7000)
    texts = await node.networks.warnings()
    assert [f"containers on {BRIDGE} reach" in text for text in texts] == [True, True]
    for text in texts:
        follow(host, text)
    assert ask(held.netns_fd, "fd77::2", 7000).startswith("fd77::1")
    assert await node.networks.warnings() == ()
    for family in ("ip", "ip6"):
        host.run("nft", "delete", "table", family, "filter")


async def test_other_policies_and_internal_networks_are_no_reason_to_warn(node: Node, host: Namespace) -> None:
    host.run("nft", "add table ip filter; add chain ip filter FORWARD { type filter hook forward priority 0; }")
    assert await node.networks.warnings() == ()
    host.run("nft", "add chain ip filter FORWARD { policy drop; }")
    await node.networks.make(NetworkSpec(FRONT, "front", subnet=IPv4Network("10.1.0.0/24"), internal=True))
    (text,) = await node.networks.warnings()
    assert BRIDGE not in text and "iptables -I FORWARD " in text
    host.run("nft", "delete", "table", "ip", "filter")
