"""Containers made over the bus, without the API: the example of docs/examples, and commands in a container."""

import os
import platform
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from e2e_rig.docker_cli import DockerCli
from e2e_rig.seaway import Seaway

from seaway_bus.bus import Bus
from seaway_cluster.run import run
from seaway_kit.tasks import Tasks

pytestmark = pytest.mark.seaway_only
_EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "run_a_container.py"


@pytest.fixture
async def bus(engine: Seaway) -> AsyncIterator[Bus]:
    connected = await Bus.connect(engine.nats_url, name="test", user="api", password=engine.secret("api"))
    yield connected
    await connected.close()


@pytest.mark.parametrize("code", [0, 7])
def test_the_example(engine: Seaway, cli: DockerCli, code: int) -> None:
    password = engine.root / "secrets" / "api"
    words = [sys.executable, _EXAMPLE, engine.nats_url, password, "busybox", "sh", "-c", f"sleep 2; exit {code}"]
    told = subprocess.run(words, capture_output=True, text=True, timeout=60, env=os.environ, check=False)
    assert told.stdout == f"Runs on {engine.node} {platform.machine()}\nEnded with {code}\n", told.stderr
    assert cli("ps", "-aq").out == ""


async def test_a_command_in_a_container(engine: Seaway, bus: Bus, cli: DockerCli, tasks: Tasks) -> None:
    container = cli("run", "-d", "busybox", "sleep", "60").out
    script = "echo out; echo err >&2; id -u; exit 3"
    result = await run(bus, tasks, "test", container, engine.node, ["sh", "-c", script], user="7")
    assert (result.exit_code, sorted(result.output.split())) == (3, [b"7", b"err", b"out"])
    much = await run(bus, tasks, "test", container, engine.node, ["head", "-c", "5000000", "/dev/zero"])
    assert (much.exit_code, much.output) == (0, bytes(5_000_000))


async def test_a_command_that_is_not_there(engine: Seaway, bus: Bus, cli: DockerCli, tasks: Tasks) -> None:
    container = cli("run", "-d", "busybox", "sleep", "60").out
    result = await run(bus, tasks, "test", container, engine.node, ["nothing-of-that-name"])
    assert result.exit_code == 126 and b"nothing-of-that-name" in result.output
