"""Builds without BuildKit whose steps are in a network of users: `docker build --network NAME`."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from e2e_rig.docker_cli import DockerCli, Result
from e2e_rig.networks import NOWHERE, SLEEP, address, made, run_in
from e2e_rig.seaway import Seaway
from e2e_rig.waits import eventually
from e2e_rig.world import OUTSIDE, World
from test_build import build, context, expect_nothing_left
from test_network import SERVE
from test_networks_life import lan  # noqa: F401 - a fixture

_UNTIL_GO = "until wget -T 1 -qO /dev/null http://{server}/go; do sleep 0.1; done"


@pytest.fixture(autouse=True)
def _no_built_images(cli: DockerCli) -> Any:
    """What a test has built is removed at its end."""
    before = set(cli("images", "-q", "--no-trunc", "-a").lines)
    yield
    for image in set(cli("images", "-q", "--no-trunc", "-a").lines) - before:
        cli.try_("rmi", "--force", image)


def build_in(cli: DockerCli, network: str, where: Path, *steps: str) -> Result:
    """The result of a build whose steps are in the network."""
    text = "".join(f"RUN {step}\n" for step in steps)
    return build(cli, "--no-cache", "--network", network, str(context(where, f"FROM busybox\n{text}")))


@contextmanager
def building(cli: DockerCli, network: str, where: Path, server: str) -> Iterator[Callable[[], Result]]:
    """A build in the network, whose step has begun and waits; what is called has it end."""
    results: list[Result] = []
    begin = f"wget -qO /dev/null http://{server}/cgi-bin/begun; {_UNTIL_GO.format(server=server)}; echo done"
    thread = threading.Thread(target=lambda: results.append(build_in(cli, network, where, begin)))
    thread.start()

    def end() -> Result:
        cli("exec", server, "touch", "/www/go")
        thread.join(60)
        return results[0]

    try:
        eventually(lambda: cli.try_("exec", server, "test", "-e", "/begun").code == 0, "the step", 30)
        yield end
    finally:
        thread.join(60)


def waiting_server(cli: DockerCli, network: str, name: str, *options: str) -> str:
    """The name of a container that says whether a step has begun."""
    script = (
        "mkdir -p /www/cgi-bin; printf '#!/bin/sh\\ntouch /begun\\nprintf \"\\n\"\\n' > /www/cgi-bin/begun; "
        "chmod +x /www/cgi-bin/begun; exec httpd -f -p 80 -h /www"
    )
    run_in(cli, network, name, *options, "busybox", "sh", "-c", script)
    return name


def test_steps_reach_containers_by_name_and_by_address(cli: DockerCli, tmp_path: Path, name: str) -> None:
    made(cli, name, "--subnet", "10.92.0.0/24")
    run_in(cli, name, f"{name}-web", "--network-alias", "alias", *SERVE)
    own = address(cli, f"{name}-web", name)
    asked = [f"wget -T 5 -qO - http://{host}/" for host in (own, f"{name}-web", "alias")]
    built = build_in(cli, name, tmp_path, "ip -4 -o addr show eth0; grep -c 10.92 /etc/hosts", *asked)
    assert built.code == 0 and built.out.count("served") >= 3, built.out + built.err
    assert "inet 10.92.0." in built.out and f"inet {own}/" not in built.out
    cli("rm", "-f", f"{name}-web")
    cli("network", "rm", name)


def test_an_address_is_not_given_twice(cli: DockerCli, tmp_path: Path, name: str) -> None:
    """Of five, one is the server's and one is the build's, until that has ended."""
    made(cli, name, "--subnet", "10.92.1.0/29")
    server = waiting_server(cli, name, f"{name}-s")
    with building(cli, name, tmp_path, server) as end:
        refused = cli.try_("network", "rm", name)
        assert refused.code == 1 and "has active endpoints" in refused.err
        given = {address(cli, run_in(cli, name, f"{name}-{at}", *SLEEP), name) for at in range(3)}
        assert len(given) == 3
        full = cli.try_("run", "--rm", "--network", name, "--dns", NOWHERE, "busybox", "true")
        assert full.code == 125 and "no available IPv4 addresses" in full.err, full.err
        done = end()
        assert done.code == 0 and "done" in done.out, done.out + done.err
    cli("run", "--rm", "--network", name, "--dns", NOWHERE, "busybox", "true")


def test_what_can_not_be_joined(cli: DockerCli, tmp_path: Path, name: str) -> None:
    missing = build_in(cli, f"{name}-none", tmp_path, "true")
    assert missing.code == 1 and f"network {name}-none not found" in missing.err
    made(cli, f"{name}-cfg", "--config-only")
    config = build_in(cli, f"{name}-cfg", tmp_path, "true")
    assert config.code == 1 and "cannot create endpoint on configuration-only network" in config.err


def test_an_internal_network_has_no_way_out(cli: DockerCli, tmp_path: Path, name: str) -> None:
    made(cli, name, "--internal", "--ipv6", "--subnet", "fd00:92::/64")
    run_in(cli, name, f"{name}-web", *SERVE)
    own = address(cli, f"{name}-web", name, "GlobalIPv6Address")
    steps = (f"ping -6 -c 1 -W 5 {own}", "ip route | grep -c default || echo no way out")
    built = build_in(cli, name, tmp_path, *steps)
    assert built.code == 0 and "no way out" in built.out.splitlines(), built.out + built.err


def test_macvlan(cli: DockerCli, world: World, tmp_path: Path, name: str, lan: str) -> None:  # noqa: F811
    made(cli, name, "-d", "macvlan", "-o", f"parent={lan}", "--subnet", "10.77.0.0/24", "--gateway", "10.77.0.2")
    built = build_in(cli, name, tmp_path, f"ping -c 1 -W 5 {OUTSIDE}")
    assert built.code == 0, built.out + built.err


@pytest.mark.seaway_only
@pytest.mark.parametrize("service", ["agent", "metadata", "api"])
def test_a_death_leaves_the_network_and_its_address_free(
    cli: DockerCli, engine: Seaway, tmp_path: Path, name: str, service: str
) -> None:
    """Of two addresses one is the server's. Builds go on without metadata; without the API a lease lapses."""
    made(cli, name, "--subnet", "10.92.2.0/29", "--ip-range", "10.92.2.0/30")
    server = waiting_server(cli, name, f"{name}-s")
    with building(cli, name, tmp_path, server) as end:
        old = int(engine.row(service)["pid"])
        os.kill(old, signal.SIGKILL)
        engine.restarted(service, old)
        assert (end().code == 0) == (service == "metadata")
    expect_nothing_left(engine)
    words = ("run", "--rm", "--network", name, "--dns", NOWHERE, "busybox", "true")
    eventually(lambda: cli.try_(*words).code == 0, "the address to be free", 60)
    cli("rm", "-f", server)
    cli("network", "rm", name)
