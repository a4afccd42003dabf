"""One suite for all tests of a node that was taken over; each has a container of node n1, and node n2's password."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import docker
import pytest
from tests.integration.hostile.taken_over import Hostile, Suite, taken_over

from seaway_cli import demo_image


@pytest.fixture(scope="module")
def suite() -> Iterator[Suite]:
    """A suite with an image, and with a second node that was let in."""
    with tempfile.TemporaryDirectory(prefix="hostile-") as directory:
        made = Suite(Path(directory))
        started = made.seaway("up", "--detach", "--node", "n1")
        try:
            assert started.returncode == 0, started.stderr
            added = made.seaway("node", "add", "n2")
            assert added.returncode == 0, added.stderr
            client = docker.DockerClient(base_url=made.host, timeout=60)
            busybox = demo_image.find_busybox()
            client.images.load(demo_image.archive(busybox.read_bytes(), demo_image.applets(busybox)))
            client.close()
            yield made
        finally:
            done = made.seaway("purge")
            assert done.returncode == 0, done.stderr


@pytest.fixture
def victim(suite: Suite) -> Iterator[str]:
    """The id of a container of n1 that runs, and is called `victim`."""
    words = (
        "--network",
        "none",
        "--stop-timeout",
        "1",
        "busybox",
        "sh",
        "-c",
        "trap 'exit 7' TERM; while :; do sleep 0.1; done",
    )
    yield suite.docker("run", "-d", "--name", "victim", *words)
    for identifier in suite.docker("ps", "-aq").splitlines():
        suite.docker("rm", "-f", identifier)


@pytest.fixture
async def n2(suite: Suite, victim: str) -> AsyncIterator[Hostile]:
    """Who has taken over node n2."""
    async with taken_over(suite) as hostile:
        yield hostile
