"""Networks none, host and bridge; published ports; the way out through NAT."""

import contextlib
import json
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator

import pytest
from e2e_rig.api import Api
from e2e_rig.docker_cli import DockerCli
from e2e_rig.seaway import Seaway
from e2e_rig.waits import eventually
from e2e_rig.world import HOST, OUTSIDE, World

from seaway_testing.ports import free_port

SERVE = ["busybox", "sh", "-c", "mkdir /www; echo served > /www/index.html; exec httpd -f -p 80 -h /www"]
UDP_ECHO = """
import socket
with socket.socket(type=socket.SOCK_DGRAM) as server:
    server.bind(("0.0.0.0", 53))
    while True:
        server.sendto(*server.recvfrom(100))
"""
_BRIDGE_NAME = '{{index .Options "com.docker.network.bridge.name"}}'
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def fetch(address: str, port: int | str) -> str:
    """What an HTTP server says; waits until it is there."""

    def try_() -> str:
        try:
            with _opener.open(f"http://{address}:{port}/", timeout=2) as reply:
                return str(reply.read().decode())
        except OSError:
            return ""

    return eventually(try_, f"a server at {address}:{port}")


def refused(address: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as client:
        client.settimeout(1)
        return client.connect_ex((address, port)) != 0


@contextlib.contextmanager
def echoing_datagrams(cli: DockerCli, container: str) -> Iterator[None]:
    """A server on UDP port 53 of a container's network."""
    pid = cli("inspect", container, "--format", "{{.State.Pid}}").out
    with subprocess.Popen(["nsenter", "-t", pid, "-n", sys.executable, "-c", UDP_ECHO]) as server:
        try:
            yield
        finally:
            server.kill()


def datagram_back(address: str, port: int) -> bytes:
    """What comes back of a datagram; empty where nothing does."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as client:
        client.settimeout(0.5)
        client.connect((address, port))
        client.send(b"ask")
        return client.recv(100)
    return b""


@pytest.fixture
def listener(world: World) -> Iterator[socket.socket]:
    """A socket of the other machine."""
    with world.outside():
        server = socket.create_server((OUTSIDE, 0))
    server.settimeout(10)
    with server:
        yield server


def test_none_has_only_loopback(cli: DockerCli) -> None:
    lines = cli("run", "--rm", "--network", "none", "busybox", "sh", "-c", "ls /sys/class/net; ip route").lines
    assert lines == ["lo"]


def test_host_is_the_machine_s_own(cli: DockerCli) -> None:
    here = subprocess.run(["ip", "-json", "addr", "show", "world0"], capture_output=True, text=True, check=True).stdout
    shown = cli("run", "--rm", "--network", "host", "busybox", "sh", "-c", "hostname; ip addr show world0").out
    assert shown.splitlines()[0] == socket.gethostname()
    assert json.loads(here)[0]["address"] in shown


def test_bridge_has_address_route_and_names(cli: DockerCli, api: Api, name: str) -> None:
    script = "ip -4 addr show eth0; ip route; cat /etc/hosts; cat /etc/resolv.conf; echo up; sleep 60"
    container = cli(
        "run", "-d", "--name", name, "-h", "box", "--add-host", "db:10.1.2.3", "busybox", "sh", "-c", script
    ).out
    eventually(lambda: "up" in cli("logs", name).lines, "its words")
    shown = cli("logs", name).out
    network = api.get(f"/containers/{container}/json")["NetworkSettings"]
    assert f"inet {network['IPAddress']}/{network['IPPrefixLen']} " in shown
    assert f"default via {network['Gateway']} dev eth0" in shown
    assert f"{network['IPAddress']}\tbox" in shown and "127.0.0.1\tlocalhost" in shown
    assert "10.1.2.3\tdb" in shown and "nameserver" in shown


def test_containers_reach_each_other(cli: DockerCli) -> None:
    server = cli("run", "-d", *SERVE).out
    address = cli("inspect", server, "--format", "{{.NetworkSettings.IPAddress}}").out
    script = f"until wget -qO- http://{address}/; do sleep 0.05; done 2>/dev/null"
    assert cli("run", "--rm", "busybox", "sh", "-c", script).out == "served"


def test_the_way_out_is_nat(cli: DockerCli, listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    container = cli("run", "-d", "busybox", "sh", "-c", f"echo hello | nc {OUTSIDE} {port}").out
    connection, (address, _) = listener.accept()
    with connection:
        assert connection.makefile().readline() == "hello\n"
    assert address == HOST
    cli("rm", "-f", container)


def test_published_on_host_and_loopback_and_from_outside(cli: DockerCli, world: World, name: str) -> None:
    port = free_port()
    cli("run", "-d", "--name", name, "-p", f"{port}:80", *SERVE)
    assert fetch("127.0.0.1", port) == "served\n"
    assert fetch(HOST, port) == "served\n"
    with world.outside():
        assert fetch(HOST, port) == "served\n"
    assert f"80/tcp -> 0.0.0.0:{port}" in cli("port", name).lines
    assert f"0.0.0.0:{port}->80/tcp" in cli("ps", "--format", "{{.Ports}}").out
    cli("rm", "-f", name)
    assert refused("127.0.0.1", port) and refused(HOST, port)


def test_published_from_a_container(cli: DockerCli) -> None:
    port = free_port()
    cli("run", "-d", "-p", f"{port}:80", *SERVE)
    script = f"until wget -qO- http://{HOST}:{port}/; do sleep 0.05; done 2>/dev/null"
    assert cli("run", "--rm", "busybox", "sh", "-c", script).out == "served"


@pytest.mark.seaway_only
def test_a_policy_of_another_program_is_warned_of(
    engine: Seaway, api: Api, cli: DockerCli, world: World, name: str
) -> None:
    """Docker's: forwarded packets are dropped. What the warning advises has them pass."""

    def warned() -> list[str]:
        return [text for text in api.get("/info")["Warnings"] or [] if "chain FORWARD" in text]

    host_port = free_port()
    cli("run", "-d", "--name", name, "-p", f"{host_port}:80", *SERVE)
    with world.outside():
        fetch(HOST, host_port)
    chain = "add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }"
    _nft(world, "add table ip filter; delete table ip filter")  # a dockerd of other tests may have left rules there
    _nft(world, f"add table ip filter; {chain}; add chain ip filter DOCKER-USER")
    try:
        _nft(world, "add rule ip filter FORWARD jump DOCKER-USER")
        with world.outside():
            assert refused(HOST, host_port)
        (text,) = eventually(warned, "a warning", 30)
        assert text.startswith("WARNING: node n1: the policy of the chain FORWARD of iptables is DROP")
        assert text in cli.try_("info").err
        bridge = cli("network", "inspect", "bridge", "--format", _BRIDGE_NAME).out
        assert f'for b in {bridge}; do iptables -I DOCKER-USER -i "$b" -j ACCEPT; ' in text
        for key in ("iifname", "oifname"):
            _nft(world, f"add rule ip filter DOCKER-USER {key} {bridge} accept")
        with world.outside():
            fetch(HOST, host_port)
        eventually(lambda: not warned(), "no warning", 30)
        assert "\n".join(engine.messages("agent")).count(text.removeprefix("WARNING: ")) == 1
    finally:
        _nft(world, "delete table ip filter")


def _nft(world: World, script: str) -> None:
    with world.inside():
        subprocess.run(["nft", script], check=True)


def test_published_on_loopback_only(cli: DockerCli, world: World) -> None:
    port = free_port()
    cli("run", "-d", "-p", f"127.0.0.1:{port}:80", *SERVE)
    assert fetch("127.0.0.1", port) == "served\n"
    assert refused(HOST, port)
    with world.outside():
        assert refused(HOST, port)


def test_published_on_ipv6(cli: DockerCli, name: str) -> None:
    port = free_port()
    echo = "while :; do nc -lp 80 -e cat; done"
    cli("run", "-d", "--name", name, "-p", f"{port}:80", "busybox", "sh", "-c", echo)
    assert cli("port", name, "80").lines == [f"0.0.0.0:{port}", f"[::]:{port}"]
    sent = b"echo " * 400_000
    for address in ("127.0.0.1", "::1"):
        assert eventually(lambda address=address: echoed(address, port, b"x"), "its answer") == b"x"  # type: ignore[misc]
        assert eventually(lambda address=address: echoed(address, port, sent), "its answer") == sent  # type: ignore[misc]
    cli("rm", "-f", name)
    assert refused("::1", port)
    cli("run", "-d", "-p", f"[::1]:{port}:80", *SERVE)
    assert fetch("[::1]", port) == "served\n"
    assert refused("127.0.0.1", port)


def test_udp_on_ipv6(cli: DockerCli, name: str) -> None:
    port = free_port()
    cli("run", "-d", "--name", name, "-p", f"[::1]:{port}:53/udp", "busybox", "sleep", "60")
    assert cli("port", name).lines == [f"53/udp -> [::1]:{port}"]
    with echoing_datagrams(cli, name):
        assert eventually(lambda: datagram_back("::1", port), "an answer") == b"ask"


def echoed(address: str, port: int, data: bytes) -> bytes:
    """What comes back of what is sent and ended; empty where nobody answers."""
    with contextlib.suppress(OSError), socket.create_connection((address, port), 5) as client:

        def send() -> None:
            with contextlib.suppress(OSError):
                client.sendall(data)
                client.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        try:
            return b"".join(iter(lambda: client.recv(65536), b""))
        finally:
            sender.join()
    return b""


def test_random_host_port(cli: DockerCli, name: str) -> None:
    cli("run", "-d", "--name", name, "-p", "127.0.0.1::80", *SERVE)
    where = cli("port", name, "80").out
    assert where.startswith("127.0.0.1:")
    assert fetch("127.0.0.1", where.partition(":")[2]) == "served\n"


def test_publish_all(cli: DockerCli, name: str) -> None:
    cli("run", "-d", "--name", name, "-P", "--entrypoint", "sleep", "dressed:1", "60")
    assert cli("port", name, "8080/tcp").lines[0].startswith("0.0.0.0:")


def test_udp(cli: DockerCli, name: str) -> None:
    port = free_port()
    cli("run", "-d", "--name", name, "-p", f"127.0.0.1:{port}:53/udp", "busybox", "sleep", "60")
    assert cli("port", name).lines == [f"53/udp -> 127.0.0.1:{port}"]
    assert cli("ps", "--format", "{{.Ports}}").out == f"127.0.0.1:{port}->53/udp"
    with echoing_datagrams(cli, name):
        assert eventually(lambda: datagram_back("127.0.0.1", port), "an answer") == b"ask"


def test_port_in_use_by_another_container(cli: DockerCli, api: Api, name: str) -> None:
    port = free_port()
    cli("run", "-d", "-p", f"{port}:80", *SERVE)
    result = cli.try_("run", "--name", name, "-p", f"{port}:80", *SERVE)
    assert result.code == 125
    assert f"Bind for 0.0.0.0:{port} failed: port is already allocated" in result.err
    assert api.get(f"/containers/{name}/json")["State"]["Status"] == "created"
    cli("rm", name)


def test_port_in_use_by_a_program(cli: DockerCli, name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        result = cli.try_("run", "--name", name, "-p", f"127.0.0.1:{port}:80", *SERVE)
    assert result.code == 125 and "address already in use" in result.err


def test_port_is_free_again_after_stop_and_comes_back_with_start(cli: DockerCli, name: str) -> None:
    port = free_port()
    cli("run", "-d", "--name", name, "-p", f"{port}:80", *SERVE)
    cli("stop", "-t", "0", name)
    other = cli("run", "-d", "-p", f"{port}:80", *SERVE).out
    assert fetch("127.0.0.1", port) == "served\n"
    cli("rm", "-f", other)
    cli("start", name)
    assert fetch("127.0.0.1", port) == "served\n"
