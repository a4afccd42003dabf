"""Fixtures of tests/e2e/test_buildkit*.py: a buildkitd, a suite that builds by it, and a client."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from e2e_rig import images
from e2e_rig.buildkitd import IMAGE, Buildkitd, builder_archive, need_buildkitd
from e2e_rig.classic_builds import removing_new_images
from e2e_rig.docker_cli import DockerCli
from e2e_rig.seaway import Seaway
from e2e_rig.waits import eventually

OWN_BUILDER = "seaway-builder"
DIAL = "buildctl dial-stdio"
"""How a suite reaches its own builder."""


@pytest.fixture(scope="module")
def buildkit_place(e2e_directory: Path) -> Path:
    """A directory of the module's own, with a short path."""
    return Path(tempfile.mkdtemp(prefix="bk", dir=e2e_directory))


@pytest.fixture(scope="module")
def buildkitd(buildkit_place: Path) -> Iterator[Buildkitd]:
    """A buildkitd of the module's own."""
    need_buildkitd()
    one = Buildkitd(buildkit_place / "b")
    one.start()
    yield one
    one.stop()


@pytest.fixture(scope="module")
def buildkit_suite(buildkitd: Buildkitd, buildkit_place: Path) -> Iterator[Seaway]:
    """A suite that builds by it."""
    one = Seaway(buildkit_place / "s", up=("--buildkit", buildkitd.place, "--metrics-port", "0"))
    one.start()
    yield one
    one.purge()


@pytest.fixture(scope="module")
def buildx(buildkit_suite: Seaway, buildkit_place: Path) -> DockerCli:
    """The docker command, with busybox loaded."""
    return client(buildkit_suite, buildkit_place / "c")


@pytest.fixture
def no_built_images(buildx: DockerCli) -> Iterator[None]:
    """What a test has built is removed at its end."""
    yield from removing_new_images(buildx)


@contextmanager
def suite_with_own_builder(directory: Path) -> Iterator[Seaway]:
    """A suite that makes its builder of the compiled buildkitd."""
    need_buildkitd()
    one = Seaway(directory, up=("--buildkit-image", IMAGE, "--metrics-port", "0"))
    one.start()
    yield one
    one.purge()


def client_of_own_builder(suite: Seaway, config: Path) -> DockerCli:
    """The docker command, with busybox and the builder's image loaded."""
    one = client(suite, config)
    one("load", input=builder_archive())
    return one


def client(suite: Seaway, config: Path) -> DockerCli:
    """The docker command, with busybox loaded."""
    config.mkdir()
    one = DockerCli(suite.host, config)
    one("load", input=images.busybox_archive())
    return one


def context(path: Path, dockerfile: str, **files: str) -> str:
    """A context with these files."""
    path.mkdir(exist_ok=True)
    (path / "Dockerfile").write_text(dockerfile)
    for name, text in files.items():
        (path / name).write_text(text)
    return str(path)


def running(words: str) -> list[int]:
    """The processes on this machine whose command line is that."""
    wanted = words.encode().replace(b" ", b"\0") + b"\0"
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes() == wanted:
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def until_running(words: str, timeout: float = 60) -> None:
    """Wait for such a process."""
    eventually(lambda: running(words), f"a process {words}", timeout)


def until_gone(words: str, timeout: float = 60) -> None:
    """Wait until there is no such process."""
    eventually(lambda: not running(words), f"the end of {words}", timeout)
