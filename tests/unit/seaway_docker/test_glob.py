import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaway_docker.errors import InvalidParameter
from seaway_docker.glob import path_match


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("abc", "abc", True),
        ("*", "abc", True),
        ("*c", "abc", True),
        ("a*", "a", True),
        ("a*", "ab/c", False),
        ("a*/b", "abc/b", True),
        ("a*/b", "a/c/b", False),
        ("a*b?c*x", "abxbbxdbxebxczzx", True),
        ("a*b?c*x", "abxbbxdbxebxczzy", False),
        ("ab[c]", "abc", True),
        ("ab[b-d]", "abc", True),
        ("ab[^c]", "abc", False),
        ("ab[^e-g]", "abc", True),
        ("a\\*b", "a*b", True),
        ("a\\*b", "ab", False),
        ("a?b", "a/b", False),
        ("[a-ζ]*", "α", True),
        ("*[a-ζ]", "A", False),
        ("", "", True),
        ("*x", "xxx", True),
        ("[\\]a]", "]", True),
        ("[\\-]", "-", True),
        ("busybox*", "busybox:1.36", True),
        ("?", "", False),
    ],
)
def test_go_path_match(pattern: str, name: str, expected: bool) -> None:
    assert path_match(pattern, name) is expected


@pytest.mark.parametrize("pattern", ["[", "[]a]", "[-]", "[x-]", "[-x]", "[a-b-c]", "a[", "[^", "\\", "[^bc", "Foo["])
def test_bad_patterns(pattern: str) -> None:
    with pytest.raises(InvalidParameter, match=r"^syntax error in pattern$"):
        path_match(pattern, "a")


def test_many_stars_take_no_time() -> None:
    assert not path_match("*a" * 60 + "b", "a" * 2000)


@given(st.text("ab*?", max_size=8), st.text("ab", max_size=8))
def test_agrees_with_fnmatch_where_both_mean_the_same(pattern: str, name: str) -> None:
    assert path_match(pattern, name) == fnmatch.fnmatchcase(name, pattern)
