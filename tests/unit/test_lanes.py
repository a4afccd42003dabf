"""No test is left out of `./dev test`, and none runs twice."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.lanes import GROUPS, LANES, restricted, split, with_seed

HERE = Path(__file__).parent.parent
OF_CHECK = re.compile(r"^    \.venv/bin/pytest -q (tests/.*) \"\$@\"$", re.MULTILINE)


def test_each_file_of_tests_is_run_once() -> None:
    for path in HERE.glob("*/**/test_*.py"):
        assert sum(_runs(words, path.relative_to(HERE.parent)) for words in GROUPS.values()) == 1, path


def test_each_group_has_a_lane() -> None:
    assert sorted(group for groups in LANES.values() for group in groups) == sorted(GROUPS)


def test_check_runs_the_units() -> None:
    (words,) = OF_CHECK.findall((HERE.parent / "dev").read_text())
    assert tuple(words.split()) == GROUPS["units"]


def _runs(words: Sequence[str], path: Path) -> bool:
    """Whether a pytest with these words runs the tests of a file."""
    left_out = [Path(word.partition("=")[2]) for word in words if word.startswith("--ignore=")]
    named = [Path(word) for word in words if not word.startswith("--")]
    return any(map(path.is_relative_to, named)) and not any(map(path.is_relative_to, left_out))


@pytest.mark.parametrize(
    ("paths", "found"),
    [
        ([], {"a": ["tests/a", "tests/b", "--ignore=tests/b/c"], "c": ["tests/b/c"]}),
        (["tests/a"], {"a": ["tests/a", "--ignore=tests/b/c"]}),
        (["tests/a/x.py::test_it[tests/b]", "tests/a/y"],
         {"a": ["tests/a/x.py::test_it[tests/b]", "tests/a/y", "--ignore=tests/b/c"]}),
        (["tests/b"], {"a": ["tests/b", "--ignore=tests/b/c"], "c": ["tests/b/c"]}),
        (["tests/b/c/test_c.py"], {"c": ["tests/b/c/test_c.py"]}),
        (["tests"], {"a": ["tests/a", "tests/b", "--ignore=tests/b/c"], "c": ["tests/b/c"]}),
        (["tests/bench"], {}),
    ],
)  # fmt: skip
def test_paths_restrict_the_groups(paths: list[str], found: dict[str, list[str]]) -> None:
    groups = {"a": ("tests/a", "tests/b", "--ignore=tests/b/c"), "c": ("tests/b/c",)}
    assert {name: words for name, group in groups.items() if (words := restricted(group, paths))} == found


def test_paths_and_options() -> None:
    assert split(["-x", "tests/unit/", "-k", "attach"]) == (["tests/unit"], ["-x", "-k", "attach"])


def test_all_processes_use_one_order_of_the_tests() -> None:
    (seed, *options) = with_seed(["-x"])
    assert re.fullmatch(r"--randomly-seed=\d+", seed) and options == ["-x"]
    for given in (["-p", "no:randomly"], ["--randomly-seed=5"]):
        assert with_seed(given) == given
