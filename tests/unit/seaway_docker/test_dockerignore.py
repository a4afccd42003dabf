"""Which of its two own files a `.dockerignore` leaves out."""

import pytest

from seaway_docker.dockerignore import is_ignored, left_out


@pytest.mark.parametrize(
    ("patterns", "path", "ignored"),
    [
        (["Dockerfile"], "Dockerfile", True), (["*"], "Dockerfile", True), (["**"], "a/b", True), (["a"], "a/b", True),
        (["/a/"], "a/b", True), (["**/D*"], "a/b/Dockerfile", True), (["**/b"], "b", True), (["a/*/c"], "a/b/c", True),
        (["*/c"], "a/b/c", False), (["*", "!Dockerfile"], "Dockerfile", False), (["!x", "x"], "x", True),
        (["./x/../y"], "y", True), (["["], "[", False), ([""], "x", False), (["!"], "x", False),
    ],
)  # fmt: skip
def test_patterns(patterns: list[str], path: str, ignored: bool) -> None:
    assert is_ignored(path, patterns) is ignored


def test_only_its_own_files_are_left_out() -> None:
    assert left_out("# Dockerfile\n*\n!Dockerfile\n", "Dockerfile") == [".dockerignore"]
    assert left_out("*.x\n", "Dockerfile") == []
    assert left_out(" Dockerfile \n", "Dockerfile") == ["Dockerfile"]


def test_a_pattern_of_stars_takes_no_time() -> None:
    assert not is_ignored("a" * 200 + "/b", ["**/" * 20 + "*a" * 200 + "c", "**/" * 400, "*" * 2000])
