"""`docker build` by buildx with a given buildkitd: an image in Seaway at the end, and no trace of failures."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e_rig import images
from e2e_rig.buildkitd import Buildkitd, need_buildkitd
from e2e_rig.docker_cli import DockerCli
from e2e_rig.seaway import Seaway

pytestmark = [pytest.mark.seaway_only, pytest.mark.own_engines]


@pytest.fixture(scope="module")
def builder(e2e_directory: Path) -> Iterator[Buildkitd]:
    need_buildkitd()
    one = Buildkitd(e2e_directory / "bk")
    one.start()
    yield one
    one.stop()


@pytest.fixture(scope="module")
def suite(builder: Buildkitd, e2e_directory: Path) -> Iterator[Seaway]:
    one = Seaway(e2e_directory / "bksuite", up=("--buildkit", builder.place, "--metrics-port", "0"))
    one.start()
    yield one
    one.purge()


@pytest.fixture(scope="module")
def cli(suite: Seaway, e2e_directory: Path) -> DockerCli:
    config = e2e_directory / "bkcli"
    config.mkdir()
    one = DockerCli(suite.host, config)
    one("load", input=images.busybox_archive())
    return one


@pytest.fixture(autouse=True)
def _no_built_images(cli: DockerCli) -> Iterator[None]:
    """What a test has built is removed at its end."""
    before = set(cli("images", "-q", "--no-trunc", "-a").lines)
    yield
    for image in set(cli("images", "-q", "--no-trunc", "-a").lines) - before:
        cli.try_("rmi", "--force", image)


def context(path: Path, dockerfile: str, **files: str) -> str:
    (path / "Dockerfile").write_text(dockerfile)
    for name, text in files.items():
        (path / name).write_text(text)
    return str(path)


def test_a_build_ends_with_an_image(cli: DockerCli, tmp_path: Path, name: str) -> None:
    where = context(tmp_path, "FROM busybox\nCOPY f /f\nRUN cat /f > /g\nENV A=b\n", f="file\n")
    done = cli.try_("build", "-t", name, "-t", f"{name}:2", where)
    assert done.code == 0, done.err
    assert cli("run", "--rm", name, "cat", "/g").out == "file"
    (image,) = json.loads(cli("inspect", name).out)
    assert "A=b" in image["Config"]["Env"]
    assert sorted(image["RepoTags"]) == [f"{name}:2", f"{name}:latest"]
    assert f"writing image {image['Id']}" in done.err or image["Id"] in done.err
    quiet = cli("build", "-q", where)
    assert quiet.out == image["Id"]
