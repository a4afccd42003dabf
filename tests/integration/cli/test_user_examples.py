"""The programs that `seaway user add` prints read events as they are."""

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from tests import node_packages
from tests.integration.cli.bus_users import foreign, nats_url
from tests.integration.cli.test_users import DIE, added, publish

from seaway_cli.user_examples import GO, JAVASCRIPT, PYTHON, Access

if TYPE_CHECKING:
    from conftest import TinySuite

pytestmark = pytest.mark.root


GO_CODE: Final = Path("/usr/share/gocode")
PROGRAMS: Final = {"python": PYTHON, "go": GO, "javascript": JAVASCRIPT}


def runner(language: str, program: str, place: Path) -> list[str]:
    """How to run it. Skips the test where something is missing."""
    if language == "python":
        return [sys.executable, "-u", "-c", program]
    if language == "javascript":
        if not node_packages.has("nats"):
            pytest.skip("node's package nats is not there: `./dev test` fetches it where node and npm are installed")
        return ["node", "-e", program]
    if not shutil.which("go") or not (GO_CODE / "src/github.com/nats-io/nats.go").is_dir():
        pytest.skip("Debian's golang-go or golang-github-nats-io-go-nats-dev is missing")
    (place / "main.go").write_text(program)
    environment = os.environ | {"GOPATH": str(GO_CODE), "GO111MODULE": "off", "GOCACHE": str(place / "cache")}
    subprocess.run(["go", "build", "-o", "reader", "main.go"], cwd=place, env=environment, check=True)
    return [str(place / "reader")]


async def two_events(suite: "TinySuite") -> None:
    async with foreign(suite, "metadata") as services:
        await publish(services, (DIE, "n1", "1"), (DIE, "n1", "2"))


@pytest.mark.parametrize("language", PROGRAMS)
def test_an_example_prints_what_it_reads(suite: "TinySuite", tmp_path: Path, language: str) -> None:
    assert suite.up("--node", "n1").returncode == 0
    key = added(suite, tmp_path, "bob", "--events", "container.die")
    asyncio.run(two_events(suite))
    access = Access(nats_url(suite), key, DIE.template.wildcard())
    words = runner(language, access.example(PROGRAMS[language]), tmp_path)
    with (tmp_path / "errors").open("wb") as errors:
        environment = node_packages.environment()
        running = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment)
    try:
        assert running.stdout is not None
        for number in ("1", "2"):
            assert running.stdout.readline() == DIE.subject("n1", number) + "\n", (tmp_path / "errors").read_text()
    finally:
        running.kill()
        running.communicate()
