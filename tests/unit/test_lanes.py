"""No test is left out of `./dev test`, and none runs twice."""

import re
from collections.abc import Sequence
from pathlib import Path

from tests.lanes import LANES

HERE = Path(__file__).parent.parent
WITHOUT_ROOT = re.compile(r"^    \.venv/bin/pytest -q (tests/.*) \"\$@\"$", re.MULTILINE)


def test_each_file_of_tests_is_run_once() -> None:
    body = (HERE.parent / "dev").read_text().partition("run_tests() {")[2].partition("\n}")[0]
    (first,) = WITHOUT_ROOT.findall(body)
    run = [first.split(), *(words for groups in LANES.values() for words in groups)]
    for path in HERE.glob("*/**/test_*.py"):
        assert sum(_runs(words, path.relative_to(HERE.parent)) for words in run) == 1, path


def _runs(words: Sequence[str], path: Path) -> bool:
    """Whether a pytest with these words runs the tests of a file."""
    left_out = [Path(word.partition("=")[2]) for word in words if word.startswith("--ignore=")]
    named = [Path(word) for word in words if not word.startswith("--")]
    return any(map(path.is_relative_to, named)) and not any(map(path.is_relative_to, left_out))
