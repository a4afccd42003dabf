"""An agent is killed during a connect or a disconnect: the next one leaves the container what its record says."""

import os
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any

import pytest
from tests.namespaces import Namespace, Process, end, wait_until

from seaway_agent.network.errors import NetlinkError
from seaway_agent.network.options import PARENT
from seaway_agent.network.port import EndpointRequest, NetworkSpec
from seaway_agent.network.rtnetlink import Interfaces
from seaway_agent.network.veths import Veths

from .conftest import Held, Node, ask

pytestmark = pytest.mark.root
Start = Callable[[int], Process]
Serve = Callable[..., Any]
LAN = NetworkSpec(
    "a" * 64, "a-lan", "macvlan", IPv4Network("10.77.0.0/24"), IPv4Address("10.77.0.2"), options={PARENT: "cable"}
)
FRONT, BACK = (
    NetworkSpec(
        letter * 64,
        name,
        subnet=IPv4Network(f"10.{number}.0.0/24"),
        gateway=IPv4Address(f"10.{number}.0.1"),
        subnet6=IPv6Network(f"fd00:{number}::/64"),
        gateway6=IPv6Address(f"fd00:{number}::1"),
    )
    for number, letter, name in ((1, "f", "front"), (2, "b", "back"))
)
NETWORKS = (LAN, FRONT, BACK)


def at(network: NetworkSpec, last: int) -> EndpointRequest:
    assert network.subnet is not None
    return EndpointRequest(
        network.id, network.subnet[last], network.subnet6[last] if network.subnet6 is not None else None
    )


async def opened(suite: str, host: Namespace) -> Node:
    node = Node(suite, host)
    await node.open()
    for network in NETWORKS:
        await node.networks.make(network)
    return node


async def running(node: Node, start: Start, *requests: EndpointRequest) -> tuple[Held, Process, Namespace]:
    """A container with these endpoints, and its namespace."""
    held = await node.acquire(*requests)
    process, inside = start(held.netns_fd), Namespace(os.dup(held.netns_fd))
    node.networks.hand_over(held.container, process.pid)
    return held, process, inside


def routes(inside: Namespace) -> list[str]:
    """Where the default routes lead."""
    shown = inside.run("ip", "route", "show", "default") + inside.run("ip", "-6", "route", "show", "default")
    return [" ".join(line.split()[2:5]) for line in shown.splitlines()]


def interfaces(inside: Namespace) -> set[str]:
    return {name for name in inside.links() if name.startswith("eth")}


async def finish(node: Node, host: Namespace, process: Process, inside: Namespace) -> None:
    end(process)
    inside.close()
    await node.close(teardown=True)
    wait_until(lambda: not host.own_links(), "all gone")


FRONT_ROUTES = ["10.1.0.1 dev eth0", "fd00:1::1 dev eth0"]


@pytest.mark.parametrize("network", [LAN, BACK])
async def test_a_connect_that_was_not_recorded_is_undone_with_its_routes(
    suite: str, host: Namespace, outside: Namespace, start: Start, serve: Serve, network: NetworkSpec
) -> None:
    first = await opened(suite, host)
    held, process, inside = await running(first, start, at(FRONT, 2))
    await first.networks.connect(held.container, at(network, 20))
    assert "eth1" in routes(inside)[0], "the network that comes first by its name has the route"
    await first.close()
    again = await opened(suite, host)
    await again.networks.adopt(held.container, process.pid, [at(FRONT, 2)])
    assert await again.networks.sweep() == []
    assert (interfaces(inside), routes(inside)) == ({"eth0"}, FRONT_ROUTES)
    serve(outside.fd, 7000)
    assert ask(inside.fd, "10.77.0.2", 7000) == "10.77.0.1"
    other = await again.acquire(at(network, 20))
    assert other.address == at(network, 20).address, "nobody else has the address on the wire"
    await again.release(other)
    await finish(again, host, process, inside)


@pytest.mark.parametrize("network", [LAN, BACK])
@pytest.mark.parametrize("others", [(FRONT,), ()])
async def test_a_disconnect_that_was_recorded_is_finished_with_its_routes(
    suite: str, host: Namespace, outside: Namespace, start: Start, network: NetworkSpec, others: tuple[NetworkSpec, ...]
) -> None:
    first = await opened(suite, host)
    kept = [at(other, 2) for other in others]
    held, process, inside = await running(first, start, *kept, at(network, 20))
    await first.close()
    again = await opened(suite, host)
    await again.networks.adopt(held.container, process.pid, kept)
    assert (interfaces(inside), routes(inside)) == (({"eth0"}, FRONT_ROUTES) if others else (set(), []))
    await finish(again, host, process, inside)


async def test_the_routes_move_before_the_endpoint_goes(
    suite: str, host: Namespace, outside: Namespace, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await opened(suite, host)
    held, process, inside = await running(node, start, at(FRONT, 2), at(BACK, 2))
    before, seen = routes(inside), list[list[str]]()

    def refuse(*_: object) -> None:
        seen.append(routes(inside))
        raise NetlinkError(12, "cannot delete: Cannot allocate memory")

    with monkeypatch.context() as patch:
        patch.setattr(Veths, "unplug", refuse)
        with pytest.raises(NetlinkError):
            await node.networks.disconnect(held.container, BACK.id)
    assert seen == [FRONT_ROUTES]
    assert routes(inside) == before == ["10.2.0.1 dev eth1", "fd00:2::1 dev eth1"]
    assert len(node.networks.endpoints(held.container)) == 2
    await node.networks.disconnect(held.container, BACK.id)
    assert routes(inside) == FRONT_ROUTES
    await finish(node, host, process, inside)


@pytest.mark.parametrize("network", [LAN, BACK])
async def test_a_connect_that_fails_after_it_took_the_routes_gives_them_back(
    suite: str,
    host: Namespace,
    outside: Namespace,
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
    network: NetworkSpec,
) -> None:
    node = await opened(suite, host)
    held, process, inside = await running(node, start, at(FRONT, 2))

    def refusing(configure: Callable[..., None]) -> Callable[..., None]:
        def refuse(*arguments: Any) -> None:
            configure(*arguments)
            assert "eth1" in routes(inside)[0]
            raise NetlinkError(12, "cannot configure: Cannot allocate memory")

        return refuse

    with monkeypatch.context() as patch:
        patch.setattr(Interfaces, "configure", refusing(Interfaces.configure))
        patch.setattr(Veths, "_configure", refusing(Veths._configure))
        with pytest.raises(NetlinkError):
            await node.networks.connect(held.container, at(network, 20))
    assert (interfaces(inside), routes(inside)) == ({"eth0"}, FRONT_ROUTES)
    await finish(node, host, process, inside)


async def test_what_a_container_made_itself_is_left_alone(
    suite: str, host: Namespace, outside: Namespace, start: Start
) -> None:
    """Its own macvlan is over an interface that has the index of a parent of ours."""
    first = await opened(suite, host)
    held, process, inside = await running(first, start, at(FRONT, 2))
    await first.networks.connect(held.container, at(BACK, 2))
    await first.close()
    host.run("ip", "link", "add", "other0", "index", "777", "type", "veth", "peer", "name", "other1")
    inside.run("ip", "link", "add", "own0", "index", "777", "type", "bridge")
    inside.run("ip", "link", "add", "eth7", "link", "own0", "type", "macvlan")
    inside.run("ip", "link", "add", "eth8", "type", "veth", "peer", "name", "eth9")
    inside.run("ip", "route", "replace", "default", "via", "10.1.0.9", "dev", "eth0")
    again = await opened(suite, host)
    subnet = IPv4Network("10.78.0.0/24")
    await again.networks.make(NetworkSpec("c" * 64, "c-lan", "macvlan", subnet, options={PARENT: "other0"}))
    await again.networks.adopt(held.container, process.pid, [at(FRONT, 2)])
    assert interfaces(inside) == {"eth0", "eth7", "eth8", "eth9"}
    assert routes(inside) == ["10.1.0.9 dev eth0", "fd00:1::1 dev eth0"], "the route of its own stays"
    await finish(again, host, process, inside)
