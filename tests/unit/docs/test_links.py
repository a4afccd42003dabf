"""Every relative link in the documentation points to a file that is there, and every anchor to a heading."""

import re
from pathlib import Path
from typing import Final
from urllib.parse import unquote

import pytest

ROOT: Final = Path(__file__).parents[3]
PAGES: Final = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "deploy").rglob("*.md")),
]
_LINK: Final = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)|^\[[^\]]+\]:\s*(\S+)", re.MULTILINE)
_CODE: Final = re.compile(r"^(```|~~~).*?^\1|`[^`\n]*`", re.MULTILINE | re.DOTALL)
_OUTSIDE: Final = re.compile(r"[a-z]+:")


def _links(page: Path) -> list[str]:
    found = (inline or reference for inline, reference in _LINK.findall(_CODE.sub("", page.read_text())))
    return [link for link in found if not _OUTSIDE.match(link)]


def _anchors(page: Path) -> set[str]:
    """Headings as GitHub turns them into anchors."""
    headings = re.findall(r"^#+ +(.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_relative_link_leads_somewhere(page: Path) -> None:
    broken = []
    for link in _links(page):
        name, _, anchor = link.partition("#")
        target = (page.parent / unquote(name)).resolve() if name else page
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            broken.append(link)
    assert not broken


def test_the_index_of_decisions_has_all_of_them() -> None:
    directory = ROOT / "docs" / "adr"
    pages = {path.name for path in directory.glob("[0-9]*.md")}
    assert pages == {link for link in _links(directory / "README.md") if link[0].isdigit()}


def test_the_readme_shows_the_example_as_it_is() -> None:
    example = (ROOT / "docs" / "examples" / "exits.py").read_text()
    shown = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert shown
    lines = {line.strip() for line in example.splitlines()}
    assert [line for block in shown for line in block.splitlines() if line.strip() not in lines] == []
