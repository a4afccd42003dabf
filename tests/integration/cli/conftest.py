"""A suite of tiny services, run as a user would, in a directory of its own."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.integration.forked import Forked

PROGRAM = [sys.executable, str(Path(__file__).parent / "tiny_suite.py")]


@dataclass
class TinySuite:
    """One suite's directories, and the `seaway` command applied to them."""

    root: Path
    run: Path

    def seaway(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.with_places([*words, "--root", str(self.root), "--run", str(self.run)])

    def with_places(self, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """The command as it is given, directories and all."""
        with tempfile.TemporaryDirectory() as kept:
            out, err = Path(kept, "out"), Path(kept, "err")
            command = Forked("tests.integration.cli.tiny_suite", words, out, errors=err)
            return subprocess.CompletedProcess(words, command.wait(60), out.read_text(), err.read_text())

    def up(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.seaway("up", "--detach", *words)

    def foreground(self) -> subprocess.Popen[str]:
        words = [*PROGRAM, "up", "--root", str(self.root), "--run", str(self.run)]
        return subprocess.Popen(words, stdout=subprocess.PIPE, text=True, process_group=0)

    def rows(self) -> dict[str, dict[str, Any]]:
        result = self.seaway("status", "--json")
        assert result.returncode == 0, result.stderr
        return {row["service"]: row for row in json.loads(result.stdout)}


@pytest.fixture
def make_suite(tmp_path: Path) -> Iterator[Callable[[str], TinySuite]]:
    """Makes suites by name; they are stopped at the end of the test."""
    made: list[TinySuite] = []

    def make(name: str) -> TinySuite:
        made.append(TinySuite(tmp_path / name / "root", tmp_path / name / "run"))
        return made[-1]

    yield make
    for suite in made:
        suite.with_places(["down", "--run", str(suite.run)])


@pytest.fixture
def suite(make_suite: Callable[[str], TinySuite]) -> TinySuite:
    """One suite, not yet started."""
    return make_suite("s")
