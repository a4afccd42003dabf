"""Networks of users: names, isolation, several networks, connect and disconnect."""

import socket
import subprocess
import threading
from collections.abc import Iterator

import dns.message
import dns.rrset
import pytest
from e2e_rig.api import Api
from e2e_rig.docker_cli import DockerCli
from e2e_rig.networks import SLEEP, address, looked_up, made, reaches, run_in
from e2e_rig.waits import eventually
from e2e_rig.world import HOST, OUTSIDE, World
from test_network import SERVE, fetch, refused

from seaway_testing.ports import free_port

_FOUND_OUTSIDE = "192.0.2.7"


@pytest.fixture
def nameserver(world: World) -> Iterator[str]:
    """The address of one on the other machine, which answers each question with the same address."""
    with world.outside():
        server = socket.socket(type=socket.SOCK_DGRAM)
        server.bind((OUTSIDE, 53))
    thread = threading.Thread(target=_answer, args=(server,))
    thread.start()
    yield OUTSIDE
    server.sendto(b"", server.getsockname())
    thread.join()
    server.close()


def _answer(server: socket.socket) -> None:
    """Until an empty datagram comes."""
    while True:
        data, client = server.recvfrom(4096)
        if not data:
            return
        reply = dns.message.make_response(dns.message.from_wire(data))
        question = reply.question[0]
        if question.rdtype == dns.rdatatype.A:
            reply.answer = [dns.rrset.from_text(question.name, 60, "IN", "A", _FOUND_OUTSIDE)]
        server.sendto(reply.to_wire(), client)


# --- names


def test_found_by_name_alias_id_and_host_name(cli: DockerCli, name: str) -> None:
    made(cli, name)
    web = run_in(cli, name, f"{name}-web", "--network-alias", "front", "-h", "shop", *SERVE)
    run_in(cli, name, f"{name}-ask", *SLEEP)
    own = address(cli, web, name)
    names = (f"{name}-web", "front", web[:12], "shop")
    assert looked_up(cli, f"{name}-ask", *names) == {one: {own} for one in names}
    assert looked_up(cli, f"{name}-ask", own)[own] == {f"{name}-web.{name}"}
    eventually(lambda: reaches(cli, f"{name}-ask", "front"), "the server")
    assert cli("exec", f"{name}-ask", "cat", "/etc/resolv.conf").out.count("nameserver 127.0.0.11") == 1


def test_an_alias_of_several(cli: DockerCli, name: str) -> None:
    made(cli, name)
    for number in range(3):
        run_in(cli, name, f"{name}-{number}", "--network-alias", "all", *SLEEP)
    where = [address(cli, f"{name}-{number}", name) for number in range(3)]
    assert looked_up(cli, f"{name}-0", "all")["all"] == set(where)
    cli("stop", "-t", "0", f"{name}-2")
    assert looked_up(cli, f"{name}-0", "all", f"{name}-2") == {"all": set(where[:2]), f"{name}-2": set()}


def test_a_link_is_a_name_for_one_container_alone(cli: DockerCli, name: str) -> None:
    made(cli, name)
    db = run_in(cli, name, f"{name}-db", *SLEEP)
    run_in(cli, name, f"{name}-a", "--link", f"{name}-db:store", *SLEEP)
    run_in(cli, name, f"{name}-b", *SLEEP)
    assert looked_up(cli, f"{name}-a", "store")["store"] == {address(cli, db, name)}
    assert looked_up(cli, f"{name}-b", "store")["store"] == set()


def test_other_names_are_asked_of_the_container_s_nameserver(cli: DockerCli, name: str, nameserver: str) -> None:
    made(cli, name)
    run_in(cli, name, name, "--dns-search", "corp.test", *SLEEP, dns=nameserver)
    assert looked_up(cli, name, "far.example")["far.example"] == {_FOUND_OUTSIDE}
    text = cli("exec", name, "cat", "/etc/resolv.conf").out
    assert "nameserver 127.0.0.11" in text and "search corp.test" in text


def test_an_internal_network_asks_nobody_outside(cli: DockerCli, name: str, nameserver: str) -> None:
    made(cli, name, "--internal")
    run_in(cli, name, name, *SLEEP, dns=nameserver)
    assert looked_up(cli, name, "far.example", name) == {"far.example": set(), name: {address(cli, name, name)}}


# --- isolation


def test_two_networks_have_no_traffic(cli: DockerCli, name: str) -> None:
    made(cli, f"{name}-1"), made(cli, f"{name}-2")
    web = run_in(cli, f"{name}-1", f"{name}-web", *SERVE)
    run_in(cli, f"{name}-1", f"{name}-near", *SLEEP)
    run_in(cli, f"{name}-2", f"{name}-far", *SLEEP)
    where = address(cli, web, f"{name}-1")
    eventually(lambda: reaches(cli, f"{name}-near", where), "the server")
    assert not reaches(cli, f"{name}-far", where)
    assert looked_up(cli, f"{name}-far", f"{name}-web")[f"{name}-web"] == set()
    assert cli.try_("run", "--rm", "busybox", "ping", "-c1", "-W1", where).code == 1, "nor from the default bridge"


def test_an_internal_network_leads_nowhere(cli: DockerCli, world: World, name: str) -> None:
    made(cli, name, "--internal", "--subnet", "10.91.0.0/24")
    port = free_port()
    run_in(cli, name, f"{name}-web", "-p", f"{port}:80", *SERVE)
    run_in(cli, name, f"{name}-ask", *SLEEP)
    eventually(lambda: reaches(cli, f"{name}-ask", f"{name}-web"), "the server")
    assert "default" not in cli("exec", f"{name}-ask", "ip", "route").out
    assert cli.try_("exec", f"{name}-ask", "ping", "-c1", "-W1", OUTSIDE).code == 1
    where = address(cli, f"{name}-web", name)
    with world.outside():
        subprocess.run(["ip", "route", "add", "10.91.0.0/24", "via", HOST], check=True)
        try:
            assert refused(HOST, port) and refused(where, 80)
        finally:
            subprocess.run(["ip", "route", "del", "10.91.0.0/24"], check=True)
    assert cli("port", f"{name}-web").lines == []


# --- connect and disconnect


def test_connect_and_disconnect_of_a_running_container(cli: DockerCli, name: str) -> None:
    made(cli, f"{name}-1"), made(cli, f"{name}-2")
    run_in(cli, f"{name}-2", f"{name}-web", *SERVE)
    moving = run_in(cli, f"{name}-1", f"{name}-c", *SLEEP)
    cli("network", "connect", "--alias", "guest", f"{name}-2", moving)
    own = address(cli, moving, f"{name}-2")
    assert f"{own}\t{moving[:12]}" in cli("exec", moving, "cat", "/etc/hosts").out
    eventually(lambda: reaches(cli, moving, f"{name}-web"), "the server")
    assert looked_up(cli, f"{name}-web", "guest")["guest"] == {own}
    cli("network", "disconnect", f"{name}-2", moving)
    assert own not in cli("exec", moving, "cat", "/etc/hosts").out
    assert looked_up(cli, moving, f"{name}-web")[f"{name}-web"] == set()
    assert looked_up(cli, f"{name}-web", "guest")["guest"] == set()
    assert cli("exec", moving, "ls", "/sys/class/net").lines == ["eth0", "lo"]


def test_from_the_default_bridge_to_a_network_and_back(cli: DockerCli, name: str) -> None:
    made(cli, name)
    web = run_in(cli, name, f"{name}-web", *SLEEP)
    run_in(cli, "bridge", name, *SLEEP)
    cli("network", "connect", name, name)
    cli("network", "disconnect", "bridge", name)
    assert looked_up(cli, name, f"{name}-web")[f"{name}-web"] == {address(cli, web, name)}
    cli("network", "connect", "bridge", name)
    cli("network", "disconnect", name, name)
    assert looked_up(cli, name, f"{name}-web")[f"{name}-web"] == set()
    assert cli("exec", name, "ping", "-c1", "-W2", OUTSIDE).code == 0


def test_connect_before_the_start(cli: DockerCli, name: str) -> None:
    made(cli, f"{name}-1"), made(cli, f"{name}-2", "--subnet", "10.92.0.0/24")
    cli("create", "--name", name, "--network", f"{name}-1", *SLEEP)
    cli("network", "connect", "--ip", "10.92.0.77", f"{name}-2", name)
    cli("start", name)
    assert "inet 10.92.0.77/24 " in cli("exec", name, "ip", "addr", "show", "eth1").out


# --- what a container asks for


def test_addresses_that_were_asked_for(cli: DockerCli, name: str) -> None:
    made(cli, name, "--ipv6", "--subnet", "10.93.0.0/24", "--subnet", "fd00:93::/64")
    chosen = ("--ip", "10.93.0.77", "--ip6", "fd00:93::77", "--mac-address", "02:00:00:00:00:77")
    run_in(cli, name, f"{name}-a", *chosen, *SLEEP)
    shown = cli("exec", f"{name}-a", "ip", "addr", "show", "eth0").out
    for part in ("link/ether 02:00:00:00:00:77 ", "inet 10.93.0.77/24 ", "inet6 fd00:93::77/64 "):
        assert part in shown
    run_in(cli, name, f"{name}-b", *SLEEP)
    assert looked_up(cli, f"{name}-b", f"{name}-a")[f"{name}-a"] == {"10.93.0.77", "fd00:93::77"}
    assert looked_up(cli, f"{name}-b", "fd00:93::77")["fd00:93::77"] == {f"{name}-a.{name}"}
    assert cli("exec", f"{name}-b", "ping", "-6", "-c1", "-W2", f"{name}-a").code == 0


def test_the_smallest_network_has_one_container(cli: DockerCli, name: str) -> None:
    made(cli, name, "--subnet", "10.93.0.0/31")
    port = free_port()
    run_in(cli, name, name, "-p", f"{port}:80", *SERVE)
    assert "inet 10.93.0.1/31 " in cli("exec", name, "ip", "addr", "show", "eth0").out
    assert fetch("10.93.0.1", 80) == fetch(HOST, port) == "served\n"
    assert cli("exec", name, "ping", "-c1", "-W2", OUTSIDE).code == 0


@pytest.mark.seaway_only  # Docker has it since 28.0
def test_the_way_out_is_through_the_network_of_the_highest_priority(cli: DockerCli, api: Api, name: str) -> None:
    for number in (1, 2, 3):
        made(cli, f"{name}-{number}", "--subnet", f"10.9{number}.0.0/24")
    endpoints = {f"{name}-1": {}, f"{name}-2": {"GwPriority": 5}}
    body = {"Image": "busybox", "Cmd": ["sleep", "600"], "HostConfig": {"NetworkMode": f"{name}-1"}}
    reply = api.request(
        "POST", f"/v1.48/containers/create?name={name}", body | {"NetworkingConfig": {"EndpointsConfig": endpoints}}
    )
    assert reply.status == 201, reply
    cli("start", name)
    assert way_out(cli, name) == "10.92.0.1"
    more = {"Container": name, "EndpointConfig": {"GwPriority": 9}}
    assert api.request("POST", f"/v1.48/networks/{name}-3/connect", more).status == 200
    assert way_out(cli, name) == "10.93.0.1"
    cli("network", "disconnect", f"{name}-3", name)
    assert way_out(cli, name) == "10.92.0.1"
    shown = api.get(f"/v1.48/containers/{name}/json")["NetworkSettings"]["Networks"]
    assert {network: one["GwPriority"] for network, one in shown.items()} == {f"{name}-1": 0, f"{name}-2": 5}


def way_out(cli: DockerCli, container: str) -> str:
    """The gateway of the default route."""
    line = next(line for line in cli("exec", container, "ip", "route").lines if line.startswith("default via "))
    return line.split()[2]
