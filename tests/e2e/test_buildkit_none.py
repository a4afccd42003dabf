"""`docker build` by buildx, where there is no BuildKit: the client says at once what to do, and nothing is made."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e_rig import images
from e2e_rig.docker_cli import DockerCli
from e2e_rig.seaway import Seaway

pytestmark = [pytest.mark.seaway_only, pytest.mark.own_engines]
WHAT_TO_DO = "DOCKER_BUILDKIT=0 docker build"


@pytest.fixture(scope="module", params=["none", "unix:///run/there-is-no-buildkitd.sock", "own"])
def suite(request: pytest.FixtureRequest, e2e_directory: Path) -> Iterator[Seaway]:
    place = str(request.param)
    one = Seaway(e2e_directory / f"nobuilder{len(place)}", up=("--buildkit", place, "--metrics-port", "0"))
    one.start()
    yield one
    one.purge()


def test_a_build_says_what_to_do(suite: Seaway, tmp_path: Path) -> None:
    cli = DockerCli(suite.host, tmp_path)
    cli("load", input=images.busybox_archive())
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN true\n")
    (tmp_path / "compose.yaml").write_text("services:\n  one:\n    build: .\n    image: nothing\n")
    for words in (
        ("build", "-t", "nothing", str(tmp_path)),
        ("compose", "-f", str(tmp_path / "compose.yaml"), "build"),
    ):
        done = cli.try_(*words)
        assert done.code != 0
        assert WHAT_TO_DO in done.err, done.err
    assert cli("images", "-q", "nothing").out == ""
    assert cli("ps", "-aq").out == ""
    assert cli("build", "-q", str(tmp_path), DOCKER_BUILDKIT="0").out.startswith("sha256:")
