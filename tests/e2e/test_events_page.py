"""Each example of docs/events.md runs as it stands there."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from e2e_rig.docker_cli import DockerCli
from e2e_rig.seaway import Seaway, seaway
from e2e_rig.waits import eventually

pytestmark = [pytest.mark.root, pytest.mark.seaway_only]
PAGE: Final = (Path(__file__).parents[2] / "docs" / "events.md").read_text()
EXAMPLES: Final = re.findall(r"^```(python|sh)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
SAYS: Final = (
    ("ended with 5",),
    ("io.seaway.v1.node.join", "node:n1"),
    ("ended with 5",),
    ('"seq":',),
    ("status", "attributes"),
)
"""Words of what each prints, in the order of the page."""


@pytest.fixture(scope="module", autouse=True)
def ended(docker_cli: DockerCli) -> None:
    """Something has happened that they can show."""
    docker_cli.try_("run", "--rm", "busybox", "sh", "-c", "exit 5")


def test_the_page_has_as_many() -> None:
    assert len(EXAMPLES) == len(SAYS)


@pytest.fixture(scope="module")
def key(engine: Seaway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Of a user that reads all events."""
    out = tmp_path_factory.mktemp("keys")
    made = seaway("user", "add", "page", "--keep", "16m", "--out", str(out), "--run", str(engine.run))
    assert made.returncode == 0, made.stderr

    def has_all() -> bool:
        (user,) = json.loads(seaway("user", "ls", "--json", "--run", str(engine.run)).stdout)
        return user["stream"]["messages"] > 0 and user["stream"]["pending"] == 0

    eventually(has_all, "all events in its stream", timeout=60)
    yield out / "page.nk"
    assert seaway("user", "rm", "page", "--run", str(engine.run)).returncode == 0


@pytest.mark.parametrize("number", range(len(SAYS)))
def test_it_runs(engine: Seaway, key: Path, tmp_path: Path, number: int) -> None:
    language, text = EXAMPLES[number]
    where = {
        "NATS_URL": engine.nats_url,
        "NATS_KEY": str(key),
        "DOCKER_SOCKET": str(engine.socket),
    }
    command = [sys.executable, "-c", text] if language == "python" else ["sh", "-eu", "-c", text]
    done = subprocess.run(
        command, env=os.environ | where, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    for words in SAYS[number]:
        assert words in done.stdout, done.stdout
