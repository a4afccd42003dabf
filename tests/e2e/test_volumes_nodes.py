"""Volumes with two nodes: each is on one, and its containers with it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e_rig.docker_cli import DockerCli
from e2e_rig.nodes import node_states
from e2e_rig.seaway import Seaway
from e2e_rig.waits import eventually
from test_nodes import NODES, Second, node_of, on_two, second, suite  # noqa: F401 - fixtures

pytestmark = [pytest.mark.seaway_only, pytest.mark.own_engines]
OTHER = {"n1": "n2", "n2": "n1"}


@pytest.fixture
def cli(on_two: DockerCli, suite: Seaway) -> Iterator[DockerCli]:  # noqa: F811
    yield on_two
    suite.api.remove_all()
    suite.api.remove_networks()
    suite.api.remove_volumes()


def on(cli: DockerCli, node: str, name: str) -> str:
    """A volume on that node; its name."""
    return cli("volume", "create", "--opt", f"node={node}", name).out


def mountpoint(cli: DockerCli, name: str) -> str:
    return cli("volume", "inspect", "--format", "{{.Mountpoint}}", name).out


def volumes(cli: DockerCli) -> list[str]:
    return sorted(cli("volume", "ls", "-q").lines)


def test_its_first_container_gives_it_its_node(cli: DockerCli, suite: Seaway, name: str) -> None:  # noqa: F811
    cli("volume", "create", name)
    assert mountpoint(cli, name) == ""
    first = cli("create", "-v", f"{name}:/v", "busybox").out
    node = node_of(suite, first)
    assert f"/{node}/" in mountpoint(cli, name) and Path(mountpoint(cli, name)).is_dir()
    more = {node_of(suite, cli("create", "-v", f"{name}:/v", "busybox").out) for _ in range(6)}
    assert more == {node}


@pytest.mark.parametrize("node", NODES)
def test_its_node_may_be_chosen(cli: DockerCli, suite: Seaway, name: str, node: str) -> None:  # noqa: F811
    on(cli, node, name)
    assert Path(mountpoint(cli, name)).is_dir() and f"/agent/{node}/" in mountpoint(cli, name)
    cli("run", "--rm", "-v", f"{name}:/v", "busybox", "sh", "-c", "echo kept > /v/f")
    assert (Path(mountpoint(cli, name)) / "f").read_text() == "kept\n"
    refused = cli.try_("volume", "create", "--opt", f"node={OTHER[node]}", name)
    assert refused.code == 1 and f"the volume is on node {node} already" in refused.err
    assert on(cli, node, name) == cli("volume", "create", name).out == name
    assert cli("run", "--rm", "-v", f"{name}:/v", "busybox", "cat", "/v/f").out == "kept"


def test_volumes_of_two_nodes_are_not_for_one_container(cli: DockerCli, name: str) -> None:
    for node in NODES:
        on(cli, node, f"{name}-{node}")
    words = ["-v", f"{name}-n1:/a", "-v", f"{name}-n2:/b", "-v", f"{name}-new:/c"]
    refused = cli.try_("create", *words, "busybox")
    assert refused.code == 1
    for node in NODES:
        assert f"{name}-{node} is on node {node}" in refused.err
    assert (volumes(cli), cli("ps", "-aq").out) == ([f"{name}-n1", f"{name}-n2"], "")


def test_a_network_and_a_volume_of_two_nodes(cli: DockerCli, suite: Seaway, name: str) -> None:  # noqa: F811
    cli("network", "create", name)
    node = node_of(suite, cli("create", "--network", name, "busybox").out)
    on(cli, OTHER[node], name)
    refused = cli.try_("create", "--network", name, "-v", f"{name}:/v", "busybox")
    assert refused.code == 1 and f"is on node {node}" in refused.err and f"is on node {OTHER[node]}" in refused.err
    on(cli, node, f"{name}-2")
    assert node_of(suite, cli("create", "--network", name, "-v", f"{name}-2:/v", "busybox").out) == node


def test_volumes_of_all_nodes_are_measured_and_pruned(cli: DockerCli, suite: Seaway, name: str) -> None:  # noqa: F811
    for node in NODES:
        on(cli, node, f"{name}-{node}")
        cli("run", "--rm", "-v", f"{name}-{node}:/v", "busybox", "sh", "-c", "head -c 1000 /dev/zero > /v/f")
    cli("volume", "create", f"{name}-nowhere")
    sizes = {one["Name"]: one["UsageData"]["Size"] for one in suite.api.get("/system/df")["Volumes"]}
    assert sizes == {f"{name}-n1": 1000, f"{name}-n2": 1000, f"{name}-nowhere": 0}
    assert cli("volume", "prune", "-af").lines[-1] == "Total reclaimed space: 2kB"
    assert volumes(cli) == []


def test_of_a_node_that_is_down(cli: DockerCli, suite: Seaway, second: Second, name: str) -> None:  # noqa: F811
    for volume in (f"{name}-1", f"{name}-2"):
        on(cli, "n2", volume)
    places = [Path(mountpoint(cli, f"{name}-{number}")) for number in (1, 2)]
    second.kill()
    eventually(lambda: node_states(cli)["n2"] == "down", "the node to be down", 20)
    assert volumes(cli) == [f"{name}-1", f"{name}-2"]
    usage = [one["UsageData"] for one in suite.api.get("/system/df")["Volumes"]]
    assert usage == [{"RefCount": 0, "Size": -1}] * 2
    refused = cli.try_("volume", "rm", f"{name}-1")
    assert refused.code == 1 and "n2" in refused.err and "down" in refused.err
    assert suite.api.request("DELETE", f"/volumes/{name}-1").status == 503
    assert cli("volume", "rm", "-f", f"{name}-1").out == f"{name}-1"
    assert volumes(cli) == [f"{name}-2"]
    on(cli, "n1", f"{name}-1")
    assert places[0].is_dir()
    second.start()
    eventually(lambda: not places[0].exists(), "the removed volume to go", 20)
    assert places[1].is_dir() and volumes(cli) == [f"{name}-1", f"{name}-2"]
