"""Each thing that the page on reliability says has a test: tests/reliability.toml names it, and it is there."""

import re
import tomllib
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[3]
PAGE: Final = (ROOT / "docs" / "reliability.md").read_text()
SAID: Final = tomllib.loads((ROOT / "tests" / "reliability.toml").read_text())["said"]
_RULE: Final = re.compile(r"\|[-| ]+\|")


def joined(text: str) -> str:
    return " ".join(text.split())


def pieces() -> list[str]:
    """The page's rows, points and paragraphs, from its promises on."""
    found: list[str] = []
    begun = False
    for line in PAGE[PAGE.index("## What is promised") :].splitlines():
        if not line.strip() or line.startswith("#"):
            begun = False
        elif _RULE.fullmatch(line):
            found.pop()  # the head of the table
        elif line.startswith(("|", "- ")) or not begun:
            found.append(line)
            begun = True
        else:
            found[-1] += f" {line}"
    return [joined(piece) for piece in found]


@pytest.mark.parametrize("piece", pieces(), ids=lambda piece: str(piece)[:40])
def test_what_the_page_says_has_a_test(piece: str) -> None:
    assert any(joined(one["words"]) in piece for one in SAID), "add it to tests/reliability.toml"


@pytest.mark.parametrize("one", SAID, ids=lambda one: str(one["words"])[:40])
def test_the_tests_are_there(one: dict[str, object]) -> None:
    assert any(joined(str(one["words"])) in piece for piece in pieces()), "the page doesn't say that (any more)"
    tests = one["tests"]
    assert isinstance(tests, list) and tests
    for path, _, name in (test.partition("::") for test in tests):
        assert (ROOT / path).is_file(), path
        assert not name or f"def {name}(" in (ROOT / path).read_text(), f"{path} has no {name}"
