"""Seaway's own builder: a container that the first build makes, and that `purge` removes."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e_rig import images
from e2e_rig.buildkitd import IMAGE, builder_archive, need_buildkitd
from e2e_rig.docker_cli import DockerCli
from e2e_rig.seaway import Seaway

pytestmark = [pytest.mark.seaway_only, pytest.mark.own_engines]
BUILDER = "seaway-builder"


@pytest.fixture(scope="module")
def suite(e2e_directory: Path) -> Iterator[Seaway]:
    need_buildkitd()
    one = Seaway(e2e_directory / "bkown", up=("--buildkit-image", IMAGE, "--metrics-port", "0"))
    one.start()
    yield one
    one.purge()


@pytest.fixture(scope="module")
def cli(suite: Seaway, e2e_directory: Path) -> DockerCli:
    config = e2e_directory / "bkowncli"
    config.mkdir()
    one = DockerCli(suite.host, config)
    one("load", input=images.busybox_archive())
    one("load", input=builder_archive())
    return one


def context(path: Path, dockerfile: str) -> str:
    (path / "Dockerfile").write_text(dockerfile)
    return str(path)


def test_the_first_build_makes_the_builder(cli: DockerCli, tmp_path: Path) -> None:
    where = context(tmp_path, "FROM busybox\nRUN echo hi > /g\n")
    assert cli("ps", "-aq", "--filter", "label=com.seaway.builder").out == ""
    done = cli.try_("build", "-t", "first", where, timeout=180)
    assert done.code == 0, done.err
    assert cli("run", "--rm", "first", "cat", "/g").out == "hi"
    assert (
        cli("ps", "--filter", "label=com.seaway.builder", "--format", "{{.Names}} {{.Image}}").out
        == f"{BUILDER} {IMAGE}"
    )
    assert BUILDER in cli("volume", "ls", "-q").lines


def test_a_killed_builder_is_started_again(cli: DockerCli, tmp_path: Path) -> None:
    where = context(tmp_path, "FROM busybox\nRUN echo again > /g\n")
    cli("build", "-t", "before", where, timeout=180)
    cli("kill", BUILDER)
    done = cli.try_("build", "-t", "after", where, timeout=180)
    assert done.code == 0, done.err
    assert "CACHED" in done.err
