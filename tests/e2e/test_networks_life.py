"""The life of networks of users and their containers: restarts, names, removal, and services that are killed."""

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest
from e2e_rig.api import Api
from e2e_rig.docker_cli import DockerCli
from e2e_rig.networks import SLEEP, address, looked_up, made, reaches, run_in
from e2e_rig.seaway import Seaway
from e2e_rig.waits import eventually
from e2e_rig.world import HOST, OUTSIDE, World
from test_failures import kill, suite  # noqa: F401 - a fixture
from test_network import SERVE, fetch

from seaway_testing.ports import free_port

_TELL_RUN = "mkdir /www; cat /proc/sys/kernel/random/uuid > /www/index.html; exec httpd -f -p 80 -h /www"
_ASK = "while :; do if wget -T 2 -qO /dev/null http://$0/; then echo ok; else echo bad; fi; sleep 0.1; done"


# --- addresses


def test_restart_keeps_address_and_names(cli: DockerCli, name: str) -> None:
    made(cli, name)
    own = address(cli, run_in(cli, name, f"{name}-a", *SLEEP), name)
    run_in(cli, name, f"{name}-b", *SLEEP)
    cli("restart", "-t", "0", f"{name}-a")
    assert address(cli, f"{name}-a", name) == own
    assert looked_up(cli, f"{name}-b", f"{name}-a")[f"{name}-a"] == {own}


@pytest.mark.seaway_only  # Docker gives it to another one
def test_a_stopped_container_keeps_its_address(cli: DockerCli, name: str) -> None:
    made(cli, name, "--subnet", "10.91.0.0/24")
    own = address(cli, run_in(cli, name, f"{name}-a", *SLEEP), name)
    cli("stop", "-t", "0", f"{name}-a")
    assert address(cli, run_in(cli, name, f"{name}-b", *SLEEP), name) != own
    result = cli.try_("run", "-d", "--network", name, "--name", f"{name}-c", "--ip", own, *SLEEP)
    assert result.code == 125 and "Address already in use" in result.err
    cli("start", f"{name}-a")
    assert address(cli, f"{name}-a", name) == own
    result = cli.try_("run", "--rm", "--network", name, "--name", f"{name}-d", "--ip", own, *SLEEP)
    assert result.code == 125 and "Address already in use" in result.err
    assert cli("ps", "-aq", "--filter", f"name={name}-d").lines == []
    cli("rm", "-f", f"{name}-a")
    cli("start", f"{name}-c")
    assert address(cli, f"{name}-c", name) == own


def test_renamed_containers_are_found_by_the_new_name(cli: DockerCli, name: str) -> None:
    made(cli, name)
    own = address(cli, run_in(cli, name, f"{name}-old", *SLEEP), name)
    run_in(cli, name, f"{name}-ask", *SLEEP)
    cli("rename", f"{name}-old", f"{name}-new")
    found = looked_up(cli, f"{name}-ask", f"{name}-old", f"{name}-new", own)
    assert found == {f"{name}-old": set(), f"{name}-new": {own}, own: {f"{name}-new.{name}"}}


def test_who_shares_a_network_is_without_when_it_is_left(cli: DockerCli, name: str) -> None:
    made(cli, name)
    own = address(cli, run_in(cli, name, f"{name}-a", *SERVE), name)
    cli("run", "-d", "--name", f"{name}-guest", "--network", f"container:{name}-a", *SLEEP)
    run_in(cli, name, f"{name}-ask", *SLEEP)
    eventually(lambda: reaches(cli, f"{name}-guest", own), "the server in its own network")
    cli("restart", "-t", "0", f"{name}-a")
    assert cli("exec", f"{name}-guest", "ls", "/sys/class/net").lines == ["lo"]
    eventually(lambda: reaches(cli, f"{name}-ask", own), "the server: nobody else has its address")
    cli("restart", "-t", "0", f"{name}-guest")
    assert reaches(cli, f"{name}-guest", own)


# --- removal


def test_a_network_in_use_is_not_removed(cli: DockerCli, api: Api, name: str) -> None:
    network = cli("network", "create", name).out
    container = run_in(cli, name, f"{name}-c", *SLEEP)
    reply = api.request("DELETE", f"/networks/{name}")
    assert reply.status == 403
    assert reply.message == f"error while removing network: network {name} id {network} has active endpoints"
    assert cli("network", "ls", "-q", "--no-trunc", "--filter", f"name={name}").lines == [network]
    assert looked_up(cli, container, f"{name}-c")[f"{name}-c"] == {address(cli, container, name)}
    cli("network", "disconnect", name, container)
    cli("network", "rm", name)
    assert api.request("GET", f"/networks/{network}").status == 404


def test_prune_leaves_what_is_used(cli: DockerCli, name: str) -> None:
    for network in (f"{name}-1", f"{name}-2"):
        made(cli, network, "--label", name)
    run_in(cli, f"{name}-1", name, *SLEEP)
    assert cli("network", "prune", "-f", "--filter", f"label={name}").lines == ["Deleted Networks:", f"{name}-2"]
    assert cli("network", "ls", "--filter", f"label={name}", "--format", "{{.Name}}").lines == [f"{name}-1"]


@pytest.mark.seaway_only  # Docker looks at the network mode, even after the disconnect
def test_the_start_after_its_network_was_removed_says_so(cli: DockerCli, name: str) -> None:
    made(cli, name)
    run_in(cli, name, f"{name}-c", *SLEEP)
    cli("stop", "-t", "0", f"{name}-c")
    cli("network", "rm", name)
    result = cli.try_("start", f"{name}-c")
    assert result.code == 1 and "network" in result.err and "not found" in result.err
    made(cli, f"{name}-2")
    cli("network", "connect", f"{name}-2", f"{name}-c")
    cli("network", "disconnect", "-f", name, f"{name}-c")
    cli("start", f"{name}-c")
    assert address(cli, f"{name}-c", f"{name}-2")


# --- what is shown


def test_shown_by_inspect_and_ps(cli: DockerCli, api: Api, name: str) -> None:
    network = cli("network", "create", "--subnet", "10.91.0.0/24", "--label", "own=1", name).out
    container = run_in(cli, name, f"{name}-c", *SLEEP)
    run_in(cli, "bridge", f"{name}-d", *SLEEP)
    for term in (name, network, network[:12]):
        assert cli("ps", "-q", "--no-trunc", "--filter", f"network={term}").lines == [container]
    assert cli("ps", "--filter", f"id={container}", "--format", "{{.Networks}}").out == name
    endpoint = api.get(f"/containers/{container}/json")["NetworkSettings"]["Networks"][name]
    assert (endpoint["NetworkID"], endpoint["Gateway"], endpoint["IPPrefixLen"]) == (network, "10.91.0.1", 24)
    shown = api.get(f"/networks/{name}")["Containers"]
    assert {one: (held["Name"], held["IPv4Address"]) for one, held in shown.items()} == {
        container: (f"{name}-c", f"{endpoint['IPAddress']}/24")
    }


def test_of_a_configuration_network(cli: DockerCli, name: str) -> None:
    made(cli, f"{name}-cfg", "--config-only", "--subnet", "10.91.0.0/24", "-o", "com.docker.network.driver.mtu=1400")
    made(cli, name, "--config-from", f"{name}-cfg")
    run_in(cli, name, f"{name}-c", *SLEEP)
    assert address(cli, f"{name}-c", name) == "10.91.0.2"
    assert " mtu 1400 " in cli("exec", f"{name}-c", "ip", "link", "show", "eth0").out
    result = cli.try_("network", "rm", f"{name}-cfg")
    assert result.code == 1 and f'configuration network "{name}-cfg" is in use' in result.err
    result = cli.try_("run", "--rm", "--network", f"{name}-cfg", "busybox", "true")
    assert result.code == 125 and "cannot create endpoint on configuration-only network" in result.err


# --- macvlan


@pytest.fixture
def lan(world: World) -> Iterator[str]:
    """The link of the machine that leads to the other one, which has an address of the containers' subnet."""
    words = ["10.77.0.2/24", "dev", "home0"]
    with world.outside():
        subprocess.run(["ip", "addr", "add", *words], check=True)
    yield "world0"
    with world.outside():
        subprocess.run(["ip", "addr", "del", *words], check=True)


def test_macvlan_is_in_the_segment_of_its_parent(cli: DockerCli, world: World, name: str, lan: str) -> None:
    made(cli, name, "-d", "macvlan", "-o", f"parent={lan}", "--subnet", "10.77.0.0/24", "--gateway", "10.77.0.2")
    run_in(cli, name, f"{name}-a", "--ip", "10.77.0.20", *SERVE)
    run_in(cli, name, f"{name}-b", *SLEEP)
    with world.outside():
        assert fetch("10.77.0.20", 80) == "served\n"
    eventually(lambda: reaches(cli, f"{name}-b", f"{name}-a"), "the other container")
    assert cli("exec", f"{name}-b", "ping", "-c1", "-W2", OUTSIDE).code == 0, "through the gateway"


# --- services that are away


@pytest.mark.seaway_only
def test_traffic_goes_on_while_the_agent_is_killed(suite: Seaway, cli: DockerCli, world: World, name: str) -> None:  # noqa: F811
    port = free_port()
    made(cli, name)
    run_in(cli, name, f"{name}-web", "--network-alias", "web", "-p", f"{port}:80", *SERVE)
    own = address(cli, f"{name}-web", name)
    run_in(cli, name, f"{name}-ask", "busybox", "sh", "-c", _ASK, "web")
    eventually(lambda: "ok" in cli("logs", f"{name}-ask").lines, "the first answer")
    before = len(cli("logs", f"{name}-ask").lines)
    kill(suite, "agent")
    with world.outside():
        assert fetch(HOST, port) == "served\n"
    assert looked_up(cli, f"{name}-ask", "web", f"{name}-web") == {"web": {own}, f"{name}-web": {own}}
    run_in(cli, name, f"{name}-new", *SLEEP)
    new = address(cli, f"{name}-new", name)
    assert looked_up(cli, f"{name}-ask", f"{name}-new")[f"{name}-new"] == {new}
    said = eventually(lambda: cli("logs", f"{name}-ask").lines[before + 5 :], "more answers")
    assert set(said) == {"ok"}, "names were answered all the time"


@pytest.mark.seaway_only
def test_restart_policy_while_the_bus_is_away(suite: Seaway, cli: DockerCli, name: str) -> None:  # noqa: F811
    port = free_port()
    made(cli, name)
    run_in(cli, name, name, "--restart", "always", "-p", f"{port}:80", "busybox", "sh", "-c", _TELL_RUN)
    run_in(cli, name, f"{name}-ask", "busybox", "sh", "-c", _ASK, name)
    first, own = fetch("127.0.0.1", port), address(cli, name, name)
    pid = int(cli("inspect", name, "--format", "{{.State.Pid}}").out)
    bus = int(suite.row("nats")["pid"])
    os.kill(bus, signal.SIGSTOP)
    try:
        os.kill(pid, signal.SIGKILL)
        assert eventually(lambda: fetch("127.0.0.1", port) != first, "the next run")
    finally:
        os.kill(bus, signal.SIGCONT)
    eventually(lambda: int(cli("inspect", name, "--format", "{{.State.Pid}}").out) not in (0, pid), "the next process")
    assert (address(cli, name, name), looked_up(cli, f"{name}-ask", name)[name]) == (own, {own})


@pytest.mark.seaway_only
def test_everything_stops_and_starts(suite: Seaway, cli: DockerCli, name: str) -> None:  # noqa: F811
    port = free_port()
    made(cli, name)
    run_in(cli, name, f"{name}-web", "-p", f"{port}:80", *SERVE)
    cli("run", "-d", "--name", f"{name}-guest", "--network", f"container:{name}-web", *SLEEP)
    run_in(cli, name, f"{name}-ask", *SLEEP)
    own = address(cli, f"{name}-web", name)
    suite.stop()
    assert fetch("127.0.0.1", port) == "served\n"
    suite.start()
    assert fetch("[::1]", port) == "served\n"
    assert looked_up(cli, f"{name}-ask", f"{name}-web")[f"{name}-web"] == {own}
    cli("restart", "-t", "0", f"{name}-web")
    assert cli("exec", f"{name}-guest", "ls", "/sys/class/net").lines == ["lo"]
    eventually(lambda: reaches(cli, f"{name}-ask", f"{name}-web"), "the server")
