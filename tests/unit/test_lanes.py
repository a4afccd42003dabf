"""No test is left out of `./dev test`, and none runs twice."""

import re
from pathlib import Path

from tests.lanes import LANES

HERE = Path(__file__).parent.parent
WITHOUT_ROOT = re.compile(r"^    \.venv/bin/pytest -q (tests/.*) \"\$@\"$", re.MULTILINE)


def test_each_directory_of_tests_is_run_once() -> None:
    body = (HERE.parent / "dev").read_text().partition("run_tests() {")[2].partition("\n}")[0]
    (first,) = WITHOUT_ROOT.findall(body)
    run = [*first.split(), *(path for groups in LANES.values() for paths in groups for path in paths)]
    there = {f"tests/{path.relative_to(HERE).parts[0]}" for path in HERE.glob("*/**/test_*.py")}
    assert sorted(run) == sorted(there)
