"""Published ports in networks of users: from where they are reached, and whom the container sees."""

import socket
import subprocess
from collections.abc import Iterator

import pytest
from e2e_rig.api import Api
from e2e_rig.docker_cli import DockerCli
from e2e_rig.networks import SLEEP, address, made, run_in, telling, within
from e2e_rig.waits import eventually
from e2e_rig.world import HOST, OUTSIDE, World
from test_network import SERVE, datagram_back, echoed, echoing_datagrams, fetch, refused

from seaway_testing.ports import free_port

HOST6, OUTSIDE6 = "fd00:198::1", "fd00:198::2"


@pytest.fixture
def ipv6(world: World) -> Iterator[None]:
    """Addresses of both machines in a network of IPv6."""
    places = ((world.inside, HOST6, "world0"), (world.outside, OUTSIDE6, "home0"))
    for inside, own, link in places:
        with inside():
            subprocess.run(["ip", "addr", "add", f"{own}/64", "dev", link, "nodad"], check=True)
    yield
    for inside, own, link in places:
        with inside():
            subprocess.run(["ip", "addr", "del", f"{own}/64", "dev", link], check=True)


def test_from_everywhere(cli: DockerCli, world: World, name: str) -> None:
    port = free_port()
    for number in (1, 2):
        made(cli, f"{name}-{number}", "--subnet", f"10.9{number}.0.0/24")
        run_in(cli, f"{name}-{number}", f"{name}-ask{number}", *SLEEP)
    run_in(cli, f"{name}-1", name, "-p", f"{port}:80", *SLEEP)
    with telling(cli, name):
        assert fetch("127.0.0.1", port) == "10.91.0.1"
        assert fetch("[::1]", port) == "10.91.0.1"
        assert fetch(HOST, port) in (HOST, "10.91.0.1")
        with world.outside():
            assert fetch(HOST, port) == OUTSIDE, "the client's own address"
        for container in (f"{name}-ask1", f"{name}-ask2", name):
            with within(cli, container):
                assert fetch(HOST, port) == "10.91.0.1"
    assert cli("port", name).lines == [f"80/tcp -> 0.0.0.0:{port}", f"80/tcp -> [::]:{port}"]
    cli("rm", "-f", name)
    assert refused("127.0.0.1", port) and refused("::1", port) and refused(HOST, port)


@pytest.mark.seaway_only  # Docker 26.1 relays all of IPv6
@pytest.mark.usefixtures("ipv6")
def test_ipv6_is_native_in_a_network_with_ipv6(cli: DockerCli, world: World, name: str) -> None:
    port = free_port()
    made(cli, name, "--ipv6", "--subnet", "10.91.0.0/24", "--subnet", "fd00:91::/64")
    run_in(cli, name, name, "-p", f"{port}:80", *SLEEP)
    with telling(cli, name):
        with world.outside():
            assert fetch(HOST, port) == OUTSIDE
            assert fetch(f"[{HOST6}]", port) == OUTSIDE6, "the client's own address"
        assert fetch("127.0.0.1", port) == "10.91.0.1"
        assert fetch("[::1]", port) == "10.91.0.1", "relayed, as the kernel routes nothing from there"
        assert fetch(f"[{HOST6}]", port) in (HOST6, "fd00:91::1")
        with within(cli, name):
            assert fetch(f"[{HOST6}]", port) == "fd00:91::1"
    assert cli("exec", name, "ping", "-6", "-c1", "-W2", OUTSIDE6).code == 0, "the way out"
    where = address(cli, name, name, "GlobalIPv6Address")
    with world.outside():
        subprocess.run(["ip", "route", "add", "fd00:91::/64", "via", HOST6], check=True)
        assert refused(where, 81), "what isn't published"


def test_datagrams(cli: DockerCli, world: World, name: str) -> None:
    port = free_port()
    made(cli, name)
    run_in(cli, name, name, "-p", f"{port}:53/udp", *SLEEP)
    with echoing_datagrams(cli, name):
        with world.outside():
            assert eventually(lambda: datagram_back(HOST, port), "an answer outside") == b"ask"
        for where in ("127.0.0.1", "::1", HOST):
            assert eventually(lambda where=where: datagram_back(where, port), "its answer") == b"ask"  # type: ignore[misc]


@pytest.mark.seaway_only  # the answer of Docker 26.1 comes from another address
def test_datagrams_from_the_container_itself(cli: DockerCli, name: str) -> None:
    port = free_port()
    made(cli, name)
    run_in(cli, name, name, "-p", f"{port}:53/udp", *SLEEP)
    with echoing_datagrams(cli, name), within(cli, name):
        assert eventually(lambda: datagram_back(HOST, port), "an answer") == b"ask"


def test_a_range(cli: DockerCli, name: str) -> None:
    made(cli, name)
    first = _three_free_ports()
    serve = "for n in 80 81 82; do mkdir /$n; echo $n > /$n/index.html; httpd -p $n -h /$n; done; exec sleep 600"
    run_in(cli, name, name, "-p", f"127.0.0.1:{first}-{first + 2}:80-82", "busybox", "sh", "-c", serve)
    assert cli("port", name).lines == [f"{80 + n}/tcp -> 127.0.0.1:{first + n}" for n in range(3)]
    for number in range(3):
        assert fetch("127.0.0.1", first + number) == f"{80 + number}\n"


def _three_free_ports() -> int:
    """The first of three."""
    while True:
        first = free_port()
        try:
            for port in (first + 1, first + 2):
                socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return first


def test_much_data_both_ways(cli: DockerCli, world: World, name: str) -> None:
    port, sent = free_port(), b"echo " * 400_000
    made(cli, name)
    run_in(cli, name, name, "-p", f"{port}:80", "busybox", "sh", "-c", "while :; do nc -lp 80 -e cat; done")
    with world.outside():
        assert eventually(lambda: echoed(HOST, port, sent), "its answer") == sent
    assert eventually(lambda: echoed("::1", port, sent), "its answer") == sent


def test_ports_follow_a_container_from_network_to_network(cli: DockerCli, world: World, name: str) -> None:
    """As in Docker they lead to the network of the way out."""
    port = free_port()
    made(cli, f"{name}-1", "--subnet", "10.91.0.0/24"), made(cli, f"{name}-2", "--subnet", "10.92.0.0/24")
    run_in(cli, f"{name}-1", name, "-p", f"{port}:80", *SLEEP)
    with telling(cli, name):
        assert fetch("127.0.0.1", port) == "10.91.0.1"
        cli("network", "connect", f"{name}-2", name)
        cli("network", "disconnect", f"{name}-1", name)
        assert fetch("127.0.0.1", port) == "10.92.0.1"
        with world.outside():
            assert fetch(HOST, port) == OUTSIDE
    cli("network", "disconnect", f"{name}-2", name)
    assert refused("127.0.0.1", port) and cli("port", name).lines == []


def test_a_port_that_is_taken(cli: DockerCli, api: Api, name: str) -> None:
    port = free_port()
    made(cli, name)
    run_in(cli, name, f"{name}-1", "-p", f"{port}:80", *SERVE)
    result = cli.try_("run", "-d", "--name", f"{name}-2", "--network", name, "-p", f"{port}:80", *SERVE)
    assert result.code == 125
    assert f"Bind for 0.0.0.0:{port} failed: port is already allocated" in result.err
    listed = cli("ps", "-a", "--format", "{{.Names}} {{.State}}", "--filter", f"name={name}-2").lines
    assert listed == [f"{name}-2 created"]
    assert len(api.get(f"/networks/{name}")["Containers"]) == 1
    cli("rm", "-f", f"{name}-1")
    cli("start", f"{name}-2")
    assert fetch("127.0.0.1", port) == "served\n"


def test_a_port_that_a_program_has(cli: DockerCli, name: str) -> None:
    made(cli, name)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        result = cli.try_("run", "--name", name, "--network", name, "-p", f"127.0.0.1:{port}:80", *SERVE)
        assert result.code == 125 and "address already in use" in result.err
    cli("start", name)
    assert fetch("127.0.0.1", port) == "served\n"
