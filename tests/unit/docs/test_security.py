"""Each row of the page on security that says what somebody can and cannot do names tests, and they are there."""

import re
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[3]
PAGE: Final = (ROOT / "docs" / "security.md").read_text()
_HEAD: Final = "| who | can | cannot | test |"
_TEST: Final = re.compile(r"`(tests/[\w/.-]+\.py)::(\w+)`")


def rows() -> list[list[str]]:
    """The cells of all such tables."""
    found = []
    for table in PAGE.split(_HEAD)[1:]:
        lines = table.split("\n\n", 1)[0].strip().splitlines()
        found += [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]
    return found


def test_the_page_has_its_tables() -> None:
    sections = re.findall(r"^## (.+)$", PAGE, re.MULTILINE)
    assert PAGE.count(_HEAD) == len(set(sections) - {"Processes", "What is not kept apart"})
    assert len(rows()) > 20


@pytest.mark.parametrize("row", rows(), ids=lambda row: str(row[0])[:40])
def test_each_row_has_tests_that_are_there(row: list[str]) -> None:
    assert len(row) == 4 and row[0] and (row[1] or row[2])
    named = _TEST.findall(row[3])
    assert named and re.sub(r"[\s,]", "", _TEST.sub("", row[3])) == ""
    for path, name in named:
        assert (ROOT / path).is_file(), path
        assert f"def {name}(" in (ROOT / path).read_text(), f"{path} has no {name}"
