"""Seaway's own builder on a node that goes down: builds say so at once, and go on when it is back or removed."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e_rig.buildkit_fixtures import OWN_BUILDER, client_of_own_builder, context, suite_with_own_builder
from e2e_rig.docker_cli import DockerCli
from e2e_rig.nodes import node_states
from e2e_rig.seaway import Seaway, seaway
from e2e_rig.waits import eventually
from test_nodes import Second

pytestmark = [pytest.mark.seaway_only, pytest.mark.own_engines]
BUILD_S = 90


@pytest.fixture(scope="module")
def suite(e2e_directory: Path) -> Iterator[Seaway]:
    with suite_with_own_builder(e2e_directory / "bknodes") as one:
        yield one


@pytest.fixture(scope="module")
def second(suite: Seaway, e2e_directory: Path) -> Iterator[Second]:
    place = Path(tempfile.mkdtemp(prefix="bk2-", dir=e2e_directory))
    made = Second(suite, place)
    made.start()
    yield made
    made.stop()
    assert seaway("purge", "--root", f"{place}/root", "--run", f"{place}/run").returncode == 0


@pytest.fixture(scope="module")
def cli(suite: Seaway, second: Second, e2e_directory: Path) -> DockerCli:
    """The builder will be on n2, as its volume is."""
    one = client_of_own_builder(suite, e2e_directory / "bknodescli")
    eventually(lambda: node_states(one) == {"n1": "up", "n2": "up"}, "both nodes", 20)
    one("volume", "create", "--opt", "node=n2", OWN_BUILDER)
    return one


def builder_node(suite: Seaway) -> str:
    return str(suite.api.get(f"/containers/{OWN_BUILDER}/json")["Node"]["Name"])


def test_on_a_node_that_goes_down(suite: Seaway, cli: DockerCli, second: Second, tmp_path: Path) -> None:
    where = context(tmp_path, "FROM busybox\nRUN echo n2 > /n\n")
    cli("build", "-t", "first", where, timeout=BUILD_S)
    assert builder_node(suite) == "n2"
    second.kill()
    eventually(lambda: node_states(cli)["n2"] == "down", "the node to be down", 20)
    refused = cli.try_("build", "-t", "second", where, timeout=BUILD_S)
    assert refused.code != 0 and "is on node n2, which is down" in refused.err, refused.err
    second.start()
    eventually(lambda: node_states(cli)["n2"] == "up", "the node to be up", 20)
    cli("build", "-t", "third", where, timeout=BUILD_S)
    assert builder_node(suite) == "n2"


def test_on_a_node_that_does_not_come_back(suite: Seaway, cli: DockerCli, second: Second, tmp_path: Path) -> None:
    second.kill()
    eventually(lambda: node_states(cli)["n2"] == "down", "the node to be down", 20)
    removed = seaway("node", "rm", "n2", "--force", "--root", str(suite.root), "--run", str(suite.run))
    assert removed.returncode == 0, removed.stderr
    done = cli.try_("build", "-t", "new", context(tmp_path, "FROM busybox\nRUN echo n1 > /n\n"), timeout=BUILD_S)
    assert done.code == 0, done.err
    assert builder_node(suite) == "n1"
    assert cli("run", "--rm", "new", "cat", "/n").out == "n1"
