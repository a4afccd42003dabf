"""Builds in networks of users with two nodes: each goes to the node of its network."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e_rig.docker_cli import DockerCli
from e2e_rig.networks import made, run_in
from e2e_rig.seaway import Seaway
from test_build import build, context
from test_network import SERVE
from test_nodes import NODES, Second, node_of, on_two, second, suite  # noqa: F401 - fixtures

pytestmark = [pytest.mark.seaway_only, pytest.mark.own_engines]


@pytest.fixture
def cli(on_two: DockerCli, suite: Seaway) -> Iterator[DockerCli]:  # noqa: F811
    before = set(on_two("images", "-q", "--no-trunc", "-a").lines)
    yield on_two
    suite.api.remove_all()
    suite.api.remove_networks()
    for image in set(on_two("images", "-q", "--no-trunc", "-a").lines) - before:
        on_two.try_("rmi", "--force", image)


@pytest.mark.parametrize("node", NODES)
def test_a_build_goes_to_the_node_of_its_network(
    cli: DockerCli,
    suite: Seaway,  # noqa: F811
    tmp_path: Path,
    name: str,
    node: str,
) -> None:
    made(cli, name)
    server = run_in(cli, name, f"{name}-web", "-e", f"constraint:node=={node}", *SERVE)
    assert node_of(suite, server) == node
    where = str(context(tmp_path, f"FROM busybox\nRUN wget -T 5 -qO - http://{name}-web/\n"))
    built = build(cli, "--no-cache", "--network", name, where)
    assert built.code == 0 and "served" in built.out, built.out + built.err
    cli("rm", "-f", f"{name}-web")
    cli("network", "rm", name)


def test_a_network_without_containers_comes_to_the_builder(cli: DockerCli, tmp_path: Path, name: str) -> None:
    """And is free for another node's container after that."""
    made(cli, name)
    for _ in range(2):
        built = build(cli, "--no-cache", "--network", name, str(context(tmp_path, "FROM busybox\nRUN true\n")))
        assert built.code == 0, built.out + built.err
    for node in NODES:
        cli("run", "--rm", "--network", name, "-e", f"constraint:node=={node}", "busybox", "true")
        cli("network", "rm", name)
        made(cli, name)
