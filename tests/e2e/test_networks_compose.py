"""`docker compose` with networks of users: up, scale, names, ports, restart, down."""

from collections.abc import Callable, Iterator

import pytest
from e2e_rig.api import Api
from e2e_rig.docker_cli import DockerCli, Result
from e2e_rig.networks import address, looked_up, reaches
from e2e_rig.waits import eventually
from e2e_rig.world import OUTSIDE
from test_network import SERVE, fetch

from seaway_testing.ports import free_port

_FILE = f"""
services:
  web:
    image: busybox
    command: {list(SERVE[1:])}
    networks: {{front: {{aliases: [shop]}}, back: {{}}}}
    stop_signal: SIGKILL
  entry:
    image: busybox
    command: {list(SERVE[1:])}
    ports: ["127.0.0.1:PORT:80"]
    networks: {{front: {{ipv4_address: 10.91.0.77}}}}
    dns: 127.0.0.1
    stop_signal: SIGKILL
  db:
    image: busybox
    command: [sleep, "600"]
    networks: [back]
    dns: 127.0.0.1
    depends_on: [web]
    stop_signal: SIGKILL
networks:
  front: {{ipam: {{config: [{{subnet: 10.91.0.0/24}}]}}}}
  back: {{internal: true}}
"""
Compose = Callable[..., Result]


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def compose(cli: DockerCli, name: str, port: int) -> Iterator[Compose]:
    """`docker compose …` in a project of the test's name."""
    text = _FILE.replace("PORT", str(port))

    def run(*words: str) -> Result:
        return cli("compose", "-p", name, "-f", "-", *words, input=text)

    yield run
    run("down", "-t", "0")


def test_up_scale_and_down(cli: DockerCli, api: Api, compose: Compose, name: str, port: int) -> None:
    compose("up", "-d")
    assert sorted(compose("ps", "--services").lines) == ["db", "entry", "web"]
    assert fetch("127.0.0.1", port) == "served\n"
    eventually(lambda: reaches(cli, f"{name}-db-1", "web"), "the service by its name")
    assert looked_up(cli, f"{name}-entry-1", "entry")["entry"] == {"10.91.0.77"}
    assert looked_up(cli, f"{name}-db-1", "entry")["entry"] == set(), "it is in another network"
    assert cli.try_("exec", f"{name}-db-1", "ping", "-c1", "-W1", OUTSIDE).code == 1
    compose("up", "-d", "--scale", "web=3")
    assert len(looked_up(cli, f"{name}-db-1", "web")["web"]) == 3
    assert len(looked_up(cli, f"{name}-entry-1", "shop")["shop"]) == 3
    compose("restart", "-t", "0", "web")
    eventually(lambda: len(looked_up(cli, f"{name}-db-1", "web")["web"]) == 3, "all of the service")
    compose("up", "-d")
    assert len(looked_up(cli, f"{name}-db-1", "web")["web"]) == 1
    compose("down", "-t", "0")
    assert api.containers() == []
    assert [one["Name"] for one in api.get("/networks") if one["Name"].startswith(name)] == []


def test_a_service_is_made_again(cli: DockerCli, compose: Compose, name: str) -> None:
    compose("up", "-d")
    before = cli("inspect", f"{name}-web-1", "--format", "{{.Id}}").out
    compose("up", "-d", "--force-recreate", "--no-deps", "web")
    after = cli("inspect", f"{name}-web-1", "--format", "{{.Id}}").out
    assert after != before
    assert looked_up(cli, f"{name}-db-1", "web", before[:12], after[:12]) == {
        "web": {address(cli, after, f"{name}_back")},
        before[:12]: set(),
        after[:12]: {address(cli, after, f"{name}_back")},
    }
    eventually(lambda: reaches(cli, f"{name}-entry-1", "shop"), "the new one by its alias")
