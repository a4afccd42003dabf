"""Builds without BuildKit: what they are asked with, and what a test leaves of them."""

from collections.abc import Iterator, Mapping

import pytest

from e2e_rig.docker_cli import DockerCli
from seaway_testing.packing import tar_of

CLASSIC = {"DOCKER_BUILDKIT": "0"}
"""The environment in which the docker command builds without BuildKit."""
TAR = {"Content-Type": "application/x-tar"}


def tar(files: Mapping[str, str]) -> bytes:
    """A context, as `POST /build` takes it."""
    return tar_of({name: text.encode() for name, text in files.items()})


def removing_new_images(cli: DockerCli) -> Iterator[None]:
    """What is built meanwhile is removed at the end."""
    before = set(cli("images", "-q", "--no-trunc", "-a").lines)
    yield
    for image in set(cli("images", "-q", "--no-trunc", "-a").lines) - before:
        cli.try_("rmi", "--force", image)


@pytest.fixture
def no_classic_images(cli: DockerCli) -> Iterator[None]:
    """What a test has built is removed at its end."""
    yield from removing_new_images(cli)
