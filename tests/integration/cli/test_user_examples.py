"""The programs that `seaway user add` prints read events as they are."""

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.integration.cli.bus_users import foreign, nats_url
from tests.integration.cli.test_users import DIE, added, publish

from seaway_cli.user_examples import JAVASCRIPT, PYTHON, Access

if TYPE_CHECKING:
    from conftest import TinySuite

pytestmark = pytest.mark.root


def has_javascript() -> bool:
    """Whether node is there, and finds the package nats (see NODE_PATH)."""
    words = ["node", "-e", 'require("nats")']
    return bool(shutil.which("node")) and not subprocess.run(words, capture_output=True).returncode


def runner(program: str) -> list[str]:
    return [sys.executable, "-u", "-c", program] if program.startswith("import") else ["node", "-e", program]


async def two_events(suite: "TinySuite") -> None:
    async with foreign(suite, "metadata") as services:
        await publish(services, (DIE, "n1", "1"), (DIE, "n1", "2"))


@pytest.mark.parametrize("language", ["python", "javascript"])
def test_an_example_prints_what_it_reads(suite: "TinySuite", tmp_path: Path, language: str) -> None:
    if language == "javascript" and not has_javascript():
        pytest.skip("node, or its package nats, is missing")
    assert suite.up("--node", "n1").returncode == 0
    key = added(suite, tmp_path, "bob", "--events", "container.die")
    asyncio.run(two_events(suite))
    access = Access(nats_url(suite), key, DIE.template.wildcard())
    program = access.example(PYTHON if language == "python" else JAVASCRIPT)
    with (tmp_path / "errors").open("wb") as errors:
        running = subprocess.Popen(runner(program), stdout=subprocess.PIPE, stderr=errors, text=True, env=os.environ)
    try:
        assert running.stdout is not None
        for number in ("1", "2"):
            assert running.stdout.readline() == DIE.subject("n1", number) + "\n", (tmp_path / "errors").read_text()
    finally:
        running.kill()
        running.communicate()
