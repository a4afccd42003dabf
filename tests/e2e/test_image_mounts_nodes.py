"""Mounts of images on a node that has joined, in the lab: layers come there with the container, and stay with it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from deploy.lab import Lab
from e2e_rig import images
from e2e_rig.api import Api
from e2e_rig.docker_cli import DockerCli
from e2e_rig.nodes import node_states
from e2e_rig.waits import eventually
from test_image_mounts import body, layer

pytestmark = [pytest.mark.seaway_only, pytest.mark.own_engines, pytest.mark.timeout(300)]
HOSTS = ("h1", "h2")
_PATIENCE_S = 60


@pytest.fixture(scope="module")
def lab(e2e_directory: Path) -> Iterator[Lab]:
    """Two hosts."""
    with Lab(e2e_directory / "mounting", hosts=len(HOSTS)) as made:
        yield made


@pytest.fixture
def cli(lab: Lab, docker_config: Path) -> Iterator[DockerCli]:
    """The docker CLI, with busybox and an image to mount, which no node has but where the images are kept."""
    cli = DockerCli(lab.endpoint, docker_config)
    eventually(lambda: node_states(cli) == dict.fromkeys(HOSTS, "up"), "both hosts up", _PATIENCE_S)
    cli("load", "-q", input=images.busybox_archive())
    cli("load", "-q", input=images.archive([layer({"sub/file": "below", "top": "top"})], {}, ["mounted:1"]))
    yield cli
    lab.server.seaway("node", "activate", "h2")
    Api(lab.endpoint.removeprefix("unix://")).remove_all()
    cli.try_("rmi", "-f", "mounted:1")


@pytest.fixture
def api(lab: Lab, cli: DockerCli) -> Api:
    """The API of h1."""
    return Api(lab.endpoint.removeprefix("unix://"))


def mounting(api: Api, command: str, **mount: object) -> str:
    """A container on h2 that mounts the image."""
    request = body("mounted:1", command, **mount)
    made = api.request("POST", "/containers/create", request | {"Env": ["constraint:node==h2"]})
    assert made.status == 201, made
    container = str(made.json()["Id"])
    assert api.get(f"/containers/{container}/json")["Node"]["Name"] == "h2"
    return container


def test_on_another_node(api: Api, cli: DockerCli) -> None:
    assert cli("start", "-a", mounting(api, "cat /i/top; touch /i/x || echo refused")).lines == ["toprefused"]
    assert cli("start", "-a", mounting(api, "cat /i/file", ImageOptions={"Subpath": "sub"})).out == "below"


def test_an_image_that_went_while_its_node_was_drained(lab: Lab, api: Api, cli: DockerCli) -> None:
    """It is in use wherever the container is; by force it goes, and the node keeps what the container has of it."""
    container = mounting(api, "cat /i/top; sleep 600")
    cli("start", container)
    lab.server.seaway("node", "drain", "h2", "--stop")
    assert api.get(f"/containers/{container}/json")["State"]["Running"] is False
    refused = cli.try_("rmi", "mounted:1")
    assert f"container {container[:12]} is using its referenced image" in refused.err
    identifier = cli("images", "-q", "--no-trunc", "mounted").out
    refused = cli.try_("rmi", identifier)
    assert f"image is being used by stopped container {container[:12]}" in refused.err
    cli("rmi", "-f", "mounted:1")
    lab.server.seaway("node", "activate", "h2")
    cli("start", container)
    eventually(lambda: cli("logs", container).out == "toptop", "the program to read from the image again")


def test_after_a_power_cut(lab: Lab, api: Api, cli: DockerCli) -> None:
    container = mounting(api, "cat /i/top; sleep 600")
    cli("start", container)
    lab.kill("h2")
    lab.start("h2")
    eventually(lambda: node_states(cli) == dict.fromkeys(HOSTS, "up"), "h2 up again", _PATIENCE_S)
    cli("start", container)
    assert cli("exec", container, "cat", "/i/sub/file").out == "below"
