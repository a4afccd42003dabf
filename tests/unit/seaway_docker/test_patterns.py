"""Regular expressions: what they find, and that none takes long."""

import pytest

from seaway_docker.patterns import searcher


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("we.-[0-9]+$", "my-web-12", True),
        ("^web$", "my-web", False),
        ("(?i)SSD", "ssd", True),
        ("^é.$", "éä", True),
        ("", "anything", True),
        ("a|b", "cb", True),
    ],
)
def test_what_they_find(pattern: str, text: str, found: bool) -> None:
    assert searcher(pattern)(text) is found
    assert searcher(pattern)(text) is found, "from memory"


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("(a+)+$", "a" * 10_000 + "b", False),
        ("a*a*a*a*b", "a" * 10_000, False),
        ("a?" * 100 + "a" * 100, "a" * 100, True),
        ("(a|a)" * 100 + "$", "a" * 100 + "b", False),
    ],
    ids=["repeated group", "repeats", "options", "alternatives"],
)
def test_what_would_take_a_backtracking_engine_hours_or_years(pattern: str, text: str, found: bool) -> None:
    assert searcher(pattern)(text) is found


@pytest.mark.parametrize("pattern", ["(", "[", "a**", "(?=a)", r"(a)\1", "a{1001}", "(a{100}){100}", "x{1000}" * 200])
def test_what_is_no_pattern_or_too_large(pattern: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        searcher(pattern)
