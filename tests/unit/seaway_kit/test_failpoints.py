import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from seaway_kit.failpoints import VARIABLE, Failpoint, Failpoints

_PASSES_TWO = """
from seaway_kit.failpoints import Failpoint, reach
reach(Failpoint.DIE_SEEN)
print("past the first", flush=True)
reach(Failpoint.DIE_RECORDED)
print("past both", flush=True)
"""


def _run(environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", _PASSES_TWO], capture_output=True, text=True, check=False, env=os.environ | environment
    )


def test_nothing_happens_where_none_is_armed(tmp_path: Path) -> None:
    Failpoints(tmp_path).reach(Failpoint.DIE_SEEN)
    (tmp_path / Failpoint.DIE_RECORDED).touch()
    assert _run({VARIABLE: ""}).stdout == "past the first\npast both\n"
    assert (tmp_path / Failpoint.DIE_RECORDED).exists()


def test_an_armed_one_kills_once(tmp_path: Path) -> None:
    (tmp_path / Failpoint.DIE_RECORDED).touch()
    first = _run({VARIABLE: str(tmp_path)})
    assert (first.returncode, first.stdout) == (-signal.SIGKILL, "past the first\n")
    second = _run({VARIABLE: str(tmp_path)})
    assert (second.returncode, second.stdout) == (0, "past the first\npast both\n")


@pytest.mark.parametrize("point", list(Failpoint))
def test_names_are_file_names(point: Failpoint) -> None:
    assert "/" not in point
    assert point.value.replace(".", "-").replace("-", "").isalnum()
